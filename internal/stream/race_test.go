package stream

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

var errOver = errors.New("over")

// Readers and viewers come, read at any pace, and go, while publishers write and replace one another, and memory is short at times. Every
// one of them gets a subsequence, begins and goes on with keys, and ends with the cause.
func TestConcurrent(t *testing.T) {
	s := New(Options{Units: 64, MaxSkips: 1 << 30})
	var wg sync.WaitGroup
	var stopped atomic.Bool
	m := &recorder{}
	for i := range 4 {
		wg.Go(func() {
			for rnd := rand.New(rand.NewPCG(1, uint64(i))); !stopped.Load(); {
				readSome(t, s, rnd)
			}
		})
		wg.Go(func() {
			for rnd := rand.New(rand.NewPCG(2, uint64(i))); !stopped.Load(); {
				watchSome(t, s, m, rnd)
			}
		})
	}
	wg.Go(func() {
		for !stopped.Load() {
			s.Stats()
			s.Tracks()
			_ = s.WaitReady(t.Context())
			runtime.Gosched()
		}
	})
	wg.Go(func() {
		for rnd := rand.New(rand.NewPCG(3, 0)); !stopped.Load(); { // half of the time
			s.Squeeze(max(0, rnd.Int64N(4000)-2000))
			s.Rings()
			runtime.Gosched()
		}
	})
	for origin := range byte(5) {
		p, e := s.Publish(), sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 7, Size: 40, KeySize: 100, Origin: origin})
		p.Declare(true, true)
		for i := range 1500 {
			if i%100 == 50 {
				e.ChangeVideo()
			}
			write(t, p, e.Next())
			if i%8 == 0 {
				runtime.Gosched()
			}
		}
	}
	stopped.Store(true)
	s.End(errOver)
	wg.Wait()
}

// readSome is the life of one reader.
func readSome(t *testing.T, s *Stream, rnd *rand.Rand) {
	t.Helper()
	r, c := s.NewReader(), sim.Checker{}
	dst := make([]Entry, 1+rnd.IntN(20))
	for range 1 + rnd.IntN(200) {
		n, err := r.Read(t.Context(), dst)
		for _, u := range dst[:n] {
			if err := c.Unit(u.AccessUnit); err != nil {
				t.Errorf("reader: %v", err)
				return
			}
		}
		if err != nil {
			if !errors.Is(err, errOver) {
				t.Errorf("reader: %v", err)
			}
			return
		}
		for range rnd.IntN(4) {
			runtime.Gosched()
		}
	}
}

// watchSome is the life of one viewer.
func watchSome(t *testing.T, s *Stream, m *recorder, rnd *rand.Rand) {
	t.Helper()
	v, err := s.Watch(rnd.IntN(3), func() Muxer { return m })
	if err != nil {
		if !errors.Is(err, errOver) {
			t.Errorf("watch: %v", err)
		}
		return
	}
	defer v.Close()
	pl := &player{t: t, m: m}
	for range 1 + rnd.IntN(100) {
		b, err := v.Next(t.Context(), 1+rnd.IntN(5000))
		if err != nil {
			if !errors.Is(err, errOver) {
				t.Errorf("viewer: %v", err)
			}
			return
		}
		if err := pl.read(b); err != nil {
			t.Errorf("viewer: %v", err)
			return
		}
		switch rnd.IntN(30) {
		case 0, 1:
			v.Rejoin()
		case 3:
			runtime.Gosched()
		}
	}
}

// No wake-up is lost: a writer that waits for its reader each time would hang.
func TestNoLostWakeUp(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), h264(25)
	write(t, p, e.Next())
	r := s.NewReader()
	v, pl := watch(t, s, &recorder{})
	const rounds = 5000
	turns := make(chan int, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		var dst [1]Entry
		for i := range rounds {
			if n, err := r.Read(t.Context(), dst[:]); n != 1 || err != nil {
				t.Error(n, err)
			}
			turns <- i
		}
	})
	wg.Go(func() {
		for i := range rounds {
			b, err := v.Next(t.Context(), 1)
			if err != nil {
				t.Error(err)
			}
			if err := pl.read(b); err != nil {
				t.Error(err)
			}
			turns <- i
		}
	})
	for i := range rounds {
		<-turns
		<-turns
		if i < rounds-1 {
			write(t, p, e.Next())
		}
	}
	wg.Wait()
}

// Sessions come and go: the books of a share are right at the end.
func TestViewersCount(t *testing.T) {
	s := New(Options{})
	p, e := s.Publish(), h264(25)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				v, err := s.Watch("recorder", func() Muxer { return &recorder{} })
				if err != nil {
					t.Error(err)
					return
				}
				wg.Go(v.Close)
				v.Close()
			}
		})
	}
	for range 1000 {
		write(t, p, e.Next())
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shares["recorder"]; sh == nil || sh.viewers != 0 {
		t.Errorf("viewers are left: %+v", sh)
	}
}
