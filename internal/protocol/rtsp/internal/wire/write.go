package wire

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// FrameMax is how long the payload of a frame can be.
const FrameMax = 1<<16 - 1

// FrameHead is how many bytes a frame has before its payload.
const FrameHead = frameHead

// AppendFrame appends an interleaved frame (RFC 2326, 10.12). A payload longer than FrameMax is cut there: the caller does not
// let that happen.
func AppendFrame(dst []byte, channel byte, payload []byte) []byte {
	payload = payload[:min(len(payload), FrameMax)]
	dst = append(dst, '$', channel, byte(len(payload)>>8), byte(len(payload)))
	return append(dst, payload...)
}

// AppendRequest appends a request (RFC 2326, 6). The length of its body is added.
func AppendRequest(dst []byte, r *Request) []byte {
	url, proto := r.URL, r.Proto
	if url == "" {
		url = "*"
	}
	if proto == "" {
		proto = Proto
	}
	dst = append(appendText(dst, string(r.Method)), ' ')
	dst = append(appendText(dst, url), ' ')
	dst = append(appendText(dst, proto), "\r\n"...)
	return appendRest(dst, r.Header, r.Body)
}

// AppendResponse appends a response (RFC 2326, 7). The length of its body is added, and the usual text of the status if there is
// none.
func AppendResponse(dst []byte, r *base.Response) []byte {
	text := r.StatusMessage
	if text == "" {
		text = base.StatusMessages[r.StatusCode]
	}
	dst = append(dst, Proto+" "...)
	dst = append(strconv.AppendInt(dst, int64(r.StatusCode), 10), ' ')
	dst = append(appendText(dst, text), "\r\n"...)
	return appendRest(dst, r.Header, r.Body)
}

// appendRest appends headers, CSeq first and then in the order of their names, and a body.
func appendRest(dst []byte, header base.Header, body []byte) []byte {
	dst = appendHeader(dst, "CSeq", header["CSeq"])
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if name != "CSeq" && name != "Content-Length" {
			dst = appendHeader(dst, name, header[name])
		}
	}
	if len(body) > 0 {
		dst = append(dst, "Content-Length: "...)
		dst = append(strconv.AppendInt(dst, int64(len(body)), 10), "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, body...)
}

func appendHeader(dst []byte, name string, values base.HeaderValue) []byte {
	for _, v := range values {
		dst = append(appendText(dst, name), ": "...)
		dst = append(appendText(dst, v), "\r\n"...)
	}
	return dst
}

// appendText appends text that may come from a peer: it must not end the line.
func appendText(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, "\r\n") {
		return append(dst, text...)
	}
	for _, c := range []byte(text) {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}
