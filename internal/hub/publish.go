package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
)

// Lease is the ownership of a stream key by one publisher. It ends by Release, or is lost: then its context ends, with the
// reason as its cause, and writes fail.
type Lease struct {
	hub       *Hub
	session   *session
	publisher *stream.Publisher
	epoch     uint64
	ctx       context.Context //nolint:containedctx // the lease's life is what the context stands for
	progress  atomic.Int64    // the hub's clock at the newest unit that the stream took
}

// Publish takes the key for a publisher. It may return ErrDenied, ErrBusy, ErrLimit or ErrClosing. The lease's context is
// a child of ctx. Release the lease.
func (h *Hub) Publish(ctx context.Context, q Request) (*Lease, error) {
	if err := h.authorize(ctx, ActionPublish, q); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	l := &Lease{
		hub: h, ctx: ctx,
		session: &session{Request: q, action: ActionPublish, started: time.Now(), end: end},
	}
	l.progress.Store(h.now.Load())
	old, err := h.take(l)
	if err != nil {
		end(err)
		return nil, err
	}
	if old != nil {
		old.session.end(l.replaces())
	}
	h.events.poke()
	return l, nil
}

// take makes l the owner of its key and returns the owner that it displaced, if any.
func (h *Hub) take(l *Lease) (old *Lease, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.path(l.session.Key)
	defer h.forget(l.session.Key)
	if p.lease != nil && h.cfg.Publish.OnConflict == Reject {
		return nil, ErrBusy
	}
	if err := h.enter(l.session); err != nil {
		return nil, err
	}
	if old = p.lease; old == nil {
		p.stream = stream.New(h.cfg.Limits.streamOptions())
	}
	h.epoch++
	p.lease, l.epoch = l, h.epoch
	l.publisher = p.stream.Publish()
	if old == nil {
		close(p.published)
	} else {
		old.unpublished(l.replaces())
	}
	h.events.add(Event{Kind: Published, Session: l.session.info(), Epoch: l.epoch})
	return old, nil
}

// replaces is the cause with which the lease that l displaces ends.
func (l *Lease) replaces() error {
	return fmt.Errorf("%w: session %s from %v", ErrReplaced, l.session.Session, l.session.Remote.Addr())
}

// unpublished queues the event that ends the publication: because of what ended its session already, or else because of
// cause. Under mu.
func (l *Lease) unpublished(cause error) {
	if earlier := context.Cause(l.ctx); earlier != nil {
		cause = earlier
	}
	l.hub.events.add(Event{Kind: Unpublished, Session: l.session.info(), Epoch: l.epoch, Cause: cause})
}

// Context ends when the lease is lost or released.
func (l *Lease) Context() context.Context { return l.ctx }

// Epoch grows with every lease that the hub gives out.
func (l *Lease) Epoch() uint64 { return l.epoch }

// Stream is the stream that the lease's publisher writes to.
func (l *Lease) Stream() *stream.Stream { return l.publisher.Stream() }

// Declare announces the kinds of tracks that will come.
func (l *Lease) Declare(video, audio bool) { l.publisher.Declare(video, audio) }

// Skipped counts the video units that were dropped because no key unit had come yet.
func (l *Lease) Skipped() uint64 { return l.publisher.Skipped() }

// Write appends a unit to the stream, which takes it over. It fails once the lease is lost, with the reason. A unit that
// the stream skips is no progress: the lease is lost if no other comes.
func (l *Lease) Write(u *av.AccessUnit) error {
	size, skipped := u.Size(), l.Skipped()
	if err := l.publisher.Write(u); err != nil {
		if cause := context.Cause(l.ctx); cause != nil {
			return cause
		}
		return err
	}
	if l.Skipped() > skipped {
		return nil
	}
	l.session.taken.Add(uint64(size)) //nolint:gosec // a size is not negative
	l.progress.Store(l.hub.now.Load())
	return nil
}

// lose takes the key away: the stream ends with cause, and so does the session's context. The session's record stays until
// its own goroutine releases the lease.
func (h *Hub) lose(cause error, which func(l *Lease) bool) {
	type loss struct {
		lease  *Lease
		stream *stream.Stream
	}
	var lost []loss
	h.mu.Lock()
	for _, p := range h.paths {
		if l := p.lease; l != nil && which(l) {
			lost = append(lost, loss{l, l.free(cause)})
		}
	}
	h.mu.Unlock()
	for _, l := range lost {
		l.lease.session.end(cause)
		l.stream.End(cause)
	}
	h.events.poke()
}

// Release gives the key back; viewers get what the ring still holds and end with ErrUnpublished. cause is why the
// publisher ends, for the record. Calls after the first do nothing.
func (l *Lease) Release(cause error) {
	l.session.end(cause)
	if s := l.leave(); s != nil {
		s.End(ErrUnpublished)
		l.hub.events.poke()
	}
}

// leave removes the session's record and frees the key.
func (l *Lease) leave() *stream.Stream {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(l.session)
	return l.free(ErrUnpublished)
}

// free frees the key and returns its stream, to be ended when the lock is not held any more; nil if the lease does not own
// the key. Under mu.
func (l *Lease) free(cause error) *stream.Stream {
	k := l.session.Key
	p := l.hub.paths[k]
	if p == nil || p.lease != l {
		return nil
	}
	l.unpublished(cause)
	s := p.stream
	p.lease, p.stream, p.published = nil, nil, make(chan struct{})
	l.hub.forget(k)
	l.hub.generation.Add(1)
	return s
}
