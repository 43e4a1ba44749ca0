package watch

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	scanEvery = 250 * time.Millisecond
	lateMost  = scanEvery * 3 / 2 // between two scans: more says that the process was paused
	afterward = 2 * time.Second   // that all get to go on after a pause
	mercies   = 10 * time.Second  // between two such, at the least
	healing   = time.Second       // that what is done about a loop gets to be of help, before the process is doomed
	patience  = 4                 // times as long may everything take while others have the processors
	findings  = 256               // that may wait for the healer
)

// Stage is how far a loop that is stuck has come.
type Stage uint8

// The stages.
const (
	Sound Stage = iota
	Warned
	Bundled
	Acted
)

// Finding is what the guard has found: that a loop is stuck, or moves again.
type Finding struct {
	Label *Label
	Stage Stage         // Sound: it moves again
	Age   time.Duration // for how long it is stuck, or was, pauses of the process not counted
	Again int           // how many times Acted has been found before, in the same step
}

// Pulse is what the guard tells of the process each time that it has looked.
type Pulse struct {
	Scan    uint64        // its number
	At      time.Duration // on the board's clock
	Cells   int           // that it has looked at
	Busy    int           // of them, those that had something to do since the scan before
	Moved   int           // of those, how many have ended a step
	Stuck   int           // that have been so for as long as their class allows
	Worst   Culprit       // the one that has been stuck for longest
	Doomed  Culprit       // of those that are a reason to replace the process, and were not healed within a second, the same
	Pauses  uint64        // of the process, so far
	Starved bool          // others have the processors
}

// Culprit is a loop that is stuck. The zero value is none.
type Culprit struct {
	Label *Label
	Age   time.Duration
}

// note keeps the worse of two.
func (c *Culprit) note(l *Label, age time.Duration) {
	if age > c.Age {
		*c = Culprit{l, age}
	}
}

// GuardOptions are what a Guard is made of.
type GuardOptions struct {
	Board *Board

	// Starved says whether processes wait for processors for much of the time. It must not wait. nil: they never do.
	Starved func() bool
	// Beat is told after each scan. It must neither wait, nor take a lock, nor allocate; nor keep the pointer. nil: nobody is.
	Beat func(*Pulse)
}

// Guard looks at the cells of a board. Run it; its other methods are safe for concurrent use.
type Guard struct {
	opt   GuardOptions
	found chan Finding
	lost  atomic.Uint64 // attempts to tell of a finding when nobody could take it
	scans atomic.Uint64
	last  atomic.Int64 // when it last looked, on the board's clock

	// Its goroutine's.
	clock   int64 // of all time that counts: it stands still while the process is paused, and a little longer
	step    int64 // by how much it went on with this scan
	mercy   int64 // until then it stands still, and
	another int64 // before then no pause makes it stand still again; both on the board's clock
	pulse   Pulse
}

// record is what the guard knows of a cell. Nobody else touches it.
type record struct {
	label *Label
	done  uint64
	since int64
	from  int64 // the guard's clock when the step began, or, if none is under way, when the loop was last seen to move
	told  Stage
	again int32
}

// NewGuard returns a guard.
func NewGuard(o GuardOptions) *Guard {
	g := &Guard{opt: o, found: make(chan Finding, findings)}
	g.last.Store(o.Board.now())
	return g
}

// Run looks until ctx ends.
func (g *Guard) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t := time.NewTicker(scanEvery)
	defer t.Stop()
	g.last.Store(g.opt.Board.now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			g.scan(g.opt.Board.now())
		}
	}
}

// Findings is what it has found, for the healer.
func (g *Guard) Findings() <-chan Finding { return g.found }

// Lost counts the attempts to tell of a finding when nobody could take it. That a loop is stuck is told again; that it moves is not.
func (g *Guard) Lost() uint64 { return g.lost.Load() }

// Scans is how often it has looked.
func (g *Guard) Scans() uint64 { return g.scans.Load() }

// Looked is how long ago it last looked.
func (g *Guard) Looked() time.Duration { return time.Duration(g.opt.Board.now() - g.last.Load()) }

