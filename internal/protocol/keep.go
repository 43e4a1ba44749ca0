package protocol

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Keeping is how connections are served that [Keep] has taken over.
type Keeping struct {
	Done  context.Context //nolint:containedctx // the room's life, which connections end with
	Idle  time.Duration   // how long a connection may be silent between two requests
	Ours  func(path string) bool
	Serve http.Handler // of requests that are ours: GET and HEAD without a body
}

// Limits of connections that were taken over.
const (
	keptHeaderMax = 32 << 10        // bytes of a request's head, and of a body, which nobody here wants
	keptWrite     = 5 * time.Second // for an answer, if its handler sets no other limit
	keptBuffer    = 2 << 10         // that is read ahead
	keptHead      = 512             // bytes of an answer's head, about
	keptJoin      = 16 << 10        // bodies up to this size are sent together with their head
)

// Keep takes the connection of a request that has been answered, with a Content-Length, over from the HTTP server, and serves what comes by it
// until it ends. It is for connections by which small requests come again and again: the HTTP server has a goroutine watch over the peer
// while it answers, which costs more than the answers. So a request that is ours does not notice that its peer has gone: it must not wait
// for long. All others are answered by the HTTP server's own handler. It does nothing if the connection is not one to be kept.
func Keep(w http.ResponseWriter, r *http.Request, k Keeping) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.Handler == nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Close || r.TLS != nil {
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	conn, rw, err := control.Hijack()
	if err != nil {
		return // it goes on as it was
	}
	c := &kept{Keeping: k, conn: conn, all: server.Handler, remote: r.RemoteAddr}
	defer func() {
		if !c.taken {
			_ = conn.Close() // nothing can be done about it
		}
	}()
	if rw.Flush() != nil {
		return
	}
	defer context.AfterFunc(k.Done, func() { _ = conn.SetDeadline(past()) })() //nolint:contextcheck // the room's life, not the request's
	early, _ := rw.Peek(rw.Reader.Buffered())                                  // what is buffered is there
	c.limit = io.LimitedReader{R: io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)}
	c.in = bufio.NewReaderSize(&c.limit, keptBuffer)
	c.answer.header = http.Header{}
	for c.next(r.Context()) {
	}
}

// kept is a connection that was taken over. One goroutine uses it.
type kept struct {
	Keeping
	conn   net.Conn
	all    http.Handler
	remote string
	limit  io.LimitedReader
	in     *bufio.Reader
	answer reply
	head   []byte // scratch
	taken  bool   // a handler has taken it over
}

// next serves one request, and says whether another may follow.
func (c *kept) next(ctx context.Context) bool {
	if c.conn.SetReadDeadline(time.Now().Add(c.Idle)) != nil || c.Done.Err() != nil { // in this order: the end sets a deadline too
		return false
	}
	c.limit.N = keptHeaderMax
	r, err := http.ReadRequest(c.in)
	if err != nil {
		return false
	}
	r.RemoteAddr = c.remote
	if c.conn.SetWriteDeadline(time.Now().Add(keptWrite)) != nil || c.Done.Err() != nil {
		return false
	}
	ours := r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) && c.Ours(r.URL.Path)
	clear(c.answer.header)
	c.answer = reply{kept: c, header: c.answer.header, request: r, last: r.Close || !ours || r.ProtoMinor == 0}
	if ours {
		c.Serve.ServeHTTP(&c.answer, r.WithContext(ctx))
	} else {
		c.all.ServeHTTP(&c.answer, r.WithContext(ctx))
	}
	return !c.taken && c.answer.end() == nil && !c.answer.last
}

// reply is an answer to one request. It implements http.ResponseWriter, http.Flusher, http.Hijacker and what http.ResponseController wants.
type reply struct {
	*kept
	request *http.Request
	header  http.Header
	status  int   // 0: the head is not made yet
	sent    bool  // the head is on its way
	left    int64 // of the body that was announced; -1: it ends with the connection
	last    bool  // the connection ends with it
	err     error
}

