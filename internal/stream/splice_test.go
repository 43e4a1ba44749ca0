package stream

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// successor is what goes on with a stream.
type successor struct {
	video, audio av.Codec
	declare      []bool // video, audio; none: it declares nothing
	noKey        time.Duration
}

// run sends what the publisher sends within a span, in real time. Pictures are no key pictures before noKey.
func (o successor) run(t *testing.T, p *Publisher, span time.Duration) {
	t.Helper()
	if o.declare != nil {
		p.Declare(o.declare[0], o.declare[1])
	}
	e := sim.New(sim.Options{Video: o.video, Audio: o.audio, GOP: 1, Origin: byte(p.Epoch())})
	for began := time.Now(); ; {
		u := e.Next()
		if u.DTS >= span {
			return
		}
		time.Sleep(time.Until(began.Add(u.DTS)))
		u.Key = u.Track.Kind() != av.Video || u.DTS >= o.noKey
		write(t, p, u)
	}
}

// Who goes on with a stream begins with a key picture, if it has pictures: until then, for 2 s, what it sends is skipped (cards S04, S05).
func TestFirstUnitAfterSplice(t *testing.T) {
	const step = 50 * time.Millisecond // no unit is further from what is meant
	both, sound := successor{video: av.H264, audio: av.AAC}, successor{audio: av.AAC}
	for _, tc := range []struct {
		name          string
		before, after successor
		kind          av.Kind
		begins        time.Duration // after its first unit
	}{
		{"key picture at once", both, both, av.Video, 0},
		{"key picture after a second", both, successor{av.H264, av.AAC, nil, time.Second}, av.Video, time.Second},
		{"the same, declared", both, successor{av.H264, av.AAC, []bool{true, true}, time.Second}, av.Video, time.Second},
		{"key picture too late", both, successor{av.H264, av.AAC, nil, 3 * time.Second}, av.Audio, spliceWait},
		{"pictures declared, and none come", both, successor{audio: av.AAC, declare: []bool{true, true}}, av.Audio, spliceWait},
		{"sound alone, undeclared", both, sound, av.Audio, spliceWait},
		{"sound alone, declared", both, successor{audio: av.AAC, declare: []bool{false, true}}, av.Audio, 0},
		{"sound after sound", sound, sound, av.Audio, 0},
		{"sound after sound, pictures declared", sound, successor{audio: av.AAC, declare: []bool{true, true}}, av.Audio, spliceWait},
		{"pictures after sound, declared", sound, successor{av.H264, av.AAC, []bool{true, true}, time.Second}, av.Video, time.Second},
		{"pictures alone", both, successor{video: av.H264, noKey: 3 * time.Second}, av.Video, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Options{Keep: time.Hour, MaxLag: time.Hour})
				tc.before.run(t, s.Publish(), time.Second)
				tracks, units := s.Tracks(), s.units.head.Load()
				r := s.NewReader()
				drain(t, r, nil)
				time.Sleep(time.Second)
				began, p := time.Now(), s.Publish()
				tc.after.run(t, p, 4*time.Second)

				items := s.items()[units-s.units.tail.Load():]
				if first := items[0].value; first.Track.Kind() != tc.kind || !first.Key {
					t.Errorf("begins with %v, key %v", first.Track, first.Key)
				}
				if late := items[0].at.Sub(began) - tc.begins; late < 0 || late > step {
					t.Errorf("begins %v after its first unit, want %v", items[0].at.Sub(began), tc.begins)
				}
				for _, it := range items {
					if slices.ContainsFunc(it.tracks, func(x *av.Track) bool { return slices.Contains(tracks, x) }) {
						t.Fatal("a track of the publisher before is still there")
					}
				}
				if u := drain(t, r, nil); len(u) != len(items) || u[0] != items[0].value {
					t.Errorf("a reader got %d units of %d", len(u), len(items))
				}
				if n := s.Stats().Splices; n != 1 {
					t.Errorf("%d splices", n)
				}
				if tc.begins == 0 != (p.Skipped() == 0) {
					t.Errorf("%d units are skipped", p.Skipped())
				}
			})
		})
	}
}

