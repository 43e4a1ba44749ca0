package httplive

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it; nothing is secret
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Opcodes and bits of a WebSocket frame (RFC 6455, 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	finBit  = 0x80
	maskBit = 0x80

	frameHeaderMax = 10
	maskBytes      = 4
	controlMax     = 125      // payload of a control frame
	inboundMax     = 64 << 10 // payload of a message that a viewer sends: nothing is wanted of it
	closeBase      = 4000     // close code of a refusal: this plus the HTTP status
	closeNormal    = 1000
	closeProtocol  = 1002
	closeAgain     = 1012 // "service restart": the viewer may come again at once
	closeReasonMax = controlMax - 2

	clientHeaderMax = frameHeaderMax + maskBytes
)

var errFrame = errors.New("bad WebSocket frame")

// isWebSocket says whether r asks for a WebSocket.
func isWebSocket(r *http.Request) bool {
	return headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket")
}

func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// acceptKey is the answer to the client's challenge (RFC 6455, 4.2.2). It fails if the request is not a valid handshake.
func acceptKey(r *http.Request) (string, error) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 16 {
		return "", errors.New("Sec-WebSocket-Key is not 16 bytes in base64")
	}
	if v := r.Header.Get("Sec-WebSocket-Version"); v != "13" {
		return "", fmt.Errorf("Sec-WebSocket-Version %q is not 13", v)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// frame appends a binary message whose payload body appends, or nothing if it appends nothing.
func frame(dst []byte, body func([]byte) []byte) []byte {
	start := len(dst)
	dst = body(append(dst, make([]byte, frameHeaderMax)...))
	n := len(dst) - start - frameHeaderMax
	if n == 0 {
		return dst[:start]
	}
	var header [frameHeaderMax]byte
	h := appendFrameHeader(header[:0], opBinary, n)
	copy(dst[start:], h)
	copy(dst[start+len(h):], dst[start+frameHeaderMax:])
	return dst[:start+len(h)+n]
}

func appendFrameHeader(dst []byte, op byte, n int) []byte {
	dst = append(dst, finBit|op)
	switch {
	case n <= controlMax:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n)) //nolint:gosec // n is a length
}

// appendClose appends a close frame. The reason has at most closeReasonMax bytes.
func appendClose(dst []byte, code int, reason string) []byte {
	dst = appendFrameHeader(dst, opClose, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), reason...) //nolint:gosec // codes are below 5000
}
