package tunnel

import (
	"errors"
	"net"
	"os"
	"time"
)

// Conn is a tunnel: it reads from the POST's connection and writes to the GET's.
type Conn struct {
	get    net.Conn
	pairs  *Pairs
	cookie string
	since  time.Time

	// Guarded by the lock of pairs.
	post     *post // that is read; nil: none is there
	next     *post // that waits until post ends
	joined   bool  // a POST has come at least once
	closed   bool
	deadline time.Time     // of reads
	changed  chan struct{} // closed, and made anew, when any of these changes
}

// Read implements net.Conn. It waits for a POST if there is none: for the first no longer than Pairs allows, or it fails with ErrNoPost; for
// another one up to the deadline, so there should be one.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		w, changed, err := c.current()
		switch {
		case err != nil:
			return 0, err
		case w == nil:
			if err = c.wait(changed); err != nil {
				return 0, err
			}
			continue
		}
		n, err := w.decoder.Read(b)
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.expired() {
			return 0, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // it was not ours: another one came meanwhile
		}
		c.finish(w)
		if errors.Is(err, ErrBase64) {
			return 0, err
		}
	}
}

// current returns the POST to read from, with the deadline set on it.
func (c *Conn) current() (w *post, changed <-chan struct{}, err error) {
	for {
		c.pairs.mu.Lock()
		w, changed, deadline, closed := c.post, c.changed, c.deadline, c.closed
		c.pairs.mu.Unlock()
		if closed {
			return nil, nil, net.ErrClosed
		}
		if w == nil {
			return nil, changed, nil
		}
		if err = w.conn.SetReadDeadline(deadline); err != nil {
			c.finish(w) // it has been closed
			continue
		}
		select {
		case <-changed: // the deadline perhaps
		default:
			return w, changed, nil
		}
	}
}

// wait returns when something has changed, or fails when that took too long.
func (c *Conn) wait(changed <-chan struct{}) error {
	c.pairs.mu.Lock()
	until, late := c.deadline, os.ErrDeadlineExceeded
	if first := c.since.Add(c.pairs.age); !c.joined && (until.IsZero() || first.Before(until)) {
		until, late = first, ErrNoPost
	}
	c.pairs.mu.Unlock()
	var timeout <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-changed:
		return nil
	case <-timeout:
		return late
	}
}

// expired says whether the deadline of reads has passed.
func (c *Conn) expired() bool {
	c.pairs.mu.Lock()
	defer c.pairs.mu.Unlock()
	return !c.deadline.IsZero() && time.Until(c.deadline) <= 0
}

// finish notes that a POST has ended.
func (c *Conn) finish(w *post) {
	c.pairs.mu.Lock()
	defer c.pairs.mu.Unlock()
	c.drop(w)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) { return c.get.Write(b) }

// CloseWrite tells the client that nothing more comes, if the GET's connection can do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.get.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn: it closes both connections.
func (c *Conn) Close() error {
	c.pairs.mu.Lock()
	w := c.post
	c.pairs.forget(c.cookie, c)
	c.closed = true
	c.drop(c.next)
	c.drop(w)
	c.signal()
	c.pairs.mu.Unlock()
	if w != nil {
		w.conn.Close() //nolint:errcheck // who lent it closes it too
	}
	return c.get.Close()
}

// LocalAddr implements net.Conn: the GET's.
func (c *Conn) LocalAddr() net.Addr { return c.get.LocalAddr() }

// RemoteAddr implements net.Conn: the GET's.
func (c *Conn) RemoteAddr() net.Addr { return c.get.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.get.SetWriteDeadline(t) }

// SetReadDeadline implements net.Conn. It applies to POSTs that are there, that come, and that do not.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.pairs.mu.Lock()
	c.deadline = t
	w, closed := c.post, c.closed
	c.signal()
	c.pairs.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	if w != nil {
		w.conn.SetReadDeadline(t) //nolint:errcheck // a reader finds out
	}
	return nil
}

// take makes w the POST that is read. It is called with the lock held, as all below.
func (c *Conn) take(w *post) {
	c.post = w
	if !w.isTaken {
		w.isTaken = true
		close(w.taken)
	}
	c.signal()
}

// drop lets go of a POST, and takes the next one if it was being read.
func (c *Conn) drop(w *post) {
	if w == nil {
		return
	}
	w.end()
	switch w {
	case c.next:
		c.next = nil
	case c.post:
		c.post = nil
		if next := c.next; next != nil {
			c.next = nil
			c.take(next)
		}
	}
}

// signal wakes who waits for a change.
func (c *Conn) signal() {
	close(c.changed)
	c.changed = make(chan struct{})
}
