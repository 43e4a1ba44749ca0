package rtmp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// shareKey names the shares of this room: one for each form.
type shareKey struct{ form flv.Form }

// play finds the stream and sends it until one side ends. It returns nil when the session may go on with another
// command: the player gave up before anything was sent to it. Afterwards nobody knows where in a message its bytes end.
func (s *session) play(ctx context.Context, path, query string) error {
	req, err := s.request(path, query)
	if err != nil {
		s.log.Info("refused to play", "stream", path, "remote", s.remote, "cause", err)
		return s.refuse(playRefusal(err))
	}
	if err = s.deadline(0); err != nil {
		return err
	}
	p := &player{session: s, req: req}
	err = p.both(ctx)
	switch {
	case errors.Is(err, errDeleted) && !p.playing():
		return nil
	case p.ended:
		return errEnded
	}
	return err
}

// player is the part of a session that plays. Its listener runs beside it.
type player struct {
	*session
	req   hub.Request
	ended bool // the stream did, and the player was told

	mu     sync.Mutex // guards what follows; memory only
	out    *egress.Writer
	early  []byte // answers given before out was there
	paused bool   // before out was there
}

// both runs the listener, whose end is the player's, beside the player.
func (p *player) both(ctx context.Context) error {
	g, ctx := task.NewGroup(ctx)
	g.Go("rtmp player", func(context.Context) error { return p.listen() })
	defer func() {
		_ = p.conn.SetReadDeadline(past()) // ends the listener
		if broken, ok := errors.AsType[*task.PanicError](g.Wait()); ok {
			p.panicked(broken)
		}
	}()
	return p.serve(ctx)
}

func (p *player) serve(ctx context.Context) (err error) {
	viewing, err := p.env.Hub.Play(ctx, p.req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			p.log.Info("stopped waiting for a stream", "stream", p.req.Key, "cause", cause)
			return cause
		}
		return p.refuseToPlay(err)
	}
	err = errBroken
	defer func() {
		viewing.Release(err)
		if !errors.Is(err, errRefused) {
			p.log.Info("stopped playing", "stream", p.req.Key, "cause", err)
		}
	}()
	return p.run(viewing) //nolint:contextcheck // the viewing's context is a child of ctx
}

func (p *player) refuseToPlay(cause error) error {
	p.log.Info("refused to play", "stream", p.req.Key, "remote", p.remote, "cause", cause)
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return p.refuse(playRefusal(cause))
}

func (p *player) run(viewing *hub.Viewing) error {
	viewer, err := viewing.Watch(shareKey{p.cfg.Form}, func() stream.Muxer { return newMuxer(p.cfg.Form, p.cfg.ChunkSize) })
	if err != nil {
		return p.refuseToPlay(err) // it has ended since it was found
	}
	if err = p.say(p.appendStart(nil)); err != nil {
		return err
	}
	p.log.Info("playing", "stream", p.req.Key, "remote", p.remote)
	out := egress.NewWriter(p.conn, viewer, p.env.Egress)
	if err = p.begin(out); err != nil {
		return err
	}
	err = out.Run(viewing.Context())
	if end := viewing.Stream().Ended(); end != nil && errors.Is(err, end) && viewing.Context().Err() == nil {
		p.ended = p.sayEnd() == nil // all has been sent: the player reads, and is not in the middle of a message
	}
	return err
}

// begin hands what was asked for too early over to the writer.
func (p *player) begin(out *egress.Writer) error {
	for paused := false; ; out.Pause(paused) {
		p.mu.Lock()
		if paused == p.paused {
			break // with the lock: nobody changes his mind in between
		}
		paused = p.paused
		p.mu.Unlock()
	}
	early := p.early
	p.out, p.early = out, nil
	p.mu.Unlock()
	if len(early) == 0 {
		return nil
	}
	return out.Reply(early)
}

// playing says whether media may have been sent.
func (p *player) playing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out != nil
}

