package server

import (
	"context"
	"fmt"
	"net"
)

// packetBuffer is what the kernel keeps of datagrams that have come and not been read: a key picture of several hundred packets comes at
// once. The kernel bounds it by net.core.rmem_max.
const packetBuffer = 2 << 20

// ListenPacket implements protocol.Net.
func (*network) ListenPacket(ctx context.Context, address string) (*net.UDPConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("%s: %T is no UDP socket", address, c)
	}
	_ = u.SetReadBuffer(packetBuffer) // less will do, too
	_ = u.SetWriteBuffer(packetBuffer)
	return u, nil
}
