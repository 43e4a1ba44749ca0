package hub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// rival is a newcomer that challenges the owner of a key. It waits until its case is decided.
type rival struct {
	lease    *Lease
	deadline int64         // on the hub's clock: an owner that has completed no unit by then loses the key
	decided  chan struct{} // closed once err is final
	err      error         // why it was refused; nil: it owns the key
}

const (
	rivalsMax  = 8           // of one key
	stalledFor = time.Second // without a unit: its standby steps in, and whoever is refused because of it is a reason for an alarm
	stalledBy  = 3           // times its usual time between units, for a publisher that sends seldom: that is no stall
	usualShare = 4           // of what is usual, the newest time between units makes up one part in so many
)

// acquire makes l the owner of its key, or its standby, or says why not. It waits only for a challenge to be decided, and no longer
// than the lease's context lives.
func (h *Hub) acquire(l *Lease) error {
	var r *rival
	var err error
	h.change(func(then *aftermath) { r, err = h.claim(l, then) })
	if r == nil {
		return err
	}
	select {
	case <-r.decided:
	case <-l.ctx.Done():
		h.change(func(*aftermath) { h.withdraw(r) })
	}
	return r.err
}

// claim settles what can be settled at once; else it returns the rival that l has become. Under mu.
func (h *Hub) claim(l *Lease, then *aftermath) (*rival, error) {
	if err := context.Cause(l.ctx); err != nil { // its peer has gone while others were asked: it displaces nobody
		return nil, err
	}
	p := h.path(l.session.Key)
	defer p.forget()
	terms := Takeover // of a key that nobody owns
	if p.lease != nil {
		terms = p.terms(l)
	}
	former := p.rivalFrom(l)
	full := terms == Standby && p.standby != nil && !p.standby.yieldsTo(l) ||
		terms == Challenge && former == nil && len(p.rivals) >= rivalsMax
	if terms == Reject || full {
		return nil, p.busy(l)
	}
	instead := h.ownerOf(p.key)
	if terms == Standby {
		instead = nil
		if p.standby != nil {
			instead = p.standby.session
		}
	}
	if err := h.enter(l.session, instead); err != nil {
		return nil, err
	}
	switch terms {
	case Standby:
		if p.standby != nil {
			p.standby.free(l.replaces(), false, then)
		}
		p.standby = l
		h.generation.Add(1)
	case Challenge:
		r := &rival{lease: l, deadline: h.after(h.Limit(Contest).Age), decided: make(chan struct{})}
		if former != nil {
			r.deadline = former.deadline
			p.rivals[slices.Index(p.rivals, former)] = r
			h.leave(former.lease.session)
			former.decide(ErrBusy, then)
		} else {
			p.rivals = append(p.rivals, r)
		}
		p.lease.contested.Store(true)
		h.figures.challenges.Add(1)
		return r, nil
	case Takeover, Reject: // that is dealt with
		if o := p.lease; o != nil && o.ctx.Err() == nil && o.well() && !l.same(o) {
			p.displaces(l)
		}
		p.install(l, then)
	}
	return nil, nil
}

// rivalFrom returns the rival from the same address as l, or nil: one who asks again, or has no right to more than one place.
func (p *path) rivalFrom(l *Lease) *rival {
	addr := Subscriber(l.session.Remote.Addr())
	for _, r := range p.rivals {
		if addr.IsValid() && Subscriber(r.lease.session.Remote.Addr()) == addr {
			return r
		}
	}
	return nil
}

// yieldsTo says whether a publisher that stands by makes way for another: for the same encoder, or because it sends nothing.
func (l *Lease) yieldsTo(other *Lease) bool {
	return l.same(other) || !l.well()
}

// same says whether two publishers are the same encoder.
func (l *Lease) same(other *Lease) bool { return l.identity != "" && l.identity == other.identity }

// terms is the policy between the owner and the newcomer l. An encoder does not compete with itself: the same identity takes over.
// While the owner is held because of a duel, it can be challenged at the most.
func (p *path) terms(l *Lease) Policy {
	policy := l.policy
	if l.same(p.lease) || p.lease.ctx.Err() != nil { // who has gone already is about to say so
		return Takeover
	}
	if policy == Takeover && p.hub.now.Load() < p.heldUntil {
		policy = Challenge
	}
	return policy
}

