package hub

import (
	"cmp"
	"slices"
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
	Figures       Figures
	DroppedEvents uint64
	generation    uint64
}

// Totals are sums over all sessions, those that have ended included. They never fall.
type Totals struct {
	Received uint64 // bytes of media from publishers
	Sent     uint64 // bytes handed to viewers' sockets
	Skips    uint64 // jumps of viewers
	Missed   uint64 // packets that were lost on the way from publishers, as far as protocols count them
	Lost     uint64 // the same, on the way to viewers
}

func (t *Totals) add(s *session) {
	i := s.info()
	t.Received += i.Received
	t.Sent += i.Sent
	t.Skips += i.Skips
	switch {
	case i.Transit == nil:
	case i.Action == ActionPublish:
		t.Missed += i.Transit.Lost
	default:
		t.Lost += i.Transit.Lost
	}
}

// StreamInfo describes one stream that is being published, or that waits for a publisher to resume it.
type StreamInfo struct {
	Key       Key
	Epoch     uint64 // of the publisher; 0: there is none
	Ready     bool
	Started   time.Time
	Publisher *SessionInfo  // nil: it was lost
	Origin    *SessionInfo  // the newest publisher, lost or not
	Terms     Terms         `json:"-"` // that hold
	Stalled   time.Duration // since the publisher's newest unit, or since it was lost; in steps of a quarter of a second
	Left      time.Duration // until the stream ends, if nobody resumes it; 0 while there is a publisher
	Standby   *SessionInfo  // nil: nobody
	Viewers   []SessionInfo // sorted by start
	Stats     stream.Stats
}

// pathRef is what the lock is held for: references, to be read at leisure.
type pathRef struct {
	key            Key
	lease, standby *Lease
	live           *broadcast
	terms          Terms
	lost, until    int64
}

// Snapshot returns the state. Membership is as of this call, counters are at most a second old. The hub's lock is held only
// to copy references, and not at all when nothing has changed.
func (h *Hub) Snapshot() *Snapshot {
	generation := h.generation.Load()
	if s := h.snapshot.Load(); s != nil && s.generation == generation && time.Since(s.At) < snapshotAge {
		return s
	}
	h.mu.Lock()
	refs := make([]pathRef, 0, len(h.paths))
	for k, p := range h.paths {
		if p.live != nil && !k.ofProbe() {
			refs = append(refs, p.ref())
		}
	}
	sessions := make([]*session, 0, len(h.sessions))
	for s := range h.sessions {
		if !s.Key.ofProbe() {
			sessions = append(sessions, s)
		}
	}
	s := &Snapshot{
		At: time.Now(), Totals: h.ended, Publishers: h.counts[tally{action: ActionPublish}],
		Viewers:    h.counts[tally{action: ActionPlay}],
		generation: h.generation.Load(),
	}
	h.mu.Unlock()

	s.DroppedEvents = h.events.drops()
	s.Figures = h.figures.read()
	s.fill(refs, sessions, h.now.Load())
	h.snapshot.Store(s)
	return s
}

// ref returns the path's references. There is a broadcast. Under mu.
func (p *path) ref() pathRef {
	return pathRef{p.key, p.lease, p.standby, p.live, p.live.terms, p.live.lost, p.live.until}
}

// Describe returns what a snapshot would say of one stream, and when that was. ok is false if there is no such stream.
func (h *Hub) Describe(k Key) (info StreamInfo, at time.Time, ok bool) {
	if k.ofProbe() {
		return info, at, false
	}
	var refs []pathRef
	var viewers []*session
	h.locked(func() {
		p := h.paths[k]
		if p == nil || p.live == nil {
			return
		}
		refs = append(refs, p.ref())
		if p.live.viewers == 0 {
			return
		}
		for s := range h.sessions {
			if s.action == ActionPlay && s.Key == k {
				viewers = append(viewers, s)
			}
		}
	})
	if refs == nil {
		return info, at, false
	}
	s := &Snapshot{At: time.Now()}
	s.fill(refs, viewers, h.now.Load())
	return s.Streams[0], s.At, true
}

// Stream returns the stream that is published under a key, or waits to be resumed; nil: there is none. Whoever reads it so is no viewer.
func (h *Hub) Stream(k Key) *stream.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.paths[k]; p != nil && p.live != nil {
		return p.live.stream
	}
	return nil
}

// Serves says whether a stream may be watched by a protocol: as its terms say, or, while there is none, as is configured.
func (h *Hub) Serves(k Key, protocol string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.paths[k]; p != nil && p.live != nil {
		return p.live.terms.ServedBy(protocol)
	}
	t := h.cfg().resolve(Terms{})
	return t.ServedBy(protocol)
}

// info describes the lease's session; nil if there is none.
func (l *Lease) info() *SessionInfo {
	if l == nil {
		return nil
	}
	i := l.session.info()
	return &i
}

func (s *Snapshot) fill(refs []pathRef, sessions []*session, now int64) {
	viewers := map[Key][]SessionInfo{}
	for _, v := range sessions {
		s.Totals.add(v)
		if v.action == ActionPlay {
			viewers[v.Key] = append(viewers[v.Key], v.info())
		}
	}
	for _, r := range refs {
		v := viewers[r.key]
		delete(viewers, r.key)
		slices.SortFunc(v, func(a, b SessionInfo) int { return a.Started.Compare(b.Started) })
		i := StreamInfo{
			Key: r.key, Started: r.live.started, Ready: r.live.stream.Ready(), Viewers: v, Stats: r.live.stream.Stats(),
			Standby: r.standby.info(), Publisher: r.lease.info(), Origin: r.live.writer.Load().info(), Terms: r.terms,
		}
		if r.lease != nil {
			i.Epoch, i.Stalled = r.lease.epoch.Load(), time.Duration(now-r.lease.progress.Load())
		} else {
			i.Left = time.Duration(max(r.until-now, 0))
			i.Stalled = time.Duration(now - r.lost)
		}
		s.Streams = append(s.Streams, i)
	}
	for _, v := range viewers {
		s.Waiting = append(s.Waiting, v...)
	}
	slices.SortFunc(s.Streams, func(a, b StreamInfo) int { return a.Key.compare(b.Key) })
	slices.SortFunc(s.Waiting, func(a, b SessionInfo) int { return cmp.Compare(a.ID, b.ID) })
}
