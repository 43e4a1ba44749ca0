package hook

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/zlm"
)

// Observe implements hub.Observer: it tells of what has happened. It does not wait.
func (h *Hooks) Observe(e hub.Event) {
	switch e.Kind {
	case hub.Opened:
		h.opened(&e)
	case hub.Closed:
		tuple := zlm.TupleOf(&e.Session)
		h.changed(&e, func(s zlm.Schema) any { return vanished{s, tuple, false, e.Epoch} })
	case hub.Unwatched:
		key := e.Session.Key
		of := unwatched{zlm.SchemaOf(e.Session.Protocol), zlm.TupleOf(&e.Session), e.Epoch}
		h.tell(NoneReader, key.String(), key.VHost, of, onClose(func() { h.hub.EndUnwatched(key, e.Epoch) }))
	case hub.Wanted:
		dismiss := e.Dismiss
		h.tell(NotFound, e.Session.ID, e.Session.Key.VHost, mediaOfSession(&e.Session), onClose(func() { dismiss(hub.ErrNotFound) }))
	case hub.Unpublished, hub.Stopped:
		h.ended(&e)
	case hub.Published, hub.Played, hub.Lapsed, hub.Resumed, hub.Duel, hub.Ghost, hub.Stuck, hub.Mute: // no hook is about these
	}
}

// onClose does something if the answer says that it is to be closed.
func onClose(deed func()) func(answer) {
	return func(a answer) {
		if closes, _ := a.truth("close"); a.code == 0 && closes {
			deed()
		}
	}
}

// opened tells that a stream can be watched, as it is now. One that has ended meanwhile is told of all the same: its end will be.
func (h *Hooks) opened(e *hub.Event) {
	if h.target(Changed) == nil {
		return
	}
	info, at, ok := h.hub.Describe(e.Session.Key)
	if !ok || info.Origin == nil {
		info, at = hub.StreamInfo{Key: e.Session.Key, Started: e.Session.Started, Publisher: &e.Session, Origin: &e.Session}, time.Now()
	}
	info.Terms = e.Terms // its end will be told of by the same schemas
	of := map[zlm.Schema]zlm.Source{}
	for _, s := range zlm.Sources(&info, at) {
		of[s.Schema] = s
	}
	h.changed(e, func(s zlm.Schema) any { return appeared{of[s], true, e.Epoch} })
}

// changed tells of a change of a stream, once for each schema that it is served in and that somebody wants to be told of.
func (h *Hooks) changed(e *hub.Event, of func(zlm.Schema) any) {
	wanted, key := h.plan.Load().Schemas, e.Session.Key
	for _, s := range zlm.ServedAs(e.Terms) {
		if len(wanted) == 0 || slices.Contains(wanted, string(s)) {
			h.tell(Changed, string(s)+" "+key.String(), key.VHost, of(s), nil)
		}
	}
}

// ended reports what a session had sent or got. Reports need no order: many viewers of a stream may leave at once.
func (h *Hooks) ended(e *hub.Event) {
	s := &e.Session
	f := flow{media: mediaOfSession(s), Bytes: s.Received, Duration: int64(max(0, time.Since(s.Started)).Seconds()), Epoch: e.Epoch}
	if s.Action == hub.ActionPlay {
		f.Bytes, f.Player, f.Epoch = s.Sent, true, 0
	}
	if f.Bytes < uint64(h.plan.Load().FlowThreshold) { //nolint:gosec // not negative
		return
	}
	h.tell(FlowReport, s.ID, s.Key.VHost, f, nil)
}
