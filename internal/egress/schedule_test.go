package egress

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// A shard is taken from its pilot again and again, at whatever moment, most of them just when the call returns that seems to hang. Each
// link is ended once and closed once, who is left is sent everything, and nobody stays behind.
func TestDeposedAtAnyMoment(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		r := newRigOf(t, Options{StallTimeout: time.Hour}, keeping(), pictures(), 1)
		s := r.e.shards[0]
		r.write(1)
		r.fake().play().want("HC") // from here on only who relieves changes the pilot
		var wg sync.WaitGroup
		over := make(chan struct{})
		deposed := 0
		wg.Go(func() {
			rnd := chance(procs, 0)
			for {
				select {
				case <-over:
					return
				default:
				}
				p := s.pilot
				for range rnd.IntN(100) { // many a call, or a part of one
					runtime.Gosched()
				}
				for range 1000 {
					if p.out.Load() != nil {
						break
					}
					runtime.Gosched()
				}
				if p.out.Load() == nil {
					continue // it has nothing to do
				}
				p.since.Store(int64(r.e.now().add(-time.Minute)))
				if s.relieve(r.ctx, p); s.pilot != p {
					deposed++
				}
			}
		})
		rnd, last := chance(procs, 1), r.write(1)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range 300 {
			<-tick.C
			for range 2 {
				c := r.fake()
				if rnd.IntN(2) == 0 {
					c.sock.room = 3000
				}
				own := chance(procs, 1+len(r.clients))
				c.sock.onTry = func() { pause(own) }
				if c.play(); rnd.IntN(3) == 0 {
					_, _ = c.peer.Write([]byte("x"))
				}
			}
			last = r.write(1)
			switch c := r.clients[rnd.IntN(len(r.clients))]; rnd.IntN(4) {
			case 0:
				c.cancel(errOver)
			case 1:
				_ = c.peer.Close()
			case 2:
				_, _ = c.peer.Write([]byte("e"))
			}
		}
		close(over)
		wg.Wait()
		if deposed == 0 {
			t.Error("nobody was deposed")
		}
		t.Logf("%d processors: deposed %d times", procs, deposed)
		newest := bytes.Join(last[0].Data, nil)
		for _, c := range r.clients {
			c.sock.set(func() { c.sock.room = 0 })
		}
		for _, c := range r.clients {
			await(t, "who is left is sent everything", func() (all bool) {
				c.sock.set(func() { all = c.sock.left || bytes.HasSuffix(c.sock.buf, newest) })
				return all || c.ctx.Err() != nil || c.isOver()
			})
		}
		for _, c := range r.clients {
			c.cancel(errOver)
			_ = c.peer.Close()
		}
		await(t, "all are gone", func() bool { return s.load.Load() == 0 && r.e.lost.Load() == 0 })
		for i, c := range r.clients {
			<-c.done
			await(t, "it is closed", func() bool { _, closed := c.sock.state(); return closed && c.conn.closes.Load() == 1 })
			if n := c.conn.closes.Load(); n != 1 {
				t.Errorf("viewer %d was closed %d times", i, n)
			}
		}
		r.e.mu.Lock()
		if len(r.e.groups) > 0 {
			t.Errorf("%d groups are left", len(r.e.groups))
		}
		r.e.mu.Unlock()
	}
}

// chance is that of one goroutine.
func chance(procs, n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(procs), uint64(n))) }

// pause lets others run, as chance will have it.
func pause(rnd *rand.Rand) {
	for range rnd.IntN(4) {
		runtime.Gosched()
	}
}

// await polls until is holds.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Who has been ended before the shard came to serve it costs the shard nothing: above all, the shard does not wait for the lock of its stream,
// which may be what it was ended for.
func TestEndedBeforeItIsServed(t *testing.T) {
	y := newYard(t, stream.Options{})
	v, err := y.s.Watch("records", func() stream.Muxer { return records{} })
	if err != nil {
		t.Fatal(err)
	}
	in, hold := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = y.s.Watch("hangs", func() stream.Muxer { close(in); <-hold; return records{} })
	})
	<-in
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	l := y.e.Link(&stubConn{}, mute{})
	l.sock = &sinkSocket{}
	l.Play(ctx, v)
	turned := make(chan struct{})
	wg.Go(func() { y.e.shards[0].turn(); close(turned) })
	select {
	case <-turned:
		if l.phase == playing || len(y.e.groups) > 0 {
			t.Errorf("phase %d, %d groups", l.phase, len(y.e.groups))
		}
	case <-time.After(5 * time.Second):
		t.Error("the shard hangs")
	}
	close(hold)
	wg.Wait()
}

// A shard that lets others run does not hang meanwhile, however long that takes on one processor.
func TestYieldingIsNotHanging(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := newYard(t, stream.Options{}).e.shards[0]
	s.pilot.begin(s.egress.now())
	seen := make(chan instant, 1)
	go func() { seen <- instant(s.pilot.since.Load()) }() // it runs when the shard yields
	for len(seen) == 0 {
		s.served = yieldEvery - 1
		s.beat.Store(1) // a while ago
		s.breathe()
	}
	if since := <-seen; since != 0 {
		t.Errorf("it seems to be at work since %d", since)
	}
	if s.pilot.since.Load() == 0 {
		t.Error("it does not seem to go on")
	}
}
