package supervise

import (
	"errors"
	"io"
	"net"
	"net/http"
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

// TestBounded: who is over the bound waits, and is let in when another leaves; closing ends the waiting.
func TestBounded(t *testing.T) {
	t.Parallel()
	s := &sockets{open: map[place]*socket{}}
	so := opened(t, s, place{"HTTP", "127.0.0.1:0"})
	b := bound(lent{so.l})
	accepted := make(chan net.Conn, connectionsMost+2)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range connectionsMost + 1 {
		c, err := net.Dial("tcp", so.target())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var first net.Conn
	for range connectionsMost {
		first = <-accepted
		defer first.Close()
	}
	select {
	case <-accepted:
		t.Error("one too many")
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	_ = first.Close() // which leaves once only
	last := <-accepted
	defer last.Close()
	_ = b.Close()
	_ = b.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
}
