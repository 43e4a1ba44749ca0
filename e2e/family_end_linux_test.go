package e2e

import (
	"net"
	"os"
	"os/exec"
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

// stalled is a family with players that do not read, which hold a shutdown up.
func stalled(t testing.TB, settings ...string) *family {
	t.Helper()
	f := rear(t, settings...)
	f.awaitFamily(t)
	p, err := faults.Publish(t.Context(), f.target("end"), faults.RTMP, sim.Options{Video: av.H264, Size: 20_000, KeySize: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Encode(t.Context()) }() // until the server ends it
	t.Cleanup(func() { p.Close() })
	within(t, 10*time.Second, "the stream is ready", func() bool { st, _ := f.stream(t, "end"); return st.Ready })
	stall(t, f.target("end"), 9, plainWays)
	hold(time.Second) // in which the sockets fill
	return f
}

// gone fails unless both processes have ended.
func (f *family) gone(t testing.TB, worker int) {
	t.Helper()
	if alive(worker) {
		t.Errorf("the worker, process %d, lives", worker)
	}
	f.healthy(t)
}

// TestFamilyTerminate ends the family while players stall: exit code 0 within 5 s, and no process is left (W03).
func TestFamilyTerminate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send func(f *family) error
	}{
		{"SIGTERM", func(f *family) error { return f.cmd.Process.Signal(syscall.SIGTERM) }},
		{"an interrupt from the terminal", func(f *family) error { return syscall.Kill(-f.cmd.Process.Pid, syscall.SIGINT) }},
	} {
		f := stalled(t)
		worker := f.status(t).PID
		begun := time.Now()
		if err := c.send(f); err != nil {
			t.Fatal(err)
		}
		code := f.wait(t, 15*time.Second)
		took := time.Since(begun)
		t.Logf("%s: ended with %d after %v", c.name, code, took)
		if code != 0 || took > 5*time.Second {
			t.Errorf("%s: ended with %d after %v\n%s", c.name, code, took, f.errors.tail(10))
		}
		f.gone(t, worker)
		if n := strings.Count(f.errors.String(), "shutting down: interrupt"); c.name != "SIGTERM" && n != 1 {
			t.Errorf("%d processes have obeyed the interrupt", n)
		}
	}
}

// TestFamilySecondSignal: a second SIGTERM ends all at once (W03).
func TestFamilySecondSignal(t *testing.T) {
	t.Parallel()
	f := stalled(t)
	worker := f.status(t).PID
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	f.logged(t, "shutting down", 5*time.Second)
	begun := time.Now()
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	code := f.wait(t, 5*time.Second)
	if took := time.Since(begun); took > 2*time.Second || code == 0 {
		t.Errorf("ended with %d after %v", code, took)
	}
	f.gone(t, worker)
}

// TestFamilyOrphan kills the supervisor: the worker ends by itself, and the ports are free at once for whoever takes its place (I20).
func TestFamilyOrphan(t *testing.T) {
	t.Parallel()
	ports := append(fixedPorts(t), "data="+t.TempDir())
	f := stalled(t, ports...)
	worker := f.status(t).PID
	begun := time.Now()
	_ = f.cmd.Process.Kill()
	for _, address := range []string{f.rtmp, f.rtsp, f.http} {
		within(t, 5*time.Second, "the port is free", func() bool {
			l, err := net.Listen("tcp", address)
			if err == nil {
				_ = l.Close()
			}
			return err == nil
		})
	}
	free := time.Since(begun)
	next := raise(t, ports...)
	within(t, 8*time.Second, "the worker has ended", func() bool { return !alive(worker) })
	t.Logf("the ports were free after %v, the worker ended within %v", free, time.Since(begun))
	if next.status(t).PID == worker {
		t.Error("it has been adopted")
	}
}

// TestFamilyBusyPorts: the supervisor's usual port may be another's, one that was asked for may not, and neither may the worker's.
func TestFamilyBusyPorts(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, key := range []string{"watch.listen", "rtmp.listen", "http.listen"} {
		f := rear(t, key+"="+busy.Addr().String())
		if code := f.wait(t, 10*time.Second); code != 3 {
			t.Errorf("%s: exit code %d", key, code)
		}
		said := f.errors.String()
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, "in use") || !strings.Contains(said, busy.Addr().String()) {
			t.Errorf("%s: it says\n%s", key, said)
		}
	}
	const usual = "127.0.0.1:8081"
	if l, err := net.Listen("tcp", usual); err == nil { // else somebody has it already
		defer l.Close()
	}
	f := raise(t, "watch.listen="+usual)
	f.logged(t, "health is answered on http.listen only", time.Second)
	if f.health != "" {
		t.Errorf("the screen says that health is at %s", f.health)
	}
}

// TestFamilyPID1 is the first process of a container: it sees to the end of a process that its parent has left behind.
func TestFamilyPID1(t *testing.T) {
	t.Parallel()
	f := rearAs(t, func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}, cmd.Args...)
		cmd.Path = client(t, "unshare")
	})
	f.awaitFamily(t)
	init := childOf(t, f.cmd.Process.Pid)
	const nap = "1.2345"
	sh := []string{"--target", strconv.Itoa(init), "--pid", "--mount", "sh", "-c", "sleep " + nap + " >/dev/null 2>&1 &"}
	start(t, "nsenter", sh...).succeed(t, 5*time.Second)
	orphan := 0
	within(t, 5*time.Second, "the orphan is a child of the supervisor", func() bool {
		for _, pid := range childrenOf(t, init) {
			if b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); strings.Contains(string(b), nap) {
				orphan = pid
			}
		}
		return orphan != 0
	})
	within(t, 5*time.Second, "nothing is left of the orphan", func() bool { return !alive(orphan) })
	worker := childOf(t, init)
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil { // whose end is not an orphan's
		t.Fatal(err)
	}
	f.logged(t, "the worker ended with signal killed", 5*time.Second)
	within(t, 10*time.Second, "another serves", func() bool { return f.status(t).Worker == 2 })
	if err := syscall.Kill(init, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := f.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, f.errors.tail(10))
	}
	f.healthy(t)
}

// childOf is the first child of a process, childrenOf are all.
func childOf(t testing.TB, pid int) (child int) {
	t.Helper()
	within(t, 5*time.Second, "it has a child", func() bool {
		all := childrenOf(t, pid)
		if len(all) > 0 {
			child = all[0]
		}
		return child != 0
	})
	return child
}

func childrenOf(t testing.TB, parent int) (all []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file) // it may have ended
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// TestFamilyNotify: systemd is told that the server is ready, that all is well, and that it stops.
func TestFamilyNotify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := rearAs(t, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path) })
	next := func() string {
		b := make([]byte, 1000)
		if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	said := map[string]int{}
	for said["READY=1"] == 0 {
		said[next()]++
	}
	for begun, n := time.Now(), 0; n < 3; {
		if next() != "WATCHDOG=1" {
			t.Error("something else was said while all was well")
		}
		if n++; time.Since(begun) > 10*time.Second {
			t.Error("systemd is not told often enough")
		}
	}
	f.awaitFamily(t)
	old := f.signalWorker(t, syscall.SIGKILL)
	f.awaitWorker(t, old.Worker, 5*time.Second)
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	for said["STOPPING=1"] == 0 {
		said[next()]++
	}
	if code := f.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if said["READY=1"] != 1 {
		t.Errorf("it was ready %d times: %v", said["READY=1"], said)
	}
}
