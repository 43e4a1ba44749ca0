package flv

import (
	"bytes"
	"errors"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	streamInfoLen = 34 // RFC 9639, 8.2
	g711Rate      = 8000
)

// flacConfig takes a FLAC sequence header: "fLaC" and the STREAMINFO block with its header (E-RTMP v2, ExAudioTagBody).
// Some write STREAMINFO alone.
func (t *track) flacConfig(b []byte) error {
	c := cursor{b: bytes.TrimPrefix(b, []byte("fLaC"))}
	if len(c.b) != streamInfoLen {
		typ, n := c.uint(1)&0x7f, c.uint(3)
		if typ != 0 || n != streamInfoLen {
			t.cur = nil
			return errors.New("FLAC: does not begin with STREAMINFO")
		}
	}
	info := c.take(streamInfoLen)
	if c.short {
		t.cur = nil
		return errShort
	}
	return t.install(info, av.NewFLAC)
}

// audioFrame takes a frame of any audio codec. Where there is no configuration, the frame makes the track.
func (t *track) audioFrame(d *Demuxer, p packet) error {
	var err error
	switch p.codec { //nolint:exhaustive // the others wait for their configuration
	case av.MP3:
		err = t.fromFrame(p.body, mp3Look(p.body), av.NewMP3)
	case av.AC3:
		err = t.fromFrame(p.body, ac3Look(p.body), av.NewAC3)
	case av.PCMA, av.PCMU:
		// 8 kHz whatever the rate bits say: they have no value for it, and encoders leave anything there.
		if t.cur == nil || t.cur.Channels != p.channels {
			err = t.adopt(av.NewG711(t.id, p.codec, g711Rate, p.channels))
		}
	case av.Opus:
		if t.cur == nil { // the Chinese extension has no configuration, and not every enhanced encoder sends it
			channels := p.channels
			if channels == 0 {
				channels = 2
			}
			err = t.adopt(av.NewOpusChannels(t.id, channels))
		}
	default:
		if t.cur == nil {
			err = ErrNoConfig
		}
	}
	if err != nil {
		return err
	}
	p.key = true
	d.single(t, p)
	return nil
}

// fromFrame makes the track from a frame's header. look is what of the header says more than the size of this frame.
func (t *track) fromFrame(b []byte, look uint32, newTrack func(int, []byte) (*av.Track, error)) error {
	if t.cur != nil && look == t.look {
		return nil
	}
	if err := t.adopt(newTrack(t.id, b)); err != nil {
		return err
	}
	t.look = look
	return nil
}

// mp3Look picks version, layer, rate and channel mode (ISO/IEC 11172-3, 2.4.1.3).
func mp3Look(b []byte) uint32 {
	c := cursor{b: b}
	return c.uint(4) & 0xfffe0cc0
}

// ac3Look picks rate, stream mode and channel mode (ETSI TS 102 366, 4.3 and 4.4).
func ac3Look(b []byte) uint32 {
	c := cursor{b: b}
	c.take(4)
	return c.uint(3) & 0xc0ffff
}
