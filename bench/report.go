//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// report is what the measurements say together.
type report struct {
	machine  string
	note     string // what was left out
	duration int
	memory   bool
	targets  []target
	results  []result
}

// of returns the results of a target, one a round.
func (p report) of(t target) []result {
	var out []result
	for _, r := range p.results {
		if r.target == t {
			out = append(out, r)
		}
	}
	return out
}

// median of a figure over the rounds that have it: the others say NaN. It is 0 when none has.
func median(rs []result, figure func(result) float64) float64 {
	v := make([]float64, 0, len(rs))
	for _, r := range rs {
		if f := figure(r); !math.IsNaN(f) {
			v = append(v, f)
		}
	}
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// in returns the first result of a round that is wanted.
func (p report) in(round int, wanted func(target) bool) (result, bool) {
	for _, r := range p.results {
		if r.Round == round && wanted(r.target) {
			return r, true
		}
	}
	return result{}, false
}

// times says how often the reference of the same round fits into a result's cost: the round's first that sends one stream picture by
// picture.
func (p report) times(r result) float64 {
	ref, ok := p.in(r.Round, func(t target) bool { return t.kind == "ref" && t.set == "" && t.streams == 1 })
	if !ok || ref.PerGB <= 0 {
		return math.NaN()
	}
	return r.PerGB / ref.PerGB
}

func (p report) write(w io.Writer) {
	rounds := 0
	for _, r := range p.results {
		rounds = max(rounds, r.Round)
	}
	fmt.Fprintf(w, "%s, %s\n\n%d round(s) of %d s each; medians. A figure with less than 99 %% delivered is a limit, not a cost (!).\n\n",
		time.Now().UTC().Format(time.DateOnly), p.machine, rounds, p.duration)
	memory := "RSS a viewer"
	if p.memory {
		memory += " | live memory a viewer"
	}
	p.table(w, "| viewers | delivered | CPU-s/GB | x reference | cores | "+memory+" | join p50 / p99 | latency p50 / p99 | others |",
		func(t target) bool { return t.kind != "pub" && !t.listed() }, p.viewers)
	p.table(w, "| publishers | CPU ms/s each | RSS each | cores | RSS in all | late messages | others |",
		func(t target) bool { return t.kind == "pub" }, p.publishers)
	p.crowds(w)
	compared := func(t target) bool { return slices.ContainsFunc(t.beside(), p.measured) }
	p.table(w, "| CPU-s/GB compared | | with | | ratio |", compared, p.compare)
}

// table writes the rows of some targets, if there are any.
func (p report) table(w io.Writer, head string, wanted func(target) bool, row func(io.Writer, target)) {
	rows := slices.DeleteFunc(slices.Clone(p.targets), func(t target) bool { return !wanted(t) || !p.measured(t) })
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "%s\n%s|\n", head, strings.Repeat("|---", strings.Count(head, "|")-1))
	for _, t := range rows {
		row(w, t)
	}
	fmt.Fprintln(w)
}

func (p report) measured(t target) bool { return len(p.of(t)) > 0 }

func (p report) publishers(w io.Writer, t target) {
	rs := p.of(t)
	fmt.Fprintf(w, "| %s%s | %.2f | %.0f KB | %.2f | %.0f MB | %.0f | %.1f cores |\n", t.title(),
		p.flaw(t), median(rs, func(r result) float64 { return r.PerPub }),
		median(rs, func(r result) float64 { return r.KBPub }), median(rs, cores),
		median(rs, func(r result) float64 { return r.RSSEnd / 1024 }),
		median(rs, func(r result) float64 { return float64(r.Late) }), median(rs, others))
}

func (p report) viewers(w io.Writer, t target) {
	rs := p.of(t)
	memory, join, latency := "", "", ""
	if !t.reference() {
		memory = fmt.Sprintf("%.1f KB", median(rs, func(r result) float64 { return r.KBViewer }))
		join = fmt.Sprintf("%.1f / %.1f ms", median(rs, func(r result) float64 { return r.JoinP50 }), median(rs, func(r result) float64 { return r.JoinP99 }))
		latency = fmt.Sprintf("%.1f / %.1f ms", median(rs, func(r result) float64 { return r.LatP50 }), median(rs, func(r result) float64 { return r.LatP99 }))
	}
	if p.memory {
		memory += " | "
		if !t.reference() {
			memory += fmt.Sprintf("%.2f KB", median(rs, func(r result) float64 { return r.LiveKB }))
		}
	}
	times := ""
	if x := median(rs, p.times); x > 0 {
		times = fmt.Sprintf("%.2f", x)
	}
	fmt.Fprintf(w, "| %s%s | %.1f %% | %.3f | %s | %.2f | %s | %s | %s | %.1f cores |\n", t.title(), p.flaw(t),
		median(rs, func(r result) float64 { return r.Ratio })*100, median(rs, perGB), times,
		median(rs, cores), memory, join, latency, median(rs, others))
}

// compare writes what a target costs beside others. With many streams, what their publishers cost by themselves is also taken off.
func (p report) compare(w io.Writer, t target) {
	row := func(name string, cost func(result) float64, other target) {
		ratio := func(r result) float64 {
			o, ok := p.in(r.Round, func(t target) bool { return t == other })
			if !ok || o.PerGB <= 0 {
				return math.NaN()
			}
			return cost(r) / o.PerGB
		}
		rs, with := p.of(t), p.of(other)
		fmt.Fprintf(w, "| %s%s | %.3f | %s%s | %.3f | %.2f |\n", name, p.flaw(t), median(rs, cost),
			other.title(), p.flaw(other), median(with, perGB), median(rs, ratio))
	}
	for _, other := range t.beside() {
		if !p.measured(other) {
			continue
		}
		row(t.title(), perGB, other)
		if pub, many := t.publishers(); many && p.measured(pub) {
			row("the same, less "+pub.title(), p.net, other)
		}
	}
}

// net is the cost of a result's viewers: without what the same publishers cost in the same round when nobody watched.
func (p report) net(r result) float64 {
	pub, many := r.target.publishers()
	idle, ok := p.in(r.Round, func(t target) bool { return t == pub })
	if !many || !ok || r.Bytes <= 0 {
		return math.NaN()
	}
	return (r.CPU - cores(idle)*r.Seconds) / (r.Bytes / 1e9)
}

func perGB(r result) float64 { return r.PerGB }

func cores(r result) float64  { return r.CPU / r.Seconds }
func others(r result) float64 { return max(r.Others, 0) / r.Seconds } // clocks of different steps: it can be just below 0

// flaw marks results that are no costs.
func (p report) flaw(t target) string {
	for _, r := range p.of(t) {
		if t.kind != "pub" && r.Ratio < t.enough(p.duration) || r.Missed > 0 || r.Failed > 0 || r.Died > 0 || r.Error != "" {
			return " (!)"
		}
	}
	return ""
}
