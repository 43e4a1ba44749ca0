package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// packages says what Debian calls what brings a client.
var packages = map[string]string{
	"ffmpeg": "ffmpeg", "ffprobe": "ffmpeg", "rtmpdump": "rtmpdump", "node": "nodejs", "gst-launch-1.0": "gstreamer1.0-tools " +
		"gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp",
	"cvlc": "vlc-bin vlc-plugin-base", "setpriv": "util-linux",
}

// client returns the path of a program of somebody else's.
func client(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run scripts/deps.sh (as `make deps` does), or install Debian's %s", name, packages[name])
	}
	return path
}

// output is a buffer that may be read while it grows.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail returns the last lines.
func (o *output) tail(n int) string {
	lines := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// process is a program that runs. It is killed when its test ends, should it still run.
type process struct {
	name        string
	cmd         *exec.Cmd
	out, errors output
	done        chan struct{}
	err         error // why it ended, after done
}

// start starts a client. Its standard output and standard error are kept.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(client(t, name), args...))
}

// launch starts a command.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: cmd.Path[strings.LastIndexByte(cmd.Path, '/')+1:], cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.errors
	cmd.WaitDelay = 5 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // nothing outlives these tests, however they end
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			_ = cmd.Process.Kill()
			<-p.done
		}
	})
	return p
}

// wait waits until the program has ended, and returns its exit code. It fails the test after limit.
func (p *process) wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		t.Fatalf("%v has not ended within %v\n%s", p.cmd.Args, limit, p.errors.tail(20))
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0
	case errors.As(p.err, &exit):
		return exit.ExitCode()
	}
	t.Fatalf("%v: %v", p.cmd.Args, p.err)
	return -1
}

// succeed waits until the program has ended with exit code 0.
func (p *process) succeed(t testing.TB, limit time.Duration) {
	t.Helper()
	if code := p.wait(t, limit); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", p.cmd.Args, code, p.errors.tail(20))
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// run runs a client to its end and returns its standard output.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	p := start(t, name, args...)
	p.succeed(t, time.Minute)
	return p.out.String()
}
