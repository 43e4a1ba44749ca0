package fmp4

import (
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// OBU types and header bits (AV1 bitstream, 5.3.2 and 6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2

	obuExtension = 4
	obuHasSize   = 2
)

func obuType(b byte) byte { return b >> 3 & 15 }

// sampleSize is how many bytes appendSample will append; 0 if nothing of the unit is for the sample.
func sampleSize(u *av.AccessUnit) int {
	n := 0
	switch u.Track.Codec { //nolint:exhaustive // the others are as they are
	case av.H264, av.H265:
		for _, b := range u.Data {
			if inSample(u.Track.Codec, b) {
				n += lengthSize + len(b)
			}
		}
	case av.AV1:
		for _, b := range u.Data {
			n += obuSize(b)
		}
		if n > 0 && lacksSequence(u) {
			n += obuSize(u.Track.Config)
		}
	default:
		for _, b := range u.Data {
			n += len(b)
		}
	}
	return n
}

// appendSample appends a unit as a sample: NAL units behind their lengths, OBUs with sizes, frames as they are.
func appendSample(dst []byte, u *av.AccessUnit) []byte {
	switch u.Track.Codec { //nolint:exhaustive // the others are as they are
	case av.H264, av.H265:
		for _, b := range u.Data {
			if inSample(u.Track.Codec, b) {
				dst = append(appendUint32(dst, uint32(len(b))), b...) //nolint:gosec // bounded by sizeMax
			}
		}
	case av.AV1:
		if lacksSequence(u) {
			dst = appendOBU(dst, u.Track.Config)
		}
		for _, b := range u.Data {
			dst = appendOBU(dst, b)
		}
	default:
		for _, b := range u.Data {
			dst = append(dst, b...)
		}
	}
	return dst
}

// inSample says whether a NAL unit belongs into a sample of avc1 or hvc1: parameter sets do not (ISO/IEC 14496-15, 5.4.2.1).
func inSample(c av.Codec, b []byte) bool { return len(b) > 0 && !nal.KindOf(c, b).IsSet() }

// lacksSequence says whether a key unit has no sequence header of its own, which a sync sample must have (AV1 binding, 2.4).
func lacksSequence(u *av.AccessUnit) bool {
	if !u.Key {
		return false
	}
	for _, b := range u.Data {
		if len(b) > 0 && obuType(b[0]) == obuSequenceHeader {
			return false
		}
	}
	return true
}

// obuHeader is the size of an OBU's header; 0 for what has no place in a sample: temporal delimiters, and what is cut.
func obuHeader(o []byte) int {
	n := 1
	if len(o) > 0 && o[0]&obuExtension != 0 {
		n = 2
	}
	if len(o) < n || obuType(o[0]) == obuTemporalDelimiter {
		return 0
	}
	return n
}

// obuSize is how many bytes appendOBU will append.
func obuSize(o []byte) int {
	header := obuHeader(o)
	if header == 0 {
		return 0
	}
	n := len(o) + 1
	for rest := len(o) - header; rest >= 0x80; rest >>= 7 {
		n++
	}
	return n
}

// appendOBU appends an OBU that has no size field, with one.
func appendOBU(dst, o []byte) []byte {
	header := obuHeader(o)
	if header == 0 {
		return dst
	}
	dst = append(dst, o[0]|obuHasSize)
	dst = append(dst, o[1:header]...)
	n := len(o) - header
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	dst = append(dst, byte(n))
	return append(dst, o[header:]...)
}
