package rtp

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	windowMax  = 4096    // packets that wait
	waitingMax = 4 << 20 // bytes of them
	jumpMax    = 3000    // numbers (RFC 3550, A.1: MAX_DROPOUT): a packet further away belongs to another numbering
	recentSize = 1024    // packets that are remembered to tell a duplicate from a new numbering
	runJump    = 3       // packets in a row that make a new numbering, far away
	runBehind  = 4       // just behind the present one, newer by their timestamps
	runForeign = 16      // of another source
	runQuiet   = 2       // of either, once the present one is quiet
	quietAfter = 500 * time.Millisecond
)

// order is what a receiver knows of the numbering of the source that it listens to.
type order struct {
	next    int64 // number that is due
	highest int64
	gap     bool // numbers before next are missing
	waiting []slot
	count   int           // packets that wait
	size    int           // bytes of them
	since   time.Duration // when the wait for the gap before the first of them began
	newest  uint32        // timestamp
	good    time.Duration // when the newest packet that fits came
	bad     error         // the first about a packet, in this call
	recent  [recentSize]seen
}

// slot is a packet that waits for one before it.
type slot struct {
	b    []byte // memory is used again
	at   time.Duration
	full bool
}

type seen struct {
	seq       int64
	timestamp uint32
	ok        bool
}

// rival is a row of packets that do not fit: of another source, or another numbering of the same. They are kept, since they
// may turn out to be the ones to listen to.
type rival struct {
	ssrc  uint32
	next  uint16
	stash [][]byte
	count int
}

// add takes a packet and says how long the row is. A duplicate of the newest changes nothing.
func (v *rival) add(h header, b []byte) int {
	switch {
	case v.count > 0 && h.ssrc == v.ssrc && h.seq == v.next-1:
		return v.count
	case v.count == 0 || h.ssrc != v.ssrc || h.seq != v.next:
		v.ssrc, v.count, v.stash = h.ssrc, 0, v.stash[:0]
	}
	v.count++
	v.next = h.seq + 1
	if len(v.stash) < runForeign {
		v.stash = append(v.stash, append([]byte(nil), b...))
	}
	return v.count
}

func (v *rival) clear() { v.count, v.stash = 0, nil }

// duplicate says whether the packet is one that came lately.
func (o *order) duplicate(n int64, h header) bool {
	s := o.recent[uint64(n)%recentSize] //nolint:gosec // any place will do
	return s.ok && s.seq == n && s.timestamp == h.timestamp
}

// waits says whether a packet with that number is there already, whatever its timestamp.
func (o *order) waits(n int64) bool {
	ahead := n - o.next
	return ahead > 0 && ahead < int64(len(o.waiting)) && o.slot(n).full
}

func (o *order) remember(n int64, h header) {
	o.recent[uint64(n)%recentSize] = seen{n, h.timestamp, true} //nolint:gosec // any place will do
}

func (o *order) slot(n int64) *slot { return &o.waiting[uint64(n)%uint64(len(o.waiting))] } //nolint:gosec // not negative in effect

// accept takes a packet of the present source.
func (r *Receiver) accept(h header, b []byte, at time.Duration) error {
	o := &r.order
	n := av.Unwrap(o.next, uint64(h.seq), 16)
	ahead := n - o.next
	if ahead > jumpMax || ahead < -jumpMax {
		if run := r.rival.add(h, b); run >= runJump || run >= runQuiet && at-o.good >= quietAfter {
			return r.takeOver(at)
		}
		return nil
	}
	if o.duplicate(n, h) || o.waits(n) {
		r.stats.duplicates.Add(1)
		return nil
	}
	if ahead < 0 {
		return r.late(h, b, at)
	}
	r.rival.clear()
	o.remember(n, h)
	o.good = at
	r.received(h, at)
	if n < o.highest {
		r.stats.reordered.Add(1)
	}
	o.highest = max(o.highest, n)
	if int32(h.timestamp-o.newest) > 0 { //nolint:gosec // serial arithmetic
		o.newest = h.timestamp
	}
	if ahead > 0 {
		if err := r.wait(n, b, at); err != nil {
			return err
		}
	} else if err := r.advance(b); err != nil {
		return err
	}
	return r.expire(at)
}

