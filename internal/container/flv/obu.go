package flv

import (
	"bytes"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// OBU types and header bits (AV1 bitstream, 5.3.2 and 6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2

	obuExtension = 4
	obuHasSize   = 2
)

func obuType(b byte) byte { return b >> 3 & 15 }

// obu is where an OBU lies in a tag: its header, then the size field, then the payload.
type obu struct {
	header  int // bytes
	payload []byte
	whole   []byte
}

// nextOBU splits the first OBU off a temporal unit in the low-overhead format (AV1 bitstream, 5.3.1). An OBU without
// size field goes on to the end.
func nextOBU(b []byte) (o obu, rest []byte, err error) {
	c := cursor{b: b}
	o.header = 1
	head := byte(c.uint(1))
	if head&obuExtension != 0 {
		o.header = 2
		c.take(1)
	}
	size := uint64(max(len(b)-c.at, 0))
	if head&obuHasSize != 0 {
		size = c.leb128()
	}
	if head&0x80 != 0 {
		return o, nil, fmt.Errorf("OBU header %#02x", head)
	}
	if c.short || size > uint64(len(b)-c.at) {
		return o, nil, fmt.Errorf("OBU of %d bytes in %d: %w", size, len(b), errShort)
	}
	o.payload = c.take(int(size))
	o.whole = b[:c.at:c.at]
	return o, c.rest(), nil
}

// leb128 reads a number of up to 8 bytes (AV1 bitstream, 4.10.5).
func (c *cursor) leb128() uint64 {
	var v uint64
	for i := range 8 {
		b := c.uint(1)
		v |= uint64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return v
		}
	}
	c.short = true
	return 0
}

// strip takes the size field out of an OBU, in place: the header moves up to the payload.
func (o obu) strip() []byte {
	at := len(o.whole) - len(o.payload) - o.header
	b := o.whole[at:]
	copy(b, o.whole[:o.header])
	b[0] &^= obuHasSize
	return b
}

// appendOBU appends an OBU that has no size field, with one.
func appendOBU(dst, o []byte) []byte {
	header := 1
	if len(o) > 0 && o[0]&obuExtension != 0 {
		header = 2
	}
	if len(o) < header {
		return dst
	}
	dst = append(dst, o[0]|obuHasSize)
	dst = append(dst, o[1:header]...)
	n := len(o) - header
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	dst = append(dst, byte(n))
	return append(dst, o[header:]...)
}

// av1Config takes an av1C. It may lack the sequence header, which then has to come with a key unit; FFmpeg 8 writes
// nothing at all until its encoder has said more.
func (t *track) av1Config(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	rest, err := parseAV1C(b)
	if err != nil {
		t.cur = nil
		return err
	}
	rest = bytes.Clone(rest)
	for n := 0; len(rest) > 0 && n < elementsMax; n++ {
		var o obu
		if o, rest, err = nextOBU(rest); err != nil {
			t.cur = nil
			return fmt.Errorf("av1C: %w", err)
		}
		if obuType(o.whole[0]) == obuSequenceHeader {
			return t.install(o.strip(), av.NewAV1)
		}
	}
	return nil
}

// tsConfig takes an AV1VideoDescriptor (Carriage of AV1 in MPEG-2 TS, 2.2): a tag, a length and the first four bytes
// of an av1C, but no sequence header.
func (t *track) tsConfig(b []byte) error {
	if t.codec != av.AV1 {
		return &UnsupportedError{What: fmt.Sprintf("%v descriptor of MPEG-2 TS", t.codec)}
	}
	c := cursor{b: b}
	tag, n := c.uint(1), int(c.uint(1))
	if record := c.take(n); c.short || tag != 0x80 {
		return fmt.Errorf("AV1 video descriptor % x", b[:min(len(b), 6)])
	} else if _, err := parseAV1C(record); err != nil {
		return err
	}
	return nil
}

// av1Frame takes a temporal unit. Temporal delimiters are left out. A unit is a key unit if it holds a sequence header
// or the tag says so.
func (t *track) av1Frame(d *Demuxer, p packet) error {
	n := 0
	for rest := p.body; len(rest) > 0; {
		o, r, err := nextOBU(rest)
		if err != nil {
			return err
		}
		if rest = r; obuType(o.whole[0]) == obuTemporalDelimiter {
			continue
		}
		if n++; n > elementsMax {
			return errTooMany
		}
	}
	if n == 0 {
		return nil
	}
	u := av.NewUnit(n)
	var err error
	for rest := p.body; len(rest) > 0; {
		var o obu
		o, rest, _ = nextOBU(rest)
		typ := obuType(o.whole[0])
		if typ == obuTemporalDelimiter {
			continue
		}
		b := o.strip()
		if typ == obuSequenceHeader {
			p.key = true
			if e := t.sequenceHeader(b); err == nil {
				err = e
			}
		}
		u.Data = append(u.Data, b)
	}
	if t.cur == nil {
		if err != nil {
			return err
		}
		return ErrNoConfig
	}
	u.Key = p.key
	d.add(t, p, u)
	return err
}

// sequenceHeader takes a sequence header that came with a picture. One that cannot be read changes nothing.
func (t *track) sequenceHeader(b []byte) error {
	if t.cur != nil && bytes.Equal(t.cur.Config, b) {
		return nil
	}
	if len(b) > av.MaxConfig {
		return fmt.Errorf("AV1: sequence header of %d bytes, %d allowed", len(b), av.MaxConfig)
	}
	return t.adopt(av.NewAV1(t.id, bytes.Clone(b)))
}
