package rtp

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// Types of packets among those of NAL units (RFC 6184, table 1; RFC 7798, 4.4).
const (
	h264STAPA, h264FUA    = 24, 28
	h265AP, h265FU        = 48, 49
	h264Packets, h264End  = 24, 29 // STAP-A to FU-B
	h265Packets, h265PACI = 48, 50
	fuStart, fuEnd        = 0x80, 0x40
)

const scratchMax = 1 << 20 // bytes of scratch that are kept from unit to unit

// nalAssembler makes units of H.264 and H.265 packets (RFC 6184, RFC 7798). It is not gortsplib's: that one gives out what is
// left of a picture after a loss, lets H.265 end by markers only, and allocates for every packet.
type nalAssembler struct {
	r     *Receiver
	codec av.Codec
	sets  nal.Sets

	buf    []byte // the NAL units of the picture, side by side
	ends   []int  // where they end
	open   bool   // a fragmented one is under way
	ticks  int64
	begun  bool // a picture is under way
	broken bool // it lacks something
	after  bool // packets were lost: the next picture has to begin visibly
	pieces [][]byte
}

func newNALAssembler(r *Receiver) *nalAssembler {
	n := &nalAssembler{r: r, codec: r.format.codec, after: true} // the first packet is hardly the first of a picture
	for _, list := range r.format.sets {
		for _, b := range list {
			_, _ = n.sets.Put(n.codec, b) // one that cannot be read comes in band
		}
	}
	return n
}

func (n *nalAssembler) drop() {
	n.begun, n.open, n.broken, n.after = false, false, false, true
	n.clear()
}

func (n *nalAssembler) clear() {
	clear(n.pieces) // they lie in buf, which may be let go of
	n.pieces = n.pieces[:0]
	if n.buf, n.ends = n.buf[:0], n.ends[:0]; cap(n.buf) > scratchMax {
		n.buf = nil
	}
}

// packet takes a packet. A picture ends with the marker; some cameras do not set it, then with the next timestamp.
func (n *nalAssembler) packet(p *packet) error {
	if p.lost {
		n.loss(p.ticks)
	} else if n.begun && p.ticks != n.ticks {
		if err := n.finish(); err != nil {
			return err
		}
	}
	if !n.begun {
		n.begun, n.ticks, n.open = true, p.ticks, false
		n.broken = n.after && !n.visible(p.payload)
		n.after = false
		n.clear()
	}
	if !n.broken {
		if err := n.take(p.payload); err != nil {
			n.broken = true
			if !p.marker { // what is left of the picture goes too
				n.r.fail(p.header, err)
				n.r.need = true
				return nil
			}
			n.begun = false
			return err
		}
	}
	if !p.marker {
		return nil
	}
	return n.finish()
}

// loss is told of packets that are missing before one at ticks.
func (n *nalAssembler) loss(ticks int64) {
	switch {
	case !n.begun:
		n.after = true
	case ticks == n.ticks:
		n.broken = true
	default: // its end is missing, or there may be more of it
		n.begun, n.after = false, true
		n.r.stats.dropped.Add(1)
	}
}

// visible says whether a payload is seen to be the first of a picture.
func (n *nalAssembler) visible(b []byte) bool {
	var head [3]byte
	if bytes.HasPrefix(b, []byte{0, 0}) { // a start code, where none should be
		b = bytes.TrimPrefix(bytes.TrimLeft(b, "\x00"), []byte{1})
	}
	switch {
	case len(b) == 0:
		return false
	case n.codec == av.H264 && len(b) > 2 && b[0]&31 == h264FUA:
		head[0], head[1] = b[1]&31, b[2]
		return b[1]&fuStart != 0 && nal.Starts(n.codec, head[:])
	case n.codec == av.H264 && len(b) > 4 && b[0]&31 == h264STAPA:
		return nal.Starts(n.codec, b[3:])
	case n.codec == av.H265 && len(b) > 3 && b[0]>>1&63 == h265FU:
		head[0], head[2] = b[2]&63<<1, b[3]
		return b[2]&fuStart != 0 && nal.Starts(n.codec, head[:])
	case n.codec == av.H265 && len(b) > 6 && b[0]>>1&63 == h265AP:
		return nal.Starts(n.codec, b[4:])
	}
	return nal.Starts(n.codec, b)
}

// take adds the NAL units of a payload.
func (n *nalAssembler) take(b []byte) error {
	if n.codec == av.H264 {
		switch typ := b[0] & 31; {
		case typ == h264STAPA:
			return n.aggregate(b[1:])
		case typ == h264FUA && len(b) < 2:
			return errShort
		case typ == h264FUA:
			return n.fragment(b[1], []byte{b[0]&0xe0 | b[1]&31}, b[2:])
		case typ >= h264Packets && typ <= h264End:
			return fmt.Errorf("packet of type %d", typ)
		}
		return n.add(b)
	}
	if len(b) < 2 {
		return errShort
	}
	switch typ := b[0] >> 1 & 63; {
	case typ == h265AP:
		return n.aggregate(b[2:])
	case typ == h265FU && len(b) < 3:
		return errShort
	case typ == h265FU:
		return n.fragment(b[2], []byte{b[0]&0x81 | b[2]&63<<1, b[1]}, b[3:])
	case typ >= h265Packets:
		return fmt.Errorf("packet of type %d", typ)
	}
	return n.add(b)
}

// add adds a whole NAL unit.
func (n *nalAssembler) add(b []byte) error {
	if n.open {
		return errFragment
	}
	if len(n.buf)+len(b) > unitMax {
		return errTooLarge
	}
	if len(n.ends) == elementsMax {
		return errTooMany
	}
	n.buf = append(n.buf, b...)
	n.ends = append(n.ends, len(n.buf))
	return nil
}

var errFragment = fmt.Errorf("fragment of a NAL unit: %w", errShort)

// aggregate adds the NAL units of a STAP-A or AP. Zeros at the end are padding.
func (n *nalAssembler) aggregate(b []byte) error {
	for len(b) >= 2 {
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			return fmt.Errorf("NAL unit of %d bytes in %d: %w", size, len(b), errShort)
		}
		if size == 0 {
			if len(bytes.Trim(b, "\x00")) > 0 {
				return fmt.Errorf("empty NAL unit: %w", errShort)
			}
			return nil
		}
		if err := n.add(b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// fragment adds a part of a NAL unit. Some cameras send a whole one as its first and last fragment.
func (n *nalAssembler) fragment(flags byte, head, b []byte) error {
	if flags&fuStart != 0 {
		if n.open {
			return errFragment
		}
		if len(n.ends) == elementsMax {
			return errTooMany
		}
		n.open = true
		n.buf = append(n.buf, head...)
	}
	if !n.open {
		return errFragment
	}
	if len(n.buf)+len(b) > unitMax {
		return errTooLarge
	}
	n.buf = append(n.buf, b...)
	if flags&fuEnd != 0 {
		n.open = false
		n.ends = append(n.ends, len(n.buf))
	}
	return nil
}
