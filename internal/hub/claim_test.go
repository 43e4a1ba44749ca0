package hub

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestChallengeMet(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", nil)
		stop := feed(l, encoder(0))
		for range 5 {
			time.Sleep(1010 * time.Millisecond)
			got := <-try(ctx, h, request("a"))
			wants(t, "the newcomer", got.err, ErrBusy)
			if got.took == 0 || got.took > 40*time.Millisecond { // until the next unit
				t.Errorf("it waited for %v", got.took)
			}
		}
		lost(t, l, nil)
		f := h.figures.read()
		if f.Challenges != 5 || f.Takeovers != 0 || f.Ghosts != 0 || f.Refused[Refusal{ActionPublish, "busy"}] != 5 {
			t.Errorf("%+v", f)
		}
		if p, _ := h.Sessions(); p != 1 {
			t.Errorf("%d publishers are left", p)
		}
		wants(t, "the owner", stop(), nil)
		l.Release(nil)
	})
}

// An owner that sends what no viewer can begin with does not answer.
func TestChallengeNotMetByBytes(t *testing.T) {
	scene(t, func(c *Config) { c.Publish.MaxSilence = time.Minute }, nil, func(t *testing.T, h *Hub, _ *journal) {
		l, e := publish(t, h, "a", nil), encoder(0)
		e.Next()
		got := try(ctx, h, request("a"))
		for range 60 {
			time.Sleep(40 * time.Millisecond)
			if u := e.Next(); !u.Key {
				_ = l.Write(u)
			}
		}
		n := <-got
		wants(t, "the newcomer", n.err, nil)
		l.Release(nil)
		n.Release(nil)
	})
}

func TestChallengeNotMet(t *testing.T) {
	for at := time.Duration(0); at <= tick; at += 25 * time.Millisecond { // wherever in a tick it begins
		scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
			time.Sleep(at)
			old := publish(t, h, "a", encoder(0))
			v := play(t, h, "a")
			got := <-try(ctx, h, request("a"))
			wants(t, "the newcomer", got.err, nil)
			if got.took < 2*time.Second || got.took > 2500*time.Millisecond {
				t.Errorf("it waited for %v", got.took)
			}
			lost(t, old, ErrReplaced)
			if text := context.Cause(old.Context()).Error(); !strings.Contains(text, got.session.Session) {
				t.Errorf("%q does not name the session", text)
			}
			if v.Stream() != got.Stream() || got.Epoch() <= old.Epoch() {
				t.Error("it is another stream, or an older epoch")
			}
			old.Release(nil)
			got.Release(nil)
			v.Release(nil)
		})
	}
}

// Clean stop, then publish: accepted in under 500 ms, whatever the policy.
func TestPublishAfterCleanStop(t *testing.T) {
	for _, policy := range policies {
		scene(t, func(c *Config) { c.Publish.OnConflict = policy }, nil, func(t *testing.T, h *Hub, _ *journal) {
			l := publish(t, h, "a", encoder(0))
			v := play(t, h, "a")
			l.Finish(io.EOF)
			wants(t, "the viewers' stream", v.Stream().Ended(), ErrUnpublished)
			got := <-try(ctx, h, request("a"))
			wants(t, string(policy), got.err, nil)
			if got.took > 0 || got.Epoch() == 0 || got.Stream() == v.Stream() {
				t.Errorf("%v: after %v, epoch %d, the same stream: %v", policy, got.took, got.Epoch(), got.Stream() == v.Stream())
			}
			v.Release(nil)
			got.Release(nil)
		})
	}
}

