package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// socket is a connection that a shard owns. Nothing waits. Only the shard's goroutine uses it, but for cut.
type socket interface {
	// send hands b to the peer. The error is not nil if n < len(b): errFull when the rest is to be tried again. It may be errFull
	// too when all of b was taken, but is not on its way yet.
	send(b []byte, s *scratch) (n int, err error)
	// recv takes what the peer has sent. It fails with errEmpty when there is nothing, and with io.EOF when nothing will come.
	recv(b []byte, s *scratch) (n int, err error)
	// ready says whether send would take something, or fail for good; and whether the peer has got something just now.
	ready() (ready, moved bool)
	// closeWrite tells the peer that nothing more comes.
	closeWrite(s *scratch) error
	// cut ends the connection. The socket stays: another goroutine may be in a call of it. It may be called by any.
	cut()
	// close closes the socket. abort says that the kernel is to forget what the peer has not taken.
	close(abort bool)
}

// scratch is memory that all links use in turn that a pilot serves.
type scratch struct {
	in     []byte // what a peer said
	cipher []byte // the same, before it is deciphered
	out    []byte // what is to be sent, enciphered
}

// waitError is a socket's way to say "not now". It is temporary, as crypto/tls wants it.
type waitError string

// Error implements error.
func (e waitError) Error() string { return string(e) }

// Timeout implements net.Error.
func (e waitError) Timeout() bool { return true }

// Temporary implements net.Error.
func (e waitError) Temporary() bool { return true }

const (
	errFull  = waitError("the socket is full")
	errEmpty = waitError("there is nothing to read")
)

// Shell is a wrapper of a connection that has something to do when the connection is closed, and nothing else once the socket
// is taken out.
type Shell interface {
	// Shed returns what is to be closed in place of the wrapper, which is forgotten.
	Shed() io.Closer
}

// takeSocket takes the socket out of the link's connection, which nobody else uses, and has the link forget that; or leaves
// it as it was, if that cannot be done.
func (l *Link) takeSocket() {
	conn := l.conn
	sealed, isTLS := conn.(*tls.Conn)
	var w *wire
	if isTLS {
		if w, isTLS = sealed.NetConn().(*wire); !isTLS {
			return
		}
		conn = w.Conn
	}
	c := TCPOf(conn)
	if c == nil || !l.tcp.take(c) {
		return
	}
	l.sock, l.conn = &l.tcp, nil
	if s, ok := conn.(Shell); ok {
		l.shell = s.Shed()
	}
	if isTLS {
		w.Conn, w.taken = nil, true
		l.sock = &tlsSocket{under: &l.tcp, conn: sealed, wire: w}
	}
}

// TCPOf returns the TCP connection within wrappers that say what they wrap (NetConn), or nil.
func TCPOf(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// gone reduces the many ways in which a peer can be gone to one.
func gone(err error) error {
	for _, sign := range []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, sign) {
			return ErrLeft
		}
	}
	return err
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
