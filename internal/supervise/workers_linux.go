package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"
)

// spawn starts a worker, which is the one that is coming until it is ready.
func (s *Supervisor) spawn(ctx context.Context, why string) error {
	if s.waits.Len() >= waitsMost {
		return errors.New("too many workers cannot be ended")
	}
	s.number++
	h := &hello{Number: s.number, Token: s.token, Why: why, Planned: s.present() != nil, Safe: s.safe}
	if s.health != nil {
		h.Health = s.health.address()
	}
	c, err := s.startAny(ctx, h)
	if err != nil {
		return err
	}
	c.limit = c.begun.Add(s.startMost)
	s.workers = append(s.workers, c)
	s.group.Go("worker line", func(ctx context.Context) error {
		defer close(c.heard)
		s.listen(ctx, c)
		return nil
	})
	s.group.Go("worker beats", func(ctx context.Context) error { s.feel(ctx, c); return nil })
	return s.waits.Go(ctx, "worker wait", func(ctx context.Context) { // not the group's: one that is stuck in the kernel never ends
		e := c.wait()
		c.hearOut()
		s.do(ctx, func() { s.ended(ctx, c, e) })
	})
}

// startAny starts a worker of the program that is in the place of this one. If that cannot be started, as when it has been copied in part,
// or ended before it was ready, it is of this one, which could: but not where the present worker goes on anyway, and somebody waits to be
// told what is wrong.
func (s *Supervisor) startAny(ctx context.Context, h *hello) (*child, error) {
	program := s.opt.program()
	if s.own && !h.Planned {
		program = ownProgram
	}
	c, err := s.opt.start(ctx, program, s.number, h)
	if err == nil || h.Planned || program == ownProgram {
		return c, err
	}
	s.log.Error("the program cannot be started: the one that the supervisor runs is", "program", program, "cause", err)
	return s.opt.start(ctx, ownProgram, s.number, h)
}

// listen hears a worker.
func (s *Supervisor) listen(ctx context.Context, c *child) {
	buf := make([]byte, messageMost)
	for {
		m, f, err := c.line.receive(buf)
		if err != nil {
			return // it has ended, or soon will
		}
		switch {
		case m.Listen != nil:
			s.open(ctx, c, m.Listen)
		case m.Ready != nil:
			s.do(ctx, func() { s.isReady(c, m.Ready) })
		case m.Replace:
			s.do(ctx, func() {
				if c == s.present() {
					s.plan(s.runCtx, "asked through the API", make(chan error, 1)) // whether it worked shows
				}
			})
		case m.Said != nil:
			s.do(ctx, func() { c.failed = m.Said })
		case m.Bundle != nil && f != nil:
			s.keep(ctx, c, m.Bundle, contents(f, evidenceMost))
		}
		closeFile(f)
	}
}

// open opens a socket for a worker. It may wait: the worker's own goroutine does it.
func (s *Supervisor) open(ctx context.Context, c *child, l *listen) {
	p := place{l.Name, l.Address}
	reply := &message{Listen: &listen{ID: l.ID}}
	so, err := s.sockets.get(ctx, p)
	if err != nil {
		reply.Listen.Error = listenError(err) + s.sockets.inTheWay(p)
		_ = c.line.send(reply, -1) // it waits for a while, then gives up
		return
	}
	s.do(ctx, func() { c.claimed[p] = true })
	if err := so.give(c.line, reply); err != nil {
		s.log.Warn("cannot hand a socket over", "name", l.Name, "address", l.Address, "cause", err)
	}
}

// feel takes a worker's heartbeats.
func (s *Supervisor) feel(ctx context.Context, c *child) {
	var b [beatBytes]byte
	for {
		if _, err := io.ReadFull(c.beats, b[:]); err != nil {
			return // it has ended
		}
		decoded, at := decodeBeat(&b), time.Now()
		if !s.do(ctx, func() { c.beat, c.beatAt = decoded, at }) {
			return
		}
	}
}

// present is the worker that serves; nil if there is none.
func (s *Supervisor) present() *child { return s.inPhase(serving) }

// coming is the worker that has been started and is not ready yet; nil if there is none.
func (s *Supervisor) coming() *child { return s.inPhase(starting) }

func (s *Supervisor) inPhase(p phase) *child {
	for _, c := range s.workers {
		if c.phase == p {
			return c
		}
	}
	return nil
}

