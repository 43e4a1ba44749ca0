package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/watch"
)

// ErrPeer is why a session ends whose peer is gone, in whatever way.
var ErrPeer = errors.New("the peer closed the connection")

// Peer is the connection of a session.
type Peer struct{ net.Conn }

// past is a deadline that makes whoever waits give up.
func past() time.Time { return time.Unix(1, 0) }

// Remote is the peer's address; the zero address stands for one that is no IP address.
func (p Peer) Remote() netip.AddrPort { return addrPort(p.RemoteAddr()) }

// Local is our end's address, or zero.
func (p Peer) Local() netip.AddrPort { return addrPort(p.LocalAddr()) }

// Secure says whether the connection is TLS.
func (p Peer) Secure() bool {
	_, is := p.Conn.(*tls.Conn)
	return is
}

// addrPort is an address of the net package; the zero address stands for one that is no IP address.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case nil:
		return netip.AddrPort{}
	case *net.TCPAddr:
		at := a.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	default:
		addr, _ := netip.ParseAddrPort(a.String())
		return addr
	}
}

// Cut closes the connection without a farewell: TLS has one, and would wait for a peer that does not read.
func (p Peer) Cut() {
	conn := p.Conn
	_ = conn.SetDeadline(past()) // wakes who waits, even where Close would not
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}

// Interrupt makes reading and writing fail as soon as ctx ends. Call the function that it returns before setting another
// deadline: from then on none is set behind one's back.
func (p Peer) Interrupt(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = p.SetDeadline(past()) // a connection that is closed needs none
	})
	return func() {
		if !stopped() {
			<-done
		}
	}
}

// Limit bounds all reading and writing from now on; 0 means no bound.
func (p Peer) Limit(d time.Duration) error {
	if d == 0 {
		return p.SetDeadline(time.Time{})
	}
	return p.SetDeadline(time.Now().Add(d))
}

// Linger lets the peer read the last that was said: input that comes to a closed connection would throw away what is still
// on its way.
func (p Peer) Linger(limit time.Duration) {
	t, ok := p.Conn.(interface{ CloseWrite() error })
	if ok && p.Limit(limit) == nil && t.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, p.Conn)
	}
}

// Gone reduces the many ways in which a peer can be gone to ErrPeer.
func Gone(err error) error {
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, sign) {
			return ErrPeer
		}
	}
	return err
}

// Describe lists tracks for people.
func Describe(tracks []*av.Track) string {
	names := make([]string, len(tracks))
	for i, t := range tracks {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// LeftOut says of a stream's tracks which viewers of a format do not get, and why; "" if there are none. carries is what the format has a place for,
// picked what they get.
func LeftOut(format string, carries func(*av.Track) bool, all, picked []*av.Track) string {
	var lines []string
	for _, t := range all {
		switch {
		case slices.Contains(picked, t):
		case carries(t):
			lines = append(lines, t.String()+": a viewer gets one track of "+t.Kind().String())
		default:
			lines = append(lines, t.String()+": "+format+" has no place for it")
		}
	}
	return strings.Join(lines, "; ")
}

// PublisherCell returns the cell of a publisher's session, for what it does between two reads; title names the protocol. One that hangs there
// loses its lease, and its connection by close; its goroutine may stay.
func (e Env) PublisherCell(title string, lease *hub.Lease, session string, close func()) *watch.Cell {
	if e.Hub.Probe(lease.Key()) {
		return nil
	}
	var cell *watch.Cell
	cell = e.Watch.Claim(watch.Label{
		Class: watch.Session, Name: title + " " + lease.Key().String(), Session: session, Heal: func(watch.Finding) {
			if cell.Busy() < watch.Session.Limits().Act {
				return // it has gone on meanwhile
			}
			lease.Release(hub.ErrStuck)
			close() // it is of no more use
		},
	})
	return cell
}