// Card S02 and its kin: an owner that has vanished. Its peer is back before anybody has noticed.
func TestPublishAfterVanish(t *testing.T) {
	for _, ms := range []int{0, 40, 1000, 2800, 3000, 4900, 6000} {
		after := time.Duration(ms) * time.Millisecond
		scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
			e := encoder(0)
			old := publish(t, h, "a", nil)
			stop := feed(old, e)
			time.Sleep(1390 * time.Millisecond)
			v := play(t, h, "a")
			r, c := v.Stream().NewReader(), &sim.Checker{}
			drain(t, r, c)
			wants(t, "the owner", stop(), nil)
			time.Sleep(after)
			got := <-try(ctx, h, request("a"))
			wants(t, "the newcomer", got.err, nil)
			if got.took > 3*time.Second {
				t.Errorf("%v after its owner has vanished the name is taken for %v", after, got.took)
			}
			fenced := h.figures.read().Fenced
			e1 := encoder(1)
			e1.Take(3) // it begins in the middle of a group of pictures
			stop = feed(got.Lease, e1)
			time.Sleep(time.Second)
			for range 5 { // the old one's network comes back
				if err := old.Write(e.Next()); err == nil {
					t.Error("the old one writes")
				}
			}
			if n := h.figures.read().Fenced - fenced; n != 5 {
				t.Errorf("%d writes fenced, want 5", n)
			}
			if n := drain(t, r, c); n < 15 { // the checker demands the key, and that DTS rises
				t.Errorf("%d units after the splice", n)
			}
			if v.Context().Err() != nil || v.Stream() != got.Stream() {
				t.Error("the viewer did not stay")
			}
			wants(t, "the new owner", stop(), nil)
			v.Release(nil)
			old.Release(nil)
			got.Release(nil)
		})
	}
}

// One that has gone while it waited, and that nobody has noticed to be gone, does not keep the next from the key.
func TestNewcomerThatIsNotThere(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		old := publish(t, h, "a", encoder(0))
		first := try(ctx, h, request("a"))
		time.Sleep(time.Second)
		begin := time.Now()
		second := try(ctx, h, request("a"))
		got := <-first
		wants(t, "the first", got.err, nil)
		got.Release(errors.New("its peer had gone")) // which shows when it is told
		next := <-second
		wants(t, "the second", next.err, nil)
		if took := time.Since(begin); took > 1500*time.Millisecond {
			t.Errorf("the second is let in after %v", took)
		}
		old.Release(nil)
		next.Finish(nil)
	})
}

func TestTwoNewcomers(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		old := publish(t, h, "a", encoder(0))
		var all []<-chan attempted
		for range rivalsMax {
			all = append(all, try(ctx, h, request("a")))
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		wants(t, "one too many", (<-try(ctx, h, request("a"))).err, ErrBusy)
		first := <-all[0]
		wants(t, "the first", first.err, nil)
		at := time.Now()
		write(t, first.Lease, encoder(1), 1) // which the others are waiting for
		for _, c := range all[1:] {
			wants(t, "another", (<-c).err, ErrBusy)
		}
		if time.Since(at) > 0 {
			t.Errorf("they hear of it %v later", time.Since(at))
		}
		old.Release(nil)
		first.Release(nil)
	})
}

func TestChallengerLeaves(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		c, cancel := context.WithCancelCause(ctx)
		got := try(c, h, request("a"))
		time.Sleep(time.Second)
		cancel(errPeer)
		n := <-got
		wants(t, "the newcomer", n.err, errPeer)
		if p, _ := h.Sessions(); p != 1 || n.took != time.Second {
			t.Errorf("%d publishers after %v", p, n.took)
		}
		time.Sleep(3 * time.Second)
		lost(t, l, nil)
		l.Release(nil)
	})
}

// The owner goes while it is challenged: the challenger has the key at once, and the viewers with it.
func TestOwnerLeavesChallenge(t *testing.T) {
	for _, clean := range []bool{true, false} {
		scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
			l := publish(t, h, "a", encoder(0))
			v := play(t, h, "a")
			got := try(ctx, h, request("a"))
			time.Sleep(time.Second)
			l.leave(nil, clean)
			n := <-got
			wants(t, "the newcomer", n.err, nil)
			if n.took != time.Second || n.Stream() != v.Stream() {
				t.Errorf("after %v, same stream: %v", n.took, n.Stream() == v.Stream())
			}
			n.Release(nil)
			v.Release(nil)
		})
	}
}

// permits is an authorizer that finds what it answers by the query.
func permits(by map[string]Permit) authorizer {
	return func(_ context.Context, _ Action, q Request) (Permit, error) {
		p, ok := by[q.Query]
		if !ok {
			return Permit{}, ErrDenied
		}
		return p, nil
	}
}