// isReady has a worker serve, and the one before it retire. One that serves says so again when its secret has changed.
func (s *Supervisor) isReady(c *child, r *ready) {
	if c.phase == serving {
		s.secret.Store(&r.Secret)
		c.answer(nil)
	}
	if c.phase != starting {
		return
	}
	before, now := s.present(), time.Now()
	c.phase, c.since, c.limit = serving, now, time.Time{}
	s.absent = time.Time{}
	s.stands.close()
	s.secret.Store(&r.Secret)
	if before != nil {
		s.retire(before, now)
	}
	s.held = c.claimed
	s.sockets.keep(s.held)
	if s.ready1 {
		s.log.Info("a new worker serves", "worker", c.number, "pid", c.pid(), "took", now.Sub(c.begun).Round(time.Millisecond), "cause", c.why)
	} else {
		s.ready1 = true
		s.notify("READY=1")
	}
	s.probes.begin(before != nil)
	s.informed = time.Time{} // the new one is to know at once: it has nothing to answer /readyz from
	s.tell(now)              // before anybody learns of it
	c.answer(nil)
}

// retire has a worker let its sessions run out, because another serves.
func (s *Supervisor) retire(c *child, now time.Time) {
	c.phase, c.limit = retiring, now.Add(retireMost)
	if err := c.line.send(&message{Retire: true}, -1); err != nil {
		c.limit = now.Add(stopMost)
		c.signal(syscall.SIGTERM)
	}
}

// ended sees to a worker that has ended, or that cannot be ended and is left behind.
func (s *Supervisor) ended(ctx context.Context, c *child, e exit) {
	if c.phase == gone { // it had been left behind
		delete(s.left, c.pid())
		return
	}
	was := c.phase
	c.phase = gone
	s.workers = slices.DeleteFunc(s.workers, func(o *child) bool { return o == c })
	last := written(c.last, lastWordsMost)
	c.close()
	if was != condemned { // else it is all its stacks, which evidence keeps
		s.passOn(ctx, last)
	}
	switch {
	case s.done:
		s.endedInOrder(c, was, e)
	case was == condemned: // another has been started already
		s.testify(ctx, c.why, last, c.pid())
	case was == retiring:
		s.log.Info("the old worker has ended", "worker", c.number, "cause", e)
	case !s.ready1:
		s.exit = c.startError(e)
		s.stop()
	case c.planned != nil:
		s.log.Error("the new worker cannot serve: nothing is changed", "worker", c.number, "cause", c.startError(e))
		c.answer(fmt.Errorf("the new worker cannot serve, nothing is changed: %w", c.startError(e)))
		s.sockets.keep(s.held)
	default:
		s.bury(ctx, c, e, last)
	}
}

// endedInOrder notes how a worker has ended while all are to end.
func (s *Supervisor) endedInOrder(c *child, was phase, e exit) {
	sound := e.code == 0 || e.signal == syscall.SIGTERM || was == condemned // it had been told so before it could know better
	if !sound && s.exit == nil {
		s.exit = &ExitError{max(1, e.code), fmt.Sprintf("worker %d ended with %v", c.number, e)}
	}
}

// startError is why a worker that has ended was never ready.
func (c *child) startError(e exit) *ExitError {
	if c.failed != nil {
		return &ExitError{c.failed.Code, c.failed.Failed}
	}
	return &ExitError{max(1, e.code), "the worker ended with " + e.String() + " before it could serve"}
}

// bury sees to a worker that has died unexpectedly.
func (s *Supervisor) bury(ctx context.Context, c *child, e exit, last []byte) {
	now, why := time.Now(), "the worker ended with "+e.String()
	if c.failed != nil {
		why = "the worker could not start: " + c.failed.Failed
	}
	s.own = c.since.IsZero() && c.program != ownProgram // in turns, if none of both gets so far as to be ready
	after := now.Sub(c.begun).Round(time.Millisecond)
	s.log.Error("the worker has died: another is started", "worker", c.number, "pid", c.pid(), "after", after, "cause", why)
	if c.failed == nil || len(last) > 0 { // it has said all, and its evidence would take the place of another's
		s.testify(ctx, why, last, c.pid())
	}
	if sound := !c.since.IsZero() && now.Sub(c.since) >= soundTime; !sound && !s.died.spend(now) {
		s.beSafe(now)
	}
	s.restarts++
	s.lastWhy = why
	s.stands.begin(s.group, s.sockets.all(), s.standIn())
	s.again = now.Add(s.backoff(now))
	s.respawn(ctx)
}

