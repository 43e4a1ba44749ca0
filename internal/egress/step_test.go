package egress

import (
	"crypto/tls"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// talkative returns viewers who talk without end, each word of whom takes a while to hear, and one who is silent.
func talkative(r *rig, n int, each time.Duration) (silent *client, talkers []*client) {
	silent = r.fake()
	silent.sock.sink = true
	for range n {
		c := r.fake()
		c.sock.sink = true
		c.sock.in = make([]byte, 1<<20)
		c.hear = func([]byte) error { time.Sleep(each); return nil }
		talkers = append(talkers, c)
	}
	return silent, talkers
}

// latest is the longest that a picture took to the viewer, who is sent some, one each 40 ms.
func latest(t *testing.T, r *rig, c *client, pictures int) (most time.Duration) {
	t.Helper()
	for range pictures {
		c.sock.clip()
		begin := time.Now()
		r.write(1)
		time.Sleep(40 * time.Millisecond)
		times := c.sock.clock()
		if len(times) == 0 {
			return time.Since(begin)
		}
		most = max(most, times[0].Sub(begin))
	}
	return most
}

// What peers say is heard a little at a time: to hear all of them takes 80 ms here, twice a second.
func TestInputDoesNotHoldMediaUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, pictures(), 1)
		r.write(1)
		silent, talkers := talkative(r, 400, 200*time.Microsecond)
		silent.play()
		for _, c := range talkers {
			c.play()
		}
		time.Sleep(3 * time.Second)
		if got := latest(t, r, silent, 100); got > gatherMost+2*time.Millisecond {
			t.Errorf("a picture took %v", got)
		}
		last := talkers[399]
		last.mu.Lock()
		defer last.mu.Unlock()
		if n := len(last.heard); n < inputBytes {
			t.Errorf("the last of those who talk was heard %d bytes", n)
		}
	})
}

// Nor do newcomers, who are heard when they come.
func TestNewcomersDoNotHoldMediaUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, pictures(), 1)
		r.write(1)
		silent, talkers := talkative(r, 400, 500*time.Microsecond)
		silent.play()
		time.Sleep(time.Second)
		for _, c := range talkers {
			c.play()
		}
		if got := latest(t, r, silent, 25); got > gatherMost+2*time.Millisecond {
			t.Errorf("a picture took %v", got)
		}
		if n := r.e.Progress()[0].Links; n != 401 {
			t.Errorf("%d links", n)
		}
	})
}

// The time in which the process was stopped is charged to nobody.
func TestStoppedProcess(t *testing.T) {
	e := New(Options{}, nil)
	s := e.shards[0]
	full, free := &Link{}, &Link{}
	full.fullSince, full.limit = 5e9, 7e9
	s.links, s.now = []*Link{full, free}, 9e9
	s.excuse(s.now.add(999 * time.Millisecond)) // a busy machine
	if full.fullSince != 5e9 {
		t.Errorf("full since %d", full.fullSince)
	}
	s.excuse(s.now.add(time.Minute))
	if full.fullSince != 65e9 || full.limit != 67e9 || free.fullSince != 0 {
		t.Errorf("full since %d until %d, and %d", full.fullSince, full.limit, free.fullSince)
	}
}

// deaf is a socket that takes nothing and has something to say.
type deaf struct {
	in []byte
}

func (d *deaf) send(b []byte, _ *scratch) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return 0, errFull
}

func (d *deaf) recv(b []byte, _ *scratch) (int, error) {
	n := copy(b, d.in)
	d.in = d.in[n:]
	if n == 0 {
		return 0, errEmpty
	}
	return n, nil
}

func (d *deaf) ready() (ready, moved bool) { return false, false }
func (d *deaf) closeWrite(*scratch) error  { return errFull }
func (d *deaf) cut()                       {}
func (d *deaf) close(bool)                 {}

// A peer that asks for new keys and takes none of the answers is ended before they take up memory.
func TestTLSAnswersAreBounded(t *testing.T) {
	keys := &keyed{}
	near, far := secured(t, NewTLSListener, func(c *tls.Config) {
		c.SessionTicketsDisabled = true
		c.KeyLogWriter = keys
	})
	keys.TCPConn = TCPOf(far.NetConn())
	conn := near.(*tls.Conn)
	w := conn.NetConn().(*wire)
	under, s := &deaf{}, &scratch{}
	const asked = 3000
	go func() {
		for i := range asked {
			keys.ask()
			if i%10 == 0 {
				_ = keys.seal(23, []byte{'x'}) // or crypto/tls would end it
			}
		}
		_ = keys.CloseWrite()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := w.Conn.Read(buf)
		under.in = append(under.in, buf[:n]...)
		if err != nil {
			break
		}
	}
	w.taken = true
	sock := &tlsSocket{under: under, conn: conn, wire: w}
	var err error
	for calls := 0; err == nil || errors.Is(err, errEmpty); calls++ {
		if _, err = sock.recv(buf[:inputBytes], s); calls > asked {
			t.Fatal("it goes on for ever")
		}
	}
	if !errors.Is(err, ErrReplies) || len(sock.unsent) > unsentMost+4<<10 {
		t.Errorf("%v, with %d bytes of answers", err, len(sock.unsent))
	}
}
