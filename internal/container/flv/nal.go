package flv

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	elementsMax = 4096 // NAL units or OBUs in a unit
	setBytesMax = 4096 // one parameter set: real ones, even with scaling lists, stay under 1 KiB
)

var errTooMany = fmt.Errorf("more than %d elements", elementsMax)

// setLists are parameter sets by kind.
type setLists [3][][]byte

// paramSets are the parameter sets of a track, each with the number by which slices or other sets refer to it; a kind
// has a number once. They stay within the limits of [av.Track]. Sets that are in it are never changed.
type paramSets struct {
	lists  setLists
	ids    [3][]int // beside lists
	size   int      // bytes of all
	shared bool     // the lists are another's, too
}

const (
	setVPS = iota
	setSPS
	setPPS
	setNone = -1
)

// NAL unit types (H.264, table 7-1; H.265, table 7-1).
const (
	h264IDR, h264SPS, h264PPS            = 5, 7, 8
	h265VPS, h265SPS, h265PPS            = 32, 33, 34
	h265FirstIRAP, h265LastIRAP, h265VCL = 16, 23, 31
)

// nalKind tells what a NAL unit is to a track: a parameter set, a part of the picture, a random access point.
func nalKind(c av.Codec, nal []byte) (set int, vcl, key bool) {
	if c == av.H264 {
		switch typ := nal[0] & 31; typ {
		case h264SPS:
			return setSPS, false, false
		case h264PPS:
			return setPPS, false, false
		default:
			return setNone, typ >= 1 && typ <= h264IDR, typ == h264IDR
		}
	}
	switch typ := nal[0] >> 1 & 63; typ {
	case h265VPS:
		return setVPS, false, false
	case h265SPS:
		return setSPS, false, false
	case h265PPS:
		return setPPS, false, false
	default:
		return setNone, typ <= h265VCL, typ >= h265FirstIRAP && typ <= h265LastIRAP
	}
}

// Numbers of parameter sets end here (H.264, 7.4.2.1.1 and 7.4.2.2; H.265, 7.4.3.2.1 and 7.4.3.3.1).
const (
	h264SPSEnd, h264PPSEnd = 32, 256
	h265SPSEnd, h265PPSEnd = 16, 64
)

// setID returns the number of a parameter set; -1 when it cannot be read, or be. It looks at some bytes at the front only,
// as it is asked for every set that comes.
func setID(c av.Codec, kind int, set []byte) int {
	switch {
	case c == av.H264 && kind == setSPS:
		return readID(set, 32, h264SPSEnd) // behind header, profile, constraints, level
	case c == av.H264:
		return readID(set, 8, h264PPSEnd)
	case kind == setSPS:
		return h265SPSID(set)
	case kind == setPPS:
		return readID(set, 16, h265PPSEnd)
	case len(set) < 3:
		return -1
	default:
		return int(set[2] >> 4)
	}
}

// readID reads an exp-Golomb code at bit pos that is less than end.
func readID(b []byte, pos, end int) int {
	if len(b)*8 < pos {
		return -1
	}
	id, err := bits.ReadGolombUnsigned(b, &pos)
	if err != nil || id >= uint32(end) {
		return -1
	}
	return int(id)
}

// h265SPSID reads the number of an H.265 SPS (7.3.2.2.1), which stands behind profile, tier and level (7.3.3): those of the
// whole, and as far as flags say so those of each temporal sub-layer.
func h265SPSID(set []byte) int {
	const (
		general, flags = 3, 15 // bytes at which they begin
		profile, level = 88, 8 // bits of a sub-layer
		subLayersMax   = 6
		front          = flags + 2 + subLayersMax*(profile+level)/8 + 2
	)
	var buf [front]byte
	b := unescape(buf[:0], set)
	if len(b) < flags {
		return -1
	}
	pos, sub := 8*flags, int(b[general-1]>>1&7)
	switch {
	case sub > subLayersMax || sub > 0 && len(b) < flags+2:
		return -1
	case sub > 0:
		pos += 16
		for i := range sub {
			has := b[flags+i/4] << (i % 4 * 2)
			pos += profile*int(has>>7) + level*int(has>>6&1)
		}
	}
	return readID(b, pos, h265SPSEnd)
}

// unescape appends a NAL unit without its emulation prevention (H.265, 7.3.1.1) to dst, as far as there is room.
func unescape(dst, nal []byte) []byte {
	zeros := 0
	for _, v := range nal {
		if zeros >= 2 && v == 3 {
			zeros = 0
			continue
		}
		if len(dst) == cap(dst) {
			break
		}
		dst = append(dst, v)
		if zeros++; v != 0 {
			zeros = 0
		}
	}
	return dst
}

