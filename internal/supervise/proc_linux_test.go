package supervise

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStatFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		pid   int
		state string
	}{
		"12 (vigil) S 1 12":         {12, "S"},
		"12 (a) b) (c) Z 7 12":      {12, "Z"},
		"12 () R 1":                 {12, "R"},
		"12 (a\nb) T 1":             {12, "T"},
		"12 (never closed S 1":      {0, ""},
		"":                          {0, ""},
		"12 vigil S 1":              {0, ""},
		"999999999999 (x) ":         {0, ""},
		"12 (x)) D 1 2 3 4 5 6 7 8": {12, "D"},
	} {
		pid, fields := statFields([]byte(text))
		state := ""
		if len(fields) > 0 {
			state = fields[0]
		}
		if state != want.state || state != "" && pid != want.pid {
			t.Errorf("%q: %d, %q", text, pid, fields)
		}
	}
}

func FuzzStatFields(f *testing.F) {
	f.Add([]byte("12 (vigil) S 1 12"))
	f.Add([]byte("12 (a) b) (c) Z 7 12"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, fields := statFields(b)
		for _, x := range fields {
			if x == "" {
				t.Errorf("%q: %q", b, fields)
			}
		}
	})
}

// TestProcessOf looks at a process that sleeps, is stopped, and has ended.
func TestProcessOf(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	within(t, "it sleeps", func() bool { return processOf(pid).state == 'S' })
	if p := processOf(pid); p.traced {
		t.Error("nobody traces it")
	}
	_ = cmd.Process.Signal(unix.SIGSTOP)
	within(t, "it is stopped", func() bool { return processOf(pid).state == 'T' })
	_ = cmd.Process.Kill()
	within(t, "it is a zombie", func() bool { return processOf(pid).state == 'Z' })
	_ = cmd.Wait()
	if p := processOf(pid); p != (process{}) {
		t.Errorf("of no process: %+v", p)
	}
	self := processOf(os.Getpid())
	if self.state == 0 {
		t.Errorf("of this process: %+v", self)
	}
}

// TestReap takes the exit code of a child that nobody waits for, and leaves that of another.
func TestReap(t *testing.T) { // not parallel: what others start is none of its business
	var theirs, orphan *exec.Cmd
	for _, c := range []**exec.Cmd{&theirs, &orphan} {
		*c = exec.Command("true")
		if err := (*c).Start(); err != nil {
			t.Fatal(err)
		}
		within(t, "it has ended", func() bool { return processOf((*c).Process.Pid).state == 'Z' })
	}
	reap(func(pid int) bool { return pid != orphan.Process.Pid })
	if err := theirs.Wait(); err != nil {
		t.Errorf("the end of somebody's child was taken away: %v", err)
	}
	if p := processOf(orphan.Process.Pid); p.state != 0 {
		t.Errorf("the orphan is still there: %+v", p)
	}
}

// TestCutConnections cuts a connection of another process that cannot do so itself, and not its listening socket.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	for _, c := range []interface{ File() (*os.File, error) }{l.(*net.TCPListener), theirs.(*net.TCPConn)} {
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()         //nolint:errcheck // it is killed
	defer cmd.Process.Kill() //nolint:errcheck // the same
	_ = cmd.Process.Signal(unix.SIGSTOP)
	if n := cutConnections(cmd.Process.Pid); n != 1 {
		t.Errorf("%d connections are cut", n)
	}
	_ = ours.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err = ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer gets %v", err)
	}
	if err = reaches(l.Addr().String()); err != nil {
		t.Errorf("the listening socket: %v", err)
	}
	if n := cutConnections(1 << 22); n != 0 {
		t.Errorf("%d connections of process %s are cut", n, strconv.Itoa(1<<22))
	}
}
