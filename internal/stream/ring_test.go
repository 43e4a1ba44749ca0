package stream

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// held returns the units that a ring holds, and checks its books.
func held(t *testing.T, s *Stream) []*av.AccessUnit {
	t.Helper()
	r := s.units
	var units []*av.AccessUnit
	var bytes int64
	for seq := r.tail.Load(); seq < r.head.Load(); seq++ {
		it := r.at(seq)
		if it == nil {
			t.Fatalf("item %d between %d and %d is missing", seq, r.tail.Load(), r.head.Load())
		}
		bytes += int64(it.size)
		units = append(units, it.value)
	}
	if bytes != r.bytes {
		t.Fatalf("the ring counts %d bytes and holds %d", r.bytes, bytes)
	}
	full := 0
	for i := range *r.slots.Load() {
		if (*r.slots.Load())[i].Load() != nil {
			full++
		}
	}
	if full != len(units) {
		t.Fatalf("%d slots are taken by %d units", full, len(units))
	}
	return units
}

func TestRingBounds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		opt   Options
		gop   int
		check func(t *testing.T, units []*av.AccessUnit)
	}{
		{"units", Options{Units: 16, Keep: time.Hour}, 1000, func(t *testing.T, units []*av.AccessUnit) {
			if len(units) != 16 {
				t.Errorf("%d units", len(units))
			}
		}},
		{"units are rounded up", Options{Units: 17, Keep: time.Hour}, 1000, func(t *testing.T, units []*av.AccessUnit) {
			if len(units) != 32 {
				t.Errorf("%d units", len(units))
			}
		}},
		{"bytes", Options{Bytes: 6500, Keep: time.Hour}, 1000, func(t *testing.T, units []*av.AccessUnit) {
			if len(units) != 10 { // of 600 bytes and a little
				t.Errorf("%d units", len(units))
			}
		}},
		{"age", Options{Age: 2 * time.Second, Keep: time.Hour}, 1000, func(t *testing.T, units []*av.AccessUnit) {
			if len(units) != 51 {
				t.Errorf("%d units", len(units))
			}
		}},
		{"GOP and Keep", Options{Keep: 200 * time.Millisecond}, 50, func(t *testing.T, units []*av.AccessUnit) {
			// 301 units: the newest key is 300.
			if want := 6; len(units) != want {
				t.Errorf("%d units, want %d", len(units), want)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(tc.opt)
				s.NewReader() // so that the ring keeps what is young
				p, e := s.Publish(), h264(tc.gop)
				for range 301 {
					time.Sleep(40 * time.Millisecond)
					write(t, p, e.Next())
				}
				tc.check(t, held(t, s))
			})
		})
	}
}

// The ring is charged for what its units keep alive; the figures count their payload.
func TestRingCountsCost(t *testing.T) {
	s := New(Options{Bytes: 65_000, Keep: time.Hour})
	p, e := s.Publish(), h264(1000)
	var payload uint64
	for range 100 {
		u := e.Next()
		u.Held = 10_000
		payload += uint64(u.Size())
		write(t, p, u)
	}
	if n := len(held(t, s)); n != 6 {
		t.Errorf("%d units of 10 000 bytes in 65 000", n)
	}
	if got := s.Stats().Bytes; got != payload {
		t.Errorf("%d bytes counted, %d came", got, payload)
	}
}

// A ring begins small and grows to its bound, without losing a unit.
func TestRingGrows(t *testing.T) {
	const units = 4 * slotsMin
	s := New(Options{Units: units, Age: time.Hour, Keep: time.Hour})
	p, e := s.Publish(), h264(10_000)
	r, c := s.NewReader(), sim.Checker{}
	for n := 1; n <= 2*units; n++ {
		write(t, p, e.Next())
		if n%500 == 0 {
			drain(t, r, &c)
		}
		if got, want := len(held(t, s)), min(n, units); got != want {
			t.Fatalf("%d of %d units are held", got, want)
		}
		if got := len(*s.units.slots.Load()); got > max(slotsMin, 2*n) || got > units {
			t.Fatalf("%d slots for %d units", got, n)
		}
	}
	drain(t, r, &c)
	if c.Gaps != 0 || r.Skips() != 0 {
		t.Errorf("%d gaps, %d skips", c.Gaps, r.Skips())
	}
}

