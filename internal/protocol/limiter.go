package protocol

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Limiter bounds the number of connections that are open at a time, over one or more listeners. A connection counts until it is
// closed, whoever owns it by then.
type Limiter struct {
	used    atomic.Int64
	most    int64
	relieve func() bool
}

// NewLimiter returns a limiter of at most most connections. relieve is called when there are so many: it may close one and return
// true, or return false; then the newcomer is closed at once. It may be nil, and is called on goroutines that accept.
func NewLimiter(most int, relieve func() bool) *Limiter {
	return &Limiter{most: int64(most), relieve: relieve}
}

// Refuser is a listener that wants to know which of its connections others have refused, and closes them.
type Refuser interface {
	Refuse(conn net.Conn, cause Cause)
}

// Listener returns a listener that accepts from l within the limit. If l is a Refuser, it is handed those that are too many.
func (m *Limiter) Listener(l net.Listener) net.Listener {
	refuse := func(conn net.Conn, _ Cause) { _ = conn.Close() } // at once, so that it costs nothing
	if r, ok := l.(Refuser); ok {
		refuse = r.Refuse
	}
	return &limited{l, m, refuse}
}

type limited struct {
	net.Listener
	limiter *Limiter
	refuse  func(net.Conn, Cause)
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.limiter.enter() {
			return Hold(conn, (*place)(l.limiter)), nil
		}
		l.refuse(conn, CauseListener)
	}
}

// Open is the number of connections that are open.
func (m *Limiter) Open() int { return int(m.used.Load()) }

// enter takes a place, if there is one or one can be had.
func (m *Limiter) enter() bool {
	for {
		if m.used.Add(1) <= m.most {
			return true
		}
		m.used.Add(-1)
		if m.relieve == nil || !m.relieve() {
			return false
		}
	}
}

// place is what one connection takes up of a limiter. Closing it gives it back.
type place Limiter

// Close implements io.Closer.
func (p *place) Close() error {
	p.used.Add(-1)
	return nil
}

// Hold returns conn with a place that is given back, by closing it, once conn is closed. The connection says what it wraps
// (NetConn), and implements egress.Shell: the place outlives the wrapper.
func Hold(conn net.Conn, place io.Closer) net.Conn { return &holder{Conn: conn, place: place} }

// holder is a connection that gives its place back when it is closed.
type holder struct {
	net.Conn
	place io.Closer
	once  sync.Once
}

// NetConn returns the connection under it.
func (c *holder) NetConn() net.Conn { return c.Conn }

// CloseWrite tells the peer that nothing more comes.
func (c *holder) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn. The place comes after the descriptor: whoever gets the one may want the other.
func (c *holder) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { _ = c.place.Close() }) // it does not fail
	return err
}

// Shed implements egress.Shell: the places that are held, of this connection and of those that it wraps, are small, and the
// connections can be forgotten.
func (c *holder) Shed() io.Closer {
	var mine io.Closer = nothing{}
	c.once.Do(func() { mine = c.place })
	under, ok := c.Conn.(interface{ Shed() io.Closer })
	if !ok {
		return mine
	}
	m, ok := mine.(*place)
	if !ok {
		return both{mine, under.Shed()}
	}
	return &places{m, under.Shed()}
}

// places are those of a room's listener and of the server. There is one for each viewer: it is as small as can be.
type places struct {
	room *place
	rest io.Closer
}

// Close implements io.Closer.
func (p *places) Close() error { return errors.Join(p.room.Close(), p.rest.Close()) }

// both closes two places of any kind.
type both [2]io.Closer

// Close implements io.Closer.
func (b both) Close() error { return errors.Join(b[0].Close(), b[1].Close()) }

// nothing is a place that has been given back.
type nothing struct{}

// Close implements io.Closer.
func (nothing) Close() error { return nil }
