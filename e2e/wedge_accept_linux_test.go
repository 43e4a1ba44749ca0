package e2e

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// wedgeAccept has who accepts for RTMP hang over a connection. Whoever connects meanwhile waits in the kernel's queue, and is served when
// another has taken over; and so is the one over whom it hung, once it is let go.
func wedgeAccept(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	const act = 10 * time.Second // what docs/operations.md says of listeners
	w.knock(t)
	w.arm(t, "accept-rtmp")
	held := greet(t, w.rtmp) // the first, or one of the knocks before it
	w.find(t, 7*time.Second, "accept", "RTMP", "stuck")
	w.detected = time.Now()
	waiting := greet(t, w.rtmp)
	w.says(t, act, "a listener hangs: another goroutine accepts on its socket")
	w.healed = time.Now()
	if took := w.healed.Sub(w.armed); took > act+2*time.Second {
		t.Errorf("healed after %v", took)
	}
	w.serves(t, 2*time.Second, "after")
	waiting.answered(t, 2*time.Second)
	w.find(t, time.Second, "abandoned", "RTMP", "")
	w.find(t, time.Second, "accept", "RTMP", "ok")
	if c := w.class("accept"); c.Healed != 1 {
		t.Errorf("%+v", c)
	}
	w.evidence(t, 10*time.Second, "verdict.txt", "accept RTMP")
	if n := w.refused.Load(); n > 0 {
		t.Errorf("%d connections were refused", n)
	}
	hold(2 * time.Second) // in which the process would be replaced
	w.unhurt(t)
	w.figures(t)
	w.release(t, "accept-rtmp")
	within(t, 5*time.Second, "nothing is left of it", func() bool { return len(w.class("abandoned").Loops) == 0 })
	held.over(t, 15*time.Second)
	w.serves(t, 2*time.Second, "again")
	w.unhurt(t)
}

// caller is who has connected over RTMP and said hello.
type caller struct {
	conn   net.Conn
	result chan error // of reading the answer: nil when it is whole
}

// greet connects and begins the handshake.
func greet(t *testing.T, address string) *caller {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const version, answer = 3, 1 + 2*1536 // S0, S1, S2
	if _, err = conn.Write(append([]byte{version}, bytes.Repeat([]byte{0}, 1536)...)); err != nil {
		t.Fatal(err)
	}
	c := &caller{conn: conn, result: make(chan error, 1)}
	go func() {
		b := make([]byte, answer)
		n := 0
		for n < len(b) {
			m, err := conn.Read(b[n:])
			if n += m; err != nil {
				c.result <- err
				return
			}
		}
		c.result <- nil
	}()
	return c
}

// answered waits for the whole answer.
func (c *caller) answered(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case err := <-c.result:
		if err != nil {
			t.Errorf("who waited is told: %v", err)
		}
	case <-time.After(limit):
		t.Errorf("who waited has heard nothing %v later", limit)
	}
}

// over waits for the answer, or for the end of the connection.
func (c *caller) over(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case err := <-c.result:
		t.Logf("the one over whom it hung is answered: %v", err)
	case <-time.After(limit):
		t.Errorf("the one over whom it hung has heard nothing %v later", limit)
	}
}
