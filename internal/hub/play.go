package hub

import (
	"context"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

// Viewing is the attachment of one viewer to a stream.
type Viewing struct {
	hub     *Hub
	session *session
	live    *broadcast      // that it is attached to, under the hub's mu; nil: none yet
	ctx     context.Context //nolint:containedctx // the viewing's life is what the context stands for
	lostAt  int64           // the hub's clock when the audit found that ctx had ended; under the hub's mu
}

// Play lets a viewer in. If nobody publishes the key yet, it waits for a publisher as long as the setting play.wait says; then
// until the stream's tracks are known, and no longer than patience lives. It may return ErrDenied, ErrNotFound, ErrNoTracks,
// ErrUncarried, ErrLimit, ErrOverload or ErrClosing, or the cause of patience. The viewing's context is a child of ctx, and ctx of patience's parent or
// patience itself. Release the viewing.
func (h *Hub) Play(ctx, patience context.Context, q Request) (*Viewing, error) {
	v, err := h.play(ctx, patience, q)
	if err != nil {
		if !h.Probe(q.Key) {
			h.refused(ActionPlay, err)
		}
		return nil, err
	}
	return v, nil
}

func (h *Hub) play(ctx, patience context.Context, q Request) (*Viewing, error) {
	if err := h.reserved(q.Key); err != nil {
		return nil, err
	}
	if err := h.admits(ActionPlay, q); err != nil {
		return nil, err
	}
	if _, err := h.authorize(patience, ActionPlay, q); err != nil {
		return nil, err
	}
	waiting, giveUp := context.WithCancelCause(patience)
	defer giveUp(nil)
	v := &Viewing{hub: h, session: &session{Request: q, action: ActionPlay, started: time.Now().UnixNano(), end: giveUp}}
	h.mu.Lock()
	err := h.enter(v.session, nil)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err = v.find(waiting); err == nil {
		err = v.begin(ctx, waiting)
	}
	if err != nil {
		v.leave()
		return nil, err
	}
	h.events.put(Event{Kind: Played, Session: v.session.info()})
	return v, nil
}

// begin gives the viewing its own context. That is made after the wait, because a context that others have hung on to keeps the
// memory for it.
func (v *Viewing) begin(ctx, waiting context.Context) error {
	var end context.CancelCauseFunc
	v.ctx, end = context.WithCancelCause(ctx)
	v.hub.mu.Lock()
	v.session.end, v.session.viewing = end, v
	kicked := v.session.kicked
	v.hub.mu.Unlock()
	if kicked { // it is the context of the wait that was ended, or is about to be
		end(ErrKicked)
		return ErrKicked
	}
	if v.live.stuck.Load() { // the same
		end(ErrStuck)
		return ErrStuck
	}
	if waiting.Err() != nil { // the hub ended it meanwhile
		end(context.Cause(waiting))
		return context.Cause(waiting)
	}
	return nil
}

// find attaches the viewer to the stream of its key as soon as that is ready.
func (v *Viewing) find(ctx context.Context) error {
	if err := v.awaitPublisher(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.hub.Limit(Ready).Age, ErrNoTracks)
	defer cancel()
	if err := v.live.stream.WaitReady(ctx); err != nil {
		return err
	}
	if carries := v.session.Carries; carries != nil && !slices.ContainsFunc(v.live.stream.Tracks(), carries) {
		return ErrUncarried
	}
	return nil
}

// awaitPublisher attaches the viewer to the stream of its key as soon as there is one.
func (v *Viewing) awaitPublisher(ctx context.Context) error {
	h, k := v.hub, v.session.Key
	timeout := time.NewTimer(h.Limit(Wait).Age)
	defer timeout.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.path(k)
	defer p.forget()
	p.waiting++
	defer func() { p.waiting-- }()
	if p.live == nil && !h.closing {
		h.events.add(Event{Kind: Wanted, Session: v.session.info(), Dismiss: v.dismiss})
		h.events.poke()
	}
	for waits := h.Limit(Wait).Age > 0; p.live == nil; {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case h.closing:
			return ErrClosing
		case !waits:
			return ErrNotFound
		}
		published := p.published
		h.mu.Unlock()
		waits = h.await(ctx, published, timeout.C)
		h.mu.Lock()
	}
	if !p.live.terms.ServedBy(v.session.Protocol) {
		return unserved(v.session.Protocol)
	}
	if err := h.attach(v.session, p.live); err != nil {
		return err
	}
	v.live = p.live
	return nil
}

// dismiss ends the wait for a publisher, if it is not over.
func (v *Viewing) dismiss(cause error) {
	v.hub.change(func(then *aftermath) {
		if v.live == nil {
			end := v.session.end
			then.add(func() { end(cause) })
		}
	})
}

// await waits for a change and says whether to go on waiting after it.
func (h *Hub) await(ctx context.Context, published <-chan struct{}, timeout <-chan time.Time) bool {
	select {
	case <-published:
	case <-ctx.Done():
	case <-h.closed:
	case <-timeout:
		return false
	}
	return true
}

// Context ends when the viewing is released, or when the hub ends it: then its cause is the reason.
func (v *Viewing) Context() context.Context { return v.ctx }

// Ended is why the viewing has ended, or nil.
func (v *Viewing) Ended() error { return context.Cause(v.ctx) }

// Request is what the viewer asked for.
func (v *Viewing) Request() Request { return v.session.Request }

// Stream is what is being watched.
func (v *Viewing) Stream() *stream.Stream { return v.live.stream }

// Watch attaches the viewer to the stream in the format that key names, made by mux for its first viewer.
// The hub's statistics show its figures. Release closes it, and so does another Watch.
func (v *Viewing) Watch(key any, mux func() stream.Muxer) (*stream.Viewer, error) {
	w, err := v.live.watch(key, mux)
	if err != nil {
		return nil, err
	}
	if before := v.session.viewer.Swap(w); before != nil {
		v.live.close(before)
	}
	if v.ctx.Err() != nil { // released meanwhile, perhaps before w was there to be closed
		v.live.close(w)
		return nil, context.Cause(v.ctx)
	}
	return w, nil
}

// Release ends the viewing. cause is why, for the record. Calls after the first do nothing.
func (v *Viewing) Release(cause error) {
	v.session.end(cause)
	if w := v.session.viewer.Load(); w != nil {
		v.live.close(w)
	}
	if v.leave() {
		v.hub.events.put(Event{Kind: Stopped, Session: v.session.info(), Cause: context.Cause(v.ctx)})
	}
}

func (v *Viewing) leave() bool {
	left := false
	v.hub.change(func(then *aftermath) {
		left = v.hub.leave(v.session)
		if left && v.live != nil {
			v.hub.detach(v.session.Key, v.live, then)
		}
	})
	return left
}
