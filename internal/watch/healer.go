package watch

import (
	"context"
	"sync/atomic"
	"time"
)

// What could not be healed because too much was being healed already is tried again, so often and so many at a time. What is still stuck
// after that is found again by the guard.
const (
	retryEvery = 50 * time.Millisecond
	retries    = 40
	retryMost  = 1024
)

// HealerOptions are what a Healer is made of. The functions may be nil.
type HealerOptions struct {
	DryRun bool // only counts what would have been done

	// Go runs fn on a goroutine of its own, or returns an error when there are too many already: what heals may get stuck itself, or
	// break. nil: the healer's own goroutine does it, which is for tests.
	Go func(name string, fn func()) error
	// Hold says that nothing must be done now, because a debugger looks at the process, or it has only just started.
	Hold func() bool
	// Tell is told of every finding, and what was done about it.
	Tell func(Finding, Outcome)
	// Evidence has evidence gathered, without waiting for it.
	Evidence func(Finding, Outcome)
}

// Outcome is what was done about a finding.
type Outcome string

// The outcomes.
const (
	Noted    Outcome = "noted"     // nothing was to be done yet
	Healed   Outcome = "healed"    // what the label's Heal does was begun
	Spared   Outcome = "dry-run"   // it would have been
	Withheld Outcome = "held"      // it was not the time for it
	Spent    Outcome = "spent"     // it was done too often of late
	Baffled  Outcome = "nothing"   // nothing can be done about it from inside
	Crowded  Outcome = "too-many"  // too many are being healed already
	Sounds   Outcome = "recovered" // it moves again
)

// Healer does what can be done about what the guard finds. Run it.
type Healer struct {
	opt    HealerOptions
	spent  [classes][]time.Time // when something was done, within BudgetTime
	counts [classes]atomic.Uint64
	queue  []waiting // to be healed, the oldest first; at most retryMost
}

// waiting is a finding that could not be seen to for a want of goroutines.
type waiting struct {
	Finding

	left int // tries
}

// NewHealer returns a healer.
func NewHealer(o HealerOptions) *Healer { return &Healer{opt: o} }

// Run heals what comes until ctx ends.
func (h *Healer) Run(ctx context.Context, findings <-chan Finding) error {
	t := time.NewTimer(retryEvery)
	defer t.Stop()
	for {
		var again <-chan time.Time // while nothing waits, nothing ticks
		if len(h.queue) > 0 {
			t.Reset(retryEvery)
			again = t.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			h.retry()
		case f := <-findings:
			o := h.see(f)
			if o == Crowded && len(h.queue) < retryMost {
				h.queue = append(h.queue, waiting{f, retries})
			}
			h.tell(f, o)
			if h.opt.Evidence != nil && f.Stage >= Bundled {
				h.opt.Evidence(f, o)
			}
		}
	}
}

// retry sees again to what waits. One that moves by now is not harmed: each Heal looks for itself.
func (h *Healer) retry() {
	left := h.queue[:0]
	for _, w := range h.queue {
		if len(left) == 0 { // or else the pool is full
			if o := h.see(w.Finding); o != Crowded {
				h.tell(w.Finding, o)
				continue
			}
		}
		if w.left--; w.left > 0 {
			left = append(left, w)
		}
	}
	clear(h.queue[len(left):])
	h.queue = left
}

func (h *Healer) tell(f Finding, o Outcome) {
	if h.opt.Tell != nil {
		h.opt.Tell(f, o)
	}
}

// Count is how often something was done about loops of a class, or would have been.
func (h *Healer) Count(c Class) uint64 { return h.counts[c].Load() }

// see does about a finding what is to be done.
func (h *Healer) see(f Finding) Outcome {
	switch {
	case f.Stage == Sound:
		return Sounds
	case f.Stage < Acted:
		return Noted
	case f.Label.Heal == nil:
		return Baffled
	case h.opt.Hold != nil && h.opt.Hold():
		return Withheld
	case !h.afford(f.Label.Class):
		return Spent
	}
	o := h.heal(f)
	if o != Crowded {
		h.spend(f.Label.Class)
	}
	return o
}

// heal has it done.
func (h *Healer) heal(f Finding) Outcome {
	switch {
	case h.opt.DryRun:
		return Spared
	case h.opt.Go == nil:
		f.Label.Heal(f)
	case h.opt.Go("heal "+f.Label.Name, func() { f.Label.Heal(f) }) != nil:
		return Crowded
	}
	return Healed
}

// spend takes one from the budget of a class.
func (h *Healer) spend(c Class) {
	h.counts[c].Add(1)
	if c.limits().Budget > 0 {
		h.spent[c] = append(h.spent[c], time.Now())
	}
}

// afford says whether the budget of a class allows for one more.
func (h *Healer) afford(c Class) bool {
	most, now := c.limits().Budget, time.Now()
	if most == 0 {
		return true
	}
	recent := h.spent[c][:0]
	for _, at := range h.spent[c] {
		if now.Sub(at) < BudgetTime {
			recent = append(recent, at)
		}
	}
	h.spent[c] = recent
	return len(recent) < most
}
