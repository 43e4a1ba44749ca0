package egress

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel stands between an Outlet and the system.
type kernel struct {
	messages, cut, calls int
	refuse               syscall.Errno         // of messages that are to be cut
	fails                map[int]syscall.Errno // by number of the message, those that were not sent included
	room                 int                   // messages that are taken until full; negative: all
}

func (k *kernel) between(o *Outlet) {
	real := o.call
	k.room = -1
	o.call = func(fd uintptr, messages []message) (int, syscall.Errno) {
		k.calls++
		n := 0
		for i := range messages {
			errno := k.judge(&messages[i])
			if errno == 0 {
				_, errno = real(fd, messages[i:i+1])
			}
			if errno != 0 {
				if n > 0 {
					return n, 0 // the error comes with the next call
				}
				if delete(k.fails, k.messages+1); isLost(errno) {
					k.messages++
				}
				return 0, errno
			}
			n++
		}
		return n, 0
	}
}

func (k *kernel) judge(m *message) syscall.Errno {
	cut := m.header.Controllen > 0
	if k.room == 0 {
		return unix.EAGAIN
	}
	if cut && k.refuse != 0 {
		return k.refuse
	}
	if errno := k.fails[k.messages+1]; errno != 0 {
		return errno
	}
	k.messages++
	if k.room > 0 {
		k.room--
	}
	if cut {
		k.cut++
	}
	return 0
}

func TestOutletPlain(t *testing.T) {
	intact(t, func(o *Outlet) { o.whole = true })
}

// The kernel refuses to segment: all comes all the same, and the attempts become rare, until one succeeds.
func TestOutletRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EINVAL, unix.EIO, unix.ENOPROTOOPT, unix.EMSGSIZE} {
		intact(t, func(o *Outlet) { (&kernel{refuse: errno}).between(o) })
	}
	o, r, k := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0"), &kernel{refuse: unix.EIO}
	k.between(o)
	send := func(times int) {
		t.Helper()
		k.calls = 0
		for range times {
			o.all(t, r.addr(), frames(r.next, mixes["picture"]))
			r.want(mixes["picture"])
		}
	}
	if send(refusalsMost); k.calls != 2*refusalsMost {
		t.Errorf("%d calls", k.calls)
	}
	if send(2 * refusalsEvery); k.calls != 2*refusalsEvery+2 {
		t.Errorf("%d calls", k.calls)
	}
	k.refuse = 0
	if send(refusalsEvery); k.cut == 0 || o.refused.Load() != 0 {
		t.Errorf("%d were segmented, refused %d times", k.cut, o.refused.Load())
	}
	k.cut = 0
	if send(10); k.cut != 10 {
		t.Errorf("%d were segmented of 10", k.cut)
	}
	// A way to one receiver that is too narrow costs the others nothing.
	for range 3 * refusalsMost {
		k.refuse = unix.EMSGSIZE
		send(1)
		k.refuse, k.cut = 0, 0
		if send(1); k.cut != 1 {
			t.Fatal("another was not segmented")
		}
	}
}

// As few messages and calls as there can be.
func TestOutletCalls(t *testing.T) {
	for _, tc := range []struct {
		sizes                []int
		messages, cut, calls int
	}{
		{repeat(1200, 8, 700), 1, 1, 1},
		{[]int{900}, 1, 0, 1},
		{repeat(1200, 54), 1, 1, 1}, // 64 800 bytes
		{repeat(1200, 55), 2, 1, 1},
		{repeat(100, 64), 1, 1, 1},
		{repeat(100, 65), 2, 1, 1},
		{repeat(100, 64, 50), 2, 1, 1},
		{repeat(100, 2*64+1), 3, 2, 2}, // datagramsMost
		{append(repeat(1200, 8, 700), repeat(1200, 3, 20)...), 2, 2, 1},
		{[]int{1, 2, 3, 4}, 4, 0, 1},
		{[]int{40000, 40000}, 2, 0, 1},
		{[]int{5, 0, 5, 5}, 3, 1, 1},
	} {
		o, r, k := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0"), &kernel{}
		k.between(o)
		o.all(t, r.addr(), frames(0, tc.sizes))
		r.want(tc.sizes)
		if k.messages != tc.messages || k.cut != tc.cut || k.calls != tc.calls {
			t.Errorf("%v: %d messages, %d of them cut, in %d calls, want %d, %d, %d", tc.sizes, k.messages, k.cut, k.calls, tc.messages, tc.cut, tc.calls)
		}
	}
}

