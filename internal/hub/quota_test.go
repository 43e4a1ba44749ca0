package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func requestIn(app, name string, addr int) Request {
	q := requestFrom(name, addr)
	q.Key.App = app
	return q
}

// Each quota lets in as many as it says, of what it counts, and the next as soon as one has gone.
func TestPublisherQuotas(t *testing.T) {
	for name, tc := range map[string]struct {
		limit func(l *LimitsConfig)
		in    []Request // as many as there may be, and one that counts elsewhere
		out   Request
	}{
		"in all": {
			func(l *LimitsConfig) { l.Publishers = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("y", "b", 2)},
			requestIn("z", "c", 3),
		},
		"of an application": {
			func(l *LimitsConfig) { l.PublishersPerApp = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("x", "b", 2), requestIn("y", "c", 1)},
			requestIn("x", "d", 3),
		},
		"from an address": {
			func(l *LimitsConfig) { l.PublishersPerAddress = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("y", "b", 1), requestIn("x", "c", 2)},
			requestIn("z", "d", 1),
		},
	} {
		scene(t, func(c *Config) { tc.limit(&c.Limits) }, nil, func(t *testing.T, h *Hub, _ *journal) {
			var in []*Lease
			for _, q := range tc.in {
				in = append(in, take(t, h, q))
			}
			_, err := h.Publish(ctx, tc.out)
			wants(t, name, err, ErrLimit)
			if n := h.figures.read().Refused[Refusal{ActionPublish, "limit"}]; n != 1 {
				t.Errorf("%d refusals", n)
			}
			in[0].Release(nil)
			take(t, h, tc.out).Release(nil)
			for _, l := range in {
				l.Release(nil)
			}
			empty(t, h)
		})
	}
}

func TestViewerQuotas(t *testing.T) {
	for name, tc := range map[string]struct {
		limit func(l *LimitsConfig)
		in    []Request
		out   Request
	}{
		"in all": {
			func(l *LimitsConfig) { l.Viewers = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("y", "b", 2)},
			requestIn("x", "b", 3),
		},
		"of an application": {
			func(l *LimitsConfig) { l.ViewersPerApp = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("x", "b", 2), requestIn("y", "a", 1)},
			requestIn("x", "a", 3),
		},
		"of a stream": {
			func(l *LimitsConfig) { l.ViewersPerStream = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("x", "a", 2), requestIn("x", "b", 1)},
			requestIn("x", "a", 3),
		},
		"from an address": {
			func(l *LimitsConfig) { l.ViewersPerAddress = 2 },
			[]Request{requestIn("x", "a", 1), requestIn("y", "b", 1), requestIn("x", "a", 2)},
			requestIn("y", "a", 1),
		},
	} {
		scene(t, func(c *Config) { tc.limit(&c.Limits); c.Play.Wait = 0 }, nil, func(t *testing.T, h *Hub, _ *journal) {
			var leases []*Lease
			for _, q := range []Request{requestIn("x", "a", 9), requestIn("x", "b", 9), requestIn("y", "a", 9), requestIn("y", "b", 9)} {
				l := take(t, h, q)
				write(t, l, encoder(0), 1)
				leases = append(leases, l)
			}
			var in []*Viewing
			for _, q := range tc.in {
				v, err := h.Play(ctx, ctx, q)
				if err != nil {
					t.Fatal(name, err)
				}
				in = append(in, v)
			}
			_, err := h.Play(ctx, ctx, tc.out)
			wants(t, name, err, ErrLimit)
			in[0].Release(nil)
			v, err := h.Play(ctx, ctx, tc.out)
			if err != nil {
				t.Fatal(name, err)
			}
			for _, v := range append(in, v) {
				v.Release(nil)
			}
			for _, l := range leases {
				l.Release(nil)
			}
			empty(t, h)
		})
	}
}

