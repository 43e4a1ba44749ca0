package egress

import (
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What one system call gets at most: it is made without telling the scheduler, and on the loopback the receiver's part is done in it.
const (
	messagesMost  = 64
	datagramsMost = 128
)

// What one message gets at most, by the kernel's rules (UDP_MAX_SEGMENTS, and the length of an IP packet).
const (
	segmentsMost = 64
	segmentBytes = 65000
)

// Segmentation may be refused for the way to one receiver, or for all. So each batch that is refused goes without; after refusalsMost with
// no success between them only one of refusalsEvery tries.
const (
	refusalsMost  = 8
	refusalsEvery = 1024
)

// outletSystem is what an Outlet has on Linux.
type outletSystem struct {
	raw     syscall.RawConn
	six     bool          // the socket is of IPv6
	whole   bool          // the kernel knows no segmentation
	refused atomic.Uint32 // how often segmentation was refused since it last was not
	call    func(fd uintptr, messages []message) (n int, errno syscall.Errno)
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32 // that was sent
}

// segmentation is a control message that says of which size the datagrams are.
type segmentation struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

// spool is what a call of Send works with. The kernel reads it, so it never is on a stack, which may move.
type spool struct {
	messages [messagesMost]message
	counts   [messagesMost]int // datagrams of a message
	parts    [datagramsMost]unix.Iovec
	sizes    [messagesMost]segmentation
	four     unix.RawSockaddrInet4
	six      unix.RawSockaddrInet6

	outlet *Outlet
	used   int // messages
	first  int // of them, that has yet to be sent
	pieces int // parts that are used
	errno  syscall.Errno
	fire   func(fd uintptr) // the method, made once
}

// open asks the system what the socket can do.
func (o *Outlet) open() error {
	raw, err := o.conn.SyscallConn()
	if err != nil {
		return err
	}
	o.raw, o.call = raw, sendMessages
	o.spools.New = func() any {
		s := &spool{outlet: o}
		s.fire = s.send
		return s
	}
	var domain int
	if cerr := raw.Control(func(fd uintptr) {
		domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		_, refused := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		o.whole = refused != nil // an old kernel would overlook the control message, and send all as one datagram
	}); cerr != nil {
		return cerr
	}
	o.six = domain == unix.AF_INET6
	return err
}

func (o *Outlet) send(to netip.AddrPort, datagrams [][]byte) (sent int, err error) {
	s := o.spools.Get().(*spool)
	defer o.putBack(s)
	name, size, err := s.aim(to, o.six)
	if err != nil {
		return 0, err
	}
	cut := o.segments()
	for sent < len(datagrams) {
		s.load(datagrams[sent:], cut, name, size)
		n, refused, err := o.drain(s)
		sent += n
		switch {
		case err != nil && isFull(err):
			return sent, nil
		case err != nil:
			return sent, err
		case refused:
			o.refused.Add(1)
			cut = false
		}
	}
	return sent, nil
}

// drain sends what is loaded, and says how many datagrams that were. refused means that what is left cannot be segmented.
func (o *Outlet) drain(s *spool) (sent int, refused bool, err error) {
	for s.first < s.used {
		from := s.first
		if err = o.raw.Control(s.fire); err != nil {
			return sent, false, err
		}
		cut := false
		for _, n := range s.counts[from:s.first] {
			sent += n
			cut = cut || n > 1
		}
		if cut && o.refused.Load() != 0 {
			o.refused.Store(0)
		}
		switch errno := s.errno; {
		case errno == 0:
		case s.counts[s.first] > 1 && (errno == unix.EINVAL || errno == unix.EIO || errno == unix.ENOPROTOOPT || errno == unix.EMSGSIZE):
			return sent, true, nil
		case isLost(errno):
			o.lost.Add(uint64(s.counts[s.first])) //nolint:gosec // not negative
			sent += s.counts[s.first]
			s.first++
		default:
			return sent, false, errno
		}
	}
	return sent, false, nil
}

// segments says whether to try segmentation.
func (o *Outlet) segments() bool {
	return !o.whole && (o.refused.Load() < refusalsMost || o.refused.Add(1)%refusalsEvery == 0)
}

// send makes the system call for the messages that are left. It ends before one that failed, with its error.
func (s *spool) send(fd uintptr) {
	n, errno := s.outlet.call(fd, s.messages[s.first:s.used])
	if s.errno = errno; errno == 0 {
		s.first += n
	}
}

// sendMessages is sendmmsg, which does not wait. It fails if the first message does.
func sendMessages(fd uintptr, messages []message) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

// aim writes the receiver's address, in the words of the socket's family.
func (s *spool) aim(to netip.AddrPort, six bool) (name *byte, size uint32, err error) {
	addr := to.Addr()
	switch {
	case !addr.IsValid():
		return nil, 0, unix.EDESTADDRREQ
	case !six && !addr.Unmap().Is4():
		return nil, 0, errNoIPv6
	case !six:
		s.four = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.As4()}
		putPort(&s.four.Port, to.Port())
		return (*byte)(unsafe.Pointer(&s.four)), unix.SizeofSockaddrInet4, nil
	}
	s.six = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16()}
	putPort(&s.six.Port, to.Port())
	if zone := addr.Zone(); zone != "" {
		if s.six.Scope_id, err = scope(zone); err != nil {
			return nil, 0, err
		}
	}
	return (*byte)(unsafe.Pointer(&s.six)), unix.SizeofSockaddrInet6, nil
}

