package hub

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// remembered is how many attempts the hub knows of.
func remembered(h *Hub) int {
	h.attempts.mu.Lock()
	defer h.attempts.mu.Unlock()
	return len(h.attempts.by)
}

// counting is an authorizer that counts whom it is asked about, by address and key.
func counting(asked map[attempt]int, answer authorizer) authorizer {
	return func(ctx context.Context, a Action, q Request) (Permit, error) {
		asked[attempt{q.Remote.Addr(), q.Key}]++
		return answer(ctx, a, q)
	}
}

// One that tries again every 10 ms costs nobody else anything.
func TestHammer(t *testing.T) {
	for _, policy := range []Policy{Challenge, Reject} {
		asked := map[attempt]int{}
		auth := counting(asked, permits(map[string]Permit{"": {}}))
		scene(t, func(c *Config) { c.Publish.OnConflict = policy }, auth, func(t *testing.T, h *Hub, _ *journal) {
			l := take(t, h, requestFrom("a", 1))
			stop := feed(l, encoder(0))
			time.Sleep(time.Second)
			clear(asked)
			n, waited := 0, 0
			for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
				q := requestFrom("a", 2+n%2) // two of them
				got := <-try(ctx, h, q)
				wants(t, "it", got.err, ErrBusy)
				if n++; got.took > 0 {
					waited++
				}
			}
			for who, times := range asked {
				if times > 61 {
					t.Errorf("%v: the authorizer was asked %d times in 60 s about %v", policy, times, who.addr)
				}
			}
			if len(asked) != 2 || n < 5000 || waited > 2*61 {
				t.Errorf("%v: %d attempts of %d, of which %d disturbed the owner", policy, n, len(asked), waited)
			}
			if c := h.figures.read().Challenges; c > 2*61 {
				t.Errorf("%v: %d challenges", policy, c)
			}
			wants(t, "the owner", stop(), nil)
			l.Release(nil)
		})
	}
}

// The same, of one that is denied. Another address, or another key, is another matter.
func TestHammerDenied(t *testing.T) {
	asked := map[attempt]int{}
	auth := counting(asked, permits(map[string]Permit{"right": {}}))
	scene(t, nil, auth, func(t *testing.T, h *Hub, _ *journal) {
		for range 6000 {
			_, err := h.Publish(ctx, requestFrom("a", 1))
			wants(t, "it", err, ErrDenied)
			time.Sleep(10 * time.Millisecond)
		}
		if n := asked[attempt{address(1).Addr(), key("a")}]; n < 55 || n > 60 {
			t.Errorf("the authorizer was asked %d times in 60 s", n)
		}
		for _, q := range []Request{requestFrom("a", 2), requestFrom("b", 1)} {
			q.Query = "right"
			take(t, h, q).Release(nil)
		}
		_, err := h.Publish(ctx, requestFrom("a", 1))
		wants(t, "it", err, ErrDenied)
		q := requestFrom("a", 1)
		q.Query = "right"
		_, err = h.Publish(ctx, q)
		wants(t, "the right word within the second", err, ErrDenied)
		time.Sleep(attemptAge)
		take(t, h, q).Release(nil)
		if n := h.figures.read().Refused[Refusal{ActionPublish, "denied"}]; n != 6002 {
			t.Errorf("%d refusals are counted", n)
		}
	})
}

// Whoever is refused because of an owner is let in as soon as that one has gone.
func TestAttemptAfterOwner(t *testing.T) {
	for _, policy := range []Policy{Challenge, Reject} {
		asked := map[attempt]int{}
		auth := counting(asked, permits(map[string]Permit{"": {}, "x": {}}))
		scene(t, func(c *Config) { c.Publish.OnConflict = policy }, auth, func(t *testing.T, h *Hub, _ *journal) {
			l := take(t, h, requestFrom("a", 1))
			stop := feed(l, encoder(0))
			time.Sleep(100 * time.Millisecond)
			for range 3 {
				wants(t, "while it is taken", (<-try(ctx, h, requestFrom("a", 2))).err, ErrBusy)
			}
			q := requestFrom("a", 2)
			q.Query = "x"
			wants(t, "while it is taken, otherwise", (<-try(ctx, h, q)).err, ErrBusy)
			wants(t, "the owner", stop(), nil)
			l.Release(nil)
			wants(t, "another query within the second", (<-try(ctx, h, q)).err, ErrLimit)
			n := take(t, h, requestFrom("a", 2))
			if times := asked[attempt{address(2).Addr(), key("a")}]; times != 1 {
				t.Errorf("%v: the authorizer was asked %d times within a second", policy, times)
			}
			n.Release(nil)
			if remembered(h) != 0 {
				t.Error("one that was let in is remembered")
			}
		})
	}
}

