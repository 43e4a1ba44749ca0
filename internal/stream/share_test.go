package stream

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestShareMuxesOnceForAll(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), av264(25), &recorder{}
	write(t, p, e.Take(30)...)
	if n := len(*s.active.Load()); n != 0 {
		t.Fatalf("%d shares without a viewer", n)
	}
	var viewers []*Viewer
	var players []*player
	for range 50 {
		v, pl := watch(t, s, m)
		viewers, players = append(viewers, v), append(players, pl)
	}
	filled := m.units.Load()
	write(t, p, e.Take(100)...)
	if got := m.units.Load() - filled; got != 100 {
		t.Errorf("muxed %d times for 100 units", got)
	}
	if got := m.heads.Load(); got != 0 {
		t.Errorf("%d heads before anybody asked", got)
	}
	for i, v := range viewers {
		players[i].drain(v)
		if n := len(players[i].units); n != len(players[0].units) || n < 100 {
			t.Errorf("viewer %d got %d units", i, n)
		}
	}
	if got := m.units.Load() - filled; got != 100 {
		t.Errorf("muxed %d times for 100 units and 50 viewers", got)
	}
	if got := m.heads.Load(); got != 1 {
		t.Errorf("%d heads for 50 viewers that start at the same picture", got)
	}
	if s.Stats().Shares != 1 {
		t.Errorf("%d shares", s.Stats().Shares)
	}
}

func TestShareFillsBackFromNewestKey(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), h264(25), &recorder{}
	write(t, p, e.Take(40)...)
	v, pl := watch(t, s, m)
	if got := m.units.Load(); got != 15 {
		t.Errorf("%d units filled back, want 15", got)
	}
	pl.drain(v)
	if got := seqs(t, pl.units); len(got) != 15 || got[0] != 25 {
		t.Errorf("got %v", got)
	}
	if pl.heads != 1 || pl.configs != 1 {
		t.Errorf("%d heads, %d configurations", pl.heads, pl.configs)
	}
	late, pl2 := watch(t, s, m) // joins the share that is there
	pl2.drain(late)
	if got := seqs(t, pl2.units); len(got) != 15 || got[0] != 25 || m.units.Load() != 15 {
		t.Errorf("the second got %v after %d calls", got, m.units.Load())
	}
}

// A newcomer is told of tracks that join later only as far as their kind is new: a format that carries one track of a kind
// would begin with the configuration of the later one, and go on with the units of the first.
func TestOutlook(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p := s.Publish()
	unit := func(id int, c av.Codec) {
		write(t, p, &av.AccessUnit{Track: sim.NewTrack(id, c, 0), Key: true, Data: [][]byte{{1}}})
	}
	unit(4, av.H264)
	v, _ := watch(t, s, &recorder{})
	it, _, _ := v.peek()
	for _, id := range []int{2, 6} { // at lower and higher places
		unit(id, av.H264)
		unit(id+1, av.AAC)
	}
	var ids []int
	for _, track := range v.share.stream.outlook(it.tracks, it.dts) {
		ids = append(ids, track.ID)
	}
	if !slices.Equal(ids, []int{3, 4, 7}) {
		t.Errorf("a newcomer is told of tracks %v", ids)
	}
}

// Two formats have two shares.
func TestShareByKey(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e := s.Publish(), h264(25)
	write(t, p, e.Next())
	for i := range 3 {
		v, err := s.Watch(i, func() Muxer { return &recorder{} })
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
	}
	if got := s.Stats().Shares; got != 3 {
		t.Errorf("%d shares", got)
	}
}

func TestParameterChangeInOrder(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), av264(10), &recorder{}
	write(t, p, e.Take(5)...)
	v, pl := watch(t, s, m)
	e.ChangeVideo()
	write(t, p, e.Take(60)...)
	e.ChangeVideo()
	write(t, p, e.Take(60)...)
	pl.drain(v)
	if len(pl.units) != 125 || pl.check.Gaps != 0 {
		t.Errorf("%d units, %d gaps", len(pl.units), pl.check.Gaps)
	}
	// Video and sound, which came after the picture that the viewer starts with, at once; then two changes.
	if pl.configs != 3 || pl.heads != 1 {
		t.Errorf("%d configurations, %d heads", pl.configs, pl.heads)
	}
}

