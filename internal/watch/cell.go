package watch

import (
	"sync/atomic"
	"time"
)

// Label says what a cell is of.
type Label struct {
	Class   Class
	Name    string        // of the loop, for people: "shard 1", "live/cam1"
	Session string        // the id of the session that it belongs to, if it belongs to one
	Beat    time.Duration // how often the loop turns even when it has nothing to do; 0: it may sleep for ever

	// Heal is called by the healer when the loop has been stuck for as long as its class allows, and again each time that it has been
	// stuck for another so long. It may wait, though not for what is stuck. nil: nothing can be done about it from inside.
	Heal func(Finding)
}

// Cell is the progress of one loop, on a cache line of its own. The goroutine of the loop calls Begin and End. A nil Cell may be used
// like any other, and tells nobody.
type Cell struct {
	since atomic.Int64  // when the step under way began, on the board's clock; 0: none is
	done  atomic.Uint64 // steps
	label atomic.Pointer[Label]
	board *Board
	index int32
	_     [28]byte
}

// Begin notes that a step begins; or, without an End between, that one step follows another.
func (c *Cell) Begin() {
	if c != nil {
		c.since.Store(c.board.now())
	}
}

// End notes that the step has ended, or that the loop has turned.
func (c *Cell) End() {
	if c != nil {
		c.done.Add(1)
		c.since.Store(0)
	}
}

// Busy is for how long the step under way has been so, pauses of the process included; 0: none is. Any goroutine may ask: who heals asks
// whether there is still something to heal.
func (c *Cell) Busy() time.Duration {
	if c == nil {
		return 0
	}
	if since := c.since.Load(); since != 0 {
		return time.Duration(max(1, c.board.now()-since))
	}
	return 0
}

// Abandon says that the loop has been given up on: it hangs, and something else does its work. Its goroutine, should it ever go on,
// may still call Begin and End, and then frees the cell; until then nobody else may.
func (c *Cell) Abandon() {
	if c == nil {
		return
	}
	if l := c.label.Load(); l != nil {
		c.label.CompareAndSwap(l, &Label{Class: Abandoned, Name: l.Name, Session: l.Session}) // unless it is given back this moment
	}
}

// Free gives the cell back. It must not be used any more: so the loop's goroutine calls it, or whoever knows that this one has ended.
func (c *Cell) Free() {
	if c != nil {
		c.board.free(c)
	}
}
