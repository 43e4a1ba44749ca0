package av

import (
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/flac"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
)

const (
	maxRate     = 768_000 // samples a second
	maxPixels   = 1 << 15 // picture width or height
	rtpG722Rate = 16_000  // real sampling rate; RTP says 8000 for historical reasons (RFC 3551, 4.5.2)
)

// Errors of the New functions.
var (
	errNoSPS = errors.New("no sequence parameter set")
	errNoPPS = errors.New("no picture parameter set")
)

// NewH264 returns an H.264 track from its sequence and picture parameter sets, which it keeps and does not copy.
func NewH264(id int, sps, pps [][]byte) (*Track, error) {
	sets, err := joinSets("H264", sps, pps)
	if err != nil {
		return nil, err
	}
	if len(sps) == 0 {
		return nil, fmt.Errorf("H264: %w", errNoSPS)
	}
	if len(pps) == 0 {
		return nil, fmt.Errorf("H264: %w", errNoPPS)
	}
	var s h264.SPS
	if err := s.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("H264 SPS: %w", err)
	}
	t := &Track{ID: id, Codec: H264, Sets: sets, Width: s.Width(), Height: s.Height(), FrameRate: frameRate(s.FPS())}
	return newVideo(t)
}

// NewH265 returns an H.265 track from its video, sequence and picture parameter sets, which it keeps and does not copy.
func NewH265(id int, vps, sps, pps [][]byte) (*Track, error) {
	sets, err := joinSets("H265", vps, sps, pps)
	if err != nil {
		return nil, err
	}
	if len(sps) == 0 {
		return nil, fmt.Errorf("H265: %w", errNoSPS)
	}
	if len(pps) == 0 {
		return nil, fmt.Errorf("H265: %w", errNoPPS)
	}
	var s h265.SPS
	if err := s.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("H265 SPS: %w", err)
	}
	t := &Track{ID: id, Codec: H265, Sets: sets, Width: s.Width(), Height: s.Height(), FrameRate: frameRate(s.FPS())}
	return newVideo(t)
}

// NewAV1 returns an AV1 track from its sequence header OBU (with header, without size field).
func NewAV1(id int, sequenceHeader []byte) (*Track, error) {
	if err := checkConfig("AV1 sequence header", sequenceHeader); err != nil {
		return nil, err
	}
	var s av1.SequenceHeader
	if err := s.Unmarshal(sequenceHeader); err != nil {
		return nil, fmt.Errorf("AV1 sequence header: %w", err)
	}
	t := &Track{ID: id, Codec: AV1, Config: sequenceHeader, Width: s.Width(), Height: s.Height()}
	return newVideo(t)
}

// NewVP8 returns a VP8 track from a key frame (RFC 6386, 9.1).
func NewVP8(id int, keyFrame []byte) (*Track, error) {
	if len(keyFrame) < 10 || keyFrame[0]&1 != 0 || keyFrame[3] != 0x9d || keyFrame[4] != 0x01 || keyFrame[5] != 0x2a {
		return nil, errors.New("VP8: not a key frame")
	}
	t := &Track{
		ID: id, Codec: VP8,
		Width:  int(keyFrame[6]) | int(keyFrame[7]&0x3f)<<8,
		Height: int(keyFrame[8]) | int(keyFrame[9]&0x3f)<<8,
	}
	return newVideo(t)
}

// NewVP9 returns a VP9 track from a key frame.
func NewVP9(id int, keyFrame []byte) (*Track, error) {
	var h vp9.Header
	if err := h.Unmarshal(keyFrame); err != nil {
		return nil, fmt.Errorf("VP9: %w", err)
	}
	if h.NonKeyFrame || h.FrameSize == nil {
		return nil, errors.New("VP9: not a key frame")
	}
	t := &Track{ID: id, Codec: VP9, Width: h.Width(), Height: h.Height(), BitDepth: 8}
	if h.ColorConfig != nil {
		t.BitDepth = int(h.ColorConfig.BitDepth)
	}
	t.Config = vp9Config(&h, t.BitDepth)
	return newVideo(t)
}

// vp9Config is the part of a VPCodecConfigurationRecord that a key frame tells: profile, level (undefined), bit depth
// and chroma subsampling, full range flag, then colour description "unspecified" (VP Codec ISO Media File Format
// Binding, 2.2).
func vp9Config(h *vp9.Header, depth int) []byte {
	const levelUndefined, unspecified = 0, 2
	sub, full := h.ChromaSubsampling(), byte(0)
	if h.ColorConfig != nil && h.ColorConfig.ColorRange {
		full = 1
	}
	return []byte{
		h.Profile, levelUndefined, byte(depth)<<4 | sub<<1 | full,
		unspecified, unspecified, unspecified, 0, 0,
	}
}

