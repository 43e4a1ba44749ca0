package egress

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// Egress sends shares to viewers. Its methods are safe for concurrent use.
type Egress struct {
	opt   Options
	log   *slog.Logger
	start time.Time // of its clock

	shards  []*shard
	cells   *watch.Board    // nil: nobody watches
	pilots  *task.Pool      // of shards
	over    chan error      // what each shard has ended with: room for all
	lost    atomic.Int64    // pilots that were deposed and have yet to come back
	writers *task.Pool      // of links that no shard can take
	ended   context.Context //nolint:containedctx // Run's life, which the writers end with
	end     context.CancelCauseFunc

	mu     sync.Mutex // guards what follows; memory only
	groups map[seat]*group
	closed bool // no writer begins any more
}

// New returns an Egress. Options that are zero mean Default. Run it.
func New(o Options, log *slog.Logger) *Egress {
	if o == (Options{}) {
		o = Default()
	}
	e := &Egress{opt: o, log: log, start: time.Now(), groups: map[seat]*group{}}
	e.ended, e.end = context.WithCancelCause(context.Background())
	// Their number is bounded by that of the connections that are accepted.
	e.writers = task.NewPool(math.MaxInt, e.panicked)
	e.pilots = task.NewPool(math.MaxInt, e.panicked) // one for each shard, and deposedMost
	for range runtime.GOMAXPROCS(0) {
		e.shards = append(e.shards, newShard(e, len(e.shards)))
	}
	e.over = make(chan error, len(e.shards))
	return e
}

// Watch has the shards note their progress on a board. A shard that hangs in a call about one link is healed: another goroutine goes on
// without that link, which is ended with ErrHung. At most 16 goroutines are left behind at a time. Call it before Run.
func (e *Egress) Watch(b *watch.Board) { e.cells = b }

// Run sends until ctx ends; then it ends all links with ctx's cause, and returns when the last has ended. It waits half a second
// at the most for goroutines that were left behind: one that hangs in a session for ever stays, and its link with it.
func (e *Egress) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, s := range e.shards {
		s.man(ctx, s.enlist(ctx))
	}
	err := e.await(ctx, cancel)
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.writers.Wait()
	e.abandon()
	return err
}

// now is the time on the clock of the Egress.
func (e *Egress) now() instant { return e.instant(time.Now()) }

// instant is at on the clock of the Egress.
func (e *Egress) instant(at time.Time) instant { return instant(max(1, at.Sub(e.start))) }

// Play hands the connection over, and has the viewer's bytes sent until ctx ends, or the viewer, the session or the peer. It
// returns at once; the session is told of the end. What the session has been asked for before is answered first. ctx must live as
// long as the link: its cause is why the link ends.
func (l *Link) Play(ctx context.Context, v *stream.Viewer) {
	l.ctx, l.viewer = ctx, v
	if l.sock == nil {
		l.takeSocket()
	}
	if l.sock == nil {
		l.egress.playPortable(l)
		return
	}
	l.group = l.egress.choose(v.Share())
	l.group.shard.take(l)
}

// bell is a group as a share's waker. Each subscription has its own, so that a late end of one is not another's.
type bell struct{ *group }

// group is the viewers of one share that one shard serves. It is the share's waker.
type group struct {
	shard *shard
	pace  pace

	members int // under Egress.mu

	// The shard's.
	links  []*Link // nil: one that has left
	left   int     // how many have
	first  int     // whose turn it is to be first
	cancel func()  // of the share's subscription; nil: not subscribed yet
}

// seat is where groups are found.
type seat struct {
	share *stream.Share
	shard *shard
}

// choose returns the group for one more viewer of a share. A small audience stays together, so that a flush wakes one shard; else
// the shard with the fewest links gets it.
func (e *Egress) choose(share *stream.Share) *group {
	e.mu.Lock()
	defer e.mu.Unlock()
	best := e.shards[0]
	for _, s := range e.shards {
		if g := e.groups[seat{share, s}]; g != nil && g.members < audienceMin {
			best = s
			break
		}
		if s.load.Load() < best.load.Load() {
			best = s
		}
	}
	best.load.Add(1)
	g := e.groups[seat{share, best}]
	if g == nil {
		g = &group{shard: best}
		e.groups[seat{share, best}] = g
	}
	g.members++
	return g
}

// leave takes a viewer from its group, and says whether it was the last.
func (e *Egress) leave(share *stream.Share, g *group) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	g.members--
	if g.members > 0 {
		return false
	}
	delete(e.groups, seat{share, g.shard})
	return true
}

// report logs a panic, if err is one.
func (e *Egress) report(err error) {
	if p, ok := errors.AsType[*task.PanicError](err); ok {
		e.panicked(p)
	}
}

func (e *Egress) panicked(p *task.PanicError) {
	e.log.Error("a session panicked", "cause", p, "stack", string(p.Stack))
}
