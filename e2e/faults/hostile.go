package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Hostile is a peer that does what no honest peer does, and waits for the server to end it.
type Hostile struct {
	Card string
	Name string
	HTTP bool // goes to the HTTP port
	// Limit is how long the server may put up with it.
	Limit  time.Duration
	attack func(conn net.Conn) error
}

// Limits of the server's phases, and room for a machine that is busy.
const (
	setupLimit = 14 * time.Second // handshake, command phase, HTTP header: 10 s
	atOnce     = 4 * time.Second
)

// Hostiles returns all of them.
func Hostiles() []Hostile {
	return []Hostile{
		{"N03", "silence", false, setupLimit, func(net.Conn) error { return nil }},
		{"N03", "handshake of 1 byte at a time", false, setupLimit, drip(append([]byte{3}, make([]byte, 3072)...))},
		{"N03", "half a handshake", false, setupLimit, send(append([]byte{3}, make([]byte, 700)...))},
		{"N03", "handshake, then silence", false, setupLimit, afterHandshake(nil)},
		{"N03", "a command of 1 byte at a time", false, setupLimit, func(c net.Conn) error {
			if err := shakeHands(c); err != nil {
				return err
			}
			return drip(message(3, 20, connect("a")))(c)
		}},
		{"P05", "another protocol", false, atOnce, send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 4096)))},
		{"P05", "a message of 16 MB", false, atOnce, afterHandshake([]byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0})},
		{
			"P05", "a chunk size of 2 GB and a long message", false, atOnce,
			afterHandshake(append(message(2, 1, []byte{0x7f, 0xff, 0xff, 0xff}), message(3, 20, make([]byte, 200_000))...)),
		},
		{"P05", "a chunk size of 0", false, atOnce, afterHandshake(message(2, 1, []byte{0, 0, 0, 0}))},
		{"P05", "many messages begun and none finished", false, atOnce, afterHandshake(begun(4000))},
		{"P05", "a chunk that continues nothing", false, atOnce, afterHandshake([]byte{0xc0 | 9, 1, 2, 3, 4, 5, 6, 7, 8})},
		{
			"P05", "AMF nested 6 000 deep", false, atOnce,
			afterHandshake(message(3, 20, append(connect(""), bytes.Repeat([]byte{3, 0, 1, 'a'}, 6000)...))),
		},
		{
			"P05", "an AMF array of 4 billion", false, atOnce,
			afterHandshake(message(3, 20, append(connect(""), 10, 0xff, 0xff, 0xff, 0xff))),
		},
		{
			"P05", "an AMF string that lies about its length", false, atOnce,
			afterHandshake(message(3, 20, []byte{2, 0xff, 0xff, 'c', 'o', 'n'})),
		},
		{"P05", "rubbish", false, setupLimit, afterHandshake(bytes.Repeat([]byte{0x5a, 0xa5, 0x17, 0xff, 0x00, 0x83}, 20_000))},
		{"N03", "an HTTP header of 1 byte at a time", true, setupLimit, drip([]byte("GET /live/x.live.flv HTTP/1.1\r\n" + strings.Repeat("a", 500)))},
		{"N03", "an HTTP request whose body never comes", true, atOnce, send([]byte("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"))},
		{"N03", "a chunked HTTP body that never comes", true, atOnce, send([]byte("POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"))},
		{"P05", "an HTTP header of 1 MB", true, atOnce, send([]byte("GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<20)))},
		{"P05", "a WebSocket frame of 4 GB", true, atOnce, send(append([]byte("GET /live/nothing.live.flv HTTP/1.1\r\nHost: x\r\n"+
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
			0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0))},
	}
}

// Run attacks and waits. It returns the peer's address and how long the server put up with it; an error if it still does at the
// limit.
func (h Hostile) Run(ctx context.Context, t Target) (local string, took time.Duration, err error) {
	address := t.RTMP
	if h.HTTP {
		address = t.HTTP
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing can be done about it
	start := time.Now()
	if err = conn.SetDeadline(start.Add(h.Limit)); err != nil {
		return "", 0, err
	}
	err = h.attack(conn)
	if err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	took = time.Since(start)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return conn.LocalAddr().String(), took, fmt.Errorf("the server puts up with it for more than %v", h.Limit)
	}
	return conn.LocalAddr().String(), took, nil // any other error is the server's way to end it
}

// send writes b at once.
func send(b []byte) func(net.Conn) error {
	return func(c net.Conn) error {
		_, err := c.Write(b)
		return err
	}
}

// drip writes b byte by byte, ten a second.
func drip(b []byte) func(net.Conn) error {
	return func(c net.Conn) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := range b {
			if _, err := c.Write(b[i : i+1]); err != nil {
				return err
			}
			<-tick.C
		}
		return nil
	}
}

// afterHandshake shakes hands and then writes b.
func afterHandshake(b []byte) func(net.Conn) error {
	return func(c net.Conn) error {
		if err := shakeHands(c); err != nil {
			return err
		}
		return send(b)(c)
	}
}

// shakeHands does a simple handshake (RTMP 1.0, 5.2).
func shakeHands(c net.Conn) error {
	const size = 1536
	if _, err := c.Write(append([]byte{3}, make([]byte, size)...)); err != nil {
		return err
	}
	s := make([]byte, 1+2*size)
	if _, err := io.ReadFull(c, s); err != nil {
		return err
	}
	_, err := c.Write(s[1 : 1+size])
	return err
}

// message is a message in chunks of 128 bytes (RTMP 1.0, 5.3).
func message(chunkStream, typ byte, payload []byte) []byte {
	n := len(payload)
	b := []byte{chunkStream, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), typ, 0, 0, 0, 0}
	for len(payload) > 128 {
		b = append(append(b, payload[:128]...), 0xc0|chunkStream)
		payload = payload[128:]
	}
	return append(b, payload...)
}

// connect is the beginning of a connect command, up to its object if app is "".
func connect(app string) []byte {
	b := []byte{2, 0, 7}
	b = append(b, "connect"...)
	b = binary.BigEndian.AppendUint64(append(b, 0), 0x3ff0000000000000) // transaction 1
	if app != "" {
		b = append(b, 3, 0, 3, 'a', 'p', 'p', 2, 0, byte(len(app)))
		b = append(append(b, app...), 0, 0, 9)
	}
	return b
}

// begun is the first chunk of n messages of 60 000 bytes, each on a chunk stream of its own.
func begun(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, 1, byte(i), byte(i>>8), 0, 0, 0, 0, 0xea, 0x60, 20, 0, 0, 0, 0)
		b = append(b, make([]byte, 128)...)
	}
	return b
}
