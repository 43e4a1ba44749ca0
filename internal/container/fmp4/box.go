package fmp4

import "encoding/binary"

// box appends a box (ISO/IEC 14496-12, 4.2) around what body appends.
func box(dst []byte, typ string, body func([]byte) []byte) []byte {
	at := len(dst)
	dst = body(appendHeader(dst, typ, 0))
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at)) //nolint:gosec // what is written this way is small
	return dst
}

// full appends a box of version 0 with flags.
func full(dst []byte, typ string, flags uint32, body func([]byte) []byte) []byte {
	return box(dst, typ, func(b []byte) []byte {
		return body(appendUint32(b, flags))
	})
}

// bytesOf is a body that is known already.
func bytesOf(body ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, body...) }
}

// appendHeader appends the header of a box of size bytes, itself included.
func appendHeader(dst []byte, typ string, size int) []byte {
	return append(appendUint32(dst, uint32(size)), typ[:4]...) //nolint:gosec // bounded by sizeMax
}

func appendUint16(dst []byte, v int) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) } //nolint:gosec // callers know

func appendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
