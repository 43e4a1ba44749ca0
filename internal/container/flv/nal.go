package flv

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	elementsMax = 4096 // NAL units or OBUs in a unit
	setsMax     = 64   // parameter sets of a track, and in a unit
	setBytesMax = 4096 // one parameter set: real ones, even with scaling lists, stay under 1 KiB
)

var errTooMany = fmt.Errorf("more than %d elements", elementsMax)

// paramSets are the parameter sets of a track by kind. Sets that are in it are never changed.
type paramSets [3][][]byte

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

// setID returns the number by which slices or other sets refer to a parameter set; -1 when it cannot be read.
func setID(c av.Codec, kind int, set []byte) int {
	pos := 8 // H.264: behind the header of the NAL unit
	switch {
	case c == av.H264 && kind == setSPS:
		pos = 32 // profile, constraints, level
	case c == av.H264:
	case kind == setVPS:
		if len(set) < 3 {
			return -1
		}
		return int(set[2] >> 4)
	case kind == setSPS:
		var s h265.SPS
		if s.Unmarshal(set) != nil {
			return -1
		}
		return int(s.ID)
	default:
		pos = 16
	}
	if len(set)*8 < pos {
		return -1
	}
	id, err := bits.ReadGolombUnsigned(set, &pos)
	if err != nil || id > 255 {
		return -1
	}
	return int(id)
}

// put enters a copy of a set in place of the one with the same number, and says whether that changes anything.
func (s *paramSets) put(c av.Codec, kind int, set []byte) (bool, error) {
	for _, have := range s[kind] {
		if bytes.Equal(have, set) {
			return false, nil
		}
	}
	if len(set) > setBytesMax {
		return false, fmt.Errorf("parameter set of %d bytes", len(set))
	}
	id := setID(c, kind, set)
	if id < 0 {
		return false, fmt.Errorf("parameter set % x… of %d bytes cannot be read", set[:min(len(set), 8)], len(set))
	}
	set = bytes.Clone(set)
	for i, have := range s[kind] {
		if setID(c, kind, have) == id {
			s[kind][i] = set
			return true, nil
		}
	}
	if s.count() >= setsMax {
		return false, fmt.Errorf("more than %d parameter sets", setsMax)
	}
	s[kind] = append(s[kind], set)
	return true, nil
}

func (s *paramSets) count() int { return len(s[setVPS]) + len(s[setSPS]) + len(s[setPPS]) }

// nalConfig takes an avcC or hvcC. It may lack parameter sets, which then have to come with the pictures.
func (t *track) nalConfig(b []byte) error {
	parse := parseHVCC
	if t.codec == av.H264 {
		parse = parseAVCC
	}
	sets, size, err := parse(bytes.Clone(b))
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
	if err := t.build(); err != nil {
		return err
	}
	if old != nil && t.cur != nil && t.cur.Equal(old) {
		t.cur = old
	}
	return nil
}

func (s *paramSets) equal(o *paramSets) bool {
	for kind := range s {
		if len(s[kind]) != len(o[kind]) {
			return false
		}
		for i := range s[kind] {
			if !bytes.Equal(s[kind][i], o[kind][i]) {
				return false
			}
		}
	}
	return true
}

// build makes the track from its parameter sets once there are enough.
func (t *track) build() error {
	if len(t.sets[setSPS]) == 0 || len(t.sets[setPPS]) == 0 {
		return nil
	}
	if t.codec == av.H264 {
		return t.adopt(av.NewH264(t.id, t.sets[setSPS], t.sets[setPPS]))
	}
	return t.adopt(av.NewH265(t.id, t.sets[setVPS], t.sets[setSPS], t.sets[setPPS]))
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
	var picture, changed bool
	var sets int
	var setErr error
	for rest := p.body; len(rest) > 0; {
		var nal []byte
		if nal, rest = nextNAL(rest, t.nalSize); len(nal) == 0 {
			continue
		}
		set, vcl, key := nalKind(t.codec, nal)
		picture = picture || vcl
		p.key = p.key || key
		if set == setNone || sets == setsMax || setErr != nil {
			continue
		}
		sets++
		c, err := t.sets.put(t.codec, set, nal)
		changed, setErr = changed || c, err
	}
	if changed && setErr == nil {
		setErr = t.build()
	}
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
