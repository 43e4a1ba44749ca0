package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// Run tells of changes of the volume's state until ctx ends, and then waits for the operations that wait and run, for StopTime at most. It
// returns an error that names those that hang: their goroutines are left behind. Run may be called once.
func (v *Volume) Run(ctx context.Context) error {
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	told := news{state: Healthy, since: time.Now()}
	for {
		select {
		case <-t.C:
			v.giveUp()
			told = v.report(told)
		case <-ctx.Done():
			return v.stop(t)
		}
	}
}

// news is what the log knows of a volume.
type news struct {
	state   VolumeState
	since   time.Time // when it was last seen to be healthy
	refused uint64    // operations, by then
}

// report logs the state if that is another than the log knows of.
func (v *Volume) report(told news) news {
	f := v.Figures()
	if f.State == told.state {
		if f.State == Healthy {
			told.since, told.refused = time.Now(), f.Refused
		}
		return told
	}
	log := v.opt.Log.With("volume", f.Name)
	switch f.State {
	case Healthy:
		log.Info("the disk works again", "after", time.Since(told.since).Round(time.Millisecond), "refused", f.Refused-told.refused)
	case Slow:
		log.Warn("the disk is slow", "op", f.Op, "takes", f.Oldest.Round(time.Millisecond))
	case Failing:
		log.Error("the disk fails: what is to be written is dropped", "cause", v.failure())
	case Degraded:
		log.Error("the disk does not answer: what is to be written is dropped", "op", f.Op, "takes", f.Oldest.Round(time.Millisecond))
	}
	told.state = f.State
	if f.State == Healthy {
		told.since, told.refused = time.Now(), f.Refused
	}
	return told
}

// failure is the newest error of the disk.
func (v *Volume) failure() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

// stop is the end of Run.
func (v *Volume) stop(poll *time.Ticker) error {
	poll.Reset(10 * time.Millisecond)
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	limit := time.NewTimer(StopTime)
	defer limit.Stop()
	for f := v.Figures(); f.Waiting+f.Running > 0; f = v.Figures() {
		select {
		case <-poll.C:
			continue
		case <-limit.C:
		}
		break
	}
	return v.leave()
}

// leave drops what waits, gives back the cells, and says what hangs.
func (v *Volume) leave() error {
	var hang []string
	var free []*watch.Cell
	v.mu.Lock()
	v.gone = true
	dropped := v.clear()
	for i, j := range v.jobs {
		if j == nil {
			free = append(free, v.cells[i])
		} else {
			v.cells[i].Abandon() // its worker frees it, should it ever go on
			hang = append(hang, j.name)
		}
	}
	v.mu.Unlock()
	for _, c := range free {
		c.Free()
	}
	v.drop(dropped, ErrStopped)
	if len(hang) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: left behind: %s", v.opt.Name, ErrSilent, strings.Join(hang, ", "))
}

// giveUp drops what waits for a disk that does not answer.
func (v *Volume) giveUp() {
	v.mu.Lock()
	var dropped []*job
	if v.state(time.Now()) == Degraded {
		dropped = v.clear()
	}
	v.mu.Unlock()
	v.drop(dropped, ErrDegraded)
}

// isFailure says whether an error is the disk's fault, and not of the name or the contents.
func isFailure(err error) bool {
	if _, exposed := errors.AsType[*ExposedError](err); exposed {
		return false
	}
	if _, panicked := errors.AsType[*task.PanicError](err); panicked {
		return false
	}
	for _, ours := range []error{
		fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, ErrTooLarge,
		syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.EILSEQ,
	} {
		if errors.Is(err, ours) {
			return false
		}
	}
	return true
}

// state judges the volume.
func (v *Volume) state(now time.Time) VolumeState {
	age := time.Duration(0)
	if j := v.oldest(); j != nil {
		age = now.Sub(j.begun)
	}
	switch {
	case age > degradedAfter && now.Sub(v.ended) > degradedAfter:
		return Degraded
	case v.row >= failuresMost:
		return Failing
	case age > slowAfter:
		return Slow
	}
	return Healthy
}

// oldest is the job that runs longest.
func (v *Volume) oldest() (oldest *job) {
	for _, j := range v.jobs {
		if j != nil && (oldest == nil || j.begun.Before(oldest.begun)) {
			oldest = j
		}
	}
	return oldest
}
