package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// keeper is an HTTP server that keeps the connections of requests for /ours/..., and who talks to it.
type keeper struct {
	t      testing.TB
	conn   net.Conn
	in     *bufio.Reader
	direct atomic.Int64 // requests that the HTTP server has handed out itself
	stop   context.CancelFunc
}

func newKeeper(t *testing.T, idle time.Duration) *keeper {
	t.Helper()
	k := &keeper{t: t}
	done, stop := context.WithCancel(t.Context())
	k.stop = stop
	serve := func(w http.ResponseWriter, r *http.Request) {
		body := "you asked for " + r.URL.Path
		switch r.URL.Path {
		case "/ours/short":
			w.Header().Set("Content-Length", "100")
		case "/ours/long":
			w.Header().Set("Content-Length", "1")
		case "/ours/none":
			w.WriteHeader(http.StatusNotModified)
			return
		case "/ours/endless":
		case "/ours/evil":
			w.Header().Set("X-Evil", "a\r\nSet-Cookie: b")
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		case "/ours/big":
			body = strings.Repeat("x", 1<<20)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		default:
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		_, _ = io.WriteString(w, body)
	}
	keeping := Keeping{
		Done: done, Idle: idle, Ours: func(path string) bool { return strings.HasPrefix(path, "/ours/") }, Serve: http.HandlerFunc(serve),
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.direct.Add(1)
		switch {
		case strings.HasPrefix(r.URL.Path, "/ours/"):
			serve(w, r)
			Keep(w, r, keeping)
		case r.URL.Path == "/take":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			line, err := rw.ReadString('\n')
			_, _ = fmt.Fprintf(conn, "taken %q %v\n", line, err)
			_ = conn.Close()
		default:
			b, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "other %s %s", r.URL.Path, b)
		}
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		stop()
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	if k.conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.conn.Close() })
	_ = k.conn.SetDeadline(time.Now().Add(10 * time.Second))
	k.in = bufio.NewReader(k.conn)
	k.want("GET /ours/first HTTP/1.1\r\nHost: x\r\n\r\n", "200 you asked for /ours/first")
	return k
}

// want sends a request and looks at the answer: its status and body, or what has become of the connection.
func (k *keeper) want(request, want string) http.Header {
	k.t.Helper()
	if _, err := io.WriteString(k.conn, request); err != nil {
		k.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(k.in, &http.Request{Method: method})
	if err != nil {
		if want != "closed" {
			k.t.Errorf("%q: %v", request, err)
		}
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	got := fmt.Sprint(resp.StatusCode, " ", string(b))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		got = "cut short"
	}
	if got = strings.TrimSpace(got); got != want {
		k.t.Errorf("%q: %q, want %q", request[:min(60, len(request))], got, want)
	}
	return resp.Header
}

// gone fails the test unless the server has closed the connection.
func (k *keeper) gone() {
	k.t.Helper()
	if b, err := k.in.ReadByte(); err == nil {
		k.t.Errorf("the connection goes on with %q", b)
	}
}

// TestKeep: what comes by a connection that was taken over is answered as by the HTTP server.
func TestKeep(t *testing.T) {
	k := newKeeper(t, 5*time.Second)
	const host = " HTTP/1.1\r\nHost: x\r\n\r\n"
	if h := k.want("GET /ours/a"+host, "200 you asked for /ours/a"); h.Get("Date") == "" || h.Get("Connection") != "" {
		t.Errorf("%+v", h)
	}
	k.want("HEAD /ours/a"+host, "200")
	k.want("GET /ours/none"+host, "304")
	k.want("GET /ours/big"+host, "200 "+strings.Repeat("x", 1<<20))
	if k.want("GET /ours/evil"+host, "200 you asked for /ours/evil").Get("Set-Cookie") != "" {
		t.Error("a header's value has become a header")
	}
	if _, err := io.WriteString(k.conn, "GET /ours/1"+host+"GET /ours/2"+host); err != nil { // one behind the other
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2"} {
		k.want("", "200 you asked for /ours/"+want)
	}
	if n := k.direct.Load(); n != 1 {
		t.Errorf("%d requests went by the HTTP server", n)
	}
}

// TestKeepEnds: what the connection does not survive, and what is said before.
func TestKeepEnds(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"another path":       {"GET /else HTTP/1.1\r\nHost: x\r\n\r\n", "200 other /else"},
		"a body":             {"POST /ours/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "200 you asked for /ours/a"},
		"a body elsewhere":   {"POST /else HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "200 other /else abc"},
		"chunks":             {"POST /else HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "200 other /else a"},
		"close":              {"GET /ours/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200 you asked for /ours/a"},
		"HTTP/1.0":           {"GET /ours/a HTTP/1.0\r\n\r\n", "200 you asked for /ours/a"},
		"no length":          {"GET /ours/endless HTTP/1.1\r\nHost: x\r\n\r\n", "200 you asked for /ours/endless"},
		"less than promised": {"GET /ours/short HTTP/1.1\r\nHost: x\r\n\r\n", "cut short"},
		"more than promised": {"GET /ours/long HTTP/1.1\r\nHost: x\r\n\r\n", "closed"},
		"no HTTP":            {"garbage\r\n\r\n", "closed"},
		"a head too long":    {"GET /ours/a HTTP/1.1\r\nX: " + strings.Repeat("x", keptHeaderMax) + "\r\n\r\n", "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, 5*time.Second)
			k.want(c.request, c.want)
			k.gone()
		})
	}
	t.Run("a body too long", func(t *testing.T) {
		k := newKeeper(t, 5*time.Second)
		const size = 4 * keptHeaderMax
		if _, err := fmt.Fprintf(k.conn, "POST /else HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(k.conn, strings.Repeat("x", size)) // it may be closed meanwhile
		if b, _ := io.ReadAll(k.in); len(b) == 0 || len(b) > keptHeaderMax+keptHead {
			t.Errorf("%d bytes of an answer that repeats the body", len(b))
		}
	})
	t.Run("silence", func(t *testing.T) {
		k := newKeeper(t, 100*time.Millisecond)
		k.gone()
	})
	t.Run("the room ends", func(t *testing.T) {
		k := newKeeper(t, 5*time.Second)
		k.stop()
		k.gone()
	})
	t.Run("taken over", func(t *testing.T) {
		k := newKeeper(t, 5*time.Second)
		if _, err := io.WriteString(k.conn, "GET /take HTTP/1.1\r\nHost: x\r\n\r\nhello\n"); err != nil {
			t.Fatal(err)
		}
		if line, _ := k.in.ReadString('\n'); line != "taken \"hello\\n\" <nil>\n" {
			t.Errorf("%q", line)
		}
		k.gone()
	})
}
