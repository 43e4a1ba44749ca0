package hook

import (
	"context"
	"errors"
	"slices"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/zlm"
)

// Asks says whether the platform is to be asked before something is done: where nobody is, the hub need not.
func (h *Hooks) Asks(a hub.Action) bool {
	if a == hub.ActionPublish {
		return h.target(Publish) != nil
	}
	return h.target(Play) != nil
}

// Authorize implements hub.Authorizer: it asks on_publish or on_play.
func (h *Hooks) Authorize(ctx context.Context, a hub.Action, q hub.Request) (hub.Permit, error) {
	if a == hub.ActionPublish {
		return h.mayPublish(ctx, &q)
	}
	return hub.Permit{}, h.mayPlay(ctx, &q)
}

func (h *Hooks) mayPublish(ctx context.Context, q *hub.Request) (hub.Permit, error) {
	t := h.target(Publish)
	if t == nil {
		return hub.Permit{}, nil
	}
	origin := zlm.OriginOf(q.Protocol)
	a, err := h.decide(ctx, t, q.Key.VHost, publishing{mediaOf(q), origin, origin.String()})
	switch {
	case err != nil:
		return hub.Permit{}, h.without(ctx, t, err)
	case a.code != 0:
		return hub.Permit{}, a.refusal()
	}
	return a.permit(q.Key)
}

func (h *Hooks) mayPlay(ctx context.Context, q *hub.Request) error {
	t := h.target(Play)
	if t == nil || q.Proven {
		return nil
	}
	ask, lasts := question{q.Key, q.Protocol, q.Query, q.Remote.Addr()}, h.plan.Load().Cache
	if err, ok := t.cache.get(ask, lasts); ok {
		return err
	}
	a, err := h.decide(ctx, t, q.Key.VHost, mediaOf(q))
	switch {
	case err != nil:
		return h.without(ctx, t, err)
	case a.code != 0:
		err = a.refusal()
	}
	if len(q.Query) <= queryMost {
		t.cache.put(ask, err, lasts)
	}
	return err
}

// decide asks a target.
func (h *Hooks) decide(ctx context.Context, t *target, vhost string, of any) (answer, error) {
	b, err := h.body(vhost, of)
	if err != nil {
		return answer{}, err
	}
	a, err := t.ask(ctx, b)
	if err != nil && ctx.Err() == nil {
		h.failed(t, err)
	}
	return a, err
}

// without decides a question that was not answered, because of err. nil: yes. Who has gone meanwhile needs none.
func (h *Hooks) without(ctx context.Context, t *target, err error) error {
	gone := errors.Is(ctx.Err(), context.Canceled)
	if !gone && slices.Contains(h.plan.Load().FailOpen, string(t.hook)) {
		return nil
	}
	return &unanswered{t.hook, err}
}

// unanswered is a question that was not answered. Its text is for peers, whom it does not concern where the platform is and what it has said:
// the log has that.
type unanswered struct {
	hook  Hook
	cause error
}

// Error implements error.
func (e *unanswered) Error() string { return string(e.hook) + " was not answered" }

// Unwrap gives the cause.
func (e *unanswered) Unwrap() error { return e.cause }
