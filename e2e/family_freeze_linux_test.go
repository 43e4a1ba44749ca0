package e2e

import (
	"context"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// graceTime is how long after its start nothing is done to a worker that hangs; silenceTime is how long it may be silent then.
const (
	graceTime   = 10 * time.Second
	silenceTime = 5 * time.Second
)

// TestFamilyWorkerStopped stops the worker alone: it is replaced, newcomers are served within 3 s of the verdict, and a bundle says why
// (I20, D06).
func TestFamilyWorkerStopped(t *testing.T) {
	t.Parallel()
	f := raise(t)
	begun := time.Now()
	old := f.signalWorker(t, syscall.SIGSTOP)
	f.logged(t, "is wedged", graceTime+3*silenceTime)
	verdictAt := time.Now()
	s := f.awaitWorker(t, old.Worker, 3*time.Second)
	p, _, _, err := faults.Insist(t.Context(), f.target("after"), faults.RTMP, sim.Options{Video: av.H264}, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	served := time.Since(verdictAt)
	t.Logf("stopped for %v until the verdict; a publisher is let in %v later", verdictAt.Sub(begun), served)
	if served > 3*time.Second {
		t.Errorf("newcomers were served %v after the verdict", served)
	}
	if s.Replacements != 1 || !strings.Contains(s.Why, "stopped (state T)") || !s.Live.OK {
		t.Errorf("%+v", s)
	}
	within(t, 6*time.Second, "the old worker has ended", func() bool { return !alive(old.PID) })
	within(t, 6*time.Second, "there is evidence", func() bool { return len(f.bundles(t)) > 0 })
	if v := verdict(t, f.bundles(t)[0]); !strings.Contains(v, "stopped (state T)") {
		t.Errorf("the evidence says: %s", v)
	}
}

// pause stops the whole family for a while, as a hypervisor does.
func (f *family) pause(t testing.TB, d time.Duration) {
	t.Helper()
	pids := []int{f.cmd.Process.Pid, f.status(t).PID}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
		if sig == syscall.SIGSTOP {
			hold(d)
		}
	}
}

// TestFamilyPaused stops both processes and continues them: nothing is done to the worker, and sessions of peers that live survive 3 s
// (N09).
func TestFamilyPaused(t *testing.T) {
	t.Parallel()
	f := raise(t)
	before := f.status(t)
	p, _, _, err := faults.Insist(t.Context(), f.target("paused"), faults.RTMP, sim.Options{Video: av.H264, Audio: av.AAC}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	encoded := make(chan error, 1)
	go func() { encoded <- p.Encode(ctx) }()
	var watchers []*watcher
	for _, way := range fewWays {
		w := watch(t.Context(), f.target("paused"), way)
		defer w.close()
		watchers = append(watchers, w)
		within(t, 10*time.Second, "it watches", func() bool { return w.units() > 0 || w.over() })
	}
	f.pause(t, 3*time.Second)
	counts := make([]int, len(watchers))
	for i, w := range watchers {
		counts[i] = w.units()
	}
	within(t, 10*time.Second, "all go on", func() bool {
		for i, w := range watchers {
			if w.over() || w.units() < counts[i]+20 {
				return w.over()
			}
		}
		return true
	})
	for _, w := range watchers {
		if w.over() {
			t.Errorf("a viewer was ended: %v", w.fault())
		}
	}
	select {
	case err := <-encoded:
		t.Errorf("the publisher was ended: %v", err)
	default:
	}
	f.unharmed(t, before)
	f.pause(t, inFull(t, 30*time.Second, 6*time.Second))
	hold(inFull(t, 15*time.Second, 3*time.Second)) // in which something could be done about it
	f.unharmed(t, before)
	again, _, _, err := faults.Insist(t.Context(), f.target("after"), faults.RTMP, sim.Options{Video: av.H264}, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// TestFamilyDebugger stops a worker that a debugger is attached to, for longer than one that hangs lives: nothing is done, neither then nor
// when it goes on.
func TestFamilyDebugger(t *testing.T) {
	t.Parallel()
	f := raise(t)
	before := f.status(t)
	detach := attachDebugger(t, before.PID)
	f.signalWorker(t, syscall.SIGSTOP)
	hold(graceTime + 2*time.Second)
	f.unharmed(t, before)
	if !f.status(t).Live.OK {
		t.Error("it is not live while somebody looks at it")
	}
	f.signalWorker(t, syscall.SIGCONT)
	detach()
	hold(time.Second)
	f.unharmed(t, before)
	f.awaitReady(t)
}

// attachDebugger traces a process, until the returned function is called.
func attachDebugger(t testing.TB, pid int) (detach func()) {
	t.Helper()
	attached, let, done := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()         // which is the debugger
		defer runtime.UnlockOSThread() // else it ended here, and with it every program that was started from it (Pdeathsig)
		attached <- unix.PtraceAttach(pid)
		<-let
		_ = unix.PtraceDetach(pid)
	}()
	if err := <-attached; err != nil {
		t.Fatalf("attach to process %d: %v", pid, err)
	}
	return func() {
		close(let)
		<-done
	}
}

// TestFamilyStarved has spinners take all processors: nothing is done, and the server is live all the time (W01).
func TestFamilyStarved(t *testing.T) { // not parallel: it is about the processors
	f := raise(t)
	before := f.status(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 * runtime.NumCPU() {
		launch(t, exec.CommandContext(ctx, client(t, "sh"), "-c", "while :; do :; done"))
	}
	asked := 0
	for end := time.Now().Add(inFull(t, 2*time.Minute, 8*time.Second)); time.Now().Before(end); asked++ {
		if status, body := f.ask(t, http.MethodGet, "/livez"); status != http.StatusOK {
			t.Fatalf("/livez: %d %s", status, body)
		}
		hold(50 * time.Millisecond)
	}
	cancel()
	t.Logf("live %d times", asked)
	f.unharmed(t, before)
	f.awaitReady(t)
}

// TestFamilySafeMode kills worker after worker: the one after the sixth lets no media in, and the server is not dead (W06).
func TestFamilySafeMode(t *testing.T) {
	t.Parallel()
	f := raise(t)
	for range 6 {
		old := f.signalWorker(t, syscall.SIGKILL)
		f.awaitWorker(t, old.Worker, 15*time.Second)
	}
	if s := f.status(t); !s.SafeMode || !s.Live.OK || s.Replacements != 6 {
		t.Errorf("%+v", s)
	}
	for _, address := range []string{f.health, f.http} {
		s := &server{http: address}
		within(t, 5*time.Second, "/livez answers 200", func() bool { return s.request(t, http.MethodGet, "/livez", nil).status == http.StatusOK })
		a := s.request(t, http.MethodGet, "/readyz", nil)
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("%s/readyz: %d %s", address, a.status, a.body)
		}
	}
	if _, body := f.ask(t, http.MethodGet, "/readyz"); !strings.Contains(string(body), "safe mode") {
		t.Errorf("/readyz does not say why: %s", body)
	}
	if n := f.counts(t).Publishers; n != 0 {
		t.Errorf("%d publishers", n)
	}
	p, err := faults.Publish(t.Context(), f.target("refused"), faults.RTMP, sim.Options{Video: av.H264})
	if err == nil {
		_ = p.Close()
		t.Error("a publisher is let in")
	}
	t.Logf("a publisher is told: %v", err)
}

// TestFamilyIdle has ten thousand viewers of a stream in which next to nothing happens, none of whom reads: nothing is taken to be stuck, and
// nothing is done.
func TestFamilyIdle(t *testing.T) {
	t.Parallel()
	f := raise(t)
	before := f.status(t)
	broadcast(t, f.server, "quiet", sim.Options{Audio: av.AAC})
	most := inFull(t, 9000, 500) // both ends of each are descriptors of this machine's 20 000
	ws := []faults.Way{faults.HTTP, faults.WS, faults.RTMP}
	for i := range most {
		p, err := faults.Play(t.Context(), f.target("quiet"), ws[i%len(ws)], false)
		if err != nil {
			t.Fatalf("viewer %d: %v", i, err)
		}
		t.Cleanup(func() { _ = p.Close() })
	}
	within(t, time.Minute, "all of them play", func() bool { return f.counts(t).Viewers >= most })
	hold(inFull(t, 30*time.Second, 3*time.Second))
	f.unharmed(t, before)
	for line := range strings.Lines(f.errors.String()) {
		if strings.Contains(line, "stuck") {
			t.Errorf("something is taken to be stuck: %s", line)
		}
	}
}
