package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// attempt is what publishers are remembered by: whence, and for what.
type attempt struct {
	addr netip.Addr
	key  Key // as it was asked for
}

// verdict is what was found on the newest attempt.
type verdict struct {
	at     time.Time
	query  string
	permit Permit
	err    error  // of authorisation, or nil
	owner  *Lease // because of whom it was refused, or nil
}

// attempts remember for a moment who was refused what. One that hammers then costs little, and nobody is asked about it.
type attempts struct {
	mu sync.Mutex
	by map[attempt]verdict
}

const (
	attemptAge  = time.Second // how long a refusal is remembered
	attemptsMax = 8192        // of which is remembered that they were refused
)

// find returns what was found a moment ago.
func (a *attempts) find(t attempt) (verdict, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.by[t]
	return v, ok && time.Since(v.at) < attemptAge
}

func (a *attempts) put(t attempt, v verdict) {
	if !t.addr.IsValid() {
		return
	}
	v.at = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[attempt]verdict{}
	}
	if _, known := a.by[t]; known || len(a.by) < attemptsMax {
		a.by[t] = v
	}
}

// lost notes that an attempt that was permitted, or needed no permit, was refused because of an owner.
func (a *attempts) lost(t attempt, err error, l *Lease) {
	if !errors.Is(err, ErrBusy) {
		return
	}
	owner := l.hub.owner(l.session.Key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.by[t]; ok { // its age is that of the question
		v.owner = owner
		a.by[t] = v
	}
}

// forget is for one that was let in: whoever comes next is judged anew.
func (a *attempts) forget(t attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.by, t)
}

// prune drops what is too old.
func (a *attempts) prune() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for t, v := range a.by {
		if time.Since(v.at) >= attemptAge {
			delete(a.by, t)
		}
	}
}

// permit asks the authorizer whether a publisher is allowed, unless that is known, or it would be refused anyway.
func (h *Hub) permit(ctx context.Context, t attempt, q Request) (Permit, error) {
	v, known := h.attempts.find(t)
	switch {
	case !known && h.auth == nil && h.cfg.Publish.policyFor(q.Key) == Reject:
		if h.wellOwned(h.owner(q.Key)) {
			return Permit{}, ErrBusy
		}
	case !known:
	case v.err != nil:
		return Permit{}, v.err
	case v.owner != nil && h.wellOwned(v.owner):
		return Permit{}, ErrBusy
	case v.query == q.Query || h.auth == nil:
		return v.permit, nil
	default:
		return Permit{}, fmt.Errorf("%w: one attempt a second with another query", ErrLimit)
	}
	if err := h.admits(ActionPublish, q); err != nil {
		return Permit{}, err
	}
	p, err := h.authorize(ctx, ActionPublish, q)
	if ctx.Err() == nil { // else it says nothing about the next attempt
		h.attempts.put(t, verdict{query: q.Query, permit: p, err: err})
	}
	return p, err
}

// owner returns the owner of a key, or nil.
func (h *Hub) owner(k Key) *Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.paths[k]; p != nil {
		return p.lease
	}
	return nil
}

// wellOwned says whether l owns its key and has proved lately that it lives.
func (h *Hub) wellOwned(l *Lease) bool {
	return l != nil && l.ctx.Err() == nil && l.well() && h.owner(l.session.Key) == l
}
