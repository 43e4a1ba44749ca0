package rtp

import (
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	apartMin   = 10 * time.Millisecond // medias that are apart by less, by their reports, stay as they are
	apartMax   = 10 * time.Second      // a report that would move a media by more is wrong
	turnsMax   = 3                     // corrections to and fro after which reports are not believed
	restartGap = 10 * time.Second      // timestamps that are off by more from the time that passed tell nothing
	timeMax    = time.Duration(1 << 61)
)

// Clock puts the medias of one publisher on one axis of media time. The zero Clock is ready for use.
//
// The first packet of the first media is at 0, that of another at the time by which it came later. Once sender reports (RFC 3550,
// 6.4.1) of two medias are known, they tell the difference. Corrections move the media that is behind forward, never another
// back. Within a media, time is what its timestamps say, whatever that is.
//
// A Clock may be used by several goroutines.
type Clock struct {
	mu     sync.Mutex
	begun  bool
	origin time.Duration // arrival of the first packet
	lanes  []*lane

	turns    int  // how often corrections have changed their direction
	forward  int  // direction of the newest correction
	distrust bool // reports are not believed any more
}

// lane is one media on a Clock.
type lane struct {
	clock   *Clock
	rate    int64
	begun   bool
	first   int64         // ticks at base
	base    time.Duration // media time of first
	arrival time.Duration // what base was by arrival

	reported bool
	wall     time.Duration // time of first by the sender's clock, since 1900
}

// join adds a media whose timestamps count rate ticks per second.
func (c *Clock) join(rate int64) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &lane{clock: c, rate: rate}
	c.lanes = append(c.lanes, l)
	return l
}

// start ties ticks to the time at which their packet came. It forgets what reports said.
func (l *lane) start(ticks int64, at time.Duration) {
	l.clock.mu.Lock()
	defer l.clock.mu.Unlock()
	c := l.clock
	if !c.begun {
		c.begun, c.origin = true, at
	}
	l.begun, l.reported = true, false
	l.first, l.base = ticks, at-c.origin
	l.arrival = l.base
}

// time returns the media time of ticks.
func (l *lane) time(ticks int64) time.Duration {
	l.clock.mu.Lock()
	defer l.clock.mu.Unlock()
	return l.at(ticks)
}

func (l *lane) at(ticks int64) time.Duration {
	d := l.base + av.Duration(ticks-l.first, l.rate)
	if d > timeMax || d < -timeMax { // a publisher that means to make the count overflow
		l.first = ticks
		return l.base
	}
	return d
}

// report takes what a sender report says: ticks are at the given NTP timestamp.
func (l *lane) report(ntp uint64, ticks int64) {
	c := l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if ntp == 0 || !l.begun || c.distrust {
		return
	}
	l.wall = ntpDuration(ntp) - av.Duration(ticks-l.first, l.rate)
	l.reported = true
	c.align(l)
}

// foretold is report for a media that has just started: nothing of it has been given a time yet, so it goes where it belongs, be that
// forward or back.
func (l *lane) foretold(ntp uint64, ticks int64) {
	c := l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if ntp == 0 || c.distrust {
		return
	}
	l.wall = ntpDuration(ntp) - av.Duration(ticks-l.first, l.rate)
	for _, o := range c.lanes {
		if o == l || !o.reported {
			continue
		}
		if off := o.base + (l.wall - o.wall) - l.base; off.Abs() <= apartMax {
			l.base += off
			l.arrival = l.base
		}
		break
	}
	l.reported = true
}

// align corrects the media that has reported, compared with another that has. Instead of moving it back, it moves all others
// forward: a stream takes a small step forward for what it is, and one backward for a clock that has jumped. Under mu.
func (c *Clock) align(l *lane) {
	var ref *lane
	for _, o := range c.lanes {
		if o != l && o.reported {
			ref = o
			break
		}
	}
	if ref == nil {
		return
	}
	off := ref.base + (l.wall - ref.wall) - l.base // by how much l is to move
	if off.Abs() <= apartMin || off.Abs() > apartMax {
		return
	}
	direction := 1
	if off < 0 {
		direction = -1
	}
	if ref.order() > l.order() { // the same relation, seen from the other side
		direction = -direction
	}
	if c.forward != 0 && direction != c.forward {
		if c.turns++; c.turns >= turnsMax {
			c.byArrival()
			return
		}
	}
	c.forward = direction
	for _, o := range c.lanes {
		if (o == l) == (off > 0) {
			o.base += off.Abs()
		}
	}
}

// order is the place of the media among the others of its clock.
func (l *lane) order() int {
	for i, o := range l.clock.lanes {
		if o == l {
			return i
		}
	}
	return -1
}

// byArrival gives up on reports: the medias are again as far apart as they were by arrival. Under mu.
func (c *Clock) byArrival() {
	c.distrust = true
	var shift time.Duration
	for _, l := range c.lanes {
		shift = max(shift, l.base-l.arrival)
	}
	for _, l := range c.lanes {
		l.base = l.arrival + shift
	}
}

// ntpEpoch is from 1900 to 1970.
const ntpEpoch = 2_208_988_800 * time.Second

// ntpDuration is an NTP timestamp (RFC 5905, 6) as the time since 1900.
func ntpDuration(ntp uint64) time.Duration {
	seconds, fraction := ntp>>32, ntp&(1<<32-1)
	return time.Duration(seconds)*time.Second + time.Duration(fraction*uint64(time.Second)>>32) //nolint:gosec // both fit
}

// ntpTime is a moment as an NTP timestamp.
func ntpTime(t time.Time) uint64 {
	d := uint64(t.Unix()) + uint64(ntpEpoch/time.Second)          //nolint:gosec // wraps in 2036, as NTP does
	return d<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second) //nolint:gosec // not negative
}
