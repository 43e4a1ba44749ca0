package egress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// receiver is a UDP socket that judges what it gets.
type receiver struct {
	t    testing.TB
	conn *net.UDPConn
	next uint32 // number of the datagram that is to come
	buf  []byte
}

func listenUDP(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	at, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newReceiver(t testing.TB, network, addr string) *receiver {
	t.Helper()
	r := &receiver{t: t, conn: listenUDP(t, network, addr), buf: make([]byte, 70000)}
	_ = r.conn.SetReadBuffer(4 << 20) // as much as the system allows
	return r
}

func (r *receiver) addr() netip.AddrPort { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// want reads n datagrams of those sizes, in order.
func (r *receiver) want(sizes []int) {
	r.t.Helper()
	_ = r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i, size := range sizes {
		n, _, err := r.conn.ReadFromUDPAddrPort(r.buf)
		if err != nil {
			r.t.Fatalf("datagram %d (%d of %d): %v", r.next, i, len(sizes), err)
		}
		if !bytes.Equal(r.buf[:n], datagram(nil, r.next, size)) {
			r.t.Fatalf("datagram %d has %d bytes, want %d, or others", r.next, n, size)
		}
		r.next++
	}
}

// datagram appends one of a size, whose bytes tell its number.
func datagram(dst []byte, number uint32, size int) []byte {
	from := len(dst)
	for i := 0; len(dst)-from < size; i++ {
		dst = binary.BigEndian.AppendUint32(dst, number+uint32(i)*0x9e3779b9)
	}
	return dst[:from+size]
}

// frames are datagrams of sizes, numbered from first on, as they lie in a share: with headers between them.
func frames(first uint32, sizes []int) (datagrams [][]byte) {
	var ring []byte
	var ends []int
	for i, size := range sizes {
		ring = append(ring, '$', 0, byte(size>>8), byte(size))
		ring = datagram(ring, first+uint32(i), size)
		ends = append(ends, len(ring))
	}
	for i, end := range ends {
		datagrams = append(datagrams, ring[end-sizes[i]:end])
	}
	return datagrams
}

func newOutlet(t testing.TB, network, addr string) *Outlet {
	t.Helper()
	o, err := NewOutlet(listenUDP(t, network, addr))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// all sends until all is sent.
func (o *Outlet) all(t testing.TB, to netip.AddrPort, datagrams [][]byte) {
	t.Helper()
	for tries := 0; len(datagrams) > 0; tries++ {
		n, err := o.Send(to, datagrams)
		if err != nil || tries > 1000 {
			t.Errorf("%d of %d, try %d: %v", n, len(datagrams), tries, err)
			return
		}
		datagrams = datagrams[n:]
	}
}

func repeat(size, n int, more ...int) (sizes []int) {
	for range n {
		sizes = append(sizes, size)
	}
	return append(sizes, more...)
}

var mixes = map[string][]int{
	"picture":        repeat(1200, 8, 700),
	"one":            {900},
	"pictures":       append(append(repeat(1200, 8, 700), repeat(1200, 3, 20)...), 300, 280, 310),
	"sound":          {180, 190, 190, 185, 170, 200, 200, 1},
	"growing":        {100, 200, 300, 400, 500},
	"falling":        {500, 400, 300, 200, 100},
	"key picture":    repeat(1200, 70, 3),
	"whole":          repeat(1200, 64),
	"many small":     repeat(13, 300, 12),
	"too many sizes": repeat(7, 3, mixed(150)...),
	"large":          {40000, 40000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000},
	"empty":          {0, 5, 5, 0, 5, 0},
}

func mixed(n int) (sizes []int) {
	for i := range n {
		sizes = append(sizes, 50+i%7)
	}
	return sizes
}

// paths are all ways of sending between families.
var paths = []struct{ name, from, at, network, to string }{
	{"IPv4", "udp4", "127.0.0.1:0", "udp4", "127.0.0.1:0"},
	{"IPv6", "udp6", "[::1]:0", "udp6", "[::1]:0"},
	{"IPv4 from both", "udp", "[::]:0", "udp4", "127.0.0.1:0"},
	{"IPv6 from both", "udp", "[::]:0", "udp6", "[::1]:0"},
}

// intact sends all mixes by all paths and judges what comes.
func intact(t *testing.T, prepare func(o *Outlet)) {
	t.Helper()
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			o, r := newOutlet(t, p.from, p.at), newReceiver(t, p.network, p.to)
			prepare(o)
			for round := range 3 {
				for name, sizes := range mixes {
					o.all(t, r.addr(), frames(r.next, sizes))
					if r.want(sizes); t.Failed() {
						t.Fatalf("round %d of %q", round, name)
					}
				}
			}
			if o.Lost() != 0 {
				t.Errorf("%d lost", o.Lost())
			}
		})
	}
}

// What is sent comes, as it was, in order.
func TestOutlet(t *testing.T) {
	intact(t, func(*Outlet) {})
}

