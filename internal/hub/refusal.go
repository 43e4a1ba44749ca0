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
	at      time.Time // of the answer
	query   string
	pending chan struct{} // closed when the authorizer has answered; nil: it has
	permit  Permit
	err     error  // of authorisation, or nil
	owner   *Lease // because of whom it was refused, or nil
}

// attempts remember for a moment who was refused what, and what is being asked. One that hammers then costs little, and others are asked
// about it once a second at the most.
type attempts struct {
	mu sync.Mutex // memory only
	by map[attempt]verdict
	of map[netip.Addr]int // how many of them are from an address
}

const (
	attemptAge        = time.Second // how long a refusal is remembered
	attemptsMax       = 8192        // that are remembered at a time
	attemptsOfAddress = 1024        // the same, from one address: it gets no answers about more names a second
)

// begin returns what is known of an attempt, or says that it is the caller's to find out, who then calls settle.
func (a *attempts) begin(t attempt, query string) (v verdict, ask bool, err error) {
	if !t.addr.IsValid() {
		return v, true, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v, known := a.by[t]
	if known && (v.pending != nil || time.Since(v.at) < attemptAge) {
		return v, false, nil
	}
	if !known {
		if a.of[t.addr] >= attemptsOfAddress || len(a.by) >= attemptsMax && !a.evict() {
			return v, false, fmt.Errorf("%w: attempts for %d names a second from one address, %d in all", ErrLimit, attemptsOfAddress,
				attemptsMax)
		}
		if a.by == nil {
			a.by, a.of = map[attempt]verdict{}, map[netip.Addr]int{}
		}
		a.of[t.addr]++
	}
	a.by[t] = verdict{query: query, pending: make(chan struct{})}
	return v, true, nil
}

// settle notes what was found, for those who wait for it and those who come within a second; or, with forget, nothing: the next is
// to ask again.
func (a *attempts) settle(t attempt, v verdict, forget bool) {
	a.mu.Lock()
	before, known := a.by[t]
	switch {
	case !known:
	case forget:
		a.drop(t)
	default:
		v.at = time.Now()
		a.by[t] = v
	}
	a.mu.Unlock()
	if before.pending != nil {
		close(before.pending)
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
	if v, ok := a.by[t]; ok && v.pending == nil { // its age is that of the answer
		v.owner = owner
		a.by[t] = v
	}
}

// forget is for one that was let in: whoever comes next is judged anew.
func (a *attempts) forget(t attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.by[t]; ok && v.pending == nil {
		a.drop(t)
	}
}

// prune drops what is too old.
func (a *attempts) prune() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for t, v := range a.by {
		if v.pending == nil && time.Since(v.at) >= attemptAge {
			a.drop(t)
		}
	}
}

// evict drops any attempt that nobody asks about just now. Under mu.
func (a *attempts) evict() bool {
	for t, v := range a.by {
		if v.pending == nil {
			a.drop(t)
			return true
		}
	}
	return false
}

// drop forgets an attempt that is remembered. Under mu.
func (a *attempts) drop(t attempt) {
	delete(a.by, t)
	if a.of[t.addr]--; a.of[t.addr] == 0 {
		delete(a.of, t.addr)
	}
}

// permit asks the authorizer whether a publisher is allowed, unless that is known, is being asked, or it would be refused anyway.
func (h *Hub) permit(ctx context.Context, t attempt, q Request) (Permit, error) {
	if !h.asks(ActionPublish) && h.cfg().Publish.policyFor(q.Key) == Reject && h.wellOwned(h.owner(q.Key)) {
		return Permit{}, ErrBusy
	}
	for {
		v, ask, err := h.attempts.begin(t, q.Query)
		switch {
		case err != nil:
			return Permit{}, err
		case ask:
			return h.ask(ctx, t, q)
		case v.pending == nil || v.query != q.Query:
			return h.recall(v, q)
		}
		select {
		case <-v.pending:
		case <-ctx.Done():
			return Permit{}, context.Cause(ctx)
		}
	}
}

// ask asks the authorizer, and remembers the answer.
func (h *Hub) ask(ctx context.Context, t attempt, q Request) (p Permit, err error) {
	err = ErrAuthorizer // should it panic
	room := h.admits(ActionPublish, q)
	defer func() {
		// What ended early, or was refused for another reason, says nothing about the next attempt.
		h.attempts.settle(t, verdict{query: q.Query, permit: p, err: err}, room != nil || ctx.Err() != nil)
	}()
	if room != nil {
		return Permit{}, room
	}
	if p, err = h.authorize(ctx, ActionPublish, q); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return p, err
}

// recall answers from memory.
func (h *Hub) recall(v verdict, q Request) (Permit, error) {
	switch {
	case v.pending == nil && v.err != nil:
		return Permit{}, v.err
	case v.owner != nil && h.wellOwned(v.owner):
		return Permit{}, ErrBusy
	case v.pending == nil && (v.query == q.Query || !h.asks(ActionPublish)):
		return v.permit, nil
	}
	return Permit{}, fmt.Errorf("%w: one attempt a second with another query", ErrLimit)
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
