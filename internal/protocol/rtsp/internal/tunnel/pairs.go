package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Why two halves do not become a tunnel.
var (
	ErrMany   = errors.New("too many tunnels wait for their other half")     // answer 503
	ErrTaken  = errors.New("a tunnel's half that is there already")          // answer 400
	ErrNoGet  = errors.New("a tunnel's POST whose turn did not come")        // answer 404
	ErrNoPost = errors.New("a tunnel's GET whose POST did not come in time") // say nothing
)

// Pairs joins the halves of tunnels.
type Pairs struct {
	max int
	age time.Duration

	mu      sync.Mutex
	waiting int              // tunnels without a POST so far, and POSTs without a GET
	tunnels map[string]*Conn // by their cookies
	posts   map[string]*post // that have no GET, by their cookies
}

// post is a POST's connection. Its fields are guarded by Pairs.mu, but for those that never change.
type post struct {
	conn    net.Conn
	decoder *Decoder      // for who reads the tunnel
	taken   chan struct{} // closed when it is what a tunnel reads
	done    chan struct{} // closed when nobody reads it any more
	isTaken bool
	isDone  bool
}

// NewPairs returns Pairs in which at most so many halves wait, each no longer than age.
func NewPairs(limit int, age time.Duration) *Pairs {
	return &Pairs{max: limit, age: age, tunnels: make(map[string]*Conn), posts: make(map[string]*post)}
}

// Waiting returns how many halves wait for the other one.
func (p *Pairs) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// Get makes a tunnel of a GET's connection, which belongs to the tunnel from then on: close that. The answer is for the caller to write. The error
// is ErrMany or ErrTaken, and the connection is still the caller's.
func (p *Pairs) Get(cookie string, conn net.Conn) (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tunnels[cookie] != nil {
		return nil, ErrTaken
	}
	c := &Conn{get: conn, pairs: p, cookie: cookie, since: time.Now(), changed: make(chan struct{})}
	if w := p.posts[cookie]; w != nil {
		delete(p.posts, cookie)
		p.waiting--
		c.joined = true
		c.take(w)
	} else if !p.room() {
		return nil, ErrMany
	} else {
		p.waiting++
	}
	p.tunnels[cookie] = c
	return c, nil
}

// Post lends a POST's connection to its tunnel, and returns when nobody uses it any more: the caller closes it then. rest is what was read
// of it behind its head. The error is nil if the POST or the tunnel has ended; else ErrMany, ErrTaken, ErrNoGet, or the context's.
func (p *Pairs) Post(ctx context.Context, cookie string, conn net.Conn, rest []byte) error {
	w := &post{conn: conn, decoder: NewDecoder(conn, rest), taken: make(chan struct{}), done: make(chan struct{})}
	if err := p.offer(cookie, w); err != nil {
		return err
	}
	defer p.withdraw(cookie, w)
	timer := time.NewTimer(p.age)
	defer timer.Stop()
	select {
	case <-w.taken:
	case <-w.done:
		return nil
	case <-timer.C:
		if !p.isTaken(w) {
			return ErrNoGet
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// offer gives a POST to its tunnel, or has it wait for that.
func (p *Pairs) offer(cookie string, w *post) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.tunnels[cookie]
	switch {
	case c != nil && c.post == nil:
		if !c.joined {
			c.joined = true
			p.waiting--
		}
		c.take(w)
	case c != nil && c.next == nil:
		c.next = w
	case c != nil || p.posts[cookie] != nil:
		return ErrTaken
	case !p.room():
		return ErrMany
	default:
		p.posts[cookie] = w
		p.waiting++
	}
	return nil
}

// isTaken says whether a tunnel reads a POST, or has read it.
func (p *Pairs) isTaken(w *post) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return w.isTaken
}

// withdraw forgets a POST, wherever it is.
func (p *Pairs) withdraw(cookie string, w *post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.posts[cookie] == w {
		delete(p.posts, cookie)
		p.waiting--
	}
	if c := p.tunnels[cookie]; c != nil {
		c.drop(w)
	}
	w.end()
}

// room says whether one more half may wait. Tunnels that have waited too long make room. It is called with the lock held.
func (p *Pairs) room() bool {
	if p.waiting < p.max {
		return true
	}
	for cookie, c := range p.tunnels {
		if !c.joined && time.Since(c.since) >= p.age {
			p.forget(cookie, c)
		}
	}
	return p.waiting < p.max
}

// forget takes a tunnel out; no POST finds it from then on. It is called with the lock held.
func (p *Pairs) forget(cookie string, c *Conn) {
	if p.tunnels[cookie] != c {
		return
	}
	delete(p.tunnels, cookie)
	if !c.joined {
		p.waiting--
	}
}

// end tells who lent the connection that it is not used any more. It is called with the lock held.
func (w *post) end() {
	if !w.isDone {
		w.isDone = true
		close(w.done)
	}
}
