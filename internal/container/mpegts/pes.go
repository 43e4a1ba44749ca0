package mpegts

import (
	"bytes"
	"slices"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

const (
	adtsHead = 7         // bytes of an ADTS header without CRC
	adtsMost = 1<<13 - 1 // bytes of an ADTS frame
	pesHead  = 6         // bytes up to PES_packet_length, inclusive
	pesMost  = 1<<16 - 1 // what PES_packet_length can say
	opusMark = 0x7fe0    // control_header_prefix, no trim, no extension
)

//nolint:gochecknoglobals // constants
var (
	startCode = []byte{0, 0, 0, 1}
	aud264    = []byte{0, 0, 0, 1, 0x09, 0xf0}       // any kind of slices
	aud265    = []byte{0, 0, 0, 1, 0x46, 0x01, 0x50} // any kind of slices
	stuffing  = bytes.Repeat([]byte{0xff}, payloadMost)
)

// payload puts what a PES packet of u carries into the pieces, behind one that pes sets, and returns its size. 0: it cannot be carried.
func (m *Muxer) payload(l *lane, u *av.AccessUnit) (size int) {
	m.head = m.head[:0]
	m.pieces = append(m.pieces[:0], nil)
	switch u.Track.Codec { //nolint:exhaustive // the others are as they are
	case av.H264, av.H265:
		m.nals(l, u)
	case av.AAC:
		n := adtsHead + u.Size()
		if n > adtsMost {
			return 0
		}
		h := l.adts
		m.head = append(m.head, h[0], h[1], h[2], h[3]|byte(n>>11), byte(n>>3), byte(n<<5)|0x1f, 0xfc)
		m.pieces = append(m.pieces, u.Data...)
	case av.Opus:
		n := u.Size()
		m.head = append(m.head, opusMark>>8, opusMark&0xff)
		for ; n >= 0xff; n -= 0xff {
			m.head = append(m.head, 0xff)
		}
		m.head = append(m.head, byte(n))
		m.pieces = append(m.pieces, u.Data...)
	default:
		m.pieces = append(m.pieces, u.Data...)
	}
	if u.Size() == 0 {
		return 0
	}
	for _, b := range m.pieces {
		size += len(b)
	}
	if l.form.stream != idVideo && 3+10+len(m.head)+size > pesMost {
		return 0 // only video may do without a length
	}
	return size
}

// nals puts the NAL units of a picture into the pieces, each behind a start code: the access unit delimiter (2.14.1, 2.17.1), before
// a key picture and after a change the parameter sets, unless it has its own, and the rest.
func (m *Muxer) nals(l *lane, u *av.AccessUnit) {
	c := u.Track.Codec
	aud := aud264
	if c == av.H265 {
		aud = aud265
	}
	data := u.Data
	if len(data) > 0 && nal.KindOf(c, data[0]) == nal.Delimiter {
		m.pieces = append(m.pieces, startCode, data[0])
		data = data[1:]
	} else {
		m.pieces = append(m.pieces, aud)
	}
	if (u.Key || l.sets != u.Track) && lacksSets(u) {
		for _, b := range u.Track.Sets {
			m.pieces = append(m.pieces, startCode, b)
		}
	}
	l.sets = u.Track
	for _, b := range data {
		if len(b) > 0 {
			m.pieces = append(m.pieces, startCode, b)
		}
	}
}

// lacksSets says whether a kind of parameter sets that the track has is not among the unit's NAL units.
func lacksSets(u *av.AccessUnit) bool {
	var has uint // a bit for each kind
	for _, b := range u.Data {
		has |= 1 << nal.KindOf(u.Track.Codec, b)
	}
	for _, b := range u.Track.Sets {
		if kind := nal.KindOf(u.Track.Codec, b); kind.IsSet() && has>>kind&1 == 0 {
			return true
		}
	}
	return false
}

// pes completes the PES packet of the pieces, whose payload has size bytes with what is in head (2.4.3.6). head becomes the whole header.
// The length is 0, unbounded, where it does not fit; that is for video.
func (m *Muxer) pes(l *lane, size int, pts, dts int64) [][]byte {
	const mark, ptsOnly, both = 0x80, 0x80, 0xc0
	var own [8 + 64]byte // the codec's header: that of Opus has a byte for each 255
	front := append(own[:0], m.head...)
	flags, n := byte(ptsOnly), 5
	if dts != pts {
		flags, n = both, 10
	}
	length := 3 + n + len(front) + size
	if length > pesMost {
		length = 0
	}
	h := append(m.head[:0], 0, 0, 1, l.form.stream, byte(length>>8), byte(length), mark, flags, byte(n))
	h = appendStamp(h, flags>>6, pts)
	if dts != pts {
		h = appendStamp(h, 1, dts)
	}
	m.head = append(h, front...)
	m.pieces[0] = m.head
	return m.pieces
}

// packets appends the pieces, n bytes together, as packets. field is the adaptation field of the first, without its length; empty: none.
func (l *lane) packets(dst, field []byte, pieces [][]byte, n int) []byte {
	dst = slices.Grow(dst, (n/payloadMost+2)*PacketSize)
	for start := byte(flagStart); n > 0; start = 0 {
		room := payloadMost
		if len(field) > 0 {
			room -= 1 + len(field)
		}
		stuff := max(room-n, 0)
		dst = append(dst, syncByte, start|byte(l.pid>>8), byte(l.pid), flagPayload|l.cc)
		l.cc = (l.cc + 1) & 15
		if len(field) > 0 || stuff > 0 {
			dst[len(dst)-1] |= flagField
			dst = appendField(dst, field, stuff)
		}
		take := room - stuff
		n -= take
		for take > 0 {
			k := min(take, len(pieces[0]))
			dst = append(dst, pieces[0][:k]...)
			take -= k
			if pieces[0] = pieces[0][k:]; len(pieces[0]) == 0 {
				pieces = pieces[1:]
			}
		}
		field = nil
	}
	return dst
}

// appendField appends an adaptation field and stuff bytes more (2.4.3.4).
func appendField(dst, field []byte, stuff int) []byte {
	if len(field) == 0 { // its length and its flags are stuffing already
		dst = append(dst, byte(stuff-1))
		if stuff == 1 {
			return dst
		}
		dst = append(dst, 0)
		return append(dst, stuffing[:stuff-2]...)
	}
	dst = append(dst, byte(len(field)+stuff))
	dst = append(dst, field...)
	return append(dst, stuffing[:stuff]...)
}
