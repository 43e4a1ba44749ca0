package hub

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// Everything at once, for the race detector; the books are right at the end.
func TestConcurrent(t *testing.T) {
	for _, policy := range policies {
		t.Run(string(policy), func(t *testing.T) { concurrent(t, policy) })
	}
}

func concurrent(t *testing.T, policy Policy) {
	t.Helper()
	j := &journal{}
	h := New(config(func(c *Config) {
		c.Publish.OnConflict = policy
		c.Play.Wait = 20 * time.Millisecond
		c.Limits.Publishers, c.Limits.Viewers = 6, 12
	}), nil, j)
	stop := run(h)
	var wg sync.WaitGroup
	var running atomic.Int32
	running.Store(8)
	for i := range uint64(8) {
		rnd := rand.New(rand.NewPCG(i, 1))
		wg.Go(func() {
			defer running.Add(-1)
			for range 150 {
				publisherLife(t, h, rnd)
			}
		})
		wg.Go(func() {
			for rnd := rand.New(rand.NewPCG(i, 2)); running.Load() > 0; {
				viewerLife(t, h, rnd)
			}
		})
	}
	wg.Go(func() {
		for n := 0; running.Load() > 0; n++ {
			s := h.Snapshot()
			if len(s.Streams) > 0 && n%20 == 0 {
				_ = h.End(gone(), s.Streams[0].Key)
			} else if len(s.Streams) > 0 && s.Streams[0].Publisher != nil && n%10 == 0 {
				_ = h.Kick(gone(), s.Streams[0].Publisher.ID)
			}
			for i, st := range s.Streams {
				if i > 0 && s.Streams[i-1].Key.String() >= st.Key.String() {
					t.Error("streams out of order, or twice")
				}
			}
			h.now.Add(int64(100 * time.Millisecond))
			h.judge()
		}
	})
	wg.Wait()
	h.Close()
	stop()
	h.events.deliver()
	empty(t, h)
	if h.events.drops() == 0 {
		j.check(t)
	}
}

func publisherLife(t *testing.T, h *Hub, rnd *rand.Rand) {
	t.Helper()
	c, cancel := context.WithTimeoutCause(ctx, time.Duration(5+rnd.IntN(20))*time.Millisecond, named("deadline"))
	defer cancel()
	l, err := h.Publish(c, requestFrom(string(rune('a'+rnd.IntN(3))), rnd.IntN(4)))
	if err != nil {
		switch Reason(err) {
		case "busy", "limit", "kicked", "deadline":
		default:
			t.Error(err)
		}
		return
	}
	e := encoder(0)
	l.Declare(true, false)
	for range rnd.IntN(30) {
		if err := l.Write(e.Next()); err != nil {
			switch Reason(err) {
			case "replaced", "fenced", "silent", "kicked", "deadline":
			default:
				t.Error(err)
			}
			break
		}
	}
	if rnd.IntN(2) == 0 {
		l.Finish(nil)
	} else {
		l.Release(nil)
	}
}

func viewerLife(t *testing.T, h *Hub, rnd *rand.Rand) {
	t.Helper()
	c, cancel := context.WithTimeout(ctx, time.Duration(1+rnd.IntN(20))*time.Millisecond)
	defer cancel()
	v, err := h.Play(c, c, request(string(rune('a'+rnd.IntN(3)))))
	if err != nil {
		return
	}
	defer v.Release(nil)
	if w, err := v.Watch(rnd.IntN(2), func() stream.Muxer { return null{} }); err == nil {
		var b stream.Batch
		for range rnd.IntN(20) {
			if err := w.Peek(&b, 10_000); err != nil {
				break
			}
			w.Advance(&b, len(b.Bytes))
			runtime.Gosched()
		}
	}
}
