package hook

import (
	"context"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// started is the body of on_server_started.
func (h *Hooks) started() any {
	var all map[string]string
	h.guard(func() {
		if h.opt.Settings != nil {
			all = h.opt.Settings()
		}
	})
	if all == nil {
		return empty{}
	}
	return all
}

// statistic is the data of on_server_keepalive.
func (h *Hooks) statistic() (data any) {
	data = empty{}
	h.guard(func() {
		if h.opt.Statistic != nil {
			data = h.opt.Statistic()
		}
	})
	return data
}

// guard calls what others have given; should it panic, they are told of less, and goes on.
func (h *Hooks) guard(call func()) {
	if err := task.Guard("hook", func() error { call(); return nil }); err != nil {
		h.opt.Log.Error("a hook's body is not complete", "cause", err)
	}
}

// beat sends on_server_keepalive until ctx ends: at once when its target is configured, and then with every interval. A call that takes longer
// than the interval delays the next.
func (h *Hooks) beat(ctx context.Context) {
	cell := h.opt.Board.Claim(watch.Label{Class: watch.Timer, Name: "hooks"})
	defer cell.Free()
	for {
		cell.Begin()
		at := URL("")
		if t := h.target(KeepAlive); t != nil {
			at = t.url
			if !h.lanes[KeepAlive].has("") { // one that waits says it for both
				h.Tell(KeepAlive, "", alive{h.statistic()})
			}
		}
		cell.End()
		if !h.rest(ctx, at) {
			return
		}
	}
}

// rest waits until the next beat is due, by the interval that holds then: at once if it is to go elsewhere than to the one before. It returns
// false when ctx has ended.
func (h *Hooks) rest(ctx context.Context, before URL) bool {
	began := time.Now()
	due := time.NewTimer(h.plan.Load().AliveInterval)
	defer due.Stop()
	for {
		select {
		case <-due.C:
			return true
		case <-h.anew:
			p := h.plan.Load()
			if t := p.targets[KeepAlive]; t != nil && t.url != before {
				return true
			}
			due.Reset(time.Until(began.Add(p.AliveInterval)))
		case <-ctx.Done():
			return false
		}
	}
}

// flush waits until nothing waits to be sent, for a while.
func (h *Hooks) flush() {
	within := flushTime
	if began := h.began.Load(); began != nil {
		within = max(flushLeast, flushTime-time.Since(*began))
	}
	limit := time.NewTimer(within)
	defer limit.Stop()
	poll := time.NewTicker(10 * time.Millisecond) //nolint:mnd // ms
	defer poll.Stop()
	for h.waiting() > 0 {
		select {
		case <-poll.C:
		case <-limit.C:
			h.opt.Log.Warn("notifications of hooks are not sent any more", "waiting", h.waiting())
			return
		}
	}
}

func (h *Hooks) waiting() (n int) {
	for _, l := range h.lanes {
		waiting, _ := l.figures()
		n += waiting
	}
	return n
}

// exit sends on_server_exited.
func (h *Hooks) exit(ctx context.Context) {
	t := h.target(Exited)
	if t == nil || h.quiet.Load() {
		return
	}
	b, err := h.body("", empty{})
	if err != nil || !t.breaker.TryAcquirePermit() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exitTime)
	defer cancel()
	if _, err := t.call(ctx, b); err != nil {
		h.failed(t, err)
	}
}
