package hook

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// Options are what hooks are made of.
type Options struct {
	Config    Config
	ServerID  string // used where the configuration says none
	Log       *slog.Logger
	Board     *watch.Board             // nil: nobody watches
	Statistic func() any               // the data of on_server_keepalive
	Settings  func() map[string]string // the body of on_server_started: all of the configuration, by ZLMediaKit's keys
	Dial      Dial                     // nil: by TCP, names looked up and remembered
}

// Dial makes a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Hooks asks and tells a platform. It implements hub.Authorizer and hub.Observer. Its methods are safe for concurrent use.
type Hooks struct {
	opt   Options
	index atomic.Uint64
	hub   *hub.Hub
	plan  atomic.Pointer[plan]
	lanes map[Hook]*lanes           // of all hooks, whatever the configuration. Nobody changes the map
	anew  chan struct{}             // the configuration has changed
	quiet atomic.Bool               // another process goes on with the server
	began atomic.Pointer[time.Time] // of the server's end; nil: it is not told

	mu    sync.Mutex // guards what follows; taken before the lanes' lock; memory only
	group *task.Group
	said  map[Hook]time.Time // when a failure was logged last
}

// plan is a configuration and its targets. It is immutable.
type plan struct {
	Config
	targets map[Hook]*target
}

// New returns hooks that Run sends. The configuration must be valid.
func New(o Options) *Hooks {
	if o.Dial == nil {
		o.Dial = newNames().connect
	}
	h := &Hooks{opt: o, anew: make(chan struct{}, 1), lanes: map[Hook]*lanes{}, said: map[Hook]time.Time{}}
	for _, hook := range hooks() {
		h.lanes[hook] = newLanes()
	}
	h.adopt(o.Config, nil)
	return h
}

// Serve tells the hooks whose streams their answers are about. Call it before Run.
func (h *Hooks) Serve(hub *hub.Hub) { h.hub = hub }

// Configure makes another configuration, which must be valid, hold from the next call on. Notifications that wait go where it says, in their
// order; those of a hook that is off now are dropped.
func (h *Hooks) Configure(c Config) {
	h.mu.Lock()
	old := h.plan.Load()
	now := h.adopt(c, old)
	h.mu.Unlock()
	for hook, t := range old.targets {
		if now.targets[hook] != t {
			t.retire()
		}
	}
	select {
	case h.anew <- struct{}{}:
	default:
	}
}

// adopt makes a configuration hold.
func (h *Hooks) adopt(c Config, old *plan) *plan {
	now := &plan{Config: c, targets: map[Hook]*target{}}
	for hook, at := range c.targets() {
		if old != nil && old.sameCalls(&c) && old.targets[hook] != nil && old.targets[hook].url == at {
			now.targets[hook] = old.targets[hook] // nothing has changed for it: it stays as it is
			continue
		}
		now.targets[hook] = newTarget(&c, hook, at, h.opt.Dial)
	}
	_, notes := c.shares()
	for _, l := range h.lanes {
		l.limit(c.Queue, notes)
	}
	h.plan.Store(now)
	return now
}

// sameCalls says whether calls are made in the same way.
func (p *plan) sameCalls(c *Config) bool {
	return p.Timeout == c.Timeout && p.Retries == c.Retries && p.RetryDelay == c.RetryDelay && p.Concurrency == c.Concurrency &&
		p.Insecure == c.Insecure
}

func (h *Hooks) target(hook Hook) *target { return h.plan.Load().targets[hook] }

func (h *Hooks) serverID() string {
	if id := h.plan.Load().ServerID; id != "" {
		return id
	}
	return h.opt.ServerID
}

// ServerID is what the hooks call this server.
func (h *Hooks) ServerID() string { return h.serverID() }

// Run sends notifications until ctx ends; then what waits, for 3 seconds at the most (see Close), and at last on_server_exited. End the hub first.
func (h *Hooks) Run(ctx context.Context) error {
	g, _ := task.NewGroup(context.WithoutCancel(ctx))
	h.mu.Lock()
	h.group = g
	h.mu.Unlock()
	h.work() // events may have come before
	h.Tell(Started, "", h.started())
	h.beat(ctx)
	h.flush()
	h.exit(context.WithoutCancel(ctx))
	h.mu.Lock()
	h.group = nil
	h.mu.Unlock()
	g.Stop(hub.ErrClosing)
	err := g.Wait()
	for _, t := range h.plan.Load().targets {
		t.retire()
	}
	return err
}

// Close says that the server begins to end: what waits by then is sent for 3 seconds from now on, and no longer because viewers take their time.
// Whoever ends the server waits for the whole of it. Calls after the first do nothing.
func (h *Hooks) Close() {
	now := time.Now()
	h.began.CompareAndSwap(nil, &now)
}

// Retire says that another process goes on with the server: its end is none that anybody is told of.
func (h *Hooks) Retire() { h.quiet.Store(true) }

// Figures are those of one hook.
type Figures struct {
	Hook     Hook
	URL      URL
	Calls    uint64 // attempts
	Failures uint64 // of them
	Refusals uint64 // answers that say no
	Busy     uint64 // questions for which there was no place in time
	Open     bool   // the breaker is: the target is not asked
	Waiting  int    // notifications
	Dropped  uint64 // notifications for which there was no room, or that were given up
}

// Figures returns how the hooks get on, by their names. Those of calls begin anew when the hook's settings change.
func (h *Hooks) Figures() []Figures {
	targets := h.plan.Load().targets
	out := make([]Figures, 0, len(targets))
	for _, hook := range slices.Sorted(maps.Keys(targets)) {
		t := targets[hook]
		waiting, dropped := h.lanes[hook].figures()
		out = append(out, Figures{
			hook, t.url, t.calls.Load(), t.failures.Load(), t.refusals.Load(), t.busy.Load(), !t.breaker.IsClosed(), waiting, dropped,
		})
	}
	return out
}
