package segment

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Limits that are no settings.
const (
	windowLeast = 3                      // segments in a playlist while memory is short
	windowMost  = 4                      // times as many segments as are asked for may be in a playlist, where they are short
	targetMost  = 10 * time.Second       // target duration, however far key pictures are apart
	segmentMost = 32 << 20               // bytes of a segment
	bytesShare  = 4                      // of those that are kept may one segment have
	silence     = 500 * time.Millisecond // of the leading track, and two of its units, after which another leads
	early       = 100 * time.Millisecond // that a key picture may come before a segment has its length
	frameUsual  = 40 * time.Millisecond  // of a stream that does not tell
	rounding    = 400 * time.Millisecond // that a segment may be longer than the target duration: whole seconds count (4.4.3.1)
)

// Options say how to cut.
type Options struct {
	Format  Format
	Token   string        // what the names of files begin with
	First   uint64        // media sequence number of the first segment
	Breaks  uint64        // discontinuity sequence number of the first segment: a small one, by which players index
	Segment time.Duration // length of a segment, at least
	Part    time.Duration // length of a part, about; of fMP4
	Window  int           // segments in the playlist
	Bytes   int64         // that are kept, at most: then older segments go before their time
	GOP     time.Duration // what lies between two key pictures; 0: it is not known
	Frame   time.Duration // what lies between two units of the leading track; 0: it is not known
}

// Entry is what a Cutter is fed with.
type Entry struct {
	Unit   *av.AccessUnit
	Tracks []*av.Track // of the stream as of the unit
	Came   time.Time
	Jumped bool // units before this one were missed
}

// Cutter cuts. Make it with New.
type Cutter struct {
	opt     Options
	packer  packer
	target  time.Duration
	part    time.Duration // target; 0: no parts
	window  []*Segment    // in the playlist
	gone    []*Segment    // that were, and may still be asked for
	bytes   int64         // of both
	removed uint64        // discontinuities before the playlist
	next    uint64

	tracks []*av.Track // that the format carries
	lead   *av.Track
	stands *av.Track     // leads while lead is silent; nil: it is not
	led    time.Duration // DTS of the newest unit that led
	step   time.Duration // between the newest two units that led
	clock  wallclock

	dated time.Time // when the newest segment ends, by its date

	open   *Segment      // nil: none is begun
	begun  time.Duration // DTS that the part in the making begins with
	told   time.Duration // where the parts before it end, by their durations
	key    bool          // there is a key picture in the part in the making
	broken bool          // the next segment does not continue what was before
	ended  bool

	squeezed bool // memory is short
}

// New returns a Cutter.
func New(o Options) *Cutter {
	c := &Cutter{opt: o, packer: o.Format.packer(), next: o.First, removed: o.Breaks, step: o.Frame}
	if c.step <= 0 {
		c.step = frameUsual
	}
	gop := o.GOP
	if gop <= 0 {
		gop = 2 * o.Segment
	}
	c.target = min(ceil(max(gop-early, o.Segment), time.Second), targetMost)
	if o.Format.Parts() && o.Part > 0 {
		c.part = min(partTarget(o.Part, c.step), c.target)
	}
	return c
}

// ceil rounds up to whole units.
func ceil(d, unit time.Duration) time.Duration {
	if rest := d % unit; rest > 0 {
		d += unit - rest
	}
	return d
}

// partTarget is the part target for frames of a length: a whole number of them, with room for stamps in milliseconds.
func partTarget(part, frame time.Duration) time.Duration {
	frames := max(1, int64((part+frame/2)/frame))
	return ceil(time.Duration(frames*int64(frame)), time.Millisecond) + 2*time.Millisecond
}

// Add takes an entry. It says whether there is something new for an edition.
func (c *Cutter) Add(e Entry) (changed bool) {
	u := e.Unit
	if c.ended || !c.opt.Format.Carries(u.Track) {
		return false
	}
	before := c.next
	if e.Jumped || !slices.Contains(c.tracks, u.Track) {
		c.turn(e)
	}
	if !slices.Contains(c.tracks, u.Track) {
		return c.next != before // a second of its kind, for which there is no place
	}
	c.clock.note(e.Came, u.DTS)
	if !c.takes(u) {
		return c.next != before
	}
	leads := c.leads(u)
	if leads {
		changed = c.cut(u)
	}
	if c.open == nil {
		c.begin(u)
	}
	if err := c.packer.add(c.tracks, u); err != nil { // it is full
		if c.last() {
			c.finish(u.DTS)
			c.begin(u)
		} else {
			c.closePart(u.DTS, false)
		}
		_ = c.packer.add(c.tracks, u)
		changed = true
	}
	c.key = c.key || u.Key && u.Track == c.lead
	if leads {
		c.led = u.DTS
	}
	return changed || c.next != before
}

