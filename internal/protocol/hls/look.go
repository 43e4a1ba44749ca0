package hls

import (
	"errors"
	"net/netip"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// note notes that the visitor asks for something.
func (v *visitor) note() { v.seen.Store(v.server.clock.Load()) }

// advance moves the room's clock on to a moment, and returns it.
func (s *server) advance(now time.Time) int64 {
	passed := min(max(now.Sub(s.looked), 0), 2*lookEvery) // more says that the process was paused, which is nobody's fault
	s.looked = now
	return s.clock.Add(int64(passed))
}

// left says whether a visitor is to be forgotten: one who asks for nothing, one who was kicked long enough ago, and one whose stream has ended so
// long ago that there is nothing left of it: who asks on and on does not keep that in memory.
func (v *visitor) left(now int64) bool {
	if ended := v.ended.Load(); ended > 0 {
		ago := time.Duration(now - ended)
		switch {
		case errors.Is(v.viewing.Ended(), hub.ErrKicked):
			return ago > heldAfterKick
		case ago > v.lasts():
			return true
		}
	}
	return v.waiting.Load() == 0 && time.Duration(now-v.seen.Load()) > v.server.cfg.Idle
}

// look forgets visitors who have left, and renditions that nobody watches, or that have ended long enough ago.
func (s *server) look(now time.Time) {
	clock := s.advance(now)
	var left []*visitor
	s.mu.RLock()
	for _, v := range s.visitors {
		if v.left(clock) {
			left = append(left, v)
		}
	}
	s.mu.RUnlock()
	for _, v := range left {
		s.forget(v, errLeft)
	}
	s.lookRenditions(now)
}

// lookRenditions is look for renditions.
func (s *server) lookRenditions(now time.Time) {
	var idle []*rendition
	s.mu.Lock()
	for k, number := range s.floors {
		if number <= clockNumber(now) {
			delete(s.floors, k)
		}
	}
	for token, n := range s.tokens {
		switch {
		case !n.over.IsZero() && now.Sub(n.over) > n.lasts():
			delete(s.tokens, token)
		case n.over.IsZero() && n.viewers == 0 && now.Sub(n.idle) > renditionIdle && !s.cfg.Always:
			n.retire()
			idle = append(idle, n)
		}
	}
	s.mu.Unlock()
	for _, n := range idle {
		n.cancel(errIdle)
	}
	if s.cfg.Always {
		s.cutAll()
	}
}

// cutAll begins the renditions of streams that nobody has asked for yet.
func (s *server) cutAll() {
	for _, i := range s.env.Hub.Snapshot().Streams {
		live := s.env.Hub.Stream(i.Key)
		if live == nil || !live.Ready() {
			continue
		}
		for _, f := range []segment.Format{segment.TS, segment.FMP4} {
			if len(f.Select(live.Tracks())) == 0 || !i.Terms.ServedBy(nameOf(f)) {
				continue
			}
			if _, err := s.rendition(i.Key, live, f, false); err != nil {
				s.env.Refusals.Logger(s.env.Log, "hls", netip.Addr{}).Warn("cannot cut a stream into segments", "protocol", nameOf(f), "stream", i.Key, "cause", err)
			}
		}
	}
}
