package stream

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	maxForward  = 10 * time.Second       // a step forward of a track that is larger, by more than passed meanwhile, is a jump
	maxBackward = 500 * time.Millisecond // a larger step back too
	maxApart    = 2 * time.Second        // a track that is new, or has paused, may begin this far behind the others
	maxReorder  = 10 * time.Second       // PTS - DTS beyond this is nonsense
	defaultStep = 40 * time.Millisecond  // between units of which only one is known
	minStep     = time.Millisecond       // the finest clock of an output (FLV)
	largeStep   = time.Second            // the step of a pause, or of a jump that is too small to be known as one
	aliveFor    = 2 * time.Second        // after its newest unit a track counts as one that goes on
	latest      = time.Duration(1 << 62) // 146 years: what lies beyond is no time
)

// timeline moves the publisher's stamps to the stream's clock, on which no track ever goes back. How it does so is the mode's.
//
// Every track has an offset from the publisher's clock. When a track jumps, it is given a new offset with which it
// goes on where it was; the next track to jump tries that offset first, so that audio and video stay together although
// they do not jump with the same unit. A track that has paused while another went on has not jumped: it is compared with
// that one. No track stays further than maxForward behind the foremost, whatever its stamps are.
//
// The work for a unit does not depend on how far its stamp is from the one before.
type timeline struct {
	mode    StampMode
	clocks  map[int]*trackClock // of the present publisher, by track ID
	offset  time.Duration       // the newest offset of any track
	media   progress            // by the publisher's clock
	out     progress            // as units leave; by Receive another time than media
	at      time.Duration       // when the newest unit came
	arrival arrival             // of Receive
	started bool
	splice  bool // the next unit is the first of another publisher
}

// progress is how far the stream is.
type progress struct {
	newest time.Duration // the greatest DTS so far
	floor  time.Duration // where the tracks of the present publisher begin at the earliest
}

type trackClock struct {
	offset time.Duration
	last   time.Duration // DTS of the newest unit, by the publisher's clock
	out    time.Duration // as it left
	step   time.Duration // between the two newest units
	fresh  bool          // no unit yet
	at     time.Duration // when the newest unit came
}

// restart makes the next unit continue after the newest, whatever its stamp.
func (t *timeline) restart() {
	t.splice = t.started
	clear(t.clocks)
	if t.started {
		t.media.floor, t.out.floor = t.media.newest+minStep, t.out.newest+minStep
	}
}

// place restamps u, which came at now, by the monotonic clock since any moment. It says whether its stamps had to be corrected:
// because the track's clock had jumped, because DTS did not follow the one before, or because PTS was nonsense. What a splice and
// the mode do to all units is no correction.
func (t *timeline) place(u *av.AccessUnit, now time.Duration) (corrected bool) {
	c := t.clock(u.Track.ID)
	t.anchor(u.DTS, now)
	if c.fresh {
		c.offset = t.offset
	}
	dts := u.DTS + c.offset
	if t.jumped(c, dts, now) && !t.resumes(c, u.DTS, now) {
		dts, corrected = t.jump(c, u.DTS, now), true
	}
	dts, back := c.after(c.last, dts, t.media.floor, u.Track.Kind())
	leads := dts - t.media.newest
	t.media.newest = max(t.media.newest, dts)

	out := dts
	if t.mode == Receive {
		out, _ = c.after(c.out, t.arrival.bend(dts, leads, now), t.out.floor, u.Track.Kind())
	}
	t.out.newest = max(t.out.newest, out)
	c.note(dts, out, now)
	t.at = now

	reorder := u.PTS - u.DTS
	nonsense := reorder < 0 || reorder > maxReorder
	if nonsense {
		reorder = 0
	}
	u.DTS, u.PTS = out, out+reorder
	return corrected || back || nonsense
}

func (t *timeline) clock(id int) *trackClock {
	c := t.clocks[id]
	if c == nil {
		if t.clocks == nil {
			t.clocks = make(map[int]*trackClock)
		}
		c = &trackClock{fresh: true, step: defaultStep}
		t.clocks[id] = c
	}
	return c
}