// NewMJPEG returns a Motion JPEG track. Width and height may be 0.
func NewMJPEG(id, width, height int) (*Track, error) {
	t := &Track{ID: id, Codec: MJPEG, Width: width, Height: height}
	return newVideo(t)
}

// NewAAC returns an AAC track from its AudioSpecificConfig.
func NewAAC(id int, config []byte) (*Track, error) {
	if err := checkConfig("AAC config", config); err != nil {
		return nil, err
	}
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(config); err != nil {
		return nil, fmt.Errorf("AAC config: %w", err)
	}
	rate := c.SampleRate
	if c.ExtensionSampleRate > 0 {
		rate = c.ExtensionSampleRate
	}
	return newAudio(&Track{ID: id, Codec: AAC, Config: config, SampleRate: rate, Channels: aacChannels(&c)})
}

// aacChannels counts the channels (ISO/IEC 14496-3, table 1.19). 0, unknown: a program config element or the units tell.
func aacChannels(c *mpeg4audio.AudioSpecificConfig) int {
	if c.ChannelConfig == 7 {
		return 8
	}
	return int(c.ChannelConfig)
}

// NewOpus returns an Opus track from its ID header ("OpusHead", RFC 7845, 5.1).
func NewOpus(id int, header []byte) (*Track, error) {
	if err := checkConfig("opus ID header", header); err != nil {
		return nil, err
	}
	var h opus.IDHeader
	if err := h.Unmarshal(header); err != nil {
		return nil, fmt.Errorf("opus ID header: %w", err)
	}
	return newAudio(&Track{ID: id, Codec: Opus, Config: header, SampleRate: 48_000, Channels: int(h.ChannelCount)})
}

// NewOpusChannels returns an Opus track of one or two channels, with an ID header made for it.
func NewOpusChannels(id, channels int) (*Track, error) {
	if channels < 1 || channels > 2 {
		return nil, fmt.Errorf("opus: %d channels need an ID header", channels)
	}
	const version, preSkip, rate = 1, 3840, 48_000
	head := append([]byte("OpusHead"), version, byte(channels), preSkip&0xff, preSkip>>8,
		rate&0xff, rate>>8&0xff, rate>>16, 0, 0, 0, 0)
	return NewOpus(id, head)
}

// NewG711 returns a PCMA or PCMU track.
func NewG711(id int, codec Codec, rate, channels int) (*Track, error) {
	if codec != PCMA && codec != PCMU {
		return nil, fmt.Errorf("%v is not G.711", codec)
	}
	return newAudio(&Track{ID: id, Codec: codec, SampleRate: rate, Channels: channels, BitDepth: 16})
}

// NewG722 returns a G.722 track, 16 kHz.
func NewG722(id, channels int) (*Track, error) {
	return newAudio(&Track{ID: id, Codec: G722, SampleRate: rtpG722Rate, Channels: channels})
}

// NewMP3 returns an MPEG-1, MPEG-2 or MPEG-2.5 layer III track from the header of one of its frames (ISO/IEC 11172-3,
// 2.4.1.3). Layer II, which decoders take for the same, passes too. mediacommon does not know MPEG-2.5, the low rates.
func NewMP3(id int, frame []byte) (*Track, error) {
	const syncMask, layerMask, layerIII, layerII, mono = 0xe0, 6, 2, 4, 3
	if len(frame) < 4 || frame[0] != 0xff || frame[1]&syncMask != syncMask {
		return nil, errors.New("MP3: no frame header")
	}
	version, layer := frame[1]>>3&3, frame[1]&layerMask
	bitRate, rate := frame[2]>>4, frame[2]>>2&3
	if version == 1 || (layer != layerIII && layer != layerII) || bitRate == 0 || bitRate == 15 || rate == 3 {
		return nil, fmt.Errorf("MP3: frame header % x", frame[:4])
	}
	sampleRate := [...]int{44_100, 48_000, 32_000}[rate]
	switch version {
	case 0: // MPEG-2.5
		sampleRate /= 4
	case 2: // MPEG-2
		sampleRate /= 2
	}
	channels := 2
	if frame[3]>>6 == mono {
		channels = 1
	}
	return newAudio(&Track{ID: id, Codec: MP3, SampleRate: sampleRate, Channels: channels})
}

