package httplive

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// heard is a frame that a viewer sent.
type heard struct {
	op      byte
	payload string
}

// takeAll takes pieces, one after the other, as far as they can be understood.
func takeAll(pieces ...[]byte) (in inbound, frames []heard, err error) {
	for _, b := range pieces {
		b = bytes.Clone(b) // it is lent
		err = in.take(b, func(op byte, payload []byte) error {
			frames = append(frames, heard{op, string(payload)})
			return nil
		})
		clear(b)
		if err != nil {
			break
		}
	}
	return in, frames, err
}

func TestInboundPieces(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 300)
	all := slices.Concat(
		masked(finBit|opPing, []byte("hello")), masked(opText, long), masked(finBit|opPing, nil),
		masked(finBit|opContinuation, nil), masked(finBit|opPong, bytes.Repeat([]byte("y"), controlMax)),
		[]byte{finBit | opBinary, maskBit | 127, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6}, masked(finBit|opClose, []byte{3, 0xe8}),
	)
	want := []heard{
		{opPing, "hello"},
		{opText, ""},
		{opPing, ""},
		{opContinuation, ""},
		{opPong, string(bytes.Repeat([]byte("y"), controlMax))},
		{opBinary, ""},
		{opClose, "\x03\xe8"},
	}
	check := func(pieces ...[]byte) {
		t.Helper()
		in, got, err := takeAll(pieces...)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d and more: %q, %v", len(pieces[0]), got, err)
		}
		if in.have != 0 || in.left != 0 || in.payload != nil {
			t.Errorf("something is kept between frames: %+v", in)
		}
	}
	check(all)
	for i := range all {
		check(all[:i], all[i:])
	}
	check(slices.Collect(slices.Chunk(all, 1))...)
}

// What cannot be right is refused at the first byte that says so, and what is announced costs nothing.
func TestInboundRefuses(t *testing.T) {
	for _, b := range [][]byte{
		{finBit | 0x40 | opText, maskBit},
		{finBit | opText, 5},
		{finBit | 3, maskBit},
		{finBit | 0xb, maskBit},
		{opPing, maskBit},
		{finBit | opPing, maskBit | 126},
		{finBit | opText, maskBit | 127, 0, 0, 0, 0, 0, 1, 0, 1},
		{finBit | opText, maskBit | 127, 255, 255, 255, 255, 255, 255, 255, 255},
	} {
		if _, _, err := takeAll(slices.Collect(slices.Chunk(b[:len(b)-1], 1))...); err != nil {
			t.Errorf("% x: %v before the last byte", b, err)
		}
		if _, frames, err := takeAll(slices.Collect(slices.Chunk(b, 1))...); !errors.Is(err, errFrame) || len(frames) > 0 {
			t.Errorf("% x: %v, %v", b, frames, err)
		}
	}
}

// FuzzInbound wants the same frames and the same error however the bytes are cut, and payloads within the limit.
func FuzzInbound(f *testing.F) {
	f.Add(masked(finBit|opPing, []byte("hello")), uint16(3))
	f.Add(masked(opText, bytes.Repeat([]byte("x"), 300)), uint16(7))
	f.Add([]byte{finBit | opBinary, maskBit | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, uint16(9))
	f.Add([]byte{finBit | opClose, maskBit, 1, 2, 3, 4}, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		whole, frames, err := takeAll(b)
		if err != nil && !errors.Is(err, errFrame) {
			t.Fatal(err)
		}
		for _, h := range frames {
			if len(h.payload) > controlMax || h.op < opClose && h.payload != "" {
				t.Fatalf("opcode %d with %d bytes", h.op, len(h.payload))
			}
			_, again, aerr := takeAll(masked(finBit|h.op, []byte(h.payload)))
			if aerr != nil || !slices.Equal(again, []heard{h}) {
				t.Fatalf("%v becomes %v, %v", h, again, aerr)
			}
		}
		if len(whole.payload) > controlMax || int(whole.left) > inboundMax {
			t.Fatalf("%+v", whole)
		}
		cut := min(int(at), len(b))
		for _, pieces := range [][][]byte{{b[:cut], b[cut:]}, slices.Collect(slices.Chunk(b, 1))} {
			_, got, gerr := takeAll(pieces...)
			if !slices.Equal(got, frames) || (gerr == nil) != (err == nil) || err != nil && gerr.Error() != err.Error() {
				t.Fatalf("in pieces: %v, %v; in one: %v, %v", got, gerr, frames, err)
			}
		}
	})
}
