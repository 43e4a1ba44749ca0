package supervise

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/probe"
	"github.com/vigil-media/vigil/internal/watch"
)

// TestMain is a worker, too: the supervisors of these tests start this program.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(fakeWorker()) //nolint:forbidigo // it is a process of its own
	}
	os.Exit(m.Run()) //nolint:forbidigo // so does every TestMain
}

const roleEnv = "VIGIL_TEST_ROLES" // what each worker does; the last one is also that of all that follow

// fakeWorker does what its role says. It tells its console how far it has come.
func fakeWorker() int {
	p, err := Attach()
	if err != nil {
		return 100
	}
	roles := strings.Split(os.Getenv(roleEnv), ",")
	role := roles[min(p.Number(), len(roles))-1]
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(p.Console(), "%d "+format+"\n", append([]any{p.Number()}, args...)...)
	}
	say("hello safe=%v why=%q health=%v", p.Safe(), p.Why(), p.HealthAddress() != "")
	end := make(chan int, 3)
	if role == "deaf" {
		signal.Ignore(syscall.SIGTERM)
	} else if role != "never" { // which ends as a program does that has not got so far
		ch := make(chan os.Signal, 2)
		signal.Notify(ch, syscall.SIGTERM, syscall.SIGHUP)
		go func() {
			for sig := range ch {
				say("signal %v", sig)
				if sig == syscall.SIGTERM {
					end <- 0
				}
			}
		}()
	}
	go func() {
		err := p.Run(context.Background(), Orders{
			Retire: func() {
				say("retire")
				if role != "deaf" {
					end <- 0
				}
			},
			Bundle: func(reason string, asked bool) { say("bundle %s %v", reason, asked) },
		})
		if errors.Is(err, ErrGone) && role != "deaf" {
			end <- 79
		}
	}()
	switch role {
	case "refuse":
		for range 200 { // that the supervisor has to get through first
			_ = p.line.send(&message{Listen: &listen{Name: "HTTP", Address: "127.0.0.1:0"}}, -1)
		}
		_ = p.Failed(errors.New("the port is busy"), 3)
		return 3
	case "never":
		return <-end
	}
	l, err := p.Listen(context.Background(), "HTTP", "127.0.0.1:0")
	if err != nil {
		return 101
	}
	go func() {
		number := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "worker %d", p.Number()) })
		_ = http.Serve(l, number) //nolint:gosec // a test's
	}()
	say("ready")
	if p.Ready([]byte("hash")) != nil {
		return 102
	}
	switch role {
	case "die":
		return 9
	case "told":
		for until := time.Now().Add(300 * time.Millisecond); p.Health() == nil && time.Now().Before(until); {
			<-time.After(5 * time.Millisecond)
		}
		say("told=%v", p.Health() != nil)
	case "keep":
		keepTwice(p, say)
	}
	for beat := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case code := <-end:
			return code
		case <-beat.C:
			p.Beat(&watch.Pulse{Scan: 1}, Vitals{Open: true})
		}
	}
}

// keepTwice hands evidence over twice at once, for the same reason.
func keepTwice(p *Post, say func(string, ...any)) {
	var wg sync.WaitGroup
	for _, data := range []string{"one", "two", "bad"} {
		wg.Go(func() {
			path, err := p.Keep(context.Background(), "the same", false, []byte(data))
			say("kept %s: %q %v", data, path, err)
		})
	}
	wg.Wait()
}

// rig is a supervisor of fake workers that runs.
type rig struct {
	*Supervisor
	t       *testing.T
	console string // a file
	signals chan os.Signal
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // of Run, after done
}

