package supervise

import (
	"context"
	"net"
	"time"

	"github.com/vigil-media/vigil/internal/probe"
)

// probeApp is the application under which the probe publishes: nobody else may.
const probeApp = "__probe"

// probes is what the probe has found.
type probes struct {
	misses  int // in a row
	last    probe.Result
	okAt    time.Time // when it last succeeded
	latency time.Duration
	any     bool // it has found something out about the present worker, or about the one that this has taken over from
	running bool
	next    time.Time
}

// begin forgets what concerns another worker. After one that was well, all is well until the probe says otherwise.
func (p *probes) begin(tookOver bool) {
	if tookOver && p.any && p.last.OK {
		p.next = time.Time{}
		return
	}
	*p = probes{okAt: p.okAt, latency: p.latency, running: p.running}
}

// dialer is what the probe connects with. Its source of deadlines is the probe's context.
func dialer() probe.Dialer { return &net.Dialer{KeepAlive: -1} } //nolint:forbidigo // it is no part of the server

// probe starts a probe if it is time for one.
func (s *Supervisor) probe(now time.Time) {
	c := s.present()
	if s.opt.Probe <= 0 || s.probes.running || now.Before(s.probes.next) || c == nil || s.done {
		return
	}
	s.probes.running, s.probes.next = true, now.Add(s.opt.Probe)
	t, base := s.target(), s.base
	s.group.Go("probe", func(ctx context.Context) error {
		pctx, cancel := context.WithTimeout(ctx, probeTime)
		r := probe.Run(pctx, dialer(), t)
		cancel()
		s.do(ctx, func() { s.probed(c, r, base) })
		return nil
	})
}

// target is what is probed.
func (s *Supervisor) target() probe.Target {
	t := probe.Target{App: probeApp, Token: s.token}
	for _, so := range s.sockets.all() {
		switch so.name {
		case "RTMP":
			t.RTMP = so.target()
		case "HTTP":
			t.HTTP = so.target()
		default:
			t.Others = append(t.Others, so.target())
		}
	}
	return t
}

// probed takes a probe's result. One of another worker says nothing; a failure from before a pause does not, either.
func (s *Supervisor) probed(c *child, r probe.Result, base time.Time) {
	p := &s.probes
	p.running = false
	if c != s.present() || !r.OK && base != s.base {
		return
	}
	p.last, p.any = r, true
	if r.OK {
		p.misses, p.okAt, p.latency = 0, time.Now(), r.Latency
		return
	}
	p.misses++
	if p.misses == 1 {
		s.log.Warn("the probe failed", "worker", c.number, "stage", r.Stage, "cause", r.Err)
	}
}