// late takes a packet whose turn is over: it is dropped, unless more of the kind show that the source has begun to count anew.
func (r *Receiver) late(h header, b []byte, at time.Duration) error {
	o := &r.order
	run := r.rival.add(h, b)
	newer := int32(h.timestamp-o.newest) > 0 //nolint:gosec // serial arithmetic
	if run >= runBehind && newer || run >= runQuiet && at-o.good >= quietAfter {
		return r.takeOver(at)
	}
	r.stats.late.Add(1)
	return nil
}

// wait keeps a packet that is ahead of its turn, if there is room in the window; else those before it are given up.
func (r *Receiver) wait(n int64, b []byte, at time.Duration) error {
	o := &r.order
	for n-o.next >= int64(len(o.waiting)) || o.size+len(b) > waitingMax {
		if n == o.next {
			return r.advance(b)
		}
		if err := r.giveUp(); err != nil {
			return err
		}
	}
	if n == o.next {
		return r.advance(b)
	}
	s := o.slot(n)
	s.b, s.at, s.full = append(s.b[:0], b...), at, true
	if o.count++; o.count == 1 {
		o.since = at
	}
	o.size += len(b)
	return nil
}

// advance delivers the packet that is due, and those that waited for it.
func (r *Receiver) advance(b []byte) error {
	r.order.next++
	if err := r.deliver(b); err != nil {
		return err
	}
	return r.drain()
}

// drain delivers what waited and is due.
func (r *Receiver) drain() error {
	o := &r.order
	for o.count > 0 {
		s := o.slot(o.next)
		if !s.full {
			break
		}
		if err := r.release(s); err != nil {
			return err
		}
	}
	for n := int64(0); o.count > 0 && n < int64(len(o.waiting)); n++ { // the wait for the next gap
		if s := o.slot(o.next + n); s.full {
			o.since = s.at
			break
		}
	}
	return nil
}

// giveUp goes one number on: the packet that is due has come, or is lost.
func (r *Receiver) giveUp() error {
	o := &r.order
	if o.count > 0 {
		if s := o.slot(o.next); s.full {
			return r.release(s)
		}
	}
	o.next++
	o.gap = true
	r.stats.lost.Add(1)
	return nil
}

// release delivers a packet that waited, which is due.
func (r *Receiver) release(s *slot) error {
	o := &r.order
	s.full = false
	o.count--
	o.size -= len(s.b)
	o.next++
	return r.deliver(s.b)
}

// expire gives up on packets for which others wait since longer than Options.Hold. It goes on where an error has stopped it.
func (r *Receiver) expire(at time.Duration) error {
	o := &r.order
	for o.count > 0 && r.opt.Hold > 0 && at-o.since >= r.opt.Hold {
		for !o.slot(o.next).full {
			if err := r.giveUp(); err != nil {
				return err
			}
		}
		if err := r.drain(); err != nil {
			return err
		}
	}
	return nil
}

// takeOver makes the rival's numbering the present one. What still waits of the old one goes out first.
func (r *Receiver) takeOver(at time.Duration) error {
	for r.order.count > 0 {
		if err := r.giveUp(); err != nil {
			return err
		}
	}
	stash := r.rival.stash
	r.rival.clear()
	for i, b := range stash {
		h, _, err := parseHeader(b)
		if err != nil {
			return err
		}
		if i == 0 {
			r.begin(h, at)
			r.order.gap = true
		}
		if err := r.accept(h, b, at); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the packet the first of its source.
func (r *Receiver) begin(h header, at time.Duration) {
	o := &r.order
	sameSource := r.begun && r.ssrc == h.ssrc
	r.begun, r.ssrc = true, h.ssrc
	o.next, o.highest, o.newest, o.good = int64(h.seq), int64(h.seq), h.timestamp, at
	o.recent = [recentSize]seen{}
	r.restartReport(h.seq, sameSource)
	ticks := int64(h.timestamp)
	if sameSource { // another numbering, but perhaps the same time
		ticks = av.Unwrap(r.ticks, uint64(h.timestamp), 32)
		gone := av.Duration(ticks-r.ticks, int64(r.format.clock))
		if (gone - (at - r.ticksAt)).Abs() <= restartGap {
			return
		}
	}
	r.ticks, r.ticksAt = ticks, at
	r.lane.start(ticks, at)
	if e := r.early; e != nil && e.SSRC == r.ssrc {
		r.lane.foretold(e.NTPTime, av.Unwrap(ticks, uint64(e.RTPTime), 32))
	}
	r.early = nil
}
