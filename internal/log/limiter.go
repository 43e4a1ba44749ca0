package log

import (
	"sync"
	"time"
)

// Limiter thins out lines that repeat: of each key one line an interval. The number of keys is bounded; when there
// are too many, those that are new share one. Its methods may be called from any goroutine.
type Limiter struct {
	interval time.Duration
	keysMax  int

	mu    sync.Mutex
	seen  map[string]repeat
	swept time.Time
}

// repeat is what became of a key.
type repeat struct {
	last       time.Time
	suppressed int
}

// NewLimiter makes a Limiter that lets one line of a key pass an interval and remembers at most keysMax keys.
func NewLimiter(interval time.Duration, keysMax int) *Limiter {
	return &Limiter{interval: interval, keysMax: keysMax, seen: map[string]repeat{}}
}

// Allow reports whether a line of this key may be logged now, and how many of it were not since the last one:
//
//	if ok, suppressed := limiter.Allow(peer.String()); ok {
//		logger.Warn("refused", "peer", peer, "suppressed", suppressed)
//	}
func (l *Limiter) Allow(key string) (ok bool, suppressed int) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.seen[key]
	if !known && len(l.seen) >= l.keysMax {
		l.sweep(now)
		if len(l.seen) >= l.keysMax {
			key = ""
			r, known = l.seen[key]
		}
	}
	if known && now.Sub(r.last) < l.interval {
		r.suppressed++
		l.seen[key] = r
		return false, 0
	}
	l.seen[key] = repeat{last: now}
	return true, r.suppressed
}

// sweep forgets the keys whose interval has passed. It looks at all, so at most once an interval.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < l.interval {
		return
	}
	l.swept = now
	for key, r := range l.seen {
		if now.Sub(r.last) >= l.interval {
			delete(l.seen, key)
		}
	}
}