// What a publisher sends first is not held back when there was no other before it, or that one has sent nothing.
func TestFirstPublisherBeginsAtOnce(t *testing.T) {
	s := New(Options{})
	s.Publish().Declare(true, true)
	p := s.Publish()
	p.Declare(true, true)
	write(t, p, sim.New(sim.Options{Audio: av.AAC}).Take(3)...)
	if st := s.Stats(); p.Skipped() != 0 || st.Splices != 0 || len(s.items()) != 3 {
		t.Errorf("%d skipped, %d splices", p.Skipped(), st.Splices)
	}
}

// configurations is a muxer that notes with which tracks Config was called.
type configurations struct {
	plain
	calls *[][2][]*av.Track // tracks, prev
}

func (m configurations) Config(dst []byte, tracks, prev []*av.Track, _ time.Duration) []byte {
	*m.calls = append(*m.calls, [2][]*av.Track{tracks, prev})
	return append(dst, 'C')
}

// A splice has a mark for formats, even when the next publisher writes the very same tracks: Config, with nothing but other tracks.
func TestConfigMarksSplice(t *testing.T) {
	spliced := func(call [2][]*av.Track) bool {
		return len(call[1]) > 0 && !slices.ContainsFunc(call[0], func(x *av.Track) bool { return slices.Contains(call[1], x) })
	}
	sound := sim.NewTrack(sim.AudioID, av.AAC, 0)
	unit := func(tr *av.Track, at time.Duration) *av.AccessUnit {
		return &av.AccessUnit{Track: tr, Key: true, DTS: at, PTS: at, Data: [][]byte{{0x65, 1, 2}}}
	}
	s := New(Options{Keep: time.Hour})
	var calls [][2][]*av.Track
	p := s.Publish()
	write(t, p, unit(videoTrack, 0), unit(sound, 0))
	v, err := s.Watch("x", func() Muxer { return configurations{calls: &calls} })
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for round := range 3 {
		p := s.Publish()
		calls = nil
		for at := time.Duration(0); at < 200*ms; at += 40 * ms {
			write(t, p, unit(videoTrack, at), unit(sound, at))
		}
		if len(calls) != 2 || !spliced(calls[0]) || spliced(calls[1]) {
			t.Errorf("round %d: %d configurations, want one that marks the splice, then one with the sound", round, len(calls))
		}
		if tr := s.Tracks(); len(tr) != 2 || !tr[0].Equal(videoTrack) || !tr[1].Equal(sound) {
			t.Errorf("round %d: tracks %v", round, tr)
		}
	}
	if n := s.Stats().Splices; n != 3 {
		t.Errorf("%d splices", n)
	}
}

// Viewers that are behind get the mark too, and nothing of the next publisher before it.
func TestViewerBehindSplice(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	write(t, s.Publish(), h264(25).Take(5)...)
	v, pl := watch(t, s, &recorder{})
	write(t, s.Publish(), sim.New(sim.Options{Video: av.H264, Audio: av.AAC, Origin: 1}).Take(20)...)
	pl.drain(v)
	if pl.configs != 3 || len(pl.units) != 25 { // its own, that of the splice, that of the sound
		t.Errorf("%d configurations, %d units", pl.configs, len(pl.units))
	}
}

// Of tracks and figures no more is left over than those of two publishers, whatever IDs they use.
func TestSplicesLeaveNothing(t *testing.T) {
	s := New(Options{})
	for n := range 100 {
		p := s.Publish()
		for id := range av.MaxTracks {
			write(t, p, &av.AccessUnit{Track: sim.NewTrack(1+n*av.MaxTracks+id, av.Opus, 0), Key: true, Data: [][]byte{{1}}})
		}
		if n%3 == 0 {
			s.Publish().Declare(false, true) // one that sends nothing
		}
	}
	if n := len(*s.stats.Load()); n > 2*av.MaxTracks {
		t.Errorf("figures of %d tracks", n)
	}
	if n := len(s.time.clocks); n > av.MaxTracks {
		t.Errorf("clocks of %d tracks", n)
	}
	if n := len(s.Stats().Tracks); n != av.MaxTracks {
		t.Errorf("%d tracks", n)
	}
}

// The figures of a track go on over a splice, but not what lies between two units.
func TestStatsOverSplice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		for range 2 {
			p, e := s.Publish(), h264(25)
			write(t, p, e.Take(26)...)
			time.Sleep(10 * time.Second)
		}
		if tr := s.Stats().Tracks[0]; tr.Units != 52 || tr.GOP != time.Second || tr.Idle != 10*time.Second {
			t.Errorf("%+v", tr)
		}
		write(t, s.Publish(), h264(25).Take(5)...)
		if tr := s.Stats().Tracks[0]; tr.Units != 57 || tr.GOP != 0 || tr.Idle != 0 {
			t.Errorf("%+v", tr)
		}
	})
}