func TestPermitDecides(t *testing.T) {
	auth := permits(map[string]Permit{
		"": {}, "anna": {Identity: "anna"}, "bert": {Identity: "bert"}, "boss": {OnConflict: Takeover},
		"moved": {Key: key("b"), OnConflict: Reject},
	})
	scene(t, reject, auth, func(t *testing.T, h *Hub, _ *journal) {
		ask := func(query string) attempted {
			q := request("a")
			q.Query = query
			return <-try(ctx, h, q)
		}
		first := ask("anna")
		stop := feed(first.Lease, encoder(0))
		time.Sleep(time.Second)
		wants(t, "a stranger", ask("").err, ErrBusy)
		wants(t, "another", ask("bert").err, ErrBusy)
		again := ask("anna") // an encoder does not compete with itself
		wants(t, "the same", again.err, nil)
		if again.took > 0 {
			t.Errorf("it waited for %v", again.took)
		}
		wants(t, "the one before", stop(), ErrReplaced)
		stop = feed(again.Lease, encoder(1))
		boss := ask("boss")
		wants(t, "one whose permit says so", boss.err, nil)
		wants(t, "the one before", stop(), ErrReplaced)
		moved := ask("moved")
		wants(t, "one with another key", moved.err, nil)
		if moved.Key() != key("b") || moved.Stream() == boss.Stream() {
			t.Errorf("it publishes %v", moved.Key())
		}
		wants(t, "the key is judged that the permit names", ask("moved").err, ErrBusy)
		for _, l := range []attempted{first, again, boss, moved} {
			l.Release(nil)
		}
	})
}

func TestPermitIsJudged(t *testing.T) {
	scene(t, nil, permits(map[string]Permit{"a": {OnConflict: "fight"}, "b": {Key: Key{App: "live"}}, "c": {Key: Key{Name: "x"}}}),
		func(t *testing.T, h *Hub, _ *journal) {
			for i, query := range []string{"a", "b", "c"} {
				q := requestFrom("a", i)
				q.Query = query
				if l, err := h.Publish(ctx, q); err == nil {
					t.Errorf("%q is accepted", query)
					l.Release(nil)
				}
			}
		})
}

// Two encoders that take a key from each other: the one that has it by the fourth change keeps it for half a minute.
func TestDuel(t *testing.T) {
	scene(t, takeover, nil, func(t *testing.T, h *Hub, j *journal) {
		l := take(t, h, requestFrom("a", 1))
		_ = l.Write(encoder(0).Next())
		for i := byte(1); i <= 4; i++ {
			if n := len(j.of(Duel)); n != 0 {
				t.Errorf("%d duels before change %d", n, i)
			}
			time.Sleep(700 * time.Millisecond) // the owner is well
			n := take(t, h, requestFrom("a", int(1+i%2)))
			lost(t, l, ErrReplaced)
			l.Release(nil)
			l = n
			_ = l.Write(encoder(i).Next())
		}
		duels := j.of(Duel)
		if len(duels) != 1 || h.figures.read().Duels != 1 {
			t.Fatalf("%v", duels)
		}
		d := duels[0]
		if d.Session.ID != l.session.Session || d.Rival.ID == d.Session.ID || d.Rival.Remote == d.Session.Remote || d.Epoch >= l.Epoch() {
			t.Errorf("%+v", d)
		}
		stop, begin := feed(l, encoder(5)), time.Now()
		for time.Since(begin) < 29*time.Second {
			got := <-try(ctx, h, request("a"))
			wants(t, "while the owner is held", got.err, ErrBusy)
			time.Sleep(time.Second)
		}
		time.Sleep(1500 * time.Millisecond)
		n := take(t, h, request("a"))
		wants(t, "the owner", stop(), ErrReplaced)
		l.Release(nil)
		n.Release(nil)
	})
}

// More than 3 changes in 30 s are a duel; the same with more time between them are none.
func TestDuelSpan(t *testing.T) {
	for _, tc := range []struct {
		every time.Duration
		want  bool
	}{{9500 * time.Millisecond, true}, {10500 * time.Millisecond, false}} {
		scene(t, takeover, nil, func(t *testing.T, h *Hub, j *journal) {
			l := publish(t, h, "a", nil)
			for i := range byte(4) {
				stop := feed(l, encoder(i))
				time.Sleep(tc.every)
				n := take(t, h, request("a"))
				wants(t, "the owner", stop(), ErrReplaced)
				l.Release(nil)
				l = n
			}
			if n := len(j.of(Duel)); n > 0 != tc.want {
				t.Errorf("a change every %v: %d duels", tc.every, n)
			}
			l.Release(nil)
		})
	}
}

