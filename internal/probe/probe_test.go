package probe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen serves connections until the test ends.
func listen(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// silent never answers, until the peer goes.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// answer is an HTTP server of few words.
func answer(text string) func(c net.Conn) {
	return func(c net.Conn) {
		var b [4 << 10]byte
		_, _ = c.Read(b[:])
		_, _ = io.WriteString(c, text)
	}
}

func run(t *testing.T, target probe.Target) probe.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	r := probe.Run(ctx, new(net.Dialer), target)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the run took %v", d)
	}
	if r.OK != (r.Stage == "") || r.OK != (r.Err == nil) || r.At.Before(begin) {
		t.Errorf("%+v", r)
	}
	return r
}

func TestStages(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	nobody := listen(t, silent)
	for _, c := range []struct {
		name   string
		target probe.Target
		stage  string
		err    string
	}{
		{"nothing is on", probe.Target{}, "", ""},
		{"HTTP alone", probe.Target{HTTP: listen(t, answer(ok)), Others: []string{nobody}}, "", ""},
		{"HTTP hangs", probe.Target{HTTP: nobody, RTMP: nobody}, "GET /livez", "no answer in time"},
		{"HTTP answers half", probe.Target{HTTP: listen(t, answer("HTTP/1.1 20"))}, "GET /livez", "closed the connection"},
		{
			"HTTP is ill",
			probe.Target{HTTP: listen(t, answer("HTTP/1.1 503 Service Unavailable\r\n\r\n"))},
			"GET /livez", `want 200, its last word was "HTTP/1.1 503 Service Unavailable"`,
		},
		{"RTMP never answers", probe.Target{HTTP: listen(t, answer(ok)), RTMP: nobody}, "connect RTMP", "no answer in time"},
		{"RTMP hangs up", probe.Target{RTMP: listen(t, answer("\x03"))}, "connect RTMP", ""},
		{"RTMP says too much", probe.Target{RTMP: listen(t, answer(strings.Repeat("x", 100<<10)))}, "connect RTMP", ""},
		{"RTMP is gone", probe.Target{RTMP: gone(t)}, "connect RTMP", "refused"},
		{"another is gone", probe.Target{Others: []string{nobody, "127.0.0.1:1"}}, "connect 127.0.0.1:1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, c.target)
			if r.Stage != c.stage || c.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.err)) {
				t.Errorf("%q: %v; want %q: %s", r.Stage, r.Err, c.stage, c.err)
			}
		})
	}
}

// gone is an address at which nobody listens any more.
func gone(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestCancel breaks a run off that has no deadline.
func TestCancel(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := probe.Run(ctx, new(net.Dialer), probe.Target{RTMP: listen(t, func(c net.Conn) {
		cancel(stop)
		silent(c)
	})})
	if r.OK || !errors.Is(r.Err, stop) && !errors.Is(r.Err, context.Canceled) {
		t.Errorf("%+v", r)
	}
}
