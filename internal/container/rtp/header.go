package rtp

import (
	"encoding/binary"
	"fmt"

	pion "github.com/pion/rtp"
)

const (
	version    = 2
	headerSize = 12      // without contributing sources and extension
	packetMax  = 1 << 16 // bytes; the frames of interleaved RTSP and UDP hold less
)

// header is what of an RTP header (RFC 3550, 5.1) is of interest here.
type header struct {
	marker    bool
	typ       uint8
	seq       uint16
	timestamp uint32
	ssrc      uint32
}

// parseHeader returns the header and the payload, which lies in b. pion's parser would allocate for each extension.
func parseHeader(b []byte) (h header, payload []byte, err error) {
	switch {
	case len(b) < headerSize:
		return h, nil, errShort
	case len(b) > packetMax:
		return h, nil, fmt.Errorf("%d bytes", len(b))
	case b[0]>>6 != version:
		return h, nil, fmt.Errorf("version %d", b[0]>>6)
	}
	h = header{
		marker: b[1]&0x80 != 0, typ: b[1] & 0x7f,
		seq: binary.BigEndian.Uint16(b[2:]), timestamp: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:]),
	}
	at := headerSize + 4*int(b[0]&15)
	if b[0]&0x10 != 0 { // extension
		if len(b) < at+4 {
			return h, nil, errShort
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 { // padding; a count of 0 is an encoder that sets the bit and does not pad
		end -= int(b[len(b)-1])
	}
	if at > end {
		return h, nil, errShort
	}
	return h, b[at:end:end], nil
}

// appendHeader appends a header without sources and extension.
func appendHeader(dst []byte, h header) []byte {
	second := h.typ
	if h.marker {
		second |= 0x80
	}
	dst = append(dst, version<<6, second)
	dst = binary.BigEndian.AppendUint16(dst, h.seq)
	dst = binary.BigEndian.AppendUint32(dst, h.timestamp)
	return binary.BigEndian.AppendUint32(dst, h.ssrc)
}

// packet is one packet of a media, in its turn.
type packet struct {
	header
	payload []byte
	ticks   int64 // the timestamp, continued over its wraps
	lost    bool  // packets are missing before this one
}

// pion returns the packet as the payload decoders of gortsplib want it. They keep the payload, so it is a copy.
func (p *packet) pion() *pion.Packet {
	return &pion.Packet{
		Header: pion.Header{
			Version: version, Marker: p.marker, PayloadType: p.typ,
			SequenceNumber: p.seq, Timestamp: p.timestamp, SSRC: p.ssrc,
		},
		Payload: append(make([]byte, 0, len(p.payload)), p.payload...),
	}
}
