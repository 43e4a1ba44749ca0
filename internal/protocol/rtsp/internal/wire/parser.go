package wire

import (
	"bytes"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Item is one thing that a peer sent: exactly one of Request, Response and Frame is set.
type Item struct {
	Request  *Request
	Response *base.Response

	Channel byte   // of the frame
	Frame   []byte // not nil, but maybe empty; lent until the next call
}

// Parser takes apart a byte stream that it is given as it comes, in pieces of any length. It holds the beginning of
// one message at most.
type Parser struct {
	limits  Limits
	offset  uint64 // in the byte stream: what has been dealt with
	skipped uint64 // bytes that belonged to no message

	kept []byte // bytes taken that could not be dealt with yet
	from int    // where they begin in kept: what is before may be lent
	seen int    // of the message under way: bytes in which its head does not end

	strays int   // bytes skipped in a row, which are no body
	blanks int   // bytes of empty lines in a row
	owed   int   // bytes of a body that nobody wants, and that perhaps never come
	body   *Item // whose body is under way
	length int   // of that body
}

// NewParser returns a Parser for the beginning of a byte stream.
func NewParser(l Limits) *Parser { return &Parser{limits: l.withDefaults()} }

// SetLimits replaces the limits, for a peer that has earned more or needs less. A body under way keeps those it began with.
func (p *Parser) SetLimits(l Limits) {
	p.limits = l.withDefaults()
}

// Bytes returns how many bytes were taken.
func (p *Parser) Bytes() uint64 { return p.offset + uint64(p.pending()) } //nolint:gosec // a length is not negative

// Skipped returns how many bytes belonged to no message: empty lines, junk, and bodies that were not wanted.
func (p *Parser) Skipped() uint64 { return p.skipped }

// pending returns how many bytes were taken and not dealt with.
func (p *Parser) pending() int { return len(p.kept) - p.from }

// idle says that the byte stream may end here.
func (p *Parser) idle() bool { return p.pending() == 0 && p.body == nil }

// Parse takes n bytes off the front of b, which it does not keep. If an item is complete then, ok says so: call again with
// b[n:], even if that is empty. Else all of b was taken. The error is an [*Error], and final.
func (p *Parser) Parse(b []byte) (it Item, n int, ok bool, err error) {
	for {
		w := b[n:]
		kept := p.pending() > 0
		if kept {
			w = p.kept[p.from:]
		}
		var used, need int
		it, used, need, ok, err = p.step(w)
		if err != nil {
			return Item{}, n, false, err
		}
		p.offset += uint64(used) //nolint:gosec // a length is not negative
		switch {
		case used > 0 && kept:
			p.from += used
		case used > 0:
			n += used
		case !ok && n == len(b):
			return Item{}, n, false, nil
		case !ok && kept:
			n += p.keep(b[n:], need-len(w))
		case !ok:
			n += p.keep(b[n:], len(b)-n)
		}
		if ok {
			return it, n, true, nil
		}
	}
}

// keep takes bytes of b, up to the number that is needed. If that is not known they end with a line, so that nothing behind a
// message is kept with it.
func (p *Parser) keep(b []byte, need int) int {
	if need <= 0 {
		need = len(b)
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			need = i + 1
		}
	}
	b = b[:min(need, len(b))]
	if p.pending() == 0 {
		if c := cap(p.kept); c > keepMin && len(p.kept) < c/8 { // made for something long that was the only one
			p.kept = nil
		}
		p.kept, p.from = p.kept[:0], 0
	}
	p.kept = append(p.kept, b...)
	return len(b)
}

// step deals with w, which is where the last step ended. Either it used some bytes, or has an item, or needs w to be of
// a certain length; if that is 0 it needs another line.
func (p *Parser) step(w []byte) (it Item, used, need int, ok bool, err error) {
	if p.body != nil {
		return p.stepBody(w)
	}
	look := begins
	if p.strays > 0 || p.owed > 0 {
		look = resumes
	}
	switch look(w) {
	case frame:
		return p.stepFrame(w)
	case message:
		return p.stepHead(w)
	case stray:
		return Item{}, 1, 0, false, p.skip(w[0])
	case undecided:
	}
	return Item{}, 0, len(w) + 1, false, nil
}

