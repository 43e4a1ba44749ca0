package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// firstBytes reads the first n bytes of an HTTP body.
func firstBytes(t testing.TB, url string, n int) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(res.Body, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// freePorts returns addresses that nobody listens on at the moment, and that the system gives nobody who asks for any port, as clients
// and servers of other tests do all the time: a program that begins a little later finds them free.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addresses []string
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portsFrom+nextPort.Add(1)%portsMost))
		if err != nil {
			continue
		}
		_ = l.Close()
		if addresses = append(addresses, l.Addr().String()); len(addresses) == n {
			return addresses
		}
	}
	t.Fatal("no port is free")
	return nil
}

// Ports of freePorts: below those that Linux gives to whoever asks for any.
const (
	portsFrom = 10_000
	portsMost = 20_000
)

// nextPort goes through the ports, from one that another run of the tests has hardly begun with.
var nextPort = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(997 * uint32(os.Getpid())) //nolint:gosec // a process's number is not negative
	return n
}()

// TestTerminate ends the program while it is at work: exit code 0 within 5 s, and players come to an orderly end.
func TestTerminate(t *testing.T) {
	t.Parallel()
	s := serve(t)
	publisher, _ := publishFFmpeg(t, s, clipAAC, "end")
	within(t, 15*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "end")
		return st.Ready
	})
	views := []*viewing{view(t, s.rtmpURL("end")), view(t, s.flvURL("end"))}
	prober := start(t, "ffprobe", probeArgs(s.rtmpURL("end"))...)
	idle, err := tryDial(t.Context(), s.rtmpURL("idle")) // connected, and does nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	s.awaitPlaying(t, "end", 3)
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began)
	t.Logf("ended after %v", took)
	if took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
	for _, v := range views {
		if len(v.wait(t, 5*time.Second)) == 0 {
			t.Error("a viewer got nothing")
		}
	}
	prober.succeed(t, 10*time.Second)
	publisher.wait(t, 10*time.Second)
}

// TestKill kills the program and starts it again at once, on the same ports and with the same secret.
func TestKill(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 2)
	settings := []string{"rtmp.listen=" + ports[0], "http.listen=" + ports[1], "rtsp.listen=127.0.0.1:0", "data=" + t.TempDir()}
	s := boot(t, settings...)
	units := unitsOf(t, clipAAC)
	secret := s.secret
	for range 3 {
		p := publish(t, s, "kill", flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
		p.send(0, units[:10]...)
		v := view(t, s.flvURL("kill"))
		within(t, 5*time.Second, "the viewer plays", func() bool { u, _ := v.got(); return len(u) > 0 })
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-s.done
		s.healthy(t)
		s = boot(t, settings...)
		if s.secret != secret {
			t.Error("the secret has changed")
		}
	}
	s.stop(t)
}

// TestBusyPort says in one line which port is busy, and ends with exit code 3.
func TestBusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, key := range []string{"rtmp.listen", "http.listen"} {
		settings := map[string]string{"rtmp.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", "rtsp.listen": "127.0.0.1:0", "data": t.TempDir()}
		settings[key] = l.Addr().String()
		args := []string{}
		for k, v := range settings {
			args = append(args, "--set", k+"="+v)
		}
		p := launch(t, command(t, args...))
		if code := p.wait(t, 10*time.Second); code != 3 {
			t.Errorf("%s: exit code %d", key, code)
		}
		said := strings.TrimSpace(p.errors.String())
		if strings.Count(said, "\n") > 0 || !strings.Contains(said, l.Addr().String()) || !strings.Contains(said, "in use") {
			t.Errorf("%s: it says:\n%s", key, said)
		}
	}
}

// TestConfiguration tries check, and files with mistakes.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		code       int
		says       []string
	}{
		{"sound", "rtmp:\n  listen: 127.0.0.1:0\n", 0, nil},
		{"unknown key", "rtmp:\n  listen: 127.0.0.1:0\n  chunk_sise: 4096\n", 2, []string{":3", "chunk_sise", "chunk_size"}},
		{"unknown section", "rmtp:\n  listen: 127.0.0.1:0\n", 2, []string{":1", "rmtp", "rtmp"}},
		{"bad value", "egress:\n  stall_timeout: soon\n", 2, []string{":2", "stall_timeout"}},
		{"no YAML", "rtmp: [\n", 2, []string{":"}},
	} {
		file := filepath.Join(t.TempDir(), "vigil.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		commands := [][]string{{"check", "-c", file}}
		if c.code != 0 {
			commands = append(commands, []string{"serve", "-c", file}, []string{"-c", file})
		}
		for _, args := range commands {
			p := launch(t, command(t, args...))
			if code := p.wait(t, 10*time.Second); code != c.code {
				t.Errorf("%s: %v: exit code %d, want %d\n%s", c.name, args, code, c.code, p.errors.tail(5))
			}
			for _, want := range c.says {
				if !strings.Contains(p.errors.String(), want) {
					t.Errorf("%s: %v: it does not say %q:\n%s", c.name, args, want, p.errors.tail(5))
				}
			}
		}
	}
	p := launch(t, command(t, "version"))
	p.succeed(t, 10*time.Second)
	if !strings.HasPrefix(p.out.String(), "vigil ") {
		t.Errorf("version: %q", p.out.String())
	}
	if code := launch(t, command(t, "--nonsense")).wait(t, 10*time.Second); code != 2 {
		t.Errorf("an unknown flag: exit code %d", code)
	}
}

// TestJSONLog: every line is JSON, on both outputs.
func TestJSONLog(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 2)
	data := t.TempDir()
	s := &server{rtmp: ports[0], http: ports[1], data: data}
	s.process = launch(t, command(t, "--log-format", "json", "--log-level", "debug",
		"--set", "rtmp.listen="+ports[0], "--set", "http.listen="+ports[1], "--set", "rtsp.listen=127.0.0.1:0", "--set", "data="+data))
	s.awaitReady(t)
	units := unitsOf(t, clipAAC)
	p := publish(t, s, "json", flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
	p.send(0, units[:10]...)
	firstBytes(t, s.flvURL("json"), 13)
	p.end()
	s.stop(t)
	n, sessions := 0, 0
	for lines := bufio.NewScanner(strings.NewReader(s.out.String() + s.errors.String())); lines.Scan(); n++ {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%v: %s", err, lines.Text())
		}
		if line["session"] != nil {
			sessions++
		}
	}
	if n < 5 || sessions < 2 {
		t.Errorf("%d lines, %d of a session", n, sessions)
	}
}