// supervise runs a supervisor whose workers have these roles, until the test ends.
func supervise(t *testing.T, roles string, change ...func(*Supervisor)) *rig {
	t.Helper()
	r := &rig{t: t, console: filepath.Join(t.TempDir(), "console"), signals: make(chan os.Signal, 2), done: make(chan struct{})}
	console, err := os.OpenFile(r.console, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.Supervisor, err = New(Options{
		Executable: exe, Env: append(os.Environ(), roleEnv+"="+roles, "GORACE=atexit_sleep_ms=0"), Console: console,
		Log: slog.New(slog.NewTextHandler(console, nil)), Health: "127.0.0.1:0", HealthMust: true,
		Keep: func(_ context.Context, _ string, _ bool, data []byte) (string, error) {
			if string(data) == "bad" {
				return "", errors.New("the disk is full")
			}
			return "/" + string(data), nil
		},
		Compose: func(reason string, _ []byte, _ int) ([]byte, error) { return []byte(reason), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r.Supervisor)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx, r.signals)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		_ = console.Close()
		if t.Failed() {
			t.Log(r.text())
		}
	})
	return r
}

func (r *rig) text() string {
	b, err := os.ReadFile(r.console)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// says waits until words have been said.
func (r *rig) says(words string) {
	r.t.Helper()
	within(r.t, fmt.Sprintf("%q", words), func() bool { return strings.Contains(r.text(), words) })
}

// serving waits until the worker with a number serves, and returns its process id.
func (r *rig) serving(number int) (pid int) {
	r.t.Helper()
	within(r.t, fmt.Sprintf("worker %d serves", number), func() bool {
		h := r.Health()
		pid = h.PID
		return h.Worker == number
	})
	return pid
}

// ends waits until Run has returned.
func (r *rig) ends(limit time.Duration) error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		r.t.Fatalf("it does not end within %v", limit)
	}
	return r.err
}

// plans has the worker replaced as planned.
func (r *rig) plans() <-chan error {
	reply := make(chan error, 1)
	r.do(r.t.Context(), func() { r.plan(r.runCtx, "a test", reply) })
	return reply
}

// asks sends a request to the workers' port.
func (r *rig) asks(path string) (status int, body string) {
	r.t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + r.sockets.all()[0].target() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// within waits until ok says so.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to pass: %s", what)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestFirstWorkerCannotStart: its words and its exit code are the supervisor's.
func TestFirstWorkerCannotStart(t *testing.T) {
	t.Parallel()
	for range 5 { // whatever comes first, its words or its end
		err := supervise(t, "refuse").ends(20 * time.Second)
		if e, ok := errors.AsType[*ExitError](err); !ok || *e != (ExitError{3, "the port is busy"}) {
			t.Fatalf("%v", err)
		}
	}
}

// TestFirstWorkerIsNeverReady: it is killed, and the supervisor ends.
func TestFirstWorkerIsNeverReady(t *testing.T) {
	t.Parallel()
	err := supervise(t, "never", func(s *Supervisor) { s.startMost = 300 * time.Millisecond }).ends(20 * time.Second)
	if e, ok := errors.AsType[*ExitError](err); !ok || e.Code != 1 || !strings.Contains(e.Why, "not ready within") {
		t.Errorf("%v", err)
	}
}

// TestWorkerDies: another is started, on the same socket, and HTTP is answered meanwhile.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve,never,serve")
	first := r.serving(1)
	if status, body := r.asks("/"); status != 200 || body != "worker 1" {
		t.Errorf("%d %q", status, body)
	}
	_ = syscall.Kill(first, syscall.SIGKILL)
	r.says("2 hello safe=false why=\"the worker ended with signal killed\"")
	if status, _ := r.asks("/"); status != http.StatusServiceUnavailable {
		t.Errorf("with no worker: %d", status)
	}
	if status, _ := r.asks("/livez"); status != 200 {
		t.Errorf("/livez with no worker: %d", status)
	}
	r.do(t.Context(), func() { r.coming().signal(syscall.SIGKILL) })
	r.serving(3)
	for range 20 {
		if _, body := r.asks("/"); body != "worker 3" {
			t.Fatalf("another than worker 3 answers: %s", body)
		}
	}
	if h := r.Health(); h.Restarts != 2 || h.Safe {
		t.Errorf("%+v", h)
	}
	r.signals <- syscall.SIGTERM
	if err := r.ends(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestSafeMode: the worker after too many that have died is told to let no media in; one that is planned is a usual one again.
func TestSafeMode(t *testing.T) {
	t.Parallel()
	r := supervise(t, "die,die,die,die,die,die,serve")
	r.serving(7)
	text := r.text()
	if strings.Contains(text, "6 hello safe=true") || !strings.Contains(text, "7 hello safe=true") {
		t.Error("it is not the seventh worker that is told to be safe")
	}
	within(t, "the state of health says so", func() bool {
		h := r.Health()
		return h.Safe && h.Live.OK && !h.Ready.OK && strings.Contains(h.Ready.Status, "safe mode")
	})
	if err := <-r.plans(); err != nil {
		t.Fatal(err)
	}
	r.says("8 hello safe=false")
	within(t, "safe mode is over", func() bool { return !r.Health().Safe })
}

// TestPlanned: the old worker retires when the new one is ready, not before.
func TestPlanned(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve")
	old := r.serving(1)
	if err := <-r.plans(); err != nil {
		t.Fatal(err)
	}
	if n := r.Health().Worker; n != 2 {
		t.Errorf("when it is said to be done, worker %d serves", n)
	}
	r.says("the old worker has ended")
	text := r.text()
	if ready, retire := strings.Index(text, "2 ready"), strings.Index(text, "1 retire"); ready < 0 || retire < ready {
		t.Error("the old worker had to retire first")
	}
	if alive(old) {
		t.Error("the old worker lives")
	}
	if h := r.Health(); h.Restarts != 0 {
		t.Errorf("a planned one counts as %d replacements", h.Restarts)
	}
	within(t, "the new worker alone answers", func() bool { _, body := r.asks("/"); return body == "worker 2" })
}

// TestPlannedFails: a new worker that is never ready, or cannot start, changes nothing, and is never tried twice at once.
func TestPlannedFails(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]string{"never": "not ready within", "refuse": "the port is busy"} {
		r := supervise(t, "serve,"+role)
		old := r.serving(1)
		r.do(t.Context(), func() { r.startMost = time.Second })
		reply := r.plans()
		if role == "never" {
			if err := <-r.plans(); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("two at once: %v", err)
			}
		}
		if err := <-reply; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", role, err)
		}
		if _, body := r.asks("/"); body != "worker 1" || r.serving(1) != old {
			t.Errorf("%s: the old worker does not go on: %q", role, body)
		}
	}
}

