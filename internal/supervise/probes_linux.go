package supervise

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
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
	proven  bool // it has succeeded with the present worker: that it fails now says something of that
	any     bool // it has found something out about the present worker, or about the one that this has taken over from
	running bool
	next    time.Time
}

// begin forgets what concerns another worker. After one that was well, all is well until the probe says otherwise.
func (p *probes) begin(tookOver bool) {
	p.proven = false
	if tookOver && p.any && p.last.OK {
		p.next = time.Time{}
		return
	}
	*p = probes{okAt: p.okAt, latency: p.latency, running: p.running}
}

// dialer is what the probe connects with. Its source of deadlines is the probe's context.
func dialer() probe.Dialer { return new(loopback) }

// loopback connects to this machine, each time from another of its own addresses: what a proxy on this machine, whose address is the usual
// one, takes of quotas for each address is not the probe's to want.
type loopback struct{ n byte }

// DialContext implements probe.Dialer.
func (l *loopback) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} //nolint:forbidigo // it is no part of the server
	if to, err := netip.ParseAddrPort(address); err == nil && to.Addr().Is4() && to.Addr().IsLoopback() {
		l.n++
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 86, 73, l.n)}
		c, err := d.DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, syscall.EADDRNOTAVAIL) { // where the whole network is not this machine's
			return c, err
		}
		d.LocalAddr = nil
	}
	return d.DialContext(ctx, network, address)
}

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
		s.do(ctx, func() { s.probed(c, r, now, base) })
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

// probed takes the result of a probe that began at a time. One of another worker says nothing; a failure from before a pause, or from just
// after it, does not, either.
func (s *Supervisor) probed(c *child, r probe.Result, began, base time.Time) {
	p := &s.probes
	p.running = false
	if c != s.present() || !r.OK && (base != s.base || began.Before(base)) {
		return
	}
	p.last, p.any = r, true
	if r.OK {
		p.misses, p.okAt, p.latency, p.proven = 0, time.Now(), r.Latency, true
		return
	}
	p.misses++
	if p.misses == 1 {
		s.log.Warn("the probe failed", "worker", c.number, "stage", r.Stage, "cause", r.Err)
	}
}
