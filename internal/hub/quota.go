package hub

import (
	"fmt"
	"net/netip"
)

// tally is what sessions are counted by: their action and, of address, application and stream, one or none.
type tally struct {
	action Action
	of     scope
	addr   netip.Addr
	app    string
	key    Key
}

type scope uint8

const (
	inAll scope = iota
	ofAddress
	ofApp
	ofStream
)

func (s scope) String() string {
	return [...]string{"in all", "from this address", "of this application", "of this stream"}[s]
}

// Subscriber is what of an address stands for one subscriber: all of an IPv4 address, the first 64 bits of an IPv6 address.
func Subscriber(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is4() || !addr.IsValid() {
		return addr
	}
	p, _ := addr.WithZone("").Prefix(64) // an IPv6 address has 64 bits
	return p.Addr()
}

// tallies lists the counts that a session is part of.
func tallies(s *session) [4]tally {
	return [...]tally{
		{action: s.action, of: inAll},
		{action: s.action, of: ofAddress, addr: Subscriber(s.Remote.Addr())},
		{action: s.action, of: ofApp, app: s.Key.App},
		{action: s.action, of: ofStream, key: s.Key},
	}
}

// room says whether there is room for one more session, and where not. The session in whose place it would come, nil for none, does not
// count. Under mu.
func (h *Hub) room(s, instead *session) error {
	if s.Key.ofProbe() {
		return h.admitsProbe()
	}
	if err := h.admitsNow(s.action); err != nil {
		return err
	}
	if s.action == ActionPublish {
		if err := h.quarantined(s.Key); err != nil {
			return err
		}
	}
	l, t := &h.cfg().Limits, tallies(s)
	limits := [...]int{l.viewersMost(), l.ViewersPerAddress, l.ViewersPerApp, l.ViewersPerStream}
	if s.action == ActionPublish {
		limits = [...]int{l.Publishers, l.PublishersPerAddress, l.PublishersPerApp, 0}
	}
	var free [len(t)]tally
	if instead != nil {
		free = tallies(instead)
	}
	for i, most := range limits {
		n := h.counts[t[i]]
		if free[i] == t[i] {
			n--
		}
		if (i == 0 || most > 0) && n >= most {
			return fmt.Errorf("%w: %d sessions that %s %v", ErrLimit, most, s.action, t[i].of)
		}
	}
	return nil
}

// publishersPart is the part of all connections, one in so many, that viewers leave to publishers: when everybody comes back at the same
// time, a publisher that does not get in is what all its viewers wait for.
const publishersPart = 16

// viewersMost is how many viewers there may be.
func (l *LimitsConfig) viewersMost() int { return min(l.Viewers, ViewersOf(l.Connections)) }

// ViewersOf is how many of a number of connections viewers may take.
func ViewersOf(connections int) int { return connections - connections/publishersPart }

// load is what the viewers ask for, in bits a second: of the streams' rates as they were measured a moment ago.
type load struct {
	all  float64
	app  map[string]float64
	addr map[netip.Addr]float64 // nil unless there is a limit for addresses
}

// measureLoad sums anew. Under mu.
func (h *Hub) measureLoad() {
	l := load{app: map[string]float64{}}
	for k, p := range h.paths {
		if p.live != nil && !k.ofProbe() {
			rate := float64(p.live.viewers) * p.live.rate()
			l.all += rate
			l.app[k.App] += rate
		}
	}
	if h.cfg().Limits.BandwidthPerAddress > 0 {
		l.addr = map[netip.Addr]float64{}
		for s := range h.sessions {
			if p := h.paths[s.Key]; s.attached && !s.Key.ofProbe() && p != nil && p.live != nil {
				l.addr[Subscriber(s.Remote.Addr())] += p.live.rate()
			}
		}
	}
	h.load = l
}

// assumedRate is what a stream whose rate is not known yet is taken to have, in bits a second.
const assumedRate = 2e6

// rate is about what one viewer asks for, in bits a second.
func (b *broadcast) rate() float64 {
	if r := b.stream.BitRate(); r > 0 {
		return r
	}
	return assumedRate
}

// attach counts a viewer of a broadcast, or refuses it for want of bandwidth. Under mu.
func (h *Hub) attach(s *session, b *broadcast) error {
	if !s.Key.ofProbe() {
		if err := h.burden(s, b); err != nil {
			return err
		}
	}
	b.viewers++
	b.told, s.attached = false, true
	return nil
}

// burden adds a viewer of a broadcast to the load, or refuses it. Under mu.
func (h *Hub) burden(s *session, b *broadcast) error {
	if h.load.app == nil {
		h.measureLoad()
	}
	rate, addr, l := b.rate(), Subscriber(s.Remote.Addr()), &h.cfg().Limits
	for _, q := range [...]struct {
		most int
		used float64
		of   scope
	}{
		{l.Bandwidth, h.load.all, inAll},
		{l.BandwidthPerAddress, h.load.addr[addr], ofAddress},
		{l.BandwidthPerApp, h.load.app[s.Key.App], ofApp},
		{l.BandwidthPerStream, float64(b.viewers) * rate, ofStream},
	} {
		if q.most > 0 && q.used+rate > float64(q.most)*1e6 {
			return fmt.Errorf("%w: %d Mbit/s %v", ErrLimit, q.most, q.of)
		}
	}
	h.load.all += rate
	h.load.app[s.Key.App] += rate
	if h.load.addr != nil {
		h.load.addr[addr] += rate
	}
	return nil
}

// judgeRate ends a publisher that has sent more than it may for some seconds. Under mu, once a second.
func (p *path) judgeRate(then *aftermath) {
	const patience = 5 // seconds: a burst after a stall is no offence
	most := p.hub.cfg().Limits.PublisherBandwidth
	switch l := p.lease; {
	case l == nil || most == 0:
	case p.live.stream.BitRate() <= float64(most)*1e6:
		l.tooFast = 0
	default:
		if l.tooFast++; l.tooFast >= patience {
			p.vacate(fmt.Errorf("%w: more than %d Mbit/s", ErrLimit, most), true, then)
		}
	}
}

// detach undoes attach. The load follows with the next measurement. A broadcast that waited for its viewers' sake ends with the last.
// Under mu.
func (h *Hub) detach(k Key, b *broadcast, then *aftermath) {
	if b.viewers--; b.viewers > 0 {
		return
	}
	b.idle = h.now.Load()
	if p := h.paths[k]; p != nil && p.live == b && p.lease == nil && p.standby == nil {
		p.lapse(then)
	}
}