// takes says whether a unit is of use: nothing begins before a key picture.
func (c *Cutter) takes(u *av.AccessUnit) bool {
	return c.open != nil || c.lead.Kind() != av.Video || u.Track == c.lead && u.Key
}

// leads says whether parts and segments may end before a unit: one of the leading track, or, while that is silent, of the one that was the first
// to be noticed without it.
func (c *Cutter) leads(u *av.AccessUnit) bool {
	switch {
	case u.Track == c.lead:
		c.stands = nil
		return true
	case c.stands == nil && c.open != nil && u.DTS-c.led > max(silence, 2*c.step):
		c.stands = u.Track
	}
	return u.Track == c.stands
}

// turn begins something new with an entry: its tracks are others, another publisher goes on, or what was before it is missing. A track other
// than the leading one that has only been written anew is taken for what it was.
func (c *Cutter) turn(e Entry) {
	tracks := c.opt.Format.Select(e.Tracks)
	if !e.Jumped && (slices.Equal(tracks, c.tracks) || c.renewed(e.Unit.Track, tracks)) {
		return
	}
	c.finish(c.led + c.step)
	c.broken = c.broken || c.next > c.opt.First
	c.clock = wallclock{} // what was lost, or waited for, takes time too
	c.tracks, c.lead, c.stands = tracks, Leader(tracks), nil
	c.packer.tracks(tracks)
}

// renewed puts a track in the place of an equal one, if it does not lead and nothing else is new, and says whether it did.
func (c *Cutter) renewed(t *av.Track, tracks []*av.Track) bool {
	if t == c.lead || len(tracks) != len(c.tracks) {
		return false
	}
	for i, o := range c.tracks {
		if o.ID == t.ID && o.Equal(t) && o != c.lead {
			if c.stands == o {
				c.stands = t
			}
			c.tracks = slices.Clone(c.tracks)
			c.tracks[i] = t
			return true
		}
	}
	return false
}

// Leader is the track that the others follow: the first of video, of audio where there is none, or of data; nil without tracks.
func Leader(tracks []*av.Track) *av.Track {
	for _, kind := range []av.Kind{av.Video, av.Audio, av.Data} {
		for _, t := range tracks {
			if t.Kind() == kind {
				return t
			}
		}
	}
	return nil
}

// cut ends the part or the segment before a unit that leads, if that is due, and says whether it did.
func (c *Cutter) cut(u *av.AccessUnit) bool {
	if c.open == nil {
		return false
	}
	step := u.DTS - c.led
	long := u.DTS - c.open.from
	if step > c.target { // a hole: nothing lasts as long
		c.finish(c.led + c.step)
		c.broken = true
		return true
	}
	if step > 0 && u.Track == c.lead {
		c.step = step
	}
	begins := u.Track == c.lead && u.Key
	full := c.part > 0 && u.DTS-c.begun+step > c.part
	switch {
	case begins && u.Track.Kind() == av.Video && long >= c.opt.Segment-early,
		begins && u.Track.Kind() != av.Video && long+step > c.opt.Segment,
		long+step > c.target+rounding,
		full && c.last(),
		int64(c.open.Size+c.packer.size()) > min(segmentMost, c.opt.Bytes/bytesShare):
		c.finish(u.DTS)
		return true
	case full:
		c.closePart(u.DTS, false)
		return true
	}
	return false
}

// last says whether the part in the making has to be its segment's last: one that is not may be told to last longer than it does.
func (c *Cutter) last() bool { return c.told+c.part-c.open.from > c.target+rounding }

// roundingMost is what the parts of a segment may be longer together than the target duration.
const roundingMost = 490 * time.Millisecond

// overlap is what a segment may be dated before the end of the one before it, when the clock has found that all was late: more of it would
// make dates ambiguous (6.2.1).
const overlap = 500 * time.Millisecond

