package rtmp

import (
	"context"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
)

// claim asks the hub for the key. That may take as long as the hub says: no deadline of the session stands meanwhile. A peer that goes
// away ends the wait with errPeer, by end, lest it displace an owner that lives.
func (s *session) claim(ctx context.Context, end context.CancelCauseFunc, req hub.Request) (*hub.Lease, error) {
	if err := s.conn.Limit(0); err != nil {
		return nil, err
	}
	o := s.setup.Overhear(ctx, s.env.Hub, s.conn, end, errPeer)
	lease, err := s.env.Hub.Publish(ctx, req)
	heard, left := o.Stop()
	if len(heard) > 0 {
		p, rest := s.in.Detach()
		s.in = chunk.Resume(s.conn, p, slices.Concat(rest, heard), setupLimits())
	}
	if lease != nil && (left != nil || !s.setup.Leave()) {
		lease.Release(left)
	}
	switch {
	case s.setup.Evicted():
		return nil, errMemory
	case left != nil:
		return nil, left
	}
	return lease, err
}

// enterSetup begins the phase in which the peer is to say what it wants.
func (s *session) enterSetup() error {
	s.setup.Enter()
	return s.conn.Limit(s.setupTime())
}

// setupTime is how long a peer may take from the connection to publish or play, and again after deleteStream.
func (s *session) setupTime() time.Duration { return s.env.Hub.Limit(hub.Handshake).Age }
