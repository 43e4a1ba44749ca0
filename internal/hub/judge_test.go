package hub

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func window(d time.Duration) func(c *Config) { return func(c *Config) { c.Publish.ResumeWindow = d } }

// A stream whose publisher was lost waits for the window to pass, and not two ticks longer, wherever in a tick that was.
func TestResumeWindow(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 3100 * time.Millisecond, 15 * time.Second} {
		for at := time.Duration(0); at < tick; at += 50 * time.Millisecond {
			scene(t, window(d), nil, func(t *testing.T, h *Hub, j *journal) {
				time.Sleep(at)
				l := publish(t, h, "a", encoder(0))
				v := play(t, h, "a")
				l.Release(errPeer)
				s := h.Snapshot().Streams[0]
				if s.Publisher != nil || s.Epoch != 0 || s.Left < d || s.Left > d+tick || len(s.Viewers) != 1 {
					t.Errorf("%+v", s)
				}
				begin := time.Now()
				for v.Stream().Ended() == nil && time.Since(begin) < time.Minute {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(begin); took < d || took > d+2*tick {
					t.Errorf("a window of %v has taken %v", d, took)
				}
				wants(t, "the viewers' stream", v.Stream().Ended(), ErrUnpublished)
				wants(t, "the viewers' stream", v.Stream().Ended(), errPeer) // and why it has gone
				lapsed := j.of(Lapsed)
				if f := h.figures.read(); f.Lapses != 1 || f.Resumes != 0 || len(lapsed) != 1 || lapsed[0].Viewers != 1 {
					t.Errorf("%+v, %v", f, lapsed)
				}
				v.Release(nil)
			})
		}
	}
}

// Another encoder goes on within the window, by another protocol and with other tracks: it is the same stream to its viewers.
func TestResume(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 14 * time.Second, 15 * time.Second} {
		scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
			e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
			q := request("a")
			q.Protocol = "one"
			l := take(t, h, q)
			l.Declare(true, true)
			write(t, l, e, 40)
			v := play(t, h, "a")
			w := play(t, h, "a")
			r, c := v.Stream().NewReader(), &sim.Checker{}
			drain(t, r, c)
			l.Release(errPeer)
			time.Sleep(after)
			late := play(t, h, "a") // while nobody publishes
			q = request("a")
			q.Protocol = "other"
			l2 := take(t, h, q)
			e2 := sim.New(sim.Options{Video: av.H265, GOP: 10, Origin: 1, Start: time.Hour})
			write(t, l2, e2, 25)
			if n := drain(t, r, c); n != 25 { // the checker demands the key, and that DTS rises
				t.Errorf("%d units after the splice", n)
			}
			if l2.Stream() != v.Stream() || w.Stream() != v.Stream() || late.Stream() != v.Stream() || l2.Epoch() <= l.Epoch() {
				t.Error("it is another stream")
			}
			if tracks := v.Stream().Tracks(); len(tracks) != 1 || tracks[0].Codec != av.H265 {
				t.Errorf("tracks %v", tracks)
			}
			resumed := j.of(Resumed)
			if f := h.figures.read(); f.Resumes != 1 || f.Takeovers != 0 || len(resumed) != 1 || resumed[0].Viewers != 3 {
				t.Errorf("%+v, %v", f, resumed)
			}
			time.Sleep(4900 * time.Millisecond) // the old window has passed
			if v.Stream().Ended() != nil {
				t.Errorf("%v", v.Stream().Ended())
			}
			l2.Finish(nil)
			wants(t, "the viewers' stream", v.Stream().Ended(), ErrUnpublished)
			for _, v := range []*Viewing{v, w, late} {
				v.Release(nil)
			}
		})
	}
}

