package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/stream"
)

// shareKey names the shares of this room: one for each form.
type shareKey struct{ form flv.Form }

// play finds the stream and hands the connection over to be sent it: then it returns errHandedOver. It returns nil when the
// session may go on with another command, because the player gave up before anything was sent to it.
func (s *session) play(ctx context.Context, path, query string) (err error) {
	if !s.audience.Enter(s.cfg.Connections) {
		err = fmt.Errorf("%w: %d players of %d connections", hub.ErrLimit, hub.ViewersOf(s.cfg.Connections), s.cfg.Connections)
		req, _ := s.request(path, query) // names of the probe are not for the log: its key is
		s.refusal(hub.ActionPlay, err).Info("refused to play", "stream", req.Key, "remote", s.remote, "cause", err)
		return s.refuse(playRefusal(err))
	}
	defer func() {
		if !errors.Is(err, errHandedOver) {
			s.audience.Leave()
		}
	}()
	return s.playTo(ctx, path, query)
}

// playTo is play for one who has a place.
func (s *session) playTo(ctx context.Context, path, query string) error {
	req, err := s.request(path, query)
	req.Carries = s.cfg.Form.Carries
	if err != nil {
		s.refusal(hub.ActionPlay, err).Info("refused to play", "stream", path, "remote", s.remote, "cause", err)
		return s.refuse(playRefusal(err))
	}
	if err = s.conn.Limit(0); err != nil {
		return err
	}
	if !s.setup.Leave() {
		return errMemory
	}
	p := &player{server: s.server, flow: s.flow}
	p.link = s.env.Egress.Link(s.conn.Conn, p)
	var ahead []byte
	p.parser, ahead = s.in.Detach()
	var viewing *hub.Viewing
	if err = p.parser.Restrict(playLimits()); err == nil {
		viewing, err = p.find(ctx, req, ahead)
	}
	switch {
	case errors.Is(err, errDeleted):
		s.in, s.flow = chunk.Resume(s.conn, p.parser, p.unheard, setupLimits()), p.flow
		return nil
	case err != nil:
		return s.unfound(req, err)
	}
	p.viewing = viewing
	viewer, err := viewing.Watch(shareKey{s.cfg.Form}, func() stream.Muxer { return newMuxer(s.cfg.Form, s.cfg.ChunkSize) })
	if err == nil {
		err = p.link.Reply(p.appendStart(nil))
	}
	if err != nil { // the stream has ended since it was found
		viewing.Release(err)
		return s.unfound(req, err)
	}
	if !s.release() {
		viewing.Release(context.Cause(ctx))
		return context.Cause(ctx)
	}
	s.log.Info("playing", "stream", req.Key, "remote", s.remote)
	p.link.Play(viewing.Context(), viewer) //nolint:contextcheck // it is a child of ctx
	return errHandedOver
}

// unfound ends a session whose player gets to see nothing.
func (s *session) unfound(req hub.Request, cause error) error {
	if waiting, ok := errors.AsType[*waitedError](cause); ok {
		s.log.Info("stopped waiting for a stream", "stream", req.Key, "cause", waiting.Unwrap())
		return waiting.Unwrap()
	}
	s.refusal(hub.ActionPlay, cause).Info("refused to play", "stream", req.Key, "remote", s.remote, "cause", cause)
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.refuse(playRefusal(cause))
}

// waitedError is what made a player stop waiting, other than the hub.
type waitedError struct{ error }

// Unwrap returns the cause.
func (e *waitedError) Unwrap() error { return e.error }

// player is what is left of a session once it plays. It implements egress.Session, and is kept small.
type player struct {
	*server
	flow
	link    *egress.Link
	parser  *chunk.Parser
	viewing *hub.Viewing
	unheard []byte // what came after the command that ended a wait
}

// find waits for the stream, and listens to the player meanwhile; it has said ahead already.
func (p *player) find(ctx context.Context, req hub.Request, ahead []byte) (v *hub.Viewing, err error) {
	var waited error
	if err = p.Hear(ahead); err == nil {
		err = p.link.Listen(ctx, func(patience context.Context) (err error) {
			v, err = p.env.Hub.Play(ctx, patience, req)
			waited = context.Cause(patience)
			return err
		})
	}
	switch {
	case err == nil:
		return v, nil
	case v != nil: // found, and then the listener failed
		v.Release(err)
		fallthrough
	case waited != nil:
		if errors.Is(err, errDeleted) {
			return nil, err
		}
		return nil, &waitedError{err}
	}
	return nil, err
}

