package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// path is what the hub knows of one key. All of it is under the hub's mu.
type path struct {
	hub       *Hub
	key       Key
	live      *broadcast    // nil: nobody publishes, nor may anybody resume
	lease     *Lease        // the owner's; nil while the broadcast waits to be resumed
	rivals    []*rival      // who challenge the owner, the first to come first
	standby   *Lease        // nil: nobody stands by
	published chan struct{} // closed while there is a broadcast
	waiting   int           // viewers that wait for one

	displaced []int64 // when owners that were well lost the key, on the hub's clock; the newest damperChanges
	heldUntil int64   // the present owner is not displaced before then, unless it is silent
	ghostAt   int64   // when observers were told last that somebody is refused because of an owner that is silent
}

// broadcast is one stream of a key: from its first publisher, by way of those that take over or resume, to its end.
type broadcast struct {
	stream  *stream.Stream
	started time.Time
	viewers int   // that are attached
	idle    int64 // the hub's clock when the newest of them left, or its publisher came
	told    bool  // that nobody watches
	lost    int64 // the hub's clock when it lost its owner, and
	until   int64 // when it ends, unless somebody resumes it; while it has none
	cause   error // why it has none
	over    bool  // its owner left for good: only who stood by may go on with it
	lapsed  bool  // viewers wait for somebody to resume it
	terms   Terms // of its newest owner, resolved

	shown  Terms       // that held when it was opened
	opened atomic.Bool // observers have been told that it can be watched. It changes under the hub's mu

	inside atomic.Int64 // how many are in calls of the stream's that take its lock, and may hang there; more by ending when it is to end
	why    error        // with what it is to end
	stuck  atomic.Bool  // somebody has hung in it for too long: nobody is to follow
	late   atomic.Pointer[latecomer]
	writer atomic.Pointer[Lease] // the newest owner
}

// aftermath is what a change of the tables entails outside of them. It is done when the lock is free.
type aftermath []func()

func (a *aftermath) add(deed func()) { *a = append(*a, deed) }

// change runs f with the tables locked, and then what f wants to be done when they are free.
func (h *Hub) change(f func(then *aftermath)) {
	var then aftermath
	h.locked(func() { f(&then) })
	for _, deed := range then {
		deed()
	}
	h.events.poke()
}

