package wire

import (
	"errors"
	"io"
)

// Reader reads items from a byte stream: a [Parser] with a read buffer.
type Reader struct {
	src    io.Reader
	parser *Parser
	size   int
	buf    []byte // of that size, from the first read on
	rest   []byte // of buf: what has not been parsed
	failed error  // what the source said along with its last bytes
}

// emptyReadsMax is how often in a row a source may return neither bytes nor an error, as in package bufio.
const emptyReadsMax = 100

// NewReader returns a Reader that reads ahead by up to size bytes; 0 means 16 KiB.
func NewReader(src io.Reader, l Limits, size int) *Reader {
	return Resume(src, NewParser(l), nil, l, size)
}

// Resume returns a Reader that goes on where a Parser stopped: the inverse of Detach. ahead are bytes that came from src
// and have not been parsed.
func Resume(src io.Reader, p *Parser, ahead []byte, l Limits, size int) *Reader {
	r := &Reader{src: src, parser: p, rest: ahead}
	r.SetLimits(l, size)
	return r
}

// SetLimits replaces the limits and the size of the buffer, for a peer that has earned more or needs less.
func (r *Reader) SetLimits(l Limits, size int) {
	if size <= 0 {
		size = bufferSize
	}
	r.parser.SetLimits(l)
	r.size = max(size, bufferMin)
}

// Bytes returns how many bytes were received.
func (r *Reader) Bytes() uint64 { return r.parser.Bytes() + uint64(len(r.rest)) }

// Skipped returns how many bytes belonged to no message.
func (r *Reader) Skipped() uint64 { return r.parser.Skipped() }

// Detach returns what reads the rest of the byte stream as bytes come: the Parser, and those that were read ahead, which
// it is to be given first. The Reader is of no more use.
func (r *Reader) Detach() (p *Parser, ahead []byte) {
	p, ahead = r.parser, r.rest
	*r = Reader{}
	p.compact()
	return p, ahead
}

// Read returns the next item. A frame that lay whole in the buffer was not copied; it is lent until the next call. The error is io.EOF, as it
// is, if the stream ends between two messages; else an [*Error].
//
// If it wraps one of the source that passes, such as a deadline's, Read may be called again and goes on where it was.
func (r *Reader) Read() (Item, error) {
	for {
		it, n, ok, err := r.parser.Parse(r.rest)
		r.rest = r.rest[n:]
		if ok || err != nil {
			return it, err
		}
		err = r.more()
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return Item{}, r.parser.fail(nil, err)
		case r.parser.idle():
			return Item{}, io.EOF
		default:
			return Item{}, r.parser.fail(nil, io.ErrUnexpectedEOF)
		}
	}
}

// more reads from the source once. It is called when all that was read has been parsed.
func (r *Reader) more() error {
	if r.failed != nil {
		err := r.failed
		r.failed = nil
		return err
	}
	if len(r.buf) != r.size {
		r.buf = make([]byte, r.size)
	}
	for range emptyReadsMax {
		n, err := r.src.Read(r.buf)
		if n > 0 {
			r.rest, r.failed = r.buf[:n], err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
