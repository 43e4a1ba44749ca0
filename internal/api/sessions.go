package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vigil-media/vigil/internal/hub"
)

// sessionList is the answer of GET /api/v1/sessions.
type sessionList struct {
	At       time.Time `json:"at" doc:"When this was so; counters may be a second older"`
	Sessions []session `json:"sessions" nullable:"false" doc:"Stream by stream: publisher, standby, viewers; then those that wait for streams"`
}

// sessionFilter is which sessions are meant. What is "" is of no account.
type sessionFilter struct {
	Protocol string `query:"protocol" maxLength:"64" doc:"Only sessions of this protocol"`
	Stream   string `query:"stream" doc:"Only sessions of this stream: app/name" example:"live/cam1"`
	Remote   string `query:"remote" doc:"Only sessions of this peer: an address, with or without a port" example:"192.0.2.1"`
}

// sessionArgs name a session.
type sessionArgs struct {
	ID string `path:"id" doc:"The session's id, as in lists and in the log"`
}

// sessions adds the operations on sessions.
func (a *API) sessions(h huma.API) {
	huma.Register(h, operation("list-sessions", http.MethodGet, sessionsPath, tagSessions, "All publishers and viewers", http.StatusBadRequest),
		a.listSessions)
	huma.Register(h, operation("get-session", http.MethodGet, sessionPath, tagSessions, "One publisher or viewer", http.StatusNotFound), a.session)
	end := operation("end-session", http.MethodDelete, sessionPath, tagSessions, "End a session",
		http.StatusNotFound, http.StatusServiceUnavailable)
	end.Description = "A publisher's stream ends with it, viewers included, unless somebody stands by. Waits up to a second until the session is gone. " +
		"503: it was told to go, and has not gone yet."
	huma.Register(h, end, func(ctx context.Context, in *sessionArgs) (*answer[done], error) {
		return command(ctx, "session "+in.ID, func(ctx context.Context) error { return a.opt.Control.Kick(ctx, in.ID) })
	})
}

func (a *API) listSessions(_ context.Context, in *sessionFilter) (*answer[sessionList], error) {
	has, err := in.reader()
	if err != nil {
		return nil, err
	}
	s := a.opt.Snapshot()
	l := sessionList{At: s.At, Sessions: []session{}}
	eachSession(s, func(i *hub.SessionInfo, action string) bool {
		if has(i) {
			l.Sessions = append(l.Sessions, describePeer(i, action))
		}
		return true
	})
	return &answer[sessionList]{l}, nil
}

func (a *API) session(_ context.Context, in *sessionArgs) (*answer[session], error) {
	var found *answer[session]
	eachSession(a.opt.Snapshot(), func(i *hub.SessionInfo, action string) bool {
		if i.ID == in.ID {
			found = &answer[session]{describePeer(i, action)}
		}
		return found == nil
	})
	if found == nil {
		return nil, failed(http.StatusNotFound, hub.Reason(hub.ErrNotFound), "no such session "+in.ID)
	}
	return found, nil
}

// reader returns what says whether a session is meant.
func (f *sessionFilter) reader() (has func(i *hub.SessionInfo) bool, err error) {
	var key hub.Key
	if f.Stream != "" {
		if key, err = parseKey(f.Stream); err != nil {
			return nil, err
		}
	}
	var peer netip.AddrPort
	if f.Remote != "" {
		if peer, err = parsePeer(f.Remote); err != nil {
			return nil, err
		}
	}
	return func(i *hub.SessionInfo) bool {
		return (f.Protocol == "" || f.Protocol == i.Protocol) && (f.Stream == "" || key == i.Key) &&
			(f.Remote == "" || peer.Addr() == i.Remote.Addr().Unmap() && (peer.Port() == 0 || peer.Port() == i.Remote.Port()))
	}, nil
}

// parsePeer reads an address, with or without a port. Without, the port is 0.
func parsePeer(text string) (netip.AddrPort, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}, newFailure(http.StatusBadRequest, "validation failed",
			&huma.ErrorDetail{Location: "query.remote", Message: "wanted an address, with or without a port"})
	}
	return netip.AddrPortFrom(addr.Unmap(), 0), nil
}

// eachSession gives all sessions to visit, with what they do, until it says that it has had enough.
func eachSession(s *hub.Snapshot, visit func(i *hub.SessionInfo, action string) bool) {
	one := func(i *hub.SessionInfo, action string) bool { return i == nil || visit(i, action) }
	for n := range s.Streams {
		info := &s.Streams[n]
		if !one(info.Publisher, "publish") || !one(info.Standby, "standby") {
			return
		}
		for v := range info.Viewers {
			if !visit(&info.Viewers[v], "play") {
				return
			}
		}
	}
	for w := range s.Waiting {
		if !visit(&s.Waiting[w], "waiting") {
			return
		}
	}
}

// describePeer describes a session where its place does not say what it does.
func describePeer(i *hub.SessionInfo, action string) session {
	s := describeSession(*i)
	s.Action = action
	if i.Local.IsValid() {
		s.Local = i.Local.String()
	}
	return s
}
