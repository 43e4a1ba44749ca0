package hls

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// The names of the room's protocols.
const (
	protocolTS   = "hls"
	protocolFMP4 = "hls-fmp4"
)

func nameOf(f segment.Format) string {
	if f == segment.FMP4 {
		return protocolFMP4
	}
	return protocolTS
}

// visitor is a viewer: what stands for one who asks again and again. What it was told to be known by, id, is a secret: who has it need not be
// allowed in again.
type visitor struct {
	*rendition
	id      string
	looks   fingerprint
	session string
	viewing *hub.Viewing
	seen    atomic.Int64  // when it asked last, by the room's clock
	asked   atomic.Int64  // when it asked for a playlist last: nanoseconds since the room began
	from    string        // address and port that it came from first
	proven  atomic.Bool   // it has come back with its id
	came    time.Duration // when it asked first, since the room began
	again   atomic.Bool   // it has asked for a playlist again later, or is forgotten: it is no newcomer
	waiting atomic.Int32  // requests that wait
	gone    sync.Once     // it is released once
	ended   atomic.Int64  // when that was, by the room's clock; 0: it was not
}

// fingerprint is what a viewer is known by who keeps no cookie. The query is in it, as it may be what lets a viewer in.
type fingerprint struct {
	key    hub.Key
	format segment.Format
	addr   netip.Addr
	agent  string
	query  string
}

// parameterSession is the name of the query parameter that holds a visitor's id.
const parameterSession = "session"

// cookieOf is the name of the cookie that holds a visitor's id: another for each format, as one browser may play both.
func cookieOf(f segment.Format) string {
	if f == segment.FMP4 {
		return "vigil_hls_fmp4"
	}
	return "vigil_hls"
}

// load is the fingerprint of requests for media.
func (p fingerprint) load() fingerprint {
	p.query = ""
	return p
}

// errLeft means that a viewer has asked for nothing for a while, or that one who waited has closed the connection.
var errLeft = errors.New("the viewer left")

// known returns the visitor whose request this is, or nil, and whether that is certain and not only by its looks.
func (s *server) known(r *http.Request, id string, p fingerprint) (v *visitor, proven bool) {
	if id == "" && s.cfg.Cookies {
		if c, err := r.Cookie(cookieOf(p.format)); err == nil {
			id = c.Value
		}
	}
	s.mu.RLock()
	v, proven = s.visitors[id], true
	if v == nil || v.name != p.key || v.format != p.format {
		v, proven = s.strangers[p], false
	}
	s.mu.RUnlock()
	if v == nil {
		return nil, false
	}
	v.note()
	if proven && !v.proven.Swap(true) {
		s.mu.Lock()
		if s.strangers[v.looks] == v { // the next who looks like it is another
			delete(s.strangers, v.looks)
		}
		s.mu.Unlock()
	}
	return v, proven
}

// twin says whether a request for a playlist, by one who looks like the visitor, is the first of another: it comes by another connection, sooner
// than anybody asks again.
func (v *visitor) twin(r *http.Request, a ask) bool {
	return !a.waits && r.RemoteAddr != v.from && int64(time.Since(v.server.began))-v.asked.Load() < int64(v.server.cfg.Segment/twinShare)
}

// loader returns the visitor who loads media of a rendition, or nil. Names of media have no query: who keeps no cookie is taken for the newest of
// those who look the same.
func (s *server) loader(r *http.Request, n *rendition) *visitor {
	p := fingerprint{n.name, n.format, remoteOf(r), protocol.AgentOf(r), ""}
	if v, _ := s.known(r, "", p); v != nil {
		return v
	}
	s.mu.RLock()
	v := s.loaders[p]
	s.mu.RUnlock()
	if v != nil {
		v.note()
	}
	return v
}

// waits notes that a request of the visitor waits, until done is called: who waits has not left.
func (v *visitor) waits() (done func()) {
	v.waiting.Add(1)
	return func() {
		v.note()
		v.waiting.Add(-1)
	}
}

