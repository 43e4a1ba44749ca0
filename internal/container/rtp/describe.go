package rtp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// FormatOf returns the format in which t is carried, with the given dynamic payload type; PCMU, PCMA, G.722, MP3, and JPEG have
// types of their own where RFC 3551 gives them one. The error is [ErrNoForm], or tells what about the track cannot be described.
func FormatOf(t *av.Track, payloadType uint8) (*Format, error) {
	f := &Format{kind: t.Kind(), codec: t.Codec, typ: payloadType, clock: videoRate}
	if err := f.describe(t); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Format) describe(t *av.Track) error {
	switch t.Codec {
	case av.H264:
		f.encoding = "H264"
		f.describeH264(t)
	case av.H265:
		f.encoding = "H265"
		f.describeH265(t)
	case av.AV1, av.VP8:
		f.encoding = t.Codec.String()
	case av.VP9:
		f.encoding = "VP9"
		if len(t.Config) > 0 {
			f.fmtp = "profile-id=" + strconv.Itoa(int(t.Config[0]))
		}
	case av.MJPEG:
		f.encoding, f.typ = "JPEG", typMJPEG
	case av.AAC:
		return f.describeAAC(t)
	case av.Opus:
		return f.describeOpus(t)
	case av.PCMA, av.PCMU, av.G722, av.L16:
		f.describePCM(t)
	case av.MP3:
		f.encoding, f.typ = "MPA", typMP3
	case av.AC3:
		f.encoding, f.clock, f.channels = "AC3", t.SampleRate, t.Channels
	case av.KLV:
		f.encoding = "SMPTE336M"
	case av.Opaque:
		return f.describeOpaque(t)
	case av.FLAC:
		return fmt.Errorf("%v: %w", t.Codec, ErrNoForm)
	default:
		return fmt.Errorf("%v: %w", t.Codec, ErrNoForm)
	}
	return nil
}

func (f *Format) describeH264(t *av.Track) {
	f.fmtp = "packetization-mode=1"
	f.sets = nal.Sort(t.Codec, t.Sets)
	if sps := f.sets[nal.SPS]; len(sps) > 0 && len(sps[0]) >= 4 {
		f.fmtp += "; profile-level-id=" + strings.ToUpper(hex.EncodeToString(sps[0][1:4]))
	}
	if text := spropText(t.Sets); text != "" {
		f.fmtp += "; sprop-parameter-sets=" + text
	}
}

func (f *Format) describeH265(t *av.Track) {
	f.sets = nal.Sort(t.Codec, t.Sets)
	var parts []string
	for kind, key := range []string{nal.VPS: "sprop-vps", nal.SPS: "sprop-sps", nal.PPS: "sprop-pps"} {
		if text := spropText(f.sets[kind]); text != "" {
			parts = append(parts, key+"="+text)
		}
	}
	f.fmtp = strings.Join(parts, "; ")
}

// spropText writes a list of parameter sets in base64.
func spropText(sets [][]byte) string {
	var text []string
	for _, s := range sets {
		text = append(text, base64.StdEncoding.EncodeToString(s))
	}
	return strings.Join(text, ",")
}

// describeAAC describes the mode AAC-hbr (RFC 3640, 3.3.6).
func (f *Format) describeAAC(t *av.Track) error {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(t.Config); err != nil {
		return fmt.Errorf("AAC config: %w", err)
	}
	f.encoding, f.clock, f.channels = "mpeg4-generic", t.SampleRate, max(t.Channels, 1)
	f.config, f.au = t.Config, hbr
	f.fmtp = "streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; config=" +
		hex.EncodeToString(t.Config)
	return nil
}

func (f *Format) describePCM(t *av.Track) {
	f.encoding, f.clock, f.channels = t.Codec.String(), t.SampleRate, t.Channels
	mono := t.Channels == 1
	switch {
	case t.Codec == av.PCMU && mono && t.SampleRate == g711Rate:
		f.typ = typPCMU
	case t.Codec == av.PCMA && mono && t.SampleRate == g711Rate:
		f.typ = typPCMA
	case t.Codec == av.G722:
		f.clock = g711Rate
		if mono {
			f.typ = typG722
		}
	}
}

// describeOpaque gives back what the description of the publisher said.
func (f *Format) describeOpaque(t *av.Track) error {
	parts := strings.Split(t.Encoding, "/")
	f.encoding, f.clock, f.fmtp = parts[0], t.ClockRate, string(t.Config)
	if len(parts) > 2 {
		f.channels, _ = strconv.Atoi(parts[2])
	}
	f.kind = opaqueKinds[strings.ToLower(f.encoding)]
	if f.kind == 0 {
		f.kind = av.Data
	}
	if f.encoding == "" || f.clock <= 0 {
		return fmt.Errorf("encoding %q: %w", t.Encoding, ErrNoForm)
	}
	return nil
}

// opaqueKinds are the kinds of encodings that package av has no codec for, by their registrations (IANA, RTP parameters). What is
// not among them is described as data.
//
//nolint:gochecknoglobals // a constant table
var opaqueKinds = map[string]av.Kind{
	"mp4v-es": av.Video, "mpeg4-generic-video": av.Video, "mpv": av.Video, "mp2t": av.Video, "h261": av.Video, "h263": av.Video,
	"h263-1998": av.Video, "h263-2000": av.Video, "theora": av.Video, "jpeg2000": av.Video, "raw": av.Video, "vc1": av.Video,
	"celb": av.Video, "nv": av.Video, "h266": av.Video, "jxsv": av.Video, "x-h264-svc": av.Video, "h264-svc": av.Video, "dv": av.Video,

	"g726-16": av.Audio, "g726-24": av.Audio, "g726-32": av.Audio, "g726-40": av.Audio, "aal2-g726-16": av.Audio,
	"aal2-g726-24": av.Audio, "aal2-g726-32": av.Audio, "aal2-g726-40": av.Audio, "g723": av.Audio, "g728": av.Audio,
	"g729": av.Audio, "gsm": av.Audio, "gsm-efr": av.Audio, "amr": av.Audio, "amr-wb": av.Audio, "speex": av.Audio,
	"vorbis": av.Audio, "ilbc": av.Audio, "l8": av.Audio, "l20": av.Audio, "l24": av.Audio, "dvi4": av.Audio, "lpc": av.Audio,
	"qcelp": av.Audio, "eac3": av.Audio, "g7221": av.Audio, "evs": av.Audio, "vmr-wb": av.Audio, "l16": av.Audio,
}
