package segment

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/sim"
)

// The playlists for a folder are what RFC 8216bis asks for, each for itself and one after the other, and without what only this server can give.
func TestPlain(t *testing.T) {
	for _, f := range []Format{TS, FMP4} {
		encoder := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
		p := new(tape).record(encoder, 12*time.Second, nil)
		encoder.ChangeVideo() // a discontinuity, that leaves the window later
		p.record(encoder, 40*time.Second, nil)
		r := newRig(t, usual(f), p)
		r.lint = false
		h := m3u8.History{Slack: -1}
		var last []byte
		at, breaks := began, 0
		for next := uint64(0); r.more(); {
			e := r.now
			if e.Next() == next && !e.Ended || len(e.Segments) == 0 {
				continue
			}
			next = e.Next()
			last = e.Plain(0, next)
			at = at.Add(2 * time.Second)
			_, found := h.Add(m3u8.Response{At: at, Body: last})
			for _, problem := range m3u8.Musts(found) {
				t.Errorf("%v: %v\n%s", f, problem, last)
			}
			breaks = max(breaks, bytes.Count(last, []byte("DISCONTINUITY\n")))
			for _, word := range []string{"EXT-X-PART", "SERVER-CONTROL", "PRELOAD", "SKIP"} {
				if bytes.Contains(last, []byte(word)) {
					t.Errorf("%v: there is %s\n%s", f, word, last)
				}
			}
		}
		if breaks != 1 {
			t.Errorf("%v: %d discontinuities in a playlist", f, breaks)
		}
		if !bytes.HasSuffix(last, []byte("#EXT-X-ENDLIST\n")) {
			t.Errorf("%v: there is no end\n%s", f, last)
		}
	}
}

// A playlist of a part of the segments counts those that it leaves out.
func TestPlainRange(t *testing.T) {
	e := &Edition{Format: TS, Target: 2 * time.Second, Discontinuity: 5, Ended: true, token: "tok", next: 104}
	for n := range uint64(4) {
		e.Segments = append(e.Segments, &Segment{Number: 100 + n, Duration: time.Second, Start: began, Discontinuity: n%2 == 0})
	}
	for _, c := range []struct {
		from, to        uint64
		first, sequence string
		names           int
		end             bool
	}{
		{0, 104, "100", "5", 4, true},
		{100, 103, "100", "5", 3, false},
		{101, 104, "101", "6", 3, true},
		{102, 103, "102", "6", 1, false},
		{103, 200, "103", "7", 1, true},
		{104, 104, "104", "7", 0, false},
		{3, 2, "104", "5", 0, false},
	} {
		b := string(e.Plain(c.from, c.to))
		if !strings.Contains(b, "MEDIA-SEQUENCE:"+c.first+"\n#EXT-X-DISCONTINUITY-SEQUENCE:"+c.sequence+"\n") ||
			strings.Count(b, SuffixTS) != c.names || strings.Contains(b, "ENDLIST") != c.end {
			t.Errorf("from %d to %d:\n%s", c.from, c.to, b)
		}
	}
}

// Names of our files are told from all others, as only those are ever removed.
func TestNamed(t *testing.T) {
	const token = "abcdefghijklm234"
	e := &Edition{Format: TS, token: token}
	m := &Edition{Format: FMP4, token: token}
	for _, c := range []struct {
		name     string
		ts, fmp4 bool
	}{
		{e.SegmentName(123), true, false},
		{m.SegmentName(1<<64 - 1), false, true},
		{m.InitName(2), false, true},
		{string(m.appendPartName(nil, 7, 3)), false, false}, // parts are in no folder
		{token + "-12.ts", false, false},
		{token + "-12.mp4", false, false},
		{token + "-.hls.ts", false, false},
		{token + "-1x.hls.ts", false, false},
		{token + "1-1.hls.ts", false, false},
		{"ABCDEFGHIJKLM234-1.hls.ts", false, false},
		{"holiday-1.hls.mp4", false, false},
		{".hls.ts", false, false},
		{"", false, false},
		{"../" + e.SegmentName(1), false, false},
	} {
		if TS.Named(c.name) != c.ts || FMP4.Named(c.name) != c.fmp4 {
			t.Errorf("%q: TS %v, fMP4 %v", c.name, TS.Named(c.name), FMP4.Named(c.name))
		}
	}
}
