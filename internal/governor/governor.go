package governor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// Level is how short the process is of memory.
type Level int32

// The levels.
const (
	Calm   Level = iota
	Shed         // from 70 % of the limit: what can be spared is to be given up
	Refuse       // from 85 %, or when collecting garbage takes half of the processors: nobody new is to be let in
)

// String is the level's name.
func (l Level) String() string { return [...]string{"calm", "shed", "refuse"}[l] }

// ErrMemory is what Run ends with when the process has to end.
var ErrMemory = errors.New("out of memory: what is in use has not come down, and no more is allowed")

const (
	period = 250 * time.Millisecond // between two readings

	shedAt, refuseAt, lastAt = 0.70, 0.85, 0.95 // of the limit
	slack                    = 0.05             // under the level, it is left

	lastReadings = 8                // in a row, at the last level, until the process ends
	collectEvery = 2 * time.Second  // garbage is collected no more often, to know what is in use
	freeEvery    = 10 * time.Second // memory is given back to the system no more often

	// The collector's share of the processors. The runtime holds it at half, where it is due to its limit: more is never seen.
	collectorAt, collectorSlack = 0.45, 0.10
	collectorReadings           = int(10 * time.Second / period) // over which it is taken

	evidenceFor = 2 * time.Second // for the writing of evidence: a disk may hang
)

// Options are what a governor is given. Functions that are nil are not called, but for those that say otherwise.
type Options struct {
	Limit int64        // bytes; 0: nobody knows, and nothing is done
	Log   *slog.Logger // for each change, and for the end

	// Tell is told of each change, and of the level at each reading while memory is short, because of those that have come
	// since. It is called on Run's goroutine and must not wait.
	Tell func(Level)

	// Keep keeps a heap profile, gzipped, where it can be found, and says where that is. It may hang.
	Keep func(profile []byte) (path string, err error)
	// Doomed is told before evidence is gathered that Run is going to end with ErrMemory.
	Doomed func()

	Read    func() Reading // nil: the runtime's figures
	Collect func()         // nil: runtime.GC
	Free    func()         // nil: debug.FreeOSMemory
}

// Governor reads how much memory is needed, four times a second. Run it. Its other methods may be called from any goroutine.
type Governor struct {
	opt   Options
	level atomic.Int32
	used  atomic.Int64

	// Run's.
	over      int       // readings at the last level, in a row
	collected time.Time // when garbage was collected to know what is in use
	freed     time.Time // when memory was given back
	history   []Reading // the newest, the oldest first
}

// New returns a governor that has read nothing yet.
func New(o Options) *Governor {
	if o.Read == nil {
		o.Read = newReader()
	}
	if o.Collect == nil {
		o.Collect = runtime.GC
	}
	if o.Free == nil {
		o.Free = debug.FreeOSMemory
	}
	return &Governor{opt: o}
}

// Level is the present one.
func (g *Governor) Level() Level { return Level(g.level.Load()) }

// Used is how many bytes were in use at the newest reading.
func (g *Governor) Used() int64 { return g.used.Load() }

// Limit is how many bytes may be in use; 0: nobody knows.
func (g *Governor) Limit() int64 { return g.opt.Limit }

// Run governs until ctx ends. It returns ErrMemory when the process has to end. While it runs, the runtime's own limit is set, unless the
// operator has set one.
func (g *Governor) Run(ctx context.Context) error {
	if g.opt.Limit <= 0 {
		g.opt.Log.Warn("nobody knows how much memory there is: its use is not limited; set limits.memory")
		<-ctx.Done()
		return nil
	}
	defer limitRuntime(g.opt.Limit)()
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if g.turn() {
			g.end(ctx)
			return ErrMemory
		}
	}
}

// turn reads and judges once. It says whether the process has to end.
func (g *Governor) turn() (last bool) {
	r := g.read()
	if g.share(r.Used) < lastAt {
		g.over = 0
	} else if g.over++; g.over >= lastReadings {
		r = g.collect() // lest garbage be the reason
		if g.share(r.Used) >= lastAt {
			return true
		}
		g.over = 0
	}
	if g.stale(r) && since(g.collected) >= collectEvery {
		r = g.collect()
	}
	collecting := g.collecting(r)
	g.settle(g.judge(g.share(r.Used), collecting), r, collecting)
	if g.Level() >= Shed && since(g.freed) >= freeEvery {
		g.freed = time.Now()
		g.opt.Free()
	}
	return false
}

