package hub

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// snapshotAge is how old the counters of a snapshot may be.
const snapshotAge = time.Second

// Snapshot is the hub's state at one moment. It is immutable and shared.
type Snapshot struct {
	At            time.Time
	Streams       []StreamInfo  // sorted by key
	Waiting       []SessionInfo // viewers of streams that nobody publishes
	Publishers    int
	Viewers       int // those that wait included
	Totals        Totals
	DroppedEvents uint64
	generation    uint64
}

// Totals are sums over all sessions, those that have ended included. They never fall.
type Totals struct {
	Received uint64 // bytes of media from publishers
	Sent     uint64 // bytes handed to viewers' sockets
	Skips    uint64 // jumps of viewers
}

func (t *Totals) add(s *session) {
	i := s.info()
	t.Received += i.Received
	t.Sent += i.Sent
	t.Skips += i.Skips
}

// StreamInfo describes one stream that is being published.
type StreamInfo struct {
	Key       Key
	Epoch     uint64
	Ready     bool
	Publisher SessionInfo
	Viewers   []SessionInfo // sorted by start
	Stats     stream.Stats
}

// streamRef is what the lock is held for: references, to be read at leisure.
type streamRef struct {
	lease  *Lease
	stream *stream.Stream
}

// Snapshot returns the state. Membership is as of this call, counters are at most a second old. The hub's lock is held only
// to copy references, and not at all when nothing has changed.
func (h *Hub) Snapshot() *Snapshot {
	generation := h.generation.Load()
	if s := h.snapshot.Load(); s != nil && s.generation == generation && time.Since(s.At) < snapshotAge {
		return s
	}
	h.mu.Lock()
	refs := make([]streamRef, 0, len(h.paths))
	for _, p := range h.paths {
		if p.lease != nil {
			refs = append(refs, streamRef{p.lease, p.stream})
		}
	}
	sessions := make([]*session, 0, len(h.sessions))
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	s := &Snapshot{
		At: time.Now(), Totals: h.ended, Publishers: h.counts[ActionPublish], Viewers: h.counts[ActionPlay],
		generation: h.generation.Load(),
	}
	h.mu.Unlock()

	s.DroppedEvents = h.events.drops()
	s.fill(refs, sessions)
	h.snapshot.Store(s)
	return s
}

func (s *Snapshot) fill(refs []streamRef, sessions []*session) {
	viewers := map[Key][]SessionInfo{}
	for _, v := range sessions {
		s.Totals.add(v)
		if v.action == ActionPlay {
			viewers[v.Key] = append(viewers[v.Key], v.info())
		}
	}
	for _, r := range refs {
		k := r.lease.session.Key
		v := viewers[k]
		delete(viewers, k)
		slices.SortFunc(v, func(a, b SessionInfo) int { return a.Started.Compare(b.Started) })
		s.Streams = append(s.Streams, StreamInfo{
			Key: k, Epoch: r.lease.epoch, Ready: r.stream.Ready(), Publisher: r.lease.session.info(), Viewers: v,
			Stats: r.stream.Stats(),
		})
	}
	for _, v := range viewers {
		s.Waiting = append(s.Waiting, v...)
	}
	slices.SortFunc(s.Streams, func(a, b StreamInfo) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	slices.SortFunc(s.Waiting, func(a, b SessionInfo) int { return cmp.Compare(a.ID, b.ID) })
}