// Header implements http.ResponseWriter.
func (a *reply) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. What is not a Content-Length ends with the connection.
func (a *reply) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status, a.left = status, -1
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		a.left = n
	}
	if a.request.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		a.left = 0
	}
	a.last = a.last || a.left < 0 || a.header.Get("Connection") == "close"
	b := append(a.head[:0], "HTTP/1.1 "...)
	b = append(append(append(strconv.AppendInt(b, int64(status), 10), ' '), http.StatusText(status)...), "\r\nDate: "...)
	b = append(append(b, date()...), "\r\n"...)
	for name, values := range a.header {
		for _, v := range values {
			b = append(append(append(b, name...), ": "...), clean(v)...)
			b = append(b, "\r\n"...)
		}
	}
	if a.last && a.header.Get("Connection") == "" {
		b = append(b, "Connection: close\r\n"...)
	}
	a.head = append(b, "\r\n"...)
}

// clean is a header's value without what would end its line.
func clean(v string) string {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return ' '
				}
				return r
			}, v)
		}
	}
	return v
}

// errLength means that a handler has written more than it has announced.
var errLength = errors.New("more than the Content-Length")

// Write implements http.ResponseWriter.
func (a *reply) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.err != nil {
		return 0, a.err
	}
	if a.request.Method == http.MethodHead {
		return len(b), nil
	}
	if a.left >= 0 {
		if int64(len(b)) > a.left {
			a.err = errLength
			return 0, a.err
		}
		a.left -= int64(len(b))
	}
	if !a.sent && len(b) <= keptJoin {
		a.head, a.sent = append(a.head, b...), true
		if _, a.err = a.conn.Write(a.head); a.err != nil {
			return 0, a.err
		}
		return len(b), nil
	}
	if a.flushHead(); a.err != nil {
		return 0, a.err
	}
	var n int
	n, a.err = a.conn.Write(b)
	return n, a.err
}

// flushHead sends the head, if that has not been done.
func (a *reply) flushHead() {
	if !a.sent && a.err == nil {
		a.sent = true
		_, a.err = a.conn.Write(a.head)
	}
}

// end sends what is left of an answer. The error says that nothing may follow.
func (a *reply) end() error {
	if a.status == 0 {
		a.header.Set("Content-Length", "0")
		a.WriteHeader(http.StatusOK)
	}
	a.flushHead()
	if cap(a.head) > keptHead+keptJoin {
		a.head = nil
	}
	if a.err == nil && a.left > 0 {
		return fmt.Errorf("%d bytes of an answer are missing", a.left)
	}
	return a.err
}

// Flush implements http.Flusher.
func (a *reply) Flush() {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	a.flushHead()
}

// Hijack implements http.Hijacker.
func (a *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if a.status != 0 {
		return nil, nil, errors.New("the answer has begun")
	}
	a.taken, a.limit.N = true, math.MaxInt64 // what comes now is bounded by who reads it
	return a.conn, bufio.NewReadWriter(a.in, bufio.NewWriter(a.conn)), nil
}

// SetReadDeadline is for http.ResponseController.
func (a *reply) SetReadDeadline(t time.Time) error { return a.conn.SetReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController. A room that ends is not outlived.
func (a *reply) SetWriteDeadline(t time.Time) error {
	err := a.conn.SetWriteDeadline(t)
	if a.Done.Err() != nil {
		return a.conn.SetWriteDeadline(past())
	}
	return err
}

// dated is what a Date header says in a second.
type dated struct {
	second int64
	text   string
}

//nolint:gochecknoglobals // a cache, of what is the same for all
var today atomic.Pointer[dated]

func date() string {
	now := time.Now()
	if d := today.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &dated{now.Unix(), now.UTC().Format(http.TimeFormat)}
	today.Store(d)
	return d.text
}
