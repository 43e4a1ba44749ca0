package httplive

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// errLeft means that a viewer says that it leaves. One whose connection closes without a word is an egress.ErrLeft.
var errLeft = errors.New("the viewer left")

// refusalOf is what an error means to who asks. One whose stream's tracks have just become others is to come again.
func refusalOf(err error) protocol.Refusal {
	r := protocol.RefusalOf(err)
	if errors.Is(err, fmp4.ErrTracksChanged) {
		r.Code = http.StatusServiceUnavailable
	}
	return r
}

// session is one viewer that plays a plain body: nothing is wanted of it, and it gets no last words. It implements egress.Session.
// There are thousands: it keeps what the log wants to know, and no more.
type session struct {
	*endpoint
	viewing *hub.Viewing // once the stream is there
	key     hub.Key
	id      string
}

// Hear implements egress.Session.
func (s *session) Hear([]byte) error { return nil }

// Farewell implements egress.Session.
func (s *session) Farewell(error) []byte { return nil }

// Ended implements egress.Session.
func (s *session) Ended(cause error) { s.ended(s.http, cause) }

func (s *session) ended(name string, cause error) {
	s.viewing.Release(cause)
	s.logger(name, s.id, s.key).Info("stopped playing", "stream", s.key, "cause", cause)
}

// socketSession is one viewer with a WebSocket. It implements egress.Session.
type socketSession struct {
	session
	link    *egress.Link
	in      inbound
	parting bool // it has been sent the close frame: nothing may follow that
}

// Hear implements egress.Session.
func (s *socketSession) Hear(b []byte) error { return s.in.take(b, s.frame) }

// frame obeys one frame of the viewer.
func (s *socketSession) frame(op byte, payload []byte) error {
	switch {
	case op == opClose:
		return errLeft
	case op == opPing && !s.parting:
		return s.link.Reply(append(appendFrameHeader(nil, opPong, len(payload)), payload...))
	}
	return nil
}

// Farewell implements egress.Session.
func (s *socketSession) Farewell(cause error) []byte {
	code, reason := closeNormal, hub.Reason(cause)
	switch {
	case errors.Is(cause, errFrame):
		code, reason = closeProtocol, "protocol"
	case errors.Is(cause, fmp4.ErrTracksChanged):
		code = closeAgain
	}
	return appendClose(nil, code, reason)
}

// Ended implements egress.Session.
func (s *socketSession) Ended(cause error) { s.ended(s.socket, cause) }

// refusal is the close frame for a viewer that does not get to see anything. Its code is the HTTP status plus 4000, its reason
// is the JSON that a body would have.
func (s *socketSession) refusal(cause error) []byte {
	if errors.Is(cause, errFrame) || errors.Is(cause, errLeft) {
		return s.Farewell(cause)
	}
	refusal := refusalOf(cause)
	b, _ := json.Marshal(refusal) // strings and a number do not fail
	reason := refusal.Error
	if len(b) <= closeReasonMax {
		reason = string(b)
	}
	return appendClose(nil, closeBase+refusal.Code, reason)
}
