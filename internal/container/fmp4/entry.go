package fmp4

import "github.com/vigil-media/vigil/internal/av"

// appendEntry appends the sample entry of a track (ISO/IEC 14496-12, 8.5.2).
func appendEntry(dst []byte, t *av.Track) []byte {
	switch t.Codec {
	case av.H264:
		return appendVisual(dst, "avc1", t, "avcC", func(b []byte) []byte { return appendAVCC(b, t) })
	case av.H265:
		return appendVisual(dst, "hvc1", t, "hvcC", func(b []byte) []byte { return appendHVCC(b, t) })
	case av.AV1:
		return appendVisual(dst, "av01", t, "av1C", func(b []byte) []byte { return appendAV1C(b, t) })
	case av.VP9:
		return appendVisual(dst, "vp09", t, "vpcC", func(b []byte) []byte {
			b = append(b, 1, 0, 0, 0, t.Config[0], byte(vp9Level(t))) //nolint:gosec // up to 62
			return append(b, t.Config[2:]...)
		})
	case av.AAC:
		return appendSound(dst, "mp4a", t, "esds", func(b []byte) []byte {
			return appendESDS(appendZeros(b, 4), objectAAC, t.Config)
		})
	case av.MP3:
		return appendSound(dst, "mp4a", t, "esds", func(b []byte) []byte {
			return appendESDS(appendZeros(b, 4), mp3Object(t), nil)
		})
	case av.Opus:
		return appendSound(dst, "Opus", t, "dOps", func(b []byte) []byte { return appendDOps(b, t) })
	case av.FLAC:
		return appendSound(dst, "fLaC", t, "dfLa", func(b []byte) []byte {
			const lastBlock = 0x80 // of type 0, STREAMINFO
			b = append(appendZeros(b, 4), lastBlock, 0)
			return append(appendUint16(b, len(t.Config)), t.Config...)
		})
	case av.AC3:
		return appendSound(dst, "ac-3", t, "dac3", func(b []byte) []byte { return appendDAC3(b, t) })
	case av.PCMA:
		return appendSound(dst, "alaw", t, "", nil)
	case av.PCMU:
		return appendSound(dst, "ulaw", t, "", nil)
	case av.VP8, av.MJPEG, av.G722, av.L16, av.KLV, av.Opaque: // not carried
	}
	return dst
}

// appendVisual appends a VisualSampleEntry (12.1.3) with the codec's own box in it.
func appendVisual(dst []byte, typ string, t *av.Track, config string, body func([]byte) []byte) []byte {
	const dpi72, depth, none = 72 << 16, 24, 0xffff
	return box(dst, typ, func(b []byte) []byte {
		b = appendUint16(appendZeros(b, 6), 1) // the first data reference
		b = appendUint16(appendUint16(appendZeros(b, 16), t.Width), t.Height)
		b = appendUint32(appendUint32(b, dpi72), dpi72)
		b = appendUint16(appendZeros(b, 4), 1) // one picture a sample
		b = appendZeros(b, 32)                 // no name of the compressor
		b = appendUint16(appendUint16(b, depth), none)
		return box(b, config, body)
	})
}

// appendSound appends an AudioSampleEntry (12.2.3) with the codec's own box in it, if it has one.
func appendSound(dst []byte, typ string, t *av.Track, config string, body func([]byte) []byte) []byte {
	const bitsUsual, channelsUsual, rateMax = 16, 2, 0xffff
	channels, depth, rate := t.Channels, bitsUsual, t.SampleRate
	if channels == 0 {
		channels = channelsUsual // AAC with a program config element: decoders look there
	}
	if t.Codec == av.FLAC && t.BitDepth > 0 {
		depth = t.BitDepth
	}
	if rate > rateMax {
		rate = 0 // does not fit; mdhd and the codec's box tell it
	}
	return box(dst, typ, func(b []byte) []byte {
		b = appendUint16(appendZeros(b, 6), 1) // the first data reference
		b = appendUint16(appendUint16(appendZeros(b, 8), channels), depth)
		b = appendUint32(appendZeros(b, 4), uint32(rate)<<16) //nolint:gosec // up to 2^16
		if body == nil {
			return b
		}
		return box(b, config, body)
	})
}
