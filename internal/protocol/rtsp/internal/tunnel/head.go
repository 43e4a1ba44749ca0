package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Head is what matters of a request of HTTP.
type Head struct {
	Post   bool   // else GET
	Target string // as sent: the path, mostly that of the stream
	Cookie string // x-sessioncookie
}

// Bounds of a head.
const (
	headMax   = 8 << 10
	cookieMax = 256
	readSize  = 1 << 10 // what is read at a time
)

// Why a head is not one of a tunnel's.
var (
	ErrHead   = errors.New("not a request of HTTP that can be understood") // answer 400
	ErrCookie = errors.New("a request of HTTP that is for no tunnel")      // answer 404: a browser, for instance
)

// Sniff says whether a connection begins with a request of HTTP for a tunnel, and whether first is enough to tell.
func Sniff(first []byte) (isHTTP, enough bool) {
	for _, method := range []string{"GET ", "POST "} {
		n := min(len(first), len(method))
		if string(first[:n]) == method[:n] {
			return n == len(method), n == len(method)
		}
	}
	return false, true
}

// ParseHead parses the head that b begins with. ok says that it was all there; n is how long it is then.
func ParseHead(b []byte) (h Head, n int, ok bool, err error) {
	n = headEnd(b[:min(len(b), headMax)])
	switch {
	case n == 0 && len(b) >= headMax:
		return Head{}, 0, false, fmt.Errorf("%w: longer than %d bytes", ErrHead, headMax)
	case n == 0:
		return Head{}, 0, false, nil
	}
	line, rest, _ := strings.Cut(string(b[:n]), "\n")
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "GET" && words[0] != "POST" || !strings.HasPrefix(words[2], "HTTP/1.") {
		return Head{}, 0, false, ErrHead
	}
	h = Head{Post: words[0] == "POST", Target: words[1]}
	for line = range strings.Lines(rest) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "x-sessioncookie") {
			h.Cookie = strings.TrimSpace(value)
		}
	}
	if h.Cookie == "" || len(h.Cookie) > cookieMax {
		return Head{}, 0, false, ErrCookie
	}
	h.Cookie = strings.Clone(h.Cookie) // it outlives the head
	return h, n, true, nil
}

// headEnd returns how long the head is that b begins with, with the empty line at its end; 0 if there is none.
func headEnd(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		line := b[from : from+i]
		if from += i + 1; len(bytes.TrimRight(line, " \t\r")) == 0 {
			return from
		}
	}
}

// ReadHead reads a head from src, of which ahead has been read already. rest is what was read beyond it.
// It blocks: the caller sets a deadline on src.
func ReadHead(src io.Reader, ahead []byte) (h Head, rest []byte, err error) {
	b := bytes.Clone(ahead)
	for {
		var n int
		var ok bool
		if h, n, ok, err = ParseHead(b); ok || err != nil {
			return h, b[n:], err
		}
		have := len(b)
		b = append(b, make([]byte, readSize)...)
		n, err = src.Read(b[have:])
		b = b[:have+n]
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		if n == 0 {
			return Head{}, nil, err
		}
	}
}

// AppendAnswer appends the answer to a GET. To a POST there is none.
func AppendAnswer(dst []byte) []byte {
	return append(dst, "HTTP/1.0 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nPragma: no-cache\r\n"+
		"Content-Type: application/x-rtsp-tunnelled\r\n\r\n"...)
}

// AppendRefusal appends the answer to what gets no tunnel: a status of HTTP, with its words.
func AppendRefusal(dst []byte, status int, words string) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.0 "...), int64(status), 10)
	dst = append(append(dst, ' '), words...)
	return append(dst, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"...)
}
