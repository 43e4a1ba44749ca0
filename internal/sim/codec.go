package sim

import (
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// Parameter sets, in two variants where a change in mid-stream is of interest.
var (
	h264SPS = [2][]byte{ // they tell that up to two pictures are reordered
		{ // High, 352x288, 15.25 fps
			0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x60, 0x96, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x10,
			0x00, 0x00, 0x03, 0x01, 0xe8, 0x3c, 0x50, 0xa6, 0x58,
		},
		{ // High, 1280x720, 30 fps
			0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
			0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
		},
	}
	h264PPS = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}

	h265VPS = []byte{
		0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x40, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x03,
		0x00, 0x00, 0x03, 0x00, 0x99, 0xa5, 0x02, 0x40,
	}
	h265SPS = [2][]byte{
		{ // Main, 1920x1080
			0x42, 0x01, 0x01, 0x01, 0x40, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
			0x00, 0x99, 0xa0, 0x03, 0xc0, 0x80, 0x10, 0xe5, 0x8d, 0xa5, 0x92, 0x42, 0x36, 0x22, 0xec, 0xb8,
			0x80, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x05, 0x0f, 0xe2, 0xc4, 0xa0,
		},
		{ // Main, 1920x800
			0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
			0x00, 0x78, 0xa0, 0x03, 0xc0, 0x80, 0x32, 0x16, 0x59, 0x59, 0xa4, 0x93, 0x2b, 0xc0, 0x5a, 0x80,
			0x80, 0x80, 0x82, 0x00, 0x00, 0x07, 0xd2, 0x00, 0x00, 0xbb, 0x80, 0x10,
		},
	}
	h265PPS = []byte{0x44, 0x01, 0xc0, 0xe0, 0x98, 0x93, 0x03, 0x05, 0x14, 0x90}

	av1Sequence = [2][]byte{
		{0x08, 0x00, 0x00, 0x00, 0x42, 0xa7, 0xbf, 0xe4, 0x60, 0x0d, 0x00, 0x40},
		{0x08, 0x00, 0x00, 0x00, 0x42, 0xab, 0xbf, 0xc3, 0x71, 0xab, 0xe6, 0x01},
	}
	vp8Key = [2][]byte{
		{0x10, 0x02, 0x01, 0x9d, 0x01, 0x2a, 0x60, 0x01, 0x20, 0x01}, // 352x288
		{0x10, 0x02, 0x01, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02}, // 1280x720
	}
	vp9Key = [2][]byte{
		{0x82, 0x49, 0x83, 0x42, 0x00, 0x77, 0xf0, 0x32, 0x34, 0x30, 0x38, 0x24, 0x1c, 0x19, 0x40, 0x18},
		{0x82, 0x49, 0x83, 0x42, 0x40, 0xef, 0xf0, 0x86, 0xf4, 0x04, 0x21, 0xa0, 0xe0, 0x00, 0x30, 0x70},
	}

	aacConfig  = []byte{0x11, 0x90}                                                 // AAC-LC, 48 kHz, stereo
	mp3Header  = []byte{0xff, 0xfb, 0x90, 0x64, 0x80}                               // MPEG-1 layer III, 128 kbit/s, 44.1 kHz, stereo
	ac3Header  = []byte{0x0b, 0x77, 0x47, 0x11, 0x0c, 0x40, 0x2f, 0x84, 0x2b, 0xc1} // 96 kbit/s, 48 kHz, mono
	flacConfig = []byte{                                                            // 44.1 kHz, stereo, 16 bit, blocks of 4096
		0x10, 0x00, 0x10, 0x00, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
)

// NewTrack returns a track of a codec with real parameter sets. variant is 0 or 1: of a video codec, the tracks of the
// two differ.
func NewTrack(id int, c av.Codec, variant int) *av.Track {
	t, err := newTrack(id, c, variant)
	if err != nil {
		panic(fmt.Sprintf("sim: %v: %v", c, err))
	}
	return t
}

func newTrack(id int, c av.Codec, variant int) (*av.Track, error) {
	switch c { //nolint:exhaustive // the default case tells
	case av.H264:
		return av.NewH264(id, [][]byte{h264SPS[variant]}, [][]byte{h264PPS})
	case av.H265:
		return av.NewH265(id, [][]byte{h265VPS}, [][]byte{h265SPS[variant]}, [][]byte{h265PPS})
	case av.AV1:
		return av.NewAV1(id, av1Sequence[variant])
	case av.VP8:
		return av.NewVP8(id, vp8Key[variant])
	case av.VP9:
		return av.NewVP9(id, vp9Key[variant])
	case av.AAC:
		return av.NewAAC(id, aacConfig)
	case av.Opus:
		return av.NewOpusChannels(id, 2)
	case av.PCMA, av.PCMU:
		return av.NewG711(id, c, 8000, 1)
	case av.G722:
		return av.NewG722(id, 1)
	case av.MP3:
		return av.NewMP3(id, mp3Header)
	case av.AC3:
		return av.NewAC3(id, ac3Header)
	case av.FLAC:
		return av.NewFLAC(id, flacConfig)
	case av.L16:
		return av.NewL16(id, 48_000, 2)
	default:
		return nil, errors.New("not known")
	}
}

// hasElements says whether units of a codec may have more than one element.
func hasElements(c av.Codec) bool { return c == av.H264 || c == av.H265 || c == av.AV1 }

// header is what element i of a unit begins with, so that demuxers and packetizers know it for what it is.
func header(t *av.Track, key bool, i int) []byte {
	first := byte(0)
	if i == 0 {
		first = 0x80 // first_mb_in_slice = 0, or first_slice_segment_in_pic_flag
	}
	switch t.Codec { //nolint:exhaustive // the others begin with anything
	case av.H264:
		if key {
			return []byte{0x65, 0x08 | first}
		}
		return []byte{0x41, 0x1a | first}
	case av.H265:
		if key {
			return []byte{0x26, 0x01, 0x2f | first} // IDR_W_RADL
		}
		return []byte{0x02, 0x01, 0x50 | first}
	case av.AV1:
		return []byte{0x30} // OBU_FRAME, no extension, no size field
	case av.VP8:
		if key {
			return append([]byte(nil), vp8Of(t)...)
		}
		return []byte{0x11, 0x02, 0x01}
	case av.VP9:
		if key {
			return append([]byte(nil), vp9Of(t)...)
		}
		return []byte{0x86, 0x01}
	case av.Opus:
		return []byte{0xfc} // CELT, full band, 20 ms, stereo, one frame
	case av.MP3:
		return append([]byte(nil), mp3Header...)
	case av.AC3:
		return append([]byte(nil), ac3Header...)
	case av.FLAC:
		return []byte{0xff, 0xf8, 0xc9, 0x18}
	default:
		return nil
	}
}

func vp8Of(t *av.Track) []byte {
	if t.Width == 352 {
		return vp8Key[0]
	}
	return vp8Key[1]
}

func vp9Of(t *av.Track) []byte {
	if t.Width == 1920 {
		return vp9Key[0]
	}
	return vp9Key[1]
}

// samplesOf is how many samples a unit of an audio track has.
func samplesOf(t *av.Track) int64 {
	switch t.Codec { //nolint:exhaustive // the others have 20 ms
	case av.AAC:
		return 1024
	case av.MP3:
		return 1152
	case av.AC3:
		return 1536
	case av.FLAC:
		return 4096
	default:
		return int64(t.SampleRate) / 50
	}
}

// bytesOf is the size of a unit of an audio track, exact where the codec leaves no choice.
func bytesOf(t *av.Track) int {
	switch t.Codec { //nolint:exhaustive // the others are free
	case av.PCMA, av.PCMU, av.G722:
		return int(samplesOf(t)) * t.Channels * 8000 / max(t.SampleRate, 8000)
	case av.L16:
		return int(samplesOf(t)) * t.Channels * 2
	case av.MP3:
		return 144 * 128_000 / 44_100
	case av.AC3:
		return 384
	default:
		return 200
	}
}
