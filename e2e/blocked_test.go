package e2e

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// fullPipe returns the writing end of a pipe that is full and that nobody reads, but of a test that has failed: it logs what was to come.
func fullPipe(t testing.TB) *os.File {
	t.Helper()
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var text []byte
		for b := make([]byte, 1<<16); t.Failed(); {
			n, err := syscall.Read(fds[0], b)
			if n <= 0 || err != nil {
				break
			}
			text = append(text, bytes.Trim(b[:n], "\x00")...)
			hold(20 * time.Millisecond) // what was blocked goes on
		}
		if len(text) > 0 {
			t.Logf("what nobody read:\n%s", text)
		}
		_ = syscall.Close(fds[0])
	})
	block := make([]byte, 4096)
	for {
		_, err := syscall.Write(fds[1], block)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.SetNonblock(fds[1], false); err != nil { // the program must block on it, as on any terminal
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "full pipe")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestBlockedOutput has a reader of the program's output that is stuck (card D03): the program serves, and ends in order when it
// is told to.
func TestBlockedOutput(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]struct{ out, errors bool }{
		"log": {errors: true}, "screen": {out: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t, 2)
			cmd := command(t, "--set", "rtmp.listen="+ports[0], "--set", "http.listen="+ports[1], "--set", "rtsp.listen=127.0.0.1:0", "--set", "data="+t.TempDir(),
				"--set", "log.level=debug")
			ended := make(chan error, 1)
			t.Cleanup(func() {
				if cmd.Process == nil {
					return
				}
				_ = cmd.Process.Kill()
				if t.Failed() {
					t.Logf("ended: %v", <-ended)
				}
			})
			if block.out {
				cmd.Stdout = fullPipe(t)
			}
			if block.errors {
				cmd.Stderr = fullPipe(t)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				ended <- cmd.Wait()
				close(ended)
			}()
			s := &server{rtmp: ports[0], http: ports[1]}
			s.awaitReady(t)
			if c, err := tryDial(t.Context(), s.rtmpURL("any")); err != nil {
				t.Errorf("it does not serve: %v", err)
			} else {
				_ = c.Close()
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(6 * time.Second):
				t.Error("it does not end")
			}
		})
	}
}
