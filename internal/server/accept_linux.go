package server

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// raiseDescriptorLimit raises the limit of descriptors as far as it may be, and returns it. (The runtime does so too, but need not.)
func raiseDescriptorLimit() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return unlimitedMost
	}
	if r.Cur < r.Max {
		raised := unix.Rlimit{Cur: r.Max, Max: r.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			r = raised
		}
	}
	return int(min(r.Cur, unlimitedMost))
}

// lacksDescriptors says whether a connection could not be accepted because there is no descriptor for it.
func lacksDescriptors(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// spareDescriptor is one that is given up when all are in use, so that those who wait to be accepted can be refused.
type spareDescriptor struct{ fd atomic.Int64 } // 0: there is none

// take takes a descriptor, unless there is one.
func (s *spareDescriptor) take() {
	if s.fd.Load() != 0 {
		return
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err == nil && !s.fd.CompareAndSwap(0, int64(fd)) {
		_ = unix.Close(fd) // another was faster
	}
}

// drop closes the descriptor, if there is one, and says whether there was.
func (s *spareDescriptor) drop() bool {
	fd := s.fd.Swap(0)
	return fd != 0 && unix.Close(int(fd)) == nil
}

// refusedAtOnce bounds how many connections are refused before the spare descriptor is taken again.
const refusedAtOnce = 64

// refuseWaiting refuses connections that wait to be accepted, by means of the spare descriptor, and returns how many.
func (s *spareDescriptor) refuseWaiting(l net.Listener) (n int) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := c.SyscallConn()
	if err != nil || !s.drop() {
		return 0 // another listener has it
	}
	defer s.take()
	_ = raw.Control(func(listener uintptr) {
		for n < refusedAtOnce {
			fd, _, err := unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return // nobody waits any more, or somebody else has got the descriptor
			}
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(fd)
			n++
		}
	})
	return n
}
