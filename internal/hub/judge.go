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

// pass has d pass on the hub's clock. A pause of the process itself is granted to all: that clock does not see it.
func (h *Hub) pass(d time.Duration) { h.now.Add(int64(min(d, tick*3/2))) }

// after is the reading of the hub's clock once d has passed for certain. Under a tick more may have.
func (h *Hub) after(d time.Duration) int64 { return h.now.Load() + int64(d+tick) }

// Stalled is how long it is since Run last judged the leases: well under a second while the hub lives.
func (h *Hub) Stalled() time.Duration {
	return time.Since(*h.beat.Load())
}

// judgePaths ends what has had its time: publishers that have written nothing for MaxSilence, owners that have not answered a challenge,
// broadcasts that nobody has resumed. Under mu.
func (h *Hub) judgePaths(then *aftermath) {
	now := h.now.Load()
	for _, p := range h.paths {
		p.judge(now, then)
	}
}

func (p *path) judge(now int64, then *aftermath) {
	h, most := p.hub, int64(p.hub.Limit(Steady).Silence)
	if s := p.standby; s != nil && now-s.progress.Load() > most {
		s.free(h.silence(), false, then)
	}
	p.dropGone(then)
	if len(p.rivals) > 0 && now >= p.rivals[0].deadline {
		p.crown(then)
	}
	if l := p.lease; l != nil && now-l.progress.Load() > most {
		p.vacate(l.silence(), false, then)
	}
	if p.live == nil {
		return
	}
	if p.lease == nil && now >= p.live.until {
		p.lapse(then)
		return
	}
	p.open()
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
	closes := h.cfg().Publish.CloseIdle
	if own := b.terms.CloseIdle; own != nil {
		closes = *own
	}
	if closes {
		p.vacate(fmt.Errorf("%w for %v", ErrUnwatched, h.Limit(Idle).Age), true, then)
	}
}

// auditTables compares the tables with each other, and repairs what does not fit: a session that was told to end and is still there, with
// what it has of its key; an owner that is no session. Both mean that a goroutine hangs, or worse. They are counted. Under mu.
func (h *Hub) auditTables(then *aftermath) {
	orphans := uint64(0)
	cause := fmt.Errorf("%w: not released", ErrUnpublished)
	for s := range h.sessions {
		if h.releases(s, cause, then) && !s.Key.ofProbe() {
			orphans++
		}
	}
	for _, p := range h.paths {
		p.judgeRate(then)
		if l := p.lease; l != nil && !h.knows(l.session) {
			orphans++
			p.vacate(cause, false, then)
			then.add(l.unwatch)
		}
	}
	h.figures.orphans.Add(orphans)
	h.measureLoad()
	h.pardon()
}

// knows says whether there is a record of the session. Under mu.
func (h *Hub) knows(s *session) bool {
	_, there := h.sessions[s]
	return there
}

// releases takes a session out of the tables that should have ended long ago, and says whether it did. Under mu.
func (h *Hub) releases(s *session, cause error, then *aftermath) bool {
	now := h.now.Load()
	switch l, v := s.lease, s.viewing; {
	case l != nil && orphaned(l.ctx, &l.lostAt, now):
		h.leave(s)
		l.free(cause, false, then)
		then.add(l.unwatch)
	case v != nil && orphaned(v.ctx, &v.lostAt, now):
		v.drop(then)
	default:
		return false
	}
	return true
}

// orphaned says whether a session should have ended long ago, by its context. It notes in lostAt when it should.
func orphaned(ctx context.Context, lostAt *int64, now int64) bool {
	if ctx.Err() == nil {
		return false
	}
	if *lostAt == 0 {
		*lostAt = max(now, 1)
	}
	return now-*lostAt > int64(orphanAge)
}

// drop ends a viewing that nobody releases. Under mu.
func (v *Viewing) drop(then *aftermath) {
	h, s := v.hub, v.session
	h.leave(s)
	h.detach(s.Key, v.live, then)
	h.events.add(Event{Kind: Stopped, Session: s.info(), Cause: context.Cause(v.ctx)})
	if w := s.viewer.Load(); w != nil {
		then.add(func() { v.live.close(w) })
	}
}
