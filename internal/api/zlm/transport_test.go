package zlm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, open := <-p; open {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// served runs f with a connection to the API behind a real HTTP server, in fake time.
func served(t *testing.T, f func(t *testing.T, r *rig, conn net.Conn, answers *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), make(pipes, 1)
		srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(l) }()
		here, there := net.Pipe()
		l <- there
		f(t, r, here, bufio.NewReader(here))
		here.Close()
		close(l)
		_ = srv.Shutdown(t.Context())
		<-done
	})
}

// answered is an answer, all of it.
type answered struct {
	status int
	closes bool // the connection
	body   string
}

// exchange sends a request, and reads the answer to it.
func exchange(t *testing.T, conn net.Conn, answers *bufio.Reader, text string) answered {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may answer before it has read all
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Close, string(body)}
}

const formHead = "POST /index/api/version HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"

func TestBodies(t *testing.T) {
	chunk := func(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }
	full := func(n int) string { return ("secret=" + theSecret + "&a=" + strings.Repeat("x", n))[:n] }
	for _, c := range []struct {
		what, request string
		status        int
		code          string
		took          time.Duration
		closes        bool
	}{
		{"as large as may be", formHead + "Content-Length: 40960\r\n\r\n" + full(bodyMost), 200, `"code": 0`, 0, false},
		{"too large", formHead + "Content-Length: 40961\r\n\r\n" + full(bodyMost+1), 413, `"code": -300`, 0, true},
		{"huge, and it does not come", formHead + "Content-Length: 999999999999\r\n\r\n", 413, `"code": -300`, 0, true},
		{"without a length", formHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk("secret=") + chunk(theSecret) + "0\r\n\r\n", 200, `"code": 0`, 0, false},
		{"without a length, too large", formHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk(full(bodyMost+1)), 413, `"code": -300`, 0, true},
		{"neither a length nor a body", formHead + "secret: " + theSecret + "\r\n\r\n", 200, `"code": 0`, 0, false},
		{"it does not come", formHead + "Content-Length: 10\r\n\r\nsec", 408, `"code": -300`, bodyTime, true},
		{"its end does not come", formHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk("secret="), 408, `"code": -300`, bodyTime, true},
		{"nobody asks for it", "PATCH /index/api/version HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nsec", 405, `"code": -1`, 0, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			served(t, func(t *testing.T, _ *rig, conn net.Conn, answers *bufio.Reader) {
				begin := time.Now()
				got := exchange(t, conn, answers, c.request)
				took := time.Since(begin)
				if got.status != c.status || !strings.Contains(got.body, c.code) || got.closes != c.closes {
					t.Errorf("%+v", got)
				}
				// Of a body that is given up, the HTTP server waits for a little more, but within the same bound.
				if took < c.took || took > bodyTime {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestConnectionStays has failures and successes come over one connection.
func TestConnectionStays(t *testing.T) {
	served(t, func(t *testing.T, r *rig, conn net.Conn, answers *bufio.Reader) {
		r.endpoints["/index/api/panics"] = &endpoint{path: "panics", do: func(context.Context, *call) reply { panic("at the disco") }}
		for range 3 {
			for path, code := range map[string]string{
				"version": "0", "version?secret=x": "-100", "getMediaInfo": "-300", "panics": "-400", "kick_session?id=7": "-1", "nothing": "-500",
			} {
				head := "GET /index/api/" + path + " HTTP/1.1\r\nHost: x\r\nsecret: " + theSecret + "\r\n\r\n"
				got := exchange(t, conn, answers, head)
				if got.closes || !strings.Contains(got.body, `"code": `+code) || strings.Contains(got.body, "disco") {
					t.Fatalf("%s: %+v", path, got)
				}
			}
			time.Sleep(time.Second)
		}
		// A deadline of the body that was left behind would end what takes longer.
		r.publish(t, "00a1", "cam1", 60)
		body, begin := "probe_ms=9999&"+rightKey+"&"+cam1, time.Now()
		got := exchange(t, conn, answers, strings.Replace(formHead, "version", "addProbe", 1)+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
		if took := time.Since(begin); took != probeTime || !strings.Contains(got.body, `"code": 0`) {
			t.Errorf("%v %+v", took, got)
		}
	})
}

func TestCORS(t *testing.T) {
	for _, c := range []struct{ cors, origin, want, credentials string }{
		{"", "http://page", "", ""},
		{"*", "http://page", "http://page", "true"},
		{"*", "", "", ""},
		{"http://one", "http://page", "http://one", ""},
	} {
		r := newRig(t)
		r.opt.CORS = c.cors
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			q := build(t, byQuery, method, "/index/api/version", "secret="+theSecret)
			if c.origin != "" {
				q.Header.Set("Origin", c.origin)
			}
			h := r.do(q).Header()
			want := c.want
			if method == http.MethodOptions && c.origin == "" {
				want = c.cors
			}
			if h.Get("Access-Control-Allow-Origin") != want || h.Get("Access-Control-Allow-Credentials") != c.credentials {
				t.Errorf("%+v, %s: %v", c, method, h)
			}
		}
	}
}
