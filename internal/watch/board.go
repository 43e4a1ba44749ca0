package watch

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	cellsEach = 1024 // cells that are made at once
	pagesMost = 128  // so that there are at most 128 Ki of them
)

// Board is all cells of a process. Its methods are safe for concurrent use. A nil Board has no cells: those that it gives are nil.
// One guard looks at it.
type Board struct {
	start time.Time
	pages [pagesMost]atomic.Pointer[page]
	used  atomic.Int32 // cells up to the last that was ever taken

	mu    sync.Mutex // guards what follows; memory only
	spare []int32    // cells that were given back
}

// page is the memory for some cells, and for what the guard knows of each. These lie apart, so that the guard does not take from a loop
// the cache line that it writes to.
type page struct {
	cells   [cellsEach]Cell
	records [cellsEach]record
}

// NewBoard returns a board with memory for the first cells.
func NewBoard() *Board {
	b := &Board{start: time.Now()}
	b.page(0)
	return b
}

// now is the time on the board's clock, which is monotonic: never 0.
func (b *Board) now() int64 { return max(1, int64(time.Since(b.start))) }

// page makes the memory for a page of cells.
func (b *Board) page(n int) {
	p := new(page)
	for i := range p.cells {
		p.cells[i].board, p.cells[i].index = b, int32(n*cellsEach+i) //nolint:gosec // bounded by pagesMost
	}
	b.pages[n].Store(p)
}

// at returns a cell below used.
func (b *Board) at(i int32) *Cell { return &b.pages[i/cellsEach].Load().cells[i%cellsEach] }

// Claim takes a cell. nil, which may be used like a cell, means that there is none left.
func (b *Board) Claim(l Label) *Cell {
	if b == nil {
		return nil
	}
	c := b.take()
	if c != nil {
		c.since.Store(0)
		c.label.Store(&l)
	}
	return c
}

func (b *Board) take() *Cell {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.spare); n > 0 {
		i := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return b.at(i)
	}
	i := b.used.Load()
	if i == pagesMost*cellsEach {
		return nil
	}
	if i%cellsEach == 0 && i > 0 {
		b.page(int(i / cellsEach))
	}
	b.used.Store(i + 1)
	return b.at(i)
}

func (b *Board) free(c *Cell) {
	if c.label.Swap(nil) == nil {
		return // twice: it must not be given to two
	}
	c.since.Store(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = append(b.spare, c.index)
}

// State is what a cell shows at a moment.
type State struct {
	Class   Class
	Name    string
	Session string
	Done    uint64        // steps; of a cell that has been used before, not from 0
	Busy    time.Duration // that the step under way has taken; 0: the loop has nothing to do
}

// States lists all cells that are in use, in no particular order. It takes no lock.
func (b *Board) States() []State {
	if b == nil {
		return nil
	}
	now := b.now()
	var all []State
	for i := range b.used.Load() {
		c := b.at(i)
		if l := c.label.Load(); l != nil {
			all = append(all, c.state(l, now))
		}
	}
	return all
}

func (c *Cell) state(l *Label, now int64) State {
	st := State{Class: l.Class, Name: l.Name, Session: l.Session, Done: c.done.Load()}
	if since := c.since.Load(); since != 0 {
		st.Busy = time.Duration(max(1, now-since))
	}
	return st
}