// TestOldWorkerDiesBeforeTheNewIsReady: the one that is coming takes over.
func TestOldWorkerDiesBeforeTheNewIsReady(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve,serve,serve")
	old := r.serving(1)
	reply := r.plans()
	_ = syscall.Kill(old, syscall.SIGKILL)
	if err := <-reply; err != nil {
		t.Fatal(err)
	}
	r.serving(2)
	if strings.Contains(r.text(), "3 hello") {
		t.Error("there is one too many")
	}
}

// TestNewWorkerDiesAtOnce: the old one is gone by then, and a third is started.
func TestNewWorkerDiesAtOnce(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve,die,serve")
	r.serving(1)
	if err := <-r.plans(); err != nil {
		t.Fatal(err)
	}
	r.serving(3)
	within(t, "worker 3 alone answers", func() bool { _, body := r.asks("/"); return body == "worker 3" })
}

// TestTermination: of what is being planned, too.
func TestTermination(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve,never")
	r.serving(1)
	r.signals <- syscall.SIGHUP
	r.says("1 signal hangup")
	reply := r.plans()
	r.says("2 hello")
	r.signals <- syscall.SIGTERM
	if err := <-reply; !errors.Is(err, errEnding) {
		t.Errorf("the plan: %v", err)
	}
	if err := r.ends(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestSecondSignal ends those that do not listen, at once. The supervisor's own end does the same, after a while.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	r := supervise(t, "deaf")
	pid := r.serving(1)
	r.signals <- syscall.SIGTERM
	within(t, "it shuts down", func() bool { return !r.Health().Ready.OK })
	r.signals <- syscall.SIGINT
	if _, ok := errors.AsType[*ExitError](r.ends(3 * time.Second)); !ok {
		t.Errorf("%v", r.err)
	}
	if alive(pid) {
		t.Error("the worker lives")
	}
	r = supervise(t, "deaf")
	pid = r.serving(1)
	r.cancel()
	if _, ok := errors.AsType[*ExitError](r.ends(8 * time.Second)); !ok {
		t.Errorf("%v", r.err)
	}
	if alive(pid) {
		t.Error("the worker lives")
	}
}

// TestLeftBehind: a worker that cannot be ended holds nothing up, and when it ends all the same, it is no other's end (D06).
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	r := supervise(t, "deaf,serve")
	pid := r.serving(1)
	r.do(t.Context(), func() { r.leaveBehind(r.runCtx, r.present()) })
	r.serving(2)
	if !alive(pid) {
		t.Fatal("the worker has ended")
	}
	mine := func(pid int) (is bool) {
		done := make(chan bool, 1)
		r.do(t.Context(), func() { done <- r.isWorker(pid) })
		return <-done
	}
	if !mine(pid) {
		t.Error("its end is taken for that of an orphan")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	within(t, "its end is noted", func() bool { return !mine(pid) })
	if h := r.Health(); h.Worker != 2 || h.Restarts != 1 {
		t.Errorf("%+v", h)
	}
	r.do(t.Context(), func() { r.leaveBehind(r.runCtx, r.present()) })
	r.serving(3)
	r.signals <- syscall.SIGTERM
	if err := r.ends(5 * time.Second); err != nil { // with one that lives
		t.Error(err)
	}
}

// TestKeep: two that hand over evidence for the same reason at once are each told where their own is, and why not.
func TestKeep(t *testing.T) {
	t.Parallel()
	r := supervise(t, "keep")
	r.says(`1 kept one: "/one" <nil>`)
	r.says(`1 kept two: "/two" <nil>`)
	r.says(`1 kept bad: "" the disk is full`)
	r.signals <- syscall.SIGUSR2
	r.says("1 bundle SIGUSR2 true")
}

// TestDescriptors: replacements leave nothing open.
func TestDescriptors(t *testing.T) { // not parallel: it counts those of the process
	r := supervise(t, "serve")
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	r.serving(1)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close what was forgotten
	base := 0
	for i := range 50 {
		if err := <-r.plans(); err != nil {
			t.Fatal(err)
		}
		within(t, "one worker is left", func() bool { return strings.Count(r.text(), "the old worker has ended") == i+1 })
		if i == 1 {
			base = count()
		}
	}
	within(t, fmt.Sprintf("%d descriptors are open again", base), func() bool { return count() <= base })
}

// TestGoneProgram: a program that has been removed from its place is started all the same.
func TestGoneProgram(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve", func(s *Supervisor) { s.opt.Executable = "/nowhere/vigil" })
	r.serving(1)
}

// broken puts something in the place of the program that is not one, or one that ends at once.
func broken(t *testing.T, text string) func(*Supervisor) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return func(s *Supervisor) { s.opt.Executable = path }
}

