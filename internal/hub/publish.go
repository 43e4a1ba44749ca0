package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
)

// Lease is the ownership of a stream key by one publisher, or its claim to step in. It ends by Release or Finish, or is lost: then its
// context ends, with the reason as its cause, and writes fail. One goroutine writes; the other methods may be called by any.
type Lease struct {
	hub      *Hub
	session  *session
	policy   Policy          // towards the owner of the key
	identity string          // "" is nobody's
	terms    Terms           // of its stream, while it owns it
	asked    attempt         // as which it came
	ctx      context.Context //nolint:containedctx // the lease's life is what the context stands for

	publisher atomic.Pointer[pen] // nil until the lease owns the key
	epoch     atomic.Uint64
	progress  atomic.Int64  // the hub's clock at the newest unit that the stream took
	usual     atomic.Int64  // time on that clock between units, as it was of late; 0: not known
	taken     atomic.Uint64 // bytes of media
	contested atomic.Bool   // somebody asks whether the owner is alive: its next unit is the answer
	finished  atomic.Bool   // by its own word, whoever notices first that it has ended
	lostAt    int64         // the hub's clock when it was lost; under the hub's mu
	tooFast   int           // for how many seconds it has sent more than it may; under the hub's mu

	cell    *watch.Cell  // of the units on their way into the stream; nil: nobody watches
	step    atomic.Int32 // of the writer
	dropped atomic.Bool  // the cell is not the lease's any more, or soon will not be

	// The writer's.
	declared *declaration
	pictures bool // some have come while the lease stood by
	begun    bool // a unit has come
}

type declaration struct{ video, audio bool }

// Publish takes the key for a publisher, or a place beside it: see [Policy]. It waits while the owner is challenged. It may return
// ErrDenied, ErrBusy, ErrLimit, ErrOverload or ErrClosing. The lease's context is a child of ctx. Release the lease.
//
// The order of checks: what was refused to the same address for the same key a moment ago; where nobody needs to be asked, a look at
// the owner; authorisation, which may change the key; conflict with the owner of that key; limits. The probe's application comes before
// all that: it is the probe's.
func (h *Hub) Publish(ctx context.Context, q Request) (*Lease, error) {
	l, err := h.publish(ctx, q)
	if err != nil {
		if !h.Probe(q.Key) {
			h.refused(ActionPublish, err)
		}
		return nil, err
	}
	return l, nil
}

func (h *Hub) publish(ctx context.Context, q Request) (*Lease, error) {
	if q.Key.ofProbe() {
		return h.publishProbe(ctx, q)
	}
	asked := attempt{Subscriber(q.Remote.Addr()), q.Key}
	permit, err := h.permit(ctx, asked, q)
	if err != nil {
		return nil, err
	}
	if permit.Key != (Key{}) {
		q.Key = permit.Key
	}
	if q.Key.ofProbe() { // an authorizer does not give that away
		return nil, denyProbe()
	}
	if permit.OnConflict == "" {
		permit.OnConflict = h.cfg().Publish.policyFor(q.Key)
	}
	permit.Terms = h.cfg().resolve(permit.Terms)
	l := h.newLease(ctx, q, permit)
	l.asked = asked
	if err := h.acquire(l); err != nil {
		l.session.end(err)
		l.unwatch()
		h.attempts.lost(asked, err, l)
		return nil, err
	}
	h.attempts.forget(asked)
	return l, nil
}

// newLease returns a lease that does not own its key yet.
func (h *Hub) newLease(ctx context.Context, q Request, permit Permit) *Lease {
	ctx, end := context.WithCancelCause(ctx)
	l := &Lease{
		hub: h, ctx: ctx, policy: permit.OnConflict, identity: permit.Identity, terms: permit.Terms,
		session: &session{Request: q, action: ActionPublish, started: time.Now().UnixNano(), end: end},
	}
	l.session.lease, l.asked.key = l, q.Key
	l.progress.Store(h.now.Load())
	if h.board != nil {
		l.cell = h.board.Claim(watch.Label{
			Class: watch.Fanout, Name: q.Key.LogValue().String(), Session: q.Session, Heal: l.heal,
		})
	}
	return l
}

// unpublished queues the event that ends the publication: because of what ended its session already, or else because of
// cause. Under mu.
func (l *Lease) unpublished(cause error) {
	if earlier := context.Cause(l.ctx); earlier != nil {
		cause = earlier
	}
	l.hub.events.add(Event{Kind: Unpublished, Session: l.session.info(), Epoch: l.epoch.Load(), Cause: cause})
}

