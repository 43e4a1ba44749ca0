package fmp4

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// run is one sample of a fragment that is read.
type run struct {
	in     *input
	at     uint64 // where it begins in the stream
	size   uint32
	time   uint64 // DTS in ticks
	offset int64  // PTS less DTS, in ticks
	flags  uint32
}

// secondsMax is the largest time in seconds that a time.Duration of us may have.
const secondsMax = math.MaxInt64 / uint64(time.Second) / 2

// readMoof takes a moof (ISO/IEC 14496-12, 8.8.4). What is wrong with a traf costs the fragment of all tracks.
func (d *Demuxer) readMoof(b []byte) ([]run, error) {
	m := moof{d: d, end: d.begin}
	if err := walk(b, func(typ string, body []byte) error {
		if typ != "traf" {
			return nil
		}
		return m.traf(body)
	}); err != nil {
		return nil, err
	}
	return m.runs, m.unknown
}

// moof is one that is being read.
type moof struct {
	d       *Demuxer
	runs    []run
	end     uint64 // of the media of the traf before
	unknown error
}

// traf takes a track's part of a fragment (8.8.6 to 8.8.8, 8.8.12).
func (m *moof) traf(b []byte) error {
	tfhd, err := child(b, "tfhd")
	if err != nil {
		return err
	}
	const baseOffset, entry, duration, size, flags = 0x1, 0x2, 0x8, 0x10, 0x20
	c := cursor{b: tfhd}
	set := c.uint(4)
	id := uint32(c.uint(4)) //nolint:gosec // 32 bits
	in := m.d.input(id)
	if c.short || in == nil {
		m.unknown = fmt.Errorf("%w: %d", ErrNoTrack, id)
		return nil
	}
	t := traf{moof: m, in: in, base: m.end, at: in.next}
	switch {
	case set&baseOffset != 0:
		t.base = c.uint(8)
	case set&defaultBaseIsMoof != 0:
		t.base = m.d.begin
	}
	if set&entry != 0 {
		c.take(4)
	}
	t.duration = c.if32(set&duration != 0, in.duration)
	t.size = c.if32(set&size != 0, in.size)
	t.flags = c.if32(set&flags != 0, in.flags)
	if c.short {
		return fmt.Errorf("tfhd: %w", errShort)
	}
	t.end = t.base
	if err := walk(b, t.box); err != nil {
		return err
	}
	m.end, in.next = t.end, t.at
	return nil
}

// traf is one that is being read.
type traf struct {
	moof      *moof
	in        *input
	base, end uint64 // of the media, in the stream
	at        uint64 // ticks

	duration, size, flags uint32 // defaults
}

func (t *traf) box(typ string, b []byte) error {
	c := cursor{b: b}
	switch typ {
	case "tfdt":
		n := 4
		if c.uint(4)>>24 == 1 {
			n = 8
		}
		t.at = c.uint(n)
		if c.short {
			return errShort
		}
	case "trun":
		return t.trun(&c)
	}
	return nil
}

// trun takes a run of samples.
func (t *traf) trun(c *cursor) error {
	const firstFlags = 0x4
	set, count := uint32(c.uint(4)), c.uint(4) //nolint:gosec // 32 bits
	if set&trunOffset != 0 {
		t.end = t.base + uint64(int64(int32(c.uint(4)))) //nolint:gosec // signed, and wraps as it should
	}
	first := c.if32(set&firstFlags != 0, 0)
	if count > uint64(samplesMax-len(t.moof.runs)) { //nolint:gosec // not negative
		return fmt.Errorf("more than %d samples", samplesMax)
	}
	for i := range count {
		duration := c.if32(set&trunDuration != 0, t.duration)
		size := c.if32(set&trunSampleSize != 0, t.size)
		flags := c.if32(set&trunFlags != 0, t.flags)
		if i == 0 && set&firstFlags != 0 {
			flags = first
		}
		shift := int64(c.if32(set&trunComposition != 0, 0))
		if set>>24 == 1 {
			shift = int64(int32(shift)) //nolint:gosec // signed in version 1
		}
		if c.short {
			return errShort
		}
		if t.at > math.MaxInt64/2 || t.at/uint64(t.in.rate) > secondsMax { //nolint:gosec // positive
			return fmt.Errorf("time of %d ticks", t.at)
		}
		t.moof.runs = append(t.moof.runs, run{in: t.in, at: t.end, size: size, time: t.at, offset: shift, flags: flags})
		t.at += uint64(duration)
		t.end += uint64(size)
	}
	return nil
}

// readMedia takes the mdat that follows a moof; at is where its body begins. The samples together are not longer than it, so that none can
// ask for the same bytes again and again.
func (d *Demuxer) readMedia(b []byte, at uint64) error {
	total := uint64(0)
	for _, r := range d.moof {
		from := r.at - at // huge if it is before
		if total += uint64(r.size); from > uint64(len(b)) || uint64(r.size) > uint64(len(b))-from || total > uint64(len(b)) {
			return fmt.Errorf("sample of %d bytes at %d of %d: %w", r.size, int64(from), len(b), errShort) //nolint:gosec // to be read
		}
	}
	var first error
	for _, r := range d.moof {
		from := r.at - at
		u, err := r.in.unit(b[from:from+uint64(r.size)], r.flags&nonSync == 0)
		if err != nil && first == nil {
			first = fmt.Errorf("track %d: %w", r.in.id, err)
		}
		if u == nil {
			continue
		}
		u.DTS = av.Duration(int64(r.time), r.in.rate)                  //nolint:gosec // up to secondsMax
		u.PTS = av.Duration(int64(r.time)+max(r.offset, 0), r.in.rate) //nolint:gosec // up to secondsMax
		d.units = append(d.units, u)
	}
	slices.SortStableFunc(d.units, func(a, b *av.AccessUnit) int { return cmp.Compare(a.DTS, b.DTS) })
	return first
}