// An address of IPv4 that is mapped to IPv6 is the same receiver; one of IPv6 cannot be reached from IPv4.
func TestOutletMapped(t *testing.T) {
	o, r := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
	to := netip.AddrPortFrom(netip.AddrFrom16(r.addr().Addr().As16()), r.addr().Port())
	o.all(t, to, frames(0, mixes["pictures"]))
	r.want(mixes["pictures"])
	if n, err := o.Send(netip.MustParseAddrPort("[::1]:9"), frames(0, []int{1})); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := o.Send(netip.AddrPort{}, frames(0, []int{1})); n != 0 || err == nil {
		t.Errorf("to nobody: %d, %v", n, err)
	}
	if n, err := o.Send(to, nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

// A receiver with a zone is found by the zone's name.
func TestOutletZone(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	o, r := newOutlet(t, "udp", "[::]:0"), newReceiver(t, "udp6", "[::1]:0")
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			to := netip.AddrPortFrom(r.addr().Addr().WithZone(i.Name), r.addr().Port())
			o.all(t, to, frames(r.next, []int{10, 10}))
			r.want([]int{10, 10})
		}
	}
	if r.next == 0 {
		t.Error("there is no loopback")
	}
	if _, err := o.Send(netip.MustParseAddrPort("[fe80::1%nowhere]:9"), frames(0, []int{1})); err == nil {
		t.Error("a zone that is not there")
	}
}

// Many send at a time, to several receivers each.
func TestOutletConcurrently(t *testing.T) {
	o := newOutlet(t, "udp", "[::]:0")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r := newReceiver(t, "udp4", "127.0.0.1:0")
			for range 100 {
				for _, name := range []string{"picture", "sound"} {
					o.all(t, r.addr(), frames(r.next, mixes[name]))
					if r.want(mixes[name]); t.Failed() {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// A port that nobody listens on is that receiver's matter.
func TestOutletClosedPort(t *testing.T) {
	for _, connected := range []bool{false, true} {
		o, r, gone := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
		to := gone.addr()
		gone.conn.Close()
		if connected { // only then does the system tell of it
			c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if o, err = NewOutlet(c); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			o.all(t, to, frames(0, mixes["pictures"]))
			o.all(t, r.addr(), frames(r.next, mixes["pictures"]))
			if !connected {
				r.want(mixes["pictures"])
			} else {
				r.next += uint32(len(mixes["pictures"]))
			}
		}
		if lost := o.Lost(); (lost > 0) != connected {
			t.Errorf("connected %v: %d lost", connected, lost)
		}
	}
}

// A datagram that is too large is an error; those before it are sent.
func TestOutletTooLarge(t *testing.T) {
	o, r := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
	n, err := o.Send(r.addr(), frames(0, []int{100, 100, 70000, 100}))
	if n != 2 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d, %v", n, err)
	}
	r.want([]int{100, 100})
}

func TestOutletClosed(t *testing.T) {
	c := listenUDP(t, "udp4", "127.0.0.1:0")
	o, err := NewOutlet(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n, err := o.Send(netip.MustParseAddrPort("127.0.0.1:9"), frames(0, []int{10})); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := NewOutlet(c); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// outletLane is how a room uses an Outlet: records are datagrams.
type outletLane struct {
	o    *Outlet
	to   netip.AddrPort
	list [][]byte
}

func (l *outletLane) Send(b []byte) (n int, err error) {
	l.list = l.list[:0]
	for rest := b; len(rest) > 0; {
		size := records{}.first(rest)
		l.list = append(l.list, rest[:size])
		rest = rest[size:]
	}
	sent, err := l.o.Send(l.to, l.list)
	for _, d := range l.list[:sent] {
		n += len(d)
	}
	return n, err
}

func (*outletLane) Close() {}

// first is the size of the first record.
func (records) first(b []byte) int { return 5 + int(binary.BigEndian.Uint32(b[1:])) }

// The whole way: from a share over a shard, or a portable writer, to a UDP socket.
func TestLaneOverOutlet(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		o := newOutlet(t, "udp4", "127.0.0.1:0")
		var all []*client
		var ends []*receiver
		for range 5 {
			c, end := g.client(r), newReceiver(t, "udp4", "127.0.0.1:0")
			c.link.Divert(&outletLane{o: o, to: end.addr()})
			all, ends = append(all, c.play()), append(ends, end)
		}
		for round := range 10 {
			for i, end := range ends {
				want := types("", len(units))
				if round == 0 {
					want = "HCU"
				}
				if err := end.records(want); err != nil {
					t.Fatalf("round %d, receiver %d: %v", round, i, err)
				}
			}
			units = r.write(20)
		}
		for _, c := range all {
			c.say("q")
			c.reply('q')
			c.cancel(errOver)
			c.over(errOver)
		}
	})
}

// records reads records of those types, one a datagram.
func (r *receiver) records(types string) error {
	_ = r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for _, typ := range []byte(types) {
		n, _, err := r.conn.ReadFromUDPAddrPort(r.buf)
		if err != nil || r.buf[0] != typ || (records{}).first(r.buf) != n {
			return fmt.Errorf("%q in %d bytes, %w: want %q", r.buf[0], n, err, typ)
		}
	}
	return nil
}
