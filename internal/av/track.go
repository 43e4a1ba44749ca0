package av

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a stream and its tracks. Parameter sets and configurations are sent to every viewer whenever they change, and
// kept as long as a unit that needs them: those in use have some hundred bytes.
const (
	MaxTracks   = 16       // tracks of a stream
	MaxSets     = 64       // parameter sets of a track
	MaxSetsSize = 16 << 10 // bytes of all parameter sets of a track together
	MaxConfig   = 4 << 10  // bytes of a track's Config
)

// Track is one elementary stream. It is immutable; a changed parameter set makes a new Track with the same ID.
// Use the New functions, which check the parameters and read the figures out of them.
type Track struct {
	ID    int // unique in its stream, from 1
	Codec Codec

	// Sets are the parameter sets, in the order in which a decoder wants them, without start codes: for H264 one or more
	// SPS, then PPS; for H265 VPS, SPS, PPS.
	Sets [][]byte
	// Config is the decoder's configuration where it is a single piece. AAC: AudioSpecificConfig (ISO/IEC 14496-3,
	// 1.6.2.1). Opus: ID header (RFC 7845, 5.1). FLAC: STREAMINFO without block header (RFC 9639, 8.2).
	// AV1: sequence header OBU, with header, without size field.
	Config []byte

	Width, Height int     // pixels; 0 when unknown
	FrameRate     float64 // pictures a second as the parameter set says; 0 when it does not

	SampleRate, Channels, BitDepth int // audio; 0 when unknown

	Encoding  string // Opaque: the RTP encoding name
	ClockRate int    // Opaque: the RTP clock's ticks per second
}

// Kind is that of the track's codec.
func (t *Track) Kind() Kind { return t.Codec.Kind() }

// Equal says whether a decoder that was set up for t can go on with o as it is.
func (t *Track) Equal(o *Track) bool {
	if t == o {
		return true
	}
	if t.ID != o.ID || t.Codec != o.Codec || len(t.Sets) != len(o.Sets) ||
		!bytes.Equal(t.Config, o.Config) || t.Encoding != o.Encoding || t.ClockRate != o.ClockRate ||
		t.SampleRate != o.SampleRate || t.Channels != o.Channels || t.Width != o.Width || t.Height != o.Height {
		return false
	}
	for i := range t.Sets {
		if !bytes.Equal(t.Sets[i], o.Sets[i]) {
			return false
		}
	}
	return true
}

// String describes the track in a few words, such as "H264 1920x1080 25 fps" or "AAC 48 kHz stereo".
func (t *Track) String() string {
	var b strings.Builder
	b.WriteString(t.Codec.String())
	switch t.Kind() {
	case Video:
		if t.Width > 0 {
			fmt.Fprintf(&b, " %dx%d", t.Width, t.Height)
		}
		if t.FrameRate > 0 {
			b.WriteString(" " + shortFloat(t.FrameRate) + " fps")
		}
	case Audio:
		if t.SampleRate > 0 {
			b.WriteString(" " + shortFloat(float64(t.SampleRate)/1000) + " kHz")
		}
		switch t.Channels {
		case 0:
		case 1:
			b.WriteString(" mono")
		case 2:
			b.WriteString(" stereo")
		default:
			fmt.Fprintf(&b, " %d channels", t.Channels)
		}
	case Data:
		if t.Encoding != "" {
			b.WriteString(" " + t.Encoding)
		}
	}
	return b.String()
}

// shortFloat prints at most two decimals and no trailing zeros.
func shortFloat(f float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0"), ".")
}
