package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// familyLoad are publishers and viewers that come back whenever they are cut off, and clients that connect all the time.
type familyLoad struct {
	f          *family
	publishers int
	cancel     context.CancelFunc
	wg         sync.WaitGroup

	mu      sync.Mutex
	letIn   map[int]time.Time // when each publisher was last let in
	refused []error           // of those that connect
	dialled int
	broken  int // requests that broke
	unready int // requests that were answered with 503
	wrong   []error
	slowest time.Duration // a request took
}

// load puts a load on the family, until the test ends.
func (f *family) load(t testing.TB, publishers, viewers int) *familyLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &familyLoad{f: f, publishers: publishers, cancel: cancel, letIn: map[int]time.Time{}}
	for i := range publishers {
		l.wg.Go(func() { l.publish(ctx, i) })
	}
	l.awaitPublishers(t, time.Time{}, time.Minute)
	for i := range viewers {
		l.wg.Go(func() { l.view(ctx, f.target(fmt.Sprintf("family-%d", i%publishers)), plainWays[i%len(plainWays)]) })
	}
	for _, address := range []string{f.rtmp, f.rtsp, f.http} {
		l.wg.Go(func() { l.dial(ctx, address) })
	}
	l.wg.Go(func() { l.get(ctx) })
	t.Cleanup(l.end)
	return l
}

func (l *familyLoad) end() {
	l.cancel()
	l.wg.Wait()
}

// publish publishes, and again when it is cut off, until ctx ends.
func (l *familyLoad) publish(ctx context.Context, i int) {
	to, o := l.f.target(fmt.Sprintf("family-%d", i)), sim.Options{Video: av.H264, Audio: av.AAC}
	for ctx.Err() == nil {
		p, _, _, err := faults.Insist(ctx, to, faults.RTMP, o, 200*time.Millisecond)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.letIn[i] = time.Now()
		l.mu.Unlock()
		_ = p.Encode(ctx)
		_ = p.Close()
	}
}

// view watches, and again when it is cut off.
func (l *familyLoad) view(ctx context.Context, to faults.Target, way faults.Way) {
	for again := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; {
		if p, err := faults.Play(ctx, to, way, false); err == nil {
			stop := context.AfterFunc(ctx, func() { p.Close() })
			_ = p.Discard()
			stop()
			_ = p.Close()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
		}
	}
}

// dial connects every 20 ms.
func (l *familyLoad) dial(ctx context.Context, address string) {
	d := net.Dialer{Timeout: 5 * time.Second}
	for every := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			every.Stop()
			return
		}
		c, err := d.DialContext(ctx, "tcp", address)
		l.mu.Lock()
		l.dialled++
		if err != nil && ctx.Err() == nil {
			l.refused = append(l.refused, err)
		}
		l.mu.Unlock()
		if err == nil {
			_ = c.Close()
		}
	}
}

// get asks for what there is not, every 20 ms: the answer is 404, or 503 with Retry-After.
func (l *familyLoad) get(ctx context.Context) {
	for every := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			every.Stop()
			return
		}
		begun := time.Now()
		err := l.getOnce(ctx)
		took := time.Since(begun)
		l.mu.Lock()
		l.slowest = max(l.slowest, took)
		switch {
		case ctx.Err() != nil, err == nil:
		case errors.Is(err, errUnready):
			l.unready++
		case cutOff(err):
			l.broken++ // the worker had taken it
		default:
			l.wrong = append(l.wrong, err)
		}
		l.mu.Unlock()
	}
}

var errUnready = errors.New("503")

// cutOff says whether a request had no answer because its connection was closed. net/http has an error of its own, without a name, for one that was
// closed after it was made, or kept, and before the request was on its way.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection")
}

func (l *familyLoad) getOnce(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.f.http+"/nothing", nil)
	if err != nil {
		return err
	}
	res, err := web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return errUnready
	}
	return fmt.Errorf("the answer is %s %v", res.Status, res.Header)
}

// awaitPublishers waits until all publishers have been let in since a moment, and returns how long after it that was.
func (l *familyLoad) awaitPublishers(t testing.TB, since time.Time, limit time.Duration) (last time.Duration) {
	t.Helper()
	within(t, limit, "all publishers are let in", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, at := range l.letIn {
			if at.After(since) {
				n++
				last = max(last, at.Sub(since))
			}
		}
		return n == l.publishers
	})
	return last
}