// What ends at once: a clean end, a stream that nobody watches, one that had no media yet, all of them without a window.
func TestEndsAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		window  time.Duration
		watched bool
		end     func(l *Lease)
	}{
		"clean":           {15 * time.Second, true, func(l *Lease) { l.Finish(io.EOF) }},
		"clean, twice":    {15 * time.Second, true, func(l *Lease) { l.Finish(io.EOF); l.Release(errPeer) }},
		"unwatched":       {15 * time.Second, false, func(l *Lease) { l.Release(errPeer) }},
		"no window":       {0, true, func(l *Lease) { l.Release(errPeer) }},
		"under pressure":  {15 * time.Second, true, func(l *Lease) { l.hub.SetPressure(Shed); l.Release(errPeer) }},
		"while it closes": {15 * time.Second, true, func(l *Lease) { l.hub.Close(); l.Release(errPeer) }},
	} {
		scene(t, window(tc.window), nil, func(t *testing.T, h *Hub, _ *journal) {
			l := publish(t, h, "a", encoder(0))
			s := l.Stream()
			v := play(t, h, "a")
			if !tc.watched {
				v.Release(nil)
			}
			tc.end(l)
			l.Release(nil)
			if s.Ended() == nil || len(h.Snapshot().Streams) > 0 || h.figures.read().Lapses > 0 {
				t.Errorf("%s: %v, %+v", name, s.Ended(), h.Snapshot().Streams)
			}
			v.Release(nil)
		})
	}
}

// The viewers leave while the stream waits: nobody holds the name, and it ends with the window.
func TestLapseWithoutViewers(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		l.Release(errPeer)
		v.Release(nil)
		time.Sleep(16 * time.Second)
		empty(t, h)
	})
}

// An owner whose goroutine hangs: it is told to end, and neither writes nor releases.
func TestAuditReleasesOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := New(config(func(c *Config) { c.Publish.MaxSilence = time.Hour }), nil, j)
		defer run(h)()
		l := publish(t, h, "a", encoder(0))
		w := publish(t, h, "b", encoder(0)) // is well
		time.Sleep(time.Minute)
		if n := h.figures.read().Orphans; n != 0 {
			t.Fatalf("%d orphans among the living", n)
		}
		l.session.end(errPeer) // as when the connection ends
		begin := time.Now()
		for len(h.Snapshot().Streams) == 2 && time.Since(begin) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took < orphanAge || took > orphanAge+2500*time.Millisecond {
			t.Errorf("its key is released after %v", took)
		}
		time.Sleep(2 * orphanAge)
		if n := h.figures.read().Orphans; n != 1 {
			t.Errorf("%d orphans are counted, want 1", n)
		}
		if p, _ := h.Sessions(); p != 1 {
			t.Errorf("%d publishers are left", p)
		}
		wants(t, "it writes", l.Write(encoder(0).Next()), errPeer)
		l.Release(nil) // it comes back to itself
		w.Release(nil)
		empty(t, h)
		synctest.Wait()
		j.check(t)
	})
}

// A session that was told to end, and is still there 10 s later, holds no place any more.
func TestAuditDropsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(config(func(c *Config) { takeover(c); c.Limits.Publishers = 2 }), nil)
		defer run(h)()
		hangs := publish(t, h, "a", encoder(0))
		l := publish(t, h, "a", encoder(1))
		time.Sleep(4 * time.Second)
		write(t, l, encoder(1), 1)
		if _, err := h.Publish(ctx, request("b")); !errors.Is(err, ErrLimit) {
			t.Errorf("%v", err)
		}
		time.Sleep(4 * time.Second)
		write(t, l, encoder(1), 1)
		time.Sleep(4500 * time.Millisecond)
		if p, _ := h.Sessions(); p != 1 || h.figures.read().Orphans != 1 {
			t.Errorf("%d publishers, %d orphans", p, h.figures.read().Orphans)
		}
		lost(t, l, nil)
		hangs.Release(nil)
		l.Release(nil)
		empty(t, h)
	})
}

