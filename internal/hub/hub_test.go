package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

func TestPublishAndPlay(t *testing.T) {
	j := &journal{}
	h := New(DefaultConfig(), nil, j)
	stop := run(h)
	e := encoder(0)
	l := publish(t, h, "a", e)
	v, err := h.Play(ctx, ctx, request("a"))
	if err != nil {
		t.Fatal(err)
	}
	r, c := v.Stream().NewReader(), &sim.Checker{}
	write(t, l, e, 5)
	if n := drain(t, r, c); n != 6 {
		t.Errorf("%d units", n)
	}
	if p, w := h.Sessions(); p != 1 || w != 1 {
		t.Errorf("%d publishers, %d viewers", p, w)
	}
	l.Finish(io.EOF)
	l.Release(errors.New("later"))
	if err := l.Write(e.Next()); !errors.Is(err, io.EOF) {
		t.Errorf("write: %v", err)
	}
	if _, err := r.Read(ctx, make([]stream.Entry, 1)); !errors.Is(err, ErrUnpublished) {
		t.Errorf("read: %v", err)
	}
	if _, err := v.Watch("x", nil); !errors.Is(err, ErrUnpublished) {
		t.Errorf("watch: %v", err)
	}
	v.Release(nil)
	v.Release(nil)
	empty(t, h)
	stop()
	j.check(t)
	var kinds []EventKind
	for _, e := range j.all() {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []EventKind{Published, Opened, Played, Unpublished, Closed, Stopped}) || !errors.Is(j.all()[3].Cause, io.EOF) {
		t.Errorf("%v", j.all())
	}
}

func TestRejectSecondPublisher(t *testing.T) {
	h := New(config(reject), nil)
	l := publish(t, h, "a", encoder(0))
	if _, err := h.Publish(ctx, request("a")); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if l.Context().Err() != nil {
		t.Error("the owner was ended")
	}
	b := publish(t, h, "b", nil)
	b.Release(nil)
	l.Release(nil)
	publish(t, h, "a", nil).Release(nil)
	empty(t, h)
}