// One who joins after a track has come in mid-GOP is told of it at once, and not again where it came.
func TestFillBackOverTrackChange(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), h264(50), &recorder{}
	write(t, p, e.Take(10)...)
	other := sim.New(sim.Options{Audio: av.AAC, Origin: 0})
	u := other.Next()
	write(t, p, u) // a track that comes late, in mid-GOP
	v, pl := watch(t, s, m)
	for b := next(t, v); b != nil; b = next(t, v) {
		if err := pl.read(b); err != nil && len(pl.units) <= 10 {
			t.Fatal(err)
		}
	}
	if pl.configs != 1 || len(pl.units) != 11 {
		t.Errorf("%d configurations for %d units, want 1 for 11", pl.configs, len(pl.units))
	}
}

// Another publisher's first unit is sound, since its pictures do not come; the newest key in the ring is still the old publisher's picture.
func TestFillBackOverTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Hour})
		write(t, s.Publish(), h264(50).Take(10)...)
		p, e := s.Publish(), sim.New(sim.Options{Audio: av.AAC, Origin: 1})
		p.Declare(true, true)
		write(t, p, e.Next())
		time.Sleep(spliceWait)
		write(t, p, e.Next())
		if n := len(s.items()); n != 11 || s.items()[10].key {
			t.Fatalf("%d units", n)
		}
		v, err := s.Watch("recorder", func() Muxer { return &recorder{} })
		if err != nil {
			t.Fatal(err)
		}
		v.Close()
	})
}

func TestPreambleAfterJump(t *testing.T) {
	for _, changed := range []bool{false, true} {
		s := New(Options{Units: 32})
		p, e, m := s.Publish(), h264(10), &recorder{}
		v, pl := watch(t, s, m)
		write(t, p, e.Take(5)...)
		pl.drain(v)
		if changed {
			e.ChangeVideo()
		}
		write(t, p, e.Take(100)...)
		pl.drain(v)
		want := 1
		if changed {
			want = 2
		}
		if pl.heads != 1 || pl.configs != want || v.Skips() != 1 {
			t.Errorf("changed %v: %d heads, %d configurations, %d skips", changed, pl.heads, pl.configs, v.Skips())
		}
	}
}

// Neighbours come in one piece, of about the limit at most.
func TestNextIsContiguousAndLimited(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), h264(1000), &recorder{}
	v, pl := watch(t, s, m)
	write(t, p, e.Next())
	pl.take(next(t, v)) // the preamble
	write(t, p, e.Take(10)...)
	b := next(t, v)
	if pl.take(b); len(pl.units) != 11 {
		t.Errorf("%d units in one piece", len(pl.units)-1)
	}
	if cap(b) != len(b) {
		t.Errorf("%d bytes with a capacity of %d: an append would write into the ring", len(b), cap(b))
	}
	write(t, p, e.Take(10)...)
	b, err := v.Next(t.Context(), 1000)
	if pl.take(b); err != nil || len(b) < 1000 || len(b) > 1000+700 {
		t.Errorf("%d bytes for a limit of 1000, %v", len(b), err)
	}
	write(t, p, e.Take(900)...) // over the ends of chunks
	calls := 0
	for b := next(t, v); b != nil; b = next(t, v) {
		pl.take(b)
		calls++
	}
	if len(pl.units) != 921 || calls > 30 {
		t.Errorf("%d units in %d pieces", len(pl.units), calls)
	}
}

