package faults

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Break is a way in which a connection ends.
type Break int

// The ways.
const (
	FIN    Break = iota // in order
	RST                 // reset (F-RST)
	Deaf                // not at all: the peer vanishes (F-HALF)
	Silent              // not at all: the peer says nothing more, and its kernel answers
)

// String returns the name.
func (b Break) String() string { return [...]string{"FIN", "RST", "deaf", "silent"}[b] }

// errCut is what a connection returns once it has been broken.
var errCut = errors.New("cut")

// cutConn is a connection that breaks after a number of bytes in one direction.
type cutConn struct {
	*net.TCPConn
	how     Break
	writing bool // which direction counts

	mu   sync.Mutex
	left int
	err  error // of breaking
	done bool
}

// spend counts n bytes and returns how many of them there are before the cut.
func (c *cutConn) spend(n int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return 0, true
	}
	n = min(n, c.left)
	c.left -= n
	return n, c.left == 0
}

// Write implements net.Conn.
func (c *cutConn) Write(b []byte) (int, error) {
	if !c.writing {
		return c.TCPConn.Write(b)
	}
	n, last := c.spend(len(b))
	n, err := c.TCPConn.Write(b[:n])
	if err == nil && last {
		c.cut()
		err = errCut
	}
	return n, err
}

// Read implements net.Conn.
func (c *cutConn) Read(b []byte) (int, error) {
	if c.writing {
		return c.TCPConn.Read(b)
	}
	n, err := c.TCPConn.Read(b)
	_, last := c.spend(n)
	if err == nil && last {
		c.cut()
		err = errCut
	}
	return n, err
}

// cut breaks the connection.
func (c *cutConn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return
	}
	c.done = true
	switch c.how {
	case RST:
		c.err = c.SetLinger(0)
	case Deaf:
		if c.err = deafen(c.TCPConn); c.err == nil {
			return // it stays open
		}
	case FIN, Silent:
	}
	if err := c.TCPConn.Close(); c.err == nil {
		c.err = err
	}
}

// broken says whether it has been cut.
func (c *cutConn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// Close implements net.Conn: however the client's code ends, it ends by the cut.
func (c *cutConn) Close() error {
	c.cut()
	if c.err != nil {
		return fmt.Errorf("%v: %w", c.how, c.err)
	}
	return nil
}