func TestTakeover(t *testing.T) {
	j := &journal{}
	h := New(config(takeover), nil, j)
	stop := run(h)
	e0 := encoder(0)
	old := publish(t, h, "a", e0)
	v, err := h.Play(ctx, ctx, request("a"))
	if err != nil {
		t.Fatal(err)
	}
	r, c := v.Stream().NewReader(), &sim.Checker{}
	write(t, old, e0, 13)
	drain(t, r, c)

	e1 := encoder(1)
	q := request("a")
	l, err := h.Publish(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if l.Epoch() <= old.Epoch() || l.Stream() != old.Stream() {
		t.Errorf("epochs %d, %d; same stream: %v", old.Epoch(), l.Epoch(), l.Stream() == old.Stream())
	}
	if cause := context.Cause(old.Context()); !errors.Is(cause, ErrReplaced) {
		t.Errorf("the old one ended with %v", cause)
	}
	if err := old.Write(e0.Next()); !errors.Is(err, ErrReplaced) {
		t.Errorf("the old one writes: %v", err)
	}
	e1.Next() // begins in mid-GOP
	write(t, l, e1, 24)
	if n := drain(t, r, c); n != 15 { // the checker demands the key, and that DTS rises
		t.Errorf("%d units after the splice", n)
	}
	old.Release(io.EOF) // must not free the other's key
	write(t, l, e1, 1)
	if drain(t, r, c) != 1 {
		t.Error("the release of the old one ended the new")
	}
	v.Release(nil)
	l.Release(nil)
	stop()
	empty(t, h)
	j.check(t)
}

func TestDenied(t *testing.T) {
	refuse := errors.New("wrong password")
	h := New(DefaultConfig(), authorizer(func(_ context.Context, a Action, q Request) (Permit, error) {
		if q.Query == "" {
			return Permit{}, fmt.Errorf("%w: %w", ErrDenied, refuse)
		}
		return Permit{}, nil
	}))
	if _, err := h.Publish(ctx, request("a")); !errors.Is(err, ErrDenied) || !errors.Is(err, refuse) {
		t.Errorf("publish: %v", err)
	}
	if _, err := h.Play(ctx, ctx, request("a")); !errors.Is(err, ErrDenied) {
		t.Errorf("play: %v", err)
	}
	empty(t, h)
	q := request("a")
	q.Query = "secret"
	l, err := h.Publish(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	l.Release(nil)
}

type authorizer func(ctx context.Context, a Action, q Request) (Permit, error)

func (f authorizer) Authorize(ctx context.Context, a Action, q Request) (Permit, error) {
	return f(ctx, a, q)
}

func TestAuthorizerHasDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), authorizer(func(ctx context.Context, _ Action, _ Request) (Permit, error) {
			<-ctx.Done()
			return Permit{}, ctx.Err()
		}))
		begin := time.Now()
		if _, err := h.Publish(t.Context(), request("a")); err == nil || time.Since(begin) != h.Limit(Authorisation).Age {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestPlayWaitsForPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		begin := time.Now()
		play := func(ctx context.Context) chan error {
			got := make(chan error, 1)
			go func() {
				v, err := h.Play(ctx, ctx, request("a"))
				if err == nil {
					v.Release(nil)
				}
				got <- err
			}()
			return got
		}
		// Times out.
		if err := <-play(t.Context()); !errors.Is(err, ErrNotFound) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		empty(t, h)
		// Cancelled.
		cause := errors.New("peer left")
		c, cancel := context.WithCancelCause(t.Context())
		got := play(c)
		time.Sleep(time.Second)
		cancel(cause)
		if err := <-got; !errors.Is(err, cause) {
			t.Errorf("%v, want the cause", err)
		}
		synctest.Wait()
		empty(t, h)
		// Arrives, without media at first.
		got = play(t.Context())
		time.Sleep(4 * time.Second)
		if s := h.Snapshot(); len(s.Waiting) != 1 || s.Viewers != 1 {
			t.Errorf("snapshot %+v", s)
		}
		l := publish(t, h, "a", nil)
		time.Sleep(4 * time.Second)
		write(t, l, encoder(0), 1)
		if err := <-got; err != nil {
			t.Error(err)
		}
		l.Release(nil)
		// Arrives, but never sends anything.
		l = publish(t, h, "a", nil)
		begin = time.Now()
		if err := <-play(t.Context()); !errors.Is(err, ErrNoTracks) || time.Since(begin) != h.Limit(Ready).Age {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		l.Release(nil)
		// Arrives and goes while one waits for its media.
		got = play(t.Context())
		synctest.Wait()
		l = publish(t, h, "a", nil)
		synctest.Wait()
		l.Release(nil)
		if err := <-got; !errors.Is(err, ErrUnpublished) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		empty(t, h)
	})
}

// A publisher that comes and goes faster than a waiting viewer can look does not end the wait.
func TestPlayWaitsOverShortPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		got := make(chan error, 1)
		go func() {
			v, err := h.Play(t.Context(), t.Context(), request("a"))
			if err == nil {
				v.Release(nil)
			}
			got <- err
		}()
		synctest.Wait()
		h.mu.Lock() // what a publisher does that comes and goes, before the viewer gets to the lock
		p := h.paths[key("a")]
		close(p.published)
		p.published = make(chan struct{})
		h.mu.Unlock()
		time.Sleep(time.Second)
		l := publish(t, h, "a", encoder(0))
		if err := <-got; err != nil {
			t.Error(err)
		}
		l.Release(nil)
		empty(t, h)
	})
}

