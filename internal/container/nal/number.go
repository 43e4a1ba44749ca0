package nal

import (
	"github.com/bluenviron/mediacommon/v2/pkg/bits"

	"github.com/vigil-media/vigil/internal/av"
)

// Numbers of parameter sets end here (H.264, 7.4.2.1.1 and 7.4.2.2; H.265, 7.4.3.2.1 and 7.4.3.3.1).
const (
	h264SPSEnd, h264PPSEnd = 32, 256
	h265SPSEnd, h265PPSEnd = 16, 64
)

// number returns the number by which slices or other sets refer to a parameter set; -1 when it cannot be read, or be. It looks
// at some bytes at the front only, as it is asked for every set that comes.
func number(c av.Codec, kind Kind, set []byte) int {
	switch {
	case c == av.H264 && kind == SPS:
		return readNumber(set, 32, h264SPSEnd) // behind header, profile, constraints, level
	case c == av.H264:
		return readNumber(set, 8, h264PPSEnd)
	case kind == SPS:
		return h265SPSNumber(set)
	case kind == PPS:
		return readNumber(set, 16, h265PPSEnd)
	case len(set) < 3:
		return -1
	default:
		return int(set[2] >> 4)
	}
}

// readNumber reads an exp-Golomb code at bit pos that is less than end.
func readNumber(b []byte, pos, end int) int {
	if len(b)*8 < pos {
		return -1
	}
	n, err := bits.ReadGolombUnsigned(b, &pos)
	if err != nil || n >= uint32(end) {
		return -1
	}
	return int(n)
}

// h265SPSNumber reads the number of an H.265 SPS (7.3.2.2.1), which stands behind profile, tier and level (7.3.3): those of the
// whole, and as far as flags say so those of each temporal sub-layer.
func h265SPSNumber(set []byte) int {
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
	return readNumber(b, pos, h265SPSEnd)
}

// unescape appends a NAL unit without its emulation prevention (H.265, 7.3.1.1) to dst, as far as there is room.
func unescape(dst, b []byte) []byte {
	zeros := 0
	for _, v := range b {
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
