package hub

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
)

// jam is a muxer that hangs while its gate is shut, with the lock of its stream.
type jam struct {
	null
	gate *gate
}

type gate struct{ shut atomic.Pointer[chan struct{}] }

func (g *gate) close() {
	c := make(chan struct{})
	g.shut.Store(&c)
}

func (g *gate) open() {
	if c := g.shut.Swap(nil); c != nil {
		close(*c)
	}
}

func (w jam) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if c := w.gate.shut.Load(); c != nil {
		<-*c
	}
	return w.null.Unit(dst, tracks, u)
}

// watched is a scene under the eyes of a guard, and of a healer that does what it says. In the end no cell is left.
func watched(t *testing.T, change func(c *Config), f func(t *testing.T, h *Hub, j *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j, b := &journal{}, watch.NewBoard()
		h := New(config(change), nil, j)
		h.Watch(b)
		guard := watch.NewGuard(watch.GuardOptions{Board: b})
		healer := watch.NewHealer(watch.HealerOptions{})
		watching, end := context.WithCancel(ctx)
		var watchers sync.WaitGroup
		watchers.Go(func() { _ = guard.Run(watching) })
		watchers.Go(func() { _ = healer.Run(watching, guard.Findings()) })
		stop := run(h)
		synctest.Wait()
		f(t, h, j)
		h.Close()
		synctest.Wait()
		stop()
		end()
		watchers.Wait()
		empty(t, h)
		j.check(t)
		if n := h.figures.read().Orphans; n != 0 {
			t.Errorf("%d orphans", n)
		}
		if left := b.States(); len(left) > 0 {
			t.Errorf("cells are left: %+v", left)
		}
	})
}

// watchThrough plays and has what it gets made by a muxer that can be made to hang.
func watchThrough(t *testing.T, h *Hub, name string, g *gate) *Viewing {
	t.Helper()
	v := play(t, h, name)
	if _, err := v.Watch("x", func() stream.Muxer { return jam{gate: g} }); err != nil {
		t.Fatal(err)
	}
	return v
}

// A publisher's unit hangs on its way into the stream. The publisher and its viewers are told to end, the key is free, and nobody else
// notices: not another key, not the judges, not those whose viewers close. What comes back to itself finds that it is over.
func TestStuckPublisher(t *testing.T) {
	for _, silence := range []time.Duration{5 * time.Second, time.Hour} {
		watched(t, func(c *Config) { c.Publish.OnConflict, c.Publish.MaxSilence = Reject, silence }, func(t *testing.T, h *Hub, j *journal) {
			other := publish(t, h, "b", nil)
			stopOther := feed(other, encoder(1))
			w := play(t, h, "b")
			g := &gate{}
			l := publish(t, h, "a", encoder(0))
			v, gone := watchThrough(t, h, "a", g), watchThrough(t, h, "a", g)
			stop := feed(l, encoder(0))
			time.Sleep(time.Second)
			g.close()
			begin := time.Now()
			time.Sleep(time.Second)
			gone.Release(nil) // a shard does that, and must not hang
			_, err := h.Publish(ctx, request("a"))
			wants(t, "another publisher", err, ErrBusy)
			<-l.Context().Done()
			if took := time.Since(begin); took < 4500*time.Millisecond || took > 5500*time.Millisecond {
				t.Errorf("it is ended after %v", took)
			}
			time.Sleep(tick + time.Millisecond)
			lost(t, l, ErrStuck)
			wants(t, "the viewer", context.Cause(v.Context()), ErrStuck)
			if Reason(context.Cause(l.Context())) != "stuck" {
				t.Error(Reason(context.Cause(l.Context())))
			}
			v.Release(context.Cause(v.Context()))
			next := publish(t, h, "a", encoder(2)) // at once
			if next.Stream() == l.Stream() {
				t.Error("the next one is put into the stream that hangs")
			}
			watchThrough(t, h, "a", &gate{}).Release(nil)
			stopNext := feed(next, encoder(2))
			time.Sleep(time.Minute)
			lost(t, next, nil)
			lost(t, other, nil)
			wants(t, "another key's viewer", context.Cause(w.Context()), nil)
			if d := h.Stalled(); d > tick {
				t.Errorf("nobody judges since %v", d)
			}
			s := j.of(Stuck)
			if len(s) != 1 || s[0].Session.ID != l.session.Session || s[0].Epoch != l.Epoch() || !errors.Is(s[0].Cause, ErrStuck) {
				t.Errorf("%+v", s)
			}
			for _, st := range h.board.States() {
				if st.Session == l.session.Session && st.Class != watch.Abandoned {
					t.Errorf("it still counts as stuck: %+v", st)
				}
			}
			if l.Stream().Ended() != nil {
				t.Error("the stream has ended, though somebody hangs in it: who ends it must have waited")
			}
			g.open()
			wants(t, "the write that hung", stop(), ErrStuck)
			wants(t, "its stream", l.Stream().Ended(), ErrStuck)
			l.Release(nil)
			wants(t, "the next", stopNext(), nil)
			wants(t, "the other", stopOther(), nil)
			for _, l := range []*Lease{next, other} {
				l.Release(nil)
			}
			w.Release(nil)
		})
	}
}

