package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestFamilyCommands asks a running server by the program's commands, and one that does not run.
func TestFamilyCommands(t *testing.T) {
	t.Parallel()
	f := rear(t, fixedPorts(t)...)
	f.awaitFamily(t)
	commands := []struct {
		args string
		says []string
	}{
		{"status", []string{"live        ok\n", "worker      1, process id " + strconv.Itoa(f.status(t).PID), "probe       ok"}},
		{"healthcheck", []string{"ok\n"}},
		{"healthcheck --ready", []string{"ok\n"}},
		{"bundle", []string{filepath.Join(f.data, "bundles")}},
	}
	for _, c := range commands {
		p := f.command(t, strings.Fields(c.args)...)
		p.succeed(t, 20*time.Second)
		for _, want := range c.says {
			if !strings.Contains(p.out.String(), want) {
				t.Errorf("vigil %s does not say %q:\n%s", c.args, want, p.out.String())
			}
		}
	}
	if n := len(f.bundles(t)); n != 1 {
		t.Errorf("there are %d bundles", n)
	}
	f.flags = append(f.flags, "--set", "http.listen=")
	p := f.command(t, "bundle") // as of a worker that does not answer
	f.flags = f.flags[:len(f.flags)-2]
	p.succeed(t, 20*time.Second)
	said := p.out.String() + p.errors.String()
	if !strings.Contains(said, "the supervisor is asked") || !strings.Contains(said, "is being gathered") {
		t.Errorf("vigil bundle without the worker's HTTP says\n%s", said)
	}
	within(t, 10*time.Second, "the evidence that was asked for is there", func() bool { return len(f.bundles(t)) >= 2 })
	f.stop(t)
	for _, args := range []string{"status", "healthcheck", "healthcheck --ready", "bundle", "reload --worker"} {
		p := f.command(t, strings.Fields(args)...)
		code, said := p.wait(t, 10*time.Second), p.out.String()+p.errors.String()
		if code != 1 || !strings.Contains(said, "connection refused") || strings.Count(p.errors.String(), "\n") > 2 {
			t.Errorf("vigil %s with no server: exit code %d\n%s", args, code, said)
		}
	}
}

// TestFamilySignals: SIGHUP is survived and logged, SIGUSR2 leaves a bundle.
func TestFamilySignals(t *testing.T) {
	t.Parallel()
	f := raise(t)
	before := f.status(t)
	_ = f.cmd.Process.Signal(syscall.SIGHUP)
	f.logged(t, "SIGHUP", 5*time.Second)
	_ = f.cmd.Process.Signal(syscall.SIGUSR2)
	within(t, 10*time.Second, "there is a bundle", func() bool { return len(f.bundles(t)) == 1 })
	if v := verdict(t, f.bundles(t)[0]); !strings.Contains(v, "SIGUSR2") {
		t.Errorf("the evidence says: %s", v)
	}
	f.unharmed(t, before)
}

// TestFamilyConfiguration: a replacement takes up a changed configuration; one that is wrong changes nothing.
func TestFamilyConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vigil.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log:\n  level: info\n")
	f := raise(t, append(fixedPorts(t), "--config="+file)...)
	before := f.status(t)
	p, err := faults.Publish(t.Context(), f.target("stays"), faults.RTMP, sim.Options{Video: av.H264})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()

	write("log:\n  lewel: debug\n")
	reload := f.command(t, "reload", "--worker")
	if code := reload.wait(t, 10*time.Second); code != 2 || !strings.Contains(reload.errors.String(), "lewel") {
		t.Errorf("exit code %d: %s", code, reload.errors.String())
	}
	status, body := f.ask(t, http.MethodPost, "/reload")
	if said := string(body); status != http.StatusUnprocessableEntity || !strings.Contains(said, "nothing was changed") ||
		!strings.Contains(said, "lewel") {
		t.Errorf("the supervisor answers %d: %s", status, said)
	}
	write("rtmp:\n  tls:\n    listen: " + f.health + "\ntls:\n  cert: none.pem\n  key: none.pem\n") // found wrong by the worker
	if status, body = f.ask(t, http.MethodPost, "/reload"); status < 400 {
		t.Errorf("the supervisor answers %d: %s", status, body)
	}
	f.unharmed(t, before)
	if err := p.Next(); err != nil {
		t.Errorf("the publisher: %v", err)
	}

	write("log:\n  level: debug\n")
	f.command(t, "reload", "--worker").succeed(t, 20*time.Second)
	f.awaitWorker(t, before.Worker, time.Second)
	f.logged(t, "DBG", 2*time.Second)
	if n := strings.Count(f.out.String(), "Try:"); n != 1 {
		t.Errorf("there are %d start-up screens", n)
	}
}

