package flv

import (
	"bytes"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// track is what is known of one track of a publication.
type track struct {
	id    int
	codec av.Codec
	cur   *av.Track // nil until the configuration is complete
	held  *av.Track // what cur was when a unit last answered for its memory

	nalSize int      // H264, H265: bytes of a NAL unit's length; 0 until the sequence header has come
	sets    nal.Sets // H264, H265
	look    uint32   // MP3, AC3: the fixed part of the frame header that cur was made from
}

// config takes a sequence header. One that cannot be read leaves the track without a configuration, as units that
// follow it would be decoded wrongly.
func (t *track) config(b []byte) error {
	if t.codec == av.H264 || t.codec == av.H265 {
		return t.nalConfig(b) // the limits are those of the parameter sets
	}
	if len(b) > av.MaxConfig {
		t.cur = nil
		return fmt.Errorf("%v: configuration of %d bytes, %d allowed", t.codec, len(b), av.MaxConfig)
	}
	switch t.codec { //nolint:exhaustive // the others have no configuration
	case av.AV1:
		return t.av1Config(b)
	case av.AAC:
		return t.install(b, av.NewAAC)
	case av.FLAC:
		return t.flacConfig(b)
	case av.Opus:
		if len(b) == 0 { // E-RTMP v2, ExAudioTagBody: "default to mono/stereo mode"
			return t.adopt(av.NewOpusChannels(t.id, 2))
		}
		return t.install(b, av.NewOpus)
	default:
		// VP8 and VP9 tell everything in each key frame, and more than in their configuration record; the other
		// audio codecs have none.
		return nil
	}
}

// install makes the track from its configuration, unless that is what it was made from.
func (t *track) install(config []byte, newTrack func(int, []byte) (*av.Track, error)) error {
	if t.cur != nil && bytes.Equal(t.cur.Config, config) {
		return nil
	}
	t.cur = nil
	return t.adopt(newTrack(t.id, bytes.Clone(config)))
}

// adopt makes n the track, unless a decoder could not tell it from the one in use: then the pointer stays.
func (t *track) adopt(n *av.Track, err error) error {
	if err != nil {
		return err
	}
	if t.cur == nil || !t.cur.Equal(n) {
		t.cur = n
	}
	return nil
}

// frame makes a unit of a coded frame.
func (t *track) frame(d *Demuxer, p packet) error {
	if t.codec != p.codec {
		if t.codec != 0 && needsConfig(p.codec) {
			return fmt.Errorf("%v after the configuration of %v: %w", p.codec, t.codec, ErrNoConfig)
		}
		*t = track{id: t.id, codec: p.codec}
	}
	switch p.codec { //nolint:exhaustive // the others are audio
	case av.H264, av.H265:
		return t.nalFrame(d, p)
	case av.AV1:
		return t.av1Frame(d, p)
	case av.VP8:
		return t.vpFrame(d, p, av.NewVP8)
	case av.VP9:
		return t.vpFrame(d, p, av.NewVP9)
	default:
		return t.audioFrame(d, p)
	}
}

// needsConfig says whether units of a codec are worth nothing without a sequence header.
func needsConfig(c av.Codec) bool {
	switch c { //nolint:exhaustive // the others tell all in their frames
	case av.H264, av.H265, av.AV1, av.AAC, av.FLAC:
		return true
	default:
		return false
	}
}

// vpFrame takes a VP8 or VP9 frame. The track is made from key frames.
func (t *track) vpFrame(d *Demuxer, p packet, newTrack func(int, []byte) (*av.Track, error)) error {
	var err error
	if p.key {
		err = t.adopt(newTrack(t.id, p.body))
		p.key = err == nil
	}
	if t.cur == nil {
		if err != nil {
			return err
		}
		return ErrNoConfig
	}
	d.single(t, p)
	return err
}
