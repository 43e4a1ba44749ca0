package chunk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits bounds what a peer may cost. A field that is 0 means its default.
type Limits struct {
	Message int // bytes of a message; 8 MiB
	Partial int // bytes held for messages that are partly received, at least Message; 16 MiB
	Streams int // chunk streams remembered; 64
	Buffer  int // bytes read ahead; 16 KiB
}

// Defaults of [Limits].
const (
	DefaultMessage = 8 << 20
	DefaultPartial = 16 << 20
	DefaultStreams = 64
	DefaultBuffer  = 16 << 10
)

const (
	bufferMin    = 256      // room for any chunk header
	firstAlloc   = 64 << 10 // memory that a header alone is worth
	amplesMax    = 2        // messages under way that this goes for at a time: audio and video take turns
	smallAlloc   = 4 << 10  // memory that a header is worth beyond these
	growthFactor = 4        // memory that a byte received is worth
)

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Message, DefaultMessage)
	set(&l.Partial, DefaultPartial)
	set(&l.Streams, DefaultStreams)
	set(&l.Buffer, DefaultBuffer)
	l.Partial = max(l.Partial, l.Message)
	l.Buffer = max(l.Buffer, bufferMin)
	return l
}

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

// Reader reads messages from a byte stream.
type Reader struct {
	in        source
	buf       *bufio.Reader
	limits    Limits
	chunkSize int
	chunks    uint64 // chunks seen
	partial   int    // bytes held by messages that are partly received
	amples    int    // messages under way that are ample
	streams   []stream

	// The peer leaves extended timestamps out of type 3 chunks that begin a message, or go on with one.
	bareBegin, bareContinue bool
}

// source counts what comes from the peer.
type source struct {
	r io.Reader
	n uint64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += uint64(n)
	return n, err
}

// stream is what is remembered of a chunk stream: the last header, and the message under way.
type stream struct {
	id       uint32
	lastUsed uint64 // in chunks

	header   header
	time     uint32
	extended bool // the header had an extended timestamp

	open    bool // a message is under way
	ample   bool // it was given more than smallAlloc at first
	payload []byte
}

// header is a message header, with those fields from earlier ones that it does not have itself.
type header struct {
	time   uint32 // timestamp (type 0) or delta (types 1 and 2)
	length int
	kind   uint8
	stream uint32
}

// NewReader returns a Reader that reads from r.
func NewReader(r io.Reader, limits Limits) *Reader {
	reader := &Reader{in: source{r: r}, limits: limits.withDefaults(), chunkSize: DefaultChunkSize}
	reader.buf = bufio.NewReaderSize(&reader.in, reader.limits.Buffer)
	return reader
}

// SetLimits replaces the limits, for a peer that has earned more; the buffer stays. Messages that are under way keep
// what they have.
func (r *Reader) SetLimits(limits Limits) { r.limits = limits.withDefaults() }

// Bytes returns how many bytes were received, for acknowledgements. Bytes before the first chunk are not counted.
func (r *Reader) Bytes() uint64 { return r.in.n }

// Read returns the next message. Its payload is exactly as long as its memory and belongs to the caller. The error is
// io.EOF, as it is, if the stream ends where no message is under way; else an [*Error].
func (r *Reader) Read() (Message, error) {
	for {
		s, err := r.readHeader()
		if err != nil {
			return Message{}, err
		}
		if err := r.readPayload(s); err != nil {
			return Message{}, r.fail(s.id, err)
		}
		if len(s.payload) < s.header.length {
			continue
		}
		m := Message{Type: s.header.kind, ChunkStream: s.id, Stream: s.header.stream, Time: s.time, Payload: s.payload}
		r.drop(s)
		if err := r.obey(m); err != nil {
			return Message{}, r.fail(m.ChunkStream, err)
		}
		return m, nil
	}
}