// Owners that were silent are not displaced in a duel. An owner that is held, and then silent, can be challenged.
func TestHeldOwnerIsChallenged(t *testing.T) {
	scene(t, takeover, nil, func(t *testing.T, h *Hub, j *journal) {
		l := publish(t, h, "a", nil)
		change := func(after time.Duration) {
			time.Sleep(after)
			n := take(t, h, request("a"))
			l.Release(nil)
			l = n
		}
		for range 6 {
			change(1500 * time.Millisecond)
		}
		if n := len(j.of(Duel)); n != 0 {
			t.Errorf("%d duels among silent owners", n)
		}
		for range 4 {
			change(100 * time.Millisecond)
		}
		if n := len(j.of(Duel)); n != 1 {
			t.Errorf("%d duels", n)
		}
		got := <-try(ctx, h, request("a"))
		wants(t, "the challenger", got.err, nil)
		if got.took < 2*time.Second || got.took > 2500*time.Millisecond {
			t.Errorf("after %v", got.took)
		}
		l.Release(nil)
		got.Release(nil)
	})
}

func standby(c *Config) { c.Publish.OnConflict = Standby }

func TestStandbyStepsIn(t *testing.T) {
	scene(t, standby, nil, func(t *testing.T, h *Hub, _ *journal) {
		first := publish(t, h, "a", nil)
		stop := feed(first, encoder(0))
		v := play(t, h, "a")
		r, c := v.Stream().NewReader(), &sim.Checker{}
		second := take(t, h, request("a"))
		stop2 := feed(second, encoder(1))
		wants(t, "a third", (<-try(ctx, h, request("a"))).err, ErrBusy)
		time.Sleep(10 * time.Second) // longer than max_silence
		lost(t, first, nil)
		lost(t, second, nil)
		s := h.Snapshot().Streams[0]
		if second.Epoch() != 0 || second.Stream() != nil || s.Standby == nil || s.Standby.ID != second.session.Session ||
			s.Publisher.ID != first.session.Session {
			t.Errorf("epoch %d, %+v", second.Epoch(), s)
		}
		drain(t, r, c)
		wants(t, "the first", stop(), nil)
		at := time.Now()
		for second.Epoch() == 0 && time.Since(at) < 5*time.Second {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(at); took < time.Second || took > 1750*time.Millisecond { // 1 s, a tick, a group of pictures
			t.Errorf("it steps in after %v", took)
		}
		synctest.Wait()
		lost(t, first, ErrReplaced)
		wants(t, "the first writes", first.Write(encoder(0).Next()), ErrReplaced)
		n := drain(t, r, c)
		for range 25 {
			time.Sleep(40 * time.Millisecond)
			n += drain(t, r, c)
		}
		if n < 25 || second.Stream() != v.Stream() { // the checker demands the key, and that DTS rises
			t.Errorf("%d units after the splice", n)
		}
		wants(t, "the second", stop2(), nil)
		first.Release(nil)
		second.Release(nil)
		v.Release(nil)
	})
}

// The owner goes: its stream waits for the one that stands by, a clean end or not, and whatever the resume window.
func TestStandbyInherits(t *testing.T) {
	for _, window := range []time.Duration{0, 15 * time.Second} {
		for _, clean := range []bool{true, false} {
			scene(t, func(c *Config) { standby(c); c.Publish.ResumeWindow = window }, nil, func(t *testing.T, h *Hub, _ *journal) {
				first := publish(t, h, "a", encoder(0))
				v := play(t, h, "a")
				second := take(t, h, request("a"))
				first.leave(nil, clean)
				if v.Stream().Ended() != nil || second.Epoch() != 0 {
					t.Errorf("%v, epoch %d", v.Stream().Ended(), second.Epoch())
				}
				time.Sleep(time.Second)
				write(t, second, encoder(1), 1)
				if second.Stream() != v.Stream() || h.figures.read().Resumes != 1 {
					t.Error("it did not resume")
				}
				second.Release(nil)
				v.Release(nil)
			})
		}
	}
}

// The owner goes, and then the one that stood by: viewers hear that the publisher has gone, not what the owner's peer said.
func TestStandbyIsLost(t *testing.T) {
	scene(t, func(c *Config) { standby(c); c.Publish.ResumeWindow = 0 }, nil, func(t *testing.T, h *Hub, _ *journal) {
		first := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		second := take(t, h, request("a"))
		first.Release(errPeer)
		second.Release(nil)
		wants(t, "the viewers' stream", v.Stream().Ended(), ErrUnpublished)
		v.Release(nil)
	})
}

func TestStandbyEnds(t *testing.T) {
	auth := permits(map[string]Permit{"": {}, "anna": {Identity: "anna"}})
	scene(t, standby, auth, func(t *testing.T, h *Hub, j *journal) {
		first := publish(t, h, "a", nil)
		stop := feed(first, encoder(0))
		silent := take(t, h, request("a"))
		time.Sleep(5600 * time.Millisecond)
		lost(t, silent, ErrSilent)
		wants(t, "it writes", silent.Write(encoder(0).Next()), ErrSilent)
		anna := request("a")
		anna.Query = "anna"
		one := take(t, h, anna)
		stop1 := feed(one, encoder(1))
		two := take(t, h, anna) // the same encoder comes again
		wants(t, "the one before", stop1(), ErrReplaced)
		time.Sleep(1500 * time.Millisecond)
		three := take(t, h, request("a")) // the place is that of one who sends nothing
		lost(t, two, ErrReplaced)
		c, cancel := context.WithCancelCause(ctx)
		three.Release(nil)
		four, err := h.Publish(c, request("a"))
		wants(t, "the fourth", err, nil)
		cancel(errPeer)
		wants(t, "it writes", four.Write(encoder(0).Next()), errPeer)
		wants(t, "the owner", stop(), nil)
		for _, l := range []*Lease{silent, one, two, four} {
			l.Release(nil)
		}
		first.Release(nil)
		if n := len(j.of(Published)); n != 1 {
			t.Errorf("%d publications", n)
		}
		if p, _ := h.Sessions(); p != 0 {
			t.Errorf("%d publishers are left", p)
		}
	})
}

// A lease that was lost is fenced though nobody has taken the key: while the viewers wait, and the old one's network comes back.
func TestLapsedOwnerIsFenced(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		e := encoder(0)
		l := publish(t, h, "a", e)
		v := play(t, h, "a")
		r, c := v.Stream().NewReader(), &sim.Checker{}
		drain(t, r, c)
		time.Sleep(6 * time.Second)
		lost(t, l, ErrSilent)
		wants(t, "a late write", l.Write(e.Next()), ErrSilent)
		if f := h.figures.read(); f.Fenced != 1 || f.Lapses != 1 {
			t.Errorf("%+v", f)
		}
		if n := drain(t, r, c); n != 0 {
			t.Errorf("%d units of it reach a viewer", n)
		}
		if errors.Is(v.Stream().Ended(), ErrSilent) || v.Context().Err() != nil {
			t.Error("the viewer did not stay")
		}
		l.Release(nil)
		v.Release(nil)
	})
}