func (h *Hub) locked(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// path returns the record of a key, made on first use. Under mu.
func (h *Hub) path(k Key) *path {
	p := h.paths[k]
	if p == nil {
		p = &path{hub: h, key: k, published: make(chan struct{})}
		h.paths[k] = p
	}
	return p
}

// forget drops the record of a key with which nobody has to do any more.
func (p *path) forget() {
	if p.live == nil && p.lease == nil && p.standby == nil && len(p.rivals) == 0 && p.waiting == 0 && p.hub.paths[p.key] == p {
		delete(p.hub.paths, p.key)
	}
}

// install makes l the owner. Who owned the key before is replaced; who challenged it challenges l.
func (p *path) install(l *Lease, then *aftermath) {
	h, resumed := p.hub, false
	p.avoid(then)
	switch old := p.lease; {
	case old != nil:
		h.figures.takeovers.Add(1)
		if old.taken.Load() > 0 {
			p.live.until = 0
		}
		cause := l.replaces()
		old.unpublished(cause)
		old.lostAt = h.now.Load()
		then.add(func() { old.session.end(cause) })
	case p.live != nil:
		resumed = p.live.lapsed
	default:
		p.live = &broadcast{stream: stream.New(h.cfg().streamOptions(l.terms.Stamps)), started: time.Now()}
		close(p.published)
	}
	p.live.cause, p.live.over, p.live.lapsed = nil, false, false // until stays: it is for a publisher that sends nothing
	p.live.idle, p.live.told = h.now.Load(), false               // each publisher has the whole idle delay
	p.live.terms = l.terms
	p.unserve(then)
	if p.standby == l {
		p.standby = nil
	}
	h.epoch++
	l.epoch.Store(h.epoch)
	p.live.writer.Store(l)
	l.publisher.Store(&pen{p.live.stream.Publish(), p.live})
	l.progress.Store(h.now.Load())
	p.lease = l
	h.generation.Add(1)
	h.events.add(Event{Kind: Published, Session: l.session.info(), Epoch: h.epoch})
	if resumed {
		h.figures.resumes.Add(1)
		h.events.add(Event{Kind: Resumed, Session: l.session.info(), Epoch: h.epoch, Viewers: p.live.viewers})
	}
	p.rechallenge()
}

// unserve ends the viewers that have stayed from a publisher before, by protocols that the terms of this one do not serve. Under mu.
func (p *path) unserve(then *aftermath) {
	if len(p.live.terms.Serves) == 0 || p.live.viewers == 0 {
		return
	}
	for s := range p.hub.sessions {
		if s.attached && s.Key == p.key && !p.live.terms.ServedBy(s.Protocol) {
			end, cause := s.end, unserved(s.Protocol)
			then.add(func() { end(cause) })
		}
	}
}

// unserved is why nobody watches by a protocol.
func unserved(protocol string) error {
	return fmt.Errorf("%w by %s: the stream is not served so", ErrNotFound, protocol)
}

// vacate takes the key from its owner, because of cause. If it was no clean end, the broadcast waits for somebody to resume it as
// long as the resume window lasts, provided that somebody watches.
func (p *path) vacate(cause error, clean bool, then *aftermath) {
	h, l, now := p.hub, p.lease, p.hub.now.Load()
	clean = clean || p.key.ofProbe() // nobody resumes that
	l.unpublished(cause)
	l.lostAt = now
	p.lease, p.live.lost = nil, now
	p.live.stream.Publish() // nobody: what l still writes is fenced though nobody follows
	h.generation.Add(1)
	then.add(func() { l.session.end(cause) })
	window, why := h.Limit(Lapse).Age, cause
	if own := l.terms.Resume; own != nil {
		window = *own
	}
	if earlier := context.Cause(l.ctx); earlier != nil {
		why = earlier
	}
	p.live.over = clean || window == 0
	if p.standby != nil {
		window = max(window, h.Limit(Steady).Silence)
	}
	if p.live.until == 0 || l.taken.Load() > 0 { // who sent nothing gives viewers nothing to wait longer for
		p.live.until = h.after(window)
	}
	p.live.cause = why
	p.dropGone(then)
	switch {
	case len(p.rivals) > 0:
		p.crown(then)
	case p.standby == nil && (p.live.over || p.live.viewers == 0 || len(p.live.stream.Tracks()) == 0 || h.pressed()):
		p.finish(cause, then)
	case p.live.viewers > 0:
		p.live.lapsed = true
		h.figures.lapses.Add(1)
		h.events.add(Event{Kind: Lapsed, Session: l.session.info(), Epoch: l.epoch.Load(), Cause: why, Viewers: p.live.viewers})
	}
}

// finish ends the broadcast: viewers get what its ring still holds, and then cause.
func (p *path) finish(cause error, then *aftermath) {
	p.cut(cause, then)
	p.forget()
}

// cut ends the broadcast and nothing else.
func (p *path) cut(cause error, then *aftermath) {
	b := p.live
	p.live, p.published = nil, make(chan struct{})
	p.hub.generation.Add(1)
	if b.opened.Load() {
		l := b.writer.Load()
		p.hub.events.add(Event{Kind: Closed, Session: l.session.info(), Epoch: l.Epoch(), Cause: cause, Terms: b.shown})
	}
	then.add(func() { b.end(cause) })
}

// open tells observers, once for each broadcast, that it can be watched. Under mu.
func (p *path) open() {
	b := p.live
	if b == nil || b.opened.Load() || !b.stream.Ready() {
		return
	}
	b.opened.Store(true)
	b.shown = b.terms
	p.hub.generation.Add(1)
	l := b.writer.Load()
	p.hub.events.add(Event{Kind: Opened, Session: l.session.info(), Epoch: l.Epoch(), Terms: b.terms})
}

// lapse finishes a broadcast that has lost its publisher and that nobody has resumed.
func (p *path) lapse(then *aftermath) {
	p.finish(fmt.Errorf("%w: %w", ErrUnpublished, p.live.cause), then)
}

// displaces notes that l displaces an owner that was well. Too many such changes in a while, and the next owner is held.
func (p *path) displaces(l *Lease) {
	h, now := p.hub, p.hub.now.Load()
	p.displaced = append(p.displaced, now)
	if len(p.displaced) <= damperChanges {
		return
	}
	p.displaced = p.displaced[len(p.displaced)-damperChanges-1:]
	if now-p.displaced[0] > int64(damperSpan) {
		return
	}
	p.heldUntil, p.displaced = now+int64(damperHold), nil
	h.figures.duels.Add(1)
	h.events.add(Event{Kind: Duel, Session: l.session.info(), Epoch: p.lease.epoch.Load(), Rival: p.lease.session.info()})
}

// The duel damper: when a key changes hands more often than that within a span, although its owners are well, the owner that it has by
// then keeps it for a while.
const (
	damperChanges = 3
	damperSpan    = 30 * time.Second
	damperHold    = 30 * time.Second
)

// replaces is the cause with which the lease that l displaces ends.
func (l *Lease) replaces() error {
	return fmt.Errorf("%w: session %s from %v", ErrReplaced, l.session.Session, l.session.Remote.Addr())
}
