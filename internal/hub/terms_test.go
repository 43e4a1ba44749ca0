package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// termsOf lets everybody in, publishers on terms that a test may change.
type termsOf struct {
	terms   Terms
	silent  bool // it does not want to be asked
	queries int
}

func (p *termsOf) Authorize(_ context.Context, a Action, _ Request) (Permit, error) {
	p.queries++
	if a == ActionPublish {
		return Permit{Terms: p.terms}, nil
	}
	return Permit{}, nil
}

func (p *termsOf) Asks(Action) bool { return !p.silent }

// The resume window of the terms holds, not the configured one.
func TestTermsResume(t *testing.T) {
	for _, c := range []struct {
		configured time.Duration
		terms      *time.Duration
		want       time.Duration
	}{
		{15 * time.Second, nil, 15 * time.Second},
		{15 * time.Second, new(3 * time.Second), 3 * time.Second},
		{15 * time.Second, new(time.Duration(0)), 0},
		{0, new(3 * time.Second), 3 * time.Second},
		{15 * time.Second, new(10 * time.Minute), 10 * time.Minute},
	} {
		change := func(cfg *Config) { cfg.Publish.ResumeWindow = c.configured }
		scene(t, change, &termsOf{terms: Terms{Resume: c.terms}}, func(t *testing.T, h *Hub, j *journal) {
			l := publish(t, h, "a", encoder(1))
			v := play(t, h, "a")
			begin := time.Now()
			l.Release(errors.New("lost"))
			for v.Stream().Ended() == nil && time.Since(begin) < time.Hour {
				time.Sleep(50 * time.Millisecond)
				synctest.Wait()
			}
			if took := time.Since(begin); took < c.want || took > c.want+time.Second {
				t.Errorf("viewers wait for %v, want %v", took, c.want)
			}
			v.Release(nil)
		})
	}
}

// Terms that make no sense are no permit.
func TestTermsRefused(t *testing.T) {
	for _, terms := range []Terms{{Resume: new(-time.Nanosecond)}, {Resume: new(10*time.Minute + 1)}, {Stamps: "sideways"}} {
		scene(t, nil, &termsOf{terms: terms}, func(t *testing.T, h *Hub, _ *journal) {
			_, err := h.Publish(ctx, request("a"))
			wants(t, "publish", err, ErrAuthorizer)
		})
	}
}

func TestTermsCloseIdle(t *testing.T) {
	for _, c := range []struct {
		configured bool
		terms      *bool
		closes     bool
	}{{false, nil, false}, {true, nil, true}, {false, new(true), true}, {true, new(false), false}} {
		change := func(cfg *Config) { cfg.Publish.CloseIdle = c.configured }
		scene(t, change, &termsOf{terms: Terms{CloseIdle: c.terms}}, func(t *testing.T, h *Hub, j *journal) {
			e := encoder(1)
			l := publish(t, h, "a", e)
			stop := feed(l, e)
			time.Sleep(h.Limit(Idle).Age + time.Second)
			synctest.Wait()
			if closed := l.Context().Err() != nil; closed != c.closes {
				t.Errorf("configured %v: closed %v", c.configured, closed)
			}
			if n := len(j.of(Unwatched)); n != 1 {
				t.Errorf("%d times observers are told", n)
			}
			if c.closes {
				lost(t, l, ErrUnwatched)
			}
			l.Release(nil)
			_ = stop()
		})
	}
}

// The stamps of the terms are the stream's, whoever goes on with it.
func TestTermsStamps(t *testing.T) {
	for _, c := range []struct {
		stamps stream.StampMode
		want   func(newest time.Duration) bool
	}{
		{"", func(newest time.Duration) bool { return newest == 360*time.Millisecond }}, // as configured: relative
		{stream.Receive, func(newest time.Duration) bool { return newest > 8*time.Second }},
	} {
		p := &termsOf{terms: Terms{Stamps: c.stamps}}
		scene(t, nil, p, func(t *testing.T, h *Hub, _ *journal) {
			e := encoder(1)
			l := publish(t, h, "a", e)
			for range 9 {
				time.Sleep(time.Second)
				write(t, l, e, 1)
			}
			if newest := l.Stream().Newest(); !c.want(newest) {
				t.Errorf("%q: the newest unit is at %v", c.stamps, newest)
			}
			l.Release(nil)
		})
	}
}