// One that takes the place of another needs no place of its own: an encoder that has vanished would else shut itself out.
func TestQuotaOfReplaced(t *testing.T) {
	for _, policy := range []Policy{Challenge, Takeover} {
		one := func(c *Config) { c.Publish.OnConflict, c.Limits.PublishersPerAddress = policy, 1 }
		scene(t, one, nil, func(t *testing.T, h *Hub, _ *journal) {
			old := take(t, h, requestFrom("a", 1))
			_, err := h.Publish(ctx, requestFrom("b", 1))
			wants(t, "another key", err, ErrLimit)
			var all []<-chan attempted
			for range 3 {
				all = append(all, try(ctx, h, requestFrom("a", 1)))
				synctest.Wait()
			}
			got := <-all[0]
			wants(t, string(policy), got.err, nil)
			if p, _ := h.Sessions(); p > 2 {
				t.Errorf("%d publishers from an address that may have 1", p)
			}
			for _, c := range all[1:] {
				if n := <-c; n.err == nil {
					t.Error("a third")
					n.Release(nil)
				}
			}
			old.Release(nil)
			got.Release(nil)
		})
	}
}

// The same where the authorizer gives another key than the one that was asked for, in another application: what that one has no room for
// is nothing to it, and the encoder that comes back is known by what it asks for.
func TestQuotaOfRenamed(t *testing.T) {
	auth := authorizer(func(_ context.Context, _ Action, q Request) (Permit, error) {
		if q.Query == "" {
			return Permit{}, nil
		}
		return Permit{Key: requestIn("given", q.Query, 1).Key}, nil
	})
	limits := func(c *Config) {
		c.Publish.OnConflict, c.Limits.PublishersPerAddress, c.Limits.PublishersPerApp = Takeover, 1, 1
	}
	scene(t, limits, auth, func(t *testing.T, h *Hub, _ *journal) {
		full := take(t, h, requestIn("asked", "other", 9))
		as := func(name string, addr int) Request {
			q := requestIn("asked", "door", addr)
			q.Query = name
			return q
		}
		old := take(t, h, as("anna", 1))
		again := take(t, h, as("anna", 1)) // its connection was lost, and nobody has noticed
		lost(t, old, ErrReplaced)
		old.Release(nil)
		third := take(t, h, as("anna", 1))
		lost(t, again, ErrReplaced)
		again.Release(nil)
		_, err := h.Publish(ctx, as("bert", 2)) // the quota of the key that is given holds
		wants(t, "another of the application", err, ErrLimit)
		time.Sleep(attemptAge)
		_, err = h.Publish(ctx, as("bert", 1))
		wants(t, "another from the address", err, ErrLimit)
		third.Release(nil)
		full.Release(nil)
		empty(t, h)
	})
}

// Viewers leave some of all connections to publishers (card Q03).
func TestViewersLeaveRoom(t *testing.T) {
	scene(t, func(c *Config) { c.Limits.Connections, c.Play.Wait = 32, time.Minute }, nil, func(t *testing.T, h *Hub, _ *journal) {
		views := make(chan *Viewing, 30)
		for i := range 30 {
			go func() {
				v, err := h.Play(ctx, ctx, requestFrom("a", i))
				wants(t, "a viewer", err, nil)
				views <- v
			}()
		}
		synctest.Wait()
		_, err := h.Play(ctx, ctx, requestFrom("a", 31))
		wants(t, "a viewer more", err, ErrLimit)
		l := publish(t, h, "a", encoder(0))
		for range 30 {
			if v := <-views; v != nil {
				v.Release(nil)
			}
		}
		l.Release(nil)
	})
}

