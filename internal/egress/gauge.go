package egress

import (
	"math"
	"sync/atomic"
	"time"
)

// gauge is what a shard tells of itself while it works: stored by the shard, read by any.
type gauge struct {
	beat    atomic.Int64 // instant at which it was last seen to move
	pending atomic.Int64 // instant of the oldest poke that it has not answered; 0: none
	walks   atomic.Uint64
	last    atomic.Int64  // nanoseconds that the last turn took
	longest atomic.Int64  // nanoseconds that the longest took
	stuck   atomic.Int64  // links whose sockets are full
	spread  atomic.Int64  // nanoseconds between two sends to a viewer, when overloaded
	share   atomic.Uint64 // of the newest second that it was busy: the bits of a float64
	lost    atomic.Int64  // pilots that were deposed and have yet to come back
}

// asked notes a poke, under the shard's mu.
func (g *gauge) asked(now instant) { g.pending.CompareAndSwap(0, int64(now)) }

// answered notes that all pokes are being answered, under the shard's mu.
func (g *gauge) answered() { g.pending.Store(0) }

// turned notes a turn.
func (g *gauge) turned(took time.Duration, full int) {
	g.walks.Add(1)
	g.last.Store(int64(took))
	if int64(took) > g.longest.Load() {
		g.longest.Store(int64(took))
	}
	g.stuck.Store(int64(full))
}

// Progress is how a shard gets on.
type Progress struct {
	Shard    int
	Links    int           // viewers, and peers that have yet to close
	Full     int           // of them, those whose sockets are full
	Walks    uint64        // turns of its loop; never falls
	Beat     time.Duration // since it was last seen to move. One that has nothing to do does not
	Pending  time.Duration // since the oldest poke that it has not answered; 0: none
	Last     time.Duration // that its last turn took
	Longest  time.Duration // that its longest turn took
	Busy     float64       // share of its time, over about the last second
	Interval time.Duration // between two sends to a viewer, when it is overloaded; 0: pictures are sent at once
	Deposed  int           // goroutines that hang about a viewer each, and that the shard goes on without
}

// Progress returns how the shards get on. It takes no lock and waits for nobody.
func (e *Egress) Progress() []Progress {
	now := e.now()
	all := make([]Progress, len(e.shards))
	for i, s := range e.shards {
		all[i] = Progress{
			Shard: i, Links: int(s.load.Load()), Full: int(s.stuck.Load()), Walks: s.walks.Load(),
			Last: time.Duration(s.last.Load()), Longest: time.Duration(s.longest.Load()),
			Interval: time.Duration(s.spread.Load()), Deposed: int(s.lost.Load()),
		}
		if at := s.beat.Load(); at != 0 {
			all[i].Beat = time.Duration(int64(now) - at)
		}
		if all[i].Beat < 2*busySpan { // one that has nothing to do does not measure
			all[i].Busy = math.Float64frombits(s.share.Load())
		}
		if at := s.pending.Load(); at != 0 {
			all[i].Pending = time.Duration(int64(now) - at)
		}
	}
	return all
}

// Overloaded says whether a shard sends less often than it should. It takes no lock and does not allocate.
func (e *Egress) Overloaded() bool {
	for _, s := range e.shards {
		if s.spread.Load() > 0 {
			return true
		}
	}
	return false
}