// hang has a publisher of a key hang until it was given up. The returned function lets it go on.
func hang(t *testing.T, h *Hub, name string) (release func()) {
	t.Helper()
	g := &gate{}
	l := publish(t, h, name, encoder(0))
	v := watchThrough(t, h, name, g)
	g.close()
	stop := feed(l, encoder(0))
	<-l.Context().Done()
	lost(t, l, ErrStuck)
	synctest.Wait()
	v.Release(nil)
	return func() {
		g.open()
		wants(t, "the write that hung", stop(), ErrStuck)
		l.Release(nil)
	}
}

// A key that hangs twice within a minute is refused for half a minute; others are not, and later it is not.
func TestQuarantine(t *testing.T) {
	for between, want := range map[time.Duration]error{0: ErrQuarantined, 50 * time.Second: ErrQuarantined, 62 * time.Second: nil} {
		watched(t, nil, func(t *testing.T, h *Hub, _ *journal) {
			one := hang(t, h, "a")
			time.Sleep(between)
			two := hang(t, h, "a")
			l, err := h.Publish(ctx, request("a"))
			wants(t, "after "+between.String(), err, want)
			if err == nil {
				l.Release(nil)
			} else if Reason(err) != "quarantined" {
				t.Error(Reason(err))
			}
			publish(t, h, "b", nil).Release(nil)
			time.Sleep(quarantine - time.Second)
			if l, err = h.Publish(ctx, request("a")); err == nil {
				l.Release(nil)
			}
			wants(t, "near its end", err, want)
			time.Sleep(2 * time.Second)
			publish(t, h, "a", nil).Release(nil)
			one()
			two()
			time.Sleep(2 * strikeSpan)
			h.locked(func() {
				if len(h.strikes) > 0 {
					t.Errorf("%v", h.strikes)
				}
			})
		})
	}
}

// What is remembered of keys that hang is bounded.
func TestStrikesAreBounded(t *testing.T) {
	h := New(DefaultConfig(), nil)
	h.change(func(*aftermath) {
		for i := range strikesMax + 10 {
			h.now.Add(int64(time.Millisecond))
			_ = h.strike(key(strconv.Itoa(i)))
		}
		_, oldest := h.strikes[key("9")]
		_, newest := h.strikes[key(strconv.Itoa(strikesMax+9))]
		if len(h.strikes) != strikesMax || oldest || !newest {
			t.Errorf("%d are remembered", len(h.strikes))
		}
	})
}

