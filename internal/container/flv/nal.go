package flv

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

const elementsMax = 4096 // NAL units or OBUs in a unit

var errTooMany = fmt.Errorf("more than %d elements", elementsMax)

// nalConfig takes an avcC or hvcC. It may lack parameter sets, which then have to come with the pictures.
func (t *track) nalConfig(b []byte) error {
	parse := parseHVCC
	if t.codec == av.H264 {
		parse = parseAVCC
	}
	sets, size, err := parse(b)
	if err != nil {
		*t = track{id: t.id, codec: t.codec}
		return err
	}
	t.nalSize = size
	if t.cur != nil && sets.Equal(&t.sets) {
		return nil
	}
	t.sets = sets
	old := t.cur
	t.cur = nil
	if err := t.build(&sets); err != nil {
		return err
	}
	if old != nil && t.cur != nil && t.cur.Equal(old) {
		t.cur = old
	}
	return nil
}

// build makes the track from sets once there are enough, which then are the track's.
func (t *track) build(sets *nal.Sets) error {
	n, err := sets.Track(t.id, t.codec)
	if n != nil || err != nil {
		err = t.adopt(n, err)
	}
	if err == nil {
		t.sets = *sets
	}
	return err
}

// inBand collects the parameter sets that come with one picture. However many they are, few are looked at.
type inBand struct {
	sets    nal.Sets // the track's with what is new
	changed bool
	count   int
	size    int
	err     error // the first; what comes after it is not looked at
}

func (n *inBand) put(t *track, set []byte) {
	if n.err != nil {
		return
	}
	if n.count == 0 {
		n.sets = t.sets.Share()
	}
	n.count++
	n.size += len(set)
	if n.count > av.MaxSets || n.size > av.MaxSetsSize {
		n.err = fmt.Errorf("more than %d parameter sets or %d bytes of them in a unit", av.MaxSets, av.MaxSetsSize)
		return
	}
	changed, err := n.sets.Put(t.codec, set)
	n.changed, n.err = n.changed || changed, err
}

// build makes the track anew if a set is new and all can be used.
func (n *inBand) build(t *track) error {
	if n.err == nil && n.changed {
		n.err = t.build(&n.sets)
	}
	return n.err
}

// nalFrame takes a picture: NAL units, each behind its length. Parameter sets among them that differ from the current
// ones make a new track; if they cannot be read, the picture passes under the old one. Without a part of a picture
// there is no unit.
//
// A unit is a key unit if it holds a random access point (IDR, IRAP) or the header says so: broadcast encoders use
// recovery points and never send an IDR.
func (t *track) nalFrame(d *Demuxer, p packet) error {
	if t.nalSize == 0 {
		return ErrNoConfig
	}
	n, err := countNALs(p.body, t.nalSize)
	if err != nil {
		return err
	}
	var picture bool
	var sets inBand
	for rest := p.body; len(rest) > 0; {
		var b []byte
		b, rest = nextNAL(rest, t.nalSize)
		switch kind := nal.KindOf(t.codec, b); {
		case kind == nal.Key:
			picture, p.key = true, true
		case kind == nal.Slice:
			picture = true
		case kind.IsSet():
			sets.put(t, b)
		}
	}
	setErr := sets.build(t)
	switch {
	case !picture:
		return setErr
	case t.cur == nil && setErr == nil:
		return ErrNoConfig
	case t.cur == nil:
		return setErr
	}
	u := av.NewUnit(n)
	u.Key = p.key
	for rest := p.body; len(rest) > 0; {
		var b []byte
		if b, rest = nextNAL(rest, t.nalSize); len(b) > 0 {
			u.Data = append(u.Data, b)
		}
	}
	d.add(t, p, u)
	return setErr
}

// countNALs checks the lengths and counts the NAL units that are not empty.
func countNALs(b []byte, size int) (int, error) {
	n := 0
	for c := (cursor{b: b}); c.at < len(b); {
		length := int(c.uint(size))
		c.take(length)
		if c.short {
			return 0, fmt.Errorf("NAL unit of %d bytes at %d of %d: %w", length, c.at, len(b), errShort)
		}
		if length == 0 {
			continue
		}
		if n++; n > elementsMax {
			return 0, errTooMany
		}
	}
	return n, nil
}

// nextNAL splits the first NAL unit off. The lengths have been checked.
func nextNAL(b []byte, size int) (first, rest []byte) {
	length := 0
	for _, v := range b[:size] {
		length = length<<8 | int(v)
	}
	end := size + length
	return b[size:end:end], b[end:]
}
