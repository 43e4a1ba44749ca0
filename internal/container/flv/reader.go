package flv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	readAhead     = 16 << 10 // bytes taken from the source at once
	growMin       = 64 << 10 // a body is allocated in steps of this, or of what has already arrived
	dataOffsetMax = 64 << 10 // a file header that claims to be longer is none
)

// Reader reads tags from a byte stream that is laid out as an FLV file.
type Reader struct {
	src     *bufio.Reader
	bodyMax int
	offset  int64
	started bool
}

// NewReader returns a Reader that refuses tags with a body of more than bodyMax bytes; [BodyMax] is the most that a tag
// can have. It may read further than the tag that it returns.
func NewReader(src io.Reader, bodyMax int) *Reader {
	return &Reader{src: bufio.NewReaderSize(src, readAhead), bodyMax: bodyMax}
}

// Read returns the next tag, whose body belongs to the caller. At the end of the stream, between tags, it returns
// [io.EOF]. Any other error is final: the stream cannot be trusted from there on. Memory grows with the bytes that
// arrive, not with the length that a tag claims.
func (r *Reader) Read() (Tag, error) {
	tag, err := r.read()
	if err != nil && err != io.EOF { //nolint:errorlint // a bare io.EOF is what is asked for
		return Tag{}, fmt.Errorf("flv: offset %d: %w", r.offset, err)
	}
	return tag, err
}

func (r *Reader) read() (Tag, error) {
	if !r.started {
		if err := r.fileHeader(); err != nil {
			return Tag{}, err
		}
		r.started = true
	}
	// The size of the previous tag is not checked: encoders get it wrong, and nothing depends on it.
	var h [prevSizeLen + tagHeaderLen]byte
	if n, err := io.ReadFull(r.src, h[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && n <= prevSizeLen {
			err = io.EOF
		}
		return Tag{}, err
	}
	r.offset += int64(len(h))
	head := h[prevSizeLen:]
	if head[0]&flagFilter != 0 {
		return Tag{}, &UnsupportedError{What: "encrypted tag"}
	}
	size := int(binary.BigEndian.Uint32(head[0:4]) & BodyMax)
	if size > r.bodyMax {
		return Tag{}, fmt.Errorf("tag of %d bytes, limit %d", size, r.bodyMax)
	}
	tag := Tag{
		Type: TagType(head[0] & 0x1f),
		Time: binary.BigEndian.Uint32(head[3:7])&0xffffff | uint32(head[7])<<24,
	}
	var err error
	tag.Body, err = r.body(size)
	return tag, err
}

// fileHeader reads what comes before the first size of a previous tag (FLV 10.1, E.2).
func (r *Reader) fileHeader() error {
	var h [fileHeaderLen]byte
	if _, err := io.ReadFull(r.src, h[:]); err != nil {
		return fmt.Errorf("file header: %w", noEOF(err))
	}
	if string(h[:3]) != "FLV" {
		return fmt.Errorf("file header begins with %q", h[:3])
	}
	offset := binary.BigEndian.Uint32(h[5:])
	if offset < fileHeaderLen || offset > dataOffsetMax {
		return fmt.Errorf("file header of %d bytes", offset)
	}
	_, err := r.src.Discard(int(offset) - fileHeaderLen)
	r.offset = int64(offset)
	return noEOF(err)
}

func (r *Reader) body(size int) ([]byte, error) {
	var b []byte
	for len(b) < size {
		n := len(b)
		step := min(size-n, max(n, growMin))
		b = slices.Grow(b, step)[:n+step]
		got, err := io.ReadFull(r.src, b[n:])
		r.offset += int64(got)
		if err != nil {
			return nil, fmt.Errorf("tag body: %w", noEOF(err))
		}
	}
	return b, nil
}

// noEOF makes an end in the middle of something what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
