package rtsp

import (
	"net"

	"golang.org/x/sys/unix"
)

// setMulticast has a socket send to groups as the configuration says, and to players on this machine too.
func setMulticast(conn *net.UDPConn, c *MulticastConfig) error {
	at := new(unix.IPMreqn)
	if c.Interface != "" {
		i, err := net.InterfaceByName(c.Interface)
		if err != nil {
			return err
		}
		at.Ifindex = int32(i.Index) //nolint:gosec // as the kernel has it
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		if c.Interface != "" {
			err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, at)
		}
		if err == nil {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, c.TTL)
		}
		if err == nil {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1)
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}
