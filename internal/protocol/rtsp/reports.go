package rtsp

import (
	"sync"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
)

// reports is what a player has said of the packets that it gets (RFC 3550, 6.4). It may be told by the connection and by UDP at a time.
type reports struct {
	mu    sync.Mutex // guards what follows; memory only
	lanes []laneReport
}

// laneReport is what was said of one media.
type laneReport struct {
	channel byte // of its RTCP
	clock   int64
	lost    uint64
	jitter  uint32 // in ticks
}

func newReports(lanes []rtp.Lane) *reports {
	r := &reports{lanes: make([]laneReport, len(lanes))}
	for i, l := range lanes {
		r.lanes[i] = laneReport{channel: l.RTCP, clock: int64(l.Format.ClockRate())}
	}
	return r
}

// hear takes an RTCP packet about the media with a channel for RTCP, and returns what is known of all. ok says that it said something.
func (r *reports) hear(channel byte, b []byte) (t hub.Transit, ok bool) {
	all, err := rtcp.Unmarshal(b)
	if err != nil {
		return t, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range all {
		report, is := one.(*rtcp.ReceiverReport)
		if !is || len(report.Reports) == 0 {
			continue
		}
		for i := range r.lanes {
			if l := &r.lanes[i]; l.channel == channel {
				l.jitter, ok = report.Reports[0].Jitter, true
				if lost := report.Reports[0].TotalLost; lost < 1<<23 { // it has a sign: packets that came twice count against it
					l.lost = uint64(lost)
				}
			}
		}
	}
	for _, l := range r.lanes {
		t.Lost += l.lost
		t.Jitter = max(t.Jitter, av.Duration(int64(l.jitter), l.clock))
	}
	return t, ok
}

// report takes an RTCP packet of the player.
func (p *player) report(channel byte, b []byte) {
	if t, ok := p.reports.hear(channel, b); ok {
		p.viewing.SetTransit(t)
	}
}