// The newcomer's peer has gone while it was asked for: it does not displace anybody.
func TestDeadNewcomer(t *testing.T) {
	auth := authorizer(func(_ context.Context, _ Action, q Request) (Permit, error) {
		if q.Query == "slow" {
			time.Sleep(3 * time.Second) // and does not look at its context
		}
		return Permit{}, nil
	})
	for _, policy := range policies {
		scene(t, func(c *Config) { c.Publish.OnConflict = policy }, auth, func(t *testing.T, h *Hub, _ *journal) {
			l := publish(t, h, "a", nil)
			stop := feed(l, encoder(0))
			c, cancel := context.WithCancelCause(ctx)
			q := request("a")
			q.Query = "slow"
			got := try(c, h, q)
			time.Sleep(time.Second)
			cancel(errPeer)
			if n := <-got; n.err == nil {
				t.Errorf("%v: it was let in", policy)
				n.Release(nil)
			}
			wants(t, "the owner", stop(), nil)
			l.Release(nil)
		})
	}
}

// Under any policy a name is free max_silence after its owner has vanished, and a tick or two, for one that tries again and again.
func TestVanishedUnderAnyPolicy(t *testing.T) {
	for _, policy := range policies {
		scene(t, func(c *Config) { c.Publish.OnConflict = policy }, nil, func(t *testing.T, h *Hub, _ *journal) {
			old := take(t, h, requestFrom("a", 1))
			stop := feed(old, encoder(0))
			time.Sleep(1100 * time.Millisecond)
			v := play(t, h, "a")
			wants(t, "the owner", stop(), nil)
			begin, e := time.Now(), encoder(1)
			var l *Lease
			for l == nil && time.Since(begin) < time.Minute {
				got := <-try(ctx, h, requestFrom("a", 2))
				if l = got.Lease; l == nil {
					time.Sleep(500 * time.Millisecond)
				}
			}
			for l.Epoch() == 0 {
				write(t, l, e, 1)
				time.Sleep(40 * time.Millisecond)
			}
			if took := time.Since(begin); took > 6*time.Second {
				t.Errorf("%v: it has the name after %v", policy, took)
			}
			if l.Stream() != v.Stream() {
				t.Errorf("%v: the viewers have lost it", policy)
			}
			old.Release(nil)
			l.Release(nil)
			v.Release(nil)
		})
	}
}

