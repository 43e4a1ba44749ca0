package protocol

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func tcpAddr(t testing.TB, text string) net.Addr {
	t.Helper()
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(text), 1000))
}

// gate is an admission whose places are remembered by address.
type gate struct {
	*Admission
	t     testing.TB
	inner map[string][]io.Closer
}

func newGate(t testing.TB, q Quotas) *gate {
	t.Helper()
	return &gate{NewAdmission(q), t, map[string][]io.Closer{}}
}

func (g *gate) enter(addr string, spare int, want Cause) {
	g.t.Helper()
	place, cause := g.Enter(tcpAddr(g.t, addr), spare)
	if cause != want {
		g.t.Errorf("%s: %q, want %q", addr, cause, want)
	}
	if place != nil {
		g.inner[addr] = append(g.inner[addr], place)
	}
}

func (g *gate) leave(addr string) {
	g.t.Helper()
	p := g.inner[addr]
	g.inner[addr] = p[1:]
	if err := p[0].Close(); err != nil {
		g.t.Error(err)
	}
}

// Quotas hold in all and for each address (card Q03).
func TestAdmission(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	for name, tc := range map[string]struct {
		quotas Quotas
		act    func(g *gate)
	}{
		"no limits": {Quotas{}, func(g *gate) {
			for range 1000 {
				g.enter(a, 0, "")
			}
		}},
		"in all": {Quotas{Connections: 2}, func(g *gate) {
			g.enter(a, 0, "")
			g.enter(a, 0, "")
			g.enter(b, 0, CauseConnections)
			g.leave(a)
			g.enter(b, 0, "")
		}},
		"some may be more": {Quotas{Connections: 1}, func(g *gate) {
			g.enter(a, 1, "")
			if g.Full() {
				g.t.Error("full at the limit")
			}
			g.enter(a, 1, "")
			if !g.Full() {
				g.t.Error("not full beyond the limit")
			}
			g.enter(a, 1, CauseConnections)
		}},
		"from one address": {Quotas{Connections: 9, ConnectionsPerAddress: 2}, func(g *gate) {
			g.enter(a, 0, "")
			g.enter(a, 0, "")
			g.enter(a, 5, CauseConnectionsPerAddress)
			g.enter("::ffff:192.0.2.1", 0, CauseConnectionsPerAddress)
			g.enter(b, 0, "")
			g.leave(a)
			g.enter(a, 0, "")
		}},
		"from one network": {Quotas{ConnectionsPerAddress: 1}, func(g *gate) {
			g.enter("2001:db8:0:1::1", 0, "")
			g.enter("2001:db8:0:1:ffff::2", 0, CauseConnectionsPerAddress)
			g.enter("2001:db8:0:2::1", 0, "")
		}},
		"a second, in all": {Quotas{Handshakes: 3}, func(g *gate) {
			for range 3 {
				g.enter(a, 0, "")
			}
			g.enter(b, 0, CauseHandshakes)
			g.enter(b, 1, "") // owes one
			time.Sleep(time.Second/3 + time.Millisecond)
			g.enter(b, 0, CauseHandshakes)
			time.Sleep(time.Second / 3)
			g.enter(b, 0, "")
			time.Sleep(time.Hour) // no more than a second's worth is saved
			for range 3 {
				g.enter(c, 0, "")
			}
			g.enter(c, 0, CauseHandshakes)
		}},
		"a second, from one address": {Quotas{HandshakesPerAddress: 2}, func(g *gate) {
			g.enter(a, 0, "")
			g.leave(a)
			g.enter(a, 0, "")
			g.leave(a) // to leave does not help
			g.enter(a, 9, CauseHandshakesPerAddress)
			g.enter(b, 0, "")
			time.Sleep(time.Second / 2)
			g.enter(a, 0, "")
			g.enter(a, 0, CauseHandshakesPerAddress)
		}},
		"what one address may not, costs others nothing": {Quotas{Handshakes: 2, HandshakesPerAddress: 1}, func(g *gate) {
			g.enter(a, 0, "")
			for range 10 {
				g.enter(a, 0, CauseHandshakesPerAddress)
			}
			g.enter(b, 0, "")
			g.enter(c, 0, CauseHandshakes)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, tc.quotas)
				tc.act(g)
				for addr, left := range g.inner {
					for range left {
						g.leave(addr)
					}
				}
				time.Sleep(5 * time.Second)
				g.Forget()
				if g.open != 0 || len(g.by) != 0 || g.waiting != 0 || g.last != &g.gone {
					t.Errorf("left over: %d open, %d addresses, %d waiting", g.open, len(g.by), g.waiting)
				}
			})
		})
	}
}

// Many addresses do not make it grow, and it forgets them.
func TestAdmissionForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(Quotas{ConnectionsPerAddress: 1, HandshakesPerAddress: 1})
		come := func(i int) io.Closer {
			place, cause := a.Enter(tcpAddr(t, fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff)), 0)
			if cause != "" {
				t.Fatal(cause)
			}
			return place
		}
		stays := come(0)
		for i := 1; i < 2*strangersMax; i++ {
			_ = come(i).Close()
		}
		if n := len(a.by); n > strangersMax+1 {
			t.Errorf("%d addresses are known", n)
		}
		time.Sleep(2 * time.Second)
		_ = come(1).Close()
		if n := len(a.by); n != 2 {
			t.Errorf("%d addresses are known after a while, and one connection is open", n)
		}
		_ = stays.Close()
		if n := len(a.by); n != 1 {
			t.Errorf("%d addresses are known at the end", n)
		}
	})
}

// The refused of one cause are counted, whoever refuses them.
func TestAdmissionCounts(t *testing.T) {
	a := NewAdmission(Quotas{})
	a.Refused(CauseDescriptors)
	a.Refused(CauseDescriptors)
	if got := a.Refusals(); len(got) != 1 || got[CauseDescriptors] != 2 {
		t.Error(got)
	}
}

func BenchmarkAdmission(b *testing.B) {
	addrs := make([]net.Addr, 1000)
	for i := range addrs {
		addrs[i] = tcpAddr(b, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	for name, q := range map[string]Quotas{
		"in all": {Connections: 10}, "each address": {Connections: 10, ConnectionsPerAddress: 10, HandshakesPerAddress: 1 << 30},
	} {
		b.Run(name, func(b *testing.B) {
			a := NewAdmission(q)
			b.ReportAllocs()
			for i := range b.N {
				place, cause := a.Enter(addrs[i%len(addrs)], 0)
				if cause != "" {
					b.Fatal(cause)
				}
				_ = place.Close()
			}
		})
	}
}