// visitor returns the visitor whose request this is. One who is not known, or whose stream has ended while another is published, asks the hub to be
// let in, which may take as long as it lets viewers wait for a stream.
func (s *server) visitor(r *http.Request, a ask) (v *visitor, fresh bool, err error) {
	p := fingerprint{a.key, a.format, remoteOf(r), protocol.AgentOf(r), a.query}
	v, proven := s.known(r, a.session, p)
	if v != nil && !proven && v.viewing.Ended() == nil && v.twin(r, a) {
		v = nil
	}
	if v != nil {
		now := time.Since(s.began)
		v.asked.Store(int64(now))
		if now-v.came > s.cfg.Segment/2 && !v.again.Swap(true) {
			s.arrived(v.looks.addr)
		}
		cause := v.viewing.Ended()
		switch {
		case errors.Is(cause, hub.ErrKicked):
			return nil, false, hub.ErrKicked
		case v.current.Load().final == nil && cause == nil:
			return v, false, nil
		case s.env.Hub.Stream(a.key) == nil && v.current.Load().Ended: // it gets to know of the end
			return v, false, nil
		}
		s.forget(v, errLeft)
	}
	v, err = s.admit(r, a, p)
	return v, true, err
}

func remoteOf(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	return a.Addr()
}

// admit makes a visitor of one whom the hub lets in.
func (s *server) admit(r *http.Request, a ask, p fingerprint) (*visitor, error) {
	q := protocol.RequestOf(r, a.key, nameOf(a.format))
	q.Session, q.Carries, q.Query = s.env.NewID(), a.format.Carries, strings.Clone(a.query)
	if err := s.expect(p.addr); err != nil {
		s.env.TurnedAway(s.logger(q), q, false, err)
		return nil, err
	}
	came := false
	defer func() {
		if !came {
			s.arrived(p.addr)
		}
	}()
	patience, cancel := protocol.Join(r.Context(), s.done)
	defer cancel()
	viewing, err := s.env.Hub.Play(s.done, patience, q)
	if err != nil {
		stopped := patience.Err() != nil
		if r.Context().Err() != nil { // the HTTP server ends it without a reason
			err = errLeft
		}
		s.env.TurnedAway(s.logger(q), q, stopped, err)
		return nil, err
	}
	n, err := s.rendition(a.key, viewing.Stream(), a.format, true)
	if err != nil {
		viewing.Release(err)
		s.env.TurnedAway(s.logger(q), q, false, err)
		return nil, err
	}
	p.agent, p.query = q.Agent, q.Query
	v := &visitor{rendition: n, id: rand.Text(), looks: p, session: q.Session, viewing: viewing, from: strings.Clone(r.RemoteAddr)}
	v.note()
	v.came = time.Since(s.began)
	v.asked.Store(int64(v.came))
	s.mu.Lock()
	s.visitors[v.id], s.strangers[p], s.loaders[p.load()], came = v, v, v, true
	s.mu.Unlock()
	//nolint:contextcheck // it is the viewing's own life that ends: the operator waits for those that are kicked
	context.AfterFunc(viewing.Context(), func() { v.release(viewing.Ended()) })
	s.logger(q).Info("playing", "stream", a.key, "remote", q.Remote)
	if n.current.Load().final != nil { // it has ended before it could tell this viewer
		v.release(n.current.Load().final)
	}
	return v, nil
}

// logger returns the log of a session. It is made when there is something to say.
func (s *server) logger(q hub.Request) *slog.Logger {
	return protocol.SessionLog(s.env.Log.With("protocol", q.Protocol, "session", q.Session), s.env.Hub, q.Key)
}

// release ends the viewing, and says so. Calls after the first do no more than wait for it.
func (v *visitor) release(cause error) {
	v.gone.Do(func() {
		if ended := v.viewing.Ended(); ended != nil {
			cause = ended
		}
		v.ended.Store(v.server.clock.Load())
		v.viewing.Release(cause)
		v.server.logger(v.viewing.Request()).Info("stopped playing", "stream", v.name, "cause", cause)
	})
}

// forget releases a visitor and takes it out of the tables.
func (s *server) forget(v *visitor, cause error) {
	s.mu.Lock()
	if s.visitors[v.id] == v {
		delete(s.visitors, v.id)
		if !v.again.Swap(true) {
			s.leaveNewcomers(v.looks.addr)
		}
		if s.strangers[v.looks] == v {
			delete(s.strangers, v.looks)
		}
		if p := v.looks.load(); s.loaders[p] == v {
			delete(s.loaders, p)
		}
		if v.viewers--; v.viewers == 0 {
			v.idle = time.Now()
		}
	}
	s.mu.Unlock()
	v.release(cause)
}
