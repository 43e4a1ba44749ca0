package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

const (
	noteAge   = time.Minute     // a notification that was not taken for so long is given up
	flushTime = 3 * time.Second // for the notifications that wait when the server ends
	complain  = 10 * time.Second

	flushLeast = 300 * time.Millisecond // of it, once all has ended: for what is told of that
	exitTime   = 700 * time.Millisecond // for on_server_exited
)

// errOld means that a notification has waited for too long.
var errOld = errors.New("notifications are given up: they have waited for a minute")

// Tell queues a notification that stands by itself; where nobody is to be told, it does nothing. It does not wait.
func (h *Hooks) Tell(hook Hook, lane string, of any) { h.tell(hook, lane, "", of, nil) }

// tell queues a notification. then is given the answer, unless it is nil.
func (h *Hooks) tell(hook Hook, lane, vhost string, of any, then func(answer)) {
	t := h.target(hook)
	if t == nil {
		return
	}
	b, err := h.body(vhost, of)
	if err != nil {
		h.failed(t, err)
		return
	}
	l := h.lanes[hook]
	start, dropped := l.add(note{lane: lane, body: b, until: time.Now().Add(noteAge), then: then})
	if dropped {
		h.failed(t, fmt.Errorf("%w: too many notifications wait, one is dropped", errBusy))
	}
	if start {
		h.start(hook, l)
	}
}

// work starts workers for notifications that came before Run.
func (h *Hooks) work() {
	for hook, l := range h.lanes {
		for l.hire() {
			h.start(hook, l)
		}
	}
}

// start starts a worker that was hired.
func (h *Hooks) start(hook Hook, l *lanes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.group == nil { // not yet, or not any more
		l.leave()
		return
	}
	h.group.Go("hook "+string(hook), func(ctx context.Context) error {
		h.send(ctx, hook, l)
		return nil
	})
}

// send sends what waits for a hook, until nothing does or ctx ends.
func (h *Hooks) send(ctx context.Context, hook Hook, l *lanes) {
	for ctx.Err() == nil {
		n, ok := l.next()
		if !ok {
			return
		}
		l.done(n, h.deliver(ctx, hook, n))
	}
	l.leave()
}

// deliver sends a notification, wherever the configuration says by then, and says whether it was taken.
func (h *Hooks) deliver(ctx context.Context, hook Hook, n note) (taken bool) {
	patience, cancel := context.WithDeadline(ctx, n.until)
	defer cancel()
	var t *target
	err := task.Guard("hook", func() error {
		a, err := answer{}, errRetired
		for errors.Is(err, errRetired) {
			if t = h.target(hook); t == nil {
				return errOff
			}
			if patience.Err() != nil {
				return errOld
			}
			a, err = t.tell(ctx, patience, n.body)
		}
		if taken = err == nil; taken && n.then != nil {
			n.then(a)
		}
		return err
	})
	if err != nil && t != nil && ctx.Err() == nil {
		h.failed(t, err)
	}
	return taken
}

// failed logs that a call has failed, now and then.
func (h *Hooks) failed(t *target, err error) {
	h.mu.Lock()
	last := h.said[t.hook]
	say := time.Since(last) >= complain
	if say {
		h.said[t.hook] = time.Now()
	}
	h.mu.Unlock()
	write := h.opt.Log.Debug
	if say {
		write = h.opt.Log.Warn
	}
	write("a hook failed", "hook", string(t.hook), "cause", err, "failures", t.failures.Load())
}