// processorTime is how long processors have worked for the family.
func (f *family) processorTime(t testing.TB) time.Duration {
	t.Helper()
	worker, err := os.FindProcess(f.status(t).PID)
	if err != nil {
		t.Fatal(err)
	}
	w := &server{process: &process{cmd: command(t)}}
	w.cmd.Process = worker
	return f.processTime(t) + w.processTime(t)
}

// TestFamilyProbe: nothing is seen of the probe in lists and figures, and it costs next to nothing.
func TestFamilyProbe(t *testing.T) {
	t.Parallel()
	f, without := raise(t), raise(t, "watch.probe=0s")
	base, baseWithout := f.processorTime(t), without.processorTime(t)
	seen := f.figures(t)
	const d = 10 * time.Second
	for range d / time.Second {
		hold(time.Second)
		if list := f.streams(t); list.Publishers+list.Viewers+len(list.Streams)+len(list.Waiting) > 0 {
			t.Fatalf("the probe is seen: %+v", list)
		}
	}
	used, usedWithout := f.processorTime(t)-base, without.processorTime(t)-baseWithout
	t.Logf("with the probe %v of %v, without %v: the probe takes %.2f %% of a processor (and so do the questions of this test)",
		used, d, usedWithout, 100*float64(used-usedWithout)/float64(d))
	for name, v := range f.figures(t) {
		if probed := strings.HasPrefix(name, "vigil_sessions") || strings.HasPrefix(name, "vigil_streams") ||
			strings.HasPrefix(name, "vigil_refused") || strings.HasPrefix(name, "vigil_received") || strings.HasPrefix(name, "vigil_sent") ||
			strings.HasPrefix(name, "vigil_viewers"); probed && (v != 0 || seen[name] != 0) {
			t.Errorf("%s is %v, and was %v", name, v, seen[name])
		}
	}
	if s := f.status(t); s.Probe != "ok" {
		t.Errorf("the probe: %s", s.Probe)
	}
	if s := without.status(t); s.Probe != "off" || !s.Ready.OK {
		t.Errorf("without it: %+v", s)
	}
}

// TestFamilyBlockedConsole: a console that nobody reads holds nothing up, neither serving nor replacing the worker nor the end (D04).
func TestFamilyBlockedConsole(t *testing.T) {
	t.Parallel()
	f := &family{server: &server{data: t.TempDir()}}
	ports := freePorts(t, 3)
	f.rtmp, f.http, f.health = ports[0], ports[1], ports[2]
	cmd := command(t, "--log-level", "debug", "--set", "rtmp.listen="+f.rtmp, "--set", "http.listen="+f.http, "--set", "rtsp.listen=127.0.0.1:0",
		"--set", "watch.listen="+f.health, "--set", "data="+f.data)
	prepareFamily(cmd)
	full := fullPipe(t)
	cmd.Stdout, cmd.Stderr = full, full
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.process = &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		f.err = cmd.Wait()
		close(f.done)
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-f.done })
	f.awaitReady(t)
	b, err := os.ReadFile(filepath.Join(f.data, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	f.secret = strings.TrimSpace(string(b))
	old := f.signalWorker(t, syscall.SIGABRT) // with many last words
	s := f.awaitWorker(t, old.Worker, 5*time.Second)
	if status, body := f.ask(t, http.MethodPost, "/reload"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	f.awaitWorker(t, s.Worker, 5*time.Second)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	begun := time.Now()
	if code := f.wait(t, 15*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("ended after %v", time.Since(begun))
}
