package rtsp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// pairTries is how many pairs of ports are tried that others may have.
const pairTries = 100

// errNoPorts means that there is no free pair of ports.
var errNoPorts = errors.New("no free pair of UDP ports")

// errPending means that too many have ports and do not publish.
var errPending = errors.New("too many UDP ports wait for a RECORD")

// ports is the pair of sockets from which all that play by UDP are served; without sockets, nobody is.
type ports struct {
	numbers   [2]int
	rtp, rtcp *net.UDPConn
	out       [2]*egress.Outlet // of RTP and RTCP
	foreign   atomic.Uint64     // datagrams of nobody who plays
}

func (p *ports) close() {
	for _, c := range []*net.UDPConn{p.rtp, p.rtcp} {
		if c != nil {
			_ = c.Close() // nothing can be done about it
		}
	}
}

// openPorts opens the pair. A network without UDP has none.
func (s *server) openPorts(ctx context.Context) error {
	if s.cfg.UDPPorts.Pairs() == 0 {
		return nil
	}
	pair, number, err := s.openPair(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rtsp.udp_ports: %w", err)
	}
	p := &s.ports
	p.rtp, p.rtcp, p.numbers = pair[0], pair[1], [2]int{number, number + 1}
	for i, c := range pair {
		if p.out[i], err = egress.NewOutlet(c); err != nil {
			return err
		}
	}
	return nil
}

// openPair opens an even port and the next (RFC 3550, 11), any that are free.
func (s *server) openPair(ctx context.Context) (pair [2]*net.UDPConn, number int, err error) {
	host, _, err := net.SplitHostPort(s.cfg.Listen.String())
	if err != nil {
		return pair, 0, err
	}
	n := s.cfg.UDPPorts.Pairs()
	first := rand.IntN(n) //nolint:gosec,forbidigo // it only spreads them
	for i := range min(n, pairTries) {
		number = s.cfg.UDPPorts.Pair((first + i) % n)
		if pair, err = s.open(ctx, host, number); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return pair, number, err
		}
	}
	return pair, 0, errNoPorts
}

func (s *server) open(ctx context.Context, host string, number int) (pair [2]*net.UDPConn, err error) {
	for i := range pair {
		pair[i], err = s.env.Net.ListenPacket(ctx, net.JoinHostPort(host, strconv.Itoa(number+i)))
		if err != nil {
			if i > 0 {
				_ = pair[0].Close()
			}
			return [2]*net.UDPConn{}, err
		}
	}
	return pair, nil
}

// lane takes the packets of a player to its ports. It implements egress.Lane; one goroutine at a time uses it.
type lane struct {
	ports *ports
	to    []receiver
}

// receiver is where a media goes.
type receiver struct {
	channel   byte // of RTP
	rtp, rtcp netip.AddrPort
}

// add has a media sent to two ports of an address.
func (l *lane) add(m rtp.Lane, addr netip.Addr, ports [2]int) {
	l.to = append(l.to, receiver{
		m.RTP, netip.AddrPortFrom(addr, uint16(ports[0])), netip.AddrPortFrom(addr, uint16(ports[1])), //nolint:gosec // wire has checked them
	})
}

// datagramsMost is how many packets are given to the kernel at once.
const datagramsMost = 256

//nolint:gochecknoglobals // memory that is used again
var datagramLists = sync.Pool{New: func() any { return new([datagramsMost][]byte) }}

// Send implements egress.Lane.
func (l *lane) Send(b []byte) (n int, err error) {
	list := datagramLists.Get().(*[datagramsMost][]byte)
	defer datagramLists.Put(list)
	for n < len(b) {
		out, to, count, size := l.gather(b[n:], list)
		if out == nil {
			n += size // nobody has asked for it
			continue
		}
		sent, err := out.Send(to, list[:count])
		for _, d := range list[:sent] {
			n += wire.FrameHead + len(d)
		}
		if errors.Is(err, syscall.EMSGSIZE) && sent < count { // a frame can be longer than a datagram: it is lost, its player is not
			n += wire.FrameHead + len(list[sent])
			continue
		}
		if err != nil || sent < count {
			return n, err
		}
	}
	return n, nil
}

// gather puts the packets at the front of b that go to one place into list, and says where that is. Their bytes in b are size.
func (l *lane) gather(b []byte, list *[datagramsMost][]byte) (out *egress.Outlet, to netip.AddrPort, count, size int) {
	first := -1
	for count < datagramsMost && len(b)-size >= wire.FrameHead {
		f := b[size:]
		channel, length := f[1], int(f[2])<<8|int(f[3])
		if first >= 0 && int(channel) != first || len(f) < wire.FrameHead+length {
			break
		}
		first = int(channel)
		list[count] = f[wire.FrameHead : wire.FrameHead+length]
		count++
		size += wire.FrameHead + length
	}
	if count == 0 { // no whole frame: not to be expected
		return nil, to, 0, len(b)
	}
	for _, r := range l.to {
		switch first {
		case int(r.channel):
			return l.ports.out[0], r.rtp, count, size
		case int(r.channel) + 1:
			return l.ports.out[1], r.rtcp, count, size
		}
	}
	return nil, to, 0, size
}

// Close implements egress.Lane.
func (*lane) Close() {}

// reportPause is how long nothing is heard after an error.
const reportPause = time.Millisecond

// hearReports takes the receiver reports of those who play by UDP, which say that they live, until ctx ends.
func (s *server) hearReports(ctx context.Context) error {
	b := make([]byte, 2<<10)
	for {
		n, from, err := s.ports.rtcp.ReadFromUDPAddrPort(b)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its end is asked for
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			select { // what the network says of somebody who has gone, as a rule; nothing that lasts may keep a processor busy
			case <-time.After(reportPause):
			case <-ctx.Done():
			}
			continue
		}
		if r := s.players.find(unmapped(from)); r.player != nil {
			r.player.note()
			r.player.report(r.channel, b[:n])
		} else {
			s.ports.foreign.Add(1)
		}
	}
}

// unmapped is an address as it is without IPv6 around it.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// pending counts the pairs of ports of those who have not come as far as to publish: nobody has been asked yet whether they may. The zero
// value is ready; all methods may be called from any goroutine.
type pending struct {
	mu  sync.Mutex // guards what follows; memory only
	all int
	by  map[netip.Addr]int
}

// pendingMost is how many pairs of one subscriber wait; of all, half of the pairs that there are.
const pendingMost = 64

// enter says whether there may be one more, of so many pairs. It is to leave.
func (p *pending) enter(from netip.Addr, pairs int) bool {
	from = hub.Subscriber(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= max(pairs/2, 1) || p.by[from] >= pendingMost {
		return false
	}
	if p.by == nil {
		p.by = map[netip.Addr]int{}
	}
	p.all++
	p.by[from]++
	return true
}

func (p *pending) leave(from netip.Addr) {
	from = hub.Subscriber(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.by[from]--; p.by[from] == 0 {
		delete(p.by, from)
	}
}
