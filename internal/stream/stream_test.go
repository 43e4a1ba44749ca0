package stream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestFencedPublisher(t *testing.T) {
	s := New(Options{})
	p1, e1 := s.Publish(), h264(25)
	write(t, p1, e1.Take(5)...)
	p2 := s.Publish()
	if err := p1.Write(e1.Next()); !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	if p2.Epoch() <= p1.Epoch() {
		t.Errorf("epochs %d, %d", p1.Epoch(), p2.Epoch())
	}
	p1.Declare(true, true) // of no effect
	if s.declared.known {
		t.Error("a fenced publisher declared tracks")
	}
	if n := len(held(t, s)); n != 5 {
		t.Errorf("%d units", n)
	}
}

// A publisher takes over at once, whatever the one before is busy with under the stream's lock.
func TestPublishTakesNoLock(t *testing.T) {
	s := New(Options{})
	s.NewReader() // so that the ring keeps what is young
	p1, e1 := s.Publish(), h264(25)
	p1.Declare(true, true)
	write(t, p1, e1.Take(5)...)
	s.mu.Lock()
	p2 := s.Publish() // a test that hangs here has failed
	s.mu.Unlock()
	if err := p1.Write(e1.Next()); !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	p1.Declare(true, true)
	p2.Declare(true, false)
	e2 := sim.New(sim.Options{Video: av.H264, Origin: 1, Start: time.Hour})
	write(t, p2, e2.Next())
	if items := s.items(); len(items) != 6 || items[5].dts-items[4].dts != defaultStep {
		t.Errorf("%d units, the newest at %v", len(items), items[len(items)-1].dts)
	}
	if !s.Ready() {
		t.Error("the declaration of the publisher before still holds")
	}
}

// A publisher whose tracks change all the time is ended; one that changes them with each key picture is not.
func TestUnstableTracks(t *testing.T) {
	tracks := []*av.Track{sim.NewTrack(sim.VideoID, av.H264, 0), sim.NewTrack(sim.VideoID, av.H264, 1)}
	for _, tc := range []struct {
		name   string
		every  time.Duration
		change int // the change that is refused; 0: none is
	}{
		{"with each of 25 pictures a second", 40 * time.Millisecond, changesMax + 1},
		{"at once", 0, changesMax + 1},
		{"5 times a second", 200 * time.Millisecond, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Options{})
				for round := range 2 { // another publisher begins anew
					p := s.Publish()
					write(t, p, &av.AccessUnit{Track: sim.NewTrack(sim.AudioID, av.AAC, 0), Key: true, Data: [][]byte{{1}}})
					refused := 0
					for n := range 10 * changesMax { // the first is no change
						err := p.Write(&av.AccessUnit{Track: tracks[n%2], Key: true, Data: [][]byte{{0x65}}})
						if err != nil {
							if !errors.Is(err, ErrUnstable) {
								t.Fatal(err)
							}
							refused = n
							break
						}
						time.Sleep(tc.every)
					}
					if refused != tc.change {
						t.Errorf("publisher %d: change %d was refused, want %d", round, refused, tc.change)
					}
				}
			})
		})
	}
}

// Viewers stay over a change of publishers. Time goes on, tracks change in order, the first picture is a key.
func TestSpliceOfPublishers(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p1, e1 := s.Publish(), av264(25)
	write(t, p1, e1.Next())
	r, c := s.NewReader(), sim.Checker{}
	v, pl := watch(t, s, &recorder{})
	write(t, p1, e1.Take(50)...)
	drain(t, r, &c)
	pl.drain(v)

	p2 := s.Publish()
	e2 := sim.New(sim.Options{Video: av.H265, Audio: av.Opus, Origin: 1, Start: time.Hour})
	e2.Next() // the key is lost: all up to the next is dropped
	write(t, p2, e2.Take(126)...)
	c.PerTrack, pl.check.PerTrack = true, true
	units := drain(t, r, &c)
	pl.drain(v)
	if p2.Skipped() != 74 { // 24 pictures, and as much sound as belongs to them
		t.Errorf("%d units skipped", p2.Skipped())
	}
	if len(units) != 52 || len(pl.units) != 51+52 || pl.heads != 1 {
		t.Errorf("%d units, %d at the viewer", len(units), len(pl.units))
	}
	if u := units[0]; u.Track.Kind() != av.Video || !u.Key {
		t.Errorf("the first unit after the splice is %v, key %v", u.Track, u.Key)
	}
	if n := s.Stats().Splices; n != 1 {
		t.Errorf("%d splices", n)
	}
	if gap := units[0].DTS - s.items()[50].dts; gap != defaultStep {
		t.Errorf("the splice is %v long", gap)
	}
	if got := s.Tracks(); len(got) != 2 || got[0].Codec != av.H265 || got[1].Codec != av.Opus {
		t.Errorf("tracks %v", got)
	}
}