// TestBrokenProgram: what cannot be started is no end of the supervisor, which starts its own program instead.
func TestBrokenProgram(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve", broken(t, "no program"))
	r.serving(1)
	r.says("the program cannot be started")
}

// TestBrokenUpgrade: a program that cannot be started does not take over, and one that ends at once is not tried for ever.
func TestBrokenUpgrade(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"no program", "#!/bin/sh\nexit 9\n"} {
		r := supervise(t, "serve")
		pid := r.serving(1)
		change, changed := broken(t, text), make(chan struct{})
		r.do(t.Context(), func() { change(r.Supervisor); close(changed) })
		<-changed
		if err := <-r.plans(); err == nil {
			t.Errorf("%q takes over", text)
		}
		if h := r.Health(); h.PID != pid || !h.Live.OK {
			t.Errorf("%q: %+v", text, h)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		within(t, "another serves", func() bool { h := r.Health(); return h.Worker > 1 && h.PID != pid && h.PID != 0 })
	}
}

// TestProbeAfterPause: a probe that fails just after a pause says nothing, and one that succeeds does.
func TestProbeAfterPause(t *testing.T) {
	t.Parallel()
	now, c := time.Now(), &child{phase: serving}
	s := &Supervisor{log: slog.New(slog.DiscardHandler)}
	s.workers, s.base = []*child{c}, now.Add(afterward)
	s.probed(c, probe.Result{Stage: "publish"}, now, s.base)
	if s.probes.misses != 0 || s.probes.any {
		t.Errorf("it counts: %+v", s.probes)
	}
	if s.probed(c, probe.Result{OK: true}, now, s.base); !s.probes.any {
		t.Error("a success does not count")
	}
	if s.probed(c, probe.Result{Stage: "publish"}, now.Add(2*afterward), s.base); s.probes.misses != 1 {
		t.Error("later ones do not count")
	}
}