// Who stands by, challenges or takes over goes on beside what hangs, not behind it.
func TestStuckIsAvoided(t *testing.T) {
	for _, policy := range []Policy{Standby, Challenge, Takeover} {
		watched(t, func(c *Config) { c.Publish.OnConflict = policy }, func(t *testing.T, h *Hub, j *journal) {
			g := &gate{}
			l := publish(t, h, "a", encoder(0))
			v := watchThrough(t, h, "a", g)
			g.close()
			stop := feed(l, encoder(0))
			time.Sleep(1200 * time.Millisecond)
			next := take(t, h, request("a"))
			stopNext := feed(next, encoder(1))
			time.Sleep(3 * time.Second)
			if next.Epoch() <= l.Epoch() || next.Stream() == l.Stream() || !next.well() {
				t.Errorf("%s: the next has epoch %d, and is well: %v", policy, next.Epoch(), next.well())
			}
			lost(t, l, ErrStuck)
			wants(t, "the viewer", context.Cause(v.Context()), ErrStuck)
			v.Release(nil)
			time.Sleep(time.Minute)
			lost(t, next, nil)
			if s := j.of(Stuck); len(s) != 1 || s[0].Viewers != 1 {
				t.Errorf("%s: %+v", policy, s)
			}
			g.open()
			wants(t, "the write that hung", stop(), ErrStuck)
			l.Release(nil)
			wants(t, "the next", stopNext(), nil)
			next.Finish(nil)
		})
	}
}

// The stream hangs for the second time while others wait for the key: they are refused with it.
func TestQuarantineRefusesRivals(t *testing.T) {
	watched(t, standby, func(t *testing.T, h *Hub, _ *journal) {
		one := hang(t, h, "a")
		g := &gate{}
		l := publish(t, h, "a", encoder(0))
		v := watchThrough(t, h, "a", g)
		by := take(t, h, request("a"))
		stopBy := feed(by, sim.New(sim.Options{Audio: av.AAC})) // that never steps in: it has announced pictures
		g.close()
		stop := feed(l, encoder(0))
		<-l.Context().Done()
		synctest.Wait()
		lost(t, by, ErrQuarantined)
		wants(t, "who stood by", stopBy(), ErrQuarantined)
		v.Release(nil)
		by.Release(nil)
		g.open()
		wants(t, "the write that hung", stop(), ErrStuck)
		l.Release(nil)
		one()
	})
}

// A unit that takes long but goes through in the end is nobody's end, also when the finding comes too late.
func TestSlowIsNotStuck(t *testing.T) {
	watched(t, func(c *Config) { c.Publish.MaxSilence = time.Hour }, func(t *testing.T, h *Hub, j *journal) {
		g := &gate{}
		l := publish(t, h, "a", encoder(0))
		v := watchThrough(t, h, "a", g)
		stop := feed(l, encoder(0))
		for range 10 {
			g.close()
			time.Sleep(4 * time.Second)
			g.open()
			synctest.Wait()
			l.heal(watch.Finding{})
			time.Sleep(time.Second)
		}
		wants(t, "the publisher", stop(), nil)
		wants(t, "the viewer", context.Cause(v.Context()), nil)
		if s := j.of(Stuck); len(s) > 0 {
			t.Errorf("%+v", s)
		}
		l.Release(nil)
		v.Release(nil)
	})
}

// Viewers that close while a unit is on its way are closed when it has got through: what nobody watches is not muxed for ever.
func TestLateClose(t *testing.T) {
	watched(t, nil, func(t *testing.T, h *Hub, _ *journal) {
		g := &gate{}
		l := publish(t, h, "a", encoder(0))
		all := []*Viewing{watchThrough(t, h, "a", g), watchThrough(t, h, "a", g), watchThrough(t, h, "a", g)}
		stop := feed(l, encoder(0))
		time.Sleep(time.Second)
		g.close()
		time.Sleep(100 * time.Millisecond)
		for _, v := range all {
			v.Release(nil)
		}
		g.open()
		time.Sleep(time.Minute)
		if n := l.Stream().Stats().Shares; n != 0 {
			t.Errorf("%d formats are muxed for nobody", n)
		}
		wants(t, "the publisher", stop(), nil)
		l.Release(nil)
	})
}

