package chunk

import (
	"fmt"
)

// Error says where in the byte stream, and on which chunk stream if that is known, reading failed, and why.
type Error struct {
	Offset      uint64
	ChunkStream uint32
	Err         error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("chunk: chunk stream %d at offset %d: %v", e.ChunkStream, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Parser puts messages together from bytes that it is given as they come. It has no buffer: besides the messages under
// way it keeps some 60 bytes for each chunk stream, and the beginning of a chunk's header.
type Parser struct {
	limits    Limits
	chunkSize int
	offset    uint64 // in the byte stream: what has been dealt with
	chunks    uint32 // chunks seen; wraps
	partial   int    // bytes held by messages that are partly received
	amples    int    // messages under way that are ample
	streams   []stream

	in   *stream // whose chunk is under way; nil between chunks
	want int     // bytes that are missing in it

	// Bytes taken that could not be dealt with yet: the beginning of a header; or what was looked at as an extended
	// timestamp and turned out to be payload, with what may follow that.
	kept int
	head [headerMax]byte

	// The peer leaves extended timestamps out of type 3 chunks that begin a message, or go on with one.
	bareBegin, bareContinue bool
}

// NewParser returns a Parser for the beginning of a byte stream.
func NewParser(limits Limits) *Parser {
	return &Parser{limits: limits.withDefaults(), chunkSize: DefaultChunkSize}
}

// SetLimits replaces the limits, for a peer that has earned more. Messages that are under way keep what they have.
func (p *Parser) SetLimits(limits Limits) { p.limits = limits.withDefaults() }

// Restrict replaces the limits for a peer that needs little from now on. It fails with [ErrLimit] if messages are under way that hold
// more than these allow: nobody knows when they will end.
func (p *Parser) Restrict(limits Limits) error {
	p.SetLimits(limits)
	if p.partial > p.limits.Partial {
		return fmt.Errorf("%d bytes in messages partly received: %w", p.partial, ErrLimit)
	}
	return nil
}

// Bytes returns how many bytes were taken, for acknowledgements.
func (p *Parser) Bytes() uint64 { return p.offset + uint64(p.kept) } //nolint:gosec // a length is not negative

// Parse takes n bytes off the front of b, which it does not keep. If a message is complete then, ok says so: call again
// with b[n:], even if that is empty. Else all of b was taken. A payload is exactly as long as its memory and belongs to
// the caller. The error is an [*Error], and final.
func (p *Parser) Parse(b []byte) (m Message, n int, ok bool, err error) { return p.parse(b, false) }

// parse is Parse; last says that nothing comes after b.
func (p *Parser) parse(b []byte, last bool) (m Message, n int, ok bool, err error) {
	for {
		if s := p.in; s != nil && p.want == 0 {
			p.in = nil
			if len(s.payload) == s.header.length {
				m, err = p.finish(s)
				return m, n, err == nil, err
			}
		}
		src := b[n:]
		if p.kept > 0 {
			src = p.head[:p.kept+copy(p.head[p.kept:], src)]
		}
		if len(src) == 0 {
			return Message{}, n, false, nil
		}
		var used int
		if p.in != nil {
			used, err = p.payload(src)
		} else {
			used, err = p.readHeader(src, last)
		}
		if err != nil {
			return Message{}, n, false, err
		}
		if used == 0 { // a header that is not all there
			p.kept = copy(p.head[:], src)
			return Message{}, len(b), false, nil
		}
		n += p.take(used)
	}
}

// take notes that the next bytes have been dealt with, and returns how many of them were not among those that were kept.
func (p *Parser) take(n int) int {
	p.offset += uint64(n) //nolint:gosec // a length is not negative
	fresh := n - p.kept
	if fresh >= 0 {
		p.kept = 0
		return fresh
	}
	p.kept = copy(p.head[:], p.head[n:p.kept])
	return 0
}

// fail returns the error for n bytes behind those that have been dealt with.
func (p *Parser) fail(chunkStream uint32, n int, err error) error {
	return &Error{Offset: p.offset + uint64(n), ChunkStream: chunkStream, Err: err} //nolint:gosec // not negative
}

// cut returns the error for when no more bytes come, because of err.
func (p *Parser) cut(err error) error {
	if p.in != nil {
		return p.fail(p.in.id, 0, err)
	}
	_, id, n := basicHeader(p.head[:p.kept])
	return p.fail(id, n, err)
}

// idle says that no message is partly received on any chunk stream, nor a chunk.
func (p *Parser) idle() bool {
	for i := range p.streams {
		if p.streams[i].open {
			return false
		}
	}
	return p.kept == 0
}

// payload takes what b has of a chunk's share of a message, into memory that grows as it fills.
func (p *Parser) payload(b []byte) (n int, err error) {
	for p.want > 0 && n < len(b) {
		room, err := p.room()
		if err != nil {
			return n, p.fail(p.in.id, n, err)
		}
		some := copy(room, b[n:])
		p.fill(some)
		n += some
	}
	return n, nil
}

// room returns the memory that the next bytes of the chunk under way belong into: not always as much as it misses.
func (p *Parser) room() ([]byte, error) {
	s := p.in
	have := len(s.payload)
	if have == cap(s.payload) {
		if err := p.grow(s); err != nil {
			return nil, err
		}
	}
	return s.payload[have:min(have+p.want, cap(s.payload))], nil
}

// fill notes that n bytes of the room have been filled.
func (p *Parser) fill(n int) {
	s := p.in
	s.payload = s.payload[:len(s.payload)+n]
	p.want -= n
}

// grow gives the message under way memory for more, exactly sized at the last.
func (p *Parser) grow(s *stream) error {
	least := smallAlloc
	if cap(s.payload) == 0 && s.header.length > smallAlloc && p.amples < amplesMax {
		least, s.ample = firstAlloc, true
		p.amples++
	}
	size := min(s.header.length, max(least, growthFactor*cap(s.payload)))
	if p.partial += size - cap(s.payload); p.partial > p.limits.Partial {
		return fmt.Errorf("more than %d bytes in messages partly received: %w", p.limits.Partial, ErrLimit)
	}
	payload := make([]byte, len(s.payload), size)
	copy(payload, s.payload)
	s.payload = payload
	return nil
}

// finish ends the message on s, and does what it says if it is meant for the Parser.
func (p *Parser) finish(s *stream) (Message, error) {
	m := Message{Type: s.header.kind, ChunkStream: s.id, Stream: s.header.stream, Time: s.time, Payload: s.payload}
	p.drop(s)
	if err := p.obey(m); err != nil {
		return Message{}, p.fail(m.ChunkStream, 0, err)
	}
	return m, nil
}

// obey does what a message says that is meant for the Parser.
func (p *Parser) obey(m Message) error {
	switch m.Type {
	case TypeSetChunkSize:
		size, err := m.Uint32()
		if err != nil {
			return err
		}
		if size == 0 || size >= 1<<31 {
			return fmt.Errorf("chunk size %d: %w", size, ErrPayload)
		}
		p.chunkSize = int(min(size, ChunkSizeMax))
	case TypeAbort:
		id, err := m.Uint32()
		if err != nil {
			return err
		}
		if s := p.find(id); s != nil {
			p.drop(s)
		}
	}
	return nil
}