func TestQuiet(t *testing.T) {
	const d = 5 * time.Second
	quiet := func(t *testing.T, s *Stream, want ...av.Kind) {
		t.Helper()
		var got []av.Kind
		for _, tr := range s.Quiet(d) {
			got = append(got, tr.Kind())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v are quiet, want %v", got, want)
		}
	}
	key := func(tr *av.Track) *av.AccessUnit {
		return &av.AccessUnit{Track: tr, Key: true, Data: [][]byte{{0x65}}}
	}
	// send writes a unit of each track every so often, for as long as span.
	send := func(t *testing.T, p *Publisher, span, every time.Duration, tracks ...*av.Track) {
		t.Helper()
		for range span / every {
			for _, tr := range tracks {
				write(t, p, key(tr))
			}
			time.Sleep(every)
		}
	}
	sound := sim.NewTrack(sim.AudioID, av.AAC, 0)
	for name, f := range map[string]func(t *testing.T, s *Stream){
		"a track that stops, once until it is back": func(t *testing.T, s *Stream) {
			p := s.Publish()
			send(t, p, time.Second, 40*ms, videoTrack, sound, dataTrack)
			send(t, p, d-time.Second, 40*ms, sound)
			quiet(t, s)
			send(t, p, 2*time.Second, 40*ms, sound)
			quiet(t, s, av.Video)
			quiet(t, s)
			send(t, p, time.Second, 40*ms, videoTrack, sound)
			quiet(t, s)
			send(t, p, d+time.Second, 40*ms, videoTrack)
			quiet(t, s, av.Audio)
		},
		"a stream that stops as a whole": func(t *testing.T, s *Stream) {
			send(t, s.Publish(), time.Second, 40*ms, videoTrack, sound)
			time.Sleep(d + time.Second)
			quiet(t, s)
		},
		"a sparse track": func(t *testing.T, s *Stream) {
			p := s.Publish()
			write(t, p, key(videoTrack))
			send(t, p, 12*time.Second, 40*ms, sound)
			quiet(t, s, av.Video) // nobody knows yet that it is sparse
			for range 5 {
				write(t, p, key(videoTrack))
				send(t, p, 12*time.Second, 40*ms, sound)
				quiet(t, s)
			}
			send(t, p, 20*time.Second, 40*ms, sound)
			quiet(t, s, av.Video)
		},
		"a track that has paused once": func(t *testing.T, s *Stream) {
			p := s.Publish()
			write(t, p, key(videoTrack))
			send(t, p, 2*d, 40*ms, sound)
			send(t, p, time.Second, 40*ms, videoTrack, sound)
			send(t, p, d+time.Second, 40*ms, sound)
			quiet(t, s, av.Video)
		},
		"a track that was sparse before the splice": func(t *testing.T, s *Stream) {
			p := s.Publish()
			write(t, p, key(videoTrack))
			send(t, p, 2*d, 40*ms, sound)
			write(t, p, key(videoTrack))
			p = s.Publish()
			write(t, p, key(videoTrack))
			send(t, p, d+time.Second, 40*ms, sound)
			quiet(t, s, av.Video)
		},
		"the tracks of a publisher before": func(t *testing.T, s *Stream) {
			send(t, s.Publish(), time.Second, 40*ms, videoTrack, sound)
			time.Sleep(2 * d)
			p := s.Publish()
			p.Declare(false, true)
			quiet(t, s)
			send(t, p, 2*d, 40*ms, sound)
			quiet(t, s)
		},
		"a track that was quiet before the splice, and stops after it": func(t *testing.T, s *Stream) {
			p := s.Publish()
			send(t, p, time.Second, 40*ms, videoTrack, sound)
			send(t, p, 2*d, 40*ms, videoTrack)
			quiet(t, s, av.Audio)
			p = s.Publish()
			send(t, p, time.Second, 40*ms, videoTrack)
			quiet(t, s)
			send(t, p, time.Second, 40*ms, videoTrack, sound)
			quiet(t, s)
			send(t, p, 2*d, 40*ms, videoTrack)
			quiet(t, s, av.Audio)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, New(Options{})) })
		})
	}
}