// backoff is how long the next worker has to wait: the longer, the more have died of late.
func (s *Supervisor) backoff(now time.Time) time.Duration {
	n := s.died.spent(now)
	if n < 2 {
		return 0
	}
	return min(backoffMost, backoffLeast<<min(n-2, 8))
}

// beSafe has workers serve no media from now on, for a while.
func (s *Supervisor) beSafe(now time.Time) {
	if !s.safe {
		s.log.Error("workers die again and again: safe mode, in which no media are let in", "until", now.Add(safeTime).Format(time.TimeOnly))
	}
	s.safe, s.safeAt = true, now
}

// respawn starts a worker if there is none and it is time for one.
func (s *Supervisor) respawn(ctx context.Context) {
	if s.done || s.present() != nil || s.coming() != nil || time.Now().Before(s.again) {
		return
	}
	if err := s.spawn(ctx, s.lastWhy); err != nil {
		s.log.Error("cannot start a worker", "cause", err)
		s.again = time.Now().Add(time.Second)
	}
}

// hasten sees that a worker does what it does within its limit.
func (s *Supervisor) hasten(ctx context.Context, c *child, now time.Time) {
	if c.limit.IsZero() || now.Before(c.limit) {
		return
	}
	if c.killed {
		s.leaveBehind(ctx, c)
		return
	}
	if c.phase == starting && c.failed == nil {
		c.failed = &said{Failed: fmt.Sprintf("it was not ready within %v", s.startMost), Code: 1}
	}
	if c.phase != condemned { // whose end has been told of
		s.log.Warn("a worker takes too long: it is killed", "worker", c.number, "pid", c.pid(), "doing", c.phase.String())
	}
	s.kill(c, now)
}

func (s *Supervisor) kill(c *child, now time.Time) {
	if !c.killed {
		s.letGo(c)
		c.killed, c.limit = true, now.Add(killTime)
	}
	c.signal(syscall.SIGKILL)
}

// letGo shuts down the connections of a worker that is about to be killed and will not end.
func (s *Supervisor) letGo(c *child) {
	if hangsInKernel(c.pid()) {
		n := cutConnections(c.pid())
		s.log.Warn("a worker hangs in the kernel: its connections are cut", "worker", c.number, "pid", c.pid(), "connections", n)
	}
}

// leaveBehind goes on without a worker that hangs in the kernel, and has been killed in vain.
func (s *Supervisor) leaveBehind(ctx context.Context, c *child) {
	n := cutConnections(c.pid())
	s.log.Error("a worker cannot be ended: its connections are cut, and it is left behind", "worker", c.number, "pid", c.pid(),
		"connections", n)
	s.left[c.pid()] = true
	s.ended(ctx, c, exit{code: -1, signal: syscall.SIGKILL})
}

// isWorker says whether a process is one whose end somebody waits for.
func (s *Supervisor) isWorker(pid int) bool {
	return s.left[pid] || slices.ContainsFunc(s.workers, func(c *child) bool { return c.pid() == pid })
}

// plan replaces a worker that is well. reply, which has room for one, is told when the new one serves, or why not.
func (s *Supervisor) plan(ctx context.Context, why string, reply chan<- error) {
	switch {
	case s.done:
		reply <- errEnding
	case s.present() == nil || s.coming() != nil:
		reply <- errors.New("a worker is being started already")
	default:
		s.safe = false // the present one goes on in it, until this one is ready
		if err := s.spawn(ctx, why); err != nil {
			s.log.Error("cannot start a worker", "cause", err)
			reply <- err
			return
		}
		s.coming().planned = reply
		s.log.Info("a new worker is started to take over", "worker", s.number, "cause", why)
	}
}

var errEnding = errors.New("the server is shutting down")

// schedule replaces workers that have served for long enough.
func (s *Supervisor) schedule(ctx context.Context, now time.Time) {
	c := s.present()
	if c == nil || s.coming() != nil || s.done || now.Before(s.planned) {
		return
	}
	var why string
	switch {
	case c.safe && now.Sub(s.safeAt) > safeTime:
		why = "safe mode is over"
	case s.opt.Recycle > 0 && now.Sub(c.since) > s.opt.Recycle:
		why = "watch.recycle"
	default:
		return
	}
	s.planned = now.Add(plannedEvery)
	s.plan(ctx, why, make(chan error, 1)) // the log has it if it fails
}
