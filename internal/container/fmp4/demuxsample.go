package fmp4

import (
	"bytes"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// elementsMax is how many NAL units or OBUs a unit may have.
const elementsMax = 4096

// elementCost is what an element of a unit's Data takes besides its bytes.
const elementCost = 24

// unit makes a unit of a sample, which it copies; nil if there is none in it. It has no times yet.
func (in *input) unit(sample []byte, key bool) (*av.AccessUnit, error) {
	if len(sample) == 0 {
		return nil, nil
	}
	b := bytes.Clone(sample)
	u := &av.AccessUnit{Key: key}
	var err error
	switch in.codec { //nolint:exhaustive // the others are one element
	case av.H264, av.H265:
		err = in.nalUnit(u, b)
	case av.AV1:
		err = in.av1Unit(u, b)
	default:
		u.Data = [][]byte{b}
		u.Key = key || in.codec != av.VP9
		if in.cur == nil || in.codec == av.VP9 && key {
			err = in.describe(b)
			u.Key = u.Key && err == nil
		}
	}
	switch {
	case len(u.Data) == 0:
		return nil, err
	case in.cur == nil && err == nil:
		return nil, ErrNoTrack
	case in.cur == nil:
		return nil, err
	}
	u.Track = in.cur
	u.Held = len(b) + elementCost*len(u.Data)
	return u, err
}

// describe makes the track of a frame that tells all of it.
func (in *input) describe(b []byte) error {
	var t *av.Track
	var err error
	switch in.codec { //nolint:exhaustive // the others are described by the init segment
	case av.VP9:
		t, err = av.NewVP9(int(in.id), bytes.Clone(b))
	case av.MP3:
		t, err = av.NewMP3(int(in.id), b)
	case av.AC3:
		t, err = av.NewAC3(int(in.id), b)
	default:
		return nil
	}
	return in.adopt(t, err)
}

// adopt makes t the track, unless a decoder could not tell it from the one in use.
func (in *input) adopt(t *av.Track, err error) error {
	if err == nil && t != nil && (in.cur == nil || !in.cur.Equal(t)) {
		in.cur = t
	}
	return err
}

// nalUnit splits a sample into NAL units. New parameter sets among them, as in avc3 and hev1, make another track.
func (in *input) nalUnit(u *av.AccessUnit, b []byte) error {
	var changed, picture bool
	for c := (cursor{b: b}); c.at < len(b); {
		size := c.uint(in.nalSize)
		n := c.take(int(min(size, uint64(len(b)+1)))) //nolint:gosec // up to len(b)+1
		switch {
		case c.short:
			u.Data = nil
			return fmt.Errorf("NAL unit of %d bytes: %w", size, errShort)
		case len(n) == 0:
			continue
		case len(u.Data) >= elementsMax:
			u.Data = nil
			return fmt.Errorf("more than %d NAL units", elementsMax)
		}
		kind := nal.KindOf(in.codec, n)
		u.Key = u.Key || kind == nal.Key
		picture = picture || kind.IsPicture()
		if kind.IsSet() {
			news, err := in.sets.Put(in.codec, n)
			if err != nil {
				u.Data = nil
				return err
			}
			changed = changed || news
		}
		u.Data = append(u.Data, n)
	}
	if !picture {
		u.Data = nil
	}
	if !changed {
		return nil
	}
	return in.adopt(in.sets.Track(int(in.id), in.codec))
}

// av1Unit splits a sample into OBUs. A new sequence header makes another track.
func (in *input) av1Unit(u *av.AccessUnit, b []byte) (err error) {
	if u.Data, err = splitOBUs(b); err != nil {
		u.Data = nil
		return err
	}
	for _, o := range u.Data {
		if obuType(o[0]) == obuSequenceHeader && (in.cur == nil || !bytes.Equal(o, in.cur.Config)) {
			if len(o) > av.MaxConfig {
				return fmt.Errorf("sequence header of %d bytes", len(o))
			}
			if err = in.adopt(av.NewAV1(int(in.id), bytes.Clone(o))); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitOBUs splits what is in the low-overhead format (AV1 bitstream, 5.3.1) into OBUs without size fields, in place. Temporal delimiters
// are left out. An OBU without a size goes on to the end.
func splitOBUs(b []byte) ([][]byte, error) {
	var obus [][]byte
	for c := (cursor{b: b}); c.at < len(b); {
		from := c.at
		head := byte(c.uint(1)) //nolint:gosec // a byte
		header := 1
		if head&obuExtension != 0 {
			header = 2
			c.take(1)
		}
		size := uint64(len(b) - c.at) //nolint:gosec // not negative
		if head&obuHasSize != 0 {
			size = c.leb128()
		}
		if c.short || head&0x80 != 0 || size > uint64(len(b)-c.at) { //nolint:gosec // not negative
			return obus, fmt.Errorf("OBU %#02x of %d bytes: %w", head, size, errShort)
		}
		c.take(int(size)) //nolint:gosec // up to len(b)
		if obuType(head) == obuTemporalDelimiter {
			continue
		}
		if len(obus) >= elementsMax {
			return obus, fmt.Errorf("more than %d OBUs", elementsMax)
		}
		start := c.at - int(size) - header //nolint:gosec // up to len(b)
		copy(b[start:], b[from:from+header])
		b[start] &^= obuHasSize
		obus = append(obus, b[start:c.at:c.at])
	}
	return obus, nil
}
