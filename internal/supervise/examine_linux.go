package supervise

import (
	"context"
	"syscall"
	"time"
)

// examine judges the worker that serves.
func (s *Supervisor) examine(ctx context.Context, c *child, now time.Time) {
	sg := s.signsOf(c, now)
	if sg.traced {
		s.forgive(now)
		return
	}
	f := judge(sg)
	if f.what == "" {
		s.told = false
		return
	}
	if !s.told {
		s.told = true
		s.log.Warn("the worker is not well", "worker", c.number, "pid", c.pid(), "cause", f.what)
	}
	if f.evidence && now.Sub(s.evidence) >= bundleEvery {
		s.evidence = now
		_ = c.line.send(&message{Bundle: &bundle{Reason: f.what}}, -1) // one that is wedged does not hear it; its last words will do
	}
	switch {
	case !f.replace:
	case s.opt.DryRun:
		if !c.spared {
			c.spared = true
			s.log.Warn("the worker would be replaced, were this not a dry run", "worker", c.number, "cause", f.what)
		}
	default:
		if !s.replaced.spend(now) {
			s.beSafe(now)
		}
		s.replace(ctx, c, f.what, now)
	}
}

// signsOf gathers what there is to judge a worker by.
func (s *Supervisor) signsOf(c *child, now time.Time) signs {
	since := c.beatAt
	if since.Before(s.base) {
		since = s.base
	}
	sg := signs{
		serving: now.Sub(c.since), beatAge: max(0, now.Sub(since)), beat: c.beat,
		probed:  s.opt.Probe > 0 && s.probes.proven, // else it may fail for reasons of its own, such as a quota
		starved: s.opt.Starved != nil && s.opt.Starved(),
	}
	if sg.probed {
		sg.misses = s.probes.misses
	}
	if sg.beatAge > beatLate || sg.misses > 0 || sg.beat.DoomedAge > 0 {
		c.look(&sg, now)
	}
	return sg
}

// look asks the kernel about a worker that may not be well.
func (c *child) look(sg *signs, now time.Time) {
	p := processOf(c.pid())
	if p.cpu != c.cpu || p.state == 'R' || c.cpuAt.IsZero() {
		c.cpu, c.cpuAt = p.cpu, now
	}
	sg.state, sg.traced, sg.idle = p.state, p.traced, now.Sub(c.cpuAt) >= beatLost
}

// forgive lets what was missed while a debugger held the worker not count, when it lets go.
func (s *Supervisor) forgive(now time.Time) {
	s.base = now.Add(afterward)
	s.probes.misses = 0
}

// replace ends a worker that is wedged and starts another at once.
func (s *Supervisor) replace(ctx context.Context, c *child, why string, now time.Time) {
	c.phase, c.why, c.limit = condemned, why, now.Add(dumpTime)
	s.restarts++
	s.lastWhy = why
	s.again = now
	s.respawn(ctx)
	s.letGo(c)
	c.signal(syscall.SIGABRT) // the runtime writes all stacks to its standard error
	c.signal(syscall.SIGCONT) // in case it was stopped
	s.stands.begin(s.group, s.sockets.all(), s.standIn())
	s.log.Error("the worker is wedged: another is started", "worker", c.number, "pid", c.pid(), "cause", why)
}
