package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// session is one peer, from accept until it leaves or is handed over to be played to. Its goroutine owns all of it.
type session struct {
	*server
	conn   protocol.Peer
	remote netip.AddrPort
	id     string
	log    *slog.Logger
	in     *wire.Reader

	release func() bool // see run
	setup   *protocol.Setup
	until   time.Time // when it is to be over
	secure  bool      // TLS
	agent   string
	token   string // what the peer is to call the session; "": it has none yet
	guard   guard
	gate    gate

	play   *playing   // what DESCRIBE, or SETUP without it, has found
	record *recording // what ANNOUNCE has said
}

// run serves the peer until it leaves or is ended, and logs why; or until the connection has been handed over.
func (s *session) run(ctx context.Context) {
	s.release = context.AfterFunc(ctx, s.conn.Cut)
	err := errBroken
	defer func() {
		s.setup.Leave()
		s.release()
		s.forget(err)
		s.guard.settle()
		s.gate.settle()
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

// forget gives up what was found for the peer, or announced by it.
func (s *session) forget(cause error) {
	if s.play != nil {
		s.play.drop(cause)
		s.play = nil
	}
	if s.record != nil {
		s.record.close()
		s.record = nil
	}
	s.token = ""
}

// serve does what the peer asks for, one publishing or playing after another.
func (s *session) serve(ctx context.Context) error {
	if err := s.enterSetup(); err != nil {
		return err
	}
	if err := s.secured(ctx); err != nil {
		level := slog.LevelInfo
		if errors.Is(err, io.EOF) { // it has said nothing: one who only looks whether somebody listens, such as the supervisor's probe
			level = slog.LevelDebug
		}
		s.setupLog().Log(ctx, level, "handshake failed", "cause", s.setupError(err), "remote", s.remote)
		return err
	}
	if err := s.enterTunnel(ctx); err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, errRefused) && !errors.Is(err, errLent) && ctx.Err() == nil {
			s.setupLog().Info("session ended before media", "cause", s.setupError(err), "remote", s.remote)
		}
		return err
	}
	for round := range roundsMax {
		do, err := s.awaitMedia(ctx)
		if err != nil {
			if round == 0 && ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, errRefused) && !errors.Is(err, errTeardown) {
				s.setupLog().Info("session ended before media", "cause", s.setupError(err), "remote", s.remote)
			}
			return err
		}
		err = do(ctx)
		s.forget(err)
		if err != nil {
			return err
		}
		if err = s.enterSetup(); err != nil {
			return err
		}
	}
	return errRounds
}

// secured shakes hands where the connection is TLS.
func (s *session) secured(ctx context.Context) error {
	t, ok := s.conn.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	s.secure = true
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return nil
}

// enterSetup begins the phase in which the peer is to say what it wants.
func (s *session) enterSetup() error {
	s.setup.Enter()
	s.until = time.Now().Add(s.setupTime())
	return s.conn.SetDeadline(s.until)
}

// setupTime is how long a peer may take from the connection to RECORD or PLAY, and again after TEARDOWN.
func (s *session) setupTime() time.Duration { return s.env.Hub.Limit(hub.Handshake).Age }

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

// setupLog returns the log for the line about a peer that has not come as far as to ask for something.
func (s *session) setupLog() *slog.Logger { return s.env.Refusals.Fault(s.log) }

// awaitMedia answers requests until one of them begins publishing or playing, and returns what is to be done.
func (s *session) awaitMedia(ctx context.Context) (do func(context.Context) error, err error) {
	for range requestsMax {
		it, err := s.in.Read()
		if err != nil {
			s.malformed(err)
			return nil, s.dismissed(err) //nolint:contextcheck // it asks why that of the viewing has ended
		}
		if it.Request == nil {
			continue // media or answers that nobody asked for
		}
		if do, err = s.request(ctx, it.Request); do != nil || err != nil {
			return do, err
		}
	}
	return nil, errRounds
}

// dismissed returns why the hub has ended a player that makes up its mind, which cuts its connection; otherwise err.
func (s *session) dismissed(err error) error {
	if s.play != nil {
		if cause := context.Cause(s.play.viewing.Context()); cause != nil {
			return cause
		}
	}
	return err
}

// malformed answers bytes that are no request.
func (s *session) malformed(err error) {
	var bad *wire.Error
	if !errors.As(err, &bad) || errors.Is(err, wire.ErrStray) {
		return
	}
	code, r := base.StatusBadRequest, bad.Request
	if errors.Is(err, wire.ErrBody) {
		code = base.StatusRequestEntityTooLarge
	}
	if r == nil {
		r = &wire.Request{}
	}
	_ = s.respond(r, answer{code: code}) // the peer is ended in any case
}

// request does what the peer asks for, or returns what is to be done about it when it is RECORD or PLAY.
func (s *session) request(ctx context.Context, r *wire.Request) (do func(context.Context) error, err error) {
	if agent := r.Header["User-Agent"]; s.agent == "" && len(agent) > 0 {
		s.agent = strings.Clone(agent[0][:min(len(agent[0]), agentMax)])
	}
	if a, done := common(r, s.token); done {
		return nil, s.respond(r, a)
	}
	if refused := s.admit(r); refused != nil && r.Method != base.Teardown {
		return nil, s.challenged(r, &s.guard, refused)
	}
	switch r.Method { //nolint:exhaustive // common has answered the others
	case base.Describe:
		return nil, s.describe(ctx, r)
	case base.Announce:
		return nil, s.announce(r)
	case base.Setup:
		if s.record != nil {
			return nil, s.setupRecord(ctx, r)
		}
		return nil, s.setupPlay(ctx, r)
	case base.Play:
		return s.beginPlay(r)
	case base.Record:
		return s.beginRecord(r)
	case base.Pause:
		// Nothing flows. GStreamer asks for it on a new connection when a stream by UDP has ended, and takes a refusal for an error.
		return nil, s.respond(r, answer{code: base.StatusOK, session: s.token})
	case base.Teardown:
		if err := s.respond(r, answer{code: base.StatusOK}); err != nil {
			return nil, err
		}
		return nil, errTeardown
	}
	return nil, s.respond(r, answer{code: base.StatusNotImplemented}) // common has answered all others
}

