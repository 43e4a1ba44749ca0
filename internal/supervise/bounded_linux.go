package supervise

import (
	"net"
	"sync"
)

// bounded is a listener of which a number of connections are open at the most. Others wait in the socket's queue.
type bounded struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	done   chan struct{}
}

// connectionsMost is how many connections each of the supervisor's own listeners has.
const connectionsMost = 64

func bound(l net.Listener) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, connectionsMost), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case <-b.done:
		return nil, net.ErrClosed
	case b.places <- struct{}{}:
	}
	c, err := b.Listener.Accept()
	if err == nil {
		return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil // it gets its answer, even if this has been closed
	}
	<-b.places
	select {
	case <-b.done:
		return nil, net.ErrClosed
	default:
		return nil, err
	}
}

// Close implements net.Listener.
func (b *bounded) Close() (err error) {
	b.once.Do(func() {
		close(b.done)
		err = b.Listener.Close()
	})
	return err
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	p.leave()
	return p.Conn.Close()
}
