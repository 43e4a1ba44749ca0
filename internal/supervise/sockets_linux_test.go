package supervise

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// reaches says whether somebody listens.
func reaches(address string) error {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

func opened(t *testing.T, s *sockets, p place) *socket {
	t.Helper()
	so, err := s.get(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = so.l.Close() })
	return so
}

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSockets(t *testing.T) {
	t.Parallel()
	s := &sockets{open: map[place]*socket{}}
	a, b := place{"RTMP", "127.0.0.1:0"}, place{"HTTP", "127.0.0.1:0"}
	one := opened(t, s, a)
	fixed := place{"RTMPS", freeAddress(t)}
	for _, p := range []place{a, fixed} {
		first := opened(t, s, p)
		if again := opened(t, s, p); again != first {
			t.Errorf("%s: a socket that is asked for twice is another", p.address)
		}
	}
	two := opened(t, s, b)
	if _, err := s.get(t.Context(), place{"HTTPS", two.l.Addr().String()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a busy port: %v", err)
	}
	s.keep(map[place]bool{a: true})
	if err := reaches(one.target()); err != nil {
		t.Errorf("a socket that is claimed: %v", err)
	}
	if err := reaches(two.l.Addr().String()); err == nil {
		t.Error("a socket that nobody claims is still open")
	}
	if n := len(s.all()); n != 1 {
		t.Errorf("%d sockets are left", n)
	}
}

// TestGivenSocket: what a worker is given accepts, and closing it leaves the supervisor's open.
func TestGivenSocket(t *testing.T) {
	t.Parallel()
	s := &sockets{open: map[place]*socket{}}
	so := opened(t, s, place{"RTMP", "127.0.0.1:0"})
	ours, theirs := lines(t)
	for range 2 { // one worker after another
		if err := so.give(ours, &message{Listen: &listen{ID: 1}}); err != nil {
			t.Fatal(err)
		}
		_, f, err := theirs.receive(make([]byte, messageMost))
		if err != nil || f == nil {
			t.Fatalf("%v, %v", f, err)
		}
		l, err := net.FileListener(f)
		closeFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err = reaches(so.target()); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	}
	if err := reaches(so.target()); err != nil {
		t.Errorf("with no worker: %v", err)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for address, host := range map[string]string{"0.0.0.0:0": "127.0.0.1", ":0": "127.0.0.1", "127.0.0.1:0": "127.0.0.1"} {
		s := &sockets{open: map[place]*socket{}}
		so := opened(t, s, place{"RTMP", address})
		if got, _, _ := net.SplitHostPort(so.target()); got != host {
			t.Errorf("%s is reached at %s", address, got)
		}
	}
}

// TestStands: while no worker serves, HTTP is answered, in turns with a worker, on a socket that stays open.
func TestStands(t *testing.T) {
	t.Parallel()
	s := &Supervisor{}
	s.state.Store(&Health{Live: okay(), Ready: wrong("no worker serves"), made: time.Now().Add(time.Hour)})
	all := &sockets{open: map[place]*socket{}}
	so := opened(t, all, place{"HTTP", "127.0.0.1:0"})
	opened(t, all, place{"RTMP", "127.0.0.1:0"})
	g, _ := task.NewGroup(t.Context())
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		s.stands.begin(g, all.all(), s.standIn())
		s.stands.begin(g, all.all(), s.standIn()) // while it does, nothing happens
		if n := len(s.stands); n != 1 {
			t.Fatalf("%d sockets are stood in for", n)
		}
		for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/live/cam1.live.flv": 503} {
			res, err := client.Get("http://" + so.target() + path)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != want || path[1:5] == "live/" && res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s, %v", path, res.Status, res.Header)
			}
		}
		s.stands.close()
		if err := g.Wait(); err != nil { // it does not accept any more
			t.Fatal(err)
		}
		if err := reaches(so.target()); err != nil {
			t.Fatalf("the socket was closed: %v", err)
		}
		_ = so.l.SetDeadline(time.Now().Add(5 * time.Second)) // what waits in the queue is the next one's: take it
		c, err := so.l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

// TestBounded: who says nothing goes when another comes, the longest there first; who is being answered stays; closing ends the waiting.
func TestBounded(t *testing.T) {
	t.Parallel()
	s := &sockets{open: map[place]*socket{}}
	so := opened(t, s, place{"HTTP", "127.0.0.1:0"})
	b := bound(lent{so.l})
	begun, end := make(chan struct{}), make(chan struct{})
	srv := &http.Server{ConnContext: placedContext, ReadHeaderTimeout: time.Minute, Handler: b.handler(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				close(begun)
				<-end
			}
		}))}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(b) }()
	defer srv.Close()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) error {
		res, err := client.Get("http://" + so.target() + path)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	long := make(chan error, 1)
	go func() { long <- ask("/long") }()
	<-begun
	var silent []net.Conn
	for range 3 * connectionsMost {
		c, err := net.Dial("tcp", so.target())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	for range 5 {
		if err := ask("/"); err != nil {
			t.Errorf("nobody answers beside those who say nothing: %v", err)
		}
	}
	_ = silent[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := silent[0].Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the longest silent is still there")
	}
	close(end)
	if err := <-long; err != nil {
		t.Errorf("one that was being answered: %v", err)
	}
	within(t, "all places are given back", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.n == b.idle.Len() && b.n <= connectionsMost
	})
	_ = b.Close()
	_ = b.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
}

// TestProbeAddresses: each connection of a probe comes from another address.
func TestProbeAddresses(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d, seen := dialer(), map[string]bool{"127.0.0.1": true}
		for range 5 {
			c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			host, _, _ := net.SplitHostPort(c.LocalAddr().String())
			if seen[host] && host != "::1" {
				t.Errorf("%s again", host)
			}
			seen[host] = true
		}
	}
}

// TestInTheWay: that a port is taken by this server itself is said.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	s := &sockets{open: map[place]*socket{}}
	so := opened(t, s, place{"RTMP", "127.0.0.1:0"})
	_, port, _ := net.SplitHostPort(so.target())
	if got := s.inTheWay(place{"HTTP", ":" + port}); !strings.Contains(got, "this server's own RTMP listens on 127.0.0.1:0") {
		t.Errorf("%q", got)
	}
	if got := s.inTheWay(place{"HTTP", ":1"}); got != "" {
		t.Errorf("%q", got)
	}
}
