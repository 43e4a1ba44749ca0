package httplive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// Limits that are no settings.
const (
	headTimeout    = 5 * time.Second        // for a response's head
	goodbyeTimeout = 500 * time.Millisecond // for a last frame, and for TLS's farewell
	closeTimeout   = 2 * time.Second        // for a WebSocket viewer to answer the close frame
	earlyReplies   = 4 << 10                // bytes of pongs to a viewer that waits for its stream
	agentMax       = 256                    // bytes that are kept of what a viewer says it is
)

// Why a viewer ends by itself.
var (
	errLeft   = errors.New("the viewer left")
	errBroken = errors.New("the session broke") // only seen when it panics
)

// shareKey names the shares of this room: one for each form and framing.
type shareKey struct {
	form      flv.Form
	websocket bool
}

// session is one viewer.
type session struct {
	*server
	log  *slog.Logger
	req  hub.Request
	ws   bool
	conn net.Conn
	in   *bufio.Reader

	mu    sync.Mutex     // guards what follows; memory only
	out   *egress.Writer // once it plays
	early []byte         // pongs from before
}

// play answers GET and HEAD. It returns when the viewer is gone.
func (s *server) play(w http.ResponseWriter, r *http.Request) {
	v, err := s.newSession(r)
	if err != nil {
		refuseFor(w, err)
		return
	}
	ctx, cancel := s.join(r.Context())
	defer cancel(nil)
	if v.ws && r.Method == http.MethodGet {
		v.playWebSocket(ctx, cancel, w, r)
		return
	}
	viewing, err := s.env.Hub.Play(ctx, v.req)
	if err != nil {
		if r.Context().Err() != nil { // the HTTP server ends it without a reason
			err = errLeft
		}
		v.refused(ctx, err)
		refuseFor(w, err)
		return
	}
	err = errBroken
	defer func() { viewing.Release(err) }()
	err = v.playHTTP(viewing, cancel, w, r) //nolint:contextcheck // the viewing's context is a child of ctx
}

// playHTTP answers with the stream, or with its head alone.
func (v *session) playHTTP(viewing *hub.Viewing, leave context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "video/x-flv")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	viewer, err := v.watch(viewing)
	if err != nil { // it has ended since it was found
		v.refused(viewing.Context(), err)
		refuseFor(w, err)
		return err
	}
	if err := v.take(w); err != nil {
		v.refused(viewing.Context(), err)
		refuse(w, http.StatusHTTPVersionNotSupported, "http-version", "a live body needs HTTP/1.1")
		return err
	}
	return v.serve(leave, func() error {
		return v.run(viewing, viewer, v.httpHead())
	})
}

// join returns a context that ends with the request and with the server.
func (s *server) join(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.done, func() { cancel(context.Cause(s.done)) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

func (s *server) newSession(r *http.Request) (*session, error) {
	key, err := hub.ParseKey(strings.TrimSuffix(r.URL.Path, suffixFLV))
	if err != nil {
		return nil, err
	}
	v := &session{server: s, ws: isWebSocket(r)}
	v.req = hub.Request{
		Key: key, Session: s.env.NewID(), Protocol: "http-flv", Remote: remote(r), Query: r.URL.RawQuery,
	}
	v.req.Agent = r.UserAgent()
	v.req.Agent = v.req.Agent[:min(len(v.req.Agent), agentMax)]
	if v.ws {
		v.req.Protocol = "ws-flv"
	}
	v.log = s.env.Log.With("protocol", v.req.Protocol, "session", v.req.Session)
	return v, nil
}

func remote(r *http.Request) netip.AddrPort {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	return a
}

// refused logs why a viewer does not get to see anything. ctx is the viewer's.
func (v *session) refused(ctx context.Context, err error) {
	if cause := context.Cause(ctx); cause != nil {
		v.log.Info("stopped waiting for a stream", "stream", v.req.Key, "remote", v.req.Remote, "cause", cause)
		return
	}
	v.log.Info("refused to play", "stream", v.req.Key, "remote", v.req.Remote, "cause", err)
}

// take takes the connection over from the HTTP server.
func (v *session) take(w http.ResponseWriter) error {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("take the connection over: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return err
	}
	// The HTTP server's own reader would end the request's context, without a reason, as soon as the peer leaves.
	early, _ := rw.Peek(rw.Reader.Buffered()) // what is buffered is there
	v.conn, v.in = conn, bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), conn), inboundBuffer)
	return nil
}

