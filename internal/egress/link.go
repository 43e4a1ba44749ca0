package egress

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/wedge"
)

// phase is how far a shard's link has come:
//
//	playing --part--> parting --finish--> lingering
//	      any of them --close--> over     (the peer is gone or stalled, a limit has passed, something panicked)
//
// The session is told of its end on the way out of playing or parting, by finish or by close.
type phase uint8

const (
	playing   phase = iota
	parting         // what has been begun, and the last words, are being sent
	lingering       // the peer has been told that nothing more comes
	over
)

// berth is what a shard keeps of a link. Only the shard's goroutine touches it.
type berth struct {
	sock      socket
	detour    *detour // of the media; nil: they go by the socket
	tcp       tcp     // what sock is, or is built on, if it is of the network
	phase     phase
	idle      bool          // is paused
	waiting   bool          // stands among the shard's full
	told      bool          // the session has been told of the end, or is being told
	shut      bool          // the socket has been closed, or is being closed
	retryAt   instant       // when to try again; 0: it is served with its group
	fullSince instant       // since when the socket has been full without a packet's end having been sent; 0: it is not full
	backoff   time.Duration // between tries

	group *group
	index int32   // in the shard's links
	place int32   // in the group's
	limit instant // of parting and lingering
	cause error
}

// serve sends a link what there is, until that is enough for one turn or the socket is full.
func (s *shard) serve(l *Link) {
	p := s.pilot
	defer s.recovered(p, l)
	if l.phase != playing {
		s.finish(l)
		return
	}
	for quota := walkBytes; quota > 0; {
		if l.free() {
			if err := s.answer(l); err != nil {
				s.unsent(l, err)
				return
			}
		}
		if l.viewer.Between() && l.obeyPause() {
			s.calm(l)
			if cause := l.viewer.Ended(); cause != nil {
				s.part(l, cause, farewellTime)
			}
			return
		}
		p.away(l)
		n, over, err := p.pass(l)
		p.back(l)
		switch {
		case over != nil:
			s.part(l, over, farewellTime)
			return
		case err != nil:
			s.unsent(l, err)
			return
		case !p.batch.More && n == len(p.batch.Bytes):
			s.calm(l)
			return
		}
		quota -= n
	}
	s.later(l, 0) // others first
}

// pass hands the socket, or the lane, what the viewer is to be sent next. over is the viewer's end, or the lane's; err the socket's, or
// errFull. The pilot is away.
func (p *pilot) pass(l *Link) (n int, over, err error) {
	wedge.At(wedge.Shard)
	b := &p.batch
	if over = l.viewer.Peek(b, batchBytes); over != nil || len(b.Bytes) == 0 {
		return 0, over, nil
	}
	if l.detour == nil { // of a very large packet a piece
		n, err = l.sock.send(b.Bytes[:min(len(b.Bytes), batchBytes)], &p.scratch)
	} else if n, over = l.divert(b.Bytes); over == nil && n < len(b.Bytes) {
		err = errFull
	}
	if n > 0 {
		l.backoff = 0 // it takes something
		if l.viewer.Advance(b, n) {
			l.fullSince = 0 // it gets on
		}
	}
	return n, over, err
}

// answer sends the session's replies.
func (s *shard) answer(l *Link) error {
	if len(l.replies) == 0 {
		return nil
	}
	p := s.pilot
	p.away(l)
	n, err := l.sock.send(l.replies, &p.scratch)
	p.back(l)
	if l.replies = l.replies[n:]; len(l.replies) == 0 {
		l.replies = nil
	}
	return err
}

// obeyPause says whether the link is paused. One that no longer is goes on at the newest key unit.
func (l *Link) obeyPause() bool {
	if l.idle && !l.paused {
		l.viewer.Rejoin()
	}
	l.idle = l.paused
	return l.idle
}

// unsent sees to a link whose socket did not take all.
func (s *shard) unsent(l *Link, err error) {
	if !errors.Is(err, errFull) {
		s.close(l, gone(err))
		return
	}
	if l.fullSince == 0 {
		l.fullSince = s.now
	}
	if stall := s.egress.opt.StallTimeout; s.now >= l.fullSince.add(stall) {
		s.close(l, fmt.Errorf("%w for %v", ErrStalled, stall))
		return
	}
	l.backoff = min(max(2*l.backoff, retryFirst), retryLast)
	s.later(l, l.backoff)
}

// later has the link served by itself after a while.
func (s *shard) later(l *Link, after time.Duration) {
	l.retryAt = s.now.add(after)
	s.retryAt = min(s.retryAt, l.retryAt)
	if !l.waiting {
		l.waiting = true
		s.full = append(s.full, l)
	}
}

// calm has the link served with its group again.
func (s *shard) calm(l *Link) { l.retryAt, l.fullSince, l.backoff = 0, 0, 0 }

// again serves a link whose socket was full. Looking before the viewer is asked spares one that is late the jumps that it
// could not make use of.
func (s *shard) again(l *Link) {
	p := s.pilot
	defer s.recovered(p, l)
	p.away(l)
	ready, moved := l.sock.ready()
	p.back(l)
	if moved {
		l.backoff = 0
	}
	if !ready {
		s.unsent(l, errFull)
		return
	}
	l.retryAt = 0
	s.serve(l)
}

