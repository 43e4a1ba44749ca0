package httplive

import (
	"bufio"
	"bytes"
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
