package egress

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// pilot is one goroutine's time at a shard. What is a link's alone (its session, its viewer with the muxer, its socket with TLS) is
// called "away": whatever hangs there hangs about that link. Then the shard is taken from the pilot, and another goes on without
// the link:
//
//	at the shard --away(l)--> away --back(l)--> at the shard
//	                            \--relieve----> deposed        (by the healer, who owns the shard until the next pilot runs)
//
// One that was deposed must not touch the shard any more. Should its call ever return, it closes the link and is gone. While away a
// pilot touches nothing but the link and what is its own: the memory that the call may still write to stays with it.
type pilot struct {
	shard *shard
	out   atomic.Pointer[Link] // the link that it is away for; nil: it is at the shard; &mark: it was deposed
	since atomic.Int64         // instant at which the step under way began, or was last seen to get on; 0: none is
	cell  *watch.Cell
	mark  Link // stands for nobody

	batch   stream.Batch
	scratch scratch
	undo    func() // ends the subscription that it has just made

	// Of one that was deposed, before cleared is closed.
	link    *Link  // that it hangs about
	cause   error  // why that ended
	cancel  func() // of the subscription that only that link had
	cleared chan struct{}
}

func newPilot(s *shard) *pilot {
	p := &pilot{shard: s, cleared: make(chan struct{})}
	p.scratch.in = make([]byte, inputBytes)
	return p
}

// away says that what follows is about the link alone.
func (p *pilot) away(l *Link) { p.out.Store(l) }

// back says that the pilot goes on with the shard. It does not return if that has been given to another.
func (p *pilot) back(l *Link) {
	if !p.out.CompareAndSwap(l, nil) {
		p.retire()
	}
}

// rescued is back for one that a panic has brought back, if it was away.
func (p *pilot) rescued() {
	switch l := p.out.Load(); l {
	case nil:
	case &p.mark:
		p.retire()
	default:
		p.back(l)
	}
}

func (p *pilot) deposed() bool { return p.out.Load() == &p.mark }

// begin notes that a step begins, or gets on.
func (p *pilot) begin(now instant) {
	p.shard.beat.Store(int64(now))
	p.since.Store(int64(now))
	p.cell.Begin()
}

// end notes that a step has ended.
func (p *pilot) end() {
	p.since.Store(0)
	p.cell.End()
}

// retire is the end of one that was deposed: the call that hung has returned.
func (p *pilot) retire() {
	<-p.cleared // soon: whoever has deposed it waits for this call at the most
	e := p.shard.egress
	e.report(task.Guard("egress", func() error {
		for _, cancel := range []func(){p.undo, p.cancel} {
			if cancel != nil {
				cancel()
			}
		}
		e.release(p.link, p.cause, true)
		return nil
	}))
	p.cell.Free()
	p.shard.lost.Add(-1)
	e.lost.Add(-1)
	runtime.Goexit()
}

// enlist makes a pilot the shard's. Only the owner of the shard may.
func (s *shard) enlist(ctx context.Context) *pilot {
	p := newPilot(s)
	p.cell = s.egress.cells.Claim(watch.Label{
		Class: watch.Shard, Name: "shard " + strconv.Itoa(s.number),
		Heal: func(watch.Finding) { s.relieve(ctx, p) },
	})
	s.pilot = p
	return p
}

// man starts the pilot. One that was deposed does not send what the shard has ended with: its successor does.
func (s *shard) man(ctx context.Context, p *pilot) {
	e := s.egress
	err := e.pilots.Go(ctx, "egress shard", func(ctx context.Context) {
		e.over <- task.Guard("egress shard", func() error { return s.run(ctx, p) })
	})
	if err != nil { // the pool has no bound
		e.over <- err
	}
}

// relieve gives the shard to another goroutine, without the link that p hangs about. It may be called by any goroutine, at any time.
//
// A pilot may be away for so long without fault of the link, because others had the processors: then one viewer is lost, who may
// come again. Where p hangs at the shard itself nothing can be done, because nobody knows what it may still write to; nor
// when too many hang already. Then the shard stays stuck, which is a reason to replace the process.
func (s *shard) relieve(ctx context.Context, p *pilot) {
	e, now := s.egress, s.egress.now()
	since, l := instant(p.since.Load()), p.out.Load()
	age := time.Duration(now - since)
	switch {
	case since == 0 || age < hangLeast || l == &p.mark:
		return // it has gone on meanwhile, or it was deposed before
	case l == nil:
		e.log.Error("a shard hangs, and nothing can be done about it: it hangs in its own code", "shard", s.number, "for", age)
		return
	case e.lost.Add(1) > deposedMost:
		e.lost.Add(-1)
		e.log.Error("a viewer's session hangs, and too many do already", "shard", s.number, "for", age)
		return
	case !p.out.CompareAndSwap(l, &p.mark):
		e.lost.Add(-1)
		return
	}
	s.lost.Add(1) // the shard is this goroutine's now
	p.cell.Abandon()
	next := s.enlist(ctx)
	next.begin(now) // if what follows failed, that would be noticed
	open := s.forsake(p, l, now)
	s.man(ctx, next)
	e.log.Warn("a viewer's session hangs: another goroutine goes on without it", "shard", s.number, "for", age,
		"session", fmt.Sprintf("%T", l.session))
	if open {
		l.sock.cut() // at last, because it may have to wait for the call that hangs
	}
	close(p.cleared)
}

// forsake takes the link that p hangs about from the shard, and makes whole what p may have been in the middle of. Neither the link's
// session nor its socket is touched. It says whether the socket is open for sure: one that is being closed must be left alone, since its
// number may be another's already.
func (s *shard) forsake(p *pilot, l *Link, now instant) (open bool) {
	p.link, p.cause = l, ErrHung
	before := l.phase
	if before != over {
		if before == parting {
			p.cause = l.cause
		}
		l.phase, l.retryAt = over, 0
		p.cancel = s.forget(l, before)
	}
	s.grant(time.Duration(now - s.now)) // nobody was sent anything
	s.now = now
	s.full = nil // it may have been half gone through
	for _, l := range s.links {
		if l.waiting = l.retryAt != 0; l.waiting {
			s.full = append(s.full, l)
		}
	}
	clear(s.dues)
	for _, g := range s.groups { // any of them may have been
		g.pace.note(now, true)
	}
	s.scanAt, s.retryAt = now, now
	s.lull(false)
	return before != over
}

// await waits for the shards' ends, of which the first failure ends the others.
func (e *Egress) await(ctx context.Context, cancel context.CancelCauseFunc) (err error) {
	ended := ctx.Done()
	for left := len(e.shards); left > 0; {
		select {
		case <-ended:
			e.end(context.Cause(ctx))
			ended = nil
		case failed := <-e.over:
			left--
			if failed != nil && err == nil {
				err = failed
				cancel(err)
			}
		}
	}
	return err
}

// abandon waits for the pilots that were deposed, though not for ever.
func (e *Egress) abandon() {
	tick := time.NewTicker(dismissTime / abandonTries)
	defer tick.Stop()
	for range abandonTries {
		if e.lost.Load() == 0 {
			e.pilots.Wait()
			return
		}
		<-tick.C
	}
	e.log.Warn("sessions hang for good: their goroutines are left behind", "sessions", e.lost.Load())
}

const (
	deposedMost  = 16                     // pilots at a time that hang somewhere: more say that it is not a session's fault
	hangLeast    = 250 * time.Millisecond // less says that the pilot has gone on since it was found
	abandonTries = 50
)
