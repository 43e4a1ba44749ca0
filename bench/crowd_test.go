//go:build linux

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCrowds(t *testing.T) {
	for kind, want := range map[string]crowd{
		"hls":             {list: "/hls.m3u8"},
		"llhls":           {list: "/hls.fmp4.m3u8", how: "--low-latency"},
		"nginx":           {list: "/hls.m3u8", nginx: true},
		"m3u8":            {list: "/hls.m3u8", how: "--flood", flood: true},
		"llm3u8-gzip":     {list: "/hls.fmp4.m3u8", how: "--flood --gzip", flood: true},
		"llm3u8-stranger": {list: "/hls.fmp4.m3u8", how: "--flood --no-cookies", flood: true},
		"m3u8-nginx":      {list: "/hls.m3u8", how: "--flood", flood: true, nginx: true},
	} {
		if c, ok := crowds(kind); !ok || c != want {
			t.Errorf("%s: %+v, %v", kind, c, ok)
		}
		if got, err := parseTarget(kind + ":5"); err != nil || got.String() != kind+":5" || got.kbits != kbitsPlay {
			t.Errorf("%s:5 is %+v, %v", kind, got, err)
		}
	}
	for _, text := range []string{"hls-gzip:1", "m3u8-:1", "m3u8-none:1", "llm3u8-nginx:1", "hls:1x2", "rtmp-gzip:1"} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

// The words that stand for several measurements are measurements.
func TestSegmented(t *testing.T) {
	_, targets, err := parse([]string{"ref:10", "segmented"})
	if want := len(strings.Fields(segmented)) + 1; err != nil || len(targets) != want {
		t.Errorf("%d targets, want %d; %v", len(targets), want, err)
	}
	possible, note := withoutNginx(targets, "")
	if len(possible) != len(targets)-1 || note == "" || slices.ContainsFunc(possible, func(t target) bool { return t.kind == "nginx" }) {
		t.Errorf("without nginx: %v, %q", possible, note)
	}
	if possible, note = withoutNginx(targets, "/nginx"); len(possible) != len(targets) || note != "" {
		t.Errorf("with nginx: %v, %q", possible, note)
	}
}

func TestReportCrowds(t *testing.T) {
	var p report
	p.duration, p.note = 8, nginxMissing
	for _, one := range []struct {
		text string
		r    result
	}{
		{"nginx:2000", result{PerGB: 0.2, Ratio: 1}},
		{"hls:2000", result{PerGB: 0.3, Ratio: 1, crowdResult: crowdResult{Missed: 1}}},
		{"llhls:2000", result{PerGB: 0.9, Ratio: 1}},
		{"m3u8-gzip:64", result{Ratio: 1, crowdResult: crowdResult{PerCPU: 40000, Requests: 80000, Lists: 80000, ListBytes: 8e6}}},
	} {
		target, err := parseTarget(one.text)
		if err != nil {
			t.Fatal(err)
		}
		one.r.target, one.r.Kind, one.r.Round, one.r.Seconds = target, target.kind, 1, 8
		p.targets, p.results = append(p.targets, target), append(p.results, one.r)
	}
	var b bytes.Buffer
	p.write(&b)
	for _, row := range []string{
		"| nginx: HLS, TS, 2000 | 100.0 % | 0.200 | 1.00 |", "| HLS, TS, 2000 (!) | 100.0 % | 0.300 | 1.50 |",
		"| HLS, low latency, 2000 | 100.0 % | 0.900 |  |", "| TS, gzip, 64 connections | 40000 | 10000 | 100 |", nginxMissing,
	} {
		if !strings.Contains(b.String(), "\n"+row) {
			t.Errorf("no row %s in\n%s", row, &b)
		}
	}
}

// A mirror writes segments before the playlist that names them, each once, and takes old ones away.
func TestMirror(t *testing.T) {
	lists := []string{
		"#EXTM3U\n#EXTINF:2,\na.ts\n#EXTINF:2,\nb.ts\n", "#EXTM3U\n#EXTINF:2,\nb.ts\n#EXTINF:2,\nc.ts\n",
		"#EXTM3U\nc.ts\nd.ts\n", "#EXTM3U\ne.ts\nf.ts\n", "#EXTM3U\nf.ts\ng.ts\n", "#EXTM3U\nh.ts\n../../x\n/y.ts\n",
	}
	at := 0
	var segments, cookies atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("id"); err == nil && c.Value == "1" {
			cookies.Add(1)
		}
		http.SetCookie(w, &http.Cookie{Name: "id", Value: "1", Secure: true, HttpOnly: true})
		if filepath.Ext(r.URL.Path) != ".ts" {
			_, _ = w.Write([]byte(lists[at]))
			return
		}
		segments.Add(1)
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	defer s.Close()
	m := &mirror{from: s.URL + "/live/s0/list.m3u8", dir: t.TempDir()}
	for at = range lists {
		for range 2 {
			if err := m.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(filepath.Join(m.dir, "list.m3u8")); err != nil || string(got) != lists[at] {
			t.Errorf("playlist %d: %q, %v", at, got, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(m.dir, "h.ts")); err != nil || string(got) != "/live/s0/h.ts" {
		t.Errorf("a segment: %q, %v", got, err)
	}
	var names []string
	all, err := os.ReadDir(m.dir)
	for _, e := range all {
		names = append(names, e.Name())
	}
	if want := []string{"f.ts", "g.ts", "h.ts", "list.m3u8"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("there is %v, %v, want %v", names, err, want)
	}
	if segments.Load() != 8 || cookies.Load() == 0 {
		t.Errorf("%d segments were fetched, %d requests had the cookie", segments.Load(), cookies.Load())
	}
}

// What the generator takes from a playlist.
func TestCrowdParses(t *testing.T) {
	program := filepath.Join(t.TempDir(), "crowd")
	if out, err := exec.CommandContext(t.Context(), "gcc", "-Wall", "-Wextra", "-Werror", "-o", program, "referee/crowd.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const ts = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.500Z\n#EXTINF:2.000,\na.ts\n" +
		"#EXTINF:1.500,\nb.ts\n#EXTINF:2.000,\nc.ts\n"
	const ll = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n" +
		"#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.500Z\n#EXT-X-PART:DURATION=0.200,URI=\"a.0\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.100,URI=\"a.1\"\n" +
		"#EXTINF:0.300,\na\n#EXT-X-PART:URI=\"b.0\",DURATION=0.200\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.1\"\n"
	for _, tc := range []struct{ list, from, want string }{
		{ts, "0,-1", "next 10,0 target 2000000 edge 16000000 missed 0\na.ts 2000000\nb.ts 1500000\nc.ts 2000000\n"},
		{ts, "9,-1", "next 10,0 target 2000000 edge 16000000 missed 0\nc.ts 2000000\n"},
		{ts, "10,-1", "next 10,0 target 2000000 edge 16000000 missed 0\n"},
		{ts, "5,-1", "next 10,0 target 2000000 edge 16000000 missed 2\na.ts 2000000\nb.ts 1500000\nc.ts 2000000\n"},
		{ll, "10,1", "next 11,1 target 2000000 edge 11000000 missed 0\na.1 100000\nb.0 200000\n"},
		{ll, "11,1", "next 11,1 target 2000000 edge 11000000 missed 0\n"},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", "0,-1", ""},
		{"<html>", "0,-1", ""},
	} {
		c := exec.CommandContext(t.Context(), program, "--parse", tc.from)
		c.Stdin = strings.NewReader(tc.list)
		out, err := c.Output()
		if string(out) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s of %q: %q, %v, want %q", tc.from, tc.list, out, err, tc.want)
		}
	}
}
