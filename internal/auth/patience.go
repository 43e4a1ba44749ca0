package auth

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// attempt is what wrong secrets are counted by: many may be behind one address, and one who guesses is not to shut the others out of what they
// have the secret of.
type attempt struct {
	from   netip.Addr
	action hub.Action
	key    hub.Key
}

const (
	wrongFree    = 5   // wrong secrets for one stream that cost nothing
	wrongAll     = 100 // the same, for all streams together
	wrongSpan    = time.Minute
	wrongLongest = time.Minute
	wrongMost    = 8192 // attempts that are remembered
)

// Patience remembers who has given wrong secrets, of whatever kind: it implements protocol.Patience. The zero value is ready; its methods are safe
// for concurrent use.
type Patience struct {
	mu sync.Mutex // memory only
	by map[attempt]wrongs
}

type wrongs struct {
	n     int
	last  time.Time
	until time.Time // no look is taken before
}

// anywhere is the attempt at all streams.
func (a attempt) anywhere() attempt { return attempt{from: a.from, action: a.action} }

func attemptOf(action hub.Action, q *hub.Request) attempt {
	return attempt{hub.Subscriber(q.Remote.Addr()), action, q.Key}
}

// Hears returns an error that wraps hub.ErrDenied while no look is taken at what a peer gives.
func (p *Patience) Hears(action hub.Action, q *hub.Request) error {
	who := attemptOf(action, q)
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := max(time.Until(p.by[who].until), time.Until(p.by[who.anywhere()].until)); wait > 0 {
		return fmt.Errorf("%w: too many wrong secrets, try again in %v", hub.ErrDenied, wait.Round(time.Second))
	}
	return nil
}

// Wrong notes a wrong secret.
func (p *Patience) Wrong(action hub.Action, q *hub.Request) {
	who := attemptOf(action, q)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(who, wrongFree)
	p.count(who.anywhere(), wrongAll) // who guesses at many streams is to wait too, though it may shut others out who are behind the same address
}

// Right is for somebody who has given a right one.
func (p *Patience) Right(action hub.Action, q *hub.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, attemptOf(action, q))
}

// count counts a wrong secret, of which so many are free. Under mu.
func (p *Patience) count(who attempt, free int) {
	now := time.Now()
	w, known := p.by[who]
	if now.Sub(w.last) > wrongSpan && now.After(w.until) {
		w.n = 0
	}
	if p.by == nil {
		p.by = map[attempt]wrongs{}
	}
	if !known && len(p.by) >= wrongMost {
		p.evict(now)
	}
	w.n, w.last = w.n+1, now
	if over := w.n - free; over >= 0 {
		w.until = now.Add(min(time.Second<<min(over, 10), wrongLongest))
	}
	p.by[who] = w
}

// evict makes room: it forgets those who have had their time, of some, or else any one. Under mu.
func (p *Patience) evict(now time.Time) {
	const look = 64
	seen := 0
	for who, w := range p.by {
		if now.Sub(w.last) > wrongSpan && now.After(w.until) || seen == look-1 {
			delete(p.by, who)
		}
		if seen++; seen == look {
			return
		}
	}
}
