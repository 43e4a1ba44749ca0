package hls

import (
	"errors"
	"io"
)

// pieces is a body that lies in several pieces. It implements io.ReadSeeker.
type pieces struct {
	body   [][]byte
	at     int64
	read   int
	before func(n int) // is told before so many bytes are read
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	from := p.at
	for _, piece := range p.body {
		if from >= int64(len(piece)) {
			from -= int64(len(piece))
			continue
		}
		n := min(len(b), len(piece)-int(from))
		p.before(n)
		copy(b, piece[from:from+int64(n)])
		p.at += int64(n)
		p.read += n
		return n, nil
	}
	return 0, io.EOF
}

// Seek implements io.Seeker.
func (p *pieces) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		for _, piece := range p.body {
			offset += int64(len(piece))
		}
	}
	if offset < 0 {
		return 0, errors.New("a place before the begin")
	}
	p.at = offset
	return offset, nil
}