// Bytes that were given out do not change, whatever is written later.
func TestBytesStay(t *testing.T) {
	s := New(Options{Units: 16})
	p, e, m := s.Publish(), h264(5), &recorder{}
	v, _ := watch(t, s, m)
	write(t, p, e.Take(5)...)
	next(t, v)
	b := next(t, v)
	was := bytes.Clone(b)
	write(t, p, e.Take(2000)...)
	if len(b) == 0 || !bytes.Equal(b, was) {
		t.Error("bytes changed")
	}
}

func TestShareDroppedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Hour})
		p, e, m := s.Publish(), h264(25), &recorder{}
		write(t, p, e.Next())
		a, _ := watch(t, s, m)
		b, _ := watch(t, s, m)
		a.Close()
		a.Close() // counts once
		live := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				write(t, p, e.Next())
				time.Sleep(40 * time.Millisecond)
			}
		}
		live(20 * time.Second)
		if got := s.Stats().Shares; got != 1 {
			t.Fatalf("%d shares while somebody watches", got)
		}
		b.Close()
		live(9 * time.Second)
		c, _ := watch(t, s, m) // again in time
		live(5 * time.Second)
		c.Close()
		live(9900 * time.Millisecond)
		if got := s.Stats().Shares; got != 1 {
			t.Fatalf("%d shares 9.9 s after the last viewer", got)
		}
		live(time.Second)
		if got := s.Stats().Shares; got != 0 {
			t.Fatalf("%d shares 10.9 s after the last viewer", got)
		}
		d, pl := watch(t, s, &recorder{}) // made anew
		pl.drain(d)
		if len(pl.units) == 0 {
			t.Error("nothing from the new share")
		}
	})
}

func TestPanickingMuxerCostsItsShare(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e := s.Publish(), h264(25)
	good, bad := &recorder{}, &recorder{panicAt: 20}
	v, pl := watch(t, s, good)
	w, err := s.Watch("bad", func() Muxer { return bad })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write(t, p, e.Next())
	pl.drain(v)
	pw := &player{t: t, m: bad}
	pw.drain(w)
	r, c := s.NewReader(), sim.Checker{}
	write(t, p, e.Take(49)...)
	if pl.drain(v); len(pl.units) != 50 {
		t.Errorf("the other share's viewer got %d units", len(pl.units))
	}
	if n := len(drain(t, r, &c)); n != 50 {
		t.Errorf("the reader got %d units", n)
	}
	for {
		b, err := w.Next(t.Context(), 1<<10)
		if err != nil {
			if !errors.Is(err, ErrMuxer) {
				t.Errorf("%v, want ErrMuxer", err)
			}
			break
		}
		pw.take(b)
	}
	if len(pw.units) != 19 {
		t.Errorf("%d units before the panic", len(pw.units))
	}
	// One that panics while it is filled back fails the first viewer.
	if _, err := s.Watch("bad", func() Muxer { return &recorder{panicAt: 1} }); !errors.Is(err, ErrMuxer) {
		t.Errorf("%v, want ErrMuxer", err)
	}
	if got := s.Stats().Shares; got != 1 {
		t.Errorf("%d shares", got)
	}
}

// quitter is a muxer that gives up: at a unit, or at a change of the tracks.
type quitter struct {
	recorder
	at     int64 // unit
	change bool
	err    error
}

var errQuit = errors.New("the muxer has given up")

func (m *quitter) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	if m.change && len(prev) > 0 {
		m.err = errQuit
	}
	return m.recorder.Config(dst, tracks, prev, at)
}

func (m *quitter) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if m.err != nil {
		panic("it has given up")
	}
	dst = m.recorder.Unit(dst, tracks, u)
	if m.units.Load() == m.at {
		m.err = errQuit
	}
	return dst
}

func (m *quitter) Err() error { return m.err }

