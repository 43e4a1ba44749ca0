package fmp4

import (
	"errors"
	"fmt"
)

var errShort = errors.New("cut short")

// cursor reads big-endian numbers off the front of b. At the end it returns zeros and notes that it was short.
type cursor struct {
	b     []byte
	at    int
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b)-c.at {
		c.short, c.at = true, len(c.b)
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at : c.at]
}

// uint reads a number of up to 8 bytes.
func (c *cursor) uint(bytes int) (v uint64) {
	for _, b := range c.take(bytes) {
		v = v<<8 | uint64(b)
	}
	return v
}

// if32 reads a number of 32 bits if the flag is set; else it is def.
func (c *cursor) if32(set bool, def uint32) uint32 {
	if !set {
		return def
	}
	return uint32(c.uint(4)) //nolint:gosec // 32 bits
}

// leb128 reads a number of up to 8 bytes (AV1 bitstream, 4.10.5).
func (c *cursor) leb128() uint64 {
	var v uint64
	for i := range 8 {
		b := c.uint(1)
		v |= b & 0x7f << (7 * i)
		if b&0x80 == 0 {
			return v
		}
	}
	c.short = true
	return 0
}

// walk calls f for each box in b, which are all there.
func walk(b []byte, f func(typ string, body []byte) error) error {
	for c := (cursor{b: b}); c.at < len(b); {
		size := c.uint(4)
		typ := string(c.take(4))
		header := uint64(boxHeader)
		if size == 1 {
			size = c.uint(8)
			header += 8
		}
		if c.short || size < header || size-header > uint64(len(b)-c.at) {
			return fmt.Errorf("box %q of %d bytes: %w", typ, size, errShort)
		}
		if err := f(typ, c.take(int(size-header))); err != nil { //nolint:gosec // within b
			return fmt.Errorf("%s: %w", typ, err)
		}
	}
	return nil
}

// child returns the body of the first box of a type in b.
func child(b []byte, typ string) (body []byte, err error) {
	err = walk(b, func(t string, c []byte) error {
		if body == nil && t == typ {
			body = c
		}
		return nil
	})
	if err == nil && body == nil {
		err = fmt.Errorf("no %s", typ)
	}
	return body, err
}

// descend returns the body of a box that lies in others.
func descend(b []byte, path ...string) ([]byte, error) {
	var err error
	for _, typ := range path {
		if b, err = child(b, typ); err != nil {
			return nil, err
		}
	}
	return b, nil
}
