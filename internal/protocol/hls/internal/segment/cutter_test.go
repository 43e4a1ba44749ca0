package segment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/sim"
)

// way is how a stream is played.
type way struct {
	name   string
	format Format
	low    bool
	plain  bool // without parts
}

func ways() []way {
	return []way{{"ts", TS, false, true}, {"plain", FMP4, false, true}, {"fmp4", FMP4, false, false}, {"parts", FMP4, true, false}}
}

// options are usual ones.
func (w way) options() Options {
	o := usual(w.format)
	if w.plain {
		o.Part = 0
	}
	return o
}

// eachWay runs a test for TS, and for fMP4 by segments and by parts.
func eachWay(t *testing.T, run func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) { run(t, w) })
	}
}

// TestRegular cuts streams of all usual frame rates and distances of key pictures, and holds everything that comes of it to the
// specification, and to what was written.
func TestRegular(t *testing.T) {
	for _, fps := range []float64{24, 25, 30000. / 1001, 30, 50, 60} {
		for _, gop := range []float64{0.5, 1, 2, 3, 8} {
			t.Run(fmt.Sprintf("%.2f/%vs", fps, gop), func(t *testing.T) {
				eachWay(t, func(t *testing.T, w way) {
					if w.low || w.format == TS || gop == 2 {
						regular(t, w, fps, gop, false)
					}
					if w.low == (gop == 1) {
						regular(t, w, fps, gop, true)
					}
				})
			})
		}
	}
}

func regular(t *testing.T, w way, fps, gop float64, fine bool) {
	t.Helper()
	pictures := int(gop*fps + 0.5)
	var bend func(*Entry) bool
	if fine {
		bend = exact(fps)
	}
	o := w.options()
	o.GOP = time.Duration(float64(pictures) / fps * float64(time.Second))
	o.Frame = time.Duration(float64(time.Second) / fps)
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, FPS: fps, GOP: pictures, BFrames: 2, KeySize: 400, Size: 100})
	p := new(tape).record(e, max(17*time.Second, 2*o.GOP+time.Second), bend)
	g := play(t, o, p, w.low)
	g.same(p, nil)
	if n := g.shoulds(); len(n) > 0 {
		t.Errorf("what should not be: %v", n)
	}
	want := max(gop, o.Segment.Seconds())
	for i, s := range g.segments[:len(g.segments)-1] {
		if got := s.Duration.Seconds(); got < want-0.11 || got > want+0.11 {
			t.Errorf("segment %d lasts %.3f s, want about %.3f s", i, got, want)
		}
		if !s.Parts[0].Independent || s.Discontinuity {
			t.Errorf("segment %d begins without a key picture, or with a discontinuity", i)
		}
		if late := s.Start.Sub(began.Add(s.from)); late.Abs() > 5*time.Millisecond {
			t.Errorf("segment %d begins %v after it came", i, late)
		}
	}
}

// odd is a stream that is not regular.
type odd struct {
	name    string
	tape    *tape
	set     func(*Options)
	only    string           // "fmp4": not for TS
	lost    func(Entry) bool // which may be absent
	breaks  int              // discontinuities
	excused []string         // rules that cannot be kept, and why is said beside
}

func without(o sim.Options) sim.Options {
	o.KeySize, o.Size = 400, 100
	return o
}

// shift moves all that comes from a time on.
func shift(from, by time.Duration) func(*Entry) bool {
	return func(e *Entry) bool {
		if e.Unit.DTS >= from {
			e.Unit.DTS, e.Unit.PTS = e.Unit.DTS+by, e.Unit.PTS+by
			e.Came = e.Came.Add(by)
		}
		return true
	}
}

