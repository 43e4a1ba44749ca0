package supervise

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// bounded is a listener of which a number of connections are open at the most. For a newcomer the one goes that has waited for longest
// without a request that is being answered: those that say nothing, however many, do not keep others from being heard.
type bounded struct {
	net.Listener
	once sync.Once
	done chan struct{} // closed by Close

	mu   sync.Mutex // guards what follows; memory only
	idle list.List  // of *placed on which nothing is being answered; the longest there first
	n    int        // connections that are open
}

// connectionsMost is how many connections each of the supervisor's own listeners has.
const connectionsMost = 64

// spareGrace is how long a newcomer has at least to send its request, before it has to go for another.
const spareGrace = 10 * time.Millisecond

func bound(l net.Listener) *bounded { return &bounded{Listener: l, done: make(chan struct{})} }

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		if b.closed() {
			return nil, net.ErrClosed
		}
		c, err := b.Listener.Accept()
		if err != nil {
			if b.closed() {
				err = net.ErrClosed
			}
			return nil, err
		}
		if p := b.enter(c); b.makeRoom(p) {
			return p, nil
		}
	}
}

// makeRoom has others go for a newcomer. It reports false if the newcomer itself has gone: all others are being answered.
func (b *bounded) makeRoom(p *placed) bool {
	for {
		spare := b.tooMany()
		if spare == nil {
			return true
		}
		if b.spare(spare); spare == p {
			return false
		}
	}
}

// spare closes a connection that has to go, once it has had a moment to send its request. If it has by then, it stays.
func (b *bounded) spare(p *placed) {
	if wait := spareGrace - b.age(p); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-b.done:
		}
	}
	if b.dismiss(p) {
		_ = p.Conn.Close() // nothing can be done about it
	}
}

// age is for how long nothing has been answered on a connection.
func (b *bounded) age(p *placed) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(p.since)
}

// dismiss takes the place of a connection on which nothing is being answered, and says whether it had one.
func (b *bounded) dismiss(p *placed) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.left || p.at == nil {
		return false
	}
	b.leave(p)
	return true
}

func (b *bounded) closed() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// Close implements net.Listener. Who has been accepted still gets an answer.
func (b *bounded) Close() (err error) {
	b.once.Do(func() {
		close(b.done)
		err = b.Listener.Close()
	})
	return err
}

// enter gives a connection a place.
func (b *bounded) enter(c net.Conn) *placed {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &placed{Conn: c, of: b, since: time.Now()}
	p.at = b.idle.PushBack(p)
	b.n++
	return p
}

// tooMany is the connection that can best be spared, if there are too many; else nil. The newest is always one that can.
func (b *bounded) tooMany() *placed {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n <= connectionsMost || b.idle.Len() == 0 {
		return nil
	}
	return b.idle.Front().Value.(*placed) //nolint:forcetypeassert // the list holds nothing else
}

// leave gives a place back, once. Under mu.
func (b *bounded) leave(p *placed) {
	if p.left {
		return
	}
	p.left = true
	b.n--
	if p.at != nil {
		b.idle.Remove(p.at)
		p.at = nil
	}
}

// handler returns h, whose requests keep their connections while they are being answered. The server's ConnContext must be placedContext.
func (b *bounded) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(placedKey{}).(*placed); ok {
			b.answering(p, true)
			defer b.answering(p, false)
		}
		h.ServeHTTP(w, r)
	})
}

// answering notes that a request on a connection is being answered, or is not any more.
func (b *bounded) answering(p *placed, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.left:
	case yes && p.at != nil:
		b.idle.Remove(p.at)
		p.at = nil
	case !yes && p.at == nil:
		p.since = time.Now()
		p.at = b.idle.PushBack(p)
	}
}

type placedKey struct{}

// placedContext tells requests what connection they came on. It is an http.Server's ConnContext.
func placedContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, placedKey{}, c)
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	of *bounded

	// Under of.mu:
	since time.Time     // it came, or was last answered
	at    *list.Element // in of.idle; nil: a request is being answered, or it has left
	left  bool
}

// Close implements net.Conn.
func (p *placed) Close() error {
	p.of.mu.Lock()
	p.of.leave(p)
	p.of.mu.Unlock()
	return p.Conn.Close()
}