func TestNoWait(t *testing.T) {
	h := New(config(func(c *Config) { c.Play.Wait = 0 }), nil)
	if _, err := h.Play(ctx, ctx, request("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	empty(t, h)
}

func TestMissingKeysDoNotLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		var wg sync.WaitGroup
		for i := range 10_000 {
			wg.Go(func() {
				if _, err := h.Play(t.Context(), t.Context(), request(fmt.Sprint(i))); !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		empty(t, h)
	})
	h := New(config(func(c *Config) { c.Limits.Publishers = 1 }), nil)
	l := publish(t, h, "a", nil)
	for i := range 1000 {
		if _, err := h.Publish(ctx, request(fmt.Sprint("other", i))); !errors.Is(err, ErrLimit) {
			t.Error(err)
		}
	}
	l.Release(nil)
	empty(t, h)
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := New(config(func(c *Config) { c.Publish.ResumeWindow = 0 }), nil, j)
		stop := run(h)
		defer stop()
		e := encoder(0)
		l := publish(t, h, "a", e)
		never := publish(t, h, "b", nil)
		v, err := h.Play(t.Context(), t.Context(), request("a"))
		if err != nil {
			t.Fatal(err)
		}
		r := v.Stream().NewReader()
		for range 20 { // a unit in 4 s is enough
			time.Sleep(4 * time.Second)
			write(t, l, e, 1)
		}
		if !errors.Is(context.Cause(never.Context()), ErrSilent) {
			t.Error("one that never wrote is still there")
		}
		begin := time.Now()
		<-l.Context().Done()
		if took := time.Since(begin); took < 5*time.Second || took > 5500*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
		if err := l.Write(e.Next()); !errors.Is(err, ErrSilent) {
			t.Errorf("write: %v", err)
		}
		drain(t, r, &sim.Checker{})
		if _, err := r.Read(t.Context(), make([]stream.Entry, 1)); !errors.Is(err, ErrSilent) {
			t.Errorf("read: %v", err)
		}
		other := publish(t, h, "a", encoder(1)) // the key is free, though the session has not released it
		synctest.Wait()
		l.Release(io.EOF)
		never.Release(nil)
		other.Release(nil)
		v.Release(nil)
		empty(t, h)
		synctest.Wait()
		j.check(t)
		if c := j.all()[len(j.all())-1]; c.Kind != Stopped {
			t.Errorf("the last event is %v", c)
		}
	})
}

// Video that no viewer can begin with is no progress: neither is it counted, nor does it keep the key.
func TestSilenceOfPublisherWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(config(nil), nil)
		defer run(h)()
		l := publish(t, h, "a", nil)
		defer l.Release(nil)
		e := sim.New(sim.Options{Video: av.H264, GOP: 1 << 30})
		e.Next() // the only key
		begin := time.Now()
		for {
			err := l.Write(e.Next())
			if err != nil {
				if !errors.Is(err, ErrSilent) {
					t.Errorf("%v, want ErrSilent", err)
				}
				break
			}
			if time.Since(begin) > 10*time.Second {
				t.Error("non-key video keeps the name")
				break
			}
			time.Sleep(40 * time.Millisecond)
		}
		if got := h.Snapshot().Totals.Received; got != 0 || l.Skipped() == 0 {
			t.Errorf("%d bytes received, %d units skipped", got, l.Skipped())
		}
	})
}

// A pause of the process itself is nobody's silence.
func TestSilenceGrantsPause(t *testing.T) {
	h := New(DefaultConfig(), nil)
	l := publish(t, h, "a", encoder(0))
	for range 10 { // each tick comes 10 s late
		h.pass(10 * time.Second)
		h.judge()
	}
	if l.Context().Err() != nil {
		t.Error("ended")
	}
	l.Release(nil)
}

func TestLimits(t *testing.T) {
	h := New(config(func(c *Config) { c.Limits.Publishers, c.Limits.Viewers = 2, 3; c.Play.Wait = 0 }), nil)
	a, b := publish(t, h, "a", encoder(0)), publish(t, h, "b", encoder(0))
	if _, err := h.Publish(ctx, request("c")); !errors.Is(err, ErrLimit) {
		t.Errorf("publish: %v", err)
	}
	var viewings []*Viewing
	for range 3 {
		v, err := h.Play(ctx, ctx, request("a"))
		if err != nil {
			t.Fatal(err)
		}
		viewings = append(viewings, v)
	}
	if _, err := h.Play(ctx, ctx, request("a")); !errors.Is(err, ErrLimit) {
		t.Errorf("play: %v", err)
	}
	viewings[0].Release(nil)
	if _, err := h.Play(ctx, ctx, request("missing")); !errors.Is(err, ErrNotFound) { // gives its place back
		t.Errorf("play: %v", err)
	}
	v, err := h.Play(ctx, ctx, request("b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(viewings, v) {
		v.Release(nil)
	}
	a.Release(nil)
	publish(t, h, "c", nil).Release(nil)
	b.Release(nil)
	empty(t, h)
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := New(DefaultConfig(), nil, j)
		stop := run(h)
		l, e := publish(t, h, "a", nil), encoder(0)
		write(t, l, e, 10)
		v, err := h.Play(t.Context(), t.Context(), request("a"))
		if err != nil {
			t.Fatal(err)
		}
		r := v.Stream().NewReader()
		waiting := make(chan error, 1)
		go func() {
			_, err := h.Play(t.Context(), t.Context(), request("missing"))
			waiting <- err
		}()
		synctest.Wait()
		begin := time.Now()
		h.Close()
		h.Close()
		if !h.Closing() {
			t.Error("not closing")
		}
		if err := <-waiting; !errors.Is(err, ErrClosing) || time.Since(begin) > 0 {
			t.Errorf("one who waited got %v after %v", err, time.Since(begin))
		}
		if !errors.Is(context.Cause(l.Context()), ErrClosing) {
			t.Error(context.Cause(l.Context()))
		}
		if n := drain(t, r, &sim.Checker{}); n != 10 {
			t.Errorf("%d units at the end", n)
		}
		if _, err := r.Read(t.Context(), make([]stream.Entry, 1)); !errors.Is(err, ErrClosing) {
			t.Errorf("read: %v", err)
		}
		if _, err := h.Publish(t.Context(), request("b")); !errors.Is(err, ErrClosing) {
			t.Errorf("publish: %v", err)
		}
		if _, err := h.Play(t.Context(), t.Context(), request("b")); !errors.Is(err, ErrClosing) {
			t.Errorf("play: %v", err)
		}
		l.Release(nil)
		v.Release(nil)
		empty(t, h)
		stop()
		j.check(t)
	})
}

