package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setSocketOptions prepares a listening socket; the kernel hands its options down to the connections that it accepts.
func setSocketOptions(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		ms := int(unackedTimeout.Milliseconds())
		if err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms); err != nil {
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	if cerr != nil {
		return cerr
	}
	return err
}
