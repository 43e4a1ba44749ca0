package supervise

import (
	"fmt"
	"time"
)

const (
	healthEvery = time.Second      // a worker is told of the state of health
	absentMost  = 45 * time.Second // for a worker to be replaced: startMost, and a little for the next
)

// tell publishes the state of health.
func (s *Supervisor) tell(now time.Time) {
	h := s.describe(now)
	s.state.Store(h)
	if h.Live.OK && now.Sub(s.watchdog) >= healthEvery {
		s.watchdog = now
		s.notify("WATCHDOG=1")
	}
	if now.Sub(s.informed) < healthEvery {
		return
	}
	s.informed = now
	for _, c := range s.workers {
		if c.phase == serving {
			_ = c.line.send(&message{Health: h}, -1) // one that is wedged does not hear it
		}
	}
}

// describe is the state of health.
func (s *Supervisor) describe(now time.Time) *Health {
	h := &Health{
		Live: okay(), Ready: okay(), Started: okay(), Overload: okay(), Safe: s.safe, Restarts: s.restarts, LastWhy: s.lastWhy, made: now,
		ProbeMisses: s.probes.misses, Latency: float64(s.probes.latency.Microseconds()) / 1000,
	}
	if !s.probes.okAt.IsZero() {
		h.ProbeAge = now.Sub(s.probes.okAt).Seconds()
	}
	h.Probe = s.probeWord()
	if !s.ready1 {
		h.Started = wrong("no worker has been ready yet")
	}
	c := s.present()
	if c == nil {
		h.Ready = wrong("no worker serves")
		switch away := s.away(now); {
		case s.safe:
			h.Live = wrong("workers die again and again")
		case away > absentMost && !s.done:
			h.Live = wrong(fmt.Sprintf("no worker has served for %v", away.Round(time.Second)))
		}
		return h
	}
	h.Safe = c.safe
	h.Worker, h.PID, h.Since = c.number, c.pid(), c.since
	h.Stuck, h.StuckAge = c.beat.Worst, c.beat.WorstAge.Seconds()
	s.judgeHealth(h, c, now)
	return h
}

// away is for how long no worker has served, pauses not counted.
func (s *Supervisor) away(now time.Time) time.Duration {
	if s.absent.IsZero() || !s.ready1 {
		return 0
	}
	return max(0, min(now.Sub(s.absent), now.Sub(s.base)))
}

// probeWord says what the probe has found.
func (s *Supervisor) probeWord() string {
	p := &s.probes
	switch {
	case s.opt.Probe <= 0:
		return "off"
	case !p.any:
		return "pending"
	case p.last.OK:
		return "ok"
	}
	return fmt.Sprintf("%s: %v", p.last.Stage, p.last.Err)
}

// judgeHealth says of a worker that serves whether it is live, ready, overloaded.
func (s *Supervisor) judgeHealth(h *Health, c *child, now time.Time) {
	late := now.Sub(c.beatAt)
	h.BeatAge = late.Seconds()
	late = min(late, max(0, now.Sub(s.base)))
	if late > 3*beatLost { // or else it is being looked at, or replaced
		h.Live = wrong(fmt.Sprintf("no heartbeat of the worker for %v", late.Round(time.Second)))
	}
	switch {
	case s.done:
		h.Ready = wrong("shutting down")
	case c.safe:
		h.Ready = wrong("safe mode: no media are let in")
	case late > beatLate:
		h.Ready = wrong(fmt.Sprintf("no heartbeat of the worker for %v", late.Round(time.Second)))
	case c.beat.Scan > 0 && !c.beat.Open: // before its first heartbeat, all is as it was
		h.Ready = wrong("newcomers are not let in")
	case s.opt.Probe > 0 && s.probes.misses > 0 && now.Sub(s.probes.okAt) > probeFresh:
		h.Ready = wrong("the probe fails: " + h.Probe)
	case s.opt.Probe > 0 && !s.probes.any:
		h.Ready = wrong("the first probe is under way")
	}
	if c.beat.Overloaded {
		h.Overload = wrong("load is being shed")
	}
}
