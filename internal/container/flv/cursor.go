package flv

// cursor reads bytes from the front. Reading past the end yields zeros and sets short, once and for all, so that a
// row of fields needs one check. A loop must check short, or consume bytes that are there, in every round.
type cursor struct {
	b     []byte
	at    int
	short bool
}

// uint reads a big-endian number of n bytes, at most 4.
func (c *cursor) uint(n int) uint32 {
	var v uint32
	for _, b := range c.take(n) {
		v = v<<8 | uint32(b)
	}
	return v
}

// take returns the next n bytes, not a copy.
func (c *cursor) take(n int) []byte {
	if c.short || n < 0 || n > len(c.b)-c.at {
		c.short = true
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at : c.at]
}

// int24 reads a signed number of 24 bits.
func (c *cursor) int24() int32 { return int32(c.uint(3)<<8) >> 8 }

// rest returns what has not been read.
func (c *cursor) rest() []byte { return c.b[c.at:len(c.b):len(c.b)] }
