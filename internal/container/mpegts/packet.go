package mpegts

import (
	"encoding/binary"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// PacketSize is the size of a transport packet in bytes (2.4.3.2).
const PacketSize = 188

// Rate is that of the time stamps, in ticks a second (2.4.3.7).
const Rate = 90_000

const (
	syncByte    = 0x47
	headSize    = 4
	payloadMost = PacketSize - headSize
	pidMost     = 0x1fff // null packets
	stampBits   = 33

	flagStart        = 0x40 // payload_unit_start_indicator, in the second byte
	flagError        = 0x80 // transport_error_indicator
	flagScrambled    = 0xc0 // transport_scrambling_control, in the fourth byte
	flagField        = 0x20 // there is an adaptation field
	flagPayload      = 0x10
	fieldDiscontinue = 0x80 // discontinuity_indicator (2.4.3.5)
	fieldRandom      = 0x40 // random_access_indicator
	fieldPCR         = 0x10
)

// packet is what a transport packet says.
type packet struct {
	pid           uint16
	cc            byte
	start         bool
	discontinuity bool
	payload       []byte // nil: none
}

// parsePacket takes a packet of 188 bytes apart. The PID is set even if there is an error.
func parsePacket(b []byte) (p packet, err error) {
	p.pid = binary.BigEndian.Uint16(b[1:]) & pidMost
	p.cc = b[3] & 15
	p.start = b[1]&flagStart != 0
	if b[1]&flagError != 0 {
		return p, errDamaged
	}
	at := headSize
	if b[3]&flagField != 0 {
		size := int(b[4])
		if at += 1 + size; at > PacketSize {
			return p, errShort
		}
		p.discontinuity = size > 0 && b[5]&fieldDiscontinue != 0
	}
	if b[3]&flagPayload != 0 && at < PacketSize {
		if b[3]&flagScrambled != 0 {
			return p, errScrambled
		}
		p.payload = b[at:PacketSize]
	}
	return p, nil
}

// ticks is t on the clock of the time stamps, with more than their 33 bits.
func ticks(t time.Duration) int64 { return av.Ticks(t, Rate) + Origin }

// appendStamp appends a PTS or DTS (2.4.3.7), prefix are the four bits in front.
func appendStamp(dst []byte, prefix byte, t int64) []byte {
	return append(dst, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// readStamp reads a PTS or DTS. Marker bits are not looked at.
func readStamp(b []byte) uint64 {
	return uint64(b[0]&0x0e)<<29 | uint64(b[1])<<22 | uint64(b[2]&0xfe)<<14 | uint64(b[3])<<7 | uint64(b[4])>>1
}

// appendPCR appends a program clock reference of t ticks (2.4.3.5). Its extension, ticks of 27 MHz, is 0.
func appendPCR(dst []byte, t int64) []byte {
	return append(dst, byte(t>>25), byte(t>>17), byte(t>>9), byte(t>>1), byte(t<<7)|0x7e, 0)
}
