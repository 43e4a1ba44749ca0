//go:build !linux

package egress

import (
	"io"
	"net"
)

// tcp is for systems on which a shard can serve TCP sockets. Here the portable writer does.
type tcp struct{}

func (*tcp) take(*net.TCPConn) bool             { return false }
func (*tcp) send([]byte, *scratch) (int, error) { return 0, io.ErrClosedPipe }
func (*tcp) recv([]byte, *scratch) (int, error) { return 0, io.EOF }
func (*tcp) ready() (ready, moved bool)         { return true, false }
func (*tcp) closeWrite(*scratch) error          { return io.ErrClosedPipe }
func (*tcp) cut()                               {}
func (*tcp) close(bool)                         {}
