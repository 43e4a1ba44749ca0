//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTarget(t *testing.T) {
	for text, want := range map[string]target{
		"rtmp:1000":         {kind: "rtmp", viewers: 1000, streams: 1, kbits: kbitsPlay},
		"rtmps:20x100":      {kind: "rtmps", viewers: 2000, streams: 100, kbits: kbitsPlay},
		"flv:10x2@1000":     {kind: "flv", viewers: 20, streams: 2, kbits: 1000},
		"pub:500":           {kind: "pub", streams: 500, kbits: kbitsPub},
		"pub:100@2050":      {kind: "pub", streams: 100, kbits: 2050},
		"ref:1000":          {kind: "ref", viewers: 1000, streams: 1},
		"ref:20x100":        {kind: "ref", viewers: 2000, streams: 100},
		"ref:10+flush=1s":   {kind: "ref", viewers: 10, streams: 1, set: "flush=1s"},
		"rtmp:1+a.b=c+d=1s": {kind: "rtmp", viewers: 1, streams: 1, kbits: kbitsPlay, set: "a.b=c+d=1s"},
	} {
		got, err := parseTarget(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, which is %q, and %v; want %+v", text, got, got, err, want)
		}
	}
	for _, text := range []string{
		"", "rtmp", "rtmp:", "rtmp:0", "rtmp:-1", "none:1", "rtmp:1x0", "rtmp:1x", "rtmp:1@", "rtmp:1@100", "pub:1x2", "ref-packet:1x2",
		"ref:1@2000", "ref:1+a=b", "ref:1+flush=2s", "ref:1+flush=0s", "ref-packet:1+flush=1s", "rtmp:1+a",
	} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

// Ratios are taken within each round, and then their median: not the ratio of medians.
func TestReportCompares(t *testing.T) {
	var targets []target
	for _, text := range []string{"ref:1000", "rtmp:2000", "rtmp:20x100", "rtmp:1000", "rtmp:1000+egress.merge_window=300ms"} {
		one, err := parseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, one)
	}
	targets = withPublishers(targets)
	if last := targets[len(targets)-1].String(); last != "pub:100@2050" {
		t.Fatalf("the publishers of many streams are measured by %q", last)
	}
	costs := [][]float64{{1, 2, 6, 4, 1, 0}, {2, 3, 6, 2, 1, 0}, {4, 4, 6, 6, 1, 0}} // of each round and target
	p := report{duration: 8, targets: targets}
	for round, row := range costs {
		for i, cost := range row {
			r := result{target: targets[i], Round: round + 1, Seconds: 8, Bytes: 1e9, PerGB: cost, CPU: cost, Ratio: 0.96}
			if targets[i].kind == "pub" {
				r.CPU = 4 // seconds: half a core
			}
			p.results = append(p.results, r)
		}
	}
	if x := median(p.of(targets[1]), p.times); x != 1.5 { // of 2, 1.5 and 1
		t.Errorf("x reference is %v", x)
	}
	// A round that was broken off has no say in what it did not come to.
	p.results = append(p.results, result{target: targets[2], Round: 4, Seconds: 8, Bytes: 1e9, PerGB: 6, CPU: 6, Ratio: 0.96})
	var b bytes.Buffer
	p.write(&b)
	for _, row := range []string{
		"| rtmp, 20 on each of 100 streams (!) | 6.000 | rtmp, 2000 (!) | 3.000 | 2.00 |",
		"| the same, less 100 of 2.05 Mbit/s, no viewers (!) | 2.000 | rtmp, 2000 (!) | 3.000 | 0.67 |",
		"| rtmp, 2000 (!) | 3.000 | rtmp, 1000 (!) | 4.000 | 0.67 |",
		"| rtmp, 1000, egress.merge_window=300ms | 1.000 | rtmp, 1000 (!) | 4.000 | 0.25 |",
	} {
		if !strings.Contains(b.String(), row+"\n") {
			t.Errorf("no row %s in\n%s", row, &b)
		}
	}
}
