package rtsp

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// recording is what a peer has announced that it will publish.
type recording struct {
	target target
	base   string // the URL as it was sent
	medias []recordMedia
	pair   [2]*net.UDPConn // for what comes by UDP; nil: none
	ports  [2]int
	settle func() // gives back what the pair took of pending; nil: nothing
}

// recordMedia is one media of it.
type recordMedia struct {
	rtp.Media
	id        int             // of the track
	transport *wire.Transport // as agreed; nil: not yet
}

// close gives up the ports.
func (r *recording) close() {
	r.begun()
	for _, c := range r.pair {
		if c != nil {
			_ = c.Close() // nothing can be done about it
		}
	}
}

// announce takes the description of what the peer will publish.
func (s *session) announce(r *wire.Request) error {
	s.forget(nil)
	t, err := targetOf(r.URL)
	if err == nil {
		_, err = s.ask(t)
	}
	var d *rtp.Description
	if err == nil {
		if d, err = rtp.ParseSDP(r.Body); err != nil {
			err = fmt.Errorf("%w: %w", errDescription, err)
		}
	}
	if err == nil && len(d.Medias) > mediasMax {
		err = fmt.Errorf("%w: %d medias", hub.ErrLimit, len(d.Medias))
	}
	if err != nil {
		return s.unpublished(r, t, err)
	}
	s.record = &recording{target: t, base: strings.Clone(r.URL), medias: number(d.Medias)}
	usable := 0
	for _, m := range s.record.medias {
		if m.usable() {
			usable++
		}
	}
	if usable == 0 {
		return s.unpublished(r, t, errNoMedia)
	}
	return s.respond(r, answer{code: base.StatusOK})
}

// unpublished ends a session whose peer does not get to publish.
func (s *session) unpublished(r *wire.Request, t target, cause error) error {
	s.refused(hub.ActionPublish, t.name(), cause)
	return s.refuse(r, cause)
}

// begun says that the publisher has been let in, or that it never will be: its ports wait for nobody's word any more.
func (r *recording) begun() {
	if r.settle != nil {
		r.settle()
		r.settle = nil
	}
}

// usable says whether the media is one that is published.
func (m *recordMedia) usable() bool { return m.Format != nil && !m.Back }

// number gives the medias the IDs of their tracks: those that publishers by other protocols give the first video and the first sound, so
// that they go on with each other's streams.
func number(medias []rtp.Media) []recordMedia {
	const first, second, rest = 1, 2, 3
	all := make([]recordMedia, len(medias))
	taken, next := map[int]bool{}, rest
	for i, m := range medias {
		all[i].Media = m
		id := 0
		switch m.Kind {
		case av.Video:
			id = first
		case av.Audio:
			id = second
		case av.Data:
		}
		if id == 0 || taken[id] || !all[i].usable() {
			id = next
			next++
		}
		taken[id] = true
		all[i].id = id
	}
	return all
}

// setupRecord agrees with a publisher on how a media comes from it. What cannot be used is agreed on too, and ignored: it would cost the
// others.
func (s *session) setupRecord(ctx context.Context, r *wire.Request) error {
	offers, err := wire.ParseTransports(r.Header["Transport"])
	if err != nil {
		return s.respond(r, answer{code: base.StatusUnsupportedTransport})
	}
	m := s.record.media(r.URL)
	if m == nil {
		return s.respond(r, answer{code: base.StatusNotFound})
	}
	for _, o := range offers {
		chosen, err := s.receive(ctx, m, o)
		if err != nil {
			return s.unpublished(r, s.record.target, err)
		}
		if chosen != nil {
			m.transport = chosen
			return s.agreed(r, *chosen)
		}
	}
	return s.respond(r, answer{code: base.StatusUnsupportedTransport})
}

// media returns the media with a URL, or, if there is none, the first that has not been asked for.
func (r *recording) media(raw string) *recordMedia {
	var next *recordMedia
	for i := range r.medias {
		m := &r.medias[i]
		if fits(raw, r.base, m.Control) {
			return m
		}
		if next == nil && m.transport == nil {
			next = m
		}
	}
	return next
}

// receive returns the transport for an offer, or nil if there is none. All medias of a session take the same way.
func (s *session) receive(ctx context.Context, m *recordMedia, o wire.Transport) (*wire.Transport, error) {
	rec := s.record
	for i := range rec.medias {
		other := &rec.medias[i]
		if t := other.transport; t != nil && other != m && (t.TCP != o.TCP || t.TCP && overlap(t.Channels, o.Channels)) {
			return nil, nil //nolint:nilnil // no transport
		}
	}
	switch {
	case o.Secure, o.Multicast:
		return nil, nil //nolint:nilnil // the same
	case o.TCP:
		c := o.Channels
		if c[0] < 0 || c[0] == c[1] {
			c = rec.free()
		}
		return &wire.Transport{TCP: true, Channels: c, Record: true}, nil
	case s.ports.rtp == nil || s.secure || o.Ports[0] == 0 || !s.remote.IsValid():
		return nil, nil //nolint:nilnil // the same
	}
	if rec.pair[0] == nil {
		from := s.remote.Addr()
		if !s.pending.enter(from, s.cfg.UDPPorts.Pairs()) {
			return nil, fmt.Errorf("%w: %w", hub.ErrLimit, errPending)
		}
		rec.settle = func() { s.pending.leave(from) }
		pair, number, err := s.openPair(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", hub.ErrLimit, err)
		}
		rec.pair, rec.ports = pair, [2]int{number, number + 1}
	}
	return &wire.Transport{Ports: o.Ports, ServerPorts: rec.ports, Record: true}, nil
}

// free returns channels that no media has.
func (r *recording) free() [2]int {
	for i := range mediasMax {
		c, taken := [2]int{2 * i, 2*i + 1}, false
		for _, m := range r.medias {
			taken = taken || m.transport != nil && overlap(m.transport.Channels, c)
		}
		if !taken {
			return c
		}
	}
	return [2]int{2 * mediasMax, 2*mediasMax + 1}
}