func TestBandwidth(t *testing.T) {
	for name, limit := range map[string]func(l *LimitsConfig){
		"in all":            func(l *LimitsConfig) { l.Bandwidth = 5 },
		"of an application": func(l *LimitsConfig) { l.BandwidthPerApp = 5 },
		"of a stream":       func(l *LimitsConfig) { l.BandwidthPerStream = 5 },
		"from an address":   func(l *LimitsConfig) { l.BandwidthPerAddress = 5 },
	} {
		scene(t, func(c *Config) { limit(&c.Limits); c.Play.Wait = 0 }, nil, func(t *testing.T, h *Hub, _ *journal) {
			l := take(t, h, request("a"))
			stop := feed(l, sim.New(sim.Options{Video: av.H264, Size: 9500, KeySize: 15_000})) // 2 Mbit/s
			time.Sleep(10 * time.Second)
			if rate := l.Stream().BitRate(); rate < 1.8e6 || rate > 2.2e6 {
				t.Fatalf("%v bit/s", rate)
			}
			for range 3 { // again and again
				a, b := play(t, h, "a"), play(t, h, "a")
				_, err := h.Play(ctx, ctx, request("a"))
				wants(t, name, err, ErrLimit)
				a.Release(nil)
				time.Sleep(1500 * time.Millisecond) // until the next measurement
				a = play(t, h, "a")
				_, err = h.Play(ctx, ctx, request("a"))
				wants(t, name, err, ErrLimit)
				a.Release(nil)
				b.Release(nil)
				time.Sleep(1500 * time.Millisecond)
			}
			if _, viewers := h.Sessions(); viewers != 0 {
				t.Errorf("%d viewers", viewers)
			}
			other := requestIn("other", "a", 1)
			l2 := take(t, h, other)
			write(t, l2, encoder(0), 1)
			a, b := play(t, h, "a"), play(t, h, "a")
			v, err := h.Play(ctx, ctx, other) // its rate is not known yet: it is taken to be 2 Mbit/s
			if name == "in all" {
				wants(t, "another application", err, ErrLimit)
			} else {
				wants(t, "another application", err, nil)
				v.Release(nil)
			}
			a.Release(nil)
			b.Release(nil)
			wants(t, "the owner", stop(), nil)
			l.Release(nil)
			l2.Release(nil)
		})
	}
}

// Viewers that come before a stream's rate is known are a load all the same.
func TestBandwidthOfThoseWhoWait(t *testing.T) {
	scene(t, func(c *Config) { c.Limits.Bandwidth, c.Play.Wait = 10, 20*time.Second }, nil, func(t *testing.T, h *Hub, _ *journal) {
		in := make(chan *Viewing, 200)
		for range cap(in) {
			go func() {
				v, err := h.Play(ctx, ctx, request("a"))
				if err != nil {
					wants(t, "one too many", err, ErrLimit)
				}
				in <- v
			}()
		}
		synctest.Wait()
		l := publish(t, h, "a", encoder(0))
		n := 0
		var all []*Viewing
		for range cap(in) {
			if v := <-in; v != nil {
				n++
				all = append(all, v)
			}
		}
		for _, v := range all {
			v.Release(nil)
		}
		if n != 5 {
			t.Errorf("%d are let in at 10 Mbit/s, want 5", n)
		}
		l.Finish(nil)
	})
}

// A publisher that sends more than it may is ended after some seconds; one that does so for a moment is not.
func TestPublisherBandwidth(t *testing.T) {
	scene(t, func(c *Config) { c.Limits.PublisherBandwidth = 1 }, nil, func(t *testing.T, h *Hub, _ *journal) {
		slow, fast := take(t, h, request("a")), take(t, h, request("b"))
		stopSlow := feed(slow, sim.New(sim.Options{Video: av.H264, Size: 4000, KeySize: 8000})) // under 1 Mbit/s
		stopFast := feed(fast, sim.New(sim.Options{Video: av.H264, Size: 9500, KeySize: 15_000}))
		begin := time.Now()
		<-fast.Context().Done()
		lost(t, fast, ErrLimit)
		if took := time.Since(begin); took < 5*time.Second || took > 8*time.Second {
			t.Errorf("ended after %v", took)
		}
		time.Sleep(10 * time.Second)
		wants(t, "the other", context.Cause(slow.Context()), nil)
		_ = stopFast()
		wants(t, "the other", stopSlow(), nil)
		slow.Release(nil)
		fast.Release(nil)
	})
}

// One subscriber has 2^64 addresses of IPv6.
func TestQuotaOfNetwork(t *testing.T) {
	scene(t, func(c *Config) { c.Limits.PublishersPerAddress = 1 }, nil, func(t *testing.T, h *Hub, _ *journal) {
		var held []*Lease
		for addr, want := range map[string]error{"[2001:db8::1]:1": nil, "[2001:db8:0:1::1]:1": nil, "192.0.2.1:1": nil} {
			q := request("a" + addr)
			q.Remote = netip.MustParseAddrPort(addr)
			l, err := h.Publish(ctx, q)
			wants(t, addr, err, want)
			held = append(held, l)
		}
		for _, addr := range []string{"[2001:db8::2]:1", "[2001:db8::1%eth0]:1", "[::ffff:192.0.2.1]:1"} {
			q := request("b" + addr)
			q.Remote = netip.MustParseAddrPort(addr)
			_, err := h.Publish(ctx, q)
			wants(t, addr, err, ErrLimit)
		}
		for _, l := range held {
			l.Release(nil)
		}
	})
}

