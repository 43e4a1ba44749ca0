package httplive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

func TestIsWebSocket(t *testing.T) {
	for _, tc := range []struct {
		connection, upgrade []string
		want                bool
	}{
		{[]string{"Upgrade"}, []string{"websocket"}, true},
		{[]string{"keep-alive, upgrade"}, []string{"WebSocket"}, true},
		{[]string{"keep-alive", "Upgrade"}, []string{"h2c, websocket"}, true},
		{[]string{"keep-alive"}, []string{"websocket"}, false},
		{[]string{"Upgrade"}, nil, false},
		{[]string{"Upgraded"}, []string{"websocket"}, false},
	} {
		r := &http.Request{Header: http.Header{"Connection": tc.connection, "Upgrade": tc.upgrade}}
		if got := isWebSocket(r); got != tc.want {
			t.Errorf("%q, %q: %v", tc.connection, tc.upgrade, got)
		}
	}
}

// Every length has the shortest header that it may have.
func TestFrameLengths(t *testing.T) {
	for n, header := range map[int]int{1: 2, 125: 2, 126: 4, 65535: 4, 65536: 10, 100_000: 10} {
		prefix := []byte("before")
		b := frame(bytes.Clone(prefix), func(dst []byte) []byte { return append(dst, make([]byte, n)...) })
		if len(b) != len(prefix)+header+n || !bytes.HasPrefix(b, prefix) {
			t.Errorf("%d bytes: frame of %d", n, len(b)-len(prefix))
		}
		s := &socket{in: bufio.NewReader(bytes.NewReader(b[len(prefix):]))}
		if op, payload, err := s.frame(); err != nil || op != opBinary || len(payload) != n {
			t.Errorf("%d bytes: opcode %d, %d bytes, %v", n, op, len(payload), err)
		}
	}
	if b := frame([]byte("x"), func(dst []byte) []byte { return dst }); string(b) != "x" {
		t.Errorf("nothing becomes % x", b)
	}
}

// FuzzReadFrame wants every frame to be an error or within the limits, to consume something, and what was masked to be
// unmasked.
func FuzzReadFrame(f *testing.F) {
	f.Add(masked(finBit|opPing, []byte("hello")))
	f.Add(masked(opText, bytes.Repeat([]byte("x"), 300)))
	f.Add([]byte{finBit | opBinary, maskBit | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4})
	f.Add([]byte{finBit | opClose, maskBit, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		r := bufio.NewReader(src)
		for {
			before := src.Len() + r.Buffered()
			in, err := readFrame(r)
			if err != nil {
				if !errors.Is(err, errFrame) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
				return
			}
			if src.Len()+r.Buffered() >= before {
				t.Fatal("nothing was consumed")
			}
			if len(in.payload) > controlMax || in.op < opClose && in.payload != nil {
				t.Fatalf("opcode %d with %d bytes", in.op, len(in.payload))
			}
			if in.op >= opClose {
				again, err := readFrame(bufio.NewReader(bytes.NewReader(masked(finBit|in.op, in.payload))))
				if err != nil || !bytes.Equal(again.payload, in.payload) {
					t.Fatalf("%v becomes %v, %v", in, again, err)
				}
			}
		}
	})
}
