//go:build !linux

package egress

import (
	"net/netip"
	"time"
)

// outletPatience is how long a send may wait for room.
const outletPatience = 5 * time.Millisecond

type spool struct{}

type outletSystem struct{}

func (o *Outlet) open() error { return nil }

func (o *Outlet) send(to netip.AddrPort, datagrams [][]byte) (sent int, err error) {
	if err = o.conn.SetWriteDeadline(time.Now().Add(outletPatience)); err != nil {
		return 0, err
	}
	for i, d := range datagrams {
		_, err := o.conn.WriteToUDPAddrPort(d, to)
		switch {
		case err == nil:
		case isLost(err):
			o.lost.Add(1)
		case isFull(err):
			return i, nil
		default:
			return i, err
		}
	}
	return len(datagrams), nil
}