// One that gives up ends its share with its own error. Its viewers get what was there, the publisher and other shares notice nothing.
func TestMuxerGivesUp(t *testing.T) {
	for _, change := range []bool{false, true} {
		s := New(Options{Keep: time.Hour})
		p, e := s.Publish(), h264(25)
		good := &recorder{}
		v, pl := watch(t, s, good)
		mux := func() Muxer {
			if change {
				return &quitter{change: true}
			}
			return &quitter{at: 20}
		}
		var all []*Viewer
		for range 3 {
			w, err := s.Watch("quitter", mux)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			all = append(all, w)
		}
		wake := make(waker, 1)
		defer all[0].Subscribe(wake)()
		write(t, p, e.Next())
		pl.drain(v)
		write(t, p, e.Take(18)...)
		if change {
			e.ChangeVideo()
		}
		write(t, p, e.Take(20)...)
		select {
		case <-wake:
		default:
			t.Error("nobody is told")
		}
		want := 19
		if change {
			want = 25 // the track changes with the next key unit
		}
		for i, w := range all {
			m := w.Share().mux.(*quitter)
			pw := &player{t: t, m: &m.recorder}
			if got := pw.toTheEnd(w); !errors.Is(got, errQuit) || errors.Is(got, ErrMuxer) || len(pw.units) != want {
				t.Errorf("change %v, viewer %d: %v after %d units", change, i, got, len(pw.units))
			}
			if !errors.Is(w.Ended(), errQuit) {
				t.Errorf("ended with %v", w.Ended())
			}
		}
		if pl.drain(v); len(pl.units) != 39 || s.Stats().Shares != 1 {
			t.Errorf("the other share's viewer got %d units; %d shares", len(pl.units), s.Stats().Shares)
		}
		w, err := s.Watch("quitter", mux) // another muxer
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if w.Share() == all[0].Share() || w.Ended() != nil {
			t.Error("the share that has ended goes on")
		}
	}
}

// One that gives up while its share is filled back refuses the first viewer, and one whose Err panics is one that failed.
func TestMuxerGivesUpAtOnce(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	write(t, s.Publish(), h264(25).Take(10)...)
	if _, err := s.Watch("quitter", func() Muxer { return &quitter{at: 3} }); !errors.Is(err, errQuit) || errors.Is(err, ErrMuxer) {
		t.Errorf("%v, want its own error", err)
	}
	if _, err := s.Watch("bad", func() Muxer { return &badErr{} }); !errors.Is(err, ErrMuxer) {
		t.Errorf("%v, want ErrMuxer", err)
	}
	if n := s.Stats().Shares; n != 0 {
		t.Errorf("%d shares", n)
	}
}

type badErr struct{ recorder }

func (*badErr) Err() error { panic("in Err") }

// A format that does not carry the video has viewers all the same: they start where the video has its keys.
func TestFormatWithoutTheVideo(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e := s.Publish(), av264(25)
	m := &recorder{lacks: av.H264}
	v, pl := watch(t, s, m)
	pl.check.PerTrack = true
	for range 100 {
		write(t, p, e.Next())
		pl.drain(v)
	}
	if len(pl.units) == 0 {
		t.Fatal("no sound")
	}
	w, pl2 := watch(t, s, m)
	pl2.check.PerTrack = true
	if pl2.drain(w); len(pl2.units) == 0 || len(pl2.units) >= len(pl.units) {
		t.Errorf("a newcomer got %d units of %d", len(pl2.units), len(pl.units))
	}
}

func TestRejoin(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), h264(25), &recorder{}
	v, pl := watch(t, s, m)
	write(t, p, e.Take(10)...)
	pl.drain(v)
	write(t, p, e.Take(100)...) // 10 to 109
	v.Rejoin()
	pl.drain(v)
	if got := seqs(t, pl.units)[10:]; got[0] != 100 || len(got) != 10 || v.Skips() != 0 {
		t.Errorf("got %v, %d skips", got, v.Skips())
	}
}