// A socket that is full takes the rest later, wherever it was full.
func TestOutletFull(t *testing.T) {
	sizes := repeat(10, 200, mixes["too many sizes"]...)
	for _, errno := range []syscall.Errno{unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM} {
		for at := range 100 {
			o, r := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
			k := &kernel{fails: map[int]syscall.Errno{at + 1: errno}}
			k.between(o)
			n, err := o.Send(r.addr(), frames(0, sizes))
			if err != nil || n == len(sizes) {
				t.Fatalf("full at message %d: %d, %v", at, n, err)
			}
			r.want(sizes[:n])
			o.all(t, r.addr(), frames(0, sizes)[n:])
			r.want(sizes[n:])
		}
	}
	o, k := newOutlet(t, "udp4", "127.0.0.1:0"), &kernel{}
	k.between(o)
	k.room = 0
	if n, err := o.Send(netip.MustParseAddrPort("127.0.0.1:9"), frames(0, sizes)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What one receiver, or the way there, refuses counts as sent and is counted, and the rest is sent; another error is one.
func TestOutletLost(t *testing.T) {
	sizes := append(repeat(1200, 8, 700), 100, 200, 300) // 4 messages
	for _, errno := range []syscall.Errno{
		unix.ECONNREFUSED, unix.EPERM, unix.EACCES, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.ECONNRESET, unix.EHOSTDOWN,
	} {
		for at, lost := range []int{9, 1, 1, 1} {
			o, r := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
			(&kernel{fails: map[int]syscall.Errno{at + 1: errno}}).between(o)
			if n, err := o.Send(r.addr(), frames(0, sizes)); err != nil || n != len(sizes) || o.Lost() != uint64(lost) {
				t.Errorf("%v at message %d: %d sent, %d lost, %v", errno, at, n, o.Lost(), err)
			}
			if at == 0 {
				r.next = 9
				r.want(sizes[9:])
			} else {
				r.want(sizes[:8+at])
				r.next++
				r.want(sizes[9+at:])
			}
		}
	}
	o, r := newOutlet(t, "udp4", "127.0.0.1:0"), newReceiver(t, "udp4", "127.0.0.1:0")
	(&kernel{fails: map[int]syscall.Errno{3: unix.EBADF}}).between(o)
	if n, err := o.Send(r.addr(), frames(0, sizes)); n != 10 || !errors.Is(err, unix.EBADF) {
		t.Errorf("%d, %v", n, err)
	}
	// The real thing: a socket that is of IPv6 only has no way to IPv4.
	o = newOutlet(t, "udp6", "[::1]:0")
	if n, err := o.Send(r.addr(), frames(0, sizes)); n != len(sizes) || err != nil || o.Lost() != uint64(len(sizes)) {
		t.Errorf("%d sent, %d lost, %v", n, o.Lost(), err)
	}
}

// A small buffer of a real socket: whatever it says, nothing is lost on the way out, nor sent twice.
func TestOutletSmallBuffer(t *testing.T) {
	c := listenUDP(t, "udp4", "127.0.0.1:0")
	if err := c.SetWriteBuffer(1); err != nil { // the system's least
		t.Fatal(err)
	}
	o, err := NewOutlet(c)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, "udp4", "127.0.0.1:0")
	for range 300 {
		sizes := mixes["pictures"]
		for sent := 0; sent < len(sizes); {
			n, err := o.Send(r.addr(), frames(r.next, sizes[sent:]))
			if err != nil {
				t.Fatal(err)
			}
			r.want(sizes[sent : sent+n])
			sent += n
		}
	}
}

// The number of a zone goes into the address, and no zone of a receiver before.
func TestOutletAim(t *testing.T) {
	s := &spool{}
	for zone, want := range map[string]uint32{"%7": 7, "": 0, "%12": 12} {
		if _, _, err := s.aim(netip.MustParseAddrPort("[fe80::1"+zone+"]:258"), true); err != nil || s.six.Scope_id != want {
			t.Errorf("zone %q: %d, %v", zone, s.six.Scope_id, err)
		}
	}
	if port := *(*[2]byte)(unsafe.Pointer(&s.six.Port)); port != [2]byte{1, 2} {
		t.Errorf("port % x", port)
	}
}

// A spool that lies in the pool keeps nobody's bytes alive.
func TestOutletKeepsNothing(t *testing.T) {
	o := newOutlet(t, "udp4", "127.0.0.1:0")
	s := o.spools.New().(*spool)
	name, size, err := s.aim(netip.MustParseAddrPort("127.0.0.1:9"), false)
	if err != nil {
		t.Fatal(err)
	}
	s.load(frames(0, repeat(10, 200)), true, name, size)
	o.putBack(s)
	for i := range s.parts {
		if s.parts[i].Base != nil {
			t.Fatalf("part %d", i)
		}
	}
}

// Nobody reads what is sent here: what the receiver's buffer has no room for is dropped at its end of the kernel.
func BenchmarkOutlet(b *testing.B) {
	list := frames(0, repeat(1200, 9))
	bench := func(name string, whole bool, send func(o *Outlet, to netip.AddrPort) error) {
		b.Run(name, func(b *testing.B) {
			o, to := newOutlet(b, "udp4", "127.0.0.1:0"), listenUDP(b, "udp4", "127.0.0.1:0").LocalAddr().String()
			o.whole = o.whole || whole
			at := netip.MustParseAddrPort(to)
			b.ReportAllocs()
			for b.Loop() {
				if err := send(o, at); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/datagram")
		})
	}
	outlet := func(o *Outlet, to netip.AddrPort) error { _, err := o.Send(to, list); return err }
	bench("segments", false, outlet)
	bench("sendmmsg", true, outlet)
	bench("WriteToUDPAddrPort", true, func(o *Outlet, to netip.AddrPort) error {
		for _, d := range list {
			if _, err := o.conn.WriteToUDPAddrPort(d, to); err != nil {
				return err
			}
		}
		return nil
	})
}
