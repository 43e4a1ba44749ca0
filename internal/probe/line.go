package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// heardMax bounds what is read of one connection, in bytes: what is searched for comes early.
const heardMax = 64 << 10

// line is one connection, and all that was heard on it.
type line struct {
	ctx   context.Context //nolint:containedctx // of the run, which the line does not outlive
	conn  net.Conn
	heard []byte
	stop  func() bool
}

// call connects. All waits of the line end with ctx.
func call(ctx context.Context, d Dialer, address string) (*line, error) {
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it may be cancelled before its deadline
	return &line{ctx: ctx, conn: conn, stop: stop}, nil
}

func (l *line) close() {
	l.stop()
	_ = l.conn.Close() // nothing can be done about it
}

func (l *line) say(b []byte) error {
	if _, err := l.conn.Write(b); err != nil {
		return l.fault(err)
	}
	return nil
}

// hear reads until n bytes have been heard.
func (l *line) hear(n int) error {
	return l.until(func() bool { return len(l.heard) >= n })
}

// find reads until something has been heard.
func (l *line) find(what string) error {
	return l.until(func() bool { return bytes.Contains(l.heard, []byte(what)) })
}

func (l *line) until(enough func() bool) error {
	b := make([]byte, 4<<10)
	for !enough() {
		if len(l.heard) >= heardMax {
			return fmt.Errorf("it was not in the first %d bytes%s", heardMax, l.said())
		}
		n, err := l.conn.Read(b)
		l.heard = append(l.heard, b[:n]...)
		if err != nil && !enough() {
			return l.fault(err)
		}
	}
	return nil
}

// fault puts into words what has become of the connection, with the last word of the server.
func (l *line) fault(err error) error {
	switch {
	case errors.Is(l.ctx.Err(), context.Canceled):
		return context.Cause(l.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer in time%s", l.said())
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server closed the connection%s", l.said())
	}
	return err
}

// said is the last word of the server: the newest status code, or the first line of an answer by HTTP.
func (l *line) said() string {
	word := ""
	if first, _, ok := strings.Cut(string(l.heard), "\r\n"); ok && strings.HasPrefix(first, "HTTP/") {
		word = first
	} else if i := bytes.LastIndex(l.heard, []byte("NetStream.")); i >= 0 {
		code := l.heard[i:min(len(l.heard), i+64)]
		if end := bytes.IndexFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }); end >= 0 {
			code = code[:end]
		}
		word = string(code)
	}
	if word == "" {
		return ""
	}
	return fmt.Sprintf(", its last word was %q", word[:min(len(word), 64)])
}
