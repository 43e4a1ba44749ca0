package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// Hub is the table of streams and sessions. Its methods are safe for concurrent use.
type Hub struct {
	set    atomic.Pointer[settings]
	auth   Authorizer
	events *eventQueue
	board  *watch.Board // nil: nobody watches

	attempts attempts
	figures  figures
	pressure atomic.Int32              // a Pressure
	now      atomic.Int64              // the hub's clock: nanoseconds, in steps of tick; stands still while the process is paused
	beat     atomic.Pointer[time.Time] // when Run last judged, or the hub was made

	mu       sync.Mutex // guards what follows
	paths    map[Key]*path
	sessions map[*session]struct{}
	counts   map[tally]int
	strikes  map[Key]strike       // of keys whose streams have hung
	renamed  map[attempt]*session // the newest of those publishers to whom the authorizer gave another key than they asked for
	load     load
	ended    Totals // of sessions that have ended
	epoch    uint64
	closing  bool
	closed   chan struct{} // closed with closing

	generation atomic.Uint64 // of the membership
	snapshot   atomic.Pointer[Snapshot]
}

// New returns a hub. auth may be nil: everything is allowed. Observers are told of events by Run.
func New(cfg Config, auth Authorizer, observers ...Observer) *Hub {
	h := &Hub{
		auth: auth, events: newEventQueue(observers),
		paths: map[Key]*path{}, sessions: map[*session]struct{}{}, counts: map[tally]int{}, renamed: map[attempt]*session{},
		strikes: map[Key]strike{}, closed: make(chan struct{}),
	}
	now := time.Now()
	h.beat.Store(&now)
	h.Configure(cfg)
	return h
}

// settings are a configuration and what follows from it. They are immutable.
type settings struct {
	Config
	phases [phases]Limit
}

// Configure makes another configuration hold, for what comes from now on: streams that there are keep the rings that they have, their sound and
// the protocols that they are served by; and the probe its token.
func (h *Hub) Configure(cfg Config) {
	if before := h.set.Load(); before != nil {
		cfg.Probe = before.Probe
	}
	h.set.Store(&settings{cfg, Phases(cfg)})
}

func (h *Hub) cfg() *Config { return &h.set.Load().Config }

// Watch has the hub note on b how its loops and publishers get on, and be healed where they hang. Call it before Run.
func (h *Hub) Watch(b *watch.Board) { h.board, h.events.board = b, b }

// Run judges the leases and delivers events until ctx ends; then it delivers what still waits. Observers do not hold up
// the judging, and one that panics loses that event only. Stop what uses the hub first.
func (h *Hub) Run(ctx context.Context) error {
	g, _ := task.NewGroup(ctx)
	(&judges{hub: h, group: g}).start()
	g.Go("hub events", h.events.run)
	return g.Wait()
}

// Close refuses newcomers from now on, those that wait for a publisher too, and ends all publishers with ErrClosing;
// viewers run to the end of the rings.
func (h *Hub) Close() {
	h.change(func(then *aftermath) {
		if !h.closing {
			h.closing = true
			then.add(func() { close(h.closed) })
		}
		for _, p := range h.paths {
			p.close(ErrClosing, then)
		}
	})
}

// close ends all that publishes the key, or wants to.
func (p *path) close(cause error, then *aftermath) {
	p.refuseRivals(cause, then)
	if p.standby != nil {
		p.standby.free(cause, true, then)
	}
	switch {
	case p.lease != nil:
		p.vacate(cause, true, then)
	case p.live != nil:
		p.finish(cause, then)
	}
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
	return h.counts[tally{action: ActionPublish}], h.counts[tally{action: ActionPlay}]
}

// asks says whether the authorizer is asked before something is done.
func (h *Hub) asks(a Action) bool {
	if h.auth == nil {
		return false
	}
	some, ok := h.auth.(interface{ Asks(a Action) bool })
	return !ok || some.Asks(a)
}

// authorize asks the authorizer, without the lock.
func (h *Hub) authorize(ctx context.Context, a Action, q Request) (Permit, error) {
	if !h.asks(a) || q.Key.ofProbe() {
		return Permit{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.Limit(Authorisation).Age)
	defer cancel()
	p, err := h.auth.Authorize(ctx, a, q)
	if err == nil {
		err = p.validate()
	}
	if err != nil && !errors.Is(err, ErrDenied) {
		return Permit{}, fmt.Errorf("%w: %w", ErrAuthorizer, err)
	}
	return p, err
}

// enter adds a session, or refuses it. It may be meant to replace another, or nil. Under mu.
func (h *Hub) enter(s, instead *session) error {
	if err := h.room(s, instead); err != nil {
		return err
	}
	if !s.Key.ofProbe() {
		for _, t := range tallies(s) {
			h.counts[t]++
		}
	}
	if l := s.lease; l != nil && l.asked.key != s.Key {
		h.renamed[l.asked] = s
	}
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
	if l := s.lease; l != nil && h.renamed[l.asked] == s {
		delete(h.renamed, l.asked)
	}
	h.generation.Add(1)
	if s.Key.ofProbe() {
		return true
	}
	for _, t := range tallies(s) {
		if h.counts[t]--; h.counts[t] == 0 {
			delete(h.counts, t)
		}
	}
	h.ended.add(s)
	return true
}
