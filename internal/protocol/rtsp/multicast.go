package rtsp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"sync"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/tunnel"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
	"github.com/vigil-media/vigil/internal/stream"
)

// MulticastConfig is the section "rtsp.multicast".
type MulticastConfig struct {
	Range     netip.Prefix `yaml:"range" doc:"IPv4 addresses of groups, such as 239.192.0.0/20 (RFC 2365). Each stream that players ask for by multicast gets one, to which it is sent once for all of them, and which everybody in its reach can hear, users and passwords or not; empty: off"`
	Ports     PortRange    `yaml:"ports" doc:"ports of groups, in pairs: each media of a stream that is multicast has a pair that no other has"`
	TTL       int          `yaml:"ttl" doc:"how many hops what is multicast may go: 1 stays in the network of the server, each router on the way takes one (1 to 255)"`
	Interface string       `yaml:"interface" doc:"network interface by which it leaves, such as eth0; empty: as the system's routes say"`
}

// linkLocal is what routers and hosts talk on among themselves (RFC 5771, 4).
//
//nolint:gochecknoglobals // a constant
var linkLocal = netip.PrefixFrom(netip.AddrFrom4([4]byte{224, 0, 0, 0}), 24)

// validate refuses settings that cannot work.
func (c *MulticastConfig) validate() error {
	on := c.Range.IsValid()
	switch {
	case on && (!c.Range.Addr().Is4() || !c.Range.Masked().Addr().IsMulticast() || c.Range.Overlaps(linkLocal)):
		return fmt.Errorf("multicast.range: %v is no range of IPv4 groups, such as 239.192.0.0/20", c.Range)
	case on && c.Ports.Pairs() == 0:
		return errors.New("multicast.ports: empty, but there is a range of groups")
	case c.TTL < 1 || c.TTL > 255:
		return fmt.Errorf("multicast.ttl: %d is not between 1 and 255", c.TTL)
	}
	return nil
}

// groups are the multicast groups to which streams are sent (RFC 2326, 12.39). Without a socket there are none. All methods may be called
// from any goroutine.
type groups struct {
	cfg   *MulticastConfig
	ports ports // one socket, from which all RTP and RTCP is sent

	mu    sync.Mutex // guards what follows, and what groups say it does; memory only
	all   map[groupKey]*group
	addrs map[netip.Addr]struct{} // that are taken
	pairs map[int]struct{}        // of ports, the same
}

// groupKey is what is sent to a group: the tracks of a stream, as they were described.
type groupKey struct {
	stream *stream.Stream
	share  shareKey
}

// errNoGroup means that there is no free address, or not enough free ports.
var errNoGroup = errors.New("no multicast group is free")

// openGroups opens the socket. A network without UDP has no groups.
func (s *server) openGroups(ctx context.Context) error {
	g := &s.groups
	g.cfg = &s.cfg.Multicast
	if !g.cfg.Range.IsValid() {
		return nil
	}
	host, _, err := net.SplitHostPort(s.cfg.Listen.String())
	if err != nil {
		return err
	}
	if addr, bad := netip.ParseAddr(host); g.cfg.Interface != "" || bad == nil && !addr.Unmap().Is4() {
		host = "" // the interface's own address; and groups are of IPv4
	}
	conn, err := s.env.Net.ListenPacket(ctx, net.JoinHostPort(host, "0"))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rtsp.multicast: %w", err)
	}
	g.ports.rtp = conn
	if err = setMulticast(conn, g.cfg); err != nil {
		return conf.Problems{{Key: "rtsp.multicast.interface", Message: err.Error()}}
	}
	_ = conn.SetReadBuffer(0) // nobody reads it: the kernel is to keep as little as it can
	out, err := egress.NewOutlet(conn)
	g.ports.out = [2]*egress.Outlet{out, out}
	return err
}

