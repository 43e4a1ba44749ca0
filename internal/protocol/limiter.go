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
	refused func(remote net.Addr)
}

// NewLimiter returns a limiter of at most most connections. refused is told of those that were closed at once because there were
// too many; it may be nil.
func NewLimiter(most int, refused func(remote net.Addr)) *Limiter {
	return &Limiter{most: int64(most), refused: refused}
}

// Listener returns a listener that accepts from l within the limit.
func (m *Limiter) Listener(l net.Listener) net.Listener { return &limited{l, m} }

type limited struct {
	net.Listener
	limiter *Limiter
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m := l.limiter
		if m.used.Add(1) <= m.most {
			return &counted{Conn: conn, limiter: m}, nil
		}
		m.used.Add(-1)
		_ = conn.Close() // at once, so that it costs nothing
		if m.refused != nil {
			m.refused(conn.RemoteAddr())
		}
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	limiter *Limiter
	once    sync.Once
}

// NetConn returns the connection under it.
func (c *counted) NetConn() net.Conn { return c.Conn }

// CloseWrite tells the peer that nothing more comes.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.limiter.used.Add(-1) })
	return c.Conn.Close()
}

// Shed implements egress.Shell: what gives the place back is small, and the connection can be forgotten.
func (c *counted) Shed() io.Closer {
	p := (*place)(nil)
	c.once.Do(func() { p = (*place)(c.limiter) })
	return p
}

// place is what one connection takes up of a limiter. Closing it gives it back.
type place Limiter

// Close implements io.Closer.
func (p *place) Close() error {
	if p != nil {
		p.used.Add(-1)
	}
	return nil
}