// skip notes that a byte means nothing. Empty lines before a message do not make what follows doubtful (RFC 2326, 4.1).
func (p *Parser) skip(c byte) error {
	p.skipped++
	switch {
	case p.owed > 0:
		p.owed--
		return nil
	case p.strays == 0 && (c == '\r' || c == '\n'):
		p.blanks++
	default:
		p.strays++
	}
	if p.strays > p.limits.Stray || p.blanks > p.limits.Stray {
		return p.fail(nil, ErrStray)
	}
	return nil
}

// found notes that an item begins: the byte stream makes sense again.
func (p *Parser) found() { p.strays, p.blanks, p.owed, p.seen = 0, 0, 0, 0 }

// stepFrame deals with an interleaved frame.
func (p *Parser) stepFrame(w []byte) (it Item, used, need int, ok bool, err error) {
	if len(w) < frameHead {
		return Item{}, 0, frameHead, false, nil
	}
	end := frameHead + int(w[2])<<8 + int(w[3])
	if len(w) < end {
		return Item{}, 0, end, false, nil
	}
	p.found()
	return Item{Channel: w[1], Frame: w[frameHead:end:end]}, end, 0, true, nil
}

// stepHead deals with the head of a request or response.
func (p *Parser) stepHead(w []byte) (it Item, used, need int, ok bool, err error) {
	end := p.headEnd(w[:min(len(w), p.limits.Head)])
	switch {
	case end == 0 && len(w) >= p.limits.Head:
		return Item{}, 0, 0, false, p.fail(nil, ErrHead)
	case end == 0:
		return Item{}, 0, 0, false, nil
	}
	p.found()
	it, err = parseHead(string(w[:end]))
	if err != nil {
		return Item{}, 0, 0, false, p.fail(nil, err)
	}
	length, wanted := bodyOf(it)
	switch {
	case length > p.limits.Body:
		return Item{}, 0, 0, false, p.fail(it.Request, ErrBody)
	case length > 0 && wanted:
		head := it
		p.body, p.length = &head, length
		return Item{}, end, 0, false, nil
	default:
		p.owed = length
		return it, end, 0, true, nil
	}
}

// headEnd returns where the head ends that w begins with, behind an empty line; 0 if that is not in w.
func (p *Parser) headEnd(w []byte) int {
	for p.seen < len(w) {
		i := bytes.IndexByte(w[p.seen:], '\n')
		if i < 0 {
			return 0 // it is looked at again: seen stays where a line begins
		}
		line := w[p.seen : p.seen+i]
		p.seen += i + 1
		if len(bytes.TrimRight(line, "\r")) == 0 { // with a blank it would go on with the line before
			return p.seen
		}
	}
	return 0
}

// stepBody deals with a body, if there is one: some promise bodies that they do not send.
func (p *Parser) stepBody(w []byte) (it Item, used, need int, ok bool, err error) {
	it = *p.body
	switch what := resumes(w[:min(len(w), p.length)]); {
	case it.Request != nil && (what == frame || what == message):
		p.body = nil
		return it, 0, 0, true, nil
	case len(w) < p.length:
		return Item{}, 0, p.length, false, nil
	}
	body := bytes.Clone(w[:p.length])
	if it.Request != nil {
		it.Request.Body = body
	} else {
		it.Response.Body = body
	}
	p.body = nil
	return it, p.length, 0, true, nil
}

// fail returns the error for where the last step ended.
func (p *Parser) fail(r *Request, err error) error {
	return &Error{Offset: p.offset, Request: r, Err: err}
}

// compact lets go of memory that is not needed to go on: what was lent is given back.
func (p *Parser) compact() {
	p.kept, p.from = append([]byte(nil), p.kept[p.from:]...), 0
}
