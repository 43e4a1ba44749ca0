package server

import (
	"io"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpConn is a TCP connection that is read from and written to without telling the scheduler: that does not wait, and to tell costs as much
// as the read, and more, because it wakes the runtime's watchdog each time that the process was idle. One goroutine reads
// at a time.
type tcpConn struct {
	*net.TCPConn
	raw  syscall.RawConn
	recv func(fd uintptr) bool // a method value, made once

	buf []byte
	n   int
	err error
}

// quickReads returns the connection with reads of its own, or as it is if that cannot be.
func quickReads(conn net.Conn) net.Conn {
	t, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return conn
	}
	c := &tcpConn{TCPConn: t, raw: raw}
	c.recv = c.receive
	return c
}

// NetConn returns the connection under it.
func (c *tcpConn) NetConn() net.Conn { return c.TCPConn }

// Read implements net.Conn.
func (c *tcpConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.buf, c.n, c.err = b, 0, nil
	err := c.raw.Read(c.recv)
	c.buf = nil
	switch {
	case err != nil:
		return 0, err
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: c.err}
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// receive takes what has come, and says whether that was something.
func (c *tcpConn) receive(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.buf[0])), uintptr(len(c.buf)),
			unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			c.n = int(n)
			return true
		case errno == unix.EAGAIN:
			return false
		case errno != unix.EINTR:
			c.err = errno
			return true
		}
	}
}

// sendMost is what is handed to the kernel in one call: the scheduler does not know of it, so it is to be short.
const sendMost = 128 << 10

// sending is a write on its way.
type sending struct {
	rest []byte
	err  error
	step func(fd uintptr) bool // a method value, made once
}

//nolint:gochecknoglobals // a pool
var sendings = sync.Pool{New: func() any {
	s := &sending{}
	s.step = s.send
	return s
}}

// Write implements net.Conn. It does not tell the scheduler, as Read does not: it hands over what the kernel takes at once, and waits before
// it hands over the rest.
func (c *tcpConn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s, _ := sendings.Get().(*sending)
	s.rest, s.err = b, nil
	err := c.raw.Write(s.step)
	n := len(b) - len(s.rest)
	if err == nil && s.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: s.err}
	}
	s.rest, s.err = nil, nil
	sendings.Put(s)
	return n, err
}

// send hands over what the kernel takes, and says whether that was all.
func (s *sending) send(fd uintptr) bool {
	for len(s.rest) > 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&s.rest[0])), uintptr(min(len(s.rest), sendMost)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0:
			s.rest = s.rest[n:]
		case errno == unix.EAGAIN:
			return false
		case errno != unix.EINTR:
			s.err = errno
			return true
		}
	}
	return true
}