// One who rejoins within the GOP that it was sent a part of neither gets that part again nor misses what follows.
func TestRejoinWithinGOP(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e := s.Publish(), h264(25)
	v, pl := watch(t, s, &recorder{})
	write(t, p, e.Take(10)...)
	pl.drain(v)
	v.Rejoin()
	write(t, p, e.Take(5)...)
	pl.drain(v)
	write(t, p, e.Take(5)...)
	v.Rejoin()
	pl.drain(v)
	if len(pl.units) != 20 || pl.check.Gaps != 0 || pl.configs != 1 {
		t.Errorf("%d units, %d gaps, %d configurations", len(pl.units), pl.check.Gaps, pl.configs)
	}
}

// peek is a Peek of everything.
func peek(t *testing.T, v *Viewer) *Batch {
	t.Helper()
	b := &Batch{}
	if err := v.Peek(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	return b
}

// What was peeked at is given again, whole or from where it was cut, byte by byte if need be, and packets stay whole.
func TestAdvanceByPieces(t *testing.T) {
	for _, piece := range []int{0, 1, 2, 7, 100, 5000} {
		s := New(Options{Keep: time.Hour})
		p, e, m := s.Publish(), av264(10), &recorder{}
		write(t, p, e.Take(15)...)
		v, pl := watch(t, s, m)
		whole, _ := watch(t, s, m)
		e.ChangeVideo()
		write(t, p, e.Take(100)...)
		var got, want []byte
		for b := next(t, whole); b != nil; b = next(t, whole) {
			want = append(want, b...)
		}
		for i := 0; ; i++ {
			b := peek(t, v)
			n := min(len(b.Bytes), piece)
			if piece == 0 { // all sizes
				n = min(len(b.Bytes), i%300)
			}
			if len(b.Bytes) == 0 {
				break
			}
			got = append(got, b.Bytes[:n]...)
			v.Advance(b, n)
			if v.Between() {
				pl.take(got[len(got)-sinceBoundary(pl, got):])
			}
		}
		if !bytes.Equal(got, want) || v.Sent() != uint64(len(want)) {
			t.Errorf("pieces of %d: %d bytes, want %d", piece, len(got), len(want))
		}
		if pl.check.Gaps != 0 || len(pl.units) < 100 {
			t.Errorf("pieces of %d: %d units, %d gaps", piece, len(pl.units), pl.check.Gaps)
		}
	}
}

// sinceBoundary is how many bytes follow those that the player has taken.
func sinceBoundary(pl *player, got []byte) int {
	n := len(got) - pl.taken
	pl.taken = len(got)
	return n
}

// The rest of a packet that has been begun is sent although the ring has forgotten it; then the viewer jumps.
func TestBegunPacketIsFinished(t *testing.T) {
	s := New(Options{Units: 16})
	p, e, m := s.Publish(), h264(5), &recorder{}
	v, pl := watch(t, s, m)
	write(t, p, e.Take(3)...)
	next(t, v) // the opening
	b := peek(t, v)
	all := bytes.Clone(b.Bytes)
	cut := len(all) / 2
	v.Advance(b, cut)
	if v.Between() {
		t.Fatal("cut at the end of a packet: the test needs other sizes")
	}
	e.ChangeVideo()
	write(t, p, e.Take(200)...)
	rest := peek(t, v)
	end := cut + len(rest.Bytes)
	if !bytes.Equal(rest.Bytes, all[cut:end]) || end == len(all) {
		t.Fatal("the rest is not the packet's")
	}
	v.Advance(rest, len(rest.Bytes))
	pl.heads, pl.tracks = 1, []*av.Track{nil} // it has seen the opening
	pl.check = sim.Checker{}
	pl.drain(v)
	if v.Skips() != 1 || pl.configs != 1 || len(pl.units) == 0 {
		t.Errorf("%d skips, %d configurations, %d units", v.Skips(), pl.configs, len(pl.units))
	}
}

// An opening is made once for those that start at the same packet.
func TestOpeningIsShared(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e, m := s.Publish(), h264(10), &recorder{}
	write(t, p, e.Take(5)...)
	for range 50 {
		v, pl := watch(t, s, m)
		pl.drain(v)
	}
	if m.heads.Load() != 1 {
		t.Errorf("%d heads for one key packet", m.heads.Load())
	}
	write(t, p, e.Take(10)...)
	v, pl := watch(t, s, m)
	pl.drain(v)
	if m.heads.Load() != 2 {
		t.Errorf("%d heads for two", m.heads.Load())
	}
}

// A packet that is nothing but a configuration that the viewer was given when it joined is nothing to it.
func TestNothingButConfig(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p := s.Publish()
	m := &recorder{lacks: av.AAC}
	unit := func(id int, c av.Codec) {
		write(t, p, &av.AccessUnit{Track: sim.NewTrack(id, c, 0), Key: true, Data: [][]byte{{1}}})
	}
	unit(1, av.H264)
	unit(2, av.AAC)
	v, pl := watch(t, s, m)
	pl.check.PerTrack = true
	for b := next(t, v); b != nil; b = next(t, v) {
		_ = pl.read(b) // the units are no encoder's
	}
	if pl.configs != 1 {
		t.Errorf("%d configurations", pl.configs)
	}
	if b := peek(t, v); len(b.Bytes) != 0 {
		t.Errorf("% x is left", b.Bytes)
	}
}

// All that a viewer does in the steady state costs no memory.
func TestNoAllocations(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), h264(25)
	write(t, p, e.Take(5)...)
	var viewers []*Viewer
	for range 100 {
		v, _ := watch(t, s, &recorder{})
		viewers = append(viewers, v)
	}
	var b Batch
	send := func() {
		for _, v := range viewers {
			for {
				if err := v.Peek(&b, 64<<10); err != nil {
					t.Fatal(err)
				}
				if len(b.Bytes) == 0 {
					break
				}
				v.Advance(&b, (len(b.Bytes)+1)/2)
			}
		}
	}
	send()
	alone := testing.AllocsPerRun(100, func() { write(t, p, e.Next()) })
	watched := testing.AllocsPerRun(100, func() { write(t, p, e.Next()); send() })
	if watched > alone+1 { // the share's ring may be a little ahead of its chunk
		t.Errorf("%v allocations for a unit, %v when 100 viewers are sent it", alone, watched)
	}
}

