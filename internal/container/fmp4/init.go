package fmp4

import (
	"github.com/vigil-media/vigil/internal/av"
)

// Flags of samples (ISO/IEC 14496-12, 8.8.3.1).
const (
	flagsSync    = 0x02000000 // sample_depends_on: on no other
	flagsNonSync = 0x01010000 // sample_depends_on: on others; sample_is_non_sync_sample
	nonSync      = 0x00010000
)

// unityMatrix is a picture as it is (ISO/IEC 14496-12, 8.2.2.2).
const unityMatrix = "\x00\x01\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" +
	"\x00\x00\x00\x00" + "\x00\x01\x00\x00" + "\x00\x00\x00\x00" +
	"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x40\x00\x00\x00"

// AppendInit appends an initialization segment, ftyp and moov (ISO/IEC 14496-12, 8.2 to 8.8.3; CMAF, 7.3.1), for those of the tracks that
// the format carries; nothing if it carries none. Tracks have IDs from 1, each its own.
func AppendInit(dst []byte, tracks []*av.Track) []byte {
	var carried []*av.Track
	for _, t := range tracks {
		if Carries(t.Codec) {
			carried = append(carried, t)
		}
	}
	if len(carried) == 0 {
		return dst
	}
	dst = box(dst, "ftyp", func(b []byte) []byte { return appendBrands(b, carried) })
	return box(dst, "moov", func(b []byte) []byte {
		b = full(b, "mvhd", 0, func(b []byte) []byte { return appendMovie(b, carried) })
		for _, t := range carried {
			b = box(b, "trak", func(b []byte) []byte { return appendTrack(b, t) })
		}
		return box(b, "mvex", func(b []byte) []byte {
			for _, t := range carried {
				b = full(b, "trex", 0, func(b []byte) []byte { return appendDefaults(b, t) })
			}
			return b
		})
	})
}

// appendBrands: iso6 is the first brand with all that fragments use; a CMAF track is alone (CMAF, 7.2).
func appendBrands(dst []byte, tracks []*av.Track) []byte {
	dst = append(dst, "iso6\x00\x00\x00\x00iso6mp41"...)
	if len(tracks) == 1 {
		dst = append(dst, "cmfc"...)
	}
	for _, t := range tracks {
		if t.Codec == av.AV1 {
			return append(dst, "av01"...) // AV1 binding, 2.1
		}
	}
	return dst
}

// appendMovie appends the body of mvhd (8.2.2). Durations are 0 everywhere in the init segment: the media are in fragments.
func appendMovie(dst []byte, tracks []*av.Track) []byte {
	const rate, volume, scale = 1 << 16, 1 << 8, 1000
	dst = appendUint32(appendZeros(dst, 8), scale)
	dst = appendUint32(appendZeros(dst, 4), rate)
	dst = appendUint16(dst, volume)
	dst = append(appendZeros(dst, 10), unityMatrix...)
	next := 0
	for _, t := range tracks {
		next = max(next, t.ID+1)
	}
	return appendUint32(appendZeros(dst, 24), uint32(next)) //nolint:gosec // ids are small
}

func appendTrack(dst []byte, t *av.Track) []byte {
	const enabled, inMovie = 1, 2
	dst = full(dst, "tkhd", enabled|inMovie, func(b []byte) []byte { return appendTrackHeader(b, t) })
	return box(dst, "mdia", func(b []byte) []byte {
		b = full(b, "mdhd", 0, func(b []byte) []byte {
			const undetermined = 0x55c4                            // language "und"
			b = appendUint32(appendZeros(b, 8), uint32(rateOf(t))) //nolint:gosec // a sampling rate
			return appendUint16(appendUint16(appendZeros(b, 4), undetermined), 0)
		})
		handler := "soun"
		if t.Kind() == av.Video {
			handler = "vide"
		}
		b = full(b, "hdlr", 0, func(b []byte) []byte {
			b = append(appendZeros(b, 4), handler...)
			return append(appendZeros(b, 12), t.Kind().String()+"\x00"...)
		})
		return box(b, "minf", func(b []byte) []byte { return appendMediaInfo(b, t) })
	})
}

// appendTrackHeader appends the body of tkhd (8.3.2).
func appendTrackHeader(dst []byte, t *av.Track) []byte {
	const loud = 1 << 8
	dst = appendUint32(appendZeros(dst, 8), uint32(t.ID)) //nolint:gosec // ids are small
	dst = appendZeros(dst, 4+4+8+2+2)
	volume := 0
	if t.Kind() == av.Audio {
		volume = loud
	}
	dst = appendUint16(appendUint16(dst, volume), 0)
	dst = append(dst, unityMatrix...)
	return appendUint32(appendUint32(dst, uint32(t.Width)<<16), uint32(t.Height)<<16) //nolint:gosec // up to 2^15
}

// appendMediaInfo appends the body of minf: where the media are, which is in this file, and the sample tables, which are
// empty but for the sample entry.
func appendMediaInfo(dst []byte, t *av.Track) []byte {
	const inThisFile = 1
	if t.Kind() == av.Video {
		dst = full(dst, "vmhd", 1, bytesOf(0, 0, 0, 0, 0, 0, 0, 0))
	} else {
		dst = full(dst, "smhd", 0, bytesOf(0, 0, 0, 0))
	}
	dst = box(dst, "dinf", func(b []byte) []byte {
		return full(b, "dref", 0, func(b []byte) []byte {
			return full(appendUint32(b, 1), "url ", inThisFile, bytesOf())
		})
	})
	return box(dst, "stbl", func(b []byte) []byte {
		b = full(b, "stsd", 0, func(b []byte) []byte { return appendEntry(appendUint32(b, 1), t) })
		b = full(b, "stts", 0, bytesOf(0, 0, 0, 0))
		b = full(b, "stsc", 0, bytesOf(0, 0, 0, 0))
		b = full(b, "stsz", 0, bytesOf(0, 0, 0, 0, 0, 0, 0, 0))
		return full(b, "stco", 0, bytesOf(0, 0, 0, 0))
	})
}

// appendDefaults appends the body of trex (8.8.3): fragments say what differs. Samples of sound are all alike in their flags.
func appendDefaults(dst []byte, t *av.Track) []byte {
	const entry = 1
	flags := uint32(flagsNonSync)
	if t.Kind() == av.Audio {
		flags = flagsSync
	}
	dst = appendUint32(appendUint32(dst, uint32(t.ID)), entry) //nolint:gosec // ids are small
	return appendUint32(appendZeros(dst, 8), flags)
}
