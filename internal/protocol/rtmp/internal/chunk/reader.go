package chunk

import (
	"errors"
	"io"
)

// Reader reads messages from a byte stream: a [Parser] with a read buffer.
type Reader struct {
	src    io.Reader
	parser *Parser
	buf    []byte // as long as the limits say, from the first read on
	rest   []byte // of buf: what has not been parsed
	failed error  // what the source said along with its last bytes
}

// emptyReadsMax is how often in a row a source may return neither bytes nor an error, as in package bufio.
const emptyReadsMax = 100

// NewReader returns a Reader that reads from src.
func NewReader(src io.Reader, limits Limits) *Reader {
	return &Reader{src: src, parser: NewParser(limits)}
}

// SetLimits replaces the limits, for a peer that has earned more. Messages that are under way keep what they have.
func (r *Reader) SetLimits(limits Limits) { r.parser.SetLimits(limits) }

// Bytes returns how many bytes were received, for acknowledgements. Bytes before the first chunk are not counted.
func (r *Reader) Bytes() uint64 { return r.parser.Bytes() + uint64(len(r.rest)) }

// Detach returns what reads the rest of the byte stream as bytes come: the Parser, and those that were read ahead, which
// it is to be given first. The Reader is of no more use.
func (r *Reader) Detach() (p *Parser, rest []byte) {
	p, rest = r.parser, r.rest
	if p.in == nil { // it may live long, and there may be many
		p.streams = append(make([]stream, 0, len(p.streams)), p.streams...)
	}
	*r = Reader{}
	return p, rest
}

// Read returns the next message. Its payload is exactly as long as its memory and belongs to the caller. The error is
// io.EOF, as it is, if the stream ends where no message is under way; else an [*Error].
//
// If it wraps one of the source that passes, such as a deadline's, Read may be called again and goes on where it was.
func (r *Reader) Read() (Message, error) {
	for {
		m, n, ok, err := r.parser.Parse(r.rest)
		r.rest = r.rest[n:]
		if ok || err != nil {
			return m, err
		}
		if err = r.more(); errors.Is(err, io.EOF) {
			return r.end()
		}
		if err != nil {
			return Message{}, r.parser.cut(err)
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
	if n := r.parser.limits.Buffer; len(r.buf) != n {
		r.buf = make([]byte, n)
	}
	room, err := r.room()
	if err != nil {
		return err
	}
	into := r.buf
	if room != nil {
		into = room
	}
	n, err := r.read(into)
	if n > 0 {
		r.failed, err = err, nil
	}
	if room != nil {
		r.parser.fill(n)
		r.parser.take(n)
	} else {
		r.rest = r.buf[:n]
	}
	return err
}

// room returns memory of the message under way to read into, if its chunk has more to come than the buffer takes: that
// saves a copy. Else it is nil.
func (r *Reader) room() ([]byte, error) {
	if r.parser.in == nil || r.parser.want < len(r.buf) {
		return nil, nil
	}
	room, err := r.parser.room()
	if len(room) < len(r.buf) {
		room = nil // at the end of what the message has now: larger reads are better
	}
	return room, err
}

// read is the source's, without reads that bring nothing.
func (r *Reader) read(b []byte) (n int, err error) {
	for range emptyReadsMax {
		if n, err = r.src.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// end returns what can still be had at the end of the stream: a message whose last bytes might have been a header's.
func (r *Reader) end() (Message, error) {
	m, _, ok, err := r.parser.parse(nil, true)
	switch {
	case ok || err != nil:
		return m, err
	case r.parser.idle():
		return Message{}, io.EOF
	default:
		return Message{}, r.parser.cut(io.ErrUnexpectedEOF)
	}
}
