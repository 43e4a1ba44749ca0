package server

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/protocol"
)

// A listener that cannot accept tries again after a while, which doubles. The longest is well under the second within which every
// port is to accept again once the trouble is over.
const (
	acceptPauseShortest = 5 * time.Millisecond
	acceptPauseLongest  = 500 * time.Millisecond
)

// controlSpare is how many connections more than the limits in all those of HTTP may be, and how many more of them may come a second:
// health, API and metrics answer when media are full. When memory is short it is how many may be there that play nothing.
const controlSpare = 64

// door is a listener that lives until it is closed: it waits out what is passing, such as a lack of descriptors, and lets in who is
// admitted. Others are closed at once, and cost next to nothing. All that is done on goroutines of the door's own, which can be replaced
// when they hang (acceptors); the room that calls Accept takes what they hand it. It implements protocol.Refuser.
type door struct {
	net.Listener
	name    string
	point   string // of package wedge
	network *network
	lobby   *lobby // of the listeners of HTTP, where those who send nothing make room for others; or nil

	begin   sync.Once
	staff   acceptors
	out     chan net.Conn // to the room
	once    sync.Once
	done    chan struct{}
	retired atomic.Bool
}

// Accept implements net.Listener. It fails when the door is closed, and else never.
func (d *door) Accept() (net.Conn, error) {
	d.begin.Do(d.staff.start)
	select {
	case c := <-d.out:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.shut()
	return d.Listener.Close()
}

// retire closes the socket, while Accept waits on until Close.
func (d *door) retire() {
	d.retired.Store(true)
	_ = d.Listener.Close() // nothing can be done about it
}

// shut has Accept fail from now on.
func (d *door) shut() { d.once.Do(func() { close(d.done) }) }

func (d *door) closed() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// quit says whether nobody is to be accepted any more.
func (d *door) quit() bool { return d.retired.Load() || d.closed() }

// trouble says that nobody can be accepted. If that is for want of descriptors, those who wait are refused.
func (d *door) trouble(err error, pause time.Duration) {
	n := d.network
	if lacksDescriptors(err) {
		for range n.files.spare.refuseWaiting(d.Listener) {
			n.admission.Refused(protocol.CauseDescriptors)
		}
	}
	n.refusals.Logger(n.log, "accept "+d.name, netip.Addr{}).Warn("cannot accept", "name", d.name, "cause", err, "pause", pause)
}

// admit returns the connection with its place, or nil if it was refused.
func (d *door) admit(conn net.Conn) net.Conn {
	for {
		place, cause := d.enter(conn.RemoteAddr())
		switch {
		case cause == "":
			return protocol.Hold(quickReads(conn), place)
		case d.lobby == nil || !yields(cause) || !d.lobby.makeRoom():
			d.Refuse(conn, cause)
			return nil
		}
	}
}

// enter takes a place for a connection, or says why there is none.
func (d *door) enter(remote net.Addr) (io.Closer, protocol.Cause) {
	n := d.network
	most, spare := n.files.mediaMost(), 0
	if d.lobby != nil {
		most, spare = n.files.controlMost(), controlSpare
	}
	switch {
	case n.files.used() >= most:
		return nil, protocol.CauseDescriptors
	case n.pressed() && (d.lobby == nil || d.lobby.size() >= controlSpare):
		return nil, protocol.CauseMemory
	}
	return n.admission.Enter(remote, spare)
}

// yields says whether one connection less makes room for another.
func yields(c protocol.Cause) bool {
	return c == protocol.CauseConnections || c == protocol.CauseDescriptors || c == protocol.CauseMemory
}

// Refuse implements protocol.Refuser. It closes the connection without a trace of it in the kernel, counts it, and says so.
func (d *door) Refuse(conn net.Conn, cause protocol.Cause) {
	remote := conn.RemoteAddr()
	if t := egress.TCPOf(conn); t != nil {
		_ = t.SetLinger(0) // it is closed all the same
	}
	_ = conn.Close() // nothing can be done about it
	n := d.network
	n.admission.Refused(cause)
	var addr netip.Addr
	if t, ok := remote.(*net.TCPAddr); ok {
		addr = t.AddrPort().Addr()
	}
	n.refusals.Logger(n.log, "connect "+string(cause), addr).Info("refused a connection", "name", d.name, "remote", remote,
		"cause", cause)
}