// odds are streams of all the kinds that give trouble.
func odds() []odd {
	both := without(sim.Options{Video: av.H264, Audio: av.AAC, BFrames: 2})
	pictures := without(sim.Options{Video: av.H264})
	const length = 14 * time.Second
	all := []odd{
		{name: "pictures only", tape: record(pictures, length)},
		{name: "H.265", tape: record(without(sim.Options{Video: av.H265, Audio: av.AAC}), length)},
		{name: "AV1", tape: record(without(sim.Options{Video: av.AV1, Audio: av.Opus}), length), only: "fmp4"},
	}
	for _, c := range []av.Codec{av.AAC, av.Opus, av.PCMA, av.MP3} {
		all = append(all, odd{
			name: "sound only " + c.String(), tape: record(sim.Options{Audio: c}, length),
			set: func(o *Options) { o.Frame, o.GOP = 0, 0 },
		})
	}
	all = append(all, odd{name: "parameters", tape: parameters(both, length), breaks: 1})
	all = append(all, odd{name: "another codec", breaks: 1, tape: spliced(both, without(sim.Options{Video: av.H265, Audio: av.Opus}), 0)})
	all = append(all, odd{name: "another publisher", breaks: 1, tape: spliced(both, both, 0)})
	all = append(all, odd{name: "sound after pictures", breaks: 1, tape: spliced(pictures, both, 0)})
	all = append(all, odd{name: "pictures after sound", breaks: 1, tape: spliced(sim.Options{Audio: av.AAC}, both, 0)})
	all = append(all, odd{name: "no more pictures", breaks: 1, tape: spliced(both, sim.Options{Audio: av.AAC}, 0)})
	all = append(all, odd{
		name: "another publisher, its sound late", breaks: 2, tape: spliced(both, both, 300*time.Millisecond),
		lost: func(e Entry) bool { return e.Unit.DTS > 7*time.Second && e.Unit.DTS < 8*time.Second },
	})
	all = append(all, odd{
		name: "jump", breaks: 1,
		tape: jumped(both, length),
	})
	all = append(all, odd{
		name: "hole", breaks: 1, lost: func(e Entry) bool { // pictures, of TS, up to the next key picture
			return e.Unit.Track.Kind() == av.Video && e.Unit.DTS > 35*time.Second && e.Unit.DTS < 36*time.Second
		}, tape: new(tape).record(sim.New(both), length, shift(5500*time.Millisecond, 30*time.Second)),
	})
	all = append(all, odd{
		name: "short hole", excused: []string{"media-duration"}, // a part cannot be longer than the part target
		tape: new(tape).record(sim.New(both), length, shift(5500*time.Millisecond, 400*time.Millisecond)),
	})
	all = append(all, odd{
		name: "pictures stop", excused: []string{"media-duration", "media-time"}, // they are of the pictures alone
		tape: new(tape).record(sim.New(both), 20*time.Second, func(e *Entry) bool {
			return e.Unit.Track.Kind() != av.Video || e.Unit.DTS < 5500*time.Millisecond || e.Unit.DTS >= 12*time.Second
		}),
	})
	all = append(all, odd{
		name: "pictures stop for good", excused: []string{"media-duration", "media-time"},
		tape: new(tape).record(sim.New(both), length, func(e *Entry) bool {
			return e.Unit.Track.Kind() != av.Video || e.Unit.DTS < 5500*time.Millisecond
		}),
	})
	all = append(all, odd{name: "sound stops", tape: new(tape).record(sim.New(both), length, func(e *Entry) bool {
		return e.Unit.Track.Kind() != av.Audio || e.Unit.DTS < 5500*time.Millisecond
	})})
	all = append(all, odd{name: "two sounds", only: "fmp4", tape: doubled(both, length)})
	all = append(all, odd{name: "one key picture", set: func(o *Options) { o.GOP = 0 }, tape: record(without(sim.Options{Video: av.H264, GOP: 10_000}), 20*time.Second)})
	return all
}

// parameters are those of a stream whose parameter sets change once.
func parameters(o sim.Options, length time.Duration) *tape {
	e := sim.New(o)
	p := new(tape).record(e, 5*time.Second, nil)
	e.ChangeVideo()
	return p.record(e, length, nil)
}

// spliced is a stream that another publisher goes on with after about 7 s: its tracks are all new, and its sound comes later by a time.
func spliced(a, b sim.Options, late time.Duration) *tape {
	p := record(a, 7*time.Second)
	b.Origin, b.Start, p.next = 1, 7*time.Second, nil
	if a.Audio != 0 && a.Video == 0 {
		b.Start += 20 * time.Millisecond
	}
	if b.Video == 0 {
		b.Start += 80 * time.Millisecond
	}
	return p.record(sim.New(b), 15*time.Second, func(e *Entry) bool {
		e.Came = e.Came.Add(5 * time.Second)
		if e.Unit.DTS < b.Start+late {
			e.Tracks = e.Tracks[:1]
			return e.Unit.Track == e.Tracks[0]
		}
		return true
	})
}

// doubled is a stream with another track of sound, for which fMP4 has no place.
func doubled(o sim.Options, length time.Duration) *tape {
	second := sim.NewTrack(3, av.AAC, 0)
	p := record(o, length)
	all := append(slices.Clone(p.tracks), second)
	var entries []Entry
	for i, e := range p.entries {
		e.Tracks = all
		entries = append(entries, e)
		if e.Unit.Track.Kind() == av.Audio && i > 50 {
			u := *e.Unit
			u.Track = second
			entries = append(entries, Entry{Unit: &u, Tracks: all, Came: e.Came})
		}
	}
	p.entries = entries
	return p
}

// jumped is a stream of which 2 s are missed, up to a key picture.
func jumped(o sim.Options, length time.Duration) *tape {
	was := false
	return new(tape).record(sim.New(o), length, func(e *Entry) bool {
		if e.Unit.DTS < 5300*time.Millisecond || was {
			return true
		}
		was = e.Unit.DTS > 7*time.Second && e.Unit.Key && e.Unit.Track.Kind() == av.Video
		e.Jumped = was
		return was
	})
}

// TestOdd cuts what is not regular, and holds it to the specification and to what was written too.
func TestOdd(t *testing.T) {
	for _, c := range odds() {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				if c.only == "fmp4" && w.format != FMP4 {
					return
				}
				o := w.options()
				if c.set != nil {
					c.set(&o)
				}
				g := play(t, o, c.tape, w.low, c.excused...)
				g.same(c.tape, c.lost)
				if n := g.shoulds(); len(n) > 0 {
					t.Logf("what should not be: %v", n)
				}
				for _, rule := range c.excused { // where it begins and ends, but not all the time
					if all := g.player.Problems(); len(all)-len(m3u8.Except(all, rule)) > 3 {
						t.Errorf("not only now and then: %v", all)
					}
				}
				breaks := 0
				for _, s := range g.segments {
					if !slices.ContainsFunc(c.tape.entries, func(e Entry) bool {
						return e.Unit.DTS == s.from && s.Start.Sub(e.Came).Abs() < 10*time.Millisecond
					}) {
						t.Errorf("segment %d, which begins at %v, is said to begin at %v, when nothing came", s.Number, s.from, s.Start)
					}
					if s.Discontinuity {
						breaks++
					}
				}
				if breaks != c.breaks {
					t.Errorf("%d discontinuities, want %d", breaks, c.breaks)
				}
			})
		})
	}
}
