package hub

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const probeToken = "3f2a"

// probing has a hub with a probe, and no room for anybody.
func probing(c *Config) {
	c.Probe = probeToken
	c.Limits.PublishersPerAddress, c.Limits.ViewersPerAddress = 1, 1
	c.Limits.Bandwidth, c.Limits.BandwidthPerAddress = 1, 1
}

func probeRequest(name string) Request {
	q := request(name)
	q.Key.App = ProbeApp
	q.Remote = netip.MustParseAddrPort("192.0.2.1:5000")
	return q
}

// probe publishes and plays as the probe does.
func probe(t *testing.T, h *Hub, name string) (*Lease, *Viewing) {
	t.Helper()
	l, err := h.Publish(ctx, probeRequest(name))
	if err != nil {
		t.Fatal(err)
	}
	l.Declare(true, false)
	write(t, l, encoder(1), 3)
	v, err := h.Play(ctx, ctx, probeRequest(name))
	if err != nil {
		t.Fatal(err)
	}
	return l, v
}

type denying struct{}

func (denying) Authorize(context.Context, Action, Request) (Permit, error) {
	return Permit{}, ErrDenied
}

// given gives every publisher the probe's name.
type given struct{}

func (given) Authorize(context.Context, Action, Request) (Permit, error) {
	return Permit{Key: Key{VHost: DefaultVHost, App: ProbeApp, Name: probeToken + "-1"}}, nil
}

// observed notes all events.
type observed struct{ events []Event }

func (o *observed) Observe(e Event) { o.events = append(o.events, e) }

// TestProbeIsInvisible has a probe come and go where nobody else would be let in, and compares what can be seen with what could before.
func TestProbeIsInvisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &observed{}
		h := New(config(probing), denying{}, seen)
		stop := run(h)
		before := *h.Snapshot()
		look := func(when string) {
			t.Helper()
			time.Sleep(2 * time.Second) // the snapshot's age, and an audit
			now := *h.Snapshot()
			now.At, now.generation = before.At, before.generation
			if !reflect.DeepEqual(now, before) {
				t.Errorf("%s: %+v, want %+v", when, now, before)
			}
			if p, v := h.Sessions(); p+v != 0 {
				t.Errorf("%s: %d publishers, %d viewers", when, p, v)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.counts) != 0 || h.load.all != 0 || len(h.load.addr) != 0 || len(h.attempts.by) != 0 {
				t.Errorf("%s: counts %v, load %+v, attempts %v", when, h.counts, h.load, h.attempts.by)
			}
		}
		for range 3 { // the second has no room where the first counts
			l, v := probe(t, h, probeToken+"-1")
			defer v.Release(nil)
			l2, v2 := probe(t, h, probeToken+"-2")
			look("while it probes")
			l2.Finish(nil)
			v2.Release(nil)
			l.Release(errors.New("broken off"))
			if end := v.Stream().Ended(); end == nil {
				t.Error("the probe's stream waits to be resumed")
			}
			if err := l.Write(encoder(1).Next()); err == nil {
				t.Error("a lost lease takes media")
			}
			v.Release(nil)
			look("after it")
		}
		l, _ := probe(t, h, probeToken+"-3")
		l.session.end(errors.New("hung")) // and nobody releases it
		time.Sleep(2 * orphanAge)
		look("with sessions that hung")
		stop()
		if len(seen.events) > 0 {
			t.Errorf("observers were told: %+v", seen.events)
		}
		if n := len(h.paths) + len(h.sessions) - 1; n != 0 { // the viewer that hung is told nothing, and stays
			t.Errorf("left: %v %v", h.paths, h.sessions)
		}
	})
}

// TestProbeAppIsReserved has others try to get in.
func TestProbeAppIsReserved(t *testing.T) {
	for _, c := range []struct{ token, name string }{
		{probeToken, "x"},
		{probeToken, probeToken},
		{probeToken, probeToken + "-"},
		{probeToken, "3f2b-1"},
		{probeToken, probeToken + "1-1"},
		{"", "-1"},
		{"", "x"},
	} {
		h := New(config(func(cfg *Config) { cfg.Probe = c.token }), nil)
		q := probeRequest(c.name)
		if h.Probe(q.Key) {
			t.Errorf("%q: taken for the probe", c.name)
		}
		if _, err := h.Publish(ctx, q); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: publish: %v", c.name, err)
		}
		if _, err := h.Play(ctx, ctx, q); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: play: %v", c.name, err)
		}
		if n := h.Snapshot().Figures.Refused; n[Refusal{ActionPublish, "denied"}] != 1 || n[Refusal{ActionPlay, "denied"}] != 1 {
			t.Errorf("%q: counted %v", c.name, n)
		}
		if len(h.paths)+len(h.attempts.by) > 0 {
			t.Errorf("%q: left something", c.name)
		}
	}
	h := New(config(probing), given{})
	if _, err := h.Publish(ctx, request("a")); !errors.Is(err, ErrDenied) {
		t.Errorf("an authorizer gave the probe's name away: %v", err)
	}
	if !h.Probe(probeRequest(probeToken + "-1").Key) {
		t.Error("the probe is not known")
	}
}

// TestProbeIsRefused holds it to what readiness stands for.
func TestProbeIsRefused(t *testing.T) {
	h := New(config(probing), nil)
	h.SetPressure(Shed)
	l, v := probe(t, h, probeToken+"-1") // publishers are let in
	l.Finish(nil)
	v.Release(nil)
	refused := func(want error) {
		t.Helper()
		if _, err := h.Publish(ctx, probeRequest(probeToken+"-2")); !errors.Is(err, want) {
			t.Errorf("publish: %v, want %v", err, want)
		}
		if _, err := h.Play(ctx, ctx, probeRequest(probeToken+"-2")); !errors.Is(err, want) {
			t.Errorf("play: %v, want %v", err, want)
		}
	}
	h.SetPressure(Refuse)
	refused(ErrOverload)
	h.SetPressure(Calm)
	l, _ = probe(t, h, probeToken+"-3")
	h.Close()
	if !errors.Is(context.Cause(l.Context()), ErrClosing) {
		t.Errorf("the end: %v", context.Cause(l.Context()))
	}
	refused(ErrClosing)
	if n := h.Snapshot().Figures.Refused; len(n) > 0 {
		t.Errorf("counted %v", n)
	}
}

// TestProbeTokenIsNotLogged looks at a line about a key of the probe.
func TestProbeTokenIsNotLogged(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "stream", probeRequest(probeToken+"-1").Key, "other", key("cam"))
	if got := b.String(); strings.Contains(got, probeToken) || !strings.Contains(got, ProbeApp) || !strings.Contains(got, "other=live/cam") {
		t.Error(got)
	}
}
