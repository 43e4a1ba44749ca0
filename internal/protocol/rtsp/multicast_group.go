package rtsp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// group is a multicast group with those who play from it, its members.
//
// A member is a player like others, so that it is heard, counted, kicked and ended like them; only that its link is paused for good,
// from the start: nothing is sent on its connection, and a paused viewer is a position that costs nothing. What is multicast goes
// through one more link, the sender's, with a viewer of the share that all others of the same tracks have too. That link has no
// peer: a pipe takes the place of its connection, so the portable writer serves it, on a goroutine of its own, and all that egress
// knows of lanes (pace, a full socket, stalls, panics, the end) holds for it without a line in egress.
type group struct {
	groups *groups
	key    groupKey
	name   hub.Key
	lanes  []rtp.Lane // all that were described, with their usual channels
	addr   netip.Addr
	pairs  []int // of ports, one for each lane

	// Under the lock of groups.
	users   int // sessions that were told of it, members included
	members map[*player]wishes
	sender  *sender // nil: nobody plays

	targets atomic.Pointer[[]receiver] // where what anybody has asked for goes
}

// errUnheard is why the sender of a group ends whose last member has left.
var errUnheard = errors.New("the last viewer has left")

// target notes where what members have asked for goes. When none is left it stays as it is, for the last words. Under the lock.
func (one *group) target() {
	var all wishes
	for _, w := range one.members {
		all |= w
	}
	if all == 0 {
		return
	}
	var to []receiver
	for i, l := range one.lanes {
		if all&(1<<i) != 0 {
			n := one.numbers(i)
			to = append(to, receiver{
				l.RTP, netip.AddrPortFrom(one.addr, uint16(n[0])), netip.AddrPortFrom(one.addr, uint16(n[1])), //nolint:gosec // ports
			})
		}
	}
	one.targets.Store(&to)
}

// enter makes p a member, just before its link is played. The first has the stream sent, from the newest key unit on, until the last has
// left or ctx ends, which is the room's.
func (one *group) enter(ctx context.Context, p *player, w wishes) {
	g := one.groups
	g.mu.Lock()
	one.members[p] = w
	one.target()
	first := one.sender == nil
	if first {
		ctx, one.sender = newSender(ctx, one, p.server)
	}
	s := one.sender
	g.mu.Unlock()
	if first {
		s.begin(ctx, p)
	}
}

// leave takes a member out, and gives its hold on the group back. The last takes the sender with it, unless that has the last of a stream
// that has ended to send, after which it ends by itself.
func (one *group) leave(p *player) {
	g := one.groups
	g.mu.Lock()
	delete(one.members, p)
	one.target()
	var s *sender
	if len(one.members) == 0 {
		s, one.sender = one.sender, nil
	}
	g.mu.Unlock()
	if s != nil && one.key.stream.Ended() == nil {
		s.end(errUnheard)
	}
	one.release()
}

// sender sends a stream to a group. It is the session of a link without a peer, and its lane.
type sender struct {
	*group
	server *server
	end    context.CancelCauseFunc
	viewer *stream.Viewer // nil: there was none to be had
	lane   lane
	lost   uint64 // datagrams of all groups that were refused, when it began
	told   bool   // that some are
}

func newSender(ctx context.Context, one *group, room *server) (context.Context, *sender) {
	s := &sender{group: one, server: room}
	ctx, s.end = context.WithCancelCause(ctx)
	return ctx, s
}

// begin starts sending, for the first member.
//
// The viewer is that of the member's session, so that the hub counts what is sent once, as that member's. When the member leaves,
// the viewer has no claim on the share any more, but reads on: the other members' viewers have one each.
func (s *sender) begin(ctx context.Context, first *player) {
	room := s.server
	v, err := first.viewing.Watch(s.key.share, func() stream.Muxer {
		return room.packer(s.lanes, first.viewing.Stream())
	})
	if err != nil { // the stream has ended just now
		s.Ended(err)
		return
	}
	s.viewer, s.lane.ports, s.lost = v, &s.groups.ports, s.groups.ports.out[0].Lost()
	room.env.Log.Info("multicasting", "protocol", "rtsp", "stream", s.name, "group", s.addr, "port", s.numbers(0)[0])
	near, _ := net.Pipe()
	link := room.env.Egress.Link(near, s)
	link.Divert(s)
	link.Play(ctx, v)
}

// Send implements egress.Lane.
func (s *sender) Send(b []byte) (n int, err error) {
	s.lane.to = *s.targets.Load()
	n, err = s.lane.Send(b)
	if !s.told && s.groups.ports.out[0].Lost() != s.lost {
		s.told = true
		s.server.env.Log.Warn("the system refuses what is multicast: is there a route for it?",
			"protocol", "rtsp", "stream", s.name, "group", s.addr)
	}
	return n, err
}

// Close implements egress.Lane.
func (*sender) Close() {}

// Hear implements egress.Session. Nobody says anything.
func (*sender) Hear([]byte) error { return nil }

// Farewell implements egress.Session: the group is told that the stream is over (RFC 3550, 6.6). It is not told that the last member has
// left: somebody may be about to come, who would take that for the end.
func (s *sender) Farewell(cause error) []byte {
	end := s.key.stream.Ended()
	packer, ok := s.viewer.Muxer().(*rtp.Packer)
	if end != nil && errors.Is(cause, end) && ok {
		_, _ = s.Send(packer.AppendBye(nil, 0)) // any moment of its time will do; the end of the connection says it too
	}
	return nil
}

// Ended implements egress.Session. Members who are still there have nothing to hear any more: they end for the same reason. At the end of
// the stream they do so by themselves.
func (s *sender) Ended(cause error) {
	s.end(nil)
	var left []*player
	g := s.groups
	g.mu.Lock()
	if s.sender == s {
		s.sender = nil
		for p := range s.members {
			left = append(left, p)
		}
	}
	g.mu.Unlock()
	if s.key.stream.Ended() == nil {
		for _, p := range left {
			p.viewing.Release(cause)
		}
	}
	if s.viewer != nil {
		s.server.env.Log.Info("stopped multicasting", "protocol", "rtsp", "stream", s.name, "group", s.addr, "cause", cause,
			"sent_bytes", s.viewer.Sent())
	}
}
