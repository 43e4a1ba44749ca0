package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
	"github.com/vigil-media/vigil/internal/wedge"
)

// judges are the loops that judge, of which one does: the newest. Those before it hung, and were replaced; if one ever goes on, it
// notices that and ends.
type judges struct {
	hub   *Hub
	group *task.Group
	turn  atomic.Uint64 // the number of the newest

	mu   sync.Mutex
	all  int         // that have not ended
	cell *watch.Cell // the newest's; nil: it has ended
}

// hungMost is how many judges may hang while another judges. What cannot be helped by as many is helped by none.
const hungMost = 3

// start starts a judge in place of all others.
func (j *judges) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next()
}

// next starts a judge. Under mu.
func (j *judges) next() {
	turn := j.turn.Add(1)
	j.cell = j.hub.board.Claim(watch.Label{
		Class: watch.Registry, Name: "hub leases", Beat: tick, Heal: func(watch.Finding) { j.replace(turn) },
	})
	j.all++
	cell := j.cell
	j.group.Go("hub leases", func(ctx context.Context) error {
		defer j.ended(turn, cell)
		return j.run(ctx, turn, cell)
	})
}

// replace starts another judge in place of the one with this number, which hangs. If somebody keeps the hub's own lock, the next would hang
// too: then only the end of the process helps, for which the cell that is left alone is a reason.
func (j *judges) replace(turn uint64) {
	if !j.hub.lockable() {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.turn.Load() != turn || j.cell == nil || j.all > hungMost || j.cell.Busy() < watch.Registry.Limits().Act {
		return
	}
	j.cell.Abandon()
	j.next() // the group lives: the one that hangs cannot end without mu
}

// ended is for a judge that ends.
func (j *judges) ended(turn uint64, c *watch.Cell) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all--
	if j.turn.Load() == turn {
		j.cell = nil
	}
	c.Free()
}

// run judges until ctx ends, or until another judge has taken over.
func (j *judges) run(ctx context.Context, turn uint64, c *watch.Cell) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	for n := 1; j.judges(turn); n++ {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			c.Begin()
			j.hub.pass(now.Sub(last))
			last = now
			j.sit(turn, n%auditEvery == 0)
			c.End()
		}
	}
	return nil
}

// judges says whether the judge with this number is the one that judges.
func (j *judges) judges(turn uint64) bool { return j.turn.Load() == turn }

// sit judges once. What may hang is followed by a look at whether somebody else judges by now.
func (j *judges) sit(turn uint64, audit bool) {
	h := j.hub
	wedge.At(wedge.Hub)
	h.attempts.prune()
	j.change(turn, h.judgePaths)
	if audit {
		j.change(turn, h.auditTables)
		if j.judges(turn) {
			h.reportTracks()
		}
	}
	if now := time.Now(); j.judges(turn) {
		h.beat.Store(&now)
	}
}

// change is the hub's, for a judge, unless it was replaced while it waited.
func (j *judges) change(turn uint64, f func(then *aftermath)) {
	if !j.judges(turn) {
		return
	}
	j.hub.change(func(then *aftermath) {
		wedge.At(wedge.HubLock)
		if j.judges(turn) {
			f(then)
		}
	})
}

// lockable says whether the hub's lock can be had. It looks for a while: all that holds it in order does so for microseconds.
func (h *Hub) lockable() bool {
	const looks, pause = 20, 5 * time.Millisecond
	for range looks {
		if h.mu.TryLock() {
			h.mu.Unlock()
			return true
		}
		<-time.After(pause)
	}
	return false
}
