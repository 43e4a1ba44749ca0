package rtp

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpac3"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpfragmented"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpklv"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmjpeg"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp9"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	pion "github.com/pion/rtp"

	"github.com/vigil-media/vigil/internal/av"
)

// newAssembler returns what the receiver's format needs.
func newAssembler(r *Receiver) assembler {
	switch r.format.codec { //nolint:exhaustive // the others are plain
	case av.H264, av.H265:
		return newNALAssembler(r)
	case av.AAC:
		if !r.format.latm {
			return newAACAssembler(r)
		}
		return newLibrary(r, &latmUnits{mux: r.format.mux}, func() decode { return one(new(rtpfragmented.Decoder).Decode) })
	case av.AV1:
		return newLibrary(r, av1Units{}, func() decode { return new(rtpav1.Decoder).Decode })
	case av.VP8:
		return newLibrary(r, vpUnits{av.NewVP8}, func() decode { return one(new(rtpvp8.Decoder).Decode) })
	case av.VP9:
		return newLibrary(r, vpUnits{av.NewVP9}, func() decode { return one(new(rtpvp9.Decoder).Decode) })
	case av.MJPEG:
		return newLibrary(r, jpegUnits{}, func() decode { return one(new(rtpmjpeg.Decoder).Decode) })
	case av.MP3:
		return newLibrary(r, &mp3Units{}, func() decode { return new(rtpmpeg1audio.Decoder).Decode })
	case av.AC3:
		return newLibrary(r, &ac3Units{}, func() decode { return new(rtpac3.Decoder).Decode })
	case av.KLV:
		return newLibrary(r, plainUnits{}, func() decode {
			d := new(rtpklv.Decoder)
			return func(p *pion.Packet) ([][]byte, error) {
				b, err := d.Decode(p)
				return [][]byte{bytes.Clone(b)}, err // the decoder uses its memory again
			}
		})
	default:
		return plain{r}
	}
}

// plain makes a unit of each packet: G.711, G.722, L16, Opus, Opaque.
type plain struct{ r *Receiver }

func (plain) drop() {}

func (a plain) packet(p *packet) error {
	if a.r.format.codec != av.Opaque {
		return a.r.single(append(make([]byte, 0, len(p.payload)), p.payload...), p.ticks, 0, true)
	}
	b := make([]byte, 1, 1+len(p.payload))
	if p.marker {
		b[0] = 1
	}
	return a.r.single(append(b, p.payload...), p.ticks, 0, true)
}

// decode is a payload decoder of gortsplib: it returns an error whenever it has nothing to give.
type decode func(*pion.Packet) ([][]byte, error)

// one adapts a decoder that returns one frame.
func one(f func(*pion.Packet) ([]byte, error)) decode {
	return func(p *pion.Packet) ([][]byte, error) {
		b, err := f(p)
		return [][]byte{b}, err
	}
}

// units makes units of what a decoder gives.
type units interface {
	units(r *Receiver, data [][]byte, ticks int64) error
}

// library is an assembler around a decoder of gortsplib. The decoders are made anew whenever something is missing, as not all
// of them notice. They do not bound what they collect, so that is done here.
type library struct {
	r      *Receiver
	units  units
	create func() decode
	decode decode

	ticks   int64 // of the unit under way
	pending int   // bytes of it
	fresh   bool  // nothing was decoded since the decoder was made
	skips   bool  // the unit at ticks is incomplete, and counted
}

func newLibrary(r *Receiver, u units, create func() decode) *library {
	l := &library{r: r, units: u, create: create}
	l.drop()
	return l
}

func (l *library) drop() { l.decode, l.pending, l.fresh = l.create(), 0, true }

func (l *library) packet(p *packet) error {
	if p.lost || l.pending > 0 && p.ticks != l.ticks {
		if l.pending > 0 {
			l.r.broken()
		}
		l.drop()
	}
	if l.pending+len(p.payload) > unitMax {
		return errTooLarge
	}
	data, err := l.decode(p.pion())
	switch {
	case needsMore(err):
		l.pending += len(p.payload)
		l.ticks = p.ticks
		return nil
	case err != nil && l.fresh: // in the middle of a unit
		l.drop()
		if !l.skips || p.ticks != l.ticks {
			l.r.stats.dropped.Add(1)
		}
		l.skips, l.ticks = !p.marker, p.ticks
		if notFirst(err) {
			return nil
		}
		return err
	case err != nil:
		return err
	}
	l.pending, l.fresh = 0, false
	return l.units.units(l.r, data, p.ticks)
}

func needsMore(err error) bool {
	return is(err, rtpac3.ErrMorePacketsNeeded, rtpav1.ErrMorePacketsNeeded, rtpfragmented.ErrMorePacketsNeeded,
		rtpklv.ErrMorePacketsNeeded, rtpmjpeg.ErrMorePacketsNeeded, rtpmpeg1audio.ErrMorePacketsNeeded,
		rtpvp8.ErrMorePacketsNeeded, rtpvp9.ErrMorePacketsNeeded)
}

