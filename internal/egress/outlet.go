package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// Outlet sends datagrams from one UDP socket to many receivers, in batches. It is safe for concurrent use, and has no lock. The socket
// stays its owner's, who may read from it meanwhile, and close it: then Send fails with net.ErrClosed.
//
// On Linux a run of datagrams of equal size, of which the last may be shorter, goes to the kernel as one message that it, or the
// network card, cuts up (UDP_SEGMENT), and several messages with one system call; nothing is copied before, and nothing allocated.
type Outlet struct {
	conn   *net.UDPConn
	lost   atomic.Uint64
	spools sync.Pool // of *spool
	outletSystem
}

// NewOutlet returns an Outlet for a socket that is not connected.
func NewOutlet(conn *net.UDPConn) (*Outlet, error) {
	o := &Outlet{conn: conn}
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("egress: outlet: %w", err)
	}
	return o, nil
}

// Send sends each of datagrams to one receiver, in order, and says how many it sent. It never waits (elsewhere than on Linux, some
// milliseconds). Less than all without an error means that the socket is full: try the rest later.
//
// A datagram that this system, or the network, refuses to carry to the receiver (no route, a filter, a port that nobody listens on) counts as
// sent: UDP loses. See Lost. An error is about the socket or the datagram: syscall.EMSGSIZE if that is too large. The receiver's
// address may be an IPv4 address mapped to IPv6, whatever the socket is; one with a zone costs a look-up.
func (o *Outlet) Send(to netip.AddrPort, datagrams [][]byte) (sent int, err error) {
	if len(datagrams) == 0 {
		return 0, nil
	}
	return o.send(to, datagrams)
}

// Lost is how many datagrams were refused. It never falls.
func (o *Outlet) Lost() uint64 { return o.lost.Load() }

// errNoIPv6 is about a receiver that the socket cannot reach.
var errNoIPv6 = errors.New("the socket is of IPv4, the receiver of IPv6")

// isLost says whether an error is about one receiver, or the way there. A port that nobody listens on may be told at the next send, to
// another.
func isLost(err error) bool {
	for _, e := range [...]syscall.Errno{
		syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EPERM, syscall.EACCES, syscall.ENETDOWN,
		syscall.EHOSTDOWN, syscall.ECONNRESET,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isFull says whether an error means that the socket, or what is behind it, has no room now.
func isFull(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || isTimeout(err)
}
