package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// within is the context of one who waits so long for an answer.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return c
}

// obeys releases the lease once it is told to end, and a while after that.
func obeys(l *Lease, after time.Duration) {
	go func() {
		<-l.Context().Done()
		time.Sleep(after)
		l.Release(nil)
	}()
}

// A publisher that is kicked is gone when the answer comes, in under a second, and its name is free.
func TestKickPublisher(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		obeys(l, 100*time.Millisecond)
		begin := time.Now()
		wants(t, "kick", h.Kick(within(t, time.Second), l.session.Session), nil)
		if took := time.Since(begin); took < 100*time.Millisecond || took > 200*time.Millisecond {
			t.Errorf("after %v", took)
		}
		lost(t, l, ErrKicked)
		wants(t, "the viewers' stream", v.Stream().Ended(), ErrKicked) // no resume window
		wants(t, "again", h.Kick(within(t, time.Second), l.session.Session), ErrNotFound)
		publish(t, h, "a", nil).Finish(nil)
		v.Release(nil)
		if u := j.of(Unpublished); len(u) != 2 || Reason(u[0].Cause) != "kicked" {
			t.Errorf("%+v", u)
		}
	})
}

// One that does not obey: whoever asked is told so in his time, and the name is free all the same.
func TestKickIsBounded(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		begin := time.Now()
		wants(t, "kick", h.Kick(within(t, time.Second), l.session.Session), context.DeadlineExceeded)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("after %v", took)
		}
		publish(t, h, "a", nil).Release(nil)
		l.Release(nil)
	})
}

// Others who publish the key, or want to, are none of the business of a kick.
func TestKickAmongOthers(t *testing.T) {
	conflicts := func(c *Config) { c.Publish.Conflicts = map[string]Policy{"live/s": Standby} }
	scene(t, conflicts, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		obeys(l, 0)
		v := play(t, h, "a")
		q := request("a")
		first, second := try(ctx, h, q), try(ctx, h, request("a"))
		time.Sleep(time.Second)
		wants(t, "kick a challenger", h.Kick(within(t, time.Second), q.Session), nil)
		wants(t, "the challenger", (<-first).err, ErrKicked)
		wants(t, "kick the owner", h.Kick(within(t, time.Second), l.session.Session), nil)
		n := <-second
		wants(t, "the other challenger", n.err, nil)
		if n.Stream() != v.Stream() {
			t.Error("the viewers have lost it")
		}
		n.Release(nil)
		v.Release(nil)

		l = publish(t, h, "s", encoder(0))
		s := take(t, h, request("s"))
		obeys(s, 0)
		wants(t, "kick the one that stands by", h.Kick(within(t, time.Second), s.session.Session), nil)
		lost(t, s, ErrKicked)
		lost(t, l, nil)
		l.Release(nil)
	})
}

func TestKickViewer(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		q := request("a")
		v, err := h.Play(ctx, ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		go func() { <-v.Context().Done(); v.Release(nil) }()
		wants(t, "kick", h.Kick(within(t, time.Second), q.Session), nil)
		wants(t, "the viewing", context.Cause(v.Context()), ErrKicked)
		lost(t, l, nil)
		l.Release(nil)

		q = request("missing")
		got := make(chan error)
		go func() {
			_, err := h.Play(ctx, ctx, q)
			got <- err
		}()
		time.Sleep(time.Second)
		wants(t, "kick one that waits", h.Kick(within(t, time.Second), q.Session), nil)
		wants(t, "it", <-got, ErrKicked)
	})
}

func TestEndStream(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		wants(t, "nothing", h.End(within(t, time.Second), key("a")), ErrNotFound)
		l := publish(t, h, "a", encoder(0))
		obeys(l, 0)
		v := play(t, h, "a")
		go func() { <-v.Context().Done(); v.Release(nil) }()
		rival := try(ctx, h, request("a"))
		synctest.Wait()
		wants(t, "end", h.End(within(t, time.Second), key("a")), nil)
		wants(t, "the challenger", (<-rival).err, ErrKicked)
		lost(t, l, ErrKicked)
		wants(t, "the viewing", context.Cause(v.Context()), ErrKicked)
		empty(t, h)

		l = publish(t, h, "a", encoder(0)) // it waits for somebody to resume it; with its last viewer it ends
		v = play(t, h, "a")
		l.Release(errPeer)
		if len(h.Snapshot().Streams) != 1 {
			t.Error("it does not wait")
		}
		v.Release(nil)
		empty(t, h)
		wants(t, "again", h.End(within(t, time.Second), key("a")), ErrNotFound)
	})
}

// A viewer that is kicked while it begins to play is ended, whichever comes first.
func TestKickOfOneThatBegins(t *testing.T) {
	h := New(DefaultConfig(), nil)
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	v := &Viewing{hub: h, session: &session{Request: request("a"), action: ActionPlay, end: giveUp}}
	h.mu.Lock()
	err := h.enter(v.session, nil)
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	// The kick has read what ends the wait, and not called it yet.
	h.locked(func() { v.session.kicked = true })
	wants(t, "it begins", v.begin(ctx, waiting), ErrKicked)
	wants(t, "its context", context.Cause(v.ctx), ErrKicked)
	v.leave()
	empty(t, h)
}
