package stream

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	maxForward  = 10 * time.Second       // a larger step forward of a track is a jump of the publisher's clock
	maxBackward = 500 * time.Millisecond // a larger step back too
	maxApart    = 2 * time.Second        // a track that is new, or has paused, may begin this far behind the others
	maxReorder  = 10 * time.Second       // PTS - DTS beyond this is nonsense
	defaultStep = 40 * time.Millisecond  // between units of which only one is known
	minStep     = time.Millisecond       // the finest clock of an output (FLV)
)

// timeline moves the publisher's stamps to the stream's clock, which starts at 0 and on which no track ever goes back.
//
// Every track has an offset from the publisher's clock. When a track jumps, it is given a new offset with which it
// goes on where it was; the next track to jump tries that offset first, so that audio and video stay together although
// they do not jump with the same unit. A track that has paused while another went on has not jumped: it is compared with
// that one.
type timeline struct {
	clocks  map[int]*trackClock
	offset  time.Duration // the newest offset of any track
	newest  time.Duration // the greatest DTS so far
	started bool
	splice  bool // the next unit is the first of another publisher
}

type trackClock struct {
	offset time.Duration
	last   time.Duration // DTS of the newest unit
	step   time.Duration // between the two newest units
	fresh  bool          // no unit yet (of this publisher)
	fixed  uint64        // units that were not simply moved by the offset
}

// restart makes the next unit continue after the newest, whatever its stamp.
func (t *timeline) restart() {
	t.splice = t.started
	for _, c := range t.clocks {
		c.fresh = true
	}
}

// place restamps u.
func (t *timeline) place(u *av.AccessUnit) {
	c := t.clock(u.Track.ID)
	t.anchor(u.DTS)
	if c.fresh {
		c.offset = t.offset
	}
	dts := u.DTS + c.offset
	if from, back := c.reference(t); (dts-from > maxForward || from-dts > back) && !t.resumes(c, u.DTS) {
		dts = t.jump(c, u.DTS, from, back)
		c.fixed++
	}
	switch {
	case c.step < 0:
		dts = max(dts, 0) // the track's very first unit may lie a little before the stream's
	case dts <= c.last:
		dts = c.follow(u.Track.Kind())
	}
	if c.fresh {
		c.step = defaultStep
	} else {
		c.step = min(max(dts-c.last, minStep), time.Second)
	}
	c.last, c.fresh = dts, false
	t.newest = max(t.newest, dts)

	reorder := u.PTS - u.DTS
	if reorder < 0 || reorder > maxReorder {
		reorder = 0
	}
	u.DTS, u.PTS = dts, dts+reorder
}

// clock returns the track's clock. A negative step marks one that has had no unit at all.
func (t *timeline) clock(id int) *trackClock {
	c := t.clocks[id]
	if c == nil {
		if t.clocks == nil {
			t.clocks = make(map[int]*trackClock)
		}
		c = &trackClock{fresh: true, step: -1}
		t.clocks[id] = c
	}
	return c
}

// anchor ties the first stamp of a publisher to the stream's clock.
func (t *timeline) anchor(dts time.Duration) {
	switch {
	case !t.started:
		t.offset, t.started = -dts, true
	case t.splice:
		t.offset, t.splice = t.newest+defaultStep-dts, false
	}
}

// reference is the time that the track's next unit is compared with, and how far back it may go from there.
func (c *trackClock) reference(t *timeline) (from, back time.Duration) {
	if c.fresh {
		return t.newest, maxApart
	}
	return c.last, maxBackward
}

// resumes says whether a track that was compared with its own last unit in vain is back from a pause: its offset still
// brings it to where the others are now, and at least as near as the newest offset does, with which another may have jumped.
func (t *timeline) resumes(c *trackClock, dts time.Duration) bool {
	own, common := dts+c.offset, dts+t.offset
	return own > c.last && t.near(own) && (own-t.newest).Abs() <= (common-t.newest).Abs()
}

// near says whether a unit at dts belongs to where the stream is now.
func (t *timeline) near(dts time.Duration) bool {
	return dts-t.newest <= maxForward && t.newest-dts <= maxApart
}

// jump gives the track the newest offset if that brings it to where it was, or to where the others are; else a new one.
func (t *timeline) jump(c *trackClock, dts, from, back time.Duration) time.Duration {
	if moved := dts + t.offset; from-moved <= back && (moved-from <= maxForward || t.near(moved)) {
		c.offset = t.offset
		return moved
	}
	if c.fresh { // a clock of its own, which is nothing to the others
		c.offset = t.newest - dts
		return t.newest
	}
	next := c.last + c.step
	c.offset = next - dts
	t.offset = c.offset
	return next
}

// follow is the least DTS after the last. Data units may share a stamp: an RTP payload is not a whole unit.
func (c *trackClock) follow(k av.Kind) time.Duration {
	if k == av.Data {
		return c.last
	}
	c.fixed++
	return c.last + minStep
}