// A judge that hangs is replaced; when it goes on it notices that, and judges no more.
func TestStuckJudge(t *testing.T) {
	watched(t, func(c *Config) { c.Publish.MaxSilence = 5 * time.Second }, func(t *testing.T, h *Hub, _ *journal) {
		hangs := make(chan struct{})
		l := publish(t, h, "a", nil)
		end := l.session.end
		h.locked(func() { l.session.end = func(err error) { <-hangs; end(err) } }) // so that the judge hangs when it ends the lease
		time.Sleep(10 * time.Second)
		if d := h.Stalled(); d < 4*time.Second {
			t.Fatalf("the judge has judged %v ago", d)
		}
		time.Sleep(6 * time.Second)
		if d := h.Stalled(); d > tick {
			t.Errorf("nobody has judged for %v", d)
		}
		next := publish(t, h, "b", nil)
		time.Sleep(6 * time.Second)
		lost(t, next, ErrSilent) // so somebody judges
		next.Release(nil)
		count := func() (judges, abandoned int) {
			for _, s := range h.board.States() {
				if s.Class == watch.Registry {
					judges++
				}
				if s.Class == watch.Abandoned {
					abandoned++
				}
			}
			return judges, abandoned
		}
		if n, m := count(); n != 1 || m != 1 {
			t.Errorf("%d judges, %d abandoned", n, m)
		}
		close(hangs)
		synctest.Wait()
		lost(t, l, ErrSilent)
		h.locked(func() { l.session.end = end })
		l.Release(nil)
		before := h.now.Load()
		time.Sleep(time.Minute)
		if d := time.Duration(h.now.Load() - before); d > time.Minute+tick || d < time.Minute-tick {
			t.Errorf("in a minute %v were judged: by more than one?", d)
		}
		if n, m := count(); n != 1 || m != 0 {
			t.Errorf("%d judges, %d abandoned", n, m)
		}
	})
}

// Judges that all hang are so many at the most, and all end when they can.
func TestStuckJudgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watch.NewBoard()
		h := New(DefaultConfig(), nil)
		h.Watch(b)
		guard := watch.NewGuard(watch.GuardOptions{Board: b})
		watching, end := context.WithCancel(ctx)
		go func() { _ = guard.Run(watching) }()
		stop, hangs, leases := run(h), make(chan struct{}), []*Lease(nil)
		for i := range 10 {
			l := publish(t, h, strconv.Itoa(i), nil)
			end := l.session.end
			h.locked(func() { l.session.end = func(err error) { <-hangs; end(err) } }) // another judge hangs when it ends this one
			leases = append(leases, l)
			time.Sleep(15 * time.Second)
			for len(guard.Findings()) > 0 {
				if f := <-guard.Findings(); f.Stage == watch.Acted && f.Label.Class == watch.Registry {
					f.Label.Heal(f)
				}
			}
		}
		n := 0
		for _, s := range b.States() {
			if s.Class == watch.Abandoned {
				n++
			}
		}
		if n != hungMost {
			t.Errorf("%d judges were replaced, want %d", n, hungMost)
		}
		close(hangs)
		time.Sleep(time.Second)
		if d := h.Stalled(); d > tick {
			t.Errorf("nobody has judged for %v", d)
		}
		for _, l := range leases {
			l.Release(nil)
		}
		stop()
		end()
		synctest.Wait()
		if left := b.States(); len(left) > 0 {
			t.Errorf("%+v", left)
		}
	})
}

