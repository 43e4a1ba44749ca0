package hub

import (
	"context"
	"fmt"
	"time"
)

// tick is how often the hub judges, and the grain of its clock.
const tick = 250 * time.Millisecond

// auditEvery is how many ticks there are between two audits.
const auditEvery = int(time.Second / tick)

// orphanAge is how long a session may take to end after it was told to, before the audit takes its record away.
const orphanAge = 10 * time.Second

func (h *Hub) judgeLeases(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			h.pass(now.Sub(last))
			last = now
			h.judge()
			if n%auditEvery == 0 {
				h.audit()
			}
			h.beat.Store(&now)
		}
	}
}

// pass has d pass on the hub's clock. A pause of the process itself is granted to all: that clock does not see it.
func (h *Hub) pass(d time.Duration) { h.now.Add(int64(min(d, tick*3/2))) }

// after is the reading of the hub's clock once d has passed for certain. Under a tick more may have.
func (h *Hub) after(d time.Duration) int64 { return h.now.Load() + int64(d+tick) }

// Stalled is how long it is since Run last judged the leases: well under a second while the hub lives.
func (h *Hub) Stalled() time.Duration {
	return time.Since(*h.beat.Load())
}

// judge ends what has had its time: publishers that have written nothing for MaxSilence, owners that have not answered a challenge,
// broadcasts that nobody has resumed.
func (h *Hub) judge() {
	h.attempts.prune()
	h.change(func(then *aftermath) {
		now := h.now.Load()
		for _, p := range h.paths {
			p.judge(now, then)
		}
	})
}

func (p *path) judge(now int64, then *aftermath) {
	h, most := p.hub, int64(p.hub.Limit(Steady).Silence)
	if s := p.standby; s != nil && now-s.progress.Load() > most {
		s.free(h.silence(), false, then)
	}
	if len(p.rivals) > 0 && now >= p.rivals[0].deadline {
		p.crown(then)
	}
	if l := p.lease; l != nil && now-l.progress.Load() > most {
		p.vacate(h.silence(), false, then)
	}
	if p.live == nil {
		return
	}
	if p.lease == nil && now >= p.live.until {
		p.lapse(then)
		return
	}
	p.judgeViewers(now, then)
}

// judgeViewers notices a broadcast that nobody watches.
func (p *path) judgeViewers(now int64, then *aftermath) {
	h, b := p.hub, p.live
	if p.lease == nil || b.viewers > 0 || b.told || now-b.idle < int64(h.Limit(Idle).Age+tick) {
		return
	}
	b.told = true
	h.events.add(Event{Kind: Unwatched, Session: p.lease.session.info(), Epoch: p.lease.epoch.Load()})
	if h.cfg.Publish.CloseIdle {
		p.vacate(fmt.Errorf("%w for %v", ErrUnwatched, h.Limit(Idle).Age), true, then)
	}
}

// audit compares the tables with each other, and repairs what does not fit: a session that was told to end and is still there, with
// what it has of its key; an owner that is no session. Both mean that a goroutine hangs, or worse. They are counted.
func (h *Hub) audit() {
	h.change(func(then *aftermath) {
		now, orphans := h.now.Load(), uint64(0)
		cause := fmt.Errorf("%w: not released", ErrUnpublished)
		for s := range h.sessions {
			if l := s.lease; l != nil && l.orphaned(now) {
				orphans++
				h.leave(s)
				l.free(cause, false, then)
			}
		}
		for _, p := range h.paths {
			p.judgeRate(then)
			if l := p.lease; l != nil && !h.knows(l.session) {
				orphans++
				p.vacate(cause, false, then)
			}
		}
		h.figures.orphans.Add(orphans)
		h.measureLoad()
	})
	h.reportTracks()
}

// knows says whether there is a record of the session. Under mu.
func (h *Hub) knows(s *session) bool {
	_, there := h.sessions[s]
	return there
}

// orphaned says whether the publisher's session should have ended long ago. It notes when it should.
func (l *Lease) orphaned(now int64) bool {
	if l.ctx.Err() == nil {
		return false
	}
	if l.lostAt == 0 {
		l.lostAt = max(now, 1)
	}
	return now-l.lostAt > int64(orphanAge)
}