func TestPressure(t *testing.T) {
	scene(t, func(c *Config) { c.Play.Wait = 0 }, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		waits := publish(t, h, "b", encoder(0))
		w := play(t, h, "b")
		waits.Release(errPeer)

		h.SetPressure(Shed)
		wants(t, "a stream that waits", w.Stream().Ended(), ErrOverload)
		wants(t, "one that is published", v.Stream().Ended(), nil)
		_, err := h.Play(ctx, ctx, request("a"))
		wants(t, "a viewer", err, ErrOverload)
		n := publish(t, h, "c", encoder(0))
		n.Release(nil)

		h.SetPressure(Refuse)
		_, err = h.Publish(ctx, request("c"))
		wants(t, "a publisher", err, ErrOverload)
		write(t, l, encoder(0), 1)

		h.SetPressure(Shed)
		publish(t, h, "c", nil).Release(nil)
		h.SetPressure(Calm)
		play(t, h, "a").Release(nil)
		if got := h.figures.read().Refused; got[Refusal{ActionPlay, "overload"}] != 1 || got[Refusal{ActionPublish, "overload"}] != 1 {
			t.Errorf("%v", got)
		}
		v.Release(nil)
		w.Release(nil)
		l.Release(nil)
	})
}

// A stream that waits for the one that stands by is not spared: that one comes with its next key unit.
func TestPressureLeavesStandby(t *testing.T) {
	scene(t, standby, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		s := take(t, h, request("a"))
		l.Release(errPeer)
		h.SetPressure(Refuse)
		write(t, s, encoder(1), 1)
		wants(t, "the stream", v.Stream().Ended(), nil)
		if s.Stream() != v.Stream() {
			t.Error("it is another")
		}
		s.Release(nil)
		v.Release(nil)
	})
}

// A viewer that waits for a stream counts, and gives its place back when it gives up.
func TestQuotaOfWaiting(t *testing.T) {
	scene(t, func(c *Config) { c.Limits.Viewers = 1 }, nil, func(t *testing.T, h *Hub, _ *journal) {
		c, cancel := context.WithCancelCause(ctx)
		got := make(chan error)
		go func() {
			_, err := h.Play(c, c, request("a"))
			got <- err
		}()
		time.Sleep(time.Second)
		_, err := h.Play(ctx, ctx, request("b"))
		wants(t, "a second", err, ErrLimit)
		cancel(errPeer)
		wants(t, "the first", <-got, errPeer)
		empty(t, h)
	})
}

// Counts return to zero however the sessions end.
func TestCountsReturn(t *testing.T) {
	limits := func(c *Config) {
		l := &c.Limits
		l.PublishersPerApp, l.PublishersPerAddress, l.ViewersPerApp, l.ViewersPerAddress, l.ViewersPerStream = 100, 100, 100, 100, 100
	}
	scene(t, limits, nil, func(t *testing.T, h *Hub, _ *journal) {
		for i := range 20 {
			name := fmt.Sprint("a", i%3)
			l := take(t, h, requestFrom(name, i))
			write(t, l, encoder(0), 1)
			v := play(t, h, name)
			switch i % 5 {
			case 0:
				l.Finish(nil)
			case 1:
				l.Release(errors.New("x"))
			case 2:
				go func() { <-l.Context().Done(); l.Release(nil) }()
				wants(t, "kick", h.Kick(ctx, l.session.Session), nil)
			case 3:
				go func() { <-l.Context().Done(); l.Release(nil) }()
				go func() { <-v.Context().Done(); v.Release(nil) }()
				wants(t, "end", h.End(ctx, l.Key()), nil)
			case 4:
				go func() { <-l.Context().Done(); l.Release(nil) }()
				time.Sleep(6 * time.Second)
			}
			v.Release(nil)
			time.Sleep(16 * time.Second)
			empty(t, h)
		}
	})
}