func (s *Stream) items() []*item[*av.AccessUnit] {
	var all []*item[*av.AccessUnit]
	for seq := s.units.tail.Load(); seq < s.units.head.Load(); seq++ {
		all = append(all, s.units.at(seq))
	}
	return all
}

func TestEndDrains(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), h264(25)
	write(t, p, e.Next())
	r := s.NewReader()
	v, pl := watch(t, s, &recorder{})
	write(t, p, e.Take(10)...)
	cause := errors.New("over")
	s.End(cause)
	s.End(errors.New("later"))
	if err := p.Write(e.Next()); !errors.Is(err, cause) {
		t.Errorf("write: %v", err)
	}
	var dst [4]Entry
	n := 0
	for {
		m, err := r.Read(t.Context(), dst[:])
		n += m
		if err != nil {
			if !errors.Is(err, cause) || m != 0 {
				t.Errorf("%d, %v", m, err)
			}
			break
		}
	}
	for {
		b, err := v.Next(t.Context(), 1000)
		if err != nil {
			if !errors.Is(err, cause) {
				t.Error(err)
			}
			break
		}
		pl.take(b)
	}
	if n != 11 || len(pl.units) != 11 {
		t.Errorf("%d units, %d at the viewer", n, len(pl.units))
	}
	late := s.NewReader() // still gets the ring's end
	if units := drain(t, late, &sim.Checker{}); len(units) != 11 {
		t.Errorf("one who comes late gets %d units", len(units))
	}
	if !errors.Is(s.Ended(), cause) {
		t.Error(s.Ended())
	}
}

func TestEndWithoutCause(t *testing.T) {
	s := New(Options{})
	s.End(nil)
	if n, err := s.NewReader().Read(t.Context(), make([]Entry, 1)); err == nil {
		t.Errorf("a read returns %d and no error", n)
	}
	if err := s.Publish().Write(h264(1).Next()); err == nil {
		t.Error("a write succeeds")
	}
}

func TestEndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cause := New(Options{}), errors.New("over")
		v, _ := watch(t, s, &recorder{})
		got := make(chan error, 3)
		go func() {
			_, err := s.NewReader().Read(t.Context(), make([]Entry, 1))
			got <- err
		}()
		go func() {
			_, err := v.Next(t.Context(), 1)
			got <- err
		}()
		go func() { got <- s.WaitReady(t.Context()) }()
		synctest.Wait()
		s.End(cause)
		for range 3 {
			if err := <-got; !errors.Is(err, cause) {
				t.Errorf("%v, want the cause", err)
			}
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	p := New(Options{}).Publish()
	for _, u := range []*av.AccessUnit{{}, {Track: videoTrack}, {Data: [][]byte{{1}}}} {
		if p.Write(u) == nil {
			t.Errorf("%+v is written", u)
		}
	}
	for id := range av.MaxTracks {
		write(t, p, &av.AccessUnit{Track: sim.NewTrack(id+1, av.Opus, 0), Key: true, Data: [][]byte{{1}}})
	}
	if p.Write(&av.AccessUnit{Track: sim.NewTrack(100, av.Opus, 0), Key: true, Data: [][]byte{{1}}}) == nil {
		t.Error("too many tracks")
	}
}