// Sound that the terms drop is no track, nobody waits for it, and yet it says that the publisher lives.
func TestTermsMute(t *testing.T) {
	scene(t, nil, &termsOf{terms: Terms{Audio: new(false)}}, func(t *testing.T, h *Hub, _ *journal) {
		l, err := h.Publish(ctx, request("a"))
		if err != nil {
			t.Fatal(err)
		}
		l.Declare(true, true)
		e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
		var sound []*av.AccessUnit
		for range 20 {
			u := e.Next()
			if u.Track.Kind() == av.Audio {
				sound = append(sound, u)
			}
			if err := l.Write(u); err != nil {
				t.Fatal(err)
			}
		}
		if !l.Stream().Ready() {
			t.Error("viewers wait for sound that does not come")
		}
		v := play(t, h, "a")
		if tracks := v.Stream().Tracks(); len(tracks) != 1 || tracks[0].Kind() != av.Video {
			t.Errorf("%d tracks", len(tracks))
		}
		for range 10 { // longer than a publisher may be silent
			time.Sleep(time.Second)
			if err := l.Write(sound[0]); err != nil {
				t.Fatal(err)
			}
		}
		v.Release(nil)
		l.Release(errors.New("done"))
		if err := l.Write(sound[0]); err == nil {
			t.Error("sound is taken from a publisher that has gone")
		}
	})
}

// Whoever goes on with a stream, its terms hold for viewers who have been there before.
func TestTermsServesWhoHasStayed(t *testing.T) {
	for name, lost := range map[string]bool{"resumed": true, "taken over": false} {
		t.Run(name, func(t *testing.T) {
			p := &termsOf{}
			change := func(cfg *Config) { cfg.Publish.OnConflict = Takeover }
			scene(t, change, p, func(t *testing.T, h *Hub, _ *journal) {
				first := publish(t, h, "a", encoder(1))
				gone := play(t, h, "a")
				q := request("a")
				q.Protocol = "other"
				stays, err := h.Play(ctx, ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				if lost {
					first.Release(errors.New("lost"))
				}
				p.terms.Serves = map[string]bool{"test": false}
				second := publish(t, h, "a", encoder(2))
				synctest.Wait()
				wants(t, "a viewer that is not served any more", gone.Ended(), ErrNotFound)
				if err := stays.Ended(); err != nil {
					t.Errorf("one that is served: %v", err)
				}
				gone.Release(nil)
				stays.Release(nil)
				first.Release(nil)
				second.Release(nil)
			})
		})
	}
}

// Viewers by protocols that a stream is not served by find nothing: what the permit says holds, and where it does not say, what is configured.
func TestTermsServes(t *testing.T) {
	type serves = map[string]bool
	for _, c := range []struct {
		configured, permit  serves
		test, other, unsaid bool
	}{
		{test: true, other: true, unsaid: true},
		{permit: serves{"test": false}, other: true, unsaid: true},
		{configured: serves{"test": false, "other": true}, other: true, unsaid: true},
		{configured: serves{"test": false, "other": false}, permit: serves{"test": true}, test: true, unsaid: true},
		{configured: serves{"test": true, "other": true}, permit: serves{"test": false}, other: true, unsaid: true},
		{configured: serves{"other": false}, permit: serves{"test": false}, unsaid: true},
		{configured: serves{"test": true, "other": false}, permit: serves{"other": true, "unsaid": false}, test: true, other: true},
	} {
		was := maps.Clone(c.configured)
		change := func(cfg *Config) { cfg.Serves = c.configured }
		scene(t, change, &termsOf{terms: Terms{Serves: c.permit}}, func(t *testing.T, h *Hub, j *journal) {
			try := func(protocol string) error {
				q := request("a")
				q.Protocol = protocol
				v, err := h.Play(ctx, ctx, q)
				if err == nil {
					v.Release(nil)
				}
				return err
			}
			got := make(chan error, 1)
			go func() { got <- try("test") }() // waits before there is a publisher
			synctest.Wait()
			l := publish(t, h, "a", encoder(1))
			judge := func(what string, err error, may bool) {
				t.Helper()
				if may && err != nil || !may && !errors.Is(err, ErrNotFound) {
					t.Errorf("configured %v, permit %v: %s: %v, want %v", c.configured, c.permit, what, err, may)
				}
			}
			judge("who has waited", <-got, c.test)
			want := serves{"test": c.test, "other": c.other, "unsaid": c.unsaid}
			for protocol, may := range want {
				judge(protocol, try(protocol), may)
				for _, s := range h.Snapshot().Streams {
					if s.Terms.ServedBy(protocol) != may {
						t.Errorf("configured %v, permit %v: %s in the snapshot: %v", c.configured, c.permit, protocol, !may)
					}
				}
			}
			if _, viewers := h.Sessions(); viewers != 0 {
				t.Errorf("%d viewers", viewers)
			}
			l.Finish(nil)
			synctest.Wait()
			for _, e := range append(j.of(Opened), j.of(Closed)...) {
				if e.Terms.ServedBy("test") != c.test || e.Terms.ServedBy("other") != c.other || e.Terms.Audio == nil {
					t.Errorf("configured %v, permit %v: %s with %+v", c.configured, c.permit, e.Kind, e.Terms)
				}
			}
			if n := len(j.of(Opened)) + len(j.of(Closed)); n != 2 {
				t.Errorf("%d events", n)
			}
		})
		if !maps.Equal(was, c.configured) {
			t.Errorf("the configuration was changed: %v, and it was %v", c.configured, was)
		}
	}
}

// What is configured while a stream runs holds for the next publisher, of its own stream too.
func TestTermsConfigured(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		serves := func(name string) bool {
			t.Helper()
			v, err := h.Play(ctx, ctx, request(name))
			if err == nil {
				v.Release(nil)
			} else if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			return err == nil
		}
		running := publish(t, h, "running", encoder(1))
		stays := play(t, h, "running")
		h.Configure(config(func(c *Config) { c.Serves = map[string]bool{"test": false} }))
		next := publish(t, h, "next", encoder(1))
		if !serves("running") || serves("next") {
			t.Errorf("off by now: the running stream is served %v, the next one %v", serves("running"), serves("next"))
		}
		running.Release(nil)
		again := publish(t, h, "running", encoder(2)) // its viewer has waited for it
		synctest.Wait()
		if serves("running") || !errors.Is(stays.Ended(), ErrNotFound) {
			t.Errorf("resumed: it is served %v, and who watched has left: %v", serves("running"), stays.Ended())
		}
		h.Configure(config(nil))
		if serves("next") {
			t.Error("on by now, and a stream that was there is served")
		}
		next.Finish(nil)
		next = publish(t, h, "next", encoder(2))
		if !serves("next") {
			t.Error("on again, and the next stream is not served")
		}
		stays.Release(nil)
		again.Finish(nil)
		next.Finish(nil)
	})
}

