package rtmp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/handshake"
)

// session is one peer, from accept until it leaves or is handed over to be played to. Its goroutine owns all of it.
type session struct {
	*server
	flow
	conn   protocol.Peer
	remote netip.AddrPort
	id     string
	log    *slog.Logger
	in     *chunk.Reader

	app, agent string // what connect said
	query      string
	release    func() bool // see run
	setup      *protocol.Setup
}

// flow is how much the peer may send unacknowledged.
type flow struct {
	window uint64 // bytes after which the peer wants an acknowledgement
	acked  uint64
}

// Why a session ends by itself.
var (
	errSetup   = errors.New("no publish or play in time")
	errPeer    = protocol.ErrPeer
	errDeleted = errors.New("the peer deleted the stream")
	errRefused = errors.New("refused")
	errIdle    = errors.New("the peer stopped publishing before it sent media")
	errRounds  = errors.New("too many beginnings without media")
	errMemory  = protocol.ErrMemory
	errBroken  = errors.New("the session broke") // only seen when it panics

	errHandedOver = errors.New("handed over") // not an end: the connection is no longer the session's
)

func newReader(r io.Reader) *chunk.Reader { return chunk.NewReader(r, setupLimits()) }

// setupLimits are for a peer that does not publish.
func setupLimits() chunk.Limits {
	return chunk.Limits{Message: setupMessage, Partial: setupMessage, Buffer: 4 << 10}
}

// playLimits are for a peer that waits or plays: it has little to say, and there are many.
func playLimits() chunk.Limits {
	return chunk.Limits{Message: 4 << 10, Partial: 8 << 10, Streams: 8}
}

// run serves the peer until it leaves or is ended, and logs why; or until the connection has been handed over.
func (s *session) run(ctx context.Context) {
	s.release = context.AfterFunc(ctx, s.conn.Cut)
	var err error
	defer func() {
		s.setup.Leave()
		s.release()
		if !errors.Is(err, errHandedOver) {
			_ = s.conn.Close() // nothing can be done about it
		}
	}()
	err = s.serve(ctx)
	switch {
	case errors.Is(err, errHandedOver):
		return
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case s.setup.Evicted():
		err = errMemory
	case errors.Is(err, errRefused):
		s.conn.Linger(refusalTime)
		return // the refusal has been logged
	default:
		err = protocol.Gone(err)
	}
	s.log.Debug("connection closed", "cause", err, "remote", s.remote)
}

// serve shakes hands and then does what the peer asks for, one publishing or playing after another.
func (s *session) serve(ctx context.Context) error {
	if err := s.enterSetup(); err != nil {
		return err
	}
	if err := s.shakeHands(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		level := slog.LevelInfo
		if errors.Is(err, io.EOF) { // it has said nothing: one who only looks whether somebody listens
			level = slog.LevelDebug
		}
		s.setupLog().Log(ctx, level, "handshake failed", "cause", s.setupError(err), "remote", s.remote)
		return err
	}
	for round := range roundsMax {
		do, err := s.awaitMedia()
		if err != nil {
			if round == 0 && ctx.Err() == nil && !errors.Is(err, io.EOF) {
				s.setupLog().Info("session ended before media", "cause", s.setupError(err), "remote", s.remote)
			}
			return err
		}
		if err = do(ctx); err != nil {
			return err
		}
		if err = s.enterSetup(); err != nil {
			return err
		}
	}
	return errRounds
}

// setupError names the passing of a phase's limit as what it is.
func (s *session) setupError(err error) error {
	if s.setup.Evicted() {
		return errMemory
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w (%v)", errSetup, s.setupTime())
	}
	return protocol.Gone(err)
}

func (s *session) shakeHands(ctx context.Context) error {
	if t, ok := s.conn.Conn.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
	}
	_, err := handshake.Server(s.conn, rand.Reader)
	return err
}

// awaitMedia answers commands until one of them begins publishing or playing, and returns what is to be done.
func (s *session) awaitMedia() (do func(context.Context) error, err error) {
	for {
		m, err := s.in.Read()
		if err != nil {
			return nil, err
		}
		if err = s.acknowledge(s.in.Bytes(), s.send); err != nil {
			return nil, err
		}
		handled, err := s.control(m, s.send)
		if err != nil {
			return nil, err
		}
		if handled {
			continue
		}
		c, ok, err := parseCommand(m)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // data or media before publish: encoders that are in a hurry
		}
		if do, err = s.command(c); do != nil || err != nil {
			return do, err
		}
	}
}

// send writes an answer. The deadline of the phase bounds it.
func (s *session) send(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

// acknowledge tells the peer how much was received, as often as it wants to know. Call it for every message.
func (f *flow) acknowledge(received uint64, send func([]byte) error) error {
	if f.window == 0 || received-f.acked < f.window {
		return nil
	}
	f.acked = received
	return send(chunk.AppendAcknowledgement(nil, uint32(received))) //nolint:gosec // it wraps (5.4.3)
}

// control handles the protocol's own messages. It says whether m was one.
func (f *flow) control(m chunk.Message, send func([]byte) error) (bool, error) {
	switch m.Type {
	case chunk.TypeSetChunkSize, chunk.TypeAbort, chunk.TypeAcknowledgement, chunk.TypeSetPeerBandwidth:
		return true, nil
	case chunk.TypeWindowAckSize:
		n, err := m.Uint32()
		f.window = uint64(n)
		return true, err
	case chunk.TypeUserControl:
		event, data, err := m.UserControl()
		if err != nil || event != chunk.EventPingRequest || len(data) < 4 {
			return true, err
		}
		at := uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])
		return true, send(chunk.AppendUserControl(nil, chunk.EventPingResponse, at))
	}
	return false, nil
}

// request is what the session asks the hub for. From then on the session's log is that of the key.
func (s *session) request(path, query string) (hub.Request, error) {
	key, err := hub.ParseKey(path)
	s.log = protocol.SessionLog(s.log, s.env.Hub, key)
	return hub.Request{
		Key: key, Session: s.id, Protocol: "rtmp", Remote: s.remote, Local: s.conn.Local(), Secure: s.conn.Secure(), Query: query, Agent: s.agent,
	}, err
}

// refusal returns the log for the line that says that the peer was refused, if it is to be said.
func (s *session) refusal(a hub.Action, cause error) *slog.Logger {
	return s.env.Refusals.Logger(s.log, string(a)+" "+hub.Reason(cause), s.remote.Addr())
}

// setupLog returns the log for the line about a peer that has not come as far as to ask for something.
func (s *session) setupLog() *slog.Logger {
	return s.env.Refusals.Fault(s.log)
}