// note remembers where the track's newest unit is.
func (c *trackClock) note(dts, out time.Duration, now time.Duration) {
	if !c.fresh {
		c.step = min(max(dts-c.last, minStep), largeStep)
	}
	c.last, c.out, c.fresh, c.at = dts, out, false, now
}

// after is dts, or the least that may follow last, and says whether dts goes back. The track's first unit may lie a little before the
// stream's. Data units may share a stamp: an RTP payload is not a whole unit.
func (c *trackClock) after(last, dts, floor time.Duration, k av.Kind) (_ time.Duration, back bool) {
	switch {
	case c.fresh:
		return max(dts, floor), false
	case dts > last || dts == last && k == av.Data:
		return dts, false
	case k == av.Data:
		return last, true
	}
	return last + minStep, true
}

// anchor ties the first stamp of a publisher to the stream's clock.
func (t *timeline) anchor(dts time.Duration, now time.Duration) {
	switch {
	case !t.started:
		t.started, t.at = true, now
		if t.offset = -dts; t.mode == Absolute && dts >= 0 && dts < latest {
			t.offset, t.media.newest = 0, dts
		}
	case t.splice:
		t.splice = false
		if t.mode == Absolute && (t.wentOn(dts, 0, now) || t.wentOn(dts, t.offset, now)) {
			return
		}
		t.offset = t.media.newest + defaultStep - dts
	}
}

// wentOn takes the offset, if with it the publisher's clock has simply gone on since the newest unit.
func (t *timeline) wentOn(dts, offset time.Duration, now time.Duration) bool {
	if gap := dts + offset - t.media.newest; gap <= 0 || gap > t.forward(now) {
		return false
	}
	t.offset = offset
	return true
}

// forward is how far a clock may go forward at now without having jumped: further when nothing came for a while.
func (t *timeline) forward(now time.Duration) time.Duration { return maxForward + max(now-t.at, 0) }

// jumped says whether the track's clock has jumped, if its next unit would be at dts.
func (t *timeline) jumped(c *trackClock, dts time.Duration, now time.Duration) bool {
	if c.fresh {
		apart := dts - t.media.newest
		return apart > t.forward(now) || apart < -maxApart
	}
	step := dts - c.last
	switch {
	case step > maxForward && step > t.forward(now) || step < -maxBackward:
		return true
	case t.media.newest-dts > maxForward: // its clock is slower than the others', or stands still
		return true
	}
	return step > largeStep && t.leaves(c, dts, now)
}

// leaves says whether a track at dts would be too far ahead of another that goes on.
func (t *timeline) leaves(c *trackClock, dts time.Duration, now time.Duration) bool {
	for _, o := range t.clocks {
		if o != c && !o.fresh && now-o.at < aliveFor && dts-o.last > maxForward {
			return true
		}
	}
	return false
}

// resumes says whether a track that was compared with its own last unit in vain is back from a pause: its offset still
// brings it to where the others are now, and at least as near as the newest offset does, with which another may have jumped.
func (t *timeline) resumes(c *trackClock, dts time.Duration, now time.Duration) bool {
	own, common := dts+c.offset, dts+t.offset
	return t.returns(c, own, now) && (own-t.media.newest).Abs() <= (common-t.media.newest).Abs()
}

// returns says whether a track that has paused may be back at dts: that is where the stream is now.
func (t *timeline) returns(c *trackClock, dts time.Duration, now time.Duration) bool {
	apart := dts - t.media.newest
	return !c.fresh && dts > c.last && apart <= maxForward && apart >= -maxApart && !t.leaves(c, dts, now)
}

// jump gives the track the newest offset if that brings it to where it was, or to where the others are; else a new one.
func (t *timeline) jump(c *trackClock, dts time.Duration, now time.Duration) time.Duration {
	if moved := dts + t.offset; !t.jumped(c, moved, now) || t.returns(c, moved, now) {
		c.offset = t.offset
		return moved
	}
	next := c.last + c.step
	if behind := t.media.newest - next; c.fresh || behind > maxForward || behind > maxApart && now-c.at > aliveFor {
		c.offset = t.media.newest - dts // a clock of its own, which is nothing to the others
		return t.media.newest
	}
	c.offset = next - dts
	t.offset = c.offset
	return next
}
