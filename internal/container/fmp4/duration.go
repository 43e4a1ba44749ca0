package fmp4

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"github.com/vigil-media/vigil/internal/av"
)

// Samples of a frame.
const (
	aacSamples   = 1024
	aacShort     = 960
	mpeg1Samples = 1152
	mpeg2Samples = 576
	ac3Samples   = 1536
)

// fpsUsual is the frame rate in Hz of a track that does not tell it, for the duration of its first picture.
const fpsUsual = 25

// frameTicks is how long each unit of a track lasts, in ticks of the track; of pictures as far as the parameter sets are right. 0: it
// differs from unit to unit, and unitTicks tells.
func frameTicks(t *av.Track) int64 {
	switch t.Codec {
	case av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.MJPEG:
		if t.FrameRate > 0 {
			return int64(videoRate/t.FrameRate + 0.5)
		}
		return videoRate / fpsUsual
	case av.AAC:
		return aacTicks(t)
	case av.MP3:
		if t.SampleRate < mpeg1Rate {
			return mpeg2Samples
		}
		return mpeg1Samples
	case av.AC3:
		return ac3Samples
	case av.Opus, av.FLAC, av.PCMA, av.PCMU, av.G722, av.L16, av.KLV, av.Opaque:
		return 0
	}
	return 0
}

// aacTicks counts in samples of the track, of which there are twice as many with SBR.
func aacTicks(t *av.Track) int64 {
	var c mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(t.Config) != nil || c.SampleRate <= 0 {
		return aacSamples
	}
	n := int64(aacSamples)
	if c.FrameLengthFlag {
		n = aacShort
	}
	return n * int64(t.SampleRate) / int64(c.SampleRate)
}

// unitTicks is how long one unit lasts, of the tracks for which frameTicks is 0.
func unitTicks(u *av.AccessUnit) int64 {
	if len(u.Data) == 0 {
		return 0
	}
	switch u.Track.Codec { //nolint:exhaustive // of the others frameTicks tells
	case av.Opus:
		return opus.PacketDuration2(u.Data[0])
	case av.PCMA, av.PCMU:
		return int64(u.Size() / max(u.Track.Channels, 1))
	case av.FLAC:
		return flacTicks(u)
	default:
		return 0
	}
}

// flacTicks reads the block size in the header of a frame (RFC 9639, 9.1.1). Where it stands behind a coded number it is
// taken to be the smallest of the stream, which of all but the last frame it is.
func flacTicks(u *av.AccessUnit) int64 {
	if b := u.Data[0]; len(b) > 2 {
		switch n := b[2] >> 4; {
		case n == 1:
			return 192
		case n >= 2 && n <= 5:
			return 144 << n
		case n >= 8:
			return 1 << n
		}
	}
	if len(u.Track.Config) < 2 {
		return 0
	}
	return int64(binary.BigEndian.Uint16(u.Track.Config))
}
