package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// report is what the measurements say together.
type report struct {
	machine  string
	duration int
	targets  []target
	results  []result
}

// of returns the results of a target, one a round.
func (p report) of(t target) []result {
	var out []result
	for _, r := range p.results {
		if r.Kind == t.kind && r.Count == t.count {
			out = append(out, r)
		}
	}
	return out
}

// median of a figure over the rounds.
func median(rs []result, figure func(result) float64) float64 {
	v := make([]float64, 0, len(rs))
	for _, r := range rs {
		v = append(v, figure(r))
	}
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// times says how often the reference of the same round fits into a result's cost: the round's first reference.
func (p report) times(r result) float64 {
	for _, ref := range p.results {
		if ref.Kind == "ref" && ref.Round == r.Round && ref.PerGB > 0 {
			return r.PerGB / ref.PerGB
		}
	}
	return 0
}

func (p report) write(w io.Writer) {
	rounds := 0
	for _, r := range p.results {
		rounds = max(rounds, r.Round)
	}
	fmt.Fprintf(w, "%s, %s\n\n%d round(s) of %d s each; medians. A figure with less than 99 %% delivered is a limit, not a cost (!).\n\n",
		time.Now().UTC().Format(time.DateOnly), p.machine, rounds, p.duration)
	fmt.Fprintln(w, "| viewers | delivered | CPU-s/GB | x reference | cores | RSS a viewer | join p50 / p99 | latency p50 / p99 | others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, t := range p.targets {
		if t.kind != "pub" {
			p.viewers(w, t)
		}
	}
	if !slices.ContainsFunc(p.targets, func(t target) bool { return t.kind == "pub" }) {
		return
	}
	fmt.Fprintln(w, "\n| publishers | CPU ms/s each | RSS each | cores | RSS in all | late messages | others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, t := range p.targets {
		if t.kind != "pub" {
			continue
		}
		rs := p.of(t)
		fmt.Fprintf(w, "| %d of %.1f Mbit/s, no viewers%s | %.2f | %.0f KB | %.2f | %.0f MB | %.0f | %.1f cores |\n", t.count,
			float64(kbitsPub)/1000, flaw(rs), median(rs, func(r result) float64 { return r.PerPub }),
			median(rs, func(r result) float64 { return r.KBPub }), median(rs, cores),
			median(rs, func(r result) float64 { return r.RSSEnd / 1024 }),
			median(rs, func(r result) float64 { return float64(r.Late) }), median(rs, others))
	}
}

func (p report) viewers(w io.Writer, t target) {
	rs := p.of(t)
	name, memory, join, latency := fmt.Sprintf("%s, %d", t.kind, t.count), "", "", ""
	switch {
	case t.kind == "ref":
		name = fmt.Sprintf("reference in C, %d", t.count)
	case reference(t.kind):
		name = fmt.Sprintf("the same, a send for each packet, %d", t.count)
	default:
		memory = fmt.Sprintf("%.1f KB", median(rs, func(r result) float64 { return r.KBViewer }))
		join = fmt.Sprintf("%.1f / %.1f ms", median(rs, func(r result) float64 { return r.JoinP50 }), median(rs, func(r result) float64 { return r.JoinP99 }))
		latency = fmt.Sprintf("%.1f / %.1f ms", median(rs, func(r result) float64 { return r.LatP50 }), median(rs, func(r result) float64 { return r.LatP99 }))
	}
	times := ""
	if x := median(rs, p.times); x > 0 {
		times = fmt.Sprintf("%.2f", x)
	}
	fmt.Fprintf(w, "| %s%s | %.1f %% | %.3f | %s | %.2f | %s | %s | %s | %.1f cores |\n", name, flaw(rs),
		median(rs, func(r result) float64 { return r.Ratio })*100, median(rs, func(r result) float64 { return r.PerGB }), times,
		median(rs, cores), memory, join, latency, median(rs, others))
}

func cores(r result) float64  { return r.CPU / r.Seconds }
func others(r result) float64 { return max(r.Others, 0) / r.Seconds } // clocks of different steps: it can be just below 0

// flaw marks results that are no costs.
func flaw(rs []result) string {
	for _, r := range rs {
		if r.Kind != "pub" && r.Ratio < 0.99 || r.Failed > 0 || r.Died > 0 || r.Error != "" {
			return " (!)"
		}
	}
	return ""
}
