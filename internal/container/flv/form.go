package flv

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// Form says how codecs are written that Adobe never gave a number. H.264, AAC, MP3 and G.711 look the same in both.
type Form uint8

const (
	// Enhanced writes the FourCC headers of Enhanced RTMP. FLAC and AC-3 exist in this form only.
	Enhanced Form = iota
	// Legacy writes the codec numbers that are common in China.
	Legacy
)

// String returns "enhanced" or "legacy".
func (f Form) String() string {
	if f == Legacy {
		return "legacy"
	}
	return "enhanced"
}

// MarshalText implements encoding.TextMarshaler.
func (f Form) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Form) UnmarshalText(text []byte) error {
	switch string(text) {
	case "enhanced":
		*f = Enhanced
	case "legacy":
		*f = Legacy
	default:
		return fmt.Errorf("%q is neither \"enhanced\" nor \"legacy\"", text)
	}
	return nil
}

// classic says whether a codec is written with the classic header.
func (f Form) classic(w wire) bool { return w.classic || f == Legacy }

// Carries says whether a track can be written. Not so, besides codecs that FLV has no place for: G.711 other than
// 8 kHz, as tags cannot tell the rate, and in the legacy form Opus of more than two channels, as it has no ID header.
func (f Form) Carries(t *av.Track) bool {
	if int(t.Codec) >= len(wires) {
		return false
	}
	w := wires[t.Codec]
	if w.id == 0 && (w.four == 0 || f == Legacy) {
		return false
	}
	switch t.Codec { //nolint:exhaustive // the others are carried whatever their parameters
	case av.PCMA, av.PCMU:
		return t.SampleRate == g711Rate && t.Channels <= 2
	case av.Opus:
		return f == Enhanced || t.Channels <= 2
	default:
		return true
	}
}

// Select returns the first video and the first audio track that can be written; nil where there is none.
func (f Form) Select(tracks []*av.Track) (video, audio *av.Track) {
	for _, t := range tracks {
		if !f.Carries(t) {
			continue
		}
		switch t.Kind() {
		case av.Video:
			if video == nil {
				video = t
			}
		case av.Audio:
			if audio == nil {
				audio = t
			}
		case av.Data:
		}
	}
	return video, audio
}
