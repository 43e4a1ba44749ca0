package httplive

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// Limits that are no settings.
const (
	headTimeout    = 5 * time.Second        // for a response's head
	goodbyeTimeout = 500 * time.Millisecond // for the last frame of a refusal, and for TLS's farewell
	watchesMost    = 3                      // where tracks become others just when a viewer comes
	closeTimeout   = 2 * time.Second        // for a WebSocket viewer to answer the close frame of a refusal
)

// errBroken is only seen when a request panics.
var errBroken = errors.New("the session broke")

// shareKey names the shares of this room: one for each format, framing, and what viewers are told in advance.
type shareKey struct {
	format    *format
	websocket bool
	told      [2]av.Codec
}

// visitor is one who asks to play, on the request's goroutine. It is forgotten when the egress has the connection.
type visitor struct {
	*endpoint
	req hub.Request
	ws  bool
}

// play answers GET and HEAD. It returns when the egress has the connection, or when the answer is given.
func (e *endpoint) play(w http.ResponseWriter, r *http.Request) {
	v, err := e.newVisitor(r)
	if err != nil {
		refusalOf(err).Answer(w)
		return
	}
	patience, cancel := protocol.Join(r.Context(), e.done)
	defer cancel()
	if v.ws && r.Method == http.MethodGet {
		v.playWebSocket(patience, w, r)
		return
	}
	viewing, err := e.env.Hub.Play(e.done, patience, v.req)
	if err != nil {
		stopped := patience.Err() != nil
		if r.Context().Err() != nil { // the HTTP server ends it without a reason
			err = errLeft
		}
		v.turnedAway(stopped, err)
		refusalOf(err).Answer(w)
		return
	}
	if r.Method == http.MethodHead {
		v.answerHead(viewing, w)
		return
	}
	v.playHTTP(viewing, w) //nolint:contextcheck // a viewing outlives its request
}

