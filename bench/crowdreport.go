//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
)

// title is a crowd's name in the report.
func (c crowd) title(viewers int) string {
	format, who := "TS", ""
	if c.list != "/hls.m3u8" {
		format = "low latency"
	}
	if c.nginx {
		who = "nginx: "
	}
	if !c.flood {
		return fmt.Sprintf("%sHLS, %s, %d", who, format, viewers)
	}
	how := ""
	switch c.how {
	case "--flood --gzip":
		how = ", gzip"
	case "--flood --no-cookies":
		how = ", no cookie"
	}
	return fmt.Sprintf("%s%s%s, %d connections", who, format, how, viewers)
}

// crowds writes the tables of those who use playlists.
func (p report) crowds(w io.Writer) {
	is := func(flood bool) func(target) bool {
		return func(t target) bool {
			c, ok := crowds(t.kind)
			return ok && c.flood == flood
		}
	}
	p.table(w, "| HLS viewers | delivered | CPU-s/GB | x nginx | cores | requests a second | RSS a viewer | playlist p50 / p99 | segment or part p50 / p99 "+
		"| playlist age p50 / p99 | missed | late | others |", is(false), p.crowdViewers)
	p.table(w, "| playlists | requests a CPU second | a second | bytes each | cores | p50 / p99 | others |", is(true), p.crowdRequests)
	if p.note != "" {
		fmt.Fprintf(w, "%s\n\n", p.note)
	}
}

func (p report) crowdViewers(w io.Writer, t target) {
	rs := p.of(t)
	m := func(f func(result) float64) float64 { return median(rs, f) }
	times := ""
	if x := m(p.timesNginx); x > 0 {
		times = fmt.Sprintf("%.2f", x)
	}
	fmt.Fprintf(w, "| %s%s | %.1f %% | %.3f | %s | %.2f | %.0f | %.1f KB | %.1f / %.1f ms | %.1f / %.1f ms | %.2f / %.2f s | %.0f | %.0f | %.1f cores |\n",
		t.title(), p.flaw(t), m(func(r result) float64 { return r.Ratio })*100, m(perGB), times, m(cores),
		m(func(r result) float64 { return r.Requests / r.Seconds }), m(func(r result) float64 { return r.KBViewer }),
		m(func(r result) float64 { return r.ListP50 }), m(func(r result) float64 { return r.ListP99 }),
		m(func(r result) float64 { return r.PieceP50 }), m(func(r result) float64 { return r.PieceP99 }),
		m(func(r result) float64 { return r.AgeP50 / 1e3 }), m(func(r result) float64 { return r.AgeP99 / 1e3 }),
		m(func(r result) float64 { return float64(r.Missed) }), m(func(r result) float64 { return float64(r.LatePiece) }), m(others))
}

func (p report) crowdRequests(w io.Writer, t target) {
	rs := p.of(t)
	m := func(f func(result) float64) float64 { return median(rs, f) }
	fmt.Fprintf(w, "| %s%s | %.0f | %.0f | %.0f | %.2f | %.1f / %.1f ms | %.1f cores |\n", t.title(), p.flaw(t),
		m(func(r result) float64 { return r.PerCPU }), m(func(r result) float64 { return r.Requests / r.Seconds }),
		m(func(r result) float64 { return r.ListBytes / max(r.Lists, 1) }), m(cores),
		m(func(r result) float64 { return r.ListP50 }), m(func(r result) float64 { return r.ListP99 }), m(others))
}

// timesNginx says how often the cost of nginx, for as many viewers in the same round, fits into a result's, where both served the same.
func (p report) timesNginx(r result) float64 {
	ref, ok := p.in(r.Round, func(t target) bool {
		return t.kind == "nginx" && t.viewers == r.target.viewers && t.kbits == r.target.kbits
	})
	if !ok || ref.PerGB <= 0 || r.Kind == "llhls" {
		return math.NaN()
	}
	return r.PerGB / ref.PerGB
}
