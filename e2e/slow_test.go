package e2e

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// What TestSlowReaders holds the server to.
const (
	frozenMost = 5 * time.Second // without a unit, as long as a viewer is connected
	lateMostOf = 3 * time.Second // behind the live edge, and back to it
)

// TestSlowReaders has viewers that read half of what the stream has, or nine tenths of it, and then all (cards Q06, N08): meanwhile they
// skip and are never without a unit for long, or are ended with a reason; and they are back at the live edge soon. The others, the
// publisher and the API notice nothing.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const name, perSecond = "slow", 210_000 // bytes of the stream
	length := hammerTime(t, 7*time.Second)  // those at half the rate would be 3.5 s behind
	s := serveTLS(t)
	broadcast(t, s, name, sim.Options{Video: av.H264, Audio: av.AAC, Size: 8000, KeySize: 16_000})
	to := s.target(name)
	stay := audience(t, to, len(ways))
	var wg sync.WaitGroup
	for i, part := range []int64{50, 90} {
		for _, way := range ways {
			wg.Go(func() {
				rate := &atomic.Int64{}
				rate.Store(perSecond * part / 100)
				w := slowly(t, to, way, rate)
				judgeSlow(t, fmt.Sprintf("%s at %d %%", way, part), w, stay[i], rate, length)
			})
		}
	}
	for begin := time.Now(); time.Since(begin) < length; hold(100 * time.Millisecond) {
		at := time.Now()
		s.streams(t)
		if took := time.Since(at); took > time.Second {
			t.Errorf("the API took %v", took)
		}
	}
	wg.Wait()
	judgeAll(t, stay)
}

// slowly watches at a rate.
func slowly(t testing.TB, to faults.Target, way faults.Way, rate *atomic.Int64) *watcher {
	t.Helper()
	p, err := faults.PlaySlowly(t.Context(), to, way, rate)
	if err != nil {
		t.Error(err)
		return nil
	}
	w := &watcher{way: way, cancel: func() { _ = p.Drop() }, done: make(chan struct{})}
	t.Cleanup(w.close)
	go func() {
		defer close(w.done)
		if err := w.read(p.Read); !errors.Is(err, io.EOF) {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		}
	}()
	return w
}

// judgeSlow watches how a slow viewer fares, then lets it read all.
func judgeSlow(t testing.TB, who string, w, live *watcher, rate *atomic.Int64, length time.Duration) {
	t.Helper()
	if w == nil {
		return
	}
	behind := func() time.Duration { // in pictures: RTSP's stamps begin with each player
		const step = 40 * time.Millisecond
		edge, at := live.picture(), w.picture()
		return step * time.Duration(edge-min(at, edge)) //nolint:gosec // not that many
	}
	most := time.Duration(0)
	for begin := time.Now(); time.Since(begin) < length && !w.over(); hold(50 * time.Millisecond) {
		if w.units() > 0 {
			most = max(most, behind())
		}
	}
	if w.over() { // the log says why
		t.Logf("%s: ended after %d units: %v", who, w.units(), w.err)
		return
	}
	gap := w.gap()
	rate.Store(0)
	freed := time.Now()
	ok := eventually(lateMostOf, func() bool { return behind() < 500*time.Millisecond })
	w.mu.Lock()
	skips := w.check.Gaps
	w.mu.Unlock()
	t.Logf("%s: %d skips, up to %v behind, up to %v without a unit; back within %v", who, skips, most, gap, time.Since(freed))
	if !ok || most > lateMostOf || gap > frozenMost {
		t.Errorf("%s: up to %v behind, up to %v without a unit, %v behind after %v", who, most, gap, behind(), time.Since(freed))
	}
	w.mu.Lock()
	err := w.err
	w.mu.Unlock()
	if err != nil {
		t.Errorf("%s: %v", who, err)
	}
	w.close()
}