// stale says whether the level may be another since the newest garbage collection: a higher one by what was allocated, or a lower one by what
// is not needed any more. The runtime would collect at its own limit only.
func (g *Governor) stale(r Reading) bool {
	return g.Level() >= Shed || g.judge(g.share(r.AtMost), 0) > g.Level()
}

// collect reads what is in use now.
func (g *Governor) collect() Reading {
	g.opt.Collect()
	g.collected = time.Now()
	return g.read()
}

// since is how long ago t was; longer than anything for one that never was.
func since(t time.Time) time.Duration {
	if t.IsZero() {
		return math.MaxInt64
	}
	return time.Since(t)
}

func (g *Governor) read() Reading {
	r := g.opt.Read()
	g.used.Store(r.Used)
	return r
}

func (g *Governor) share(bytes int64) float64 { return float64(bytes) / float64(g.opt.Limit) }

// collecting is the collector's share of the processors over the newest readings; 0 while there are too few.
func (g *Governor) collecting(r Reading) float64 {
	g.history = append(g.history, r)
	if len(g.history) <= collectorReadings {
		return 0
	}
	first := g.history[0]
	g.history = g.history[:copy(g.history, g.history[1:])]
	if r.All <= first.All {
		return 0 // nothing was collected meanwhile
	}
	return (r.Collector - first.Collector) / (r.All - first.All)
}

// judge returns the level for shares of the limit and of the processors. A level is left only once they are well under it.
func (g *Governor) judge(used, collecting float64) Level {
	at := func(l Level, share, limit, slack float64) bool {
		return share >= limit || g.Level() >= l && share >= limit-slack
	}
	switch {
	case at(Refuse, used, refuseAt, slack), at(Refuse, collecting, collectorAt, collectorSlack):
		return Refuse
	case at(Shed, used, shedAt, slack):
		return Shed
	}
	return Calm
}

// settle makes l the level.
func (g *Governor) settle(l Level, r Reading, collecting float64) {
	before := Level(g.level.Swap(int32(l)))
	if g.opt.Tell != nil && (l != before || l != Calm) {
		g.opt.Tell(l)
	}
	if l == before {
		return
	}
	log := g.opt.Log.With("pressure", l.String(), "before", before.String(), "used_bytes", r.Used, "limit_bytes", g.opt.Limit)
	switch {
	case l == Calm:
		log.Info("memory suffices again")
	case collecting >= collectorAt-collectorSlack:
		log.Warn("short of memory: collecting garbage takes much of the processors", "share", collecting)
	default:
		log.Warn("short of memory")
	}
}

// end keeps evidence of what the memory is used for.
func (g *Governor) end(ctx context.Context) {
	if g.opt.Doomed != nil {
		g.opt.Doomed()
	}
	log := g.opt.Log.With("used_bytes", g.Used(), "limit_bytes", g.opt.Limit, "goroutines", runtime.NumGoroutine())
	if g.opt.Keep == nil {
		log.Error("out of memory: ending")
		return
	}
	kept := make(chan string, 1) // its writer may come too late
	writer, _ := task.NewGroup(context.WithoutCancel(ctx))
	writer.Go("heap profile", func(context.Context) error {
		kept <- g.evidence()
		return nil
	})
	timeout := time.NewTimer(evidenceFor)
	defer timeout.Stop()
	select {
	case outcome := <-kept:
		log.Error("out of memory: ending", "profile", outcome)
	case <-timeout.C:
		log.Error("out of memory: ending", "profile", "was not written in time")
	}
}

// evidence writes a heap profile, and says where it is, or why it is nowhere.
func (g *Governor) evidence() string {
	var b bytes.Buffer
	if err := pprof.WriteHeapProfile(&b); err != nil {
		return err.Error()
	}
	path, err := g.opt.Keep(b.Bytes())
	if err != nil {
		return err.Error()
	}
	return path
}