// Card S04: twenty rounds of loss and resumption, one as the other, with other resolutions and clocks that begin at zero.
func TestTwentyResumptions(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		e := encoder(0)
		l := publish(t, h, "a", e)
		v := play(t, h, "a")
		r, c := v.Stream().NewReader(), &sim.Checker{}
		for i := range byte(20) {
			for range 30 {
				write(t, l, e, 1)
				time.Sleep(40 * time.Millisecond)
				drain(t, r, c)
			}
			l.Release(errPeer)
			time.Sleep([]time.Duration{200 * time.Millisecond, 2 * time.Second, 12 * time.Second}[i%3])
			e = encoder(i + 1)
			if i%2 == 0 {
				e.ChangeVideo()
			}
			l = publish(t, h, "a", nil)
		}
		if c.Units != 601 || c.Gaps != 0 || l.Stream() != v.Stream() || h.figures.read().Resumes != 20 {
			t.Errorf("%d units, %d gaps, %+v", c.Units, c.Gaps, h.figures.read())
		}
		l.Finish(nil)
		v.Release(nil)
	})
}

// An owner whose connection has ended, but that has not said so yet, is not asked whether it lives.
func TestOwnerThatIsAboutToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		defer run(h)()
		c, vanish := context.WithCancel(t.Context())
		old, err := h.Publish(c, request("a"))
		if err != nil {
			t.Fatal(err)
		}
		vanish()
		begin := time.Now()
		l := publish(t, h, "a", encoder(0))
		if took := time.Since(begin); took > 0 {
			t.Errorf("let in after %v", took)
		}
		old.Release(nil)
		l.Finish(nil)
	})
}

// One address has one place among those who challenge an owner: its newest attempt has it, with the time of the first.
func TestRivalsOfOneAddress(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := take(t, h, requestFrom("a", 1))
		write(t, l, encoder(0), 1)
		time.Sleep(1500 * time.Millisecond) // else those who ask again at once are refused from memory
		begin := time.Now()
		var former []<-chan attempted
		for range 8 {
			former = append(former, try(ctx, h, requestFrom("a", 66)))
			time.Sleep(100 * time.Millisecond)
		}
		honest := try(ctx, h, requestFrom("a", 2))
		for _, c := range former[:7] {
			wants(t, "a former attempt", (<-c).err, ErrBusy)
		}
		got := <-former[7]
		wants(t, "the newest", got.err, nil)
		if took := time.Since(begin); took < 2*time.Second || took > 2500*time.Millisecond {
			t.Errorf("decided after %v", took)
		}
		got.Release(nil) // and the next is not told that it is busy
		next := <-honest
		wants(t, "the honest one", next.err, nil)
		next.Finish(nil)
		l.Release(nil)
	})
}