func TestWatchAfterEnd(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	cause := errors.New("over")
	s.End(cause)
	if _, err := s.Watch("recorder", func() Muxer { return &recorder{} }); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause", err)
	}
}

// Whoever gets a viewer at the moment of the end must learn of it.
func TestWatchDuringEnd(t *testing.T) {
	cause := errors.New("over")
	for range 200 {
		s := New(Options{Units: 16})
		write(t, s.Publish(), h264(25).Take(2)...)
		const watchers = 4
		done := make(chan error, watchers)
		for n := range watchers {
			go func() { done <- watchToTheEnd(s, n, cause) }()
		}
		runtime.Gosched()
		s.End(cause)
		for range watchers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// watchToTheEnd gets viewers until there are no more, and follows the last to its end.
func watchToTheEnd(s *Stream, n int, cause error) error {
	var last *Viewer
	for i := range 100 {
		v, err := s.Watch([2]int{n, i}, func() Muxer { return &recorder{} })
		if err != nil {
			break
		}
		defer v.Close()
		last = v
	}
	if last == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	for err == nil {
		_, err = last.Next(ctx, 1<<10)
	}
	if !errors.Is(err, cause) {
		return err
	}
	return nil
}

// adjacent must not join what only looks like neighbours.
func TestAdjacent(t *testing.T) {
	chunk := make([]byte, 10, 20)
	a, b := chunk[:4], chunk[4:8]
	for _, tc := range []struct {
		a, b []byte
		want bool
	}{
		{a, b, true},
		{a, chunk[5:8], false},
		{b, a, false},
		{chunk[:4:4], b, false},
		{a, slices.Clone(b), false},
		{a, nil, false},
	} {
		if got := adjacent(tc.a, tc.b); got != tc.want {
			t.Errorf("%v: %v", tc, got)
		}
	}
}