func (r *Reader) fail(chunkStream uint32, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Offset: r.in.n - uint64(r.buf.Buffered()), ChunkStream: chunkStream, Err: err}
}

// obey does what a message says that is meant for the Reader.
func (r *Reader) obey(m Message) error {
	switch m.Type {
	case TypeSetChunkSize:
		size, err := m.Uint32()
		if err != nil {
			return err
		}
		if size == 0 || size >= 1<<31 {
			return fmt.Errorf("chunk size %d: %w", size, ErrPayload)
		}
		r.chunkSize = int(min(size, ChunkSizeMax))
	case TypeAbort:
		id, err := m.Uint32()
		if err != nil {
			return err
		}
		if s := r.find(id); s != nil {
			r.drop(s)
		}
	}
	return nil
}

// drop ends the message that is under way.
func (r *Reader) drop(s *stream) {
	r.partial -= cap(s.payload)
	if s.ample {
		r.amples--
	}
	s.payload, s.open, s.ample = nil, false, false
}

// readPayload reads one chunk's share of a message, into memory that grows as it fills.
func (r *Reader) readPayload(s *stream) error {
	for want := min(r.chunkSize, s.header.length-len(s.payload)); want > 0; {
		have := len(s.payload)
		if have == cap(s.payload) {
			if err := r.grow(s); err != nil {
				return err
			}
		}
		n, err := io.ReadFull(r.buf, s.payload[have:min(have+want, cap(s.payload))])
		s.payload = s.payload[:have+n]
		if err != nil {
			return err
		}
		want -= n
	}
	return nil
}

// grow gives the message under way memory for more, exactly sized at the last.
func (r *Reader) grow(s *stream) error {
	least := smallAlloc
	if cap(s.payload) == 0 && s.header.length > smallAlloc && r.amples < amplesMax {
		least, s.ample = firstAlloc, true
		r.amples++
	}
	size := min(s.header.length, max(least, growthFactor*cap(s.payload)))
	if r.partial += size - cap(s.payload); r.partial > r.limits.Partial {
		return fmt.Errorf("more than %d bytes in messages partly received: %w", r.limits.Partial, ErrLimit)
	}
	payload := make([]byte, len(s.payload), size)
	copy(payload, s.payload)
	s.payload = payload
	return nil
}

// find returns the chunk stream, or nil if it is not known. There are few, and few are used: a search beats a map.
func (r *Reader) find(id uint32) *stream {
	for i := range r.streams {
		if r.streams[i].id == id {
			return &r.streams[i]
		}
	}
	return nil
}

// add returns a place for a new chunk stream, that of the longest idle one if there are too many.
func (r *Reader) add(id uint32) (*stream, error) {
	if len(r.streams) < r.limits.Streams {
		r.streams = append(r.streams, stream{id: id})
		return &r.streams[len(r.streams)-1], nil
	}
	var oldest *stream
	for i := range r.streams {
		if s := &r.streams[i]; !s.open && (oldest == nil || s.lastUsed < oldest.lastUsed) {
			oldest = s
		}
	}
	if oldest == nil {
		return nil, fmt.Errorf("more than %d chunk streams with messages under way: %w", r.limits.Streams, ErrLimit)
	}
	*oldest = stream{id: id}
	return oldest, nil
}

// underWay reports whether a message is partly received on any chunk stream.
func (r *Reader) underWay() bool {
	return slices.ContainsFunc(r.streams, func(s stream) bool { return s.open })
}

// peek is bufio's, with the error of a read that ended early.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.buf.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) || len(b) == n {
		return b, err
	}
	return b, io.ErrUnexpectedEOF
}

// skip takes n bytes that were peeked at.
func (r *Reader) skip(n int) { _, _ = r.buf.Discard(n) }

// uint32 takes a number of 4 bytes.
func (r *Reader) uint32() (uint32, error) {
	b, err := r.peek(extendedSize)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	r.skip(extendedSize)
	return n, nil
}
