package supervise

import "context"

// evidenceMost bounds what a worker may hand over, and lastWordsMost what it may write to its standard error; bytes.
const (
	evidenceMost  = 24 << 20
	lastWordsMost = 8 << 20
	shownMost     = 256 << 10 // of its last words
)

// askEvidence asks the present worker for evidence, for a person.
func (s *Supervisor) askEvidence(reason string) bool {
	c := s.present()
	if c == nil || c.line.send(&message{Bundle: &bundle{Reason: reason, Asked: true}}, -1) != nil {
		s.log.Warn("no worker takes the request for evidence", "reason", reason)
		return false
	}
	return true
}

// keep keeps what a worker has gathered, and tells it where, or why not.
func (s *Supervisor) keep(ctx context.Context, c *child, b *bundle, data []byte) {
	s.side(ctx, "keep evidence", func(ctx context.Context) {
		reply := &bundle{ID: b.ID}
		path, err := s.opt.Keep(ctx, b.Reason, b.Asked, data)
		if err != nil {
			reply.Error = err.Error()
		}
		reply.Path = path
		if c.line.send(&message{Bundle: reply}, -1) != nil { // it has ended: else it says so itself
			s.log.Info("kept evidence of a worker that has ended", "worker", c.number, "reason", b.Reason, "file", path, "cause", err)
		}
	})
}

// testify keeps what is left of a worker as evidence. pid is looked at if it was left behind.
func (s *Supervisor) testify(ctx context.Context, why string, last []byte, pid int) {
	if s.opt.Compose == nil {
		return
	}
	if !s.left[pid] {
		pid = 0
	}
	s.side(ctx, "keep evidence", func(ctx context.Context) {
		data, err := s.opt.Compose(why, last, pid)
		path := ""
		if err == nil {
			path, err = s.opt.Keep(ctx, "worker", true, data)
		}
		if err != nil {
			s.log.Warn("evidence could not be kept", "reason", why, "cause", err)
			return
		}
		s.log.Info("kept evidence", "reason", why, "file", path)
	})
}

// passOn lets people read what a worker wrote to its standard error: races, panics. What is kept may be more.
func (s *Supervisor) passOn(ctx context.Context, last []byte) {
	if last = last[:min(len(last), shownMost)]; len(last) > 0 && s.opt.Console != nil {
		console := s.opt.Console
		s.side(ctx, "last words", func(context.Context) { _, _ = console.Write(last) }) // nobody may read it
	}
}

// side does what may hang, and outlives the loop: Run does not wait for it for long.
func (s *Supervisor) side(ctx context.Context, name string, fn func(ctx context.Context)) {
	if s.sides.Go(context.WithoutCancel(ctx), name, fn) != nil {
		s.log.Warn("too much hangs already", "task", name)
	}
}
