package hub

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Figures count what the hub has decided since it was made.
type Figures struct {
	Takeovers  uint64 // owners that were displaced
	Challenges uint64 // owners that were asked whether they live
	Lapses     uint64 // publishers that were lost while viewers stayed
	Resumes    uint64 // broadcasts that another publisher went on with, without displacing anybody
	Fenced     uint64 // writes of publishers that did not own their key any more
	Duels      uint64 // times that an owner was held, because a key changed hands too often
	Ghosts     uint64 // publishers that were refused because of an owner that made no progress
	Orphans    uint64 // what the audit had to release. Anything but 0 is a fault of the server

	Refused map[Refusal]uint64
}

// Refusal is what refused requests are counted by.
type Refusal struct {
	Action Action
	Reason string // as of [Reason]
}

// MarshalText implements encoding.TextMarshaler: figures stand in evidence as JSON, where keys are texts.
func (r Refusal) MarshalText() ([]byte, error) { return []byte(string(r.Action) + " " + r.Reason), nil }

type figures struct {
	takeovers, challenges, lapses, resumes, fenced, duels, ghosts, orphans atomic.Uint64

	mu      sync.Mutex
	refused map[Refusal]uint64
}

// refusalsMax bounds the kinds of refusals: an authorizer may name reasons of its own.
const refusalsMax = 100

// refused counts a refusal.
func (h *Hub) refused(a Action, err error) {
	f, r := &h.figures, Refusal{a, Reason(err)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused == nil {
		f.refused = map[Refusal]uint64{}
	}
	if _, known := f.refused[r]; known || len(f.refused) < refusalsMax {
		f.refused[r]++
	}
}

func (f *figures) read() Figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Figures{
		Takeovers: f.takeovers.Load(), Challenges: f.challenges.Load(), Lapses: f.lapses.Load(), Resumes: f.resumes.Load(),
		Fenced: f.fenced.Load(), Duels: f.duels.Load(), Ghosts: f.ghosts.Load(), Orphans: f.orphans.Load(),
		Refused: maps.Clone(f.refused),
	}
}

// reportTracks tells of tracks that have stopped while others of their stream go on. Run's goroutine only.
func (h *Hub) reportTracks() {
	type ref struct {
		lease *Lease
		live  *broadcast
	}
	var refs []ref
	h.locked(func() {
		for _, p := range h.paths {
			if p.lease != nil {
				refs = append(refs, ref{p.lease, p.live})
			}
		}
	})
	for _, r := range refs {
		if !r.lease.well() {
			continue
		}
		for _, t := range r.live.stream.Quiet(h.Limit(Steady).Silence) {
			h.events.put(Event{Kind: Mute, Session: r.lease.session.info(), Epoch: r.lease.epoch.Load(), Track: t})
		}
	}
}
