package rtp

import "github.com/vigil-media/vigil/internal/av"

const payloadMax = sizeMax - headerSize // bytes that a frame's length can tell

// wholeWriter writes a unit as it is: Opus cannot be cut (RFC 7587, 4.2).
type wholeWriter struct{}

func (wholeWriter) unit(w *out, u *av.AccessUnit) {
	if len(u.Data) == 1 && len(u.Data[0]) > 0 && len(u.Data[0]) <= payloadMax {
		w.whole(u.Data[0], false)
	}
}

// opaqueWriter writes what came as a packet as one.
type opaqueWriter struct{}

func (opaqueWriter) unit(w *out, u *av.AccessUnit) {
	if len(u.Data) == 1 && len(u.Data[0]) > 1 && len(u.Data[0]) <= payloadMax {
		w.whole(u.Data[0][1:], u.Data[0][0]&1 != 0)
	}
}

// sampleWriter writes samples, of bytes each with all their channels (RFC 3551, 4.5.14: the clock counts them), and may cut
// between any two.
type sampleWriter struct{ size, bytes int }

func (s sampleWriter) unit(w *out, u *av.AccessUnit) {
	step := s.size / s.bytes * s.bytes
	for _, b := range u.Data {
		for len(b) > 0 {
			n := min(len(b), step)
			w.whole(b[:n], false)
			w.timestamp += uint32(n / s.bytes) //nolint:gosec // small
			b = b[n:]
		}
	}
}

// cutWriter cuts units anywhere and marks their last packet: KLV (RFC 6597, 4).
type cutWriter struct{ size int }

func (c cutWriter) unit(w *out, u *av.AccessUnit) {
	for _, b := range u.Data {
		for len(b) > 0 {
			n := min(len(b), c.size)
			w.whole(b[:n], n == len(b))
			b = b[n:]
		}
	}
}

// aacWriter writes an access unit in a packet, or fragments of it, in the mode AAC-hbr (RFC 3640, 3.3.6). The header of a
// fragment tells the size of the whole unit (3.2.1.1).
type aacWriter struct{ size int }

func (a aacWriter) unit(w *out, u *av.AccessUnit) {
	const headers, sizeLimit = 4, 1<<13 - 1 // bytes: the headers' length, one header
	for _, b := range u.Data {
		whole := len(b)
		if whole > sizeLimit {
			continue
		}
		for len(b) > 0 {
			n := min(len(b), a.size-headers)
			w.begin(headers+n, n == len(b))
			w.add(0, 16, byte(whole>>5), byte(whole<<3))
			w.dst = append(w.dst, b[:n]...)
			b = b[n:]
		}
	}
}

// mp3Writer writes a frame in a packet, or fragments of it (RFC 2250, 3.5).
type mp3Writer struct{ size int }

func (m mp3Writer) unit(w *out, u *av.AccessUnit) {
	const head = 4
	for _, b := range u.Data {
		for at := 0; at < len(b) && at < 1<<16; {
			n := min(len(b)-at, m.size-head)
			w.begin(head+n, false)
			w.add(0, 0, byte(at>>8), byte(at))
			w.dst = append(w.dst, b[at:at+n]...)
			at += n
		}
	}
}

// ac3Writer writes a sync frame in a packet, or fragments of it (RFC 4184, 4).
type ac3Writer struct{ size int }

func (a ac3Writer) unit(w *out, u *av.AccessUnit) {
	const head = 2
	const complete, firstMost, first, next = 0, 1, 2, 3
	room := a.size - head
	for _, b := range u.Data {
		count := (len(b) + room - 1) / room
		if count > 255 {
			continue
		}
		for i, rest := 0, b; len(rest) > 0; i++ {
			n := min(len(rest), room)
			typ := byte(next)
			switch {
			case count == 1:
				typ = complete
			case i == 0 && n*8 >= len(b)*5: // five eighths can be decoded by themselves
				typ = firstMost
			case i == 0:
				typ = first
			}
			w.begin(head+n, n == len(rest))
			w.add(typ, byte(count))
			w.dst = append(w.dst, rest[:n]...)
			rest = rest[n:]
		}
	}
}