// httpHead is the response's head. The body ends with the connection.
func (v *session) httpHead() []byte {
	h := http.Header{}
	v.allowOrigin(h)
	h.Set("Content-Type", "video/x-flv")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	return responseHead("200 OK", h)
}

func responseHead(status string, h http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 " + status + "\r\n")
	_ = h.Write(&b) // a strings.Builder does not fail
	b.WriteString("\r\n")
	return []byte(b.String())
}

// send writes a few bytes within a limit, or nothing at all.
func (v *session) send(b []byte, limit time.Duration) error {
	if len(b) == 0 {
		return nil
	}
	if err := v.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := v.conn.Write(b)
	return err
}

// serve calls play, which owns the connection meanwhile, and listens to the viewer beside it. Then it closes the connection.
// leave ends the context that play runs under.
func (v *session) serve(leave context.CancelCauseFunc, play func() error) (err error) {
	g, _ := task.NewGroup(context.Background())
	g.Go("httplive read", func(context.Context) error {
		cause := errBroken
		defer func() { leave(cause) }()
		cause = v.listen()
		return nil
	})
	err = errBroken
	defer func() {
		stop := v.endReader(err)
		defer stop()
		if broken, ok := errors.AsType[*task.PanicError](g.Wait()); ok {
			v.log.Error("a session panicked", "cause", broken, "stack", string(broken.Stack))
		}
		v.hangUp(err)
	}()
	return play()
}

// endReader ends the goroutine that reads: at once, or for a WebSocket to which a close frame was sent when the viewer
// answers it (RFC 6455, 7.1.1). Input that comes to a closed connection would throw away what is still on its way.
func (v *session) endReader(err error) (stop func() bool) {
	interrupt := func() { _ = v.conn.SetReadDeadline(time.Unix(1, 0)) }
	if !v.ws || errors.Is(err, egress.ErrStalled) {
		interrupt()
		return func() bool { return true }
	}
	_ = v.conn.SetReadDeadline(time.Now().Add(closeTimeout)) // a connection that is closed needs none
	return context.AfterFunc(v.done, interrupt)
}

// hangUp closes the connection, with the farewell of TLS if the peer still reads.
func (v *session) hangUp(err error) {
	if errors.Is(err, egress.ErrStalled) {
		v.cut()
	}
	limit := time.AfterFunc(goodbyeTimeout, v.cut)
	defer limit.Stop()
	_ = v.conn.Close() // nothing can be done about it
}

// cut closes the connection without the farewell that TLS has, and which waits for a peer that does not read.
func (v *session) cut() {
	conn := v.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close() // nothing can be done about it
}

// watch attaches the viewer to the stream.
func (v *session) watch(viewing *hub.Viewing) (*stream.Viewer, error) {
	return viewing.Watch(shareKey{v.cfg.Form, v.ws}, v.newMuxer)
}

// run writes head and then the stream until one side ends.
func (v *session) run(viewing *hub.Viewing, viewer *stream.Viewer, head []byte) error {
	if err := v.send(head, headTimeout); err != nil {
		return err
	}
	v.log.Info("playing", "stream", v.req.Key, "remote", v.req.Remote)
	out := egress.NewWriter(v.conn, viewer, v.env.Egress)
	v.mu.Lock()
	early := v.early
	v.out, v.early = out, nil
	v.mu.Unlock()
	var err error
	if len(early) > 0 {
		err = out.Reply(early)
	}
	if err == nil {
		err = out.Run(viewing.Context())
	}
	v.log.Info("stopped playing", "stream", v.req.Key, "cause", err)
	return err
}

