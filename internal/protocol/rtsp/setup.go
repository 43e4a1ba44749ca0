package rtsp

import (
	"context"
	"crypto/rand"
	"slices"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// setupPlay agrees with a peer on how a media comes to it.
func (s *session) setupPlay(ctx context.Context, r *wire.Request) error {
	raw, track := splitTrack(r.URL)
	t, err := targetOf(raw)
	if err == nil && (s.play == nil || s.play.target.path != t.path) {
		err = s.find(ctx, r, t)
	}
	if err != nil {
		return s.unfound(r, t, err)
	}
	offers, err := wire.ParseTransports(r.Header["Transport"])
	if err != nil {
		return s.respond(r, answer{code: base.StatusUnsupportedTransport})
	}
	m := s.play.media(track)
	if m == nil {
		return s.respond(r, answer{code: base.StatusNotFound})
	}
	for _, o := range offers {
		if chosen := s.play.choose(s, m, o); chosen != nil {
			m.transport = chosen
			return s.agreed(r, *chosen)
		}
	}
	if s.play.crowded {
		return s.respond(r, answer{code: base.StatusNotEnoughBandwidth})
	}
	return s.respond(r, answer{code: base.StatusUnsupportedTransport})
}

// media returns the media with a number, or, for a peer that names none, the first that it has not asked for.
func (p *playing) media(track int) *playMedia {
	if track > 0 {
		if track > len(p.medias) {
			return nil
		}
		return &p.medias[track-1]
	}
	for i := range p.medias {
		if p.medias[i].transport == nil {
			return &p.medias[i]
		}
	}
	return nil
}

// choose returns the transport for an offer, or nil if there is none. All medias of a session take the same way.
func (p *playing) choose(s *session, m *playMedia, o wire.Transport) *wire.Transport {
	for i := range p.medias {
		if t := p.medias[i].transport; t != nil && &p.medias[i] != m && (t.TCP != o.TCP || t.Multicast != o.Multicast) {
			return nil
		}
	}
	switch {
	case o.Secure:
		return nil
	case o.Multicast:
		return p.multicast(s, m)
	case o.TCP:
		return p.interleave(m, o)
	case s.ports.rtp == nil || !s.direct() || min(o.Ports[0], o.Ports[1]) < portMin || !s.remote.IsValid():
		return nil
	}
	return &wire.Transport{Ports: o.Ports, ServerPorts: s.ports.numbers, Channels: [2]int{int(m.lane.RTP), int(m.lane.RTCP)}}
}

// interleave chooses the channels: those that the peer asks for, if no other media has them.
func (p *playing) interleave(m *playMedia, o wire.Transport) *wire.Transport {
	taken := func(c [2]int) bool {
		return slices.ContainsFunc(p.medias, func(other playMedia) bool {
			t := other.transport
			return t != nil && other.lane.Track != m.lane.Track && overlap(t.Channels, c)
		})
	}
	c := o.Channels
	if c[0] < 0 || c[0] == c[1] || taken(c) {
		c = [2]int{int(m.lane.RTP), int(m.lane.RTCP)}
		for i := 0; taken(c) && i < mediasMax; i++ {
			c = [2]int{2 * i, 2*i + 1}
		}
	}
	return &wire.Transport{TCP: true, Channels: c}
}

func overlap(a, b [2]int) bool { return a[0] == b[0] || a[0] == b[1] || a[1] == b[0] || a[1] == b[1] }

// agreed answers SETUP, with a word for the session if it is the first.
func (s *session) agreed(r *wire.Request, t wire.Transport) error {
	if s.token == "" {
		s.token = rand.Text()[:16]
	}
	return s.respond(r, answer{
		code: base.StatusOK, session: s.token,
		header: base.Header{"Transport": {string(wire.AppendTransport(nil, t))}},
	})
}
