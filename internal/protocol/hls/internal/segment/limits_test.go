package segment

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/sim"
)

// feed gives a Cutter all of a tape, and calls look with each edition.
func feed(c *Cutter, p *tape, look func(*Edition)) {
	for _, e := range p.entries {
		if c.Add(e) {
			look(c.Edition())
		}
	}
}

// TestWindow: a playlist has as many segments as it is to, numbers and discontinuities count up, and what has left it may be asked for as long
// as it was in it, and is forgotten then.
func TestWindow(t *testing.T) {
	o := usual(FMP4)
	o.Window = 3
	c := New(o)
	left := map[uint64]uint64{} // when a segment was no longer in the playlist, as the number of the next one
	var last *Edition
	feed(c, record(without(sim.Options{Video: av.H264, Audio: av.AAC}), 40*time.Second), func(e *Edition) {
		if len(e.Segments) > 3 {
			t.Fatalf("%d segments", len(e.Segments))
		}
		for i, s := range e.kept {
			if want := e.next - uint64(len(e.kept)-i); s.Number != want {
				t.Fatalf("segment %d, want %d", s.Number, want)
			}
		}
		if last != nil && last.next > o.First+3 && last.next < e.next {
			left[e.Segments[0].Number-1] = e.next
		}
		for n, at := range left {
			if e.next < at+3 && e.Segment(n) == nil {
				t.Fatalf("segment %d has left the playlist, and is gone after %d more", n, e.next-at)
			}
		}
		last = e
	})
	if n := len(last.kept); n > 3+3+1 {
		t.Errorf("%d segments are kept", n)
	}
}

// TestMemory: older segments go before their time if all is more than may be kept.
func TestMemory(t *testing.T) {
	for _, format := range []Format{TS, FMP4} {
		o := usual(format)
		o.Bytes = 1 << 20
		c := New(o)
		p := record(sim.Options{Video: av.H264, KeySize: 60_000, Size: 10_000}, 30*time.Second)
		var h m3u8.History
		h.Slack = -1
		feed(c, p, func(e *Edition) {
			size := 0
			for _, s := range e.kept {
				size += s.Size
			}
			if size > 1<<20 {
				t.Fatalf("%d bytes are kept", size)
			}
			_, found := h.Add(m3u8.Response{At: began, Body: e.Playlist().Body})
			if must := m3u8.Musts(found, "window"); len(must) > 0 {
				t.Fatal(must)
			}
		})
		if len(c.Edition().Segments) == 0 {
			t.Error("nothing is left")
		}
		c.Squeeze(true)
		if e := c.Edition(); len(e.Segments) > windowLeast || len(e.kept) > windowLeast+1 {
			t.Errorf("%d of %d segments are left while memory is short", len(e.Segments), len(e.kept))
		}
	}
}

// TestForgotten: what is forgotten is not held by what is left.
func TestForgotten(t *testing.T) {
	for _, bytes := range []int64{64 << 20, 60_000} {
		forgotten(t, bytes)
	}
}

func forgotten(t *testing.T, bytes int64) {
	t.Helper()
	o := usual(TS)
	o.Bytes = bytes
	c := New(o)
	var parts []weak.Pointer[Part]
	seen := map[uint64]bool{}
	feed(c, record(without(sim.Options{Video: av.H264}), 80*time.Second), func(e *Edition) {
		for _, s := range e.Segments {
			if !seen[s.Number] {
				seen[s.Number] = true
				parts = append(parts, weak.Make(s.Parts[0]))
			}
		}
	})
	e := c.Edition()
	runtime.GC()
	held := 0
	for _, p := range parts {
		if p.Value() != nil {
			held++
		}
	}
	if held != len(e.kept) {
		t.Errorf("%d of %d segments are in memory, %d are kept", held, len(parts), len(e.kept))
	}
	runtime.KeepAlive(c)
	runtime.KeepAlive(e)
}

// TestHuge: a picture of any size is a segment, and a segment does not grow without end.
func TestHuge(t *testing.T) {
	for _, format := range []Format{TS, FMP4} {
		o := usual(format)
		o.Bytes = 256 << 20
		c := New(o)
		track := sim.NewTrack(1, av.H264, 0)
		body := append([]byte{0x41}, bytes.Repeat([]byte{0xaa}, 9<<20)...)
		most, dts := 0, time.Duration(0)
		for i := range 12 {
			data := body
			if i == 0 {
				data = append([]byte{0x65, 0x88}, bytes.Repeat([]byte{0xbb}, 20<<20)...)
			}
			c.Add(Entry{
				Unit:   &av.AccessUnit{Track: track, Key: i == 0, DTS: dts, PTS: dts, Data: [][]byte{data}},
				Tracks: []*av.Track{track}, Came: began.Add(dts),
			})
			dts += 40 * time.Millisecond
		}
		c.End()
		for _, s := range c.Edition().Segments {
			most = max(most, s.Size)
		}
		if most < 20<<20 || most > segmentMost+20<<20 {
			t.Errorf("a segment has %d bytes", most)
		}
	}
}

// TestTiny: thousands of units of a millisecond each are parts all the same.
func TestTiny(t *testing.T) {
	track := sim.NewTrack(1, av.PCMA, 0)
	p := &tape{}
	for i := range 20_000 {
		dts := time.Duration(i) * time.Millisecond
		p.entries = append(p.entries, Entry{
			Unit:   &av.AccessUnit{Track: track, Key: true, DTS: dts, PTS: dts, Data: [][]byte{{0, 1, 2, 3, 4, 5, byte(i), byte(i >> 8)}}},
			Tracks: []*av.Track{track}, Came: began.Add(dts),
		})
	}
	o := usual(FMP4)
	o.Frame = time.Millisecond
	g := play(t, o, p, true)
	if len(g.units) != 20_000 {
		t.Errorf("%d units came", len(g.units))
	}
	if n := g.shoulds(); len(n) > 0 {
		t.Errorf("what should not be: %v", n)
	}
}

// TestLateBegin: units that came late at first do not make dates ambiguous once they come in time.
func TestLateBegin(t *testing.T) {
	p := new(tape).record(sim.New(without(sim.Options{Video: av.H264, Audio: av.AAC})), 20*time.Second, func(e *Entry) bool {
		if e.Unit.DTS < 3*time.Second {
			e.Came = began.Add(max(e.Unit.DTS, 1800*time.Millisecond))
		}
		return true
	})
	for _, w := range ways() {
		g := play(t, w.options(), p, w.low)
		last := g.segments[len(g.segments)-1]
		if off := last.Start.Sub(began.Add(last.from)); off.Abs() > 5*time.Millisecond {
			t.Errorf("%s: at last dates are wrong by %v", w.name, off)
		}
	}
}

// TestSame: the parts of a segment are the segment, and are what editions had before it was complete.
func TestSame(t *testing.T) {
	c := New(usual(FMP4))
	parts := map[uint64][]*Part{}
	feed(c, record(without(sim.Options{Video: av.H264, Audio: av.AAC}), 10*time.Second), func(e *Edition) {
		if e.Open != nil {
			parts[e.Open.Number] = append(parts[e.Open.Number], e.Open.Parts[len(e.Open.Parts)-1])
		}
	})
	for _, s := range c.Edition().Segments {
		if n := len(s.Parts); n < 9 || !slices.Equal(s.Parts[:n-1], parts[s.Number][:n-1]) {
			t.Errorf("segment %d has %d parts, %d were published before", s.Number, n, len(parts[s.Number]))
		}
	}
}
