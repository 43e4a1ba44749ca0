package rtp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// parseFMTP splits "key=value; key=value". Keys are in lower case.
func parseFMTP(s string) map[string]string {
	p := make(map[string]string)
	for part := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(part, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); key != "" {
			p[key] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return p
}

// sprop reads a list of parameter sets in base64, with or without padding, of which some begin with a start code. What cannot
// be a set is left out.
func sprop(value string) [][]byte {
	var sets [][]byte
	for text := range strings.SplitSeq(value, ",") {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
		if err != nil {
			continue
		}
		for _, set := range splitNALs(nil, b) {
			if len(set) > 0 && len(set) <= nal.MaxSetSize && len(sets) < av.MaxSets {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// takeSets takes the parameter sets of sprop-parameter-sets (RFC 6184, 8.1), or of sprop-vps, sprop-sps and sprop-pps (RFC 7798,
// 7.1). Sets that no track can be made of are as if they were missing: they come in band.
func (f *Format) takeSets(p map[string]string, keys ...string) {
	var sets [][]byte
	for _, key := range keys {
		sets = append(sets, sprop(p[key])...)
	}
	if f.sets = nal.Sort(f.codec, sets); f.Track(1) == nil {
		f.sets = nal.Lists{}
	}
}

// auSizes are the bits of the fields of an AU header (RFC 3640, 3.2.1.1).
type auSizes struct{ size, index, delta int }

var hbr = auSizes{13, 3, 3} //nolint:gochecknoglobals // a constant

// readAAC takes the parameters of RFC 3640, 4.1. Where the configuration is missing it is AAC-LC of the rtpmap's rate.
func (f *Format) readAAC(p map[string]string) error {
	f.au = auSizes{number(p["sizelength"]), number(p["indexlength"]), number(p["indexdeltalength"])}
	switch mode := strings.ReplaceAll(strings.ToLower(p["mode"]), "_", "-"); {
	case f.au.size == 0 && mode == "aac-lbr":
		f.au = auSizes{6, 2, 2}
	case f.au.size == 0:
		f.au = hbr
	}
	if f.au.size > 32 || f.au.index > 32 || f.au.delta > 32 {
		return fmt.Errorf("AAC: AU header of %v bits", f.au)
	}
	if f.config = aacConfig(p["config"]); f.config == nil {
		if p["config"] != "" && f.clock == 0 {
			return fmt.Errorf("AAC config %q", clip(p["config"]))
		}
		c := mpeg4audio.AudioSpecificConfig{
			Type: mpeg4audio.ObjectTypeAACLC, SampleRate: f.clock, ChannelConfig: uint8(max(f.channels, 1)), //nolint:gosec // at most 255
		}
		if c.ChannelConfig == 8 {
			c.ChannelConfig = 7
		}
		b, err := c.Marshal()
		if err != nil || c.ChannelConfig > 7 {
			return fmt.Errorf("AAC: no config, and none can be made of %s", f.rtpmap())
		}
		f.config = b
	}
	if f.Track(1) == nil {
		return fmt.Errorf("AAC config % x", f.config[:min(len(f.config), 16)])
	}
	return nil
}

// number reads a number of a few digits; 0 for what is none.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// aacConfig reads an AudioSpecificConfig in hexadecimal; nil if it is none. Nothing but zeros behind the two bytes that most
// have is padding, and taken off.
func aacConfig(s string) []byte {
	const usual = 2
	if len(s)%2 == 1 {
		s += "0"
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) > av.MaxConfig {
		return nil
	}
	var c, short mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(b) != nil {
		return nil
	}
	if len(b) > usual && len(bytes.Trim(b[usual:], "\x00")) == 0 && short.Unmarshal(b[:usual]) == nil && short == c {
		b = b[:usual]
	}
	return b
}

// readLATM takes the parameters of RFC 6416, 7.3.
func (f *Format) readLATM(p map[string]string) error {
	f.latm = true
	if p["config"] == "" {
		if p["cpresent"] == "0" {
			return errors.New("LATM: no config, neither here nor in band")
		}
		return nil
	}
	b, err := hex.DecodeString(p["config"])
	if err != nil {
		return fmt.Errorf("LATM config %q", clip(p["config"]))
	}
	var c mpeg4audio.StreamMuxConfig
	if err := c.Unmarshal(b); err != nil {
		return fmt.Errorf("LATM config: %w", err)
	}
	settle(&c)
	if f.config = muxedConfig(&c); f.config == nil || f.Track(1) == nil {
		return errors.New("LATM config of no AAC")
	}
	if p["cpresent"] == "0" {
		f.mux = &c
	}
	return nil
}

// settle mends what GStreamer makes of an AudioSpecificConfig with a sync extension (ISO/IEC 14496-3, 1.6.5.1), such as FFmpeg's encoder
// writes: the extension stands where the type of the frame length should be, and begins with a type that is reserved, 2. Units are framed
// as usual nevertheless.
func settle(c *mpeg4audio.StreamMuxConfig) {
	const usual, reserved = 0, 2
	if len(c.Programs) != 1 || len(c.Programs[0].Layers) != 1 || c.Programs[0].Layers[0].FrameLengthType != reserved {
		return
	}
	c.Programs[0].Layers[0].FrameLengthType = usual
	c.OtherDataPresent, c.OtherDataLenBits, c.CRCCheckPresent, c.CRCCheckSum = false, 0, false, 0
}

// muxedConfig returns the configuration of the first layer, the only one that is passed on; nil if there is none.
func muxedConfig(c *mpeg4audio.StreamMuxConfig) []byte {
	if len(c.Programs) == 0 || len(c.Programs[0].Layers) == 0 || c.Programs[0].Layers[0].AudioSpecificConfig == nil {
		return nil
	}
	b, err := c.Programs[0].Layers[0].AudioSpecificConfig.Marshal()
	if err != nil {
		return nil
	}
	return b
}

// readOpus takes the parameters of RFC 7587, 6.1, and of libwebrtc's multiopus. The rtpmap always says two channels; a decoder for two
// plays one as well, so it is two unless the sender says otherwise.
func (f *Format) readOpus(lower string, p map[string]string) error {
	f.config = nil
	channels := 2
	if p["sprop-stereo"] == "0" {
		channels = 1
	}
	var t *av.Track
	var err error
	if lower == "multiopus" {
		t, err = multiOpus(f.channels, p)
	} else {
		t, err = av.NewOpusChannels(1, channels)
		f.channels = 2
	}
	if err != nil {
		return err
	}
	f.config = t.Config
	return nil
}

// Where the fields of an Opus ID header are (RFC 7845, 5.1).
const (
	opusChannels = 9
	opusFamily   = 18
	opusTable    = 19
)

// multiOpus makes the ID header of a stream of more than two channels (RFC 7845, 5.1.1.2).
func multiOpus(channels int, p map[string]string) (*av.Track, error) {
	streams, coupled := number(p["num_streams"]), number(p["coupled_streams"])
	var mapping []byte
	for text := range strings.SplitSeq(p["channel_mapping"], ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("multiopus: channel mapping %q", clip(p["channel_mapping"]))
		}
		mapping = append(mapping, byte(n))
	}
	if channels == 0 || len(mapping) != channels || streams == 0 || coupled > streams || streams+coupled > channelMax {
		return nil, fmt.Errorf("multiopus: %d channels, %d streams, %d coupled", channels, streams, coupled)
	}
	stereo, err := av.NewOpusChannels(1, 2)
	if err != nil {
		return nil, err
	}
	b := bytes.Clone(stereo.Config)
	b[opusChannels], b[opusFamily] = byte(channels), 1
	b = append(append(b, byte(streams), byte(coupled)), mapping...)
	return av.NewOpus(1, b)
}

// describeOpus describes an Opus track.
func (f *Format) describeOpus(t *av.Track) error {
	f.encoding, f.clock, f.channels, f.config = "opus", opusRate, 2, t.Config
	if t.Channels <= 2 {
		f.fmtp = "sprop-stereo=" + strconv.Itoa(t.Channels-1)
		return nil
	}
	if len(t.Config) != opusTable+2+t.Channels {
		return fmt.Errorf("opus: %d channels in a header of %d bytes: %w", t.Channels, len(t.Config), ErrNoForm)
	}
	f.encoding, f.channels = "multiopus", t.Channels
	var mapping bytes.Buffer
	for i, b := range t.Config[opusTable+2:] {
		if i > 0 {
			mapping.WriteByte(',')
		}
		mapping.WriteString(strconv.Itoa(int(b)))
	}
	f.fmtp = fmt.Sprintf("num_streams=%d;coupled_streams=%d;channel_mapping=%s", t.Config[opusTable], t.Config[opusTable+1], mapping.String())
	return nil
}
