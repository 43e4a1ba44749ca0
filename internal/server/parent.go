package server

import (
	"context"
	"crypto/sha256"
	"net"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/watch"
)

// Parent is the process that watches over this one: it opens its sockets, hears its heartbeats and keeps its evidence. It is a
// *supervise.Post, whose Run is running.
type Parent interface {
	Listen(ctx context.Context, name, address string) (net.Listener, error)
	Ready(secret []byte) error
	Replace() error
	Beat(p *watch.Pulse, v supervise.Vitals)
	Keep(ctx context.Context, reason string, asked bool, data []byte) (string, error)
	Health() *supervise.Health
	HealthAddress() string
	Token() string
	Why() string
	Planned() bool
	Safe() bool
}

// Retire hands the work over to another process: nobody is accepted any more, publishers are ended, so that they come again there, viewers
// run to the end of their streams, and Run returns. It does not wait.
func (s *Server) Retire() {
	s.retireOnce.Do(func() { close(s.retired) })
}

// ready tells the parent that this process accepts, and what its secret is.
func (s *Server) ready() {
	if s.opt.Parent == nil {
		return
	}
	hash := sha256.Sum256([]byte(s.apiSecret.Load().Reveal()))
	if err := s.opt.Parent.Ready(hash[:]); err != nil {
		s.logger.Error("cannot tell the supervisor that the server is ready", "cause", err)
	}
}

// vitals are what heartbeats say of the server. It takes no lock and does not allocate.
func (s *Server) vitals() supervise.Vitals {
	closing := s.closing.Load()
	p := s.hub.Pressure()
	return supervise.Vitals{
		Open: !closing && p < hub.Refuse, Draining: closing,
		Overloaded: p > hub.Calm || s.overloaded(),
	}
}

// overloaded says whether a shard sends less often than it should.
func (s *Server) overloaded() bool { return s.egress.Overloaded() }

// safe says whether no media are to be let in, because workers before this one have died again and again.
func (s *Server) safe() bool { return s.opt.Parent != nil && s.opt.Parent.Safe() }

// leastPressure is the hub's pressure when there is memory in plenty.
func (s *Server) leastPressure() hub.Pressure {
	if s.safe() {
		return hub.Refuse
	}
	return hub.Calm
}
