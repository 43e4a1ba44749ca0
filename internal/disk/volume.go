package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// Limits of a volume.
const (
	workersMost = 4        // operations at a time, and so threads that may hang in the kernel
	queueItems  = 256      // operations that wait
	queueBytes  = 64 << 20 // that they hold, with those that run

	slowAfter     = 2 * time.Second
	degradedAfter = 10 * time.Second
	failuresMost  = 3                      // errors in a row, of the disk
	trialEvery    = time.Second            // how often a volume that is degraded or failing is given a try
	waitMost      = time.Minute            // for an operation, whatever the caller's context says
	judgeEvery    = 250 * time.Millisecond // how often a volume's state is looked at, to be told

	// StopTime is how long Run waits for operations when it has to end.
	StopTime = time.Second
)

// Why an operation was not done. They are wrapped, with the names of volume and operation.
var (
	ErrFull     = errors.New("too much waits for the disk already")
	ErrDegraded = errors.New("the disk has not answered for too long")
	ErrFailing  = errors.New("the disk fails")
	ErrStopped  = errors.New("the server is stopping")
	ErrSilent   = errors.New("the disk does not answer") // in time, to this operation, which may be done yet
)

// VolumeState is how a volume is.
type VolumeState uint8

// The states.
const (
	Healthy  VolumeState = iota
	Slow                 // the oldest operation takes more than 2 s
	Failing              // three operations in a row have failed; one a second is still tried
	Degraded             // nothing has been done for 10 s though something was to be; one a second is still tried, while a worker is free
)

// String is the word for people and for metrics.
func (s VolumeState) String() string { return [...]string{"healthy", "slow", "failing", "degraded"}[s] }

// VolumeOptions are what a volume is made of.
type VolumeOptions struct {
	Name  string       // "data"
	Log   *slog.Logger // told when the state changes; nil: nobody is
	Board *watch.Board // on which the workers are noted; nil: nowhere
}

// Volume is what all operations on files of one disk go through, so that a disk that hangs, or fails, costs a few goroutines and a bounded
// queue, and nobody else waits for it. Operations begin in order, on four workers at most. An operation that hangs in the kernel cannot be
// called back: its worker is lost until it returns, and no other takes its place.
//
// Its methods may be called from any goroutine, Do, Call and Go before Run too; but only Run tells of changes.
type Volume struct {
	opt   VolumeOptions
	group *task.Group // of the workers, which Run waits for in its own way

	mu     sync.Mutex // guards what follows; memory only
	queue  []*job
	jobs   [workersMost]*job // by worker; nil: none is running
	busy   [workersMost]bool
	cells  [workersMost]*watch.Cell
	bytes  int64 // of the jobs that wait and run
	ended  time.Time
	trial  time.Time // when a job was let through although the volume is degraded or failing
	row    int       // failures in a row
	last   error     // the newest of them
	closed bool      // nothing more is taken
	gone   bool      // Run has ended: workers that hang are left behind
	counts Figures   // of what has happened only
}

// job is an operation. done is called once, with no lock held, on the worker or on the goroutine that drops the job.
type job struct {
	name  string
	bytes int64
	op    func() error
	done  func(error)
	begun time.Time // to run
}

// Figures is how a volume is, for metrics.
type Figures struct {
	Name    string
	State   VolumeState
	Ops     uint64        // that have ended, since the start
	Errors  uint64        // of them, those that the disk has failed
	Refused uint64        // that were not done: full, degraded, failing, or given up while they waited
	Waiting int           // in the queue
	Running int           // on workers, at most 4
	Bytes   int64         // that those hold
	Oldest  time.Duration // how long the one that runs longest has taken
	Op      string        // its name
}

// NewVolume returns a volume that is healthy. It starts nothing.
func NewVolume(o VolumeOptions) *Volume {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &Volume{opt: o}
	v.group, _ = task.NewGroup(context.Background())
	for i := range v.cells {
		v.cells[i] = o.Board.Claim(watch.Label{
			Class: watch.Volume, Name: fmt.Sprintf("%s %d", o.Name, i+1), Heal: func(watch.Finding) { v.giveUp() },
		})
	}
	return v
}

// Do has op done by a worker and waits for it, until ctx ends, and never for more than a minute. bytes is how much memory op holds. When
// ctx ends first the error is ctx's cause, or, for a deadline, ErrSilent: op is not begun any more, but if it was, it goes on, so
// it must not write to what the caller then uses; see [Call]. Other errors are op's, or why it was refused.
func (v *Volume) Do(ctx context.Context, bytes int64, name string, op func() error) error {
	ctx, cancel := context.WithTimeout(ctx, waitMost)
	defer cancel()
	if err := context.Cause(ctx); err != nil {
		return v.because(name, err)
	}
	outcome := make(chan error, 1)
	j := &job{name: name, bytes: max(0, bytes), op: op, done: func(err error) { outcome <- err }}
	if err := v.put(j); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		v.withdraw(j)
		return v.because(name, context.Cause(ctx))
	}
}

// because says why Do has ended with its context.
func (v *Volume) because(name string, cause error) error {
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = fmt.Errorf("%w: %w", ErrSilent, cause)
	}
	return v.wrap(name, cause)
}

// Call is [Volume.Do] for an operation that has a result. When it is given up on, that is the zero value.
func Call[T any](ctx context.Context, v *Volume, bytes int64, name string, op func() (T, error)) (T, error) {
	var got atomic.Pointer[T]
	err := v.Do(ctx, bytes, name, func() error {
		result, err := op()
		got.Store(&result)
		return err
	})
	if result := got.Load(); result != nil {
		return *result, err
	}
	var none T
	return none, err
}

// Go has op done by a worker and does not wait: it returns ErrFull, ErrDegraded, ErrFailing or ErrStopped at once when op is refused. done,
// if it is not nil, is told op's error later, or why it was given up while it waited; it must not wait.
func (v *Volume) Go(bytes int64, name string, op func() error, done func(error)) error {
	if done == nil {
		done = func(error) {}
	}
	return v.put(&job{name: name, bytes: max(0, bytes), op: op, done: done})
}

// Figures is how the volume is now. It never waits for the disk.
func (v *Volume) Figures() Figures {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	f := v.counts
	f.Name, f.State, f.Waiting, f.Bytes = v.opt.Name, v.state(now), len(v.queue), v.bytes
	for _, j := range v.jobs {
		if j != nil {
			f.Running++
		}
	}
	if j := v.oldest(); j != nil {
		f.Oldest, f.Op = now.Sub(j.begun), j.name
	}
	return f
}
