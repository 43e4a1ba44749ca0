package egress

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcp is the descriptor of a TCP socket, which nobody but its shard knows.
type tcp int32

// take takes the socket out of a connection. It gets a descriptor of its own, and the connection's is closed: that spares
// the memory that the runtime keeps for one, and nobody else can use it.
func (t *tcp) take(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil || err != nil {
		return false // no descriptors are left: the connection has one
	}
	_ = c.Close() // the socket lives on
	*t = tcp(fd)  //nolint:gosec // descriptors are small
	return true
}

// send implements socket. The system call is made without telling the scheduler: it does not wait, and takes some
// microseconds for a batch.
func (t *tcp) send(b []byte, _ *scratch) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(*t), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0 && int(n) == len(b):
			return len(b), nil
		case errno == 0:
			return int(n), errFull
		case errno == unix.EAGAIN:
			return 0, errFull
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}

// recv implements socket.
func (t *tcp) recv(b []byte, _ *scratch) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(*t), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			return int(n), nil
		case errno == unix.EAGAIN:
			return 0, errEmpty
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}

// ready implements socket. The kernel says so when there is room for a third of its buffer, and little is left unsent.
func (t *tcp) ready() (ready, moved bool) {
	p, none := unix.PollFd{Fd: int32(*t), Events: unix.POLLOUT}, unix.Timespec{}
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	return errno == 0 && n > 0 || errno != 0 && errno != unix.EINTR, false
}

// closeWrite implements socket.
func (t *tcp) closeWrite(*scratch) error { return unix.Shutdown(int(*t), unix.SHUT_WR) }

// cut implements socket.
func (t *tcp) cut() { _ = unix.Shutdown(int(*t), unix.SHUT_RDWR) } // one that is not connected any more needs none

// close implements socket.
func (t *tcp) close(abort bool) {
	if abort { // what is left for one that takes nothing would take up the kernel's memory for a while
		_ = unix.SetsockoptLinger(int(*t), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(int(*t)) // the descriptor is gone, whatever it says
}