// An encoder that comes back again and again is in no duel with itself.
func TestReturnsAreNoDuel(t *testing.T) {
	auth := authorizer(func(context.Context, Action, Request) (Permit, error) { return Permit{Identity: "cam"}, nil })
	scene(t, nil, auth, func(t *testing.T, h *Hub, _ *journal) {
		var all []*Lease
		for i := range 8 {
			got := <-try(ctx, h, requestFrom("a", i))
			wants(t, "it", got.err, nil)
			if got.took > 0 {
				t.Errorf("return %d is let in after %v", i, got.took)
			}
			write(t, got.Lease, encoder(0), 1)
			all = append(all, got.Lease)
			time.Sleep(time.Second / 2)
		}
		if n := h.Snapshot().Figures.Duels; n != 0 {
			t.Errorf("%d duels", n)
		}
		for _, l := range all {
			l.Finish(nil)
		}
	})
}

// A rival whose session ends in the very moment in which its case is decided does not win: the owner stays, or the next rival follows.
func TestGoneRivalIsNotCrowned(t *testing.T) {
	for name, decide := range map[string]func(h *Hub, owner *Lease){
		"the owner was silent": func(h *Hub, _ *Lease) { h.now.Add(int64(2500 * time.Millisecond)); h.judge() },
		"the owner has gone":   func(_ *Hub, owner *Lease) { owner.Release(errPeer) },
	} {
		for _, others := range []int{0, 1} {
			h := New(DefaultConfig(), nil) // nobody runs it: what happens, happens here
			owner := publish(t, h, "a", encoder(0))
			var all []*rival
			var ends []context.CancelCauseFunc
			for range 1 + others {
				c, end := context.WithCancelCause(ctx)
				l := h.newLease(c, request("a"), Permit{OnConflict: Challenge})
				h.change(func(then *aftermath) {
					r, err := h.claim(l, then)
					wants(t, "the rival", err, nil)
					all, ends = append(all, r), append(ends, end)
				})
			}
			ends[0](errPeer)
			decide(h, owner)
			for _, r := range all {
				select {
				case <-r.decided:
				default:
					t.Fatalf("%s: its case is not decided", name)
				}
			}
			wants(t, name, all[0].err, errPeer)
			if all[0].lease.Epoch() != 0 {
				t.Errorf("%s: one that has gone owns the key", name)
			}
			if others > 0 {
				wants(t, name+", the next rival", all[1].err, nil)
				lost(t, all[1].lease, nil)
				all[1].lease.Release(nil)
			} else if name == "the owner was silent" {
				lost(t, owner, nil)
			}
			h.change(func(*aftermath) { h.withdraw(all[0]) }) // as it does by itself then
			owner.Release(nil)
			empty(t, h)
		}
	}
}

// An owner that sends a picture every two seconds does not stall between them: who stands by leaves it the key, and two such publishers do
// not take it from each other. One that sends 25 a second still has one second.
func TestStandbyOfSeldomOwner(t *testing.T) {
	const every = 2 * time.Second
	scene(t, standby, nil, func(t *testing.T, h *Hub, _ *journal) {
		one := publish(t, h, "a", nil)
		seldom := func(l *Lease, e *sim.Encoder) (stop func() error) { return feedEvery(l, e, every) }
		stop := seldom(one, sim.New(sim.Options{Video: av.H264, GOP: 1}))
		time.Sleep(10 * time.Second)
		two := take(t, h, request("a"))
		stop2 := seldom(two, sim.New(sim.Options{Video: av.H264, GOP: 1, Origin: 1}))
		time.Sleep(time.Minute)
		lost(t, one, nil)
		lost(t, two, nil)
		if f := h.figures.read(); two.Epoch() != 0 || f.Takeovers != 0 {
			t.Errorf("epoch %d, %+v", two.Epoch(), f)
		}
		wants(t, "the owner", stop(), nil) // it has vanished
		at := time.Now()
		for two.Epoch() == 0 && time.Since(at) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(at); took > 5*time.Second+2*tick+every {
			t.Errorf("it steps in after %v", took)
		}
		wants(t, "the second", stop2(), nil)
		one.Release(nil)
		two.Release(nil)
	})
}
