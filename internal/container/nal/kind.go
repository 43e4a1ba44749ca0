package nal

import "github.com/vigil-media/vigil/internal/av"

// Kind is what a NAL unit is to a track.
type Kind uint8

// The kinds of NAL units. Those of parameter sets are in the order in which a decoder wants the sets.
const (
	Other     Kind = iota
	VPS            // H265 only
	SPS            //
	PPS            //
	Slice          // a part of a picture
	Key            // a part of a picture with which decoding may begin: IDR; H265: IRAP
	Delimiter      // the access unit delimiter
)

// IsSet says whether it is a parameter set.
func (k Kind) IsSet() bool { return k >= VPS && k <= PPS }

// IsPicture says whether it is a part of a picture.
func (k Kind) IsPicture() bool { return k == Slice || k == Key }

// NAL unit types (H.264, table 7-1; H.265, table 7-1).
const (
	h264IDR, h264SEI, h264SPS, h264PPS, h264AUD = 5, 6, 7, 8, 9
	h265VPS, h265SPS, h265PPS, h265AUD, h265SEI = 32, 33, 34, 35, 39
	h265FirstIRAP, h265VCL                      = 16, 31
)

// The kinds by type. Every NAL unit of every picture is looked up here.
//
//nolint:gochecknoglobals // constant tables
var (
	h264Kinds = [32]Kind{
		1: Slice, Slice, Slice, Slice, h264IDR: Key, h264SPS: SPS, h264PPS: PPS, h264AUD: Delimiter,
	}
	h265Kinds = [64]Kind{
		Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice,
		h265FirstIRAP: Key, Key, Key, Key, Key, Key, Key, Key, Slice, Slice, Slice, Slice, Slice, Slice, Slice, Slice,
		h265VPS: VPS, h265SPS: SPS, h265PPS: PPS, h265AUD: Delimiter,
	}
)

// KindOf tells what a NAL unit is. Empty ones are Other.
func KindOf(c av.Codec, b []byte) Kind {
	if len(b) == 0 {
		return Other
	}
	if c == av.H264 {
		return h264Kinds[b[0]&31]
	}
	return h265Kinds[b[0]>>1&63]
}

// Starts says whether a NAL unit can only be at the beginning of an access unit (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
func Starts(c av.Codec, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if c == av.H264 {
		switch typ := b[0] & 31; {
		case typ >= 1 && typ <= h264IDR: // first_mb_in_slice is 0
			return len(b) > 1 && b[1]&0x80 != 0
		default:
			return typ >= h264SEI && typ <= h264AUD
		}
	}
	switch typ := b[0] >> 1 & 63; {
	case typ <= h265VCL: // first_slice_segment_in_pic_flag
		return len(b) > 2 && b[2]&0x80 != 0
	default:
		return typ >= h265VPS && typ <= h265AUD || typ == h265SEI
	}
}

// Recovers says whether a NAL unit is an SEI message of H.264 that marks a recovery point at which all pictures are right from
// the first on (D.2.8): encoders with open groups of pictures, and of broadcasters, send few IDR pictures or none. H.265 has
// NAL unit types for that.
func Recovers(c av.Codec, b []byte) bool {
	const recoveryPoint, end = 6, 0x80
	if c != av.H264 || len(b) == 0 || b[0]&31 != h264SEI {
		return false
	}
	for b = b[1:]; len(b) > 2 && b[0] != end; {
		var typ, size int
		typ, b = seiNumber(b)
		if size, b = seiNumber(b); size > len(b) {
			return false
		}
		if typ == recoveryPoint { // recovery_frame_cnt is 0
			return size > 0 && b[0]&0x80 != 0
		}
		b = b[size:]
	}
	return false
}

// seiNumber reads the type or the size of an SEI message (H.264, 7.3.2.3.1).
func seiNumber(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0] == 0xff {
		n, b = n+0xff, b[1:]
	}
	if len(b) == 0 {
		return 0, nil
	}
	return n + int(b[0]), b[1:]
}