func notFirst(err error) bool {
	return is(err, rtpac3.ErrNonStartingPacketAndNoPrevious, rtpav1.ErrNonStartingPacketAndNoPrevious,
		rtpklv.ErrNonStartingPacketAndNoPrevious, rtpmjpeg.ErrNonStartingPacketAndNoPrevious,
		rtpmpeg1audio.ErrNonStartingPacketAndNoPrevious, rtpvp8.ErrNonStartingPacketAndNoPrevious,
		rtpvp9.ErrNonStartingPacketAndNoPrevious)
}

func is(err error, any ...error) bool {
	for _, e := range any {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// plainUnits are units of one element that tell nothing about the track.
type plainUnits struct{}

func (plainUnits) units(r *Receiver, data [][]byte, ticks int64) error {
	return r.single(data[0], ticks, 0, true)
}

// vpUnits are VP8 or VP9 frames. Key frames make the track.
type vpUnits struct {
	track func(int, []byte) (*av.Track, error)
}

func (v vpUnits) units(r *Receiver, data [][]byte, ticks int64) error {
	t, err := v.track(r.id, data[0])
	if err == nil {
		r.setTrack(t)
	}
	return r.single(data[0], ticks, 0, err == nil)
}

// jpegUnits are whole JPEG files.
type jpegUnits struct{}

func (jpegUnits) units(r *Receiver, data [][]byte, ticks int64) error {
	w, h, ok := jpegSize(data[0])
	if !ok {
		return errors.New("no JPEG picture")
	}
	if r.track == nil || r.track.Width != w || r.track.Height != h {
		t, err := av.NewMJPEG(r.id, w, h)
		if err != nil {
			return err
		}
		r.setTrack(t)
	}
	return r.single(data[0], ticks, 0, true)
}

// mp3Units are MPEG audio frames, several in a packet.
type mp3Units struct{ look [3]byte }

func (m *mp3Units) units(r *Receiver, data [][]byte, ticks int64) error {
	var after time.Duration
	for _, b := range data {
		look := [3]byte{b[1], b[2] & 0x0c, b[3] & 0xc0} // version and layer, rate, mode (ISO/IEC 11172-3, 2.4.1.3)
		if r.track == nil || look != m.look {
			t, err := av.NewMP3(r.id, b)
			if err != nil {
				return err
			}
			r.setTrack(t)
			m.look = look
		}
		if err := r.single(b, ticks, after, true); err != nil {
			return err
		}
		var h mpeg1audio.FrameHeader
		if err := h.Unmarshal(b); err != nil {
			return err
		}
		after += av.Duration(int64(h.SampleCount()), int64(r.track.SampleRate))
	}
	return nil
}

// ac3Units are AC-3 sync frames, several in a packet.
type ac3Units struct{ look [3]byte }

func (a *ac3Units) units(r *Receiver, data [][]byte, ticks int64) error {
	var after time.Duration
	for _, b := range data {
		if len(b) < 7 {
			return errShort
		}
		look := [3]byte{b[4] & 0xc0, b[5], b[6]} // rate, stream mode, channel mode (ETSI TS 102 366, 4.3 and 4.4)
		if r.track == nil || look != a.look {
			t, err := av.NewAC3(r.id, b)
			if err != nil {
				return err
			}
			r.setTrack(t)
			a.look = look
		}
		if err := r.single(b, ticks, after, true); err != nil {
			return err
		}
		after += av.Duration(ac3.SamplesPerFrame, int64(r.track.SampleRate))
	}
	return nil
}

// latmUnits are AudioMuxElements (ISO/IEC 14496-3, 1.7.3), of which the first layer is passed on.
type latmUnits struct {
	mux *mpeg4audio.StreamMuxConfig // nil until it has come in band
}

func (l *latmUnits) units(r *Receiver, data [][]byte, ticks int64) error {
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: r.format.mux == nil, StreamMuxConfig: l.mux}
	if e.MuxConfigPresent && l.mux == nil && data[0][0]&0x80 != 0 { // the same configuration as one that we did not get
		r.stats.dropped.Add(1)
		return nil
	}
	if err := e.Unmarshal(data[0]); err != nil {
		return fmt.Errorf("LATM: %w", err)
	}
	if e.StreamMuxConfig != l.mux || r.track == nil {
		config := muxedConfig(e.StreamMuxConfig)
		if config == nil {
			return errors.New("LATM without AAC")
		}
		t, err := av.NewAAC(r.id, config)
		if err != nil {
			return err
		}
		l.mux = e.StreamMuxConfig
		r.setTrack(t)
	}
	frame := aacFrame(r.track.Config)
	var after time.Duration
	for _, sub := range e.Payloads {
		if len(sub) == 0 || len(sub[0]) == 0 || len(sub[0][0]) == 0 {
			continue
		}
		if err := r.single(bytes.Clone(sub[0][0]), ticks, after, true); err != nil {
			return err
		}
		after += frame
	}
	return nil
}
