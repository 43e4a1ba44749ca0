package egress

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
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
	tcp       tcp // what sock is, or is built on, if it is of the network
	phase     phase
	idle      bool          // is paused
	waiting   bool          // stands among the shard's full
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
	defer s.recovered(l)
	if l.phase != playing {
		s.finish(l)
		return
	}
	for quota := walkBytes; quota > 0; {
		if l.viewer.Between() {
			if err := s.answer(l); err != nil {
				s.unsent(l, err)
				return
			}
			if l.obeyPause() {
				s.relieve(l)
				if cause := l.viewer.Ended(); cause != nil {
					s.part(l, cause, farewellTime)
				}
				return
			}
		}
		if err := l.viewer.Peek(&s.batch, batchBytes); err != nil {
			s.part(l, err, farewellTime)
			return
		}
		if len(s.batch.Bytes) == 0 {
			s.relieve(l)
			return
		}
		n, err := s.hand(l)
		if err != nil {
			s.unsent(l, err)
			return
		}
		if !s.batch.More && n == len(s.batch.Bytes) {
			s.relieve(l)
			return
		}
		quota -= n
	}
	s.later(l, 0) // others first
}

// hand sends the batch, or of a very large packet a piece.
func (s *shard) hand(l *Link) (int, error) {
	n, err := l.sock.send(s.batch.Bytes[:min(len(s.batch.Bytes), batchBytes)], &s.scratch)
	if n > 0 {
		l.backoff = 0 // it takes something
		if l.viewer.Advance(&s.batch, n) {
			l.fullSince = 0 // it gets on
		}
	}
	return n, err
}

// answer sends the session's replies.
func (s *shard) answer(l *Link) error {
	if len(l.replies) == 0 {
		return nil
	}
	n, err := l.sock.send(l.replies, &s.scratch)
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

// relieve has the link served with its group again.
func (s *shard) relieve(l *Link) { l.retryAt, l.fullSince, l.backoff = 0, 0, 0 }

// again serves a link whose socket was full. Looking before the viewer is asked spares one that is late the jumps that it
// could not make use of.
func (s *shard) again(l *Link) {
	defer s.recovered(l)
	ready, moved := l.sock.ready()
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
	defer s.recovered(l)
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
	n, err := l.sock.recv(s.scratch.in, &s.scratch)
	if n > 0 && l.phase == playing {
		switch end := l.session.Hear(s.scratch.in[:n]); {
		case errors.Is(end, ErrLeft):
			s.close(l, end)
			return
		case end != nil:
			s.part(l, end, dismissTime)
			return
		}
	}
	if err != nil && !errors.Is(err, errEmpty) {
		s.close(l, gone(err))
		return
	}
	if l.retryAt == 0 && l.phase == playing && (len(l.replies) > 0 || l.paused != l.idle) {
		s.serve(l)
	}
}

// part lets the link end: what has been begun is sent, and the session's last words.
func (s *shard) part(l *Link, cause error, limit time.Duration) {
	if l.phase != playing {
		return
	}
	s.quit(l)
	l.phase, l.cause, l.limit = parting, cause, s.now.add(limit)
	l.replies = append(l.replies, l.session.Farewell(cause)...)
	if l.retryAt == 0 {
		s.finish(l)
	}
}

// dismiss has a link part, from outside.
func (s *shard) dismiss(l *Link, cause error) {
	defer s.recovered(l)
	s.part(l, cause, dismissTime)
}

// finish sends what a parting link still gets, and then tells the peer that nothing more comes.
func (s *shard) finish(l *Link) {
	if l.phase != parting {
		return
	}
	for !l.viewer.Between() {
		if err := l.viewer.Peek(&s.batch, batchBytes); err != nil {
			s.close(l, err)
			return
		}
		if _, err := s.hand(l); err != nil {
			s.unsent(l, err)
			return
		}
	}
	err := s.answer(l)
	if err == nil {
		err = l.sock.closeWrite(&s.scratch)
	}
	if err != nil {
		s.unsent(l, err)
		return
	}
	s.relieve(l)
	l.phase, l.limit = lingering, s.now.add(lingerTime)
	s.report(l, l.cause)
}

// report tells the session of its end.
func (s *shard) report(l *Link, cause error) {
	s.egress.report(task.Guard("egress", func() error { l.session.Ended(cause); return nil }))
}

// close ends a link at once.
func (s *shard) close(l *Link, cause error) {
	before := l.phase
	if before == over {
		return
	}
	if before == playing {
		s.quit(l)
	}
	l.phase, l.retryAt = over, 0
	if l.index >= 0 {
		last := len(s.links) - 1
		s.links[l.index] = s.links[last]
		s.links[l.index].index = l.index
		s.links[last] = nil
		s.links = s.links[:last]
	}
	s.load.Add(-1)
	switch before {
	case playing:
		s.report(l, cause)
	case parting:
		s.report(l, l.cause)
	case lingering, over:
	}
	l.sock.close(before == parting || errors.Is(cause, ErrStalled) || errors.Is(cause, stream.ErrTooSlow))
	if l.shell != nil {
		_ = l.shell.Close() // nothing can be done about it
	}
}

// quit takes the link from its group.
func (s *shard) quit(l *Link) {
	g := l.group
	if l.place >= 0 {
		g.links[l.place] = nil
		g.left++
	}
	if s.egress.leave(l.viewer.Share(), g) && g.cancel != nil {
		g.cancel()
		g.cancel = nil
	}
}

// recovered ends a link whose session or muxer panicked. Defer it.
func (s *shard) recovered(l *Link) {
	if v := recover(); v != nil {
		p := &task.PanicError{Task: "egress", Value: v, Stack: debug.Stack()}
		s.egress.panicked(p)
		s.close(l, p)
	}
}
