package auth

import (
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

// patience remembers who has given wrong secrets. Its methods are safe for concurrent use.
type patience struct {
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

// left is how long no look is taken at what somebody gives.
func (p *patience) left(who attempt) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(time.Until(p.by[who].until), time.Until(p.by[who.anywhere()].until))
}

// wrong notes a wrong secret.
func (p *patience) wrong(who attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(who, wrongFree)
	p.count(who.anywhere(), wrongAll) // who guesses at many streams is to wait too, though it may shut others out who are behind the same address
}

// count counts a wrong secret, of which so many are free. Under mu.
func (p *patience) count(who attempt, free int) {
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

// forget is for somebody who has given a right one.
func (p *patience) forget(who attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, who)
}

// evict makes room: it forgets those who have had their time, of some, or else any one. Under mu.
func (p *patience) evict(now time.Time) {
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