// The lease's end is that of its session too.
func TestLeaseContext(t *testing.T) {
	h := New(DefaultConfig(), nil)
	cause := errors.New("peer left")
	c, cancel := context.WithCancelCause(ctx)
	l, err := h.Publish(c, request("a"))
	if err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if !errors.Is(context.Cause(l.Context()), cause) {
		t.Error(context.Cause(l.Context()))
	}
	l.Release(nil)
	empty(t, h)
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		e := encoder(0)
		l := publish(t, h, "b", e)
		if s := h.Snapshot(); len(s.Streams) != 1 || s.Publishers != 1 || !s.Streams[0].Ready {
			t.Errorf("%+v", s)
		}
		if first := h.Snapshot(); h.Snapshot() != first {
			t.Error("made anew though nothing changed")
		}
		a := publish(t, h, "a", encoder(0))
		v, err := h.Play(t.Context(), t.Context(), request("b"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := v.Watch("x", func() stream.Muxer { return null{} })
		if err != nil {
			t.Fatal(err)
		}
		s := h.Snapshot()
		if len(s.Streams) != 2 || s.Streams[0].Key != key("a") || len(s.Streams[1].Viewers) != 1 || s.Viewers != 1 {
			t.Errorf("%+v", s)
		}
		write(t, l, e, 5)
		var batch stream.Batch
		if err := w.Peek(&batch, 10_000); err != nil || len(batch.Bytes) == 0 {
			t.Fatal(len(batch.Bytes), err)
		}
		w.Advance(&batch, len(batch.Bytes))
		time.Sleep(time.Second)
		s = h.Snapshot()
		if b := s.Streams[1]; b.Stats.Tracks[0].Units != 6 || b.Viewers[0].Sent != w.Sent() || b.Epoch != l.Epoch() {
			t.Errorf("%+v", b)
		}
		v.Release(nil)
		if s := h.Snapshot(); s.Viewers != 0 || len(s.Streams[1].Viewers) != 0 {
			t.Errorf("%+v", s)
		}
		l.Release(nil)
		a.Release(nil)
		if s := h.Snapshot(); len(s.Streams) != 0 || s.Publishers != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Totals never fall: what a session has moved stays in them when it has gone.
func TestTotals(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		e := encoder(0)
		l := publish(t, h, "a", e)
		v := play(t, h, "a")
		w, err := v.Watch("x", func() stream.Muxer { return null{} })
		if err != nil {
			t.Fatal(err)
		}
		write(t, l, e, 5)
		var b stream.Batch
		if err := w.Peek(&b, 10_000); err != nil {
			t.Fatal(err)
		}
		w.Advance(&b, len(b.Bytes))
		time.Sleep(snapshotAge)
		before := h.Snapshot().Totals
		v.Release(nil)
		l.Release(nil)
		if after := h.Snapshot().Totals; after != before || before.Received == 0 || before.Sent == 0 {
			t.Errorf("%+v becomes %+v", before, after)
		}
	})
}

type null struct{}

func (null) Head(dst []byte, _ []*av.Track) []byte                       { return dst }
func (null) Config(dst []byte, _, _ []*av.Track, _ time.Duration) []byte { return dst }
func (null) Unit(dst []byte, _ []*av.Track, u *av.AccessUnit) []byte {
	return append(dst, u.Data[0]...)
}

// A viewer whose viewing was released meanwhile does not keep the share.
func TestWatchAfterRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		e := encoder(0)
		l := publish(t, h, "a", e)
		v, err := h.Play(t.Context(), t.Context(), request("a"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // twice over, and after the release
			if _, err := v.Watch("x", func() stream.Muxer { return null{} }); err != nil {
				t.Fatal(err)
			}
		}
		v.Release(nil)
		_, _ = v.Watch("x", func() stream.Muxer { return null{} })
		time.Sleep(11 * time.Second)
		write(t, l, e, 1)
		if n := l.Stream().Stats().Shares; n != 0 {
			t.Errorf("%d shares are left", n)
		}
		l.Release(nil)
	})
}