// A ring grows while readers read it.
func TestRingGrowsUnderReaders(t *testing.T) {
	const units = 32 * slotsMin
	s := New(Options{Units: units, Age: time.Hour, Keep: time.Hour, MaxLag: time.Hour})
	p, e := s.Publish(), h264(2*units)
	write(t, p, e.Next())
	var readers sync.WaitGroup
	for range 4 {
		r := s.NewReader()
		readers.Go(func() {
			dst, c, n := make([]Entry, 64), sim.Checker{}, 0
			for n < units {
				m, err := r.Read(t.Context(), dst)
				for _, u := range dst[:m] {
					err = errors.Join(err, c.Unit(u.AccessUnit))
				}
				if n += m; err != nil {
					t.Error(err)
					return
				}
			}
			if c.Gaps != 0 || r.Skips() != 0 {
				t.Errorf("%d gaps, %d skips", c.Gaps, r.Skips())
			}
		})
	}
	write(t, p, e.Take(units-1)...)
	readers.Wait()
}

// While a GOP grows the ring holds it all; when the next key comes, the GOP before stays for Keep, if there are readers.
func TestRingKeepsNewestGOP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Second})
		p, e := s.Publish(), h264(100)
		for i := range 500 {
			time.Sleep(40 * time.Millisecond)
			write(t, p, e.Next())
			if got := seqs(t, held(t, s)[:1])[0]; i < 100 && got != 0 || i == 100 && got != 100 {
				t.Fatalf("after unit %d the ring begins with %d: nobody reads", i, got)
			}
			if i <= 100 {
				s.units.read.Store(i == 100) // from here on there is a reader
				continue
			}
			units := held(t, s)
			newestKey := uint64(i / 100 * 100)
			want := newestKey
			if since := uint64(i) - newestKey; since < 25 && newestKey > 100 {
				want = uint64(i) - 25
			}
			if got := seqs(t, units[:1])[0]; got != want {
				t.Fatalf("after unit %d the ring begins with %d, want %d", i, got, want)
			}
		}
	})
}

// An encoder whose network stalled sends seconds of media at once: a reader that is prompt loses nothing of it.
func TestRingKeepsBurst(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), av264(25)
	write(t, p, e.Take(3)...)
	r := s.NewReader()
	write(t, p, e.Take(300)...) // more than 4 s, several GOPs
	dst := make([]Entry, 500)
	n, err := r.Read(t.Context(), dst)
	if err != nil || n != 303 || r.Skips() != 0 {
		t.Errorf("%d units of 303, %d skips, %v", n, r.Skips(), err)
	}
}

// A unit that is larger than the ring may be is held alone.
func TestRingOversizedUnit(t *testing.T) {
	s := New(Options{Bytes: 1000})
	p, e := s.Publish(), h264(2)
	write(t, p, e.Take(20)...)
	if n := len(held(t, s)); n == 0 || n > 2 {
		t.Errorf("%d units", n)
	}
}

func TestRingReleasesMemory(t *testing.T) {
	s := New(Options{Keep: time.Nanosecond})
	p, e := s.Publish(), h264(5)
	r := s.NewReader()
	var refs []weak.Pointer[av.AccessUnit]
	for range 20 {
		u := e.Next()
		refs = append(refs, weak.Make(u))
		write(t, p, u)
	}
	runtime.GC()
	alive := 0
	for _, w := range refs {
		if w.Value() != nil {
			alive++
		}
	}
	if want := len(held(t, s)); alive != want {
		t.Errorf("%d units are alive, the ring holds %d", alive, want)
	}
	runtime.KeepAlive(r)
}

