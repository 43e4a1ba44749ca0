package hub

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kick ends a session, whatever it does: a publisher's stream ends with it, viewers included, unless somebody stands by or challenges
// it, who then goes on with the stream. It waits until the session has ended, as long as ctx lives: then it returns the cause of ctx,
// and the session ends when it can. ErrNotFound: there is none with this id.
func (h *Hub) Kick(ctx context.Context, id string) error {
	return h.kick(ctx, func(then *aftermath) []*session {
		for s := range h.sessions {
			if s.Session != id {
				continue
			}
			if s.lease != nil {
				s.lease.free(ErrKicked, true, then) // of a rival, the end of its context is all that is needed
			}
			return []*session{s}
		}
		return nil
	})
}

// KickAll ends the sessions that which says yes to, as Kick does each, and returns how many they are. which is called with the tables locked: it
// touches memory only.
func (h *Hub) KickAll(ctx context.Context, which func(Request) bool) (n int, err error) {
	err = h.kick(ctx, func(then *aftermath) (all []*session) {
		for s := range h.sessions {
			if s.Key.ofProbe() || !which(s.Request) {
				continue
			}
			if s.lease != nil {
				s.lease.free(ErrKicked, true, then)
			}
			all = append(all, s)
		}
		n = len(all)
		return all
	})
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return n, err
}

// End ends the stream of a key: its publisher, who stands by and who challenges it, its viewers, those that wait for it. It waits for
// them as Kick does. ErrNotFound: there is nobody.
func (h *Hub) End(ctx context.Context, k Key) error {
	waited := false // for somebody to resume it
	err := h.kick(ctx, func(then *aftermath) []*session {
		var all []*session
		for s := range h.sessions {
			if s.Key == k {
				all = append(all, s)
			}
		}
		if p := h.paths[k]; p != nil {
			waited = p.live != nil
			p.close(ErrKicked, then)
		}
		return all
	})
	if waited && errors.Is(err, ErrNotFound) { // and nobody was left to be ended with it
		return nil
	}
	return err
}

// EndUnwatched ends the stream of a key if nobody watches it, and if its publisher is still the one with this epoch. It says whether it did.
func (h *Hub) EndUnwatched(k Key, epoch uint64) (ended bool) {
	h.change(func(then *aftermath) {
		p := h.paths[k]
		if p == nil || p.lease == nil || p.lease.epoch.Load() != epoch || p.live.viewers > 0 {
			return
		}
		ended = true
		p.vacate(ErrUnwatched, true, then)
	})
	return ended
}

// kick ends the sessions that which returns, and waits until their records are gone.
func (h *Hub) kick(ctx context.Context, which func(then *aftermath) []*session) error {
	var all []*session
	h.change(func(then *aftermath) {
		all = which(then)
		for _, s := range all {
			end := s.end
			s.kicked = true
			then.add(func() { end(ErrKicked) })
		}
	})
	if len(all) == 0 {
		return ErrNotFound
	}
	const look = 5 * time.Millisecond
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		left := 0
		h.locked(func() {
			for _, s := range all {
				if _, there := h.sessions[s]; there {
					left++
				}
			}
		})
		if left == 0 {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%d sessions have not ended yet: %w", left, context.Cause(ctx))
		}
	}
}
