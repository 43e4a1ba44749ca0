package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"sync"
)

// PanicError is what a task that panicked ends with: the panic's value and the stack of the
// goroutine that raised it.
type PanicError struct {
	Task  string
	Value any
	Stack []byte
}

// Error implements error. The stack is not part of the message; log it as its own field.
func (e *PanicError) Error() string { return fmt.Sprintf("task %s: panic: %v", e.Task, e.Value) }

// Guard calls fn and turns a panic into a *PanicError, so that a panic ends its task and never the process.
func Guard(name string, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Task: name, Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// Group owns goroutines that stand or fall together: the first error cancels the group's context with
// that error as its cause, and Wait returns it. A Group must be waited for. Its methods are safe for concurrent use.
type Group struct {
	ctx    context.Context //nolint:containedctx // a group is its context plus those that run under it
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// NewGroup returns a group whose goroutines run under a child of ctx, which is returned too.
func NewGroup(ctx context.Context) (*Group, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel}, ctx
}

// Go starts fn as a goroutine that is named in profiles and owned by the group.
func (g *Group) Go(name string, fn func(ctx context.Context) error) {
	g.wg.Go(func() {
		pprof.SetGoroutineLabels(pprof.WithLabels(g.ctx, pprof.Labels("task", name)))
		if err := Guard(name, func() error { return fn(g.ctx) }); err != nil {
			g.fail(err)
		}
	})
}

func (g *Group) fail(err error) {
	g.once.Do(func() {
		g.err = err
		g.cancel(err)
	})
}

// Stop cancels the group's context with cause. It does not wait.
func (g *Group) Stop(cause error) { g.cancel(cause) }

// Wait blocks until every goroutine of the group has returned and gives the first error among them.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(nil)
	return g.err
}

// ErrFull is returned by Pool.Go when the pool has as many tasks as it may have.
var ErrFull = errors.New("task: pool is full")

// Pool owns independent goroutines, such as the sessions of a listener: the end of one, even by panic, is
// nothing to the others. The number of tasks is bounded. Its methods are safe for concurrent use.
type Pool struct {
	limit   int
	onPanic func(*PanicError)

	mu sync.Mutex
	n  int
	wg sync.WaitGroup
}

// NewPool returns a pool of at most limit tasks. onPanic is told of a task that panicked, on that task's goroutine.
func NewPool(limit int, onPanic func(*PanicError)) *Pool {
	return &Pool{limit: limit, onPanic: onPanic}
}

// Go starts fn as a goroutine named name, or returns ErrFull.
func (p *Pool) Go(ctx context.Context, name string, fn func(ctx context.Context)) error {
	p.mu.Lock()
	if p.n >= p.limit {
		p.mu.Unlock()
		return ErrFull
	}
	p.n++
	p.wg.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.done()
		pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels("task", name)))
		err := Guard(name, func() error { fn(ctx); return nil })
		var pe *PanicError
		if errors.As(err, &pe) && p.onPanic != nil {
			_ = Guard(name, func() error { p.onPanic(pe); return nil })
		}
	}()
	return nil
}

func (p *Pool) done() {
	p.mu.Lock()
	p.n--
	p.mu.Unlock()
	p.wg.Done()
}

// Len is the number of tasks that run.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// Wait blocks until no task runs. Stop starting tasks first.
func (p *Pool) Wait() { p.wg.Wait() }
