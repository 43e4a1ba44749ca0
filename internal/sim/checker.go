package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Checker judges the units that one reader gets, in the order in which it gets them. The zero Checker is for readers that
// get all tracks of a stream in the order in which they were written.
type Checker struct {
	// PerTrack is for outputs that may interleave the tracks in another way than they were written, or lack some:
	// each is judged for itself.
	PerTrack bool

	Units   int // that were seen
	Gaps    int // places where units are missing
	Missing int // units that are missing in the gaps

	begun  bool
	origin byte
	next   uint64
	video  bool // the origin has video, as far as seen
	tracks map[byte]*trackCheck
}

type trackCheck struct {
	seen bool // a unit of the present origin
	any  bool
	next uint64
	dts  time.Duration
}

// Unit judges the next unit.
func (c *Checker) Unit(u *av.AccessUnit) error {
	tag, err := Read(u)
	if err != nil {
		return err
	}
	if err := c.order(u, tag); err != nil {
		return fmt.Errorf("%v unit %d (%d of its track, encoder %d): %w", u.Track.Codec, tag.Seq, tag.TrackSeq, tag.Origin, err)
	}
	c.Units++
	return nil
}

func (c *Checker) order(u *av.AccessUnit, tag Tag) error {
	first := !c.begun
	if first {
		c.begun, c.origin, c.tracks = true, tag.Origin, map[byte]*trackCheck{}
	}
	switch {
	case tag.Origin < c.origin:
		return errors.New("of an encoder that was replaced")
	case tag.Origin > c.origin:
		c.origin, c.next, c.video = tag.Origin, tag.Seq, false
		for _, t := range c.tracks {
			t.seen = false
		}
	}
	c.video = c.video || u.Track.Kind() == av.Video
	t := c.tracks[tag.Track]
	if t == nil {
		t = &trackCheck{}
		c.tracks[tag.Track] = t
	}
	if err := c.gap(u, tag, t, first); err != nil {
		return err
	}
	if u.PTS < u.DTS {
		return fmt.Errorf("PTS %v before DTS %v", u.PTS, u.DTS)
	}
	if t.any && u.DTS <= t.dts && u.Track.Kind() != av.Data {
		return fmt.Errorf("DTS %v after %v", u.DTS, t.dts)
	}
	t.any, t.dts = true, u.DTS
	return nil
}

// gap checks that nothing comes twice or out of order, and that whatever follows a gap can be decoded.
func (c *Checker) gap(u *av.AccessUnit, tag Tag, t *trackCheck, first bool) error {
	if t.seen && tag.TrackSeq < t.next {
		return fmt.Errorf("came after unit %d of its track", t.next-1)
	}
	gap := t.seen && tag.TrackSeq > t.next
	if first || !t.seen && u.Track.Kind() == av.Video {
		if !u.Key {
			return errors.New("first, but no key unit")
		}
	}
	missing := tag.TrackSeq - t.next
	t.seen, t.next = true, tag.TrackSeq+1
	if !c.PerTrack {
		if !first && tag.Seq < c.next {
			return fmt.Errorf("came after unit %d", c.next-1)
		}
		gap, missing = !first && tag.Seq > c.next, tag.Seq-c.next
		c.next = tag.Seq + 1
	}
	if !gap {
		return nil
	}
	c.Gaps++
	c.Missing += int(missing) //nolint:gosec // not that many
	if wantsKey := !c.PerTrack && c.video || u.Track.Kind() == av.Video; wantsKey && (u.Track.Kind() != av.Video || !u.Key) {
		return fmt.Errorf("after a gap of %d, but no key picture", missing)
	}
	return nil
}
