package tunnel

import (
	"errors"
	"io"
)

// ErrBase64 says that the body of a POST is not base64.
var ErrBase64 = errors.New("a tunnel's POST is not base64")

// Decoder reads what is in the body of a POST.
type Decoder struct {
	src  io.Reader
	buf  [readSize]byte
	rest []byte // of buf, or what was read ahead: what has not been decoded
	err  error  // of src, for when rest is used up

	bits uint32 // that have been taken and not given out, at the lower end
	have int    // how many of them: less than 8
}

// emptyReadsMax is how often in a row a source may return neither bytes nor an error, as in package bufio.
const emptyReadsMax = 100

// NewDecoder returns a Decoder of src, of which ahead has been read already and is not copied.
func NewDecoder(src io.Reader, ahead []byte) *Decoder { return &Decoder{src: src, rest: ahead} }

// Read implements io.Reader. Bytes are given out as soon as they are certain, and all before an error of the source. If that
// passes, such as a deadline's, Read may be called again.
func (d *Decoder) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for empty := 0; empty < emptyReadsMax; {
		n, used, err := d.decode(b, d.rest)
		if d.rest = d.rest[used:]; n > 0 {
			return n, nil
		}
		if err == nil {
			err, d.err = d.err, nil
		}
		if err != nil {
			return 0, err
		}
		n, d.err = d.src.Read(d.buf[:])
		if d.rest = d.buf[:n]; n == 0 {
			empty++
		}
	}
	return 0, io.ErrNoProgress
}

// decode takes text from src, and gives out the bytes that it makes.
func (d *Decoder) decode(dst, src []byte) (n, used int, err error) {
	for used < len(src) && n < len(dst) {
		c := src[used]
		v, ok := digit(c)
		switch {
		case ok:
			d.bits, d.have = d.bits<<6|v, d.have+6
			if d.have >= 8 {
				d.have -= 8
				dst[n] = byte(d.bits >> d.have)
				n++
			}
			if d.have == 0 {
				d.bits = 0
			}
		case c == '=': // something ends, and what comes begins anew
			d.bits, d.have = 0, 0
		case c == '\r' || c == '\n' || c == ' ' || c == '\t':
		default:
			if n > 0 {
				return n, used, nil // next time
			}
			return 0, used, ErrBase64
		}
		used++
	}
	return n, used, nil
}

// digit returns the value of a character of base64 (RFC 4648, 4).
func digit(c byte) (uint32, bool) {
	switch {
	case 'A' <= c && c <= 'Z':
		return uint32(c - 'A'), true
	case 'a' <= c && c <= 'z':
		return uint32(c-'a') + 26, true
	case '0' <= c && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	default:
		return 0, false
	}
}
