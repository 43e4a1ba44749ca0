package m3u8

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	packetSize = 188
	stampRate  = 90_000
	stampBits  = 33
)

// packets sees whether a segment is whole packets and begins with PAT and PMT (3.1.1). It returns when the first picture is decoded.
func (f *findings) packets(p *Piece) (begin time.Duration, video bool) {
	if len(p.Data)%packetSize != 0 {
		f.add("media-syntax", 0, "%s has %d bytes, no whole packets", p.URI, len(p.Data))
	}
	pmt, picture, tables := -1, -1, false
	for b := range slices.Chunk(p.Data, packetSize) {
		if b[0] != 0x47 || len(b) < packetSize {
			f.add("media-syntax", 0, "%s has something that is no packet", p.URI)
			return 0, false
		}
		pid, starts, payload := splitPacket(b)
		switch {
		case pid == 0x1fff || payload == nil:
		case pid == 0 && starts:
			pmt = firstProgram(payload)
		case pid == pmt && starts:
			tables, picture = true, firstVideo(payload)
		case pid == pmt:
		case !tables:
			f.add("media-tables", 0, "%s: PID %#x comes before PAT and PMT", p.URI, pid)
			return 0, false
		case pid == picture && starts:
			return firstStamp(payload)
		}
	}
	if !tables {
		f.add("media-tables", 0, "%s has no PAT and PMT", p.URI)
	}
	return 0, false
}

// splitPacket finds the payload of a packet (ISO/IEC 13818-1, 2.4.3.2); nil if there is none.
func splitPacket(b []byte) (pid int, starts bool, payload []byte) {
	pid = int(b[1]&0x1f)<<8 | int(b[2])
	payload = b[4:]
	if b[3]&0x20 != 0 {
		payload = payload[min(1+int(payload[0]), len(payload)):]
	}
	if b[3]&0x10 == 0 || len(payload) == 0 {
		payload = nil
	}
	return pid, b[1]&0x40 != 0, payload
}

// section returns the body of a section, from its table_id on, without CRC.
func section(b []byte) []byte {
	if len(b) < int(b[0])+1+3 {
		return nil
	}
	b = b[1+int(b[0]):]
	size := 3 + int(b[1]&0x0f)<<8 + int(b[2])
	if size < 12 || size > len(b) {
		return nil
	}
	return b[:size-4]
}

// firstProgram is the PID of the PMT of the first program in a PAT (2.4.4.3); -1: none.
func firstProgram(payload []byte) int {
	b := section(payload)
	if len(b) < 8 {
		return -1
	}
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		if b[0] != 0 || b[1] != 0 {
			return int(b[2]&0x1f)<<8 | int(b[3])
		}
	}
	return -1
}

// firstVideo is the PID of the first stream of H.264 or H.265 in a PMT (2.4.4.8); -1: none.
func firstVideo(payload []byte) int {
	b := section(payload)
	if len(b) < 12 {
		return -1
	}
	skip := 12 + int(b[10]&0x0f)<<8 + int(b[11])
	for len(b) >= skip+5 {
		b = b[skip:]
		if b[0] == 0x1b || b[0] == 0x24 {
			return int(b[1]&0x1f)<<8 | int(b[2])
		}
		skip = 5 + int(b[3]&0x0f)<<8 + int(b[4])
	}
	return -1
}

// firstStamp reads the decoding time of a PES packet (2.4.3.6).
func firstStamp(b []byte) (time.Duration, bool) {
	if len(b) < 14 || b[7]&0x80 == 0 {
		return 0, false
	}
	at := b[9:]
	if b[7]&0x40 != 0 && len(b) >= 19 {
		at = b[14:]
	}
	ticks := int64(at[0]>>1&7)<<30 | int64(at[1])<<22 | int64(at[2]>>1)<<15 | int64(at[3])<<7 | int64(at[4]>>1)
	return av.Duration(ticks, stampRate), true
}

// begins says whether the first unit is a picture of that time.
func begins(units []*av.AccessUnit, at time.Duration) bool {
	if len(units) == 0 || units[0].Track.Kind() != av.Video {
		return false
	}
	const round = 1 << stampBits
	return (av.Ticks(units[0].DTS, stampRate)-av.Ticks(at, stampRate))%round == 0
}

// wrapped is how far two stamps are from each other, whose clock wraps after 26.5 hours.
func wrapped(off time.Duration) time.Duration {
	round := av.Duration(1<<stampBits, stampRate)
	off = (off%round + round) % round
	return min(off, round-off)
}
