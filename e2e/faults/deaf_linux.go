package faults

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// deafen makes a connection's socket drop all that it receives, acknowledgements included: to the server the peer has vanished,
// without FIN or RST.
func deafen(c *net.TCPConn) error {
	// One instruction of classic BPF: return 0, which accepts no byte.
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	prog := unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]}
	return control(c, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
	})
}

// undeafen undoes deafen.
func undeafen(c *net.TCPConn) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

func control(c *net.TCPConn, fn func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// smallWindow is a net.Dialer's Control that leaves hardly any room for what is received.
func smallWindow(_, _ string, c syscall.RawConn) error {
	const bytes = 4096
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	})
	if err != nil {
		return err
	}
	if inner != nil {
		return fmt.Errorf("SO_RCVBUF: %w", inner)
	}
	return nil
}
