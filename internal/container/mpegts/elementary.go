package mpegts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// elementary is one stream of the program.
type elementary struct {
	pid    uint16
	id     int
	codec  av.Codec
	detail byte // Opus: channel_config_code
	track  *av.Track
	held   *av.Track // the track for which a unit answers already

	cc   byte
	seen bool   // a packet
	buf  []byte // the PES packet as far as it has come, or the last one
	open bool   // it is under way

	need bool // a key unit is to come first
	sets nal.Sets
	nals [][]byte // scratch

	rest  []byte        // audio: the frame under way
	next  time.Duration // its time
	timed bool          // next is known
	look  uint32        // audio: what the track was made from
}

// stamps are those of a PES packet, in ticks.
type stamps struct {
	pts, dts int64
	ok       bool
}

// elementary takes a packet of a stream.
func (d *Demuxer) elementary(e *elementary, p *packet) error {
	expect := (e.cc + 1) & 15
	switch {
	case p.payload == nil: // announces that the counter leaps
		e.seen = false
		return nil
	case e.seen && p.cc == e.cc && !p.discontinuity && bytes.HasSuffix(e.buf, p.payload):
		return nil // a duplicate (2.4.3.3)
	case e.seen && p.cc != expect && (!p.discontinuity || !p.start): // a leap that is announced may be between two PES packets
		d.fail(ErrLost)
		d.lose(e)
	}
	e.seen, e.cc = true, p.cc
	if p.start {
		if err := d.finish(e); err != nil {
			return err
		}
		d.reset(e)
		e.open = true
	}
	if !e.open {
		return nil
	}
	if len(e.buf)+len(p.payload) > unitMax || d.total+len(p.payload) > totalMax {
		d.fail(errTooLarge)
		d.lose(e)
		return nil
	}
	e.buf = append(e.buf, p.payload...)
	d.total += len(p.payload)
	if size := pesSize(e.buf); size > 0 && len(e.buf) >= size {
		return d.finish(e)
	}
	return nil
}

// pesSize is the size of the PES packet that b begins with; 0 if it has none, or is not known yet.
func pesSize(b []byte) int {
	if len(b) < pesHead {
		return 0
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		return pesHead + n
	}
	return 0
}

// reset forgets the PES packet.
func (d *Demuxer) reset(e *elementary) {
	if e.open {
		d.total -= len(e.buf)
	}
	e.open = false
	if e.buf = e.buf[:0]; cap(e.buf) > scratchMax {
		e.buf = nil
	}
}

// lose drops what is under way, because a part of it is missing.
func (d *Demuxer) lose(e *elementary) {
	d.reset(e)
	e.rest, e.timed = e.rest[:0], false
	e.need = e.codec.Kind() == av.Video
}

// finish makes units of a PES packet that is whole.
func (d *Demuxer) finish(e *elementary) error {
	if !e.open {
		return nil
	}
	d.total -= len(e.buf)
	e.open = false
	b := e.buf
	if cap(b) > scratchMax { // what a duplicate is known by is enough
		e.buf = bytes.Clone(b[max(len(b)-payloadMost, 0):])
	}
	if size := pesSize(b); size > len(b) {
		d.fail(fmt.Errorf("PES packet of %d bytes: %w", size, errShort))
		d.lose(e)
		return nil
	} else if size > 0 {
		b = b[:size]
	}
	payload, t, err := d.header(b)
	if err == nil && len(payload) > 0 {
		err = d.units(e, payload, t)
	}
	if err == nil {
		return nil
	}
	if _, ok := err.(*emitError); ok { //nolint:errorlint // it is never wrapped
		return err
	}
	d.fail(err)
	d.lose(e)
	return nil
}

// header reads the header of a PES packet (2.4.3.6).
func (d *Demuxer) header(b []byte) (payload []byte, t stamps, err error) {
	const flagPTS, flagDTS, stampSize, fixed = 0x80, 0x40, 5, 9
	if len(b) < fixed || b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return nil, t, fmt.Errorf("PES header: %w", errShort)
	}
	switch b[3] {
	case 0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff: // maps, padding and such
		return nil, t, nil
	}
	if b[6]&0xc0 != 0x80 {
		return nil, t, fmt.Errorf("PES header: flags %#02x: %w", b[6], errShort)
	}
	if b[6]&0x30 != 0 {
		return nil, t, errScrambled
	}
	end := fixed + int(b[8])
	if end > len(b) {
		return nil, t, fmt.Errorf("PES header: %w", errShort)
	}
	f := b[fixed:end]
	if b[7]&flagPTS == 0 || len(f) < stampSize {
		return b[end:], t, nil
	}
	pts := readStamp(f)
	dts := pts
	if b[7]&flagDTS != 0 && len(f) >= 2*stampSize {
		dts = readStamp(f[stampSize:])
	}
	t.ok, t.dts = true, d.stamp(dts)
	t.pts = max(av.Unwrap(t.dts, pts, stampBits), t.dts)
	return b[end:], t, nil
}

// units makes units of the payload of a PES packet. An error that is no [*emitError] is about the payload.
func (d *Demuxer) units(e *elementary, b []byte, t stamps) error {
	switch e.codec { //nolint:exhaustive // codecOf gives no others
	case av.H264, av.H265:
		if !t.ok {
			return errNoTime
		}
		return d.picture(e, b, t)
	case av.AAC, av.MP3, av.AC3:
		return d.frames(e, b, t)
	case av.Opus:
		return d.opus(e, b, t)
	}
	if e.track == nil {
		if err := e.adopt(d.plainTrack(e)); err != nil {
			return err
		}
	}
	if !t.ok {
		return errNoTime
	}
	return d.single(e, b, mediaTime(t.pts))
}

// plainTrack makes the track of a stream that says no more than its codec.
func (d *Demuxer) plainTrack(e *elementary) (*av.Track, error) {
	if e.codec == av.KLV {
		return av.NewKLV(e.id), nil
	}
	return av.NewG711(e.id, e.codec, 8000, 1)
}

// adopt makes t the track, unless a decoder could not tell it from the present one.
func (e *elementary) adopt(t *av.Track, err error) error {
	if err == nil && (e.track == nil || !e.track.Equal(t)) {
		e.track = t
	}
	return err
}
