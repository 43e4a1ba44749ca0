package flv

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
)

const (
	onMetaData   = "onMetaData"
	setDataFrame = "@setDataFrame" // RTMP publishers put it first
	encoderName  = "Vigil"
)

// script takes a script tag. Only onMetaData means something to us (FLV 10.1, E.5).
func (d *Demuxer) script(c *cursor) {
	values, err := amf.Decode(c.b)
	if err != nil {
		d.fail(0, fmt.Errorf("script: %w", err))
		return
	}
	if len(values) > 0 && values[0] == any(setDataFrame) {
		values = values[1:]
	}
	if len(values) < 2 || values[0] != any(onMetaData) {
		return
	}
	if o, ok := amf.Properties(values[1]); ok {
		d.meta = o
	}
}

// Metadata returns the last onMetaData, nil when there was none. It must not be changed.
func (d *Demuxer) Metadata() amf.Object { return d.meta }

// Declared returns which kinds of track the publisher said there would be. known is false when it said nothing about
// that; what it said is often wrong.
func (d *Demuxer) Declared() (video, audio, known bool) {
	video, sayVideo := d.declares("hasVideo", "videocodecid")
	audio, sayAudio := d.declares("hasAudio", "audiocodecid")
	return video, audio, sayVideo || sayAudio
}

// declares looks for a flag, then for a codec number or name.
func (d *Demuxer) declares(flag, codec string) (yes, said bool) {
	if yes, said = d.meta.Bool(flag); said {
		return yes, said
	}
	switch v, _ := d.meta.Get(codec); v := v.(type) {
	case float64:
		return v > 0, true
	case string:
		return v != "", true
	default:
		return false, false
	}
}

// AppendMetadata appends the body of an onMetaData script tag for a stream of these tracks, of which either may be nil
// (E-RTMP v2, "Enhancing onMetaData"). Unlike its siblings it allocates.
func (f Form) AppendMetadata(dst []byte, video, audio *av.Track) []byte {
	var m amf.ECMAArray
	set := func(name string, v any) { m = append(m, amf.Property{Name: name, Value: v}) }
	if video != nil {
		if video.Width > 0 {
			set("width", video.Width)
			set("height", video.Height)
		}
		if video.FrameRate > 0 {
			set("framerate", video.FrameRate)
		}
		set("videocodecid", f.codecNumber(video))
	}
	if audio != nil {
		bits := audio.BitDepth
		if bits == 0 {
			bits = 16
		}
		set("audiocodecid", f.codecNumber(audio))
		set("audiosamplerate", audio.SampleRate)
		set("audiosamplesize", bits)
		set("stereo", audio.Channels > 1)
		set("audiochannels", audio.Channels)
	}
	set("encoder", encoderName)
	return amf.Append(dst, onMetaData, m)
}

// codecNumber is what videocodecid and audiocodecid say: the number of the classic header, or the FourCC.
func (f Form) codecNumber(t *av.Track) uint32 {
	w := wires[t.Codec]
	switch {
	case !f.classic(w):
		return w.four
	case t.Codec == av.MP3 && t.SampleRate == 8000:
		return formatMP3at8
	default:
		return uint32(w.id)
	}
}
