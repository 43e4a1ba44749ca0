package rtsp

import (
	"context"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// playing is what a peer may play: found by DESCRIBE, or by SETUP without it.
type playing struct {
	server  *server
	target  target
	viewing *hub.Viewing
	release func() bool // see find
	medias  []playMedia
	group   *group // that the peer was told of; nil: none
	crowded bool   // it asked for one when none was free
}

// playMedia is one media of it.
type playMedia struct {
	lane      rtp.Lane
	transport *wire.Transport // as agreed; nil: the peer has not asked for it
}

// drop gives up what was found, for one who does not get to play it.
func (p *playing) drop(cause error) {
	p.release()
	p.leaveGroup()
	p.viewing.Release(cause)
	p.server.audience.Leave()
}

// describe answers with what the stream has.
func (s *session) describe(ctx context.Context, r *wire.Request) error {
	t, err := targetOf(r.URL)
	if err == nil {
		err = s.find(ctx, r, t)
	}
	if err != nil {
		return s.unfound(r, t, err)
	}
	medias := make([]rtp.Media, len(s.play.medias))
	for i, m := range s.play.medias {
		medias[i] = rtp.Media{Kind: m.lane.Track.Kind(), Control: control(i), Format: m.lane.Format}
	}
	return s.respond(r, answer{
		code:   base.StatusOK,
		header: base.Header{"Content-Type": {"application/sdp"}, "Content-Base": {contentBase(r.URL)}},
		body:   rtp.AppendSDP(nil, s.play.viewing.Request().Key.String(), medias),
	})
}

// find waits for a stream that the peer may play, and notes what can be played of it.
func (s *session) find(ctx context.Context, r *wire.Request, t target) (err error) {
	s.forget(nil)
	if !s.audience.Enter(s.cfg.Connections) {
		return fmt.Errorf("%w: %d players of %d connections", hub.ErrLimit, hub.ViewersOf(s.cfg.Connections), s.cfg.Connections)
	}
	defer func() {
		if s.play == nil {
			s.audience.Leave()
		}
	}()
	req, err := s.ask(t)
	if err != nil {
		return err
	}
	req.Carries = carried
	var v *hub.Viewing
	patience, end := context.WithCancelCause(ctx)
	defer end(nil)
	left := s.overhear(patience, end, func() {
		if err = s.prove(patience, r, t, &req); err == nil {
			v, err = s.env.Hub.Play(ctx, patience, req)
		}
	})
	if left != nil && v != nil {
		v.Release(left)
	}
	if left != nil {
		return left
	}
	if err != nil {
		return err
	}
	p := &playing{server: s.server, target: t, viewing: v, medias: lanes(v.Stream().Tracks())}
	if len(p.medias) == 0 { // they have changed since the hub looked
		v.Release(hub.ErrUncarried)
		return hub.ErrUncarried
	}
	p.release = context.AfterFunc(v.Context(), s.conn.Cut) //nolint:contextcheck // a child of ctx; for one that is ended while it makes up its mind
	s.play = p
	return nil
}

// carried says whether RTP has a form for a track.
func carried(t *av.Track) bool {
	_, err := rtp.FormatOf(t, firstDynamic)
	return err == nil
}

// firstDynamic is the first payload type that has no meaning of its own (RFC 3551, 6).
const firstDynamic = 96

// lanes are the tracks of a stream that RTP can carry, with the usual channels.
func lanes(tracks []*av.Track) []playMedia {
	var all []playMedia
	for _, t := range tracks {
		i := len(all)
		f, err := rtp.FormatOf(t, uint8(firstDynamic+i)) //nolint:gosec // there are few
		if err != nil {
			continue
		}
		all = append(all, playMedia{lane: rtp.Lane{Format: f, Track: t, RTP: byte(2 * i), RTCP: byte(2*i + 1)}}) //nolint:gosec // the same
	}
	return all
}

// unfound ends a session whose peer gets to see nothing, unless that is for want of a password.
func (s *session) unfound(r *wire.Request, t target, cause error) error {
	if unproven(cause) {
		return s.challenged(r, &s.gate.guard, cause)
	}
	if cause == errPeer { //nolint:errorlint // as it comes from overhear
		s.log.Info("stopped waiting for a stream", "stream", t.name(), "cause", cause)
		return cause
	}
	s.refused(hub.ActionPlay, t.name(), cause)
	return s.refuse(r, cause)
}