// take returns the group of what is sent, which is the same for all that ask; name and lanes say what it is. It is to be released. The error
// is errNoGroup.
func (g *groups) take(k groupKey, name hub.Key, lanes []rtp.Lane) (*group, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if one := g.all[k]; one != nil {
		one.users++
		return one, nil
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name.String() + "\n" + k.share.lanes)) // it does not fail
	sum := h.Sum64()
	addr, ok := g.freeAddr(uint32(sum)) //nolint:gosec // half of it
	if !ok {
		return nil, fmt.Errorf("%w: %d are in use", errNoGroup, len(g.addrs))
	}
	pairs := g.freePairs(int(sum>>33), len(lanes)) //nolint:gosec // 31 bits
	if pairs == nil {
		return nil, fmt.Errorf("%w: %d pairs of ports are in use", errNoGroup, len(g.pairs))
	}
	one := &group{groups: g, key: k, name: name, lanes: lanes, addr: addr, pairs: pairs, users: 1, members: map[*player]wishes{}}
	one.targets.Store(new([]receiver))
	if g.all == nil {
		g.all, g.addrs, g.pairs = map[groupKey]*group{}, map[netip.Addr]struct{}{}, map[int]struct{}{}
	}
	g.all[k], g.addrs[addr] = one, struct{}{}
	for _, n := range pairs {
		g.pairs[n] = struct{}{}
	}
	return one, nil
}

// freeAddr returns the first free address of the range from the one that hash says on: a stream has the same each time, if it can. Under mu.
func (g *groups) freeAddr(hash uint32) (netip.Addr, bool) {
	r := g.cfg.Range.Masked()
	first, size := r.Addr().As4(), uint64(1)<<(32-r.Bits())
	base := uint64(binary.BigEndian.Uint32(first[:]))
	for i := range min(size, uint64(len(g.addrs))+1) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(base+(uint64(hash)+i)%size)) //nolint:gosec // within the range
		addr := netip.AddrFrom4(a)
		if _, taken := g.addrs[addr]; !taken {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// freePairs returns n free pairs of ports, by their numbers, the first from the one that hash says on; nil if there are not so many. Ports are
// not shared by groups, since a host that hears two would have the packets of both at one port. Under mu.
func (g *groups) freePairs(hash, n int) (pairs []int) {
	all := g.cfg.Ports.Pairs()
	for i := 0; i < min(all, len(g.pairs)+n) && len(pairs) < n; i++ {
		pair := (hash + i) % all
		if _, taken := g.pairs[pair]; !taken {
			pairs = append(pairs, pair)
		}
	}
	if len(pairs) < n {
		return nil
	}
	return pairs
}

// release gives the group back: its address is free once nobody has been told of it.
func (one *group) release() {
	g := one.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	if one.users--; one.users > 0 {
		return
	}
	delete(g.all, one.key)
	delete(g.addrs, one.addr)
	for _, n := range one.pairs {
		delete(g.pairs, n)
	}
}

// numbers are the ports of media i.
func (one *group) numbers(i int) [2]int {
	port := one.groups.cfg.Ports.Pair(one.pairs[i])
	return [2]int{port, port + 1}
}

// direct says whether the peer's connection is one over which it can be told of datagrams: RTSPS would have them in the clear, and who
// comes through HTTP cannot hear them.
func (s *session) direct() bool {
	_, tunnelled := s.conn.Conn.(*tunnel.Conn)
	return !s.secure && !tunnelled
}

// multicast returns the transport for a peer that asks to hear a media by multicast, or nil if there is none. Where it goes is the server's
// to say: what the peer suggests would be a way to flood others.
func (p *playing) multicast(s *session, m *playMedia) *wire.Transport {
	if s.groups.ports.rtp == nil || !s.direct() {
		return nil
	}
	if p.group == nil {
		lanes := make([]rtp.Lane, len(p.medias))
		for i := range p.medias {
			lanes[i] = p.medias[i].lane
		}
		name := p.viewing.Request().Key
		g, err := s.groups.take(groupKey{p.viewing.Stream(), keyOf(lanes)}, name, lanes)
		if err != nil {
			p.crowded = true
			s.refusal(hub.ActionPlay, err).Warn("refused multicast", "stream", name, "remote", s.remote, "cause", err)
			return nil
		}
		p.group = g
	}
	for i := range p.medias {
		if &p.medias[i] == m {
			return &wire.Transport{
				Multicast: true, Destination: p.group.addr, GroupPorts: p.group.numbers(i), TTL: s.cfg.Multicast.TTL,
			}
		}
	}
	return nil
}

// wishes says which medias a viewer of a group has asked for: a bit for each.
type wishes uint64

// wishes are those of who is about to play; none if that is not by multicast.
func (p *playing) wishes() (w wishes) {
	for i, m := range p.medias {
		if m.transport != nil && m.transport.Multicast {
			w |= 1 << i
		}
	}
	return w
}

// leaveGroup gives the group back that was found for the peer, if there is one.
func (p *playing) leaveGroup() {
	if p.group != nil {
		p.group.release()
		p.group = nil
	}
}
