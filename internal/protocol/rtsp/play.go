package rtsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
	"github.com/vigil-media/vigil/internal/stream"
)

// shareKey names the shares of this room: one for each selection of tracks and of channels.
type shareKey struct{ lanes string }

// keyOf is the key for the packets of these lanes. Parameter sets of video go with the stream; of sound, they are what was agreed on.
func keyOf(all []rtp.Lane) shareKey {
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintf(&b, "%d %v %d %d-%d", l.Track.ID, l.Track.Codec, l.Format.PayloadType(), l.RTP, l.RTCP)
		if l.Track.Kind() != av.Video {
			fmt.Fprintf(&b, " %x", l.Track.Config)
		}
		b.WriteByte(',')
	}
	return shareKey{b.String()}
}

// variants counts the shares of streams that have other channels than the usual: each costs as much as all the usual viewers
// together. The zero value is ready; all methods may be called from any goroutine.
type variants struct {
	mu  sync.Mutex // guards what follows; memory only
	all map[*stream.Stream]map[shareKey]int
}

// enter says whether there may be one more viewer of a share. It is to leave.
func (v *variants) enter(s *stream.Stream, k shareKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys := v.all[s]
	if keys[k] == 0 && len(keys) >= variantsMax {
		return false
	}
	if v.all == nil {
		v.all = map[*stream.Stream]map[shareKey]int{}
	}
	if keys == nil {
		keys = map[shareKey]int{}
		v.all[s] = keys
	}
	keys[k]++
	return true
}

func (v *variants) leave(s *stream.Stream, k shareKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys := v.all[s]
	if keys[k]--; keys[k] > 0 {
		return
	}
	if delete(keys, k); len(keys) == 0 {
		delete(v.all, s)
	}
}

// beginPlay is PLAY before media flow.
func (s *session) beginPlay(r *wire.Request) (do func(context.Context) error, err error) {
	if s.play != nil {
		for _, m := range s.play.medias {
			if m.transport != nil {
				return func(ctx context.Context) error { return s.playTo(ctx, r) }, nil
			}
		}
	}
	return nil, s.respond(r, answer{code: base.StatusMethodNotValidInThisState, session: s.token})
}

// chosen returns the lanes that the peer has asked for, and what takes them to it if that is not the connection. usual says whether the
// lanes are those of all who have not asked for anything special.
func (s *session) chosen() (lanes []rtp.Lane, out *lane, usual bool) {
	usual = true
	multicast := s.play.wishes() != 0
	for i, m := range s.play.medias {
		t := m.transport
		if multicast { // the group has all of them
			lanes = append(lanes, m.lane)
			continue
		}
		if t == nil {
			usual = false
			continue
		}
		l := m.lane
		if t.TCP {
			l.RTP, l.RTCP = byte(t.Channels[0]), byte(t.Channels[1]) //nolint:gosec // wire has checked that they are bytes
			usual = usual && int(l.RTP) == 2*i && l.RTCP == l.RTP+1
		} else {
			if out == nil {
				out = &lane{ports: &s.ports}
			}
			out.add(l, s.remote.Addr(), t.Ports)
		}
		lanes = append(lanes, l)
	}
	return lanes, out, usual
}

// playTo hands the connection over to be sent the stream: then it returns errHandedOver.
func (s *session) playTo(ctx context.Context, r *wire.Request) error {
	if !s.setup.Leave() {
		return errMemory
	}
	viewing := s.play.viewing
	lanes, out, usual := s.chosen()
	key := keyOf(lanes)
	req := viewing.Request()
	variant := !usual
	if variant && !s.variants.enter(viewing.Stream(), key) {
		err := fmt.Errorf("%w: %d selections of tracks and channels of one stream", hub.ErrLimit, variantsMax)
		return s.unfound(r, s.play.target, err)
	}
	p := &player{server: s.server, viewing: viewing, token: s.token, lane: out, reports: newReports(lanes), began: time.Now()}
	if variant {
		p.variant = &key
	}
	viewer, err := viewing.Watch(key, func() stream.Muxer {
		return s.packer(lanes, viewing.Stream())
	})
	if err != nil { // the stream has ended since it was found
		p.leaveVariant()
		return s.unfound(r, s.play.target, err)
	}
	p.viewer = viewer
	p.link = s.env.Egress.Link(s.conn.Conn, p)
	asked := s.play.wishes()
	if asked != 0 {
		p.group = s.play.group
		p.link.Pause(true) // for good
	}
	if err = p.link.Reply(answer{code: base.StatusOK, session: s.token, header: base.Header{"Range": {"npt=now-"}}}.to(r)); err == nil {
		var ahead []byte
		p.parser, ahead = s.in.Detach()
		p.parser.SetLimits(playLimits())
		err = p.Hear(ahead)
	}
	if err == nil {
		err = s.conn.Limit(0)
	}
	playing := viewing.Context()
	if errors.Is(err, errTeardown) { // it has changed its mind, and is to read the answers
		var stop context.CancelCauseFunc
		playing, stop = context.WithCancelCause(playing)
		stop(err)
		err = s.conn.Limit(0)
	}
	if err == nil && (!s.release() || !s.play.release()) {
		if err = context.Cause(playing); err == nil { //nolint:contextcheck // it is that of the viewing
			err = hub.ErrClosing // it is about to hear of that
		}
	}
	if err != nil {
		p.players.remove(p) // it may have asked for a pause
		p.leaveVariant()
		return err
	}
	if p.group == nil {
		s.play.leaveGroup()
	}
	s.play = nil // it is the player's from here on
	s.log.Info("playing", "stream", req.Key, "remote", s.remote, "transport", s.transport(out != nil, p.group != nil))
	if out != nil {
		p.link.Divert(out)
		s.players.add(p)
	}
	if p.group != nil {
		s.players.add(p)
		p.group.enter(ctx, p, asked)
	}
	p.link.Play(playing, viewer) //nolint:contextcheck // it is a child of ctx
	return errHandedOver
}