func TestNewcomerStartsAtNewestKey(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), av264(25)
	for range 200 {
		write(t, p, e.Next())
		r, c := s.NewReader(), sim.Checker{}
		units := drain(t, r, &c)
		if len(units) == 0 || !units[0].Key || units[0].Track.Kind() != av.Video {
			t.Fatal("does not start at a key picture")
		}
		for _, u := range units[1:] {
			if u.Key && u.Track.Kind() == av.Video {
				t.Fatal("does not start at the newest key picture")
			}
		}
		if c.Gaps != 0 || r.Skips() != 0 {
			t.Fatalf("%d gaps, %d skips", c.Gaps, r.Skips())
		}
	}
}

func TestNewcomerWaitsWhenGOPOutgrewRing(t *testing.T) {
	s := New(Options{Units: 16})
	p, e := s.Publish(), h264(50)
	write(t, p, e.Take(40)...)
	r, c := s.NewReader(), sim.Checker{}
	v, pl := watch(t, s, &recorder{})
	if units := drain(t, r, &c); len(units) != 0 {
		t.Fatalf("got unit %d of a GOP whose key is gone", seqs(t, units)[0])
	}
	if b := next(t, v); b != nil {
		t.Fatal("the viewer got bytes of a GOP whose key is gone")
	}
	write(t, p, e.Take(15)...)
	if got := seqs(t, drain(t, r, &c)); !slices.Equal(got, []uint64{50, 51, 52, 53, 54}) {
		t.Errorf("got %v", got)
	}
	if pl.drain(v); !slices.Equal(seqs(t, pl.units), []uint64{50, 51, 52, 53, 54}) {
		t.Errorf("the viewer got %v", seqs(t, pl.units))
	}
	if r.Skips() != 0 {
		t.Errorf("%d skips", r.Skips())
	}
}

func TestLappedReaderJumpsToNewestKey(t *testing.T) {
	s := New(Options{Units: 32})
	p, e := s.Publish(), h264(10)
	r, c := s.NewReader(), sim.Checker{}
	write(t, p, e.Take(5)...)
	drain(t, r, &c)
	write(t, p, e.Take(60)...) // 5 to 64
	if got := seqs(t, drain(t, r, &c)); got[0] != 60 || len(got) != 5 {
		t.Errorf("got %v", got)
	}
	if r.Skips() != 1 || c.Gaps != 1 || r.missed.Load() != 55 {
		t.Errorf("%d skips, %d gaps, %d missed", r.Skips(), c.Gaps, r.missed.Load())
	}
}

func TestLappedReaderWaitsForKey(t *testing.T) {
	s := New(Options{Units: 16})
	p, e := s.Publish(), h264(40)
	r, c := s.NewReader(), sim.Checker{}
	write(t, p, e.Take(5)...)
	drain(t, r, &c)
	write(t, p, e.Take(30)...)
	if got := drain(t, r, &c); len(got) != 0 {
		t.Errorf("got %v", seqs(t, got))
	}
	write(t, p, e.Take(6)...)
	if got := seqs(t, drain(t, r, &c)); !slices.Equal(got, []uint64{40}) {
		t.Errorf("got %v", got)
	}
	if r.Skips() != 1 {
		t.Errorf("%d skips", r.Skips())
	}
}

func TestMaxSkipsEndsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Units: 16, MaxSkips: 3})
		p, e := s.Publish(), h264(5)
		r := s.NewReader()
		lap := func() error {
			write(t, p, e.Take(50)...)
			var dst [1]Entry
			_, err := r.Read(t.Context(), dst[:])
			return err
		}
		write(t, p, e.Next())
		drain(t, r, nil)
		for range 3 { // within one minute: allowed
			if err := lap(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		for i := range 3 {
			if err := lap(); err != nil {
				t.Fatalf("jump %d of the next minute: %v", i, err)
			}
		}
		if err := lap(); !errors.Is(err, ErrTooSlow) {
			t.Fatalf("%v, want ErrTooSlow", err)
		}
		if _, err := r.Read(t.Context(), make([]Entry, 1)); !errors.Is(err, ErrTooSlow) {
			t.Fatalf("then %v, want ErrTooSlow", err)
		}
	})
}

func TestTooSlowIsSticky(t *testing.T) {
	s := New(Options{Units: 16, MaxSkips: 1})
	p, e := s.Publish(), h264(5)
	r := s.NewReader()
	for range 3 {
		write(t, p, e.Take(50)...)
		if _, _, err := r.peek(); err != nil && !errors.Is(err, ErrTooSlow) {
			t.Fatal(err)
		}
	}
	// The error of a peek within a batch is dropped in favour of the units before it. The next call has to give it again.
	if _, err := r.Read(t.Context(), make([]Entry, 1)); !errors.Is(err, ErrTooSlow) {
		t.Errorf("%v, want ErrTooSlow", err)
	}
}

func TestLateReaderJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Minute})
		p, e := s.Publish(), h264(25)
		live := func(n int) {
			for range n {
				write(t, p, e.Next())
				time.Sleep(40 * time.Millisecond)
			}
		}
		r, c := s.NewReader(), sim.Checker{}
		live(10)
		drain(t, r, &c)
		live(30) // 1.2 s behind: not late
		if drain(t, r, &c); r.Skips() != 0 {
			t.Fatalf("%d skips at 1.2 s", r.Skips())
		}
		live(20) // 40 to 59
		live(40) // 60 to 99: 2.4 s behind, keys at 50 and 75
		if got := seqs(t, drain(t, r, &c)); got[0] != 75 || r.Skips() != 1 {
			t.Errorf("%d skips, to unit %d", r.Skips(), got[0])
		}
	})
}

// A newcomer may take the backlog that it starts with as late as it likes, even when a key comes meanwhile.
func TestJoinerTakesBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Minute})
		p, e := s.Publish(), h264(100)
		for range 99 {
			write(t, p, e.Next())
			time.Sleep(40 * time.Millisecond)
		}
		r := s.NewReader()
		write(t, p, e.Take(5)...) // a key at 100
		var dst [50]Entry
		n, err := r.Read(t.Context(), dst[:])
		if err != nil || seqs(t, []*av.AccessUnit{dst[0].AccessUnit})[0] != 0 || n != 50 {
			t.Fatalf("%d units, %v", n, err)
		}
		if got := drain(t, r, nil); len(got) != 54 || r.Skips() != 0 {
			t.Errorf("%d units, %d skips", len(got), r.Skips())
		}
	})
}

// Without a newer key there is nothing to jump to: a late reader goes on.
func TestLateReaderWithoutNewerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		p, e := s.Publish(), h264(1000)
		r, c := s.NewReader(), sim.Checker{}
		write(t, p, e.Take(10)...)
		drain(t, r, &c)
		write(t, p, e.Take(10)...)
		time.Sleep(10 * time.Second)
		if got := drain(t, r, &c); len(got) != 10 || r.Skips() != 0 {
			t.Errorf("%d units, %d skips", len(got), r.Skips())
		}
	})
}

func TestReadWaitsAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		p, e := s.Publish(), h264(10)
		ctx, cancel := context.WithCancelCause(t.Context())
		r := s.NewReader()
		got := make(chan error)
		read := func() {
			_, err := r.Read(ctx, make([]Entry, 10))
			got <- err
		}
		go read()
		synctest.Wait()
		write(t, p, e.Next())
		if err := <-got; err != nil {
			t.Error(err)
		}
		go read()
		synctest.Wait()
		cause := errors.New("enough")
		cancel(cause)
		if err := <-got; !errors.Is(err, cause) {
			t.Errorf("%v, want the context's cause", err)
		}
		if n, err := r.Read(ctx, nil); n != 0 || err != nil {
			t.Errorf("empty read: %d, %v", n, err)
		}
	})
}

