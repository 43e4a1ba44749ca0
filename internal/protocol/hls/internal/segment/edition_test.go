package segment

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// sample is an edition of segments 5 to 7 with 3 parts each and 2 parts of segment 8; segments 3 and 4 have left the playlist.
func sample(f Format) *Edition {
	e := &Edition{
		Format: f, Target: 2 * time.Second, Discontinuity: 5, token: "tok", next: 8,
	}
	part := func() *Part { return &Part{Data: []byte{1}, Duration: 600 * time.Millisecond, Independent: true} }
	for n := uint64(3); n < 8; n++ {
		s := &Segment{Number: n, Duration: 1800 * time.Millisecond, Start: began.Add(time.Duration(n) * 1800 * time.Millisecond), Size: 3}
		s.Parts = []*Part{part()}
		if f == FMP4 {
			s.Parts = append(s.Parts, part(), part())
			s.Init = &Init{Number: 1, Data: []byte{9}}
		}
		e.kept = append(e.kept, s)
	}
	e.Segments = e.kept[2:]
	if f == FMP4 {
		e.PartTarget = 600 * time.Millisecond
		e.Open = &Segment{Number: 8, Parts: []*Part{part(), part()}, Init: &Init{Number: 2}, Discontinuity: true}
	}
	return e
}

func TestEditionHas(t *testing.T) {
	begun := sample(FMP4)
	begun.Open = nil
	ended := sample(FMP4)
	ended.Open, ended.Ended = nil, true
	for _, c := range []struct {
		name                  string
		e                     *Edition
		number                uint64
		part                  int
		has, ahead, hint, got bool // got: there is such a part
	}{
		{"long ago", sample(FMP4), 0, -1, true, false, false, false},
		{"forgotten", sample(FMP4), 2, 1, true, false, false, false},
		{"gone", sample(FMP4), 3, 2, true, false, false, true},
		{"complete", sample(FMP4), 7, -1, true, false, false, false},
		{"its last part", sample(FMP4), 7, 2, true, false, false, true},
		{"beyond its last part", sample(FMP4), 7, 3, true, false, false, false},
		{"far beyond its last part", sample(FMP4), 7, 1000, true, false, false, false},
		{"the one in the making", sample(FMP4), 8, -1, false, false, false, false},
		{"a part of it", sample(FMP4), 8, 1, true, false, false, true},
		{"the next part", sample(FMP4), 8, 2, false, false, true, false},
		{"the one after", sample(FMP4), 8, 3, false, false, false, false},
		{"the next segment", sample(FMP4), 9, -1, false, false, false, false},
		{"its first part", sample(FMP4), 9, 0, false, false, false, false},
		{"the next but one", sample(FMP4), 10, -1, false, true, false, false},
		{"never", sample(FMP4), 1<<63 - 1, 0, false, true, false, false},

		{"beyond the last, the next not begun", begun, 7, 3, false, false, false, false},
		{"the first of the next", begun, 8, 0, false, false, true, false},
		{"the next but one, not begun", begun, 9, 0, false, false, false, false},
		{"the next but two, not begun", begun, 10, 0, false, true, false, false},
		{"ended", ended, 8, 0, false, false, false, false},

		{"TS", sample(TS), 7, -1, true, false, false, false},
		{"TS, part", sample(TS), 7, 0, true, false, false, true},
		{"TS, next", sample(TS), 8, -1, false, false, false, false},
		{"TS, part of the next", sample(TS), 8, 0, false, false, false, false},
		{"TS, ahead", sample(TS), 10, -1, false, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.e.Has(c.number, c.part); got != c.has {
				t.Errorf("Has: %v", got)
			}
			if got := c.e.Ahead(c.number); got != c.ahead {
				t.Errorf("Ahead: %v", got)
			}
			if got := c.e.Hinted(c.number, c.part); got != c.hint {
				t.Errorf("Hinted: %v", got)
			}
			if got := c.e.Part(c.number, c.part) != nil; got != c.got {
				t.Errorf("Part: %v", got)
			}
		})
	}
}

func TestEditionFinds(t *testing.T) {
	e := sample(FMP4)
	for n := range uint64(12) {
		if got, want := e.Segment(n) != nil, n >= 3 && n < 8; got != want {
			t.Errorf("segment %d: %v", n, got)
		}
	}
	for n := range 4 {
		if got, want := e.Init(n) != nil, n == 1 || n == 2; got != want {
			t.Errorf("initialization section %d: %v", n, got)
		}
	}
	if got, want := e.Span(), 3*1800*time.Millisecond+1200*time.Millisecond; got != want {
		t.Errorf("Span: %v, want %v", got, want)
	}
	n := Nothing(TS)
	if n.Playable() || n.Segment(0) != nil || n.Part(0, 0) != nil || n.Init(0) != nil || n.Hinted(0, 0) || n.Span() != 0 {
		t.Error("there is something in nothing")
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: the playlists of a small stream with a change, at some moments.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*Options)
		until time.Duration
		end   bool
	}{
		{"ts", func(o *Options) { o.Format = TS }, 9 * time.Second, false},
		{"fmp4-plain", func(o *Options) { o.Part = 0 }, 9 * time.Second, false},
		{"fmp4", nil, 9300 * time.Millisecond, false},
		{"fmp4-long", func(o *Options) { o.Window = 12 }, 24300 * time.Millisecond, false},
		{"fmp4-ended", nil, 9300 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := usual(FMP4)
			if c.set != nil {
				c.set(&o)
			}
			cutter := New(o)
			feed(cutter, parameters(without(sim.Options{Video: av.H264, Audio: av.AAC}), c.until), func(*Edition) {})
			if c.end {
				cutter.End()
			}
			e := cutter.Edition()
			got := append([]byte(nil), e.Playlist().Body...)
			if d := e.Delta(); d != e.Playlist() {
				got = append(append(got, "\n# The delta update\n\n"...), d.Body...)
			}
			path := filepath.Join("testdata", c.name+".m3u8")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("the playlist is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	a, b := NewDocument([]byte("a")), NewDocument([]byte("b"))
	if a.ETag == b.ETag || a.ETag != NewDocument([]byte("a")).ETag {
		t.Error("tags do not tell documents apart")
	}
	if a.Zipped() != nil {
		t.Error("one byte was compressed")
	}
	if z := NewDocument(make([]byte, 1000)).Zipped(); len(z) == 0 || len(z) > 100 {
		t.Errorf("1000 zeros have %d bytes", len(z))
	}
}

// TestZipCost: compressing a playlist does not cost a megabyte.
func TestZipCost(t *testing.T) {
	body := []byte(strings.Repeat("#EXTINF:2.000,\nabcdefghijklmnop-1234.hls.ts\n", 20))
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if NewDocument(body).Zipped() == nil {
				b.Fatal("not zipped")
			}
		}
	})
	if n := r.AllocedBytesPerOp(); n > 600_000 { // with the race detector a pool forgets
		t.Errorf("%d bytes are allocated to compress %d", n, len(body))
	}
	t.Log(r, r.MemString())
}