// putPort writes a port as the network has it.
func putPort(at *uint16, port uint16) {
	*(*[2]byte)(unsafe.Pointer(at)) = [2]byte{byte(port >> 8), byte(port)}
}

// scope is the number of a zone.
func scope(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil //nolint:gosec // as the kernel has it
}

// load makes messages of as many datagrams as there is room for.
func (s *spool) load(datagrams [][]byte, cut bool, name *byte, size uint32) {
	s.used, s.first, s.pieces = 0, 0, 0
	for len(datagrams) > 0 && s.used < messagesMost && s.pieces < datagramsMost {
		n := 1
		if cut {
			n = run(datagrams[:min(len(datagrams), datagramsMost-s.pieces)])
		}
		s.add(datagrams[:n], name, size)
		datagrams = datagrams[n:]
	}
}

// run is how many datagrams from the first on can be one message.
func run(datagrams [][]byte) int {
	size := len(datagrams[0])
	if size == 0 {
		return 1
	}
	n := 1
	for most := min(len(datagrams), segmentsMost, segmentBytes/size); n < most; n++ {
		switch next := len(datagrams[n]); {
		case next == 0 || next > size:
			return n
		case next < size:
			return n + 1
		}
	}
	return n
}

// add makes a message of a run.
func (s *spool) add(run [][]byte, name *byte, size uint32) {
	m := &s.messages[s.used]
	*m = message{header: unix.Msghdr{Name: name, Namelen: size, Iov: &s.parts[s.pieces]}}
	m.header.SetIovlen(len(run))
	for i, d := range run {
		part := &s.parts[s.pieces+i]
		part.Base = unsafe.SliceData(d)
		part.SetLen(len(d))
	}
	if len(run) > 1 {
		c := &s.sizes[s.used]
		*c = segmentation{size: uint16(len(run[0]))} //nolint:gosec // of several in segmentBytes
		c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.header.SetLen(unix.CmsgLen(2))
		m.header.Control = (*byte)(unsafe.Pointer(c))
		m.header.SetControllen(unix.CmsgSpace(2))
	}
	s.counts[s.used] = len(run)
	s.used++
	s.pieces += len(run)
}

// putBack lets others use the spool, which keeps nobody's bytes.
func (o *Outlet) putBack(s *spool) {
	clear(s.parts[:])
	o.spools.Put(s)
}