// A reader that waits for a key must not miss one that is appended while it looks.
func TestKeyIsNotMissedWhileLooking(t *testing.T) {
	const rounds = 3000
	for i := range rounds {
		s := New(Options{})
		p := s.Publish()
		key := &av.AccessUnit{Track: videoTrack, Key: true, Data: [][]byte{{0x65, 1}}}
		r := s.NewReader() // the ring is empty: it waits for a key
		start, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			<-start
			_ = p.Write(key)
		}()
		close(start)
		for range i % 300 { // look at many moments
			if it, _, _ := r.peek(); it != nil {
				break
			}
		}
		<-done
		if it, _, _ := r.peek(); it == nil {
			t.Fatalf("round %d: the reader went past the key", i)
		}
	}
}

// One that waits for a key must not be given what is appended while it looks, unless that is a key.
func TestNothingButKeyWhileLooking(t *testing.T) {
	s := New(Options{Units: 16})
	p, e := s.Publish(), h264(1<<30)
	write(t, p, e.Take(40)...) // the key has left the ring
	units := e.Take(200_000)
	var writer sync.WaitGroup
	var over atomic.Bool
	writer.Go(func() {
		defer over.Store(true)
		for _, u := range units {
			if err := p.Write(u); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for r := s.NewReader(); !over.Load(); {
		if it, _, err := r.peek(); it != nil || err != nil {
			t.Errorf("a reader that waits for a key got %+v, %v", it, err)
			break
		}
	}
	writer.Wait()
}

// Who gets no key unit for keyWait is ended: a newcomer, and one that has jumped.
func TestNoKeyEndsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Units: 16})
		p, e := s.Publish(), h264(1<<30)
		write(t, p, e.Take(5)...)
		lapped := s.NewReader()
		drain(t, lapped, nil)
		write(t, p, e.Take(40)...)
		newcomer := s.NewReader()
		viewer, _ := watch(t, s, &recorder{})
		begin := time.Now()
		ended := make(chan error, 3)
		for _, r := range []*Reader{lapped, newcomer} {
			go func() {
				_, err := r.Read(t.Context(), make([]Entry, 1))
				ended <- err
			}()
		}
		go func() {
			_, err := viewer.Next(t.Context(), 1)
			ended <- err
		}()
		for time.Since(begin) < keyWait {
			synctest.Wait()
			if len(ended) > 0 {
				t.Fatalf("%v after %v", <-ended, time.Since(begin))
			}
			time.Sleep(40 * time.Millisecond)
			write(t, p, e.Next())
		}
		time.Sleep(40 * time.Millisecond)
		write(t, p, e.Next())
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, ErrNoKey) {
				t.Errorf("%v, want ErrNoKey", err)
			}
		}
		if _, err := newcomer.Read(t.Context(), make([]Entry, 1)); !errors.Is(err, ErrNoKey) {
			t.Errorf("then %v, want ErrNoKey", err)
		}
	})
}

// One that did get a key unit may wait as long again for the next.
func TestKeyEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Units: 16})
		p, e := s.Publish(), h264(45)
		r := s.NewReader()
		for range 3 {
			time.Sleep(keyWait - time.Second)
			write(t, p, e.Next())
			if got := drain(t, r, nil); len(got) != 1 || !got[0].Key {
				t.Fatalf("%d units", len(got))
			}
			write(t, p, e.Take(44)...)
			if got := drain(t, r, nil); len(got) != 0 {
				t.Fatalf("%d units of a GOP whose key is gone", len(got))
			}
		}
	})
}

var videoTrack = sim.NewTrack(sim.VideoID, av.H264, 0)
