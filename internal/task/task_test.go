package task

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

func TestGuard(t *testing.T) {
	if err := Guard("a", func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := Guard("a", func() error { return errBroken }); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	for _, value := range []any{"text", errBroken, 7, nil} {
		err := Guard("reader", func() error { panic(value) })
		var pe *PanicError
		if !errors.As(err, &pe) || pe.Task != "reader" || !strings.Contains(string(pe.Stack), "TestGuard") {
			t.Fatalf("panic(%v): %v", value, err)
		}
		if value != nil && pe.Value != value {
			t.Errorf("value %v, want %v", pe.Value, value)
		}
		if strings.Contains(err.Error(), "goroutine") {
			t.Error("the stack is part of the message")
		}
	}
}

func TestGroupFirstErrorCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, ctx := NewGroup(t.Context())
		var ended atomic.Int32
		for range 10 {
			g.Go("waits", func(ctx context.Context) error {
				<-ctx.Done()
				ended.Add(1)
				return errors.New("later")
			})
		}
		g.Go("ends well", func(context.Context) error { return nil })
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("a task that ends well ends the group")
		}
		g.Go("fails", func(context.Context) error { return errBroken })
		if err := g.Wait(); !errors.Is(err, errBroken) || ended.Load() != 10 {
			t.Errorf("%v, when %d had ended", err, ended.Load())
		}
		if !errors.Is(context.Cause(ctx), errBroken) {
			t.Errorf("cause %v", context.Cause(ctx))
		}
	})
}

func TestGroupPanic(t *testing.T) {
	g, ctx := NewGroup(t.Context())
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return nil })
	g.Go("panics", func(context.Context) error { panic("oops") })
	var pe *PanicError
	if err := g.Wait(); !errors.As(err, &pe) || pe.Task != "panics" || !errors.Is(context.Cause(ctx), err) {
		t.Errorf("%v, cause %v", err, context.Cause(ctx))
	}
}

func TestGroupStop(t *testing.T) {
	g, ctx := NewGroup(t.Context())
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return nil })
	g.Stop(errBroken)
	if err := g.Wait(); err != nil || !errors.Is(context.Cause(ctx), errBroken) {
		t.Errorf("%v, cause %v", err, context.Cause(ctx))
	}
}

func TestGroupParentEnds(t *testing.T) {
	parent, cancel := context.WithCancelCause(t.Context())
	g, _ := NewGroup(parent)
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
	cancel(errBroken)
	if err := g.Wait(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// The context of a group that has ended is released although nothing failed.
func TestGroupReleasesContext(t *testing.T) {
	g, ctx := NewGroup(t.Context())
	if err := g.Wait(); err != nil || ctx.Err() == nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestPoolBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(3, nil)
		ctx, cancel := context.WithCancel(t.Context())
		wait := func(ctx context.Context) { <-ctx.Done() }
		for range 3 {
			if err := p.Go(ctx, "session", wait); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := p.Go(ctx, "session", wait); !errors.Is(err, ErrFull) {
				t.Errorf("%v, want ErrFull", err)
			}
		}
		if p.Len() != 3 {
			t.Errorf("%d tasks", p.Len())
		}
		cancel()
		synctest.Wait()
		if p.Len() != 0 {
			t.Errorf("%d tasks", p.Len())
		}
		if err := p.Go(t.Context(), "session", func(context.Context) {}); err != nil {
			t.Error(err)
		}
		p.Wait()
	})
}

func TestPoolWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, begin := NewPool(10, nil), time.Now()
		for i := range 5 {
			_ = p.Go(t.Context(), "session", func(context.Context) { time.Sleep(time.Duration(i) * time.Second) })
		}
		if p.Wait(); time.Since(begin) != 4*time.Second {
			t.Errorf("waited %v", time.Since(begin))
		}
	})
}

// A panic is told, frees its place, and is nothing to the others; nor is one of the function that is told.
func TestPoolPanic(t *testing.T) {
	var told atomic.Int32
	p := NewPool(1, func(e *PanicError) {
		told.Add(1)
		panic(e)
	})
	for range 3 {
		if err := p.Go(t.Context(), "session", func(context.Context) { panic("oops") }); err != nil {
			t.Fatal(err)
		}
		p.Wait()
	}
	quiet := NewPool(1, nil)
	_ = quiet.Go(t.Context(), "session", func(context.Context) { panic("oops") })
	if quiet.Wait(); told.Load() != 3 || p.Len() != 0 {
		t.Errorf("told of %d, %d left", told.Load(), p.Len())
	}
}
