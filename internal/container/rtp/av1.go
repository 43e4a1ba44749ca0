package rtp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// OBU types and header bits (AV1 bitstream, 5.3.2 and 6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
	obuTileList          = 8

	obuExtension = 4
	obuHasSize   = 2
)

// av1Units are the OBUs of a temporal unit (AV1 RTP payload format, 4). Temporal delimiters are left out, and size fields, which
// should not be there. A unit with a sequence header is a key unit.
type av1Units struct{}

func (av1Units) units(r *Receiver, data [][]byte, ticks int64) error {
	n, size, key := 0, 0, false
	for _, o := range data {
		b, err := stripOBU(o)
		if err != nil {
			return err
		}
		switch b[0] >> 3 & 15 {
		case obuTemporalDelimiter, obuTileList:
			continue
		case obuSequenceHeader:
			key = true
			if err := sequenceHeader(r, b); err != nil {
				return err
			}
		}
		data[n] = b
		n++
		size += len(b)
	}
	if n == 0 {
		return nil
	}
	u := av.NewUnit(n)
	u.Key = key
	memory := make([]byte, 0, size)
	for _, b := range data[:n] {
		at := len(memory)
		memory = append(memory, b...)
		u.Data = append(u.Data, memory[at:len(memory):len(memory)])
	}
	return r.put(u, ticks, 0)
}

func sequenceHeader(r *Receiver, b []byte) error {
	if r.track != nil && bytes.Equal(r.track.Config, b) {
		return nil
	}
	if len(b) > av.MaxConfig {
		return fmt.Errorf("AV1: sequence header of %d bytes, %d allowed", len(b), av.MaxConfig)
	}
	t, err := av.NewAV1(r.id, bytes.Clone(b))
	if err != nil {
		return err
	}
	r.setTrack(t)
	return nil
}

// stripOBU takes the size field out of an OBU, in place: the header moves up to the payload.
func stripOBU(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0]&0x80 != 0 {
		return nil, errors.New("OBU header")
	}
	head := 1
	if b[0]&obuExtension != 0 {
		head = 2
	}
	if len(b) < head {
		return nil, errShort
	}
	if b[0]&obuHasSize == 0 {
		return b, nil
	}
	at, size := head, uint64(0)
	for shift := 0; ; shift += 7 { // leb128 (AV1 bitstream, 4.10.5)
		if at == len(b) || shift > 49 {
			return nil, errShort
		}
		size |= uint64(b[at]&0x7f) << shift
		at++
		if b[at-1]&0x80 == 0 {
			break
		}
	}
	if size > uint64(len(b)-at) {
		return nil, errShort
	}
	end := at + int(size) //nolint:gosec // bounded by len(b)
	copy(b[at-head:at], b[:head])
	b = b[at-head : end]
	b[0] &^= obuHasSize
	return b, nil
}