// answerHead says what a body would be.
func (v *visitor) answerHead(viewing *hub.Viewing, w http.ResponseWriter) {
	defer viewing.Release(nil)
	_, media, err := v.offer(viewing.Stream().Tracks())
	if err != nil {
		refusalOf(err).Answer(w)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// newVisitor reads the request. What it keeps for a viewer is copied, lest that keeps all of the request alive.
func (e *endpoint) newVisitor(r *http.Request) (*visitor, error) {
	key, err := hub.ParseKey(strings.Clone(strings.TrimSuffix(r.URL.Path, e.suffix)))
	if err != nil {
		return nil, err
	}
	v := &visitor{endpoint: e, ws: isWebSocket(r), req: protocol.RequestOf(r, key, e.http)}
	v.req.Session, v.req.Carries = e.env.NewID(), e.carries
	if v.ws {
		v.req.Protocol = e.socket
	}
	return v, nil
}

func (v *visitor) log() *slog.Logger { return v.logger(v.req.Protocol, v.req.Session, v.req.Key) }

// turnedAway logs why a viewer does not get to see anything. stopped says that it was not the hub's decision.
func (v *visitor) turnedAway(stopped bool, err error) { v.env.TurnedAway(v.log(), v.req, stopped, err) }

// session is what is kept for a viewer.
func (v *visitor) session(viewing *hub.Viewing) session {
	return session{endpoint: v.endpoint, viewing: viewing, key: v.req.Key, id: v.req.Session}
}

// watch attaches the viewer to the stream. It returns the viewer's Content-Type too.
func (v *visitor) watch(viewing *hub.Viewing) (viewer *stream.Viewer, media string, err error) {
	for range watchesMost {
		viewer, media, err = v.attach(viewing)
		if !errors.Is(err, fmp4.ErrTracksChanged) {
			break
		}
	}
	return viewer, media, err
}

// attach is watch for the tracks as they are now. It fails with fmp4.ErrTracksChanged if they have just become others.
func (v *visitor) attach(viewing *hub.Viewing) (*stream.Viewer, string, error) {
	all := viewing.Stream().Tracks()
	picked, media, err := v.offer(all)
	if err != nil {
		return nil, "", err
	}
	first := false
	viewer, err := viewing.Watch(shareKey{v.format, v.ws, v.told(picked)}, func() stream.Muxer {
		first = true
		m := v.muxer(picked)
		if v.ws {
			m = framed{m}
		}
		return m
	})
	if err != nil {
		return nil, "", err
	}
	if what := v.leftOut(all, picked); first && what != "" {
		v.log().Warn("tracks are left out", "stream", v.req.Key, "left_out", what)
	}
	return viewer, media, nil
}

// begin hands the connection over.
func (v *visitor) begin(link *egress.Link, viewing *hub.Viewing, viewer *stream.Viewer) {
	v.log().Info("playing", "stream", v.req.Key, "remote", v.req.Remote)
	link.Play(viewing.Context(), viewer)
}

// playHTTP answers with the stream.
func (v *visitor) playHTTP(viewing *hub.Viewing, w http.ResponseWriter) {
	err := errBroken
	defer func() {
		if err != nil {
			viewing.Release(err)
		}
	}()
	err = v.answerHTTP(viewing, w)
}

// answerHTTP returns nil when the egress has the connection.
func (v *visitor) answerHTTP(viewing *hub.Viewing, w http.ResponseWriter) error {
	viewer, media, err := v.watch(viewing)
	if err != nil { // it has ended since it was found
		v.turnedAway(viewing.Context().Err() != nil, err)
		refusalOf(err).Answer(w)
		return err
	}
	conn, _, err := take(w) // nothing that the viewer says is wanted
	if err != nil {
		v.turnedAway(false, err)
		protocol.Refusal{Code: http.StatusHTTPVersionNotSupported, Error: "http-version", Message: "a live body needs HTTP/1.1"}.Answer(w)
		return err
	}
	if err = v.sendHead(conn, "200 OK", map[string]string{
		"Content-Type": media, "Cache-Control": "no-store", "Connection": "close",
	}); err != nil {
		v.turnedAway(true, err)
		hangUp(conn)
		return err
	}
	s := v.session(viewing)
	v.begin(v.env.Egress.Link(conn, &s), viewing, viewer)
	return nil
}

// playWebSocket accepts the WebSocket, then waits for the stream.
func (v *visitor) playWebSocket(patience context.Context, w http.ResponseWriter, r *http.Request) {
	accept, err := acceptKey(r)
	if err != nil {
		protocol.Refusal{Code: http.StatusBadRequest, Error: "handshake", Message: err.Error()}.Answer(w)
		return
	}
	conn, early, err := take(w)
	if err != nil {
		v.turnedAway(false, err)
		protocol.Refusal{Code: http.StatusHTTPVersionNotSupported, Error: "http-version", Message: "a WebSocket needs HTTP/1.1"}.Answer(w)
		return
	}
	s := &socketSession{session: v.session(nil)}
	s.link = v.env.Egress.Link(conn, s)
	err = errBroken
	defer func() {
		if err == nil {
			return
		}
		hangUp(conn)
		if s.viewing != nil {
			s.viewing.Release(err)
		}
	}()
	if err = v.sendHead(conn, "101 Switching Protocols", map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept,
	}); err != nil {
		v.turnedAway(true, err)
		return
	}
	err = v.answerSocket(patience, conn, s, early)
}

// answerSocket returns nil when the egress has the connection.
func (v *visitor) answerSocket(patience context.Context, conn net.Conn, s *socketSession, early []byte) error {
	viewer, err := v.find(patience, s, early)
	if err != nil {
		if s.viewing != nil {
			s.viewing.Release(err) // at once, however long the goodbye takes
		}
		v.dismiss(conn, s, err) //nolint:contextcheck // the request may have ended
		return err
	}
	v.begin(s.link, s.viewing, viewer) //nolint:contextcheck // a viewing outlives its request
	return nil
}

// find waits for the stream and attaches the viewer to it, and listens meanwhile to the viewer, who has said something early.
func (v *visitor) find(patience context.Context, s *socketSession, early []byte) (viewer *stream.Viewer, err error) {
	stopped := true // by the viewer, or with the room
	if err = s.Hear(early); err == nil {
		err = s.link.Listen(patience, func(ctx context.Context) (err error) {
			viewer, err = v.enter(ctx, s)
			stopped = err == nil || ctx.Err() != nil
			if err != nil && stopped {
				err = context.Cause(ctx)
			}
			return err
		})
	}
	if broken, ok := errors.AsType[*task.PanicError](err); ok {
		v.log().Error("a session panicked", "cause", broken, "stack", string(broken.Stack))
		err = errBroken
	}
	if err != nil {
		v.turnedAway(stopped, err)
	}
	return viewer, err
}

func (v *visitor) enter(ctx context.Context, s *socketSession) (*stream.Viewer, error) {
	viewing, err := v.env.Hub.Play(v.done, ctx, v.req)
	if err != nil {
		return nil, err
	}
	s.viewing = viewing
	viewer, _, err := v.watch(viewing)
	return viewer, err
}

// dismiss sends the close frame to a viewer that does not get to see anything, and waits until the viewer answers it (RFC 6455,
// 7.1.1): input that comes to a closed connection would throw away what is still on its way.
func (v *visitor) dismiss(conn net.Conn, s *socketSession, cause error) {
	if errors.Is(cause, egress.ErrLeft) {
		return // nobody reads it
	}
	s.parting = true
	_ = conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) // a connection that is closed needs none
	_, err := conn.Write(s.refusal(cause))
	if err != nil || errors.Is(cause, errLeft) || errors.Is(cause, errFrame) {
		return
	}
	ctx, cancel := context.WithTimeout(v.done, closeTimeout)
	defer cancel()
	_ = s.link.Listen(ctx, func(ctx context.Context) error { // however it ends
		<-ctx.Done()
		return ctx.Err()
	})
}

// take takes the connection over from the HTTP server, with what the peer has sent already.
func take(w http.ResponseWriter) (net.Conn, []byte, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take the connection over: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	early, _ := rw.Peek(rw.Reader.Buffered()) // what is buffered is there
	return conn, early, nil
}

// sendHead writes a response's head. It does not outlast the server.
func (v *visitor) sendHead(conn net.Conn, status string, fields map[string]string) error {
	h := http.Header{}
	v.cfg.CORS.Allow(h)
	for name, value := range fields {
		h.Set(name, value)
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + status + "\r\n")
	_ = h.Write(&b) // a buffer does not fail
	b.WriteString("\r\n")
	if err := conn.SetWriteDeadline(time.Now().Add(headTimeout)); err != nil {
		return err
	}
	defer context.AfterFunc(v.done, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })()
	_, err := conn.Write(b.Bytes())
	return err
}

// hangUp closes a connection that the egress did not get, with the farewell of TLS if the peer takes it.
func hangUp(conn net.Conn) {
	limit := time.AfterFunc(goodbyeTimeout, func() {
		if t, ok := conn.(*tls.Conn); ok {
			_ = t.NetConn().Close() // what else should be done
		}
	})
	defer limit.Stop()
	_ = conn.Close() // nothing can be done about it
}
