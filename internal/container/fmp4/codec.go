package fmp4

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// videoRate is the ticks per second of a video track.
const videoRate = 90_000

// mpeg1Rate is the lowest sampling rate of MPEG-1 audio in Hz; what is below is MPEG-2 (ISO/IEC 11172-3 and 13818-3).
const mpeg1Rate = 32_000

// Carries says whether the format has a place for a codec.
func Carries(c av.Codec) bool {
	switch c {
	case av.H264, av.H265, av.AV1, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3, av.FLAC:
		return true
	case av.VP8, av.MJPEG, av.G722, av.L16, av.KLV, av.Opaque:
		return false
	}
	return false
}

// rateOf is the ticks per second of a track.
func rateOf(t *av.Track) int64 {
	if t.Kind() == av.Video {
		return videoRate
	}
	return int64(t.SampleRate)
}

// CodecString names the coding of a track with its profile and level as browsers and playlists want it (RFC 6381, 3.3; for AV1
// and VP9 section 5 of their bindings), such as "avc1.64001f" or "mp4a.40.2". It is empty if the format has no place for the
// track. G.711 has no registered name; it gets that of its sample entry.
func CodecString(t *av.Track) string {
	switch t.Codec {
	case av.H264:
		sps := nal.Sort(t.Codec, t.Sets)[nal.SPS][0]
		return fmt.Sprintf("avc1.%02x%02x%02x", sps[1], sps[2], sps[3])
	case av.H265:
		return h265String(t)
	case av.AV1:
		return av1String(t)
	case av.VP9:
		return fmt.Sprintf("vp09.%02d.%02d.%02d", t.Config[0], vp9Level(t), t.BitDepth)
	case av.AAC:
		var c mpeg4audio.AudioSpecificConfig
		_ = c.Unmarshal(t.Config) // av has read it already
		typ := c.Type
		if c.ExtensionType != 0 {
			typ = c.ExtensionType // SBR or PS, signalled in the hierarchical way
		}
		return "mp4a.40." + strconv.Itoa(int(typ))
	case av.MP3:
		return fmt.Sprintf("mp4a.%02X", mp3Object(t))
	case av.Opus:
		return "opus"
	case av.FLAC:
		return "flac"
	case av.AC3:
		return "ac-3"
	case av.PCMA:
		return "alaw"
	case av.PCMU:
		return "ulaw"
	case av.VP8, av.MJPEG, av.G722, av.L16, av.KLV, av.Opaque:
		return ""
	}
	return ""
}

// MIME is the media type of what carries the tracks, such as `video/mp4; codecs="avc1.64001f,mp4a.40.2"`. It is empty if the format
// carries none of them.
func MIME(tracks []*av.Track) string {
	var names []string
	typ := "audio/mp4"
	for _, t := range tracks {
		name := CodecString(t)
		if name == "" {
			continue
		}
		if t.Kind() == av.Video {
			typ = "video/mp4"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	return typ + `; codecs="` + strings.Join(names, ",") + `"`
}

// profileTierLevel is the general part of it in an SPS (H.265, 7.3.3): profile, compatibility, constraints, level.
func profileTierLevel(t *av.Track) [12]byte {
	sps := h264.EmulationPreventionRemove(nal.Sort(t.Codec, t.Sets)[nal.SPS][0])
	var ptl [12]byte
	copy(ptl[:], sps[min(len(sps), 3):])
	return ptl
}

// h265String follows ISO/IEC 14496-15, E.3.
func h265String(t *av.Track) string {
	ptl := profileTierLevel(t)
	space, tier := "", "L"
	if s := ptl[0] >> 6; s > 0 {
		space = string(rune('A' + s - 1))
	}
	if ptl[0]&0x20 != 0 {
		tier = "H"
	}
	compatibility := uint32(ptl[1])<<24 | uint32(ptl[2])<<16 | uint32(ptl[3])<<8 | uint32(ptl[4])
	name := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, ptl[0]&31, bits.Reverse32(compatibility), tier, ptl[11])
	end := 11
	for end > 5 && ptl[end-1] == 0 {
		end--
	}
	var constraints strings.Builder
	for _, c := range ptl[5:end] {
		fmt.Fprintf(&constraints, ".%X", c)
	}
	return name + constraints.String()
}

// av1String follows section 5 of the AV1 binding.
func av1String(t *av.Track) string {
	var s av1.SequenceHeader
	_ = s.Unmarshal(t.Config) // av has read it already
	level, tier := av1Level(&s)
	depth := 8
	if s.ColorConfig.HighBitDepth {
		depth = 10
	}
	if s.ColorConfig.TwelveBit {
		depth = 12
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", s.SeqProfile, level, "MH"[tier], depth)
}

// av1Level returns level and tier of the first operating point.
func av1Level(s *av1.SequenceHeader) (level, tier byte) {
	if len(s.SeqLevelIdx) > 0 && len(s.SeqTier) > 0 {
		return s.SeqLevelIdx[0], bit(s.SeqTier[0])
	}
	return 0, 0
}

// vp9Level is the level of a track, ten times. A bit stream of VP9 does not tell it, but browsers refuse a name without: so it is the
// lowest whose bounds on the picture and on the pixels in a second hold (VP9 Levels, table of level limits).
func vp9Level(t *av.Track) int {
	if t.Config[1] != 0 {
		return int(t.Config[1])
	}
	const fpsDefault = 30
	fps := t.FrameRate
	if fps <= 0 {
		fps = fpsDefault
	}
	size := t.Width * t.Height
	for _, l := range [...]struct {
		level int
		rate  float64
		size  int
	}{
		{10, 829_440, 36_864},
		{11, 2_764_800, 73_728},
		{20, 4_608_000, 122_880},
		{21, 9_216_000, 245_760},
		{30, 20_736_000, 552_960},
		{31, 36_864_000, 983_040},
		{40, 83_558_400, 2_228_224},
		{41, 160_432_128, 2_228_224},
		{50, 311_951_360, 8_912_896},
		{51, 588_251_136, 8_912_896},
		{52, 1_176_502_272, 8_912_896},
		{60, 1_176_502_272, 35_651_584},
		{61, 2_353_004_544, 35_651_584},
	} {
		if size <= l.size && fps*float64(size) <= l.rate {
			return l.level
		}
	}
	return 62
}
