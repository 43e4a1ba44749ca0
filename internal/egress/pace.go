package egress

import (
	"sync/atomic"
	"time"
)

// instant is a moment on the clock of an Egress, in nanoseconds. 0 is never.
type instant int64

func (t instant) add(d time.Duration) instant { return t + instant(d) }

// until is how long it is from now to t, at least 0.
func (t instant) until(now instant) time.Duration { return max(0, time.Duration(t-now)) }

// pace decides when what has been appended to a share is sent. note may be called by any goroutine, the rest by its owner.
type pace struct {
	// Twice the instant at which the oldest unit came that has not been sent, plus 1 if there is one that should not wait;
	// 0: there is none.
	waiting atomic.Int64
	last    instant // when something was sent last
}

// note says that a unit came at now. It tells whether that is the first that should not wait.
func (p *pace) note(now instant, prompt bool) bool {
	var bit int64
	if prompt {
		bit = 1
	}
	for {
		before := p.waiting.Load()
		after := before | bit
		if before == 0 {
			after |= int64(now) << 1
		}
		if before == after {
			return false
		}
		if p.waiting.CompareAndSwap(before, after) {
			return prompt
		}
	}
}

// since is when the oldest unit came that has not been sent; 0: there is none.
func (p *pace) since() instant { return instant(p.waiting.Load() >> 1) }

// due is when to send what there is; 0: there is nothing. Pictures are sent at once, or when interval has passed since the last
// time; sound is held for hold.
func (p *pace) due(interval, hold time.Duration) instant {
	waiting := p.waiting.Load()
	since := instant(waiting >> 1)
	switch {
	case since == 0:
		return 0
	case waiting&1 == 0:
		since = since.add(hold)
	}
	return max(since, p.last.add(interval))
}

// sent says that all is being sent that was there at now. Call it before looking what there is.
func (p *pace) sent(now instant) {
	p.waiting.Store(0)
	p.last = now
}