// packer returns what makes the packets of a stream for these lanes. It begins with the newest key picture, which may be older than
// the tracks that were described.
func (s *server) packer(lanes []rtp.Lane, of *stream.Stream) *rtp.Packer {
	return rtp.NewPacker(lanes, rtp.PackerOptions{Size: s.cfg.PacketSize, Start: wallStart(of), Settle: of.Newest() + settleIn})
}

// wallStart is the wall clock of a stream's media time 0, for sender reports.
func wallStart(s *stream.Stream) time.Time { return time.Now().Add(-s.Newest()) }

// playLimits are for a peer that plays: it has little to say, and there are many.
func playLimits() wire.Limits { return wire.Limits{Head: 4 << 10, Body: 4 << 10} }

// player is what is left of a session once it plays. It implements egress.Session, and is kept small.
type player struct {
	*server
	link    *egress.Link
	parser  *wire.Parser
	viewing *hub.Viewing
	viewer  *stream.Viewer
	token   string
	lane    *lane  // nil: interleaved, or multicast
	group   *group // nil: it is sent to by itself
	reports *reports
	variant *shareKey // nil: the usual
	began   time.Time

	heard  atomic.Int64 // when the peer was heard of last, since began
	paused atomic.Int64 // since when it has paused, since began; 0: it does not
}

func (p *player) leaveVariant() {
	if p.variant != nil {
		p.variants.leave(p.viewing.Stream(), *p.variant)
	}
}

// note notes that the peer lives.
func (p *player) note() { p.heard.Store(int64(time.Since(p.began))) }

// Hear implements egress.Session.
func (p *player) Hear(b []byte) error {
	p.note()
	for {
		it, n, ok, err := p.parser.Parse(b)
		if b = b[n:]; err != nil {
			return err
		}
		if !ok {
			return nil
		}
		if it.Frame != nil {
			p.report(it.Channel, it.Frame)
		}
		if it.Request == nil {
			continue
		}
		if err := p.request(it.Request); err != nil {
			return err
		}
	}
}

// request does what a player asks for.
func (p *player) request(r *wire.Request) error {
	if a, done := common(r, p.token); done {
		return p.link.Reply(a.to(r))
	}
	a := answer{code: base.StatusMethodNotValidInThisState, session: p.token}
	switch r.Method { //nolint:exhaustive // the others are not for one who plays
	case base.Play:
		a.code = base.StatusOK
		p.pause(false)
	case base.Pause:
		a.code = base.StatusOK
		p.pause(true)
	case base.Teardown:
		a.code, a.session = base.StatusOK, ""
		if err := p.link.Reply(a.to(r)); err != nil {
			return err
		}
		return errTeardown
	}
	return p.link.Reply(a.to(r))
}

func (p *player) pause(on bool) {
	if p.group == nil { // else the others go on, and nothing comes by the connection in any case
		p.link.Pause(on)
	}
	if !on {
		p.paused.Store(0)
		if p.lane == nil && p.group == nil {
			p.players.remove(p)
		}
		return
	}
	if p.paused.Load() == 0 {
		p.paused.Store(max(int64(time.Since(p.began)), 1)) // it may be the very first moment
	}
	p.players.add(p)
}

// Farewell implements egress.Session: a player is told that its stream is over (RFC 3550, 6.6).
func (p *player) Farewell(cause error) []byte {
	end := p.viewing.Stream().Ended()
	packer, ok := p.viewer.Muxer().(*rtp.Packer)
	if end == nil || !errors.Is(cause, end) || !ok || p.group != nil || p.viewing.Context().Err() != nil {
		return nil
	}
	bye := packer.AppendBye(nil, 0) // any moment of its time will do
	if p.lane == nil {
		return bye
	}
	_, _ = p.lane.Send(bye) // the end of the connection says it too
	return nil
}

// Ended implements egress.Session.
func (p *player) Ended(cause error) {
	p.players.remove(p)
	if p.group != nil {
		p.group.leave(p)
	}
	p.leaveVariant()
	p.audience.Leave()
	p.viewing.Release(cause)
	req := p.viewing.Request()
	protocol.SessionLog(p.logger(req.Session), p.env.Hub, req.Key).Info("stopped playing", "stream", req.Key, "cause", cause)
}