func TestReady(t *testing.T) {
	const video, audio = 1, 2
	unit := func(kind int) *av.AccessUnit {
		if kind == video {
			return &av.AccessUnit{Track: videoTrack, Key: true, Data: [][]byte{{0x65}}}
		}
		return &av.AccessUnit{Track: sim.NewTrack(sim.AudioID, av.AAC, 0), Key: true, Data: [][]byte{{1}}}
	}
	type at struct {
		ms   int
		kind int
	}
	for _, tc := range []struct {
		name    string
		declare []bool // video, audio
		units   []at
		ready   int // ms; -1: never
	}{
		{"both, undeclared", nil, []at{{0, video}, {20, audio}}, 20},
		{"video alone, undeclared", nil, []at{{0, video}, {500, video}, {999, video}, {1000, video}}, 1000},
		{"audio alone, undeclared", nil, []at{{100, audio}, {500, audio}, {1100, audio}}, 1100},
		{"late audio, undeclared", nil, []at{{0, video}, {800, audio}}, 800},
		{"video alone, declared", []bool{true, false}, []at{{300, video}}, 300},
		{"audio alone, declared", []bool{false, true}, []at{{300, audio}}, 300},
		{"both, declared", []bool{true, true}, []at{{0, video}, {1500, audio}}, 1500},
		{"audio missing, declared", []bool{true, true}, []at{{0, video}, {1999, video}, {2000, video}}, 2000},
		{"nothing", nil, nil, -1},
		{"video missing, declared", []bool{true, true}, []at{{0, audio}, {1900, audio}}, -1},
		{"nothing declared", []bool{false, false}, []at{{10, audio}}, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, begin := New(Options{}), time.Now()
				p := s.Publish()
				if tc.declare != nil {
					p.Declare(tc.declare[0], tc.declare[1])
				}
				ready := -1
				done := make(chan struct{})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				go func() {
					defer close(done)
					if s.WaitReady(ctx) == nil {
						ready = int(time.Since(begin).Milliseconds())
					}
				}()
				for _, u := range tc.units {
					time.Sleep(time.Until(begin.Add(time.Duration(u.ms) * time.Millisecond)))
					write(t, p, unit(u.kind))
				}
				<-done
				if ready != tc.ready || s.Ready() != (tc.ready >= 0) {
					t.Errorf("ready at %d, want %d", ready, tc.ready)
				}
			})
		})
	}
}

// A newcomer waits for the tracks of the publisher that writes now, not longer than for those of the first; while nobody writes, what the
// ring holds is good enough.
func TestReadyAfterSplice(t *testing.T) {
	for _, tc := range []struct {
		name    string
		declare []bool // video, audio
		sound   int    // ms after the first picture; -1: never
		ready   int    // ms after the first picture
	}{
		{"both, declared", []bool{true, true}, 300, 300},
		{"sound missing, declared", []bool{true, true}, -1, 2000},
		{"video alone, declared", []bool{true, false}, -1, 0},
		{"both, undeclared", nil, 300, 300},
		{"video alone, undeclared", nil, -1, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, e := New(Options{}), av264(25)
				write(t, s.Publish(), e.Take(20)...)
				s.Publish() // nobody: the first is lost
				time.Sleep(5 * time.Second)
				p := s.Publish()
				if tc.declare != nil {
					p.Declare(tc.declare[0], tc.declare[1])
				}
				if !s.Ready() || s.WaitReady(t.Context()) != nil {
					t.Fatal("not ready although nobody has followed yet")
				}
				begin, ready := time.Now(), make(chan int, 1)
				e = av264(25)
				for at := 0; at <= 3000; at += 20 {
					for u := e.Next(); ; u = e.Next() {
						if u.Track.Kind() == av.Video {
							write(t, p, u)
							break
						}
						if at == tc.sound {
							write(t, p, u)
						}
					}
					if at == 0 {
						go func() {
							if s.WaitReady(t.Context()) == nil {
								ready <- int(time.Since(begin).Milliseconds())
							}
						}()
					}
					time.Sleep(20 * time.Millisecond)
				}
				if got := <-ready; got != tc.ready || !s.Ready() {
					t.Errorf("ready after %d ms, want %d", got, tc.ready)
				}
			})
		})
	}
}

// The wait for tracks begins anew with another publisher.
func TestReadyAfterTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		write(t, s.Publish(), h264(25).Next())
		time.Sleep(900 * time.Millisecond)
		p, e := s.Publish(), av264(25)
		time.Sleep(400 * time.Millisecond)
		write(t, p, e.Next())
		if s.Ready() {
			t.Error("ready without the new publisher's sound, 0 s after its first unit")
		}
		write(t, p, e.Take(3)...)
		if !s.Ready() {
			t.Error("not ready with both")
		}
	})
}