// TestSecretChanges: who has changed the secret may have it taken up, and nothing else.
func TestSecretChanges(t *testing.T) {
	t.Parallel()
	old, fresh, calls := sha256.Sum256([]byte("old")), sha256.Sum256([]byte("new")), 0
	s := &Supervisor{opt: Options{Secret: func() ([]byte, error) { calls++; return fresh[:], nil }}}
	known := old[:]
	s.secret.Store(&known)
	if !s.willKnow(old[:]) || calls != 0 {
		t.Error("the present secret")
	}
	if s.knows(fresh[:]) || !s.willKnow(fresh[:]) || calls != 1 {
		t.Error("the next secret")
	}
	if s.willKnow(fresh[:]) || calls != 1 {
		t.Error("files are read as often as anybody likes")
	}
	s.asked = time.Time{}
	if bad := sha256.Sum256([]byte("bad")); s.willKnow(bad[:]) {
		t.Error("a wrong secret")
	}
}

// TestToldAtOnce: a new worker hears of the state of health as soon as it serves, whenever the one before it did.
func TestToldAtOnce(t *testing.T) {
	t.Parallel()
	r := supervise(t, "serve,told")
	r.serving(1)
	if err := <-r.plans(); err != nil {
		t.Fatal(err)
	}
	r.says("2 told=true")
}

// TestReadyBeforeTheFirstBeat: a worker that has taken over from one that was well is ready at once.
func TestReadyBeforeTheFirstBeat(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &child{phase: serving, number: 2, since: now, beatAt: now, cmd: &exec.Cmd{}}
	s := &Supervisor{opt: Options{Probe: time.Second}}
	s.ready1, s.base, s.workers = true, now.Add(-time.Hour), []*child{c}
	s.probes = probes{any: true, okAt: now, last: probe.Result{OK: true}}
	if h := s.describe(now); !h.Ready.OK {
		t.Errorf("%+v", h.Ready)
	}
	c.beat = beat{Scan: 1}
	if h := s.describe(now); h.Ready.OK {
		t.Error("ready, although nobody is let in")
	}
}

// TestAbsent: a server without a worker is not live for ever.
func TestAbsent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &Supervisor{}
	s.ready1, s.base = true, now.Add(-time.Hour)
	for age, live := range map[time.Duration]bool{time.Second: true, absentMost + time.Second: false} {
		s.absent = now.Add(-age)
		if h := s.describe(now); h.Live.OK != live || h.Ready.OK {
			t.Errorf("without a worker for %v: live %+v, ready %+v", age, h.Live, h.Ready)
		}
	}
	s.base = now // there was a pause
	if h := s.describe(now); !h.Live.OK {
		t.Errorf("after a pause: %+v", h.Live)
	}
}

// TestBackoff: the first two workers follow at once, also when they are killed twice a minute, and safe mode is reached within seconds.
func TestBackoff(t *testing.T) {
	t.Parallel()
	s, now := &Supervisor{}, time.Now()
	s.died = budget{most: diedMost, span: diedSpan}
	for i, ms := range []int{0, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		s.died.spend(now)
		if got := s.backoff(now); got != time.Duration(ms)*time.Millisecond {
			t.Errorf("after %d deaths: %v, want %d ms", i+1, got, ms)
		}
	}
}