// put enters a copy of a set in place of the one with the same number, unless that is the same. Where that would exceed
// what a track may have, it changes nothing.
func (s *paramSets) put(c av.Codec, kind int, set []byte) error {
	if len(set) > setBytesMax {
		return fmt.Errorf("parameter set of %d bytes, %d allowed", len(set), setBytesMax)
	}
	id := setID(c, kind, set)
	if id < 0 {
		return fmt.Errorf("parameter set % x… of %d bytes cannot be read", set[:min(len(set), 8)], len(set))
	}
	at, size := slices.Index(s.ids[kind], id), s.size+len(set)
	if at >= 0 {
		if bytes.Equal(s.lists[kind][at], set) {
			return nil
		}
		size -= len(s.lists[kind][at])
	}
	if at < 0 && s.count() >= av.MaxSets || size > av.MaxSetsSize {
		return fmt.Errorf("more than %d parameter sets or %d bytes of them", av.MaxSets, av.MaxSetsSize)
	}
	s.own()
	s.size = size
	set = bytes.Clone(set)
	if at >= 0 {
		s.lists[kind][at] = set
		return nil
	}
	s.lists[kind] = append(s.lists[kind], set)
	s.ids[kind] = append(s.ids[kind], id)
	return nil
}

// own makes the lists those of s alone. The sets themselves may be shared.
func (s *paramSets) own() {
	if !s.shared {
		return
	}
	for kind := range s.lists {
		s.lists[kind] = slices.Clone(s.lists[kind])
		s.ids[kind] = slices.Clone(s.ids[kind])
	}
	s.shared = false
}

func (s *paramSets) count() int {
	return len(s.lists[setVPS]) + len(s.lists[setSPS]) + len(s.lists[setPPS])
}

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
	if t.cur != nil && sets.equal(&t.sets) {
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

func (s *paramSets) equal(o *paramSets) bool {
	for kind, list := range s.lists {
		if !slices.EqualFunc(list, o.lists[kind], bytes.Equal) {
			return false
		}
	}
	return true
}

// build makes the track from sets once there are enough, which then are the track's.
func (t *track) build(sets *paramSets) error {
	l := &sets.lists
	if len(l[setSPS]) > 0 && len(l[setPPS]) > 0 {
		var err error
		if t.codec == av.H264 {
			err = t.adopt(av.NewH264(t.id, l[setSPS], l[setPPS]))
		} else {
			err = t.adopt(av.NewH265(t.id, l[setVPS], l[setSPS], l[setPPS]))
		}
		if err != nil {
			return err
		}
	}
	t.sets = *sets
	return nil
}

// inBand collects the parameter sets that come with one picture. However many they are, few are looked at.
type inBand struct {
	sets  paramSets // the track's with what is new
	count int
	size  int
	err   error // the first; what comes after it is not looked at
}

func (n *inBand) put(t *track, kind int, set []byte) {
	if n.err != nil {
		return
	}
	if n.count == 0 {
		n.sets = t.sets
		n.sets.shared = true
	}
	n.count++
	n.size += len(set)
	if n.count > av.MaxSets || n.size > av.MaxSetsSize {
		n.err = fmt.Errorf("more than %d parameter sets or %d bytes of them in a unit", av.MaxSets, av.MaxSetsSize)
		return
	}
	n.err = n.sets.put(t.codec, kind, set)
}

// build makes the track anew if a set is new and all can be used.
func (n *inBand) build(t *track) error {
	if n.err == nil && n.count > 0 && !n.sets.shared {
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
		var nal []byte
		if nal, rest = nextNAL(rest, t.nalSize); len(nal) == 0 {
			continue
		}
		set, vcl, key := nalKind(t.codec, nal)
		picture = picture || vcl
		p.key = p.key || key
		if set != setNone {
			sets.put(t, set, nal)
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
	u := newUnit(n)
	u.Key = p.key
	for rest := p.body; len(rest) > 0; {
		var nal []byte
		if nal, rest = nextNAL(rest, t.nalSize); len(nal) > 0 {
			u.Data = append(u.Data, nal)
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
func nextNAL(b []byte, size int) (nal, rest []byte) {
	length := 0
	for _, v := range b[:size] {
		length = length<<8 | int(v)
	}
	end := size + length
	return b[size:end:end], b[end:]
}