// Sound is dropped where that is configured and the permit does not say otherwise, and kept where the permit says so.
func TestTermsAudio(t *testing.T) {
	for _, c := range []struct {
		configured bool
		permit     *bool
		tracks     int
	}{{true, nil, 2}, {false, nil, 1}, {true, new(false), 1}, {false, new(true), 2}} {
		change := func(cfg *Config) { cfg.Publish.Audio = c.configured }
		scene(t, change, &termsOf{terms: Terms{Audio: c.permit}}, func(t *testing.T, h *Hub, _ *journal) {
			l, err := h.Publish(ctx, request("a"))
			if err != nil {
				t.Fatal(err)
			}
			h.Configure(config(func(cfg *Config) { cfg.Publish.Audio = !c.configured })) // for those that come later
			l.Declare(true, true)
			e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
			write(t, l, e, 20)
			if got := len(l.Stream().Tracks()); got != c.tracks || !l.Stream().Ready() {
				t.Errorf("configured %v: %d tracks, want %d; ready %v", c.configured, got, c.tracks, l.Stream().Ready())
			}
			l.Finish(nil)
		})
	}
}

// The probe sees all that there is, whatever is configured: it is to find out whether the server works.
func TestTermsOfProbe(t *testing.T) {
	scene(t, func(c *Config) {
		c.Probe, c.Publish.Audio, c.Serves = "token", false, map[string]bool{"test": false}
	}, nil, func(t *testing.T, h *Hub, _ *journal) {
		q := request("a")
		q.Key = Key{VHost: DefaultVHost, App: ProbeApp, Name: "token-1"}
		l, err := h.Publish(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		l.Declare(true, true)
		write(t, l, sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}), 20)
		v, err := h.Play(ctx, ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(v.Stream().Tracks()); n != 2 {
			t.Errorf("%d tracks", n)
		}
		v.Release(nil)
		l.Finish(nil)
	})
}

// stories are the kinds of events about streams' life, in order.
func (j *journal) story() (told []EventKind) {
	synctest.Wait()
	for _, e := range j.all() {
		switch e.Kind {
		case Opened, Closed, Lapsed, Resumed:
			told = append(told, e.Kind)
		case Published, Unpublished, Played, Stopped, Wanted, Unwatched, Duel, Ghost, Stuck, Mute: // others
		}
	}
	return told
}