// A viewer that was told to end and is never released, as when whoever sends to it hangs: it holds neither a place nor the stream.
func TestAuditReleasesViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := New(config(func(c *Config) { c.Publish.MaxSilence, c.Limits.Viewers = time.Hour, 2 }), nil, j)
		stop := run(h)
		l := publish(t, h, "a", encoder(0))
		v, w := play(t, h, "a"), play(t, h, "a")
		time.Sleep(time.Minute)
		if n := h.figures.read().Orphans; n != 0 {
			t.Fatalf("%d orphans among the living", n)
		}
		wants(t, "kick", h.Kick(gone(), v.session.Session), context.Canceled)
		begin := time.Now()
		for _, n := h.Sessions(); n == 2 && time.Since(begin) < time.Minute; _, n = h.Sessions() {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took < orphanAge || took > orphanAge+2500*time.Millisecond {
			t.Errorf("it is released after %v", took)
		}
		time.Sleep(2 * orphanAge)
		if n := h.figures.read().Orphans; n != 1 || w.Context().Err() != nil {
			t.Errorf("%d orphans are counted, want 1; the other one: %v", n, w.Context().Err())
		}
		if s := h.Snapshot().Streams; len(s) != 1 || len(s[0].Viewers) != 1 {
			t.Errorf("%+v", s)
		}
		v.Release(nil) // it comes back to itself
		w.Release(nil)
		if stopped := j.of(Stopped); len(stopped) != 2 {
			t.Errorf("%+v", stopped)
		}
		l.Release(nil)
		stop()
		empty(t, h)
		j.check(t)
	})
}

// What the audit finds when the tables do not fit together, which they always should.
func TestAuditFindsOwnerWithoutRecord(t *testing.T) {
	h := New(DefaultConfig(), nil)
	l := publish(t, h, "a", encoder(0))
	h.mu.Lock()
	h.leave(l.session)
	h.mu.Unlock()
	h.audit()
	lost(t, l, ErrUnpublished)
	if n := h.figures.read().Orphans; n != 1 {
		t.Errorf("%d orphans", n)
	}
	empty(t, h)
}

func idle(c *Config) { c.Publish.IdleDelay, c.Publish.CloseIdle = 20*time.Second, true }

func TestCloseIdle(t *testing.T) {
	scene(t, idle, nil, func(t *testing.T, h *Hub, j *journal) {
		l := publish(t, h, "a", nil)
		stop := feed(l, encoder(0))
		time.Sleep(19 * time.Second)
		v := play(t, h, "a") // restarts it
		time.Sleep(time.Minute)
		w := play(t, h, "a")
		v.Release(nil)
		time.Sleep(time.Minute)
		lost(t, l, nil)
		w.Release(nil)
		begin := time.Now()
		<-l.Context().Done()
		if took := time.Since(begin); took < 20*time.Second-tick || took > 20*time.Second+tick {
			t.Errorf("closed after %v", took)
		}
		lost(t, l, ErrUnwatched)
		if e := j.of(Unwatched); len(e) != 1 || e[0].Session.ID != l.session.Session || e[0].Epoch != l.Epoch() {
			t.Errorf("%+v", e)
		}
		_ = stop()
		l.Release(nil)
		empty(t, h)
	})
}

// Reported only: once for each time that nobody watches.
func TestIdleIsReported(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		l := publish(t, h, "a", nil)
		stop := feed(l, encoder(0))
		for want := 1; want <= 3; want++ {
			time.Sleep(time.Minute)
			if n := len(j.of(Unwatched)); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
			v := play(t, h, "a")
			time.Sleep(time.Minute)
			v.Release(nil)
		}
		wants(t, "the owner", stop(), nil)
		l.Release(nil)
	})
}

// Nobody watches: the owner is closed, and so is in its turn the one that stood by.
func TestCloseIdleStandby(t *testing.T) {
	scene(t, func(c *Config) { idle(c); standby(c) }, nil, func(t *testing.T, h *Hub, j *journal) {
		first := publish(t, h, "a", nil)
		stop := feed(first, encoder(0))
		second := take(t, h, request("a"))
		stop2 := feed(second, encoder(1))
		time.Sleep(21 * time.Second)
		lost(t, first, ErrUnwatched)
		_ = stop()
		first.Release(nil)
		if second.Epoch() == 0 {
			t.Error("the second has not stepped in")
		}
		time.Sleep(21 * time.Second)
		lost(t, second, ErrUnwatched)
		if n := len(j.of(Unwatched)); n != 2 {
			t.Errorf("%d events", n)
		}
		_ = stop2()
		second.Release(nil)
	})
}