// methods lists what is understood.
const methods = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

// common answers requests that need nothing of the session, whatever it does: token is what its peer calls it.
func common(r *wire.Request, token string) (a answer, done bool) {
	switch id := r.Session(); {
	case r.Proto != "" && r.Proto != wire.Proto:
		return answer{code: base.StatusRTSPVersionNotSupported}, true
	case r.Method == base.Options:
		return answer{code: base.StatusOK, header: base.Header{"Public": {methods}}}, true
	case id != "" && id != token && r.Method != base.Setup && r.Method != base.Teardown:
		return answer{code: base.StatusSessionNotFound}, true
	case r.Method == base.GetParameter, r.Method == base.SetParameter:
		return answer{code: base.StatusOK, session: token}, true
	case !strings.Contains(", "+methods+",", ", "+string(r.Method)+","):
		return answer{code: base.StatusNotImplemented}, true
	}
	return answer{}, false
}

// answer is what a request is answered with.
type answer struct {
	code    base.StatusCode
	reason  string // in place of the usual words
	session string // the peer's word for the session; "": none
	header  base.Header
	body    []byte
}

// to is the response to r.
func (a answer) to(r *wire.Request) []byte {
	h := base.Header{"Server": {"Vigil"}}
	maps.Copy(h, a.header)
	if cseq := r.CSeq(); cseq != "" {
		h["CSeq"] = base.HeaderValue{cseq}
	}
	if a.session != "" {
		h["Session"] = base.HeaderValue{fmt.Sprintf("%s;timeout=%d", a.session, int(sessionTimeout/time.Second))}
	}
	return wire.AppendResponse(nil, &base.Response{StatusCode: a.code, StatusMessage: a.reason, Header: h, Body: a.body})
}

// sessionTimeout is what peers are told (12.37): the limit of hub.Absent.
const sessionTimeout = time.Minute

// respond writes an answer. The deadline of the phase bounds it.
func (s *session) respond(r *wire.Request, a answer) error {
	_, err := s.conn.Write(a.to(r))
	return err
}

// refuse answers with an error, and ends the session if the peer has not got far enough to try something else.
func (s *session) refuse(r *wire.Request, cause error) error {
	a := answer{code: status(cause)}
	if errors.Is(cause, hub.ErrBusy) {
		a.reason = "Already publishing"
	}
	if err := s.conn.Limit(writeTimeout); err != nil {
		return err
	}
	if err := s.respond(r, a); err != nil {
		return err
	}
	return errRefused
}

// ask is what the session asks the hub for. From then on the session's log is that of the key.
func (s *session) ask(t target) (hub.Request, error) {
	key, err := hub.ParseKey(t.path)
	s.log = protocol.SessionLog(s.log, s.env.Hub, key)
	return hub.Request{
		Key: key, Session: s.id, Protocol: "rtsp", Remote: s.remote, Local: s.conn.Local(), Secure: s.secure, Query: t.query, Agent: s.agent,
	}, err
}

// transport is how media come or go, for the log.
func (s *session) transport(udp, multicast bool) string {
	switch {
	case multicast:
		return "multicast"
	case udp:
		return "udp"
	case s.secure:
		return "tls"
	case !s.direct():
		return "http"
	}
	return "tcp"
}

// refusal returns the log for the line that says that the peer was refused, if it is to be said.
func (s *session) refusal(a hub.Action, cause error) *slog.Logger {
	return s.env.Refusals.Logger(s.log, string(a)+" "+hub.Reason(cause), s.remote.Addr())
}

// refused writes the line about what the peer may not do.
func (s *session) refused(a hub.Action, stream any, cause error) {
	log := s.refusal(a, cause)
	if a == hub.ActionPublish {
		log.Info("refused to publish", "stream", stream, "remote", s.remote, "cause", cause)
	} else {
		log.Info("refused to play", "stream", stream, "remote", s.remote, "cause", cause)
	}
}

// overhear waits for the hub, and listens to the peer meanwhile: when that goes away, it calls end, which ends ctx and with it the wait. No
// deadline of the session stands meanwhile; the set-up's stands afterwards.
func (s *session) overhear(ctx context.Context, end context.CancelCauseFunc, wait func()) error {
	begin := time.Now()
	if err := s.conn.Limit(0); err != nil {
		return err
	}
	o := s.setup.Overhear(ctx, s.env.Hub, s.conn, end, errPeer)
	wait()
	heard, left := o.Stop()
	if len(heard) > 0 {
		p, ahead := s.in.Detach()
		s.in = wire.Resume(s.conn, p, append(ahead, heard...), setupLimits(), playBuffer)
	}
	if left != nil {
		return left
	}
	s.until = s.until.Add(time.Since(begin)) // the wait does not count
	return s.conn.SetDeadline(s.until)
}