// judge fails if anybody was refused. Requests may have broken with so many workers.
func (l *familyLoad) judge(t testing.TB, died int) {
	t.Helper()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d connections; requests: %d answered with 503, %d broke, the slowest took %v",
		l.dialled, l.unready, l.broken, l.slowest)
	if len(l.refused) > 0 {
		t.Errorf("%d connections were refused: %v", len(l.refused), l.refused[0])
	}
	if len(l.wrong) > 0 {
		t.Errorf("%d requests went wrong: %v", len(l.wrong), l.wrong[0])
	}
	if l.broken > 2*died {
		t.Errorf("%d requests broke, with %d workers that died", l.broken, died)
	}
}

// TestFamilyKill kills the worker under load: no connection is refused, publishers are back within 3 s, and HTTP is answered all the time
// (W06, I20).
func TestFamilyKill(t *testing.T) {
	f := raise(t)
	publishers, viewers := inFull(t, 200, 10), inFull(t, 1000, 20)
	if raced() {
		publishers, viewers = inFull(t, 30, 10), inFull(t, 60, 20)
	}
	l := f.load(t, publishers, viewers)
	rounds := inFull(t, familyRounds(t), 2)
	for i := range rounds {
		hold(inFull(t, 30*time.Second, time.Second))
		killed := time.Now()
		old := f.signalWorker(t, syscall.SIGKILL)
		took := l.awaitPublishers(t, killed, 10*time.Second)
		s := f.awaitWorker(t, old.Worker, 5*time.Second)
		t.Logf("round %d: worker %d serves; the last of %d publishers was back after %v", i+1, s.Worker, publishers, took)
		if took > 3*time.Second {
			t.Errorf("the last publisher was back after %v", took)
		}
		if s.SafeMode {
			t.Error("safe mode")
		}
	}
	l.judge(t, rounds)
	if n := f.status(t).Replacements; n != rounds {
		t.Errorf("%d replacements", n)
	}
}

// TestFamilyReload replaces the worker as planned, under load: nobody is refused, no request breaks, viewers run to the end of what
// there is (W06, W03).
func TestFamilyReload(t *testing.T) {
	f := raise(t, fixedPorts(t)...)
	publishers, viewers := inFull(t, 200, 10), inFull(t, 1000, 20)
	if raced() {
		publishers, viewers = inFull(t, 30, 10), inFull(t, 60, 20)
	}
	l := f.load(t, publishers, viewers)
	for range inFull(t, 5, 1) {
		p, _, _, err := faults.Insist(t.Context(), f.target("end"), faults.RTMP, sim.Options{Video: av.H264, Audio: av.AAC}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		encoded := make(chan error, 1)
		go func() { encoded <- p.Encode(t.Context()) }()
		var watchers []*watcher
		for _, way := range fewWays {
			w := watch(t.Context(), f.target("end"), way)
			defer w.close()
			watchers = append(watchers, w)
			within(t, 10*time.Second, "it watches", func() bool { return w.units() > 0 || w.over() })
		}
		old := f.status(t)
		begun := time.Now()
		reload := f.command(t, "reload", "--worker")
		took := l.awaitPublishers(t, begun, 15*time.Second)
		reload.succeed(t, 10*time.Second)
		s := f.awaitWorker(t, old.Worker, time.Second)
		t.Logf("%s; the last of %d publishers was back after %v", reload.out.tail(1), publishers, took)
		if want := fmt.Sprintf("worker %d serves, with process id %d", s.Worker, s.PID); reload.out.tail(1) != want {
			t.Errorf("it says %q, and %q is so", reload.out.tail(1), want)
		}
		if err := <-encoded; err == nil {
			t.Error("the publisher of the old worker was not ended")
		}
		for _, w := range watchers {
			within(t, 8*time.Second, "the viewer comes to the end", w.over)
			if err := w.fault(); err != nil {
				t.Errorf("a viewer of the old worker: %v", err)
			}
		}
		f.logged(t, fmt.Sprintf("the old worker has ended worker=%d: exit code 0", old.Worker), 10*time.Second)
		if alive(old.PID) || s.Replacements != 0 {
			t.Errorf("the old worker lives: %v; %d replacements that were not planned", alive(old.PID), s.Replacements)
		}
	}
	l.judge(t, 0)
}