// look listens to the peer and sees whether the link is to end.
func (s *shard) look(l *Link) {
	defer s.recovered(s.pilot, l)
	switch l.phase {
	case playing:
		if l.ctx.Err() != nil {
			s.part(l, context.Cause(l.ctx), dismissTime)
			return
		}
		s.hear(l)
	case parting, lingering:
		if l.phase == parting && l.ctx.Err() != nil {
			l.limit = min(l.limit, s.now.add(dismissTime))
		}
		if s.now >= l.limit {
			s.close(l, l.cause)
			return
		}
		s.hear(l)
	case over:
	}
}

// hear hands what the peer has sent to the session, and serves the link if that has changed something. It reads once: one
// that talks without end does so at the pace of sweeps.
func (s *shard) hear(l *Link) {
	p, listens := s.pilot, l.phase == playing
	p.away(l)
	end, err := p.ask(l, listens)
	p.back(l)
	switch {
	case errors.Is(end, ErrLeft):
		s.close(l, end)
		return
	case end != nil:
		s.part(l, end, dismissTime)
		return
	case err != nil && !errors.Is(err, errEmpty):
		s.close(l, gone(err))
		return
	}
	if l.retryAt == 0 && l.phase == playing && (len(l.replies) > 0 || l.paused != l.idle) {
		s.serve(l)
	}
}

// ask takes what the peer has sent, for the session if that listens. end is the session's error, err the socket's. The pilot is away.
func (p *pilot) ask(l *Link, listens bool) (end, err error) {
	n, err := l.sock.recv(p.scratch.in, &p.scratch)
	if n > 0 && listens {
		end = l.session.Hear(p.scratch.in[:n])
	}
	return end, err
}

// part lets the link end: what has been begun is sent, and the session's last words.
func (s *shard) part(l *Link, cause error, limit time.Duration) {
	if l.phase != playing {
		return
	}
	l.phase, l.cause, l.limit = parting, cause, s.now.add(limit)
	p, cancel := s.pilot, s.quit(l)
	p.away(l)
	if cancel != nil {
		cancel()
	}
	words := l.session.Farewell(cause)
	p.back(l)
	l.replies = append(l.replies, words...)
	if l.retryAt == 0 {
		s.finish(l)
	}
}

// dismiss has a link part, from outside.
func (s *shard) dismiss(l *Link, cause error) {
	defer s.recovered(s.pilot, l)
	s.part(l, cause, dismissTime)
}

// finish sends what a parting link still gets, and then tells the peer that nothing more comes.
func (s *shard) finish(l *Link) {
	if l.phase != parting {
		return
	}
	p := s.pilot
	for !l.free() {
		p.away(l)
		_, over, err := p.pass(l)
		p.back(l)
		switch {
		case over != nil:
			s.close(l, over)
			return
		case err != nil:
			s.unsent(l, err)
			return
		}
	}
	err := s.answer(l)
	if err == nil {
		p.away(l)
		err = l.sock.closeWrite(&p.scratch)
		p.back(l)
	}
	if err != nil {
		s.unsent(l, err)
		return
	}
	s.calm(l)
	l.phase, l.limit = lingering, s.now.add(lingerTime)
	p.away(l)
	s.egress.tell(l, l.cause)
	p.back(l)
}

// release tells the session of its end, and closes the connection. What has been begun before is not done again.
func (e *Egress) release(l *Link, cause error, abort bool) {
	e.tell(l, cause)
	if !l.shut {
		l.shut = true
		l.sock.close(abort)
	}
	if shell := l.shell; shell != nil {
		l.shell = nil
		_ = shell.Close() // nothing can be done about it
	}
}

// close ends a link at once.
func (s *shard) close(l *Link, cause error) {
	before := l.phase
	if before == over {
		return
	}
	abort := before == parting || errors.Is(cause, ErrStalled) || errors.Is(cause, stream.ErrTooSlow)
	if before == parting {
		cause = l.cause
	}
	l.phase, l.retryAt = over, 0
	p, cancel := s.pilot, s.forget(l, before)
	p.away(l)
	if cancel != nil {
		cancel()
	}
	s.egress.release(l, cause, abort)
	p.back(l)
}

// forget takes the link from the shard. It returns what is to be called when the group has no subscription to keep, or nil.
func (s *shard) forget(l *Link, before phase) (cancel func()) {
	if before == playing {
		cancel = s.quit(l)
	}
	if l.index >= 0 {
		last := len(s.links) - 1
		s.links[l.index] = s.links[last]
		s.links[l.index].index = l.index
		s.links[last] = nil
		s.links = s.links[:last]
		l.index = -1
	}
	s.load.Add(-1)
	return cancel
}

// quit takes the link from its group. It returns what is to be called when the group has no subscription to keep, or nil.
func (s *shard) quit(l *Link) (cancel func()) {
	g := l.group
	if l.place >= 0 {
		g.links[l.place] = nil
		g.left++
		l.place = -1
	}
	if s.egress.leave(l.viewer.Share(), g) {
		cancel, g.cancel = g.cancel, nil
	}
	return cancel
}

// recovered ends a link whose session or muxer panicked. Defer it, with the pilot that serves the link.
func (s *shard) recovered(p *pilot, l *Link) {
	if v := recover(); v != nil {
		err := &task.PanicError{Task: "egress", Value: v, Stack: debug.Stack()}
		s.egress.panicked(err)
		p.rescued()
		s.close(l, err)
	}
}
