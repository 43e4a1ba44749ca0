package watch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a board with a guard that looks at it in fake time.
type scene struct {
	*Board
	guard   *Guard
	starved atomic.Bool
	pulses  atomic.Pointer[Pulse]
}

// staged runs f in a bubble in which a guard runs, and looks a moment before each quarter of a second.
func staged(t *testing.T, f func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{Board: NewBoard()}
		s.guard = NewGuard(GuardOptions{
			Board: s.Board, Starved: s.starved.Load, Beat: func(p *Pulse) { c := *p; s.pulses.Store(&c) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.guard.Run(ctx) }()
		time.Sleep(time.Millisecond)
		f(t, s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// newest is the guard's newest pulse.
func (s *scene) newest() Pulse {
	synctest.Wait()
	return *s.pulses.Load()
}

// found takes what the guard has found.
func (s *scene) found() (all []Finding) {
	synctest.Wait()
	for {
		select {
		case f := <-s.guard.Findings():
			all = append(all, f)
		default:
			return all
		}
	}
}

// stages are the stages of what the guard has found.
func (s *scene) stages() (all []Stage) {
	for _, f := range s.found() {
		all = append(all, f.Stage)
	}
	return all
}
