package hub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// Hub is the table of streams and sessions. Its methods are safe for concurrent use.
type Hub struct {
	cfg    Config
	auth   Authorizer
	events *eventQueue
	now    atomic.Int64              // the hub's clock: nanoseconds, in steps of tick; stands still while the process is paused
	beat   atomic.Pointer[time.Time] // when Run last judged, or the hub was made

	mu       sync.Mutex // guards what follows
	paths    map[Key]*path
	sessions map[*session]struct{}
	counts   map[Action]int
	ended    Totals // of sessions that have ended
	epoch    uint64
	closing  bool
	closed   chan struct{} // closed with closing

	generation atomic.Uint64 // of the membership
	snapshot   atomic.Pointer[Snapshot]
}

// path is what the hub knows of one key: its stream while somebody publishes, and who waits for it.
type path struct {
	stream    *stream.Stream
	lease     *Lease // nil: nobody publishes
	published chan struct{}
	waiting   int
}

// New returns a hub. auth may be nil: everything is allowed. Observers are told of events by Run.
func New(cfg Config, auth Authorizer, observers ...Observer) *Hub {
	h := &Hub{
		cfg: cfg, auth: auth, events: newEventQueue(observers),
		paths: map[Key]*path{}, sessions: map[*session]struct{}{}, counts: map[Action]int{},
		closed: make(chan struct{}),
	}
	now := time.Now()
	h.beat.Store(&now)
	return h
}

// tick is how often leases are judged, and the grain of the hub's clock.
const tick = 250 * time.Millisecond

// Run judges the leases and delivers events until ctx ends; then it delivers what still waits. Observers do not hold up
// the judging, and one that panics loses that event only. Stop what uses the hub first.
func (h *Hub) Run(ctx context.Context) error {
	g, _ := task.NewGroup(ctx)
	g.Go("hub leases", h.judgeLeases)
	g.Go("hub events", h.events.run)
	return g.Wait()
}

func (h *Hub) judgeLeases(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			// A pause of the process itself is granted to all: the hub's clock does not see it.
			h.now.Add(int64(min(now.Sub(last), tick*3/2)))
			last = now
			h.judge()
			h.beat.Store(&now)
		}
	}
}

// Stalled is how long it is since Run last judged the leases: well under a second while the hub lives.
func (h *Hub) Stalled() time.Duration {
	return time.Since(*h.beat.Load())
}

// judge ends the publishers that have written nothing for MaxSilence.
func (h *Hub) judge() {
	now, most := h.now.Load(), int64(h.cfg.Publish.MaxSilence)
	h.lose(fmt.Errorf("%w: nothing for %v", ErrSilent, h.cfg.Publish.MaxSilence), func(l *Lease) bool {
		return now-l.progress.Load() > most
	})
}

// Close refuses newcomers from now on, those that wait for a publisher too, and ends all publishers with ErrClosing;
// viewers run to the end of the rings.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closing {
		h.closing = true
		close(h.closed)
	}
	h.mu.Unlock()
	h.lose(ErrClosing, func(*Lease) bool { return true })
}

// Closing says whether Close has been called.
func (h *Hub) Closing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

// Sessions returns the number of publishers and viewers.
func (h *Hub) Sessions() (publishers, viewers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[ActionPublish], h.counts[ActionPlay]
}

// authorize asks the authorizer, without the lock.
func (h *Hub) authorize(ctx context.Context, a Action, q Request) error {
	if h.auth == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	return h.auth.Authorize(ctx, a, q)
}

// authTimeout bounds the authorizer.
const authTimeout = 5 * time.Second

// enter adds a session, or refuses it. Under mu.
func (h *Hub) enter(s *session) error {
	limit := h.cfg.Limits.Viewers
	if s.action == ActionPublish {
		limit = h.cfg.Limits.Publishers
	}
	switch {
	case h.closing:
		return ErrClosing
	case h.counts[s.action] >= limit:
		return fmt.Errorf("%w: %d sessions that %s", ErrLimit, limit, s.action)
	}
	h.counts[s.action]++
	h.sessions[s] = struct{}{}
	h.generation.Add(1)
	return nil
}

// leave removes a session and says whether it was there. Under mu.
func (h *Hub) leave(s *session) bool {
	if _, ok := h.sessions[s]; !ok {
		return false
	}
	delete(h.sessions, s)
	h.counts[s.action]--
	h.ended.add(s)
	h.generation.Add(1)
	return true
}

// path returns the record of a key, made on first use. Under mu.
func (h *Hub) path(k Key) *path {
	p := h.paths[k]
	if p == nil {
		p = &path{published: make(chan struct{})}
		h.paths[k] = p
	}
	return p
}

// forget drops the record of a key that nobody publishes or waits for. Under mu.
func (h *Hub) forget(k Key) {
	if p := h.paths[k]; p != nil && p.lease == nil && p.waiting == 0 {
		delete(h.paths, k)
	}
}
