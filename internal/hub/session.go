package hub

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
)

// Action is what a session asks for.
type Action string

// The actions.
const (
	ActionPublish Action = "publish"
	ActionPlay    Action = "play"
)

// Request is what a session asks the hub for.
type Request struct {
	Key      Key
	Session  string         // the session's id, as in the log
	Protocol string         // the protocol's name
	Remote   netip.AddrPort // the peer
	Local    netip.AddrPort // our end of its connection
	Secure   bool           // by TLS
	Proven   bool           // of a viewer: it has proven who it is by its protocol's own means; hooks need not be asked whether it may play
	Query    string         // what followed "?" in the name, undecoded; may hold secrets: never log it
	Agent    string         // what the peer says it is; hostile text

	Carries func(*av.Track) bool // of a viewer: what its protocol has a place for; nil: everything
}

// Authorizer decides whether a request is allowed, and on what terms. It is called on the session's goroutine, with a deadline. A
// refusal wraps ErrDenied. One that has a method Asks(Action) bool says with it whether it wants to be asked at all, as things are: if not,
// everything is allowed.
type Authorizer interface {
	Authorize(ctx context.Context, a Action, q Request) (Permit, error)
}

// Permit is how a publisher is let in. The zero Permit changes nothing.
type Permit struct {
	Key        Key    // to publish instead of the one that was asked for
	OnConflict Policy // instead of the configured one
	// Identity says who it is: a token, a user or a device, verified. Two publishers with the same are the same encoder, which
	// has come back. An address is no identity.
	Identity string

	Terms Terms
}

// Terms are how a stream is treated where its publisher's permit says something else than the configuration. The zero Terms change
// nothing. Those of the newest publisher hold, but for Stamps, which are the stream's for all its life: viewers whom they do not serve are ended.
//
// In a permit, Audio and Serves are what it says; those of a stream are what holds: the hub has added what was configured when the
// publisher was let in. The others are looked up in the configuration when they are needed.
type Terms struct {
	Resume    *time.Duration   // publish.resume_window; nil: as configured
	CloseIdle *bool            // publish.close_idle; nil: as configured
	Stamps    stream.StampMode // publish.modify_stamp; "": as configured
	Audio     *bool            // publish.audio; nil: as configured
	// Serves says whether viewers may use a protocol, by the name that they give in requests. A protocol that is not in it: as configured,
	// and of a stream: they may. Nobody changes the map.
	Serves map[string]bool
}

// ServedBy says whether viewers may use a protocol, of the terms of a stream.
func (t *Terms) ServedBy(protocol string) bool {
	may, said := t.Serves[protocol]
	return may || !said
}

// mute says whether sound is dropped, of the terms of a stream.
func (t *Terms) mute() bool { return t.Audio != nil && !*t.Audio }

// resumeMost bounds the resume window, as the configuration does.
const resumeMost = 10 * time.Minute

func (t *Terms) validate() error {
	if t.Resume != nil && (*t.Resume < 0 || *t.Resume > resumeMost) {
		return fmt.Errorf("authorizer: resume window: %v is not between 0s and %v", *t.Resume, resumeMost)
	}
	if t.Stamps != "" {
		if err := t.Stamps.Validate(); err != nil {
			return fmt.Errorf("authorizer: %w", err)
		}
	}
	return nil
}

func (p Permit) validate() error {
	if p.OnConflict != "" {
		if err := p.OnConflict.validate(); err != nil {
			return fmt.Errorf("authorizer: on_conflict: %w", err)
		}
	}
	if p.Key != (Key{}) && (p.Key.App == "" || p.Key.Name == "") {
		return fmt.Errorf("authorizer: %w: %q", ErrBadName, p.Key)
	}
	return p.Terms.validate()
}

// session is the hub's record of one publisher or viewer.
type session struct {
	Request
	action   Action
	started  int64                         // for people: nanoseconds since 1970. There is one for each viewer: time.Time is 16 bytes more
	end      context.CancelCauseFunc       // a viewer's is replaced, under the hub's mu, when its wait is over
	viewer   atomic.Pointer[stream.Viewer] // of a viewer, once it plays
	lease    *Lease                        // of a publisher
	viewing  *Viewing                      // of a viewer whose wait is over; under the hub's mu
	kicked   bool                          // under the hub's mu
	attached bool                          // a viewer, to a broadcast, whose load it is a part of; under the hub's mu
	transit  atomic.Pointer[Transit]       // nil: nobody knows
	counted  atomic.Uint64                 // bytes that a viewer was sent by other means than viewer
}

// Transit is how packets fare on their way to or from a peer, as far as its protocol counts them.
type Transit struct {
	Packets uint64        // that came; of a viewer: 0, it tells what it lacks only
	Lost    uint64        // that did not
	Late    uint64        // that came when it was too late for them
	Foreign uint64        // that came from somebody else, and were dropped
	Dropped uint64        // units that could not be used, because something of them, or of what they build on, was lost
	Jitter  time.Duration // RFC 3550, 6.4.1
}

// SetTransit notes how a publisher's packets fare. Any goroutine may call it.
func (l *Lease) SetTransit(t Transit) { l.session.transit.Store(&t) }

// SetTransit notes how the packets for a viewer fare. Any goroutine may call it.
func (v *Viewing) SetTransit(t Transit) { v.session.transit.Store(&t) }

// Count notes bytes that the viewer was sent by its protocol itself, and not from a share. Any goroutine may call it.
func (v *Viewing) Count(bytes int) { v.session.counted.Add(uint64(bytes)) } //nolint:gosec // not negative

// SessionInfo is a copy of a session's record.
type SessionInfo struct {
	ID       string
	Protocol string
	Action   Action
	Key      Key
	Remote   netip.AddrPort
	Local    netip.AddrPort
	Secure   bool
	Query    string `json:"-"` // may hold secrets: never log it
	Agent    string
	Started  time.Time
	Received uint64   // bytes of media from a publisher
	Sent     uint64   // bytes handed to a viewer's socket
	Skips    uint64   // how often a viewer had to jump forward
	Transit  *Transit // nil: the protocol does not count packets
}

func (s *session) info() SessionInfo {
	i := SessionInfo{
		ID: s.Session, Protocol: s.Protocol, Action: s.action, Key: s.Key, Remote: s.Remote, Local: s.Local, Secure: s.Secure,
		Query: s.Query, Agent: s.Agent, Started: time.Unix(0, s.started), Transit: s.transit.Load(),
	}
	if l := s.lease; l != nil {
		i.Received = l.taken.Load()
	}
	if v := s.viewer.Load(); v != nil {
		i.Sent, i.Skips = v.Sent(), v.Skips()
	}
	i.Sent += s.counted.Load()
	return i
}