// While announced video may still come, nobody starts at sound, also after a takeover.
func TestStartWaitsForDeclaredVideo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		sound := sim.New(sim.Options{Audio: av.AAC})
		for i := range 2 {
			p := s.Publish()
			p.Declare(true, true)
			write(t, p, sound.Take(5)...)
			r := s.NewReader()
			if units := drain(t, r, nil); len(units) > 0 && units[0].Track.Kind() != av.Video {
				t.Errorf("publisher %d: a newcomer starts with sound", i)
			}
			e := h264(25)
			write(t, p, e.Take(2)...)
			if units := drain(t, r, nil); len(units) != 2 {
				t.Errorf("publisher %d: %d units", i, len(units))
			}
		}
		p := s.Publish()
		p.Declare(true, true)
		write(t, p, sound.Next())
		time.Sleep(declaredWait)
		write(t, p, sound.Take(2)...) // the video was waited for long enough
		if units := drain(t, s.NewReader(), nil); len(units) == 0 || units[0].Track.Kind() != av.Audio {
			t.Errorf("%d units of a stream without video", len(units))
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		p, e := s.Publish(), h264(25)
		bytes := 0
		for range 101 {
			u := e.Next()
			bytes += u.Size()
			write(t, p, u)
			time.Sleep(40 * time.Millisecond)
		}
		st := s.Stats()
		if len(st.Tracks) != 1 || st.Tracks[0].Units != 101 || st.Bytes != uint64(bytes) || st.Newest != 4*time.Second {
			t.Errorf("%+v", st)
		}
		if tr := st.Tracks[0]; tr.GOP != time.Second || tr.Rate < 24 || tr.Rate > 26 || tr.Corrected != 0 {
			t.Errorf("%+v", tr)
		}
		time.Sleep(5 * time.Second)
		if st := s.Stats(); st.BitRate != 0 || st.Tracks[0].Rate != 0 {
			t.Errorf("a silent stream has a rate: %+v", st)
		}
	})
}

func TestTracksSorted(t *testing.T) {
	s := New(Options{})
	p := s.Publish()
	for _, id := range []int{5, 2, 9, 2, 1} {
		write(t, p, &av.AccessUnit{Track: sim.NewTrack(id, av.Opus, 0), Key: true, Data: [][]byte{{1}}})
	}
	if !slices.IsSortedFunc(s.Tracks(), func(a, b *av.Track) int { return a.ID - b.ID }) || len(s.Tracks()) != 4 {
		t.Errorf("%v", s.Tracks())
	}
}

// Newest is that of the newest unit, whatever readers do.
func TestNewest(t *testing.T) {
	s := New(Options{})
	if d := s.Newest(); d != 0 {
		t.Errorf("%v before the first unit", d)
	}
	p, e := s.Publish(), sim.New(sim.Options{Video: av.H264})
	var last time.Duration
	for _, u := range e.Take(50) {
		if err := p.Write(u); err != nil {
			t.Fatal(err)
		}
		last = u.DTS
	}
	if d := s.Newest(); d != last || d == 0 {
		t.Errorf("%v, want %v", d, last)
	}
}

// A reader is told with each unit what the tracks are there, when it came, and whether something was missed before it.
func TestReaderEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Units: 16, Keep: time.Nanosecond})
		p, e := s.Publish(), av264(3)
		first := time.Now()
		write(t, p, e.Next()) // a picture; its sound comes after it
		time.Sleep(time.Second)
		write(t, p, e.Take(3)...)
		r := s.NewReader()
		dst := make([]Entry, 100)
		n, err := r.Read(t.Context(), dst)
		if err != nil || n != 4 || !dst[0].Came.Equal(first) || !dst[1].Came.Equal(first.Add(time.Second)) {
			t.Fatalf("%d units, the first came at %v, the second at %v, %v", n, dst[0].Came, dst[1].Came, err)
		}
		if len(dst[0].Tracks) != 2 || dst[0].Jumped {
			t.Errorf("the first unit: %d tracks, jumped %v", len(dst[0].Tracks), dst[0].Jumped)
		}
		write(t, p, e.Take(100)...)
		for i := range 2 {
			if n, err = r.Read(t.Context(), dst); err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if jumped := i == 0; dst[0].Jumped != jumped || n > 1 && dst[1].Jumped {
				t.Errorf("batch %d after units were missed: jumped %v", i, dst[0].Jumped)
			}
			write(t, p, e.Next())
		}
	})
}