// Context ends when the lease is lost or released.
func (l *Lease) Context() context.Context { return l.ctx }

// Key is the key: the one that was asked for, or the one that the authorizer gave instead.
func (l *Lease) Key() Key { return l.session.Key }

// Epoch grows with every lease that comes to own a key. 0: it does not yet.
func (l *Lease) Epoch() uint64 { return l.epoch.Load() }

// Stream is the stream that the lease's publisher writes to, or nil while the lease stands by.
func (l *Lease) Stream() *stream.Stream {
	if p := l.publisher.Load(); p != nil {
		return p.Stream()
	}
	return nil
}

// Declare announces the kinds of tracks that will come. The writer calls it.
func (l *Lease) Declare(video, audio bool) {
	audio = audio && !l.terms.mute()
	if p := l.publisher.Load(); p != nil {
		p.declare(video, audio)
		return
	}
	l.declared = &declaration{video, audio}
}

// Skipped counts the video units that were dropped because no key unit had come yet.
func (l *Lease) Skipped() uint64 {
	if p := l.publisher.Load(); p != nil {
		return p.Skipped()
	}
	return 0
}

// Write appends a unit to the stream, which takes it over. It fails once the lease is lost, with the reason. A unit that
// the stream skips is no progress: the lease is lost if no other comes. While the lease stands by, units are proof that the publisher
// lives, and no more. So is sound where the terms say that it is dropped.
func (l *Lease) Write(u *av.AccessUnit) error {
	if l.terms.mute() && u.Track.Kind() == av.Audio {
		return l.drop()
	}
	p := l.publisher.Load()
	if p == nil {
		err := l.standBy(u)
		if p = l.publisher.Load(); err != nil || p == nil {
			return err
		}
	}
	size, skipped := u.Size(), p.Skipped()
	asked := l.contested.Load() // before the unit: it is no answer to a challenge that comes after it
	if err := l.hand(p, u); err != nil {
		return l.fenced(err)
	}
	if !p.live.opened.Load() && p.live.stream.Ready() {
		l.hub.change(func(*aftermath) { l.open(p.live) })
	}
	if p.Skipped() > skipped {
		return nil
	}
	l.taken.Add(uint64(size)) //nolint:gosec // a size is not negative
	l.moved()
	if asked {
		l.answer()
	}
	return nil
}

// drop takes a unit that goes nowhere.
func (l *Lease) drop() error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.moved()
	return nil
}

// open tells observers that what the lease writes to can be watched, unless it is another's by now. Under mu.
func (l *Lease) open(b *broadcast) {
	if p := l.hub.paths[l.session.Key]; p != nil && p.live == b {
		p.open()
	}
}

// fenced returns why a write failed.
func (l *Lease) fenced(err error) error {
	cause := context.Cause(l.ctx)
	if (cause != nil || errors.Is(err, stream.ErrFenced)) && !l.session.Key.ofProbe() {
		l.hub.figures.fenced.Add(1)
	}
	if cause != nil {
		return cause
	}
	return err
}

// Finish gives the key back because the publisher says that it is done: viewers get what the ring still holds and end with
// ErrUnpublished. cause is why, for the record. Calls after the first, of Release too, do nothing.
func (l *Lease) Finish(cause error) { l.leave(cause, true) }

// Release gives the key back because the publisher is gone, for whatever reason but its own word: viewers stay for as long as
// the resume window lasts, and go on with whoever publishes by then. cause is why, for the record. Calls after the first do
// nothing.
func (l *Lease) Release(cause error) { l.leave(cause, false) }

func (l *Lease) leave(cause error, clean bool) {
	if clean {
		l.finished.Store(true) // before the context ends, on which others may call Release
	}
	l.session.end(cause)
	l.hub.change(func(then *aftermath) {
		l.hub.leave(l.session)
		l.free(ErrUnpublished, l.finished.Load(), then)
	})
	l.unwatch()
}

// free takes from the lease what it has of its key: the ownership, or the place beside it. Under mu.
func (l *Lease) free(cause error, clean bool, then *aftermath) {
	p := l.hub.paths[l.session.Key]
	switch {
	case p == nil:
	case p.lease == l:
		p.vacate(cause, clean, then)
	case p.standby == l:
		p.standby, l.lostAt = nil, l.hub.now.Load()
		l.hub.generation.Add(1)
		then.add(func() { l.session.end(cause) })
		if p.lease == nil && p.live != nil && p.live.over {
			p.lapse(then)
		}
		p.forget()
	}
}