// scan looks at all cells.
func (g *Guard) scan(now int64) {
	p := &g.pulse
	g.pass(now)
	g.scans.Add(1)
	*p = Pulse{Scan: p.Scan + 1, At: time.Duration(now), Pauses: p.Pauses, Starved: g.opt.Starved != nil && g.opt.Starved()}
	times := int64(1)
	if p.Starved {
		times = patience
	}
	for i, b := int32(0), g.opt.Board; i < b.used.Load(); {
		here := b.pages[i/cellsEach].Load()
		for n := min(b.used.Load()-i, cellsEach); n > 0; n-- {
			g.look(&here.cells[i%cellsEach], &here.records[i%cellsEach], now, times)
			i++
		}
	}
	if g.opt.Beat != nil {
		g.opt.Beat(p)
	}
}

// pass has the guard's clock go on. A pause of the process is granted to all, and time to get over it; that not too often, lest a process
// that is paused again and again be blind to what hangs in it.
func (g *Guard) pass(now int64) {
	g.step = now - g.last.Swap(now)
	if g.step > int64(lateMost) {
		g.pulse.Pauses++
		g.step = int64(scanEvery)
		if now >= g.another {
			g.mercy, g.another = now+int64(afterward), now+int64(mercies)
		}
	}
	if now < g.mercy {
		g.step = 0
	}
	g.clock += g.step
}

// look judges a cell. times is how many times as long as usually it may take.
func (g *Guard) look(c *Cell, r *record, now, times int64) {
	l := c.label.Load()
	if l != r.label {
		if l == nil || l.Class != Abandoned {
			g.recover(r)
		}
		*r = record{label: l, done: c.done.Load(), from: g.clock}
	}
	if l == nil {
		return
	}
	done, since := c.done.Load(), c.since.Load() // in this order: a step that ends in between is not taken for one that goes on
	g.count(done != r.done, since != 0)
	if done != r.done || since != r.since {
		g.recover(r)
		r.done, r.since, r.from = done, since, g.clock
		if since != 0 {
			r.from -= min(max(now-since, 0), g.step) // it was not under way when the guard last looked
		}
	}
	age := time.Duration(g.clock - r.from)
	if since == 0 {
		if l.Beat == 0 {
			return
		}
		age -= l.Beat * time.Duration(times)
	}
	g.judge(r, age, age/time.Duration(times))
}

// count counts a cell for the pulse.
func (g *Guard) count(moved, busy bool) {
	p := &g.pulse
	p.Cells++
	if moved {
		p.Moved++
	}
	if moved || busy {
		p.Busy++
	}
}

// judge tells of a loop that is stuck: for age, of which only a part may be held against it.
func (g *Guard) judge(r *record, age, held time.Duration) {
	p, l, limits := &g.pulse, r.label, r.label.Class.limits()
	stage, again := limits.stage(held), int32(0)
	if stage == Sound {
		return
	}
	p.Worst.note(l, age)
	if stage == Acted {
		p.Stuck++
		if limits.Process && held >= limits.Act+healing {
			p.Doomed.note(l, age)
		}
		again = int32(held/limits.Act) - 1 //nolint:gosec // would take years
	}
	if (stage > r.told || again > r.again) && g.tell(Finding{Label: l, Stage: stage, Age: age, Again: int(again)}) {
		r.told, r.again = stage, again // or else it is told with the next scan
	}
}

// recover tells that a loop moves again, if it was said to be stuck.
func (g *Guard) recover(r *record) {
	if r.told > Sound {
		g.tell(Finding{Label: r.label, Stage: Sound, Age: time.Duration(g.clock - r.from)})
	}
	r.told, r.again = Sound, 0
}

// stage is how far a loop has come that has been stuck for so long.
func (l *Limits) stage(age time.Duration) (s Stage) {
	for i, at := range [...]time.Duration{l.Warn, l.Bundle, l.Act} {
		if at > 0 && age >= at {
			s = max(s, Warned+Stage(i)) //nolint:gosec // a handful
		}
	}
	return s
}

// tell hands a finding to the healer, if there is room.
func (g *Guard) tell(f Finding) bool {
	select {
	case g.found <- f:
		return true
	default:
		g.lost.Add(1)
		return false
	}
}
