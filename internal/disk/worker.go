package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// put queues a job, or refuses it.
func (v *Volume) put(j *job) error {
	v.mu.Lock()
	dropped, err := v.admit(j, time.Now())
	worker := -1
	if err != nil {
		v.counts.Refused++
	} else {
		worker = v.idle()
	}
	v.mu.Unlock()
	v.drop(dropped, ErrDegraded)
	if err != nil {
		return v.wrap(j.name, err)
	}
	if worker >= 0 {
		v.group.Go("disk "+v.opt.Name, func(context.Context) error { v.work(worker); return nil })
	}
	return nil
}

// admit queues a job if there is room and the disk is well enough, or else says why not. What is dropped is what can wait no longer.
func (v *Volume) admit(j *job, now time.Time) (dropped []*job, err error) {
	state := v.state(now)
	switch {
	case v.closed:
		return nil, ErrStopped
	case state == Degraded:
		dropped = v.clear()
		err = ErrDegraded
	case state == Failing:
		err = fmt.Errorf("%w: %w", ErrFailing, v.last)
	}
	if err != nil && (v.spare() == 0 || !v.trial.IsZero() && now.Sub(v.trial) < trialEvery) {
		return dropped, err
	}
	if len(v.queue) >= queueItems || v.bytes+j.bytes > queueBytes {
		return dropped, ErrFull
	}
	if err != nil {
		v.trial = now
	}
	v.queue = append(v.queue, j)
	v.bytes += j.bytes
	return dropped, nil
}

// spare is how many workers have nothing to do and nothing waiting for them.
func (v *Volume) spare() int {
	n := -len(v.queue)
	for _, j := range v.jobs {
		if j == nil {
			n++
		}
	}
	return max(0, n)
}

// idle takes a worker that has to be started, or -1.
func (v *Volume) idle() int {
	for i, busy := range v.busy {
		if !busy {
			v.busy[i] = true
			return i
		}
	}
	return -1
}

// work is a worker: it does what waits, and ends when nothing does.
func (v *Volume) work(i int) {
	for {
		j := v.take(i)
		if j == nil {
			return
		}
		cell := v.cells[i]
		cell.Begin()
		err := task.Guard("disk "+j.name, j.op)
		cell.End()
		if v.finish(i, err) {
			cell.Free()
		}
		if p, ok := errors.AsType[*task.PanicError](err); ok {
			v.opt.Log.Error("panic in an operation of the disk", "volume", v.opt.Name, "op", j.name, "cause", p, "stack", string(p.Stack))
		}
		j.tell(err)
	}
}

// take begins the first job that waits, on worker i; without one the worker ends.
func (v *Volume) take(i int) *job {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) == 0 {
		v.busy[i] = false
		return nil
	}
	j := v.queue[0]
	v.queue[0] = nil
	v.queue = v.queue[1:]
	j.begun = time.Now()
	v.jobs[i] = j
	return j
}

// finish notes that the job of worker i has ended. It says whether the worker was left behind: then nobody else frees its cell.
func (v *Volume) finish(i int, err error) (left bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bytes -= v.jobs[i].bytes
	v.jobs[i] = nil
	v.ended = time.Now()
	v.counts.Ops++
	switch {
	case err == nil:
		v.row, v.last, v.trial = 0, nil, time.Time{}
	case isFailure(err):
		v.counts.Errors++
		v.row++
		v.last = err
	}
	return v.gone
}

// withdraw takes a job out of the queue, if it is still there.
func (v *Volume) withdraw(j *job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, other := range v.queue {
		if other == j {
			v.queue = append(v.queue[:i:i], v.queue[i+1:]...)
			v.bytes -= j.bytes
			v.counts.Refused++
			return
		}
	}
}

// clear empties the queue and returns what was in it.
func (v *Volume) clear() []*job {
	dropped := v.queue
	v.queue = nil
	for _, j := range dropped {
		v.bytes -= j.bytes
	}
	v.counts.Refused += uint64(len(dropped))
	return dropped
}

// drop tells jobs that they will not be done.
func (v *Volume) drop(jobs []*job, why error) {
	for _, j := range jobs {
		j.tell(v.wrap(j.name, why))
	}
}

// tell tells the job's owner how it has ended. That a panic there is nobody else's business is all that becomes of it.
func (j *job) tell(err error) {
	_ = task.Guard("disk "+j.name, func() error { j.done(err); return nil })
}

// wrap says in an error which operation on which volume it is of.
func (v *Volume) wrap(name string, err error) error {
	return fmt.Errorf("%s: %s: %w", v.opt.Name, name, err)
}