// appendStart appends what a player expects before media.
func (p *player) appendStart(b []byte) []byte {
	name := p.req.Key.String()
	b = chunk.AppendUserControl(b, chunk.EventStreamBegin, mediaStream)
	b = p.appendStatus(b, status{"NetStream.Play.Reset", levelStatus, "Resetting and playing " + name + "."})
	b = p.appendStatus(b, status{"NetStream.Play.Start", levelStatus, "Started playing " + name + "."})
	b = p.appendData(b, "|RtmpSampleAccess", true, true)
	return p.appendStatus(b, status{"NetStream.Play.PublishNotify", levelStatus, "Now published: " + name + "."})
}

// sayEnd tells the player that the stream is over.
func (p *player) sayEnd() error {
	b := chunk.AppendUserControl(nil, chunk.EventStreamEOF, mediaStream)
	b = p.appendStatus(b, status{"NetStream.Play.UnpublishNotify", levelStatus, "The publisher has gone."})
	return p.say(b)
}

func (p *player) say(b []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return p.send(b)
}

func (p *player) appendData(dst []byte, values ...any) []byte {
	return chunk.AppendMessage(dst, chunk.Message{
		Type: chunk.TypeDataAMF0, ChunkStream: chunkScript, Stream: mediaStream, Payload: amf.Append(nil, values...),
	}, p.cfg.ChunkSize)
}

// listen reads what the player says until it leaves, and returns why.
func (p *player) listen() error {
	for {
		m, err := p.in.Read()
		if err != nil {
			return gone(err)
		}
		if err = p.acknowledge(p.reply); err != nil {
			return err
		}
		handled, err := p.control(m, p.reply)
		if err != nil {
			return err
		}
		if handled {
			continue
		}
		c, ok, err := parseCommand(m)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := p.hear(c); err != nil {
			return err
		}
	}
}

// reply has bytes sent between two packets, or before the first.
func (p *player) reply(b []byte) error {
	p.mu.Lock()
	out := p.out
	full := out == nil && len(p.early)+len(b) > earlyReplies
	if out == nil && !full {
		p.early = append(p.early, b...)
	}
	p.mu.Unlock()
	switch {
	case full:
		return egress.ErrReplies
	case out != nil:
		return out.Reply(b)
	}
	return nil
}

// pause stops the media, or lets them go on.
func (p *player) pause(on bool) {
	p.mu.Lock()
	p.paused = on
	out := p.out
	p.mu.Unlock()
	if out != nil {
		out.Pause(on)
	}
}

// hear does what a player asks for while it plays.
func (p *player) hear(c command) error {
	switch c.name {
	case "deleteStream", "closeStream":
		return fmt.Errorf("%w (%s)", errDeleted, c.name)
	case "pause", "pauseRaw":
		if c.flag(1) {
			p.pause(true)
			return p.reply(p.appendStatus(nil, status{"NetStream.Pause.Notify", levelStatus, "Paused."}))
		}
		defer p.pause(false) // media come after the answer
		return p.reply(p.appendStatus(nil, status{"NetStream.Unpause.Notify", levelStatus, "Playing at the live edge."}))
	case "seek":
		return p.reply(p.appendStatus(nil, status{"NetStream.Seek.Notify", levelStatus, "Live: there is nothing to seek."}))
	case "publish":
		return p.reply(p.appendStatus(nil, status{"NetStream.Publish.BadName", levelError, "This connection plays."}))
	case "play", "play2":
		return p.reply(p.appendStatus(nil, status{"NetStream.Play.Failed", levelError, "This connection plays already."}))
	case "createStream":
		return p.reply(appendCommand(nil, 0, p.cfg.ChunkSize, "_result", c.transaction, nil, mediaStream))
	case "getStreamLength":
		return p.reply(appendCommand(nil, 0, p.cfg.ChunkSize, "_result", c.transaction, nil, 0))
	}
	return nil // receiveAudio, setBufferLength and the like: no answer is expected
}