// stuck is an error that names its reason.
type stuck struct{}

func (stuck) Error() string  { return "stuck for 3s" }
func (stuck) Reason() string { return "stuck" }

func TestReason(t *testing.T) {
	for err, want := range map[error]string{
		nil: "done", ErrBusy: "busy", fmt.Errorf("x: %w", ErrSilent): "silent", io.EOF: "peer", context.Canceled: "cancelled",
		stream.ErrNoKey: "no-key", stream.ErrUnstable: "unstable",
		fmt.Errorf("x: %w", stuck{}): "stuck",
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	h := New(DefaultConfig(), nil, &journal{})
	for range eventsMax {
		publish(t, h, "a", nil).Release(nil)
	}
	if n := h.Snapshot().DroppedEvents; n != eventsMax {
		t.Errorf("%d dropped", n)
	}
}

// broken is an observer that breaks down over every event.
type broken struct{}

func (broken) Observe(Event) { panic("broken") }

func TestObserverThatPanics(t *testing.T) {
	j := &journal{}
	h := New(DefaultConfig(), nil, broken{}, j)
	stop := run(h)
	publish(t, h, "a", nil).Release(nil)
	stop()
	if n := len(j.all()); n != 2 {
		t.Errorf("the other observer saw %d events, want 2", n)
	}
	if n := h.Snapshot().DroppedEvents; n != 2 {
		t.Errorf("%d events dropped, want 2", n)
	}
}

func TestConfigValidates(t *testing.T) {
	c := DefaultConfig()
	if err := errors.Join(c.Publish.Validate(), c.Play.Validate(), c.Limits.Validate()); err != nil {
		t.Error(err)
	}
	for i, change := range []func(c *Config){
		func(c *Config) { c.Publish.OnConflict = "fight" },
		func(c *Config) { c.Publish.Conflicts = map[string]Policy{"a": "fight"} },
		func(c *Config) { c.Publish.ChallengeTimeout = 0 },
		func(c *Config) { c.Publish.ResumeWindow = time.Hour },
		func(c *Config) { c.Publish.ModifyStamp = "guess" },
		func(c *Config) { c.Publish.IdleDelay = 0 },
		func(c *Config) { c.Limits.ViewersPerApp = -1 },
		func(c *Config) { c.Limits.Memory = 1 },
		func(c *Config) { c.Publish.MaxSilence = 0 },
		func(c *Config) { c.Publish.MaxSilence = 2 * time.Hour },
		func(c *Config) { c.Play.Wait = -1 },
		func(c *Config) { c.Play.Wait = time.Hour },
		func(c *Config) { c.Limits.Viewers = 0 },
		func(c *Config) { c.Limits.RingUnits = 1 },
		func(c *Config) { c.Limits.RingBytes = 1 },
		func(c *Config) { c.Limits.RingAge = 1 },
		func(c *Config) { c.Limits.MaxSkips = 0 },
	} {
		c := config(change)
		if errors.Join(c.Publish.Validate(), c.Play.Validate(), c.Limits.Validate()) == nil {
			t.Errorf("change %d is accepted", i)
		}
	}
}
