package hls

import (
	"fmt"
	"net/netip"

	"github.com/vigil-media/vigil/internal/hub"
)

// newcomersMost bounds the viewers of one address (of IPv6, network of 64 bits) who have asked for playlists for a moment only: a session costs its
// owner no connection, and all places of viewers could be had by one. Whoever plays asks again.
const newcomersMost = 256

// errNewcomers is why one more is not let in.
var errNewcomers = fmt.Errorf("%w: %d viewers of this address have asked once, and not again", hub.ErrLimit, newcomersMost)

// expect takes a place for a newcomer. The error is errNewcomers.
func (s *server) expect(addr netip.Addr) error {
	who := hub.Subscriber(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newcomers[who] >= newcomersMost {
		return errNewcomers
	}
	s.newcomers[who]++
	return nil
}

// arrived gives the place of a newcomer back.
func (s *server) arrived(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveNewcomers(addr)
}

// leaveNewcomers is arrived under mu.
func (s *server) leaveNewcomers(addr netip.Addr) {
	who := hub.Subscriber(addr)
	if s.newcomers[who]--; s.newcomers[who] <= 0 {
		delete(s.newcomers, who)
	}
}
