package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// messageHeaderSize returns the length of a message header by its type (5.3.1.2).
func messageHeaderSize(format byte) int {
	switch format {
	case 0:
		return header0Size
	case 1:
		return 7
	case 2:
		return 3
	default:
		return 0
	}
}

// readHeader reads a chunk's header up to its payload and returns the chunk stream, on which a message is then under
// way. The error is ready to be returned to the caller.
func (r *Reader) readHeader() (*stream, error) {
	format, id, err := r.readBasicHeader()
	if err != nil {
		if errors.Is(err, io.EOF) && !r.underWay() {
			return nil, io.EOF
		}
		return nil, r.fail(id, err)
	}
	s, err := r.streamFor(format, id)
	if err != nil {
		return nil, r.fail(id, err)
	}
	r.chunks++
	s.lastUsed = r.chunks
	if format == 3 {
		err = r.repeatHeader(s)
	} else {
		err = r.readMessageHeader(s, format)
	}
	if err != nil {
		return nil, r.fail(id, err)
	}
	if !s.open {
		err = r.begin(s, format)
	}
	if err != nil {
		return nil, r.fail(id, err)
	}
	return s, nil
}

// readBasicHeader reads the type of the message header and the chunk stream's number (5.3.1.1). The error is io.EOF
// if there is nothing.
func (r *Reader) readBasicHeader() (format byte, id uint32, err error) {
	b, err := r.buf.Peek(1)
	if err != nil {
		return 0, 0, err
	}
	format, id = b[0]>>6, uint32(b[0]&0x3F)
	size := 1
	if id < ChunkStreamMin { // 0 and 1: one byte more, two bytes more
		size += 1 + int(id)
		if b, err = r.peek(size); err != nil {
			return 0, 0, err
		}
		id = 64 + uint32(b[1])
		if size == 3 {
			id += uint32(b[2]) << 8
		}
	}
	r.skip(size)
	return format, id, nil
}

// streamFor returns the chunk stream that a header of the given type is for. Only types 0 and 1 say enough to be the
// first of a chunk stream, and only type 3 may come within a message.
func (r *Reader) streamFor(format byte, id uint32) (*stream, error) {
	s := r.find(id)
	switch {
	case s == nil && format <= 1:
		return r.add(id)
	case s == nil:
		return nil, fmt.Errorf("type %d without a header before: %w", format, ErrHeader)
	case s.open && format != 3:
		return nil, fmt.Errorf("type %d after %d of %d bytes of a message: %w",
			format, len(s.payload), s.header.length, ErrHeader)
	default:
		return s, nil
	}
}

// readMessageHeader reads a message header of type 0, 1 or 2.
func (r *Reader) readMessageHeader(s *stream, format byte) error {
	b, err := r.peek(messageHeaderSize(format))
	if err != nil {
		return err
	}
	s.header.time = uint24(b)
	if format <= 1 {
		s.header.length = int(uint24(b[3:]))
		s.header.kind = b[6]
	}
	if format == 0 {
		s.header.stream = binary.LittleEndian.Uint32(b[7:])
	}
	r.skip(len(b))
	if s.extended = s.header.time == noField; s.extended {
		s.header.time, err = r.uint32()
	}
	return err
}

// repeatHeader takes the extended timestamp of a type 3 chunk if it is there. The specification wants it (5.3.1.3) but
// not all peers send it, so look whether the bytes are the same: one by one, as in a short chunk there may be no more.
// Who was seen to leave it out is not suspected again, lest a payload that looks like it be taken for it; those chunks
// that begin a message and those that go on with one are told apart.
func (r *Reader) repeatHeader(s *stream) error {
	bare := &r.bareBegin
	if s.open {
		bare = &r.bareContinue
	}
	if !s.extended || *bare {
		return nil
	}
	want := binary.BigEndian.AppendUint32(make([]byte, 0, extendedSize), s.header.time)
	for i := range want {
		b, err := r.buf.Peek(i + 1)
		if errors.Is(err, io.EOF) {
			return nil // payload, then, if anything
		}
		if err != nil {
			return err
		}
		if b[i] != want[i] {
			*bare = true
			return nil
		}
	}
	r.skip(extendedSize)
	return nil
}

// begin starts a message with the header that the chunk stream has now.
func (r *Reader) begin(s *stream, format byte) error {
	if s.header.length > r.limits.Message {
		return fmt.Errorf("message of %d bytes, %d allowed: %w", s.header.length, r.limits.Message, ErrLimit)
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
