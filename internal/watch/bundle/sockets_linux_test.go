package bundle

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Lines of a kernel, of a machine whose words begin with the lowest byte.
func TestReadSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 77 2 00000000 100 0 0 10 0
   1: 0100007F:078F 070200C0:1388 01 00020000:00000000 04:00000045 0000000A     0        0 88 2 00000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF0000070200C0:1389 08 00000000:00000010 00:00000000 00000000 0 0 0 2 00
   nonsense
`
	all, err := readSockets(t.Context(), strings.NewReader(table), map[string]int{"77": 3, "88": 4, "0": 9}, nil)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	text := string(socketsText(all))
	for _, want := range []string{
		"2 TCP sockets of this process: ESTABLISHED ×1, LISTEN ×1", "1 of its network that it does not hold, or not any more: CLOSE_WAIT ×1",
		"fd 3  127.0.0.1:8080 -> 0.0.0.0:0  LISTEN  send 0  receive 3", "ZERO WINDOW (the peer takes nothing): 1",
		"fd 4  127.0.0.1:1935 -> 192.0.2.7:5000  ESTABLISHED  send 131072  receive 0  timer 4  retries 10", "LARGEST SEND QUEUES: 1",
		"LARGEST RECEIVE QUEUES: 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if s := all[2]; s.Local.String() != "127.0.0.1:8080" || s.Remote.String() != "192.0.2.7:5001" || s.Receive != 16 || s.FD != -1 {
		t.Errorf("%+v", s)
	}
}

// What is in the queues of a live connection, and that its peer has closed it, is seen.
func TestOwnSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err = c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "CLOSE_WAIT with 6 bytes", func() bool { // FIN counts
		all, err := sockets(t.Context(), "/proc/self")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.FD >= 0 && s.Remote.String() == peer.RemoteAddr().String() && s.State == "CLOSE_WAIT" && s.Receive >= 5 {
				return true
			}
		}
		return false
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = sockets(ended, "/proc/self"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err = sockets(t.Context(), "/proc/0"); err == nil {
		t.Error("no error of a process that is none")
	}
}

// Another process, such as a worker that is wedged, or one that is gone.
func TestProcess(t *testing.T) {
	const secret = "s3cr3t-argument"
	cmd := exec.Command("sleep", "60")
	cmd.Args = []string{"sleep", "60"}
	cmd.Env = append(os.Environ(), "TOKEN="+secret)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	text := string(Process(t.Context(), cmd.Process.Pid))
	for _, want := range []string{"== 1 threads", "descriptors\n", "VmRSS", "Max open files", "/io\n", "schedstat", "/proc/loadavg"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, secret) {
		t.Error("it tells the environment")
	}
	if text = string(Process(t.Context(), 1<<30)); !strings.Contains(text, "no such file") {
		t.Errorf("of nobody: %s", text)
	}
	if text = string(process(t.Context(), "/proc/self")); !strings.Contains(text, "socket") && !strings.Contains(text, "anon_inode") {
		t.Errorf("of this one: %s", text)
	}
}
