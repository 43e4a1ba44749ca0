package chunk

import (
	"encoding/binary"
	"fmt"
)

// headerMax is the length of the longest chunk header: basic header, message header, extended timestamp.
const headerMax = 3 + header0Size + extendedSize

// header is a message header, with those fields from earlier ones that it does not have itself.
type header struct {
	time     uint32 // timestamp (type 0) or delta (types 1 and 2)
	stream   uint32
	length   int
	kind     uint8
	extended bool // the time is in the extended field
}

// readHeader takes a chunk's header, up to its payload, off the front of b and returns its length; 0 if it is not all
// there. A message is under way then. last says that nothing comes after b.
func (p *Parser) readHeader(b []byte, last bool) (n int, err error) {
	format, id, n := basicHeader(b)
	if n == 0 {
		return 0, nil
	}
	s := p.find(id)
	if err = inPlace(format, s); err != nil {
		return 0, p.fail(id, n, err)
	}
	var size int
	var whole bool
	if format == 3 {
		size, whole = p.repeated(s, b[n:], last)
	} else {
		size, whole = messageHeaderSize(format, b[n:])
	}
	if !whole {
		return 0, nil
	}
	if s == nil {
		if s, err = p.add(id); err != nil {
			return 0, p.fail(id, n, err)
		}
	}
	p.chunks++
	s.lastUsed = p.chunks
	if format < 3 {
		s.header.read(format, b[n:n+size])
	}
	n += size
	if !s.open {
		if err = p.begin(s, format); err != nil {
			return 0, p.fail(id, n, err)
		}
	}
	p.in, p.want = s, min(p.chunkSize, s.header.length-len(s.payload))
	return n, nil
}

// basicHeader returns the type of the message header and the chunk stream's number (5.3.1.1), and in how many bytes they
// stand; 0 if they are not all there.
func basicHeader(b []byte) (format byte, id uint32, size int) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	format, id, size = b[0]>>6, uint32(b[0]&0x3F), 1
	if id >= ChunkStreamMin {
		return format, id, size
	}
	size += 1 + int(id) // 0 and 1: one byte more, two bytes more
	if len(b) < size {
		return 0, 0, 0
	}
	id = 64 + uint32(b[1])
	if size == 3 {
		id += uint32(b[2]) << 8
	}
	return format, id, size
}

// inPlace says whether a header of the given type may come on s, which is nil if the chunk stream is not known. Only types
// 0 and 1 say enough to be the first of a chunk stream, and only type 3 may come within a message.
func inPlace(format byte, s *stream) error {
	switch {
	case s == nil && format > 1:
		return fmt.Errorf("type %d without a header before: %w", format, ErrHeader)
	case s != nil && s.open && format != 3:
		return fmt.Errorf("type %d after %d of %d bytes of a message: %w",
			format, len(s.payload), s.header.length, ErrHeader)
	default:
		return nil
	}
}

// messageHeaderSize returns the length of the message header of type 0, 1 or 2 (5.3.1.2) at the front of b, with the
// extended timestamp, and whether all of it is there.
func messageHeaderSize(format byte, b []byte) (size int, whole bool) {
	size = [...]int{header0Size, 7, 3}[format]
	if len(b) >= size && uint24(b) == noField {
		size += extendedSize
	}
	return size, len(b) >= size
}

// read takes a message header of type 0, 1 or 2, which b consists of.
func (h *header) read(format byte, b []byte) {
	h.time = uint24(b)
	if format <= 1 {
		h.length = int(uint24(b[3:]))
		h.kind = b[6]
	}
	if format == 0 {
		h.stream = binary.LittleEndian.Uint32(b[7:])
	}
	if h.extended = h.time == noField; h.extended {
		h.time = binary.BigEndian.Uint32(b[len(b)-extendedSize:])
	}
}

// repeated returns the length of the extended timestamp at the front of b, which is what follows the basic header of a
// type 3 chunk: 0 if there is none. The specification wants it (5.3.1.3) but not all peers send it, so look whether the
// bytes are the same: as soon as one comes, as in a short chunk there may be no more. If all are, but more must come to
// tell, it is not whole; unless that was the last, which then is payload.
//
// Who was seen to leave it out is not suspected again, lest a payload that looks like it be taken for it; those chunks
// that begin a message and those that go on with one are told apart.
func (p *Parser) repeated(s *stream, b []byte, last bool) (size int, whole bool) {
	bare := &p.bareBegin
	if s.open {
		bare = &p.bareContinue
	}
	if !s.header.extended || *bare {
		return 0, true
	}
	var want [extendedSize]byte
	binary.BigEndian.PutUint32(want[:], s.header.time)
	for i, w := range want {
		if i == len(b) {
			return 0, last
		}
		if b[i] != w {
			*bare = true
			return 0, true
		}
	}
	return extendedSize, true
}

// begin starts a message with the header that the chunk stream has now.
func (p *Parser) begin(s *stream, format byte) error {
	if s.header.length > p.limits.Message {
		return fmt.Errorf("message of %d bytes, %d allowed: %w", s.header.length, p.limits.Message, ErrLimit)
	}
	if format == 0 {
		s.time = s.header.time
	} else {
		s.time += s.header.time
	}
	s.open = true
	if s.header.length == 0 {
		s.payload = []byte{}
	}
	return nil
}
