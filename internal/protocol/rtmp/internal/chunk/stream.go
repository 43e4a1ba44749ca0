package chunk

import "fmt"

// stream is what is remembered of a chunk stream: the last header, and the message under way.
type stream struct {
	id       uint32
	lastUsed uint32 // in chunks; wraps

	header header
	time   uint32 // of the message

	open    bool // a message is under way
	ample   bool // it was given more than smallAlloc at first
	payload []byte
}

// find returns the chunk stream, or nil if it is not known. There are few, and few are used: a search beats a map.
func (p *Parser) find(id uint32) *stream {
	for i := range p.streams {
		if p.streams[i].id == id {
			return &p.streams[i]
		}
	}
	return nil
}

// add returns a place for a new chunk stream, that of the longest idle one if there are too many. Pointers to others are
// stale then.
func (p *Parser) add(id uint32) (*stream, error) {
	if len(p.streams) < p.limits.Streams {
		p.streams = append(p.streams, stream{id: id})
		return &p.streams[len(p.streams)-1], nil
	}
	var oldest *stream
	for i := range p.streams {
		if s := &p.streams[i]; !s.open && (oldest == nil || p.chunks-s.lastUsed > p.chunks-oldest.lastUsed) {
			oldest = s
		}
	}
	if oldest == nil {
		return nil, fmt.Errorf("more than %d chunk streams with messages under way: %w", p.limits.Streams, ErrLimit)
	}
	*oldest = stream{id: id}
	return oldest, nil
}

// drop ends the message that is under way.
func (p *Parser) drop(s *stream) {
	p.partial -= cap(s.payload)
	if s.ample {
		p.amples--
	}
	s.payload, s.open, s.ample = nil, false, false
}
