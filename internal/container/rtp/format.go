package rtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

const (
	videoRate  = 90_000
	opusRate   = 48_000
	g711Rate   = 8_000
	clockMin   = 1_000      // ticks a second: slower ones would leap with every tick
	clockMax   = 50_000_000 // faster ones do not exist
	nameMax    = 48         // bytes of an encoding's name
	channelMax = 255
	fmtpMax    = 16 << 10 // bytes of an opaque one: those of Vorbis have 4 to 12 KiB
)

// Static payload types (RFC 3551, table 4 and 5).
const (
	typPCMU, typPCMA, typG722, typL16Stereo, typL16Mono, typMP3, typMJPEG = 0, 8, 9, 10, 11, 14, 26
)

// Format says how one track is carried. It is immutable.
type Format struct {
	kind     av.Kind
	codec    av.Codec
	encoding string // name as in rtpmap
	clock    int    // ticks a second
	channels int    // 0: not said
	typ      uint8
	fmtp     string // as it stands

	sets   nal.Lists                   // H264, H265
	config []byte                      // AAC: AudioSpecificConfig; Opus: ID header
	au     auSizes                     // AAC
	latm   bool                        // AAC: RFC 6416 instead of RFC 3640
	mux    *mpeg4audio.StreamMuxConfig // AAC, latm: nil when it comes in band
}

// Codec is that of the track.
func (f *Format) Codec() av.Codec { return f.codec }

// Kind is that of the m= line, which for [av.Opaque] is not the codec's.
func (f *Format) Kind() av.Kind { return f.kind }

// ClockRate is the number of ticks a second that timestamps count.
func (f *Format) ClockRate() int { return f.clock }

// PayloadType is that of the packets.
func (f *Format) PayloadType() uint8 { return f.typ }

// String is the encoding's name and clock rate, as in an rtpmap.
func (f *Format) String() string { return f.rtpmap() }

func (f *Format) rtpmap() string {
	s := f.encoding + "/" + strconv.Itoa(f.clock)
	if f.channels > 1 || f.channels == 1 && f.codec == av.AAC {
		s += "/" + strconv.Itoa(f.channels)
	}
	return s
}

// names are the encodings whose codec package av knows.
//
//nolint:gochecknoglobals // a constant table
var names = map[string]struct {
	codec av.Codec
	clock int // when the rtpmap says none
}{
	"h264": {av.H264, videoRate}, "h265": {av.H265, videoRate}, "hevc": {av.H265, videoRate}, "av1": {av.AV1, videoRate},
	"vp8": {av.VP8, videoRate}, "vp9": {av.VP9, videoRate}, "jpeg": {av.MJPEG, videoRate},
	"mpeg4-generic": {av.AAC, 0}, "mp4a-latm": {av.AAC, videoRate}, "opus": {av.Opus, opusRate}, "multiopus": {av.Opus, opusRate},
	"pcma": {av.PCMA, g711Rate}, "pcmu": {av.PCMU, g711Rate}, "g722": {av.G722, g711Rate}, "l16": {av.L16, 44_100},
	"mpa": {av.MP3, videoRate}, "ac3": {av.AC3, 48_000}, "smpte336m": {av.KLV, videoRate},
}

// static are the payload types that need no rtpmap.
//
//nolint:gochecknoglobals // a constant table
var static = map[uint8]string{
	typPCMU: "PCMU/8000", 3: "GSM/8000", 4: "G723/8000", 5: "DVI4/8000", 6: "DVI4/16000", 7: "LPC/8000", typPCMA: "PCMA/8000",
	typG722: "G722/8000", typL16Stereo: "L16/44100/2", typL16Mono: "L16/44100/1", 12: "QCELP/8000", 15: "G728/8000",
	typMP3: "MPA/90000", 16: "DVI4/11025", 17: "DVI4/22050", 18: "G729/8000",
	25: "CelB/90000", typMJPEG: "JPEG/90000", 28: "nv/90000", 31: "H261/90000", 32: "MPV/90000", 33: "MP2T/90000", 34: "H263/90000",
}

// aside are encodings that carry no media of their own: a section is never about them alone.
//
//nolint:gochecknoglobals // a constant table
var aside = map[string]bool{
	"rtx": true, "red": true, "ulpfec": true, "flexfec-03": true, "flexfec": true, "telephone-event": true, "cn": true,
}

