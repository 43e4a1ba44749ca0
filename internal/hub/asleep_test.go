package hub

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
)

// sleeper is told of a stream's end by whoever ends it, and keeps him for a while. It is a waker that does what none must.
type sleeper struct {
	sleep time.Duration
	ended func() error // why its stream has ended, or nil
	begun atomic.Int64 // when it began to sleep, in nanoseconds; 0: not yet
}

func (s *sleeper) Wake(time.Time, bool) {
	if s.ended() != nil && s.begun.CompareAndSwap(0, time.Now().UnixNano()) {
		time.Sleep(s.sleep)
	}
}

// lull has the loop that judges leases sleep: it ends a publisher that is silent, and the stream's waker does not return. It returns when the
// loop sleeps.
func lull(t *testing.T, h *Hub, d time.Duration) {
	t.Helper()
	l := publish(t, h, "silent", encoder(0))
	v := play(t, h, "silent")
	w, err := v.Watch("x", func() stream.Muxer { return null{} })
	if err != nil {
		t.Fatal(err)
	}
	s := &sleeper{sleep: d, ended: v.Stream().Ended}
	w.Subscribe(s)
	limit := time.Now().Add(time.Minute)
	for s.begun.Load() == 0 {
		if time.Now().After(limit) {
			t.Fatal("the loop does not sleep")
		}
		time.Sleep(time.Millisecond)
	}
	wants(t, "the silent one", context.Cause(l.Context()), ErrSilent)
	v.Release(nil)
	l.Release(nil)
}

// napping is how long the loop sleeps: longer than any publisher may be silent, and than it takes the watch to replace the loop.
const napping = 12 * time.Second

// asleep has the loop of leases sleep while 100 publishers go on writing, and one stops (card D07). Nobody else judges, or somebody does
// from when the watch has had the loop replaced.
func asleep(t *testing.T, h *Hub, j *journal) {
	t.Helper()
	var leases []*Lease
	var epochs []uint64
	var stops []func() error
	for i := range 100 {
		l := publish(t, h, "well"+strconv.Itoa(i), nil)
		leases, epochs, stops = append(leases, l), append(epochs, l.Epoch()), append(stops, feed(l, encoder(byte(i))))
	}
	v := play(t, h, "well7")
	r, seen := v.Stream().NewReader(), &sim.Checker{}
	gone := publish(t, h, "gone", nil)
	stopGone := feed(gone, encoder(0))
	time.Sleep(time.Second)
	lull(t, h, napping)
	wants(t, "one that goes", stopGone(), nil)
	drain(t, r, seen) // it has not read for seconds, and skips
	begin, judged := time.Now(), time.Duration(0)
	for gone.Context().Err() == nil && time.Since(begin) < time.Minute {
		time.Sleep(tick)
		synctest.Wait()
		if n := drain(t, r, seen); n < 6 {
			t.Errorf("%d units in %v", n, tick)
		}
		judged = max(judged, h.Stalled())
	}
	took, act := time.Since(begin), watch.Registry.Limits().Act
	least, most := napping-time.Second, napping+time.Second
	if h.board != nil { // somebody watches
		least, most = act-time.Second, act+time.Second
	}
	if judged < least || judged > most || took < judged || took > judged+h.Limit(Steady).Silence+time.Second {
		t.Errorf("nobody has judged for %v; one that has gone is ended after %v", judged, took)
	}
	lost(t, gone, ErrSilent)
	gone.Release(nil)
	time.Sleep(napping)
	for i, l := range leases {
		lost(t, l, nil)
		if l.Epoch() != epochs[i] {
			t.Errorf("epoch %d instead of %d", l.Epoch(), epochs[i])
		}
		wants(t, "writing", stops[i](), nil)
	}
	wants(t, "the viewer", context.Cause(v.Context()), nil)
	if n := len(j.of(Unpublished)); n != 2 {
		t.Errorf("%d publishers were ended, want the two that were silent", n)
	}
	v.Release(nil)
	for _, l := range leases {
		l.Release(nil)
	}
}

// The loop of leases sleeps for 12 s, and nobody replaces it: no publisher that writes is ended when it wakes.
func TestAsleep(t *testing.T) {
	scene(t, window(0), nil, asleep)
}

// The same where another loop takes over in the midst of it.
func TestAsleepReplaced(t *testing.T) {
	watched(t, window(0), asleep)
}