// An observer that hangs holds up the events, which the watch sees; many that are seen to one by one do not look like that.
func TestStuckObserver(t *testing.T) {
	for _, hangs := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b, open := watch.NewBoard(), make(chan struct{})
			h := New(DefaultConfig(), nil, observer(func(Event) {
				if hangs {
					<-open
				} else {
					time.Sleep(time.Second)
				}
			}))
			h.Watch(b)
			guard := watch.NewGuard(watch.GuardOptions{Board: b})
			watching, end := context.WithCancel(ctx)
			go func() { _ = guard.Run(watching) }()
			stop := run(h)
			for range 10 {
				publish(t, h, "a", nil).Release(nil)
			}
			time.Sleep(10 * time.Second)
			var found []watch.Stage
			for len(guard.Findings()) > 0 {
				if f := <-guard.Findings(); f.Label.Class == watch.Timer {
					found = append(found, f.Stage)
				}
			}
			if want := []watch.Stage{watch.Warned, watch.Bundled}; hangs && !slices.Equal(found, want) || !hangs && len(found) > 0 {
				t.Errorf("hangs: %v, found %v", hangs, found)
			}
			close(open)
			stop()
			end()
			synctest.Wait()
		})
	}
}

type observer func(Event)

func (o observer) Observe(e Event) { o(e) }

// Publishers come, write and are left by others while they write, under the guard's eyes: for the race detector. No cell is left, none is
// given back twice, and none is touched by a writer that it is not the cell of any more.
func TestWatchedConcurrently(t *testing.T) {
	b := watch.NewBoard()
	h := New(config(takeover), nil)
	h.Watch(b)
	guard := watch.NewGuard(watch.GuardOptions{Board: b})
	watching, end := context.WithCancel(ctx)
	guarded := make(chan struct{})
	go func() { defer close(guarded); _ = guard.Run(watching) }()
	stop := run(h)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			e := encoder(byte(i))
			for n := range 400 {
				l, err := h.Publish(ctx, requestFrom(strconv.Itoa(i%4), i))
				if err != nil {
					continue // a duel: it is held
				}
				var writer sync.WaitGroup
				writer.Go(func() {
					for l.Write(e.Next()) == nil && n%3 == 0 {
					}
				})
				if n%2 == 0 {
					l.Release(nil) // while it writes
				}
				l.unwatch()
				l.Finish(nil)
				writer.Wait()
				if s := l.step.Load(); s != returned {
					t.Errorf("the writer has gone and the cell's state is %d", s)
				}
			}
		})
	}
	all.Wait()
	h.Close()
	stop()
	end()
	<-guarded
	if left := b.States(); len(left) > 0 {
		t.Errorf("%d cells are left: %+v", len(left), left)
	}
	empty(t, h)
}

// A lease that is left while its writer hangs leaves the cell to it, and another lease gets another.
func TestCellIsTheWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watch.NewBoard()
		h := New(config(func(c *Config) { c.Publish.ResumeWindow = 0 }), nil)
		h.Watch(b)
		g := &gate{}
		l := publish(t, h, "a", encoder(0))
		v := watchThrough(t, h, "a", g)
		g.close()
		stop := feed(l, encoder(0))
		synctest.Wait()
		l.Release(nil)
		l.Finish(nil)
		next := publish(t, h, "b", encoder(0))
		if next.cell == l.cell {
			t.Error("it is another's while its writer may touch it")
		}
		g.open()
		if err := stop(); err == nil {
			t.Error("it goes on")
		}
		if s := b.States(); len(s) != 1 || s[0].Name != "live/b" || s[0].Class != watch.Fanout || s[0].Session == "" {
			t.Errorf("%+v", s)
		}
		v.Release(nil)
		next.Release(nil)
		if refused, err := h.Publish(gone(), request("b")); err == nil { // one that does not come to be
			refused.Release(nil)
			t.Error("one that has gone is let in")
		}
		if s := b.States(); len(s) > 0 {
			t.Errorf("%+v", s)
		}
	})
}

// BenchmarkWrite is what a unit costs in the hub and the stream, when nobody watches it.
func BenchmarkWrite(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run("watched="+strconv.FormatBool(watched), func(b *testing.B) {
			h := New(DefaultConfig(), nil)
			if watched {
				h.Watch(watch.NewBoard())
			}
			l := take(b, h, request("a"))
			defer l.Release(nil)
			u := encoder(0).Next()
			b.ReportAllocs()
			for b.Loop() {
				unit := *u
				unit.DTS += 40 * time.Millisecond
				if err := l.Write(&unit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