// The owner stalls: who was refused because of it may challenge it within the second.
func TestAttemptAfterStall(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l, e := take(t, h, requestFrom("a", 1)), encoder(0)
		write(t, l, e, 1)
		got := try(ctx, h, requestFrom("a", 2))
		time.Sleep(990 * time.Millisecond)
		write(t, l, e, 1)
		wants(t, "the first", (<-got).err, ErrBusy)
		time.Sleep(10 * time.Millisecond)
		again := <-try(ctx, h, requestFrom("a", 2))
		wants(t, "the next", again.err, nil)
		l.Release(nil)
		again.Release(nil)
	})
}

func TestCancelledAttempt(t *testing.T) {
	asked := 0
	auth := authorizer(func(ctx context.Context, _ Action, _ Request) (Permit, error) {
		if asked++; asked > 1 {
			return Permit{}, nil
		}
		<-ctx.Done()
		return Permit{}, context.Cause(ctx)
	})
	scene(t, nil, auth, func(t *testing.T, h *Hub, _ *journal) {
		c, cancel := context.WithCancelCause(ctx)
		got := try(c, h, requestFrom("a", 1))
		time.Sleep(time.Second)
		cancel(errPeer)
		wants(t, "it", (<-got).err, errPeer)
		empty(t, h)
		if remembered(h) != 0 {
			t.Error("it is remembered")
		}
		l := take(t, h, requestFrom("a", 1)) // at once
		c, cancel = context.WithCancelCause(ctx)
		got = try(c, h, requestFrom("a", 2))
		time.Sleep(time.Second)
		cancel(errPeer)
		wants(t, "a challenger", (<-got).err, errPeer)
		l.Release(nil)
		empty(t, h)
		take(t, h, requestFrom("a", 2)).Release(nil)
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	asked := map[attempt]int{}
	scene(t, nil, counting(asked, permits(nil)), func(t *testing.T, h *Hub, _ *journal) {
		for i := range attemptsMax + 100 {
			for range 2 {
				_, err := h.Publish(ctx, requestFrom("a", i))
				wants(t, "it", err, ErrDenied)
			}
		}
		if n := remembered(h); n != attemptsMax {
			t.Errorf("%d are remembered", n)
		}
		if n := asked[attempt{address(attemptsMax + 1).Addr(), key("a")}]; n != 1 {
			t.Errorf("%d questions about one of the newest, want 1: others make room for it", n)
		}
		time.Sleep(attemptAge + tick)
		synctest.Wait()
		if n := remembered(h); n != 0 {
			t.Errorf("%d are remembered a second later", n)
		}
		_, err := h.Publish(ctx, request("a")) // of no address
		wants(t, "it", err, ErrDenied)
		q := request("a")
		q.Remote = netip.MustParseAddrPort("[fe80::1%eth0]:1")
		_, err = h.Publish(ctx, q)
		wants(t, "it", err, ErrDenied)
		if _, ask, err := h.attempts.begin(attempt{netip.MustParseAddr("fe80::"), key("a")}, ""); ask || err != nil || remembered(h) != 1 {
			t.Errorf("%d are remembered, that of an address with a zone is to be asked about: %v, %v", remembered(h), ask, err)
		}
	})
}

// The signature of ZLMediaKit#4146: refused because of an owner that does nothing.
func TestGhost(t *testing.T) {
	scene(t, reject, nil, func(t *testing.T, h *Hub, j *journal) {
		l := take(t, h, requestFrom("a", 1))
		write(t, l, encoder(0), 1)
		wants(t, "at once", (<-try(ctx, h, requestFrom("a", 2))).err, ErrBusy)
		if n := len(j.of(Ghost)); n != 0 {
			t.Errorf("%d ghosts", n)
		}
		time.Sleep(1500 * time.Millisecond)
		q := requestFrom("a", 3)
		wants(t, "later", (<-try(ctx, h, q)).err, ErrBusy)
		g := j.of(Ghost)
		if len(g) != 1 || g[0].Session.ID != q.Session || g[0].Rival.ID != l.session.Session || g[0].Epoch != l.Epoch() {
			t.Errorf("%+v", g)
		}
		if n := h.figures.read().Ghosts; n != 1 {
			t.Errorf("%d ghosts", n)
		}
		time.Sleep(4 * time.Second) // max_silence is for all policies
		lost(t, l, ErrSilent)
		take(t, h, requestFrom("a", 3)).Release(nil)
		l.Release(nil)
	})
}

// One that hammers does not crowd out what else observers are to hear: of a ghost they are told once a second.
func TestGhostIsToldOnceASecond(t *testing.T) {
	scene(t, reject, nil, func(t *testing.T, h *Hub, j *journal) {
		l := take(t, h, requestFrom("a", 1))
		time.Sleep(1510 * time.Millisecond)
		for range 300 {
			wants(t, "it", (<-try(ctx, h, requestFrom("a", 2))).err, ErrBusy)
			time.Sleep(10 * time.Millisecond)
		}
		if told, counted := len(j.of(Ghost)), h.figures.read().Ghosts; told < 3 || told > 4 || counted != 300 {
			t.Errorf("%d events, %d counted", told, counted)
		}
		l.Release(nil)
	})
}

func TestRefusedIsBounded(t *testing.T) {
	h := New(DefaultConfig(), nil)
	for i := range 2 * refusalsMax {
		h.refused(ActionPublish, named(fmt.Sprint(i)))
	}
	h.refused(ActionPublish, named("0"))
	if r := h.figures.read().Refused; len(r) != refusalsMax || r[Refusal{ActionPublish, "0"}] != 2 {
		t.Errorf("%d kinds", len(r))
	}
}

// named is an error that names its reason.
type named string

func (n named) Error() string  { return string(n) }
func (n named) Reason() string { return string(n) }

// While the authorizer thinks about an attempt, others that are alike wait for its answer, and others that are not are refused.
func TestSlowAuthorizerIsAskedOnce(t *testing.T) {
	asked := 0
	auth := authorizer(func(ctx context.Context, _ Action, _ Request) (Permit, error) {
		asked++
		select {
		case <-time.After(4 * time.Second):
		case <-ctx.Done():
		}
		return Permit{}, ErrDenied
	})
	scene(t, nil, auth, func(t *testing.T, h *Hub, _ *journal) {
		var all []<-chan attempted
		for range 39 {
			all = append(all, try(ctx, h, requestFrom("a", 1)))
			time.Sleep(100 * time.Millisecond)
		}
		q := requestFrom("a", 1)
		q.Query = "another"
		_, err := h.Publish(ctx, q)
		wants(t, "another query", err, ErrLimit)
		for _, c := range all {
			wants(t, "it", (<-c).err, ErrDenied)
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		// Who asks may go: the next one asks.
		time.Sleep(2 * time.Second)
		c, cancel := context.WithCancelCause(ctx)
		first := try(c, h, requestFrom("a", 1))
		synctest.Wait()
		second := try(ctx, h, requestFrom("a", 1))
		time.Sleep(time.Second)
		cancel(errPeer)
		wants(t, "the first", (<-first).err, errPeer)
		wants(t, "the second", (<-second).err, ErrDenied)
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// One address that tries many names is told so, and makes nobody forget others.
func TestManyNamesOfOneAddress(t *testing.T) {
	asked := map[attempt]int{}
	scene(t, nil, counting(asked, permits(nil)), func(t *testing.T, h *Hub, _ *journal) {
		for i := range attemptsMax {
			want := ErrDenied
			if i >= attemptsOfAddress {
				want = ErrLimit
			}
			_, err := h.Publish(ctx, requestFrom(fmt.Sprint("x", i), 9))
			wants(t, "it", err, want)
		}
		for range 50 {
			_, err := h.Publish(ctx, requestFrom("a", 1))
			wants(t, "another", err, ErrDenied)
			time.Sleep(10 * time.Millisecond)
		}
		if n := asked[attempt{address(1).Addr(), key("a")}]; n != 1 {
			t.Errorf("asked %d times about another", n)
		}
	})
}
