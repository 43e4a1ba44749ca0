package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// ways are all in which one can be played to; plainWays those without TLS.
var (
	plainWays = []faults.Way{
		faults.RTMP, faults.HTTP, faults.WS, faults.RTSP, faults.TS, faults.MP4, faults.WSTS, faults.WSMP4,
	}
	secureWays = []faults.Way{faults.RTMPS, faults.HTTPS, faults.WSS, faults.RTSPS, faults.TSS, faults.WSSMP4}
	// fewWays are one of each format, for tests in which a viewer costs much.
	fewWays = []faults.Way{faults.RTMP, faults.WS, faults.RTSP, faults.TS, faults.WSMP4}
	ways    = append(append([]faults.Way{}, plainWays...), secureWays...)
)

// watcher is a viewer that judges every unit of an encoder of sim as it comes, and keeps none.
type watcher struct {
	way    faults.Way
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	check sim.Checker
	tag   sim.Tag       // of the last unit
	dts   time.Duration // of the last unit
	shown uint64        // number of the last picture
	last  time.Time     // when the last unit came
	worst time.Duration // the longest time without one
	err   error         // why it ended; nil: it was told to, or the stream is over
}

// watch begins to watch.
func watch(ctx context.Context, to faults.Target, way faults.Way) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{way: way, cancel: cancel, done: make(chan struct{})}
	w.check.PerTrack = way.OutOfStep()
	go func() {
		defer close(w.done)
		defer cancel()
		err := w.run(ctx, to)
		if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *watcher) run(ctx context.Context, to faults.Target) error {
	p, err := faults.Play(ctx, to, w.way, false)
	if err != nil {
		return err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	return w.read(p.Read)
}

// read judges all units that come.
func (w *watcher) read(next func() ([]*av.AccessUnit, error)) error {
	for {
		units, err := next()
		if err != nil {
			return err
		}
		w.mu.Lock()
		for _, u := range units {
			now := time.Now()
			if !w.last.IsZero() {
				w.worst = max(w.worst, now.Sub(w.last))
			}
			w.last, w.dts = now, u.DTS
			if err = w.check.Unit(u); err != nil {
				break
			}
			w.tag, _ = sim.Read(u) // it has just been read
			if u.Track.Kind() == av.Video {
				w.shown = w.tag.TrackSeq
			}
		}
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// close ends it.
func (w *watcher) close() {
	w.cancel()
	<-w.done
}

// units is how many have come.
func (w *watcher) units() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.check.Units
}

// newest is the tag and the stamp of the unit that came last.
func (w *watcher) newest() (sim.Tag, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tag, w.dts
}

// picture is the number of the picture that came last.
func (w *watcher) picture() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown
}

// over says whether it has ended.
func (w *watcher) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// gap is the longest time without a unit, up to now if it still watches.
func (w *watcher) gap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return w.worst
	default:
		return max(w.worst, time.Since(w.last))
	}
}

// fault is what is wrong with what has come: an end that nobody asked for, units that are missing.
func (w *watcher) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return fmt.Errorf("%s: after %d units: %w", w.way, w.check.Units, w.err)
	case w.check.Missing > 0:
		return fmt.Errorf("%s: %d units are missing at %d places, of %d", w.way, w.check.Missing, w.check.Gaps, w.check.Units)
	}
	return nil
}

// audience begins n watchers, in all ways in turn, and ends them with the test.
func audience(t testing.TB, to faults.Target, n int) []*watcher {
	t.Helper()
	all := make([]*watcher, n)
	for i := range all {
		all[i] = watch(t.Context(), to, ways[i%len(ways)])
		t.Cleanup(all[i].close)
	}
	within(t, 20*time.Second, "all watchers watch", func() bool {
		for _, w := range all {
			if err := w.fault(); err != nil {
				t.Fatal(err)
			}
			if w.units() == 0 {
				return false
			}
		}
		return true
	})
	return all
}

// judgeAll fails unless all watchers have got every unit, and have never waited long.
func judgeAll(t testing.TB, all []*watcher) {
	t.Helper()
	units, worst := 0, time.Duration(0)
	for _, w := range all {
		if err := w.fault(); err != nil {
			t.Error(err)
		}
		units, worst = units+w.units(), max(worst, w.gap())
	}
	t.Logf("%d watchers got %d units; the longest that one was without: %v", len(all), units, worst)
	if worst > gapMax {
		t.Errorf("a watcher was without a unit for %v", worst)
	}
}