// NewAC3 returns an AC-3 track from one of its sync frames.
func NewAC3(id int, frame []byte) (*Track, error) {
	var s ac3.SyncInfo
	if err := s.Unmarshal(frame); err != nil {
		return nil, fmt.Errorf("AC-3: %w", err)
	}
	if len(frame) < 6 {
		return nil, errors.New("AC-3: frame too short")
	}
	var b ac3.BSI
	if err := b.Unmarshal(frame[5:]); err != nil {
		return nil, fmt.Errorf("AC-3: %w", err)
	}
	return newAudio(&Track{ID: id, Codec: AC3, SampleRate: s.SampleRate(), Channels: b.ChannelCount()})
}

// NewFLAC returns a FLAC track from its STREAMINFO block without header (34 bytes).
func NewFLAC(id int, streamInfo []byte) (*Track, error) {
	if err := checkConfig("FLAC STREAMINFO", streamInfo); err != nil {
		return nil, err
	}
	var s flac.StreamInfo
	if err := s.Unmarshal(streamInfo); err != nil {
		return nil, fmt.Errorf("FLAC STREAMINFO: %w", err)
	}
	return newAudio(&Track{
		ID: id, Codec: FLAC, Config: streamInfo,
		SampleRate: int(s.SampleRate), Channels: int(s.ChannelCount), BitDepth: int(s.BitDepth),
	})
}

// NewL16 returns a linear PCM track, 16 bit, network byte order.
func NewL16(id, rate, channels int) (*Track, error) {
	return newAudio(&Track{ID: id, Codec: L16, SampleRate: rate, Channels: channels, BitDepth: 16})
}

// NewKLV returns a track of SMPTE 336M metadata.
func NewKLV(id int) *Track { return &Track{ID: id, Codec: KLV} }

// NewOpaque returns a track of RTP payloads that only RTP can forward. encoding is the RTP encoding name, clockRate the
// ticks per second of its clock.
func NewOpaque(id int, encoding string, clockRate int) (*Track, error) {
	if encoding == "" || len(encoding) > 64 || clockRate <= 0 {
		return nil, fmt.Errorf("opaque track: encoding %q at %d Hz", encoding, clockRate)
	}
	return &Track{ID: id, Codec: Opaque, Encoding: encoding, ClockRate: clockRate}, nil
}

func newAudio(t *Track) (*Track, error) {
	if t.SampleRate <= 0 || t.SampleRate > maxRate || t.Channels <= 0 && t.Codec != AAC || t.Channels > 255 {
		return nil, fmt.Errorf("%v: %d Hz with %d channels", t.Codec, t.SampleRate, t.Channels)
	}
	return t, nil
}

func newVideo(t *Track) (*Track, error) {
	if t.Width < 0 || t.Height < 0 || t.Width > maxPixels || t.Height > maxPixels {
		return nil, fmt.Errorf("%v: picture of %dx%d", t.Codec, t.Width, t.Height)
	}
	return t, nil
}

// frameRate hides what cannot be a rate: parameter sets in the field carry zeros and absurd time scales. Formats take a picture to last as
// long as it says until the next one comes: one of 1e-9 would be a picture of 30 years.
func frameRate(fps float64) float64 {
	if fps >= 0.1 && fps <= 1000 {
		return fps
	}
	return 0
}

// checkConfig refuses a configuration that is too long to be one.
func checkConfig(what string, config []byte) error {
	if len(config) > MaxConfig {
		return fmt.Errorf("%s: %d bytes, %d allowed", what, len(config), MaxConfig)
	}
	return nil
}

// joinSets puts the parameter sets of all kinds into one list, which is within the limits of a track.
func joinSets(what string, groups ...[][]byte) ([][]byte, error) {
	var sets [][]byte
	size := 0
	for _, g := range groups {
		for _, s := range g {
			if len(s) == 0 {
				return nil, fmt.Errorf("%s: empty parameter set", what)
			}
			sets = append(sets, s)
			size += len(s)
		}
	}
	if len(sets) > MaxSets || size > MaxSetsSize {
		return nil, fmt.Errorf("%s: %d parameter sets of %d bytes, %d of %d allowed",
			what, len(sets), size, MaxSets, MaxSetsSize)
	}
	return sets, nil
}