// Observers are told once that a stream can be watched, whoever goes on with it, and once that it has ended.
func TestOpened(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *Config)
		play   func(t *testing.T, h *Hub)
		want   []EventKind
	}{
		"nothing comes": {play: func(t *testing.T, h *Hub) {
			publish(t, h, "a", nil).Release(nil)
		}},
		"clean": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			publish(t, h, "a", encoder(1)).Finish(nil)
		}},
		"unclean, unwatched": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			publish(t, h, "a", encoder(1)).Release(nil)
		}},
		"lapsed": {want: []EventKind{Opened, Lapsed, Closed}, play: func(t *testing.T, h *Hub) {
			l := publish(t, h, "a", encoder(1))
			v := play(t, h, "a")
			l.Release(nil)
			time.Sleep(time.Minute)
			v.Release(nil)
		}},
		"resumed": {want: []EventKind{Opened, Lapsed, Resumed, Closed}, play: func(t *testing.T, h *Hub) {
			l := publish(t, h, "a", encoder(1))
			v := play(t, h, "a")
			l.Release(nil)
			time.Sleep(5 * time.Second)
			l = publish(t, h, "a", encoder(2))
			v.Release(nil)
			l.Finish(nil)
		}},
		"taken over": {change: takeover, want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			old := publish(t, h, "a", encoder(1))
			l := publish(t, h, "a", encoder(2))
			old.Release(nil)
			l.Finish(nil)
		}},
		"again": {want: []EventKind{Opened, Closed, Opened, Closed}, play: func(t *testing.T, h *Hub) {
			publish(t, h, "a", encoder(1)).Finish(nil)
			publish(t, h, "a", encoder(1)).Finish(nil)
		}},
		"ended": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			l := publish(t, h, "a", encoder(1))
			go func() { <-l.Context().Done(); l.Release(nil) }()
			if err := h.End(ctx, key("a")); err != nil {
				t.Fatal(err)
			}
		}},
		"silent": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			l := publish(t, h, "a", encoder(1))
			time.Sleep(h.Limit(Steady).Silence + time.Second)
			l.Release(nil)
		}},
		"the server ends": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			l := publish(t, h, "a", encoder(1))
			h.Close()
			l.Release(nil)
		}},
		// A declared kind that does not come: it is ready by time, and the hub's loop notices, though no unit comes.
		"late": {want: []EventKind{Opened, Closed}, play: func(t *testing.T, h *Hub) {
			l, err := h.Publish(ctx, request("a"))
			if err != nil {
				t.Fatal(err)
			}
			l.Declare(true, true)
			e := encoder(1)
			stop := feed(l, e)
			time.Sleep(20 * time.Second)
			l.Finish(nil)
			_ = stop()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, c.change, nil, func(t *testing.T, h *Hub, j *journal) {
				c.play(t, h)
				if told := j.story(); !slices.Equal(told, c.want) {
					t.Errorf("told of %v, want %v", told, c.want)
				}
				opened, closed := j.of(Opened), j.of(Closed)
				for i := range opened {
					if o, c := opened[i], closed[i]; o.Session.Key != key("a") || o.Epoch == 0 || c.Epoch < o.Epoch || c.Cause == nil {
						t.Errorf("%+v; %+v", o, c)
					}
				}
			})
		})
	}
}

// A viewer that waits is dismissed, with the cause.
func TestDismiss(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		got := make(chan error, 1)
		wait := func() Event {
			go func() {
				v, err := h.Play(ctx, ctx, request("a"))
				if err == nil {
					defer v.Release(nil)
					if time.Sleep(10 * time.Second); v.Ended() != nil {
						err = v.Ended()
					}
				}
				got <- err
			}()
			synctest.Wait()
			all := j.of(Wanted)
			return all[len(all)-1]
		}
		begin, e := time.Now(), wait()
		e.Dismiss(ErrDenied)
		wants(t, "dismissed", <-got, ErrDenied)
		e.Dismiss(ErrDenied) // does nothing any more
		if time.Since(begin) != 0 {
			t.Errorf("it takes %v", time.Since(begin))
		}
		e = wait()
		l := publish(t, h, "a", encoder(1))
		synctest.Wait()
		e.Dismiss(ErrDenied) // the stream has come
		wants(t, "dismissed too late", <-got, nil)
		e.Dismiss(ErrDenied) // the viewer has gone
		l.Release(nil)
	})
}

// Dismissing and coming at the same time ends in one of the two.
func TestDismissRace(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		for range 200 {
			got := make(chan error, 1)
			go func() {
				v, err := h.Play(ctx, ctx, request("a"))
				if err == nil {
					v.Release(nil)
				}
				got <- err
			}()
			synctest.Wait()
			all := j.of(Wanted)
			e, done := all[len(all)-1], make(chan struct{})
			go func() { defer close(done); e.Dismiss(ErrDenied) }()
			l := publish(t, h, "a", encoder(1))
			if err := <-got; err != nil && !errors.Is(err, ErrDenied) {
				t.Errorf("%v", err)
			}
			<-done
			l.Finish(nil)
			synctest.Wait()
		}
	})
}