// parseFormat reads what a description says of a payload type.
func parseFormat(kind av.Kind, typ uint8, rtpmap, fmtp string) (*Format, error) {
	if rtpmap == "" {
		if rtpmap = static[typ]; rtpmap == "" {
			return nil, fmt.Errorf("payload type %d without rtpmap", typ)
		}
	}
	parts := strings.Split(rtpmap, "/")
	f := &Format{kind: kind, typ: typ, encoding: strings.TrimSpace(parts[0]), fmtp: fmtp}
	lower := strings.ToLower(f.encoding)
	switch {
	case aside[lower]:
		return nil, fmt.Errorf("%s is no media", f.encoding)
	case f.encoding == "" || len(f.encoding) > nameMax || strings.ContainsAny(f.encoding, " \t"):
		return nil, fmt.Errorf("rtpmap %q", clip(rtpmap))
	}
	known := names[lower]
	f.codec, f.clock = known.codec, known.clock
	if len(parts) > 1 {
		n, err := strconv.Atoi(strings.TrimSpace(parts[1]))
		if err != nil && f.clock == 0 {
			return nil, fmt.Errorf("rtpmap %q: clock rate", clip(rtpmap))
		}
		if err == nil {
			f.clock = n
		}
	}
	if len(parts) > 2 {
		if n, err := strconv.Atoi(strings.TrimSpace(parts[2])); err == nil && n > 0 && n <= channelMax {
			f.channels = n
		}
	}
	if f.codec == 0 && f.clock == 0 { // metadata without a clock ("vnd.onvif.metadata")
		f.clock = videoRate
	}
	if f.clock < clockMin || f.clock > clockMax {
		return nil, fmt.Errorf("rtpmap %q: clock rate %d", clip(rtpmap), f.clock)
	}
	if err := f.parameters(lower); err != nil {
		return nil, err
	}
	return f, nil
}

// parameters reads the fmtp of the codecs that have one of interest, and what the rtpmap says of the others.
func (f *Format) parameters(lower string) error {
	p := parseFMTP(f.fmtp)
	switch f.codec { //nolint:exhaustive // the others have none
	case 0:
		if f.codec = av.Opaque; len(f.fmtp) > fmtpMax { // half of one would be worse than none
			return fmt.Errorf("%s: fmtp of %d bytes, %d allowed", f.encoding, len(f.fmtp), fmtpMax)
		}
	case av.H264:
		if p["packetization-mode"] == "2" {
			return errors.New("H264: packetization mode 2")
		}
		f.takeSets(p, "sprop-parameter-sets")
	case av.H265:
		if n, err := strconv.Atoi(p["sprop-max-don-diff"]); err == nil && n > 0 {
			return errors.New("H265: decoding order numbers")
		}
		f.takeSets(p, "sprop-vps", "sprop-sps", "sprop-pps")
	case av.AAC:
		if lower == "mp4a-latm" {
			return f.readLATM(p)
		}
		return f.readAAC(p)
	case av.Opus:
		return f.readOpus(lower, p)
	case av.G722:
		f.clock = g711Rate // RFC 3551, 4.5.2; some write the real 16000, and count 8000
	}
	return f.check()
}

// check makes sure that the track can be made, where the description tells all.
func (f *Format) check() error {
	switch f.codec { //nolint:exhaustive // the others tell more in band
	case av.PCMA, av.PCMU, av.G722, av.L16, av.Opus, av.Opaque:
		if f.Track(1) == nil {
			return fmt.Errorf("%s cannot be", f.rtpmap())
		}
	}
	return nil
}

// Track returns the track as far as the description tells; nil if its parameters come in band only.
func (f *Format) Track(id int) *av.Track {
	var t *av.Track
	var err error
	switch f.codec { //nolint:exhaustive // the others tell in band
	case av.H264, av.H265:
		t, err = f.sets.Track(id, f.codec)
	case av.AAC:
		if f.config != nil {
			t, err = av.NewAAC(id, f.config)
		}
	case av.Opus:
		t, err = av.NewOpus(id, f.config)
	case av.PCMA, av.PCMU:
		t, err = av.NewG711(id, f.codec, f.clock, max(f.channels, 1))
	case av.G722:
		t, err = av.NewG722(id, max(f.channels, 1))
	case av.L16:
		t, err = av.NewL16(id, f.clock, max(f.channels, 1))
	case av.KLV:
		t = av.NewKLV(id)
	case av.Opaque:
		if t, err = av.NewOpaque(id, f.rtpmap(), f.clock); err == nil {
			t.Config = []byte(f.fmtp)
		}
	}
	if err != nil {
		return nil
	}
	return t
}

// Fits says whether units of t may be sent to one who was told f. Parameter sets of video may differ: they go in band.
func (f *Format) Fits(t *av.Track) bool {
	if f.codec != t.Codec {
		return false
	}
	if f.kind == av.Video && f.codec != av.Opaque {
		return true
	}
	o, err := FormatOf(t, f.typ)
	return err == nil && o.clock == f.clock && max(o.channels, 1) == max(f.channels, 1) &&
		(f.codec == av.Opus || string(o.config) == string(f.config)) && strings.EqualFold(o.encoding, f.encoding) &&
		(f.codec != av.Opaque || o.fmtp == f.fmtp)
}