// appendStart appends what a player expects before media.
func (p *player) appendStart(b []byte) []byte {
	name := p.viewing.Request().Key.String()
	b = chunk.AppendUserControl(b, chunk.EventStreamBegin, mediaStream)
	b = p.appendStatus(b, status{"NetStream.Play.Reset", levelStatus, "Resetting and playing " + name + "."})
	b = p.appendStatus(b, status{"NetStream.Play.Start", levelStatus, "Started playing " + name + "."})
	b = p.appendData(b, "|RtmpSampleAccess", true, true)
	return p.appendStatus(b, status{"NetStream.Play.PublishNotify", levelStatus, "Now published: " + name + "."})
}

func (p *player) appendData(dst []byte, values ...any) []byte {
	return chunk.AppendMessage(dst, chunk.Message{
		Type: chunk.TypeDataAMF0, ChunkStream: chunkScript, Stream: mediaStream, Payload: amf.Append(nil, values...),
	}, p.cfg.ChunkSize)
}

// Farewell implements egress.Session: a player is told that its stream is over.
func (p *player) Farewell(cause error) []byte {
	end := p.viewing.Stream().Ended()
	if end == nil || !errors.Is(cause, end) || p.viewing.Context().Err() != nil {
		return nil
	}
	b := chunk.AppendUserControl(nil, chunk.EventStreamEOF, mediaStream)
	return p.appendStatus(b, status{"NetStream.Play.UnpublishNotify", levelStatus, "The publisher has gone."})
}

// Ended implements egress.Session.
func (p *player) Ended(cause error) {
	p.audience.Leave()
	p.viewing.Release(cause)
	req := p.viewing.Request()
	protocol.SessionLog(p.logger(req.Session), p.env.Hub, req.Key).Info("stopped playing", "stream", req.Key, "cause", cause)
}

// Hear implements egress.Session.
func (p *player) Hear(b []byte) error {
	for {
		m, n, ok, err := p.parser.Parse(b)
		if b = b[n:]; err != nil {
			return err
		}
		if !ok {
			return nil
		}
		if err := p.message(m); err != nil {
			p.unheard = bytes.Clone(b)
			return err
		}
	}
}

func (p *player) message(m chunk.Message) error {
	if err := p.acknowledge(p.parser.Bytes(), p.link.Reply); err != nil {
		return err
	}
	if handled, err := p.control(m, p.link.Reply); handled || err != nil {
		return err
	}
	c, ok, err := parseCommand(m)
	if err != nil || !ok {
		return err
	}
	return p.command(c)
}

// command does what a player asks for while it waits or plays.
func (p *player) command(c command) error {
	reply := p.link.Reply
	switch c.name {
	case "deleteStream", "closeStream":
		return fmt.Errorf("%w (%s)", errDeleted, c.name)
	case "pause", "pauseRaw":
		on := c.flag(1)
		p.link.Pause(on)
		if on {
			return reply(p.appendStatus(nil, status{"NetStream.Pause.Notify", levelStatus, "Paused."}))
		}
		return reply(p.appendStatus(nil, status{"NetStream.Unpause.Notify", levelStatus, "Playing at the live edge."}))
	case "seek":
		return reply(p.appendStatus(nil, status{"NetStream.Seek.Notify", levelStatus, "Live: there is nothing to seek."}))
	case "publish":
		return reply(p.appendStatus(nil, status{"NetStream.Publish.BadName", levelError, "This connection plays."}))
	case "play", "play2":
		return reply(p.appendStatus(nil, status{"NetStream.Play.Failed", levelError, "This connection plays already."}))
	case "createStream":
		return reply(appendCommand(nil, 0, p.cfg.ChunkSize, "_result", c.transaction, nil, mediaStream))
	case "getStreamLength":
		return reply(appendCommand(nil, 0, p.cfg.ChunkSize, "_result", c.transaction, nil, 0))
	}
	return nil // receiveAudio, setBufferLength and the like: no answer is expected
}
