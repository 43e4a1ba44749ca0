package egress

import (
	"context"
	"fmt"
	"time"
)

// pass hands b to the connection, or to the lane. The error is errFull when the lane is full.
func (w *writer) pass(ctx context.Context, b []byte) (int, error) {
	switch {
	case w.link.detour == nil:
		return w.writeSome(ctx, b)
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	n, err := w.link.divert(b)
	if err == nil && n < len(b) {
		err = errFull
	}
	return n, err
}

// hold waits a little, because the lane is full. some says whether it took something, moved whether a packet's end was in that.
func (w *writer) hold(ctx context.Context, some, moved bool) error {
	e := w.link.egress
	now := e.now()
	if some {
		w.backoff = 0
	}
	if moved || w.fullSince == 0 {
		w.fullSince = now
	}
	if stall := e.opt.StallTimeout; now >= w.fullSince.add(stall) {
		return fmt.Errorf("%w for %v", ErrStalled, stall)
	}
	w.backoff = min(max(2*w.backoff, retryFirst), retryLast)
	timer := time.NewTimer(w.backoff)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.heard:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// calm notes that the lane is not full.
func (w *writer) calm() { w.fullSince, w.backoff = 0, 0 }
