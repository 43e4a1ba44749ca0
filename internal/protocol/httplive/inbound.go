package httplive

import "fmt"

// inbound is what is known of the frame that a viewer is sending (RFC 6455, 5.2). It takes the bytes in whatever pieces they come. The
// payload of all but control frames is thrown away as it comes.
type inbound struct {
	head    [clientHeaderMax]byte
	have    uint8  // bytes of the head that are there
	left    uint32 // bytes of the payload that are not there yet
	payload []byte // what is there of a control frame's
}

// take takes the next piece. each is called for every frame as soon as it is complete, with the payload if it is a
// control frame. After an error the rest cannot be understood.
func (f *inbound) take(b []byte, each func(op byte, payload []byte) error) error {
	for len(b) > 0 {
		if int(f.have) < f.headLen() {
			f.head[f.have] = b[0]
			f.have++
			b = b[1:]
			if err := f.check(); err != nil {
				return err
			}
		} else {
			n := min(len(b), int(f.left))
			if f.op() >= opClose {
				f.payload = append(f.payload, b[:n]...)
			}
			f.left -= uint32(n) //nolint:gosec // it is at most left
			b = b[n:]
		}
		if int(f.have) < f.headLen() || f.left > 0 {
			continue
		}
		for i := range f.payload {
			f.payload[i] ^= f.head[f.headLen()-maskBytes+i&3]
		}
		op, payload := f.op(), f.payload
		*f = inbound{}
		if err := each(op, payload); err != nil {
			return err
		}
	}
	return nil
}

func (f *inbound) op() byte { return f.head[0] & 0x0f }

// headLen is how long the head will be, as far as that is known.
func (f *inbound) headLen() int {
	if f.have < 2 {
		return 2 + maskBytes
	}
	return 2 + lengthBytes(f.head[1]) + maskBytes
}

// lengthBytes is how many bytes a length takes up that the head's second byte has no room for.
func lengthBytes(second byte) int {
	switch second &^ maskBit {
	case 126:
		return 2
	case 127:
		return 8
	}
	return 0
}

// check refuses a head as soon as it can be told that it is wrong, and notes the payload's length.
func (f *inbound) check() error {
	if f.have == 2 {
		if err := f.checkBegin(); err != nil {
			return err
		}
	}
	extra := lengthBytes(f.head[1])
	if f.have < 2 || int(f.have) != 2+extra {
		return nil
	}
	n := uint64(f.head[1] &^ maskBit)
	if extra > 0 {
		n = 0
		for _, b := range f.head[2:f.have] {
			n = n<<8 | uint64(b)
		}
	}
	if n > inboundMax {
		return fmt.Errorf("%w: %d bytes, at most %d", errFrame, n, inboundMax)
	}
	f.left = uint32(n)
	return nil
}

// checkBegin looks at the first two bytes.
func (f *inbound) checkBegin() error {
	first, second, op := f.head[0], f.head[1], f.op()
	switch {
	case first&0x70 != 0:
		return fmt.Errorf("%w: reserved bits %#x", errFrame, first)
	case second&maskBit == 0:
		return fmt.Errorf("%w: not masked", errFrame)
	case op > opBinary && op < opClose || op > opPong:
		return fmt.Errorf("%w: opcode %#x", errFrame, op)
	case op >= opClose && (second&^maskBit > controlMax || first&finBit == 0):
		return fmt.Errorf("%w: control frame that is long or in pieces", errFrame)
	}
	return nil
}
