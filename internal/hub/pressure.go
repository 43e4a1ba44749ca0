package hub

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/stream"
)

// Pressure says how short of memory the server is.
type Pressure int32

// The levels of pressure.
const (
	Calm   Pressure = iota
	Shed            // what can be spared is given up: broadcasts that wait for a publisher to resume, and new viewers
	Refuse          // new publishers are refused too
)

// SetPressure tells the hub. It may be called at any time, and does at once what the level means.
func (h *Hub) SetPressure(level Pressure) {
	if Pressure(h.pressure.Swap(int32(level))) >= level || level < Shed {
		return
	}
	h.change(func(then *aftermath) {
		for _, p := range h.paths {
			if p.live != nil && p.lease == nil && p.standby == nil {
				p.finish(ErrOverload, then)
			}
		}
	})
}

// Squeeze bounds what the rings of all streams keep together to about all bytes, but each to no less than the given number; 0: to what is
// configured. It is applied at once to the streams that there are: call it again for those that come, as long as it is to hold. One
// goroutine calls it.
func (h *Hub) Squeeze(all, each int64) {
	var streams []*stream.Stream
	h.locked(func() {
		for _, p := range h.paths {
			if p.live != nil && !p.stalls() {
				streams = append(streams, p.live.stream)
			}
		}
	})
	rings := 0
	for _, s := range streams {
		rings += s.Rings()
	}
	bound := int64(0)
	if all > 0 {
		bound = max(all/int64(max(rings, 1)), each)
	}
	for _, s := range streams {
		s.Squeeze(bound)
	}
}

// Pressure is the level that the hub was told of last.
func (h *Hub) Pressure() Pressure { return Pressure(h.pressure.Load()) }

func (h *Hub) pressed() bool { return Pressure(h.pressure.Load()) >= Shed }

// admitsNow says whether sessions that do a are let in at all. Under mu.
func (h *Hub) admitsNow(a Action) error {
	level := Pressure(h.pressure.Load())
	switch {
	case h.closing:
		return ErrClosing
	case level >= Refuse || level >= Shed && a == ActionPlay:
		return fmt.Errorf("%w: no new sessions that %s", ErrOverload, a)
	}
	return nil
}

// admits says before anybody is asked whether there is room for a session at all. To a publisher the authorizer may give another key: of
// which application and stream it will be is not known then, and it may come in the place of one that has asked for the same.
func (h *Hub) admits(a Action, q Request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	instead := h.ownerOf(q.Key)
	if a == ActionPublish && h.auth != nil {
		if before := h.renamed[attempt{Subscriber(q.Remote.Addr()), q.Key}]; before != nil {
			instead = before
		}
		q.Key = Key{}
	}
	return h.room(&session{Request: q, action: a}, instead)
}

// ownerOf returns the session that publishes a key, or nil. Under mu.
func (h *Hub) ownerOf(k Key) *session {
	if p := h.paths[k]; p != nil && p.lease != nil {
		return p.lease.session
	}
	return nil
}
