//go:build !linux

package rtsp

import (
	"errors"
	"net"
)

// setMulticast fails: other systems are told of hops and interfaces in ways of their own.
func setMulticast(*net.UDPConn, *MulticastConfig) error {
	return errors.New("multicast is for Linux only: leave rtsp.multicast.range empty")
}