func (v *session) newMuxer() stream.Muxer {
	m := newMuxer(v.cfg.Form)
	if v.ws {
		return framed{m}
	}
	return m
}

// listen reads what the viewer sends, until it leaves.
func (v *session) listen() error {
	if !v.ws {
		for {
			if _, err := v.in.Discard(v.in.Size()); err != nil { // io.Copy would hold 32 KiB for it
				return errLeft
			}
		}
	}
	for {
		f, err := readFrame(v.in)
		if errors.Is(err, errFrame) {
			return err
		}
		if err != nil {
			return errLeft
		}
		switch f.op {
		case opPing:
			if err := v.pong(f.payload); err != nil {
				return err
			}
		case opClose:
			return errLeft
		case opContinuation, opText, opBinary, opPong:
		default:
			return fmt.Errorf("%w: opcode %#x", errFrame, f.op)
		}
	}
}

// playWebSocket accepts the WebSocket, then looks for the stream.
func (v *session) playWebSocket(ctx context.Context, leave context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) {
	accept, err := acceptKey(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "handshake", err.Error())
		return
	}
	if err := v.take(w); err != nil {
		v.refused(ctx, err)
		refuse(w, http.StatusHTTPVersionNotSupported, "http-version", "a WebSocket needs HTTP/1.1")
		return
	}
	h := http.Header{}
	v.allowOrigin(h)
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", accept)
	_ = v.serve(leave, func() error { // how it ended has been logged
		if err := v.send(responseHead("101 Switching Protocols", h), headTimeout); err != nil {
			v.refused(ctx, err)
			return err
		}
		err := v.find(ctx)
		v.sayGoodbye(ctx, err)
		return err
	})
}

// find waits for the stream and plays it to the WebSocket.
func (v *session) find(ctx context.Context) (err error) {
	viewing, err := v.env.Hub.Play(ctx, v.req)
	if err != nil {
		v.refused(ctx, err)
		return &refusedError{err}
	}
	err = errBroken
	defer func() { viewing.Release(err) }()
	viewer, err := v.watch(viewing)
	if err != nil {
		v.refused(ctx, err)
		return &refusedError{err}
	}
	return v.run(viewing, viewer, nil) //nolint:contextcheck // the viewing's context is a child of ctx
}

// refusedError is what keeps a viewer from seeing anything.
type refusedError struct{ error }

// Unwrap returns the cause.
func (e *refusedError) Unwrap() error { return e.error }

// pong answers a ping.
func (v *session) pong(payload []byte) error {
	b := append(appendFrameHeader(nil, opPong, len(payload)), payload...)
	v.mu.Lock()
	out := v.out
	full := out == nil && len(v.early)+len(b) > earlyReplies
	if out == nil && !full {
		v.early = append(v.early, b...)
	}
	v.mu.Unlock()
	switch {
	case full:
		return egress.ErrReplies
	case out != nil:
		return out.Reply(b)
	}
	return nil
}

// sayGoodbye sends the close frame. The code of a refusal is the HTTP status plus 4000, its reason is the JSON that a body
// would have.
func (v *session) sayGoodbye(ctx context.Context, err error) {
	code, reason := closeNormal, hub.Reason(err)
	cause := context.Cause(ctx)
	var no *refusedError
	switch {
	case errors.Is(err, egress.ErrStalled):
		return // nobody reads it
	case errors.Is(cause, errFrame):
		code, reason = closeProtocol, "protocol"
	case errors.As(err, &no) && !errors.Is(cause, errLeft):
		status := protocol.HTTPStatus(err)
		code = closeBase + status
		b, _ := json.Marshal(refusal{status, reason, err.Error()}) // strings and a number do not fail
		if len(b) <= closeReasonMax {
			reason = string(b)
		}
	}
	_ = v.send(appendClose(nil, code, reason), goodbyeTimeout) // the peer may be gone
}
