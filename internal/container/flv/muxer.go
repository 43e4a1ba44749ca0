package flv

import "github.com/vigil-media/vigil/internal/av"

// ctsMax is the greatest composition time that 24 signed bits hold.
const ctsMax = 1<<23 - 1

const (
	soundRate44 = 3 << 2 // SoundRate (FLV 10.1, E.4.2.1)
	soundRate22 = 2 << 2
	soundRate11 = 1 << 2
	sound16Bit  = 1 << 1
	soundStereo = 1
)

// AppendConfig appends the body of the tag that configures a decoder for t. Nothing is appended when the codec has no
// configuration in this form, or the track cannot be carried at all. For H.264, H.265 and AV1 it reads a parameter set,
// which allocates.
func (f Form) AppendConfig(dst []byte, t *av.Track) []byte {
	if !f.Carries(t) {
		return dst
	}
	switch t.Codec { //nolint:exhaustive // the others have none
	case av.H264:
		return appendAVCC(f.videoHeader(dst, t, packetConfig, true, 0), t)
	case av.H265:
		return appendHVCC(f.videoHeader(dst, t, packetConfig, true, 0), t)
	case av.AV1:
		return appendAV1C(f.videoHeader(dst, t, packetConfig, true, 0), t)
	case av.VP8:
		return append(f.videoHeader(dst, t, packetConfig, true, 0), vp8Record...)
	case av.VP9:
		return append(f.videoHeader(dst, t, packetConfig, true, 0), t.Config...)
	case av.AAC:
		return append(f.audioHeader(dst, t, packetConfig), t.Config...)
	case av.Opus:
		if f == Legacy {
			return dst
		}
		return append(f.audioHeader(dst, t, packetConfig), t.Config...)
	case av.FLAC:
		dst = append(f.audioHeader(dst, t, packetConfig), "fLaC\x80\x00\x00\x22"...)
		return append(dst, t.Config...)
	default:
		return dst
	}
}

// AppendUnit appends the body of the tag that carries u, whose time is [Milliseconds] of its DTS. The composition time
// is the difference of the rounded times, so that no error adds up. Nothing is appended when the track cannot be
// carried.
func (f Form) AppendUnit(dst []byte, u *av.AccessUnit) []byte {
	t := u.Track
	if !f.Carries(t) {
		return dst
	}
	if t.Kind() == av.Audio {
		dst = f.audioHeader(dst, t, packetFrame)
	} else {
		cts := int32(Milliseconds(u.PTS) - Milliseconds(u.DTS)) //nolint:gosec // serial arithmetic
		dst = f.videoHeader(dst, t, packetFrame, u.Key, min(max(cts, 0), ctsMax))
	}
	for _, b := range u.Data {
		switch t.Codec { //nolint:exhaustive // the others are one element
		case av.H264, av.H265:
			n := len(b)
			dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
			dst = append(dst, b...)
		case av.AV1:
			dst = appendOBU(dst, b)
		default:
			dst = append(dst, b...)
		}
	}
	return dst
}

// videoHeader appends the header of a video tag: the AVC layout (FLV 10.1, E.4.3.1), or an ExVideoTagHeader.
func (f Form) videoHeader(dst []byte, t *av.Track, typ byte, key bool, cts int32) []byte {
	w, frame := wires[t.Codec], byte(frameInter)
	if key {
		frame = frameKey
	}
	c := [3]byte{byte(cts >> 16), byte(cts >> 8), byte(cts)}
	if f.classic(w) {
		return append(dst, frame<<4|w.id, typ, c[0], c[1], c[2])
	}
	withCTS := t.Codec == av.H265 && typ == packetFrame
	if withCTS && cts == 0 {
		typ, withCTS = exFramesX, false
	}
	dst = appendFour(append(dst, flagEx|frame<<4|typ), w.four)
	if withCTS {
		dst = append(dst, c[:]...)
	}
	return dst
}

// audioHeader appends the header of an audio tag (FLV 10.1, E.4.2.1), or an ExAudioTagHeader.
func (f Form) audioHeader(dst []byte, t *av.Track, typ byte) []byte {
	w := wires[t.Codec]
	if !f.classic(w) {
		return appendFour(append(dst, formatEx<<4|typ), w.four)
	}
	id, flags := w.id, byte(sound16Bit)
	if t.Channels > 1 {
		flags |= soundStereo
	}
	switch t.Codec { //nolint:exhaustive // no other codec has a classic header
	case av.AAC: // "44 kHz stereo" whatever it is
		return append(dst, id<<4|soundRate44|sound16Bit|soundStereo, typ)
	case av.Opus:
		flags |= soundRate44
	case av.MP3:
		switch { // 48 kHz and its fractions have no number and go with their neighbours
		case t.SampleRate == 8000:
			id = formatMP3at8
		case t.SampleRate > 24000:
			flags |= soundRate44
		case t.SampleRate > 12000:
			flags |= soundRate22
		default:
			flags |= soundRate11
		}
	}
	return append(dst, id<<4|flags)
}

func appendFour(dst []byte, four uint32) []byte {
	return append(dst, byte(four>>24), byte(four>>16), byte(four>>8), byte(four))
}