// begin opens a segment with a unit.
func (c *Cutter) begin(u *av.AccessUnit) {
	start := c.clock.at(u.DTS)
	if least := c.dated.Add(-overlap); start.Before(least) {
		start = least
	}
	c.open = &Segment{
		Number: c.next, Start: start, Discontinuity: c.broken, Init: c.packer.begin(u.DTS), from: u.DTS,
	}
	c.broken, c.begun, c.told, c.key, c.led = false, u.DTS, u.DTS, false, u.DTS
}

// leastPart is what a part is to last of the part target, unless it is the last of its segment or there is a key picture in it (4.4.4.9).
const leastPart = 85 // percent

// closePart ends the part in the making, if there is anything in it, at the DTS of what follows. last says that it is its segment's last.
func (c *Cutter) closePart(end time.Duration, last bool) {
	data := c.packer.flush(end)
	if len(data) == 0 {
		return
	}
	p := &Part{Data: data, Duration: max(end-c.told, 0), Independent: c.key || c.lead.Kind() != av.Video}
	if c.part > 0 {
		p.Duration = min(p.Duration, c.part)
		if last { // durations that were told longer than they are must not add up to too much
			p.Duration = min(p.Duration, c.open.from+c.target+roundingMost-c.told)
		}
		if !last && !p.Independent { // frames of odd lengths do not always fit: then it is told to last as long as it should, and the next less
			p.Duration = max(p.Duration, ceil(c.part*leastPart/100, time.Millisecond))
		}
		c.told += p.Duration
	}
	next := *c.open // editions have the one before
	next.Parts = append(slices.Clip(next.Parts), p)
	next.Size += len(data)
	c.open, c.begun, c.key = &next, end, false
}

// finish ends the segment in the making, if there is one, at the DTS of what follows.
func (c *Cutter) finish(end time.Duration) {
	if c.open == nil {
		return
	}
	c.closePart(end, true)
	s := c.open
	c.open = nil
	if len(s.Parts) == 0 {
		c.broken = c.broken || s.Discontinuity
		return
	}
	s.Duration = min(max(end-s.from, time.Millisecond), c.target+rounding)
	if c.part > 0 {
		s.Duration = max(c.told-s.from, time.Millisecond)
	}
	c.dated = s.Start.Add(s.Duration)
	c.next++
	c.window = append(c.window, s)
	c.bytes += int64(s.Size)
	c.expire()
}

// Squeeze has the Cutter keep as little as players can do with, as long as memory is short.
func (c *Cutter) Squeeze(on bool) {
	if on != c.squeezed {
		c.squeezed = on
		c.expire()
	}
}

// expire forgets what has left the playlist long enough ago: a segment may be asked for as long as the playlist lasts that it was in (6.2.2).
func (c *Cutter) expire() {
	window, spare := c.opt.Window, c.opt.Window+1
	if c.squeezed {
		window, spare = min(window, windowLeast), 1
	}
	for len(c.window) > window && (span(c.window[1:]) >= spanLeast*c.target || len(c.window) > windowMost*c.opt.Window) {
		c.leave()
	}
	for len(c.gone) > spare || c.bytes > c.opt.Bytes && len(c.gone)+len(c.window) > 1 {
		if len(c.gone) == 0 {
			c.leave()
		}
		c.bytes -= int64(c.gone[0].Size)
		c.gone = slices.Delete(c.gone, 0, 1) // what has gone is not to be held by what is left
	}
}

// spanLeast is for how many target durations there are segments in a playlist, as soon as there have been as many (6.2.2).
const spanLeast = 3

func span(all []*Segment) (d time.Duration) {
	for _, s := range all {
		d += s.Duration
	}
	return d
}

// leave takes the oldest segment out of the playlist.
func (c *Cutter) leave() {
	s := c.window[0]
	if s.Discontinuity {
		c.removed++
	}
	c.window, c.gone = slices.Clone(c.window[1:]), append(c.gone, s) // editions have the old one
}

// End ends the stream: what is in the making is the last.
func (c *Cutter) End() {
	c.finish(c.led + c.step)
	c.ended = true
}

// Edition is what can be played now.
func (c *Cutter) Edition() *Edition {
	e := &Edition{
		Format: c.opt.Format, Target: c.target, PartTarget: c.part, Segments: slices.Clip(c.window), Discontinuity: c.removed,
		Tracks: c.tracks, Ended: c.ended, token: c.opt.Token, kept: slices.Concat(c.gone, c.window), next: c.next,
	}
	if c.open != nil && c.part > 0 && len(c.open.Parts) > 0 {
		open := *c.open
		e.Open = &open
	}
	return e
}
