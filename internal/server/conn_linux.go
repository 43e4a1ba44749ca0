package server

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpConn is a TCP connection that is read from without telling the scheduler: a read does not wait, and to tell costs as much
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
