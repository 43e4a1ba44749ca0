package rtp

import (
	"sync/atomic"
	"time"
)

// Stats is what happened to the packets of one media.
type Stats struct {
	Packets, Bytes int64 // that came
	Lost           int64 // packets that did not come, or not in time
	Late           int64 // packets that came after they had been given up
	Duplicates     int64
	Reordered      int64 // packets that came after one with a higher number
	Foreign        int64 // packets of another source
	Bad            int64 // packets that could not be read
	Units          int64 // that came out
	Dropped        int64 // units that were incomplete, or depended on one that was, or came before a key picture
	Jitter         time.Duration
}

type counters struct {
	packets, bytes, lost, late, duplicates, reordered, foreign, bad, units, dropped, jitter atomic.Int64
}

// Stats may be called from any goroutine.
func (r *Receiver) Stats() Stats {
	c := &r.stats
	return Stats{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(), Lost: c.lost.Load(), Late: c.late.Load(),
		Duplicates: c.duplicates.Load(), Reordered: c.reordered.Load(), Foreign: c.foreign.Load(), Bad: c.bad.Load(),
		Units: c.units.Load(), Dropped: c.dropped.Load(), Jitter: time.Duration(c.jitter.Load()),
	}
}
