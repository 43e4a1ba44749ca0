package protocol

import (
	"errors"
	"io"
	"net"
	"testing"
	"unsafe"
)

// queue is a listener of connections that are there already. It implements Refuser if refused is not nil.
type queue struct {
	net.Listener
	conns []net.Conn
}

var errEmptyQueue = errors.New("nobody waits")

func (q *queue) Accept() (net.Conn, error) {
	if len(q.conns) == 0 {
		return nil, errEmptyQueue
	}
	c := q.conns[0]
	q.conns = q.conns[1:]
	return c, nil
}

// refusing is a queue that wants to know.
type refusing struct {
	queue
	refused []Cause
}

func (r *refusing) Refuse(conn net.Conn, c Cause) {
	r.refused = append(r.refused, c)
	_ = conn.Close()
}

// ended counts how often it was closed.
type ended struct {
	net.Conn
	n int
}

func (c *ended) Close() error {
	c.n++
	return nil
}

func TestLimiter(t *testing.T) {
	for name, tc := range map[string]struct {
		relieve int // how often there is one that can be spared
		refused int
	}{
		"refuses":                     {0, 2},
		"first relieves":              {1, 1},
		"relieves as often as needed": {9, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var accepted []net.Conn
			limit := NewLimiter(2, func() bool {
				if tc.relieve--; tc.relieve < 0 {
					return false
				}
				_ = accepted[0].Close()
				accepted = accepted[1:]
				return true
			})
			q := &refusing{}
			conns := []*ended{{}, {}, {}, {}}
			for _, c := range conns {
				q.conns = append(q.conns, c)
			}
			l := limit.Listener(q)
			for {
				c, err := l.Accept()
				if err != nil {
					break
				}
				accepted = append(accepted, c)
			}
			if len(accepted) != 2 || len(q.refused) != tc.refused {
				t.Errorf("%d accepted, %v refused", len(accepted), q.refused)
			}
			for range 2 { // twice does no harm
				for _, c := range accepted {
					_ = c.Close()
				}
			}
			if n := limit.used.Load(); n != 0 {
				t.Errorf("%d places are taken after all", n)
			}
			for i, c := range conns {
				if c.n == 0 {
					t.Errorf("connection %d is open", i)
				}
			}
		})
	}
}

// A listener that does not want to know has the refused closed for it.
func TestLimiterCloses(t *testing.T) {
	c := &ended{}
	_, err := NewLimiter(0, nil).Listener(&queue{conns: []net.Conn{c}}).Accept()
	if !errors.Is(err, errEmptyQueue) || c.n != 1 {
		t.Errorf("%v, closed %d times", err, c.n)
	}
}

// counter counts places given back.
type counter struct{ n int }

func (c *counter) Close() error {
	c.n++
	return nil
}

// A place is given back once, after the connection, whether the wrapper or what it was shed for is closed.
func TestHold(t *testing.T) {
	server, room, conn := &counter{}, NewLimiter(1, nil), &ended{}
	wrap := func() net.Conn {
		if !room.enter() {
			t.Fatal("no place")
		}
		return Hold(Hold(conn, server), (*place)(room))
	}
	check := func(what string, places int, used int64, closed int) {
		t.Helper()
		if server.n != places || room.used.Load() != used || conn.n != closed {
			t.Errorf("%s: %d places back, %d taken, closed %d times", what, server.n, room.used.Load(), conn.n)
		}
	}
	c := wrap()
	_ = c.Close()
	check("closed", 1, 0, 1)
	_ = c.Close()
	check("closed twice", 1, 0, 2)
	c = wrap()
	shell := c.(interface{ Shed() io.Closer }).Shed()
	check("shed", 1, 1, 2)
	_ = c.Close() // by one who still knows it
	check("closed after it was shed", 1, 1, 3)
	_ = shell.Close()
	check("what it was shed for is closed", 2, 0, 3)
	_ = c.(interface{ Shed() io.Closer }).Shed().Close()
	check("shed and closed again", 2, 0, 3)
}

// What is kept for a viewer's place is small: there are as many as viewers.
func TestShedMemory(t *testing.T) {
	room, a := NewLimiter(1, nil), NewAdmission(Quotas{})
	p, _ := a.Enter(nil, 0)
	shed := func(c net.Conn) io.Closer { return c.(interface{ Shed() io.Closer }).Shed() }
	if got := shed(Hold(&ended{}, p)); got != p {
		t.Errorf("a place takes memory of its own: %T", got)
	}
	got := shed(Hold(Hold(&ended{}, p), (*place)(room)))
	if size := unsafe.Sizeof(places{}); size > 32 {
		t.Errorf("two places take %d bytes", size)
	}
	if _, ok := got.(*places); !ok {
		t.Errorf("two places are a %T", got)
	}
}