// A stream is ended for lack of viewers if it has none, and is the publisher's that was meant.
func TestEndUnwatched(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		if h.EndUnwatched(key("a"), 1) {
			t.Error("what is not there ends")
		}
		l := publish(t, h, "a", encoder(1))
		v := play(t, h, "a")
		if h.EndUnwatched(key("a"), l.Epoch()) {
			t.Error("a stream with a viewer ends")
		}
		v.Release(nil)
		if h.EndUnwatched(key("a"), l.Epoch()+1) || h.EndUnwatched(key("a"), 0) || h.EndUnwatched(key("b"), l.Epoch()) {
			t.Error("another stream ends")
		}
		lost(t, l, nil)
		if !h.EndUnwatched(key("a"), l.Epoch()) {
			t.Error("it does not end")
		}
		lost(t, l, ErrUnwatched)
		if h.EndUnwatched(key("a"), l.Epoch()) {
			t.Error("it ends twice")
		}
		l.Release(nil)
		if told := j.story(); !slices.Equal(told, []EventKind{Opened, Closed}) {
			t.Errorf("%v", told)
		}

		l = publish(t, h, "a", encoder(1)) // lost, and waited for
		v = play(t, h, "a")
		l.Release(nil)
		v.Release(nil)
		if h.EndUnwatched(key("a"), l.Epoch()) {
			t.Error("a stream without publisher ends")
		}
	})
}

// What is described of one stream is what a snapshot says.
func TestDescribe(t *testing.T) {
	p := &termsOf{terms: Terms{Resume: new(20 * time.Second)}}
	scene(t, nil, p, func(t *testing.T, h *Hub, _ *journal) {
		if _, _, ok := h.Describe(key("a")); ok {
			t.Error("what is not there is described")
		}
		l := publish(t, h, "a", encoder(1))
		other := publish(t, h, "b", encoder(1))
		v, w := play(t, h, "a"), play(t, h, "b")
		check := func(what string, viewers int, published bool) {
			t.Helper()
			time.Sleep(time.Second + tick + tick/5) // a snapshot is as old as that; between two turns of the judge
			got, at, ok := h.Describe(key("a"))
			if !ok || !at.Equal(time.Now()) {
				t.Fatalf("%s: %v, %v", what, ok, at)
			}
			var want StreamInfo
			for _, s := range h.Snapshot().Streams {
				if s.Key == key("a") {
					want = s
				}
			}
			if len(got.Viewers) != viewers || len(want.Viewers) != viewers || (got.Publisher != nil) != published || (want.Publisher != nil) != published {
				t.Errorf("%s: %d viewers, %d; publisher %v, %v", what, len(got.Viewers), len(want.Viewers), got.Publisher, want.Publisher)
			}
			if got.Key != want.Key || got.Epoch != want.Epoch || !got.Started.Equal(want.Started) || got.Ready != want.Ready || got.Left != want.Left ||
				got.Stats.Bytes != want.Stats.Bytes || got.Origin == nil || want.Origin == nil || got.Origin.ID != want.Origin.ID ||
				got.Terms.Resume == nil || want.Terms.Resume != got.Terms.Resume {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		check("it plays", 1, true)
		l.Release(nil)
		check("it is lost", 1, false)
		v.Release(nil)
		w.Release(nil)
		other.Release(nil)
		synctest.Wait()
	})
}

// Who does not want to be asked is not: then everything is allowed, and a healthy owner's rival is refused by a look, as if nobody had been
// there to be asked.
func TestAsks(t *testing.T) {
	p := &termsOf{silent: true, terms: Terms{Audio: new(false)}}
	scene(t, reject, p, func(t *testing.T, h *Hub, _ *journal) {
		e := encoder(1)
		l := publish(t, h, "a", e)
		play(t, h, "a").Release(nil)
		_, err := h.Publish(ctx, request("a"))
		wants(t, "a rival", err, ErrBusy)
		if p.queries != 0 {
			t.Errorf("asked %d times", p.queries)
		}
		p.silent = false
		play(t, h, "a").Release(nil)
		q := requestFrom("a", 7)
		_, err = h.Publish(ctx, q)
		wants(t, "another rival", err, ErrBusy)
		if p.queries != 2 {
			t.Errorf("asked %d times", p.queries)
		}
		l.Release(nil)
	})
}
