package chunk

import "io"

// Resume returns a Reader that goes on where a Parser stopped: the inverse of Detach. rest are bytes that came from src and
// have not been parsed.
func Resume(src io.Reader, p *Parser, rest []byte, limits Limits) *Reader {
	p.SetLimits(limits)
	return &Reader{src: src, parser: p, rest: rest}
}
