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

// tallies lists the counts that a session is part of.
func tallies(s *session) [4]tally {
	return [...]tally{
		{action: s.action, of: inAll},
		{action: s.action, of: ofAddress, addr: s.Remote.Addr()},
		{action: s.action, of: ofApp, app: s.Key.App},
		{action: s.action, of: ofStream, key: s.Key},
	}
}

// room says whether there is room for one more session, and where not. The session in whose place it would come, nil for none, does not
// count. Under mu.
func (h *Hub) room(s, instead *session) error {
	if err := h.admitsNow(s.action); err != nil {
		return err
	}
	l, t := &h.cfg.Limits, tallies(s)
	limits := [...]int{l.Viewers, l.ViewersPerAddress, l.ViewersPerApp, l.ViewersPerStream}
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

// load is what the viewers ask for, in bits a second: of the streams' rates as they were measured a moment ago.
type load struct {
	all float64
	app map[string]float64
}

// measure sums anew. Under mu.
func (l *load) measure(paths map[Key]*path) {
	l.all, l.app = 0, map[string]float64{}
	for k, p := range paths {
		if p.live != nil {
			l.add(k.App, float64(p.live.viewers)*p.live.stream.BitRate())
		}
	}
}

func (l *load) add(app string, rate float64) {
	if rate > 0 {
		l.all += rate
		if l.app == nil {
			l.app = map[string]float64{}
		}
		l.app[app] += rate
	}
}

// attach counts a viewer of a broadcast, or refuses it for want of bandwidth. Under mu.
func (h *Hub) attach(k Key, b *broadcast) error {
	rate, l := b.stream.BitRate(), &h.cfg.Limits
	for _, q := range [...]struct {
		most int
		used float64
		of   scope
	}{{l.Bandwidth, h.load.all, inAll}, {l.BandwidthPerApp, h.load.app[k.App], ofApp}} {
		if q.most > 0 && q.used+rate > float64(q.most)*1e6 {
			return fmt.Errorf("%w: %d Mbit/s %v", ErrLimit, q.most, q.of)
		}
	}
	h.load.add(k.App, rate)
	b.viewers++
	b.told = false
	return nil
}

// detach undoes attach. The load follows with the next measurement. Under mu.
func (h *Hub) detach(b *broadcast) {
	if b.viewers--; b.viewers == 0 {
		b.idle = h.now.Load()
	}
}