// busy refuses l because of the owner.
func (p *path) busy(l *Lease) error {
	owner, now := p.lease, p.hub.now.Load()
	if owner.well() {
		return ErrBusy
	}
	p.hub.figures.ghosts.Add(1) // what #4146 of ZLMediaKit looked like before everything stood still
	if p.ghostAt == 0 || now-p.ghostAt >= int64(time.Second) {
		p.ghostAt = now
		p.hub.events.add(Event{Kind: Ghost, Session: l.session.info(), Epoch: owner.epoch.Load(), Rival: owner.session.info()})
	}
	return ErrBusy
}

// well says whether the lease's publisher has completed a unit lately, by what is usual for it.
func (l *Lease) well() bool {
	return l.hub.now.Load()-l.progress.Load() <= max(int64(stalledFor), stalledBy*l.usual.Load())
}

// moved notes that the publisher has completed a unit. The writer calls it.
func (l *Lease) moved() {
	now, last := l.hub.now.Load(), l.progress.Load()
	if now != last {
		l.progress.Store(now)
		switch usual := l.usual.Load(); {
		case !l.begun: // what came before its first unit says nothing
		case usual == 0:
			l.usual.Store(now - last)
		default:
			l.usual.Store(usual + (now-last-usual)/usualShare)
		}
	}
	l.begun = true
}

// answer refuses those who have challenged l, because it has completed a unit.
func (l *Lease) answer() {
	h := l.hub
	h.change(func(then *aftermath) {
		l.contested.Store(false)
		if p := h.paths[l.session.Key]; p != nil && p.lease == l {
			p.refuseRivals(ErrBusy, then)
		}
	})
}

// refuseRivals refuses all who wait for the outcome of a challenge.
func (p *path) refuseRivals(cause error, then *aftermath) {
	for _, r := range p.rivals {
		p.hub.leave(r.lease.session)
		r.decide(cause, then)
	}
	p.rivals = nil
}

// rechallenge has the rivals challenge a new owner: the first of them may have gone without a word.
func (p *path) rechallenge() {
	for _, r := range p.rivals {
		r.deadline = p.hub.after(p.hub.Limit(Contest).Age)
		p.lease.contested.Store(true)
	}
}

// crown gives the key to the first rival.
func (p *path) crown(then *aftermath) {
	r := p.rivals[0]
	p.rivals = p.rivals[1:]
	p.install(r.lease, then)
	r.decide(nil, then)
}

// dropGone takes those rivals out of the contest whose contexts have ended, and who are about to withdraw: a key that they won would be
// nobody's.
func (p *path) dropGone(then *aftermath) {
	p.rivals = slices.DeleteFunc(p.rivals, func(r *rival) bool {
		cause := context.Cause(r.lease.ctx)
		if cause != nil {
			p.hub.leave(r.lease.session)
			r.decide(cause, then)
		}
		return cause != nil
	})
}

func (r *rival) decide(err error, then *aftermath) {
	r.err = err
	then.add(func() { close(r.decided) })
}

// withdraw takes a rival that has gone out of the contest, unless that is decided already. Under mu.
func (h *Hub) withdraw(r *rival) {
	p := h.paths[r.lease.session.Key]
	if p == nil {
		return
	}
	i := slices.Index(p.rivals, r)
	if i < 0 {
		return
	}
	p.rivals = slices.Delete(p.rivals, i, i+1)
	h.leave(r.lease.session)
	r.err = context.Cause(r.lease.ctx)
	p.forget()
}

// standBy takes a unit of a publisher that stands by: it is proof that the publisher lives, and goes nowhere, unless the publisher can
// step in with it. Then the lease has a stream to write it to.
func (l *Lease) standBy(u *av.AccessUnit) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.moved()
	if !l.mayBegin(u) {
		return nil
	}
	l.hub.change(func(then *aftermath) {
		p := l.hub.paths[l.session.Key]
		if p == nil || p.standby != l || p.lease != nil && p.lease.well() {
			return
		}
		p.install(l, then)
	})
	if p := l.publisher.Load(); p != nil && l.declared != nil {
		p.declare(l.declared.video, l.declared.audio)
	}
	return nil
}

// mayBegin says whether a viewer can begin with the unit.
func (l *Lease) mayBegin(u *av.AccessUnit) bool {
	if u.Track.Kind() == av.Video {
		l.pictures = true
		return u.Key
	}
	return !l.pictures && (l.declared == nil || !l.declared.video)
}

// silence is the cause with which a publisher ends that has completed no unit for too long.
func (h *Hub) silence() error {
	return fmt.Errorf("%w: nothing for %v", ErrSilent, h.Limit(Steady).Silence)
}