func TestWanted(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		got := make(chan *Viewing)
		for range 2 {
			go func() { got <- play(t, h, "a") }()
		}
		time.Sleep(time.Second)
		if e := j.of(Wanted); len(e) != 2 || e[0].Session.Key != key("a") || e[0].Session.Action != ActionPlay {
			t.Errorf("%+v", e)
		}
		l := publish(t, h, "a", encoder(0)) // somebody has gone and fetched it
		for range 2 {
			(<-got).Release(nil)
		}
		play(t, h, "a").Release(nil)
		if n := len(j.of(Wanted)); n != 2 {
			t.Errorf("%d events", n)
		}
		l.Release(nil)
	})
}

// A silent track is told of while another of the same stream goes on.
func TestMute(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, j *journal) {
		e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
		l := take(t, h, request("a"))
		l.Declare(true, true)
		for range 20 * 68 {
			u := e.Next()
			time.Sleep(14 * time.Millisecond)
			if u.Track.Kind() == av.Audio && u.DTS > 4*time.Second {
				continue
			}
			if err := l.Write(u); err != nil {
				t.Fatal(err)
			}
		}
		if m := j.of(Mute); len(m) != 1 || m[0].Track.Codec != av.AAC || m[0].Session.ID != l.session.Session {
			t.Errorf("%+v", m)
		}
		l.Release(nil)
	})
}

// The process stands still for a minute: challenges, windows and idle delays stand still with it.
func TestPauseIsGranted(t *testing.T) {
	h := New(config(func(c *Config) { c.Publish.CloseIdle = true }), nil)
	l := publish(t, h, "a", encoder(0))
	lapsed := publish(t, h, "c", encoder(0))
	w := play(t, h, "c")
	lapsed.Release(errPeer)
	h.pass(time.Minute)
	h.judge()
	lost(t, l, nil)
	wants(t, "the stream that waits", w.Stream().Ended(), nil)
	if now := time.Duration(h.now.Load()); now != tick*3/2 {
		t.Errorf("the hub's clock reads %v", now)
	}
	l.Release(nil)
	w.Release(nil)
}

func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(DefaultConfig(), nil)
		stop := run(h)
		time.Sleep(time.Minute)
		if d := h.Stalled(); d > tick {
			t.Errorf("%v while it runs", d)
		}
		stop()
		time.Sleep(time.Minute)
		if d := h.Stalled(); d < time.Minute {
			t.Errorf("%v since it was stopped", d)
		}
	})
}

// Publishers that send nothing do not keep viewers waiting beyond the window.
func TestWindowIsNotRenewedWithoutMedia(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		l.Release(errPeer)
		begin := time.Now()
		for v.Stream().Ended() == nil && time.Since(begin) < time.Minute {
			take(t, h, request("a")).Release(errPeer)
			time.Sleep(time.Second)
		}
		if d := time.Since(begin); d < 15*time.Second || d > 17*time.Second {
			t.Errorf("the stream ends after %v", d)
		}
		v.Release(nil)
	})
}

// A broadcast that nobody publishes, and that nobody waits for, ends at once.
func TestLapseEndsWithItsLastViewer(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		l := publish(t, h, "a", encoder(0))
		v, w := play(t, h, "a"), play(t, h, "a")
		l.Release(errPeer)
		v.Release(nil)
		wants(t, "with one viewer left", w.Stream().Ended(), nil)
		w.Release(nil)
		wants(t, "with none", w.Stream().Ended(), ErrUnpublished)
		empty(t, h)
	})
}

// What is lost beside a standby is told, too.
func TestLapseBesideStandby(t *testing.T) {
	scene(t, func(c *Config) { c.Publish.OnConflict = Standby }, nil, func(t *testing.T, h *Hub, j *journal) {
		l := publish(t, h, "a", encoder(0))
		v := play(t, h, "a")
		s := take(t, h, requestFrom("a", 2))
		l.Release(errPeer)
		write(t, s, encoder(1), 1)
		synctest.Wait()
		if a, b := len(j.of(Lapsed)), len(j.of(Resumed)); a != 1 || b != 1 {
			t.Errorf("%d lapses, %d resumes", a, b)
		}
		v.Release(nil)
		s.Finish(errPeer)
	})
}
