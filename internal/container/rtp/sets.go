package rtp

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"

	"github.com/vigil-media/vigil/internal/av"
)

const setBytesMax = 4096 // one parameter set: real ones, even with scaling lists, stay under 1 KiB

// Kinds of parameter sets.
const (
	setVPS = iota
	setSPS
	setPPS
	setNone = -1
)

// NAL unit types (H.264, table 7-1; H.265, table 7-1).
const (
	h264IDR, h264SEI, h264SPS, h264PPS, h264AUD = 5, 6, 7, 8, 9
	h265VPS, h265SPS, h265PPS, h265AUD, h265SEI = 32, 33, 34, 35, 39
	h265FirstIRAP, h265LastIRAP, h265VCL        = 16, 23, 31
	h264SPSEnd, h264PPSEnd                      = 32, 256 // numbers of sets end here (H.264, 7.4.2.1.1 and 7.4.2.2)
	h265SPSEnd, h265PPSEnd                      = 16, 64  // (H.265, 7.4.3.2.1 and 7.4.3.3.1)
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

// starts says whether a NAL unit can only be at the beginning of an access unit (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
func starts(c av.Codec, nal []byte) bool {
	if c == av.H264 {
		switch typ := nal[0] & 31; {
		case typ >= 1 && typ <= h264IDR: // first_mb_in_slice is 0
			return len(nal) > 1 && nal[1]&0x80 != 0
		default:
			return typ >= h264SEI && typ <= h264AUD
		}
	}
	switch typ := nal[0] >> 1 & 63; {
	case typ <= h265VCL: // first_slice_segment_in_pic_flag
		return len(nal) > 2 && nal[2]&0x80 != 0
	default:
		return typ >= h265VPS && typ <= h265AUD || typ == h265SEI
	}
}

// recovers says whether a NAL unit is an SEI message that marks a recovery point at which all pictures are right from the first
// on (H.264, D.2.8): encoders with open groups of pictures, and of broadcasters, send few IDR pictures or none.
func recovers(nal []byte) bool {
	const recoveryPoint, end = 6, 0x80
	if nal[0]&31 != h264SEI {
		return false
	}
	number := func(b []byte) (n int, rest []byte) { // H.264, 7.3.2.3.1
		for len(b) > 0 && b[0] == 0xff {
			n, b = n+0xff, b[1:]
		}
		if len(b) == 0 {
			return 0, nil
		}
		return n + int(b[0]), b[1:]
	}
	for b := nal[1:]; len(b) > 2 && b[0] != end; {
		var typ, size int
		typ, b = number(b)
		if size, b = number(b); size > len(b) {
			return false
		}
		if typ == recoveryPoint { // recovery_frame_cnt is 0
			return size > 0 && b[0]&0x80 != 0
		}
		b = b[size:]
	}
	return false
}

// setID returns the number by which slices or other sets refer to a parameter set; -1 when it cannot be read, or be.
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
	if err != nil || id >= uint32(end) { //nolint:gosec // small
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

// paramSets are the parameter sets of a track by kind, a number of a kind once. They stay within the limits of [av.Track].
type paramSets struct {
	lists [3][][]byte
	ids   [3][]int
}

// put enters a copy of a set in place of the one with the same number, and says whether that is news.
func (s *paramSets) put(c av.Codec, kind int, set []byte) (changed bool, err error) {
	if len(set) > setBytesMax {
		return false, fmt.Errorf("parameter set of %d bytes, %d allowed", len(set), setBytesMax)
	}
	id := setID(c, kind, set)
	if id < 0 {
		return false, fmt.Errorf("parameter set % x… of %d bytes cannot be read", set[:min(len(set), 8)], len(set))
	}
	at := slices.Index(s.ids[kind], id)
	if at >= 0 && bytes.Equal(s.lists[kind][at], set) {
		return false, nil
	}
	count, size := s.total()
	if at < 0 && count >= av.MaxSets || size+len(set) > av.MaxSetsSize {
		return false, fmt.Errorf("more than %d parameter sets or %d bytes of them", av.MaxSets, av.MaxSetsSize)
	}
	if at >= 0 {
		s.lists[kind] = slices.Clone(s.lists[kind]) // the track has the old one
		s.lists[kind][at] = bytes.Clone(set)
		return true, nil
	}
	s.lists[kind] = append(s.lists[kind], bytes.Clone(set))
	s.ids[kind] = append(s.ids[kind], id)
	return true, nil
}

// has says whether a set is there as it is.
func (s *paramSets) has(kind int, set []byte) bool {
	return slices.ContainsFunc(s.lists[kind], func(b []byte) bool { return bytes.Equal(b, set) })
}

func (s *paramSets) total() (count, size int) {
	for _, list := range s.lists {
		count += len(list)
		for _, set := range list {
			size += len(set)
		}
	}
	return count, size
}

// clone returns sets that may change without s.
func (s *paramSets) clone() paramSets {
	var c paramSets
	for kind := range s.lists {
		c.lists[kind], c.ids[kind] = slices.Clone(s.lists[kind]), slices.Clone(s.ids[kind])
	}
	return c
}

// track makes the track; nil if a kind is missing.
func (s *paramSets) track(id int, c av.Codec) (*av.Track, error) {
	l := &s.lists
	if len(l[setSPS]) == 0 || len(l[setPPS]) == 0 {
		return nil, nil //nolint:nilnil // more to come
	}
	if c == av.H264 {
		return av.NewH264(id, l[setSPS], l[setPPS])
	}
	return av.NewH265(id, l[setVPS], l[setSPS], l[setPPS])
}
