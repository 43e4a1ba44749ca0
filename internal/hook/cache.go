package hook

import (
	"net/netip"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// question is what answers of on_play are remembered by.
type question struct {
	key      hub.Key
	protocol string
	query    string
	from     netip.Addr
}

// Bounds of what is remembered: beyond cacheMost answers any is forgotten, and an answer to a question with a query of more than queryMost bytes is
// not remembered.
const (
	cacheMost = 16384
	queryMost = 1024
)

// cache remembers answers for a while. The methods are safe for concurrent use.
type cache[Q comparable, A any] struct {
	mu sync.Mutex // memory only
	by map[Q]cached[A]
}

type cached[A any] struct {
	answer A
	at     time.Time
	lasts  time.Duration
}

// holds says whether an answer is to be believed yet, where none is for longer than most.
func (c *cached[A]) holds(most time.Duration) bool { return time.Since(c.at) <= min(c.lasts, most) }

// get returns an answer that is no older than it may be, nor than most.
func (c *cache[Q, A]) get(q Q, most time.Duration) (a A, ok bool) {
	if most <= 0 {
		return a, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if got, known := c.by[q]; known && got.holds(most) {
		return got.answer, true
	}
	return a, false
}

// put remembers an answer, if it lasts.
func (c *cache[Q, A]) put(q Q, a A, lasts time.Duration) {
	if lasts <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[Q]cached[A]{}
	}
	if _, known := c.by[q]; !known && len(c.by) >= cacheMost {
		c.evict(lasts)
	}
	c.by[q] = cached[A]{a, time.Now(), lasts}
}

// evict makes room: it forgets what does not hold any more of what it comes across, or else any one. Under mu.
func (c *cache[Q, A]) evict(most time.Duration) {
	const look = 64
	seen := 0
	for q, a := range c.by {
		if !a.holds(most) || seen == look-1 {
			delete(c.by, q)
		}
		if seen++; seen == look {
			return
		}
	}
}
