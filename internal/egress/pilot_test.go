package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
)

// keeping is a stream that forgets nothing, and whose viewers do not skip.
func keeping() stream.Options {
	return stream.Options{Units: 1 << 14, Bytes: 1 << 30, Keep: time.Hour, MaxLag: time.Hour}
}

// guarded returns a rig of one shard that is watched, with the board.
func guarded(t *testing.T) (*rig, *watch.Board) {
	t.Helper()
	b := watch.NewBoard()
	r := newRigOf(t, Options{}, keeping(), pictures(), 1, func(e *Egress) { e.Watch(b) })
	guard := watch.NewGuard(watch.GuardOptions{Board: b, Beat: func(p *watch.Pulse) { r.pauses.Store(p.Pauses) }})
	healer := watch.NewHealer(watch.HealerOptions{})
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // ends after Run
	var wg sync.WaitGroup
	wg.Go(func() { _ = guard.Run(ctx) })
	wg.Go(func() { _ = healer.Run(ctx, guard.Findings()) })
	go func() {
		<-r.ran
		cancel()
	}()
	t.Cleanup(wg.Wait) // before the rig's own: it stops Run
	t.Cleanup(func() { r.settle(); r.stop(errStop) })
	return r, b
}

// cells counts the cells that are in use, by class.
func cells(b *watch.Board) (shards, abandoned int) {
	for _, st := range b.States() {
		if st.Class == watch.Abandoned {
			abandoned++
		} else {
			shards++
		}
	}
	return shards, abandoned
}

// gate is where calls hang.
type gate struct {
	mu   sync.Mutex
	shut map[string]bool // calls that hang
	open chan struct{}
	in   int // calls that hang now
}

func newGate(calls ...string) *gate {
	g := &gate{shut: map[string]bool{}, open: make(chan struct{})}
	g.set(calls...)
	return g
}

// set has calls hang from now on.
func (g *gate) set(calls ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.shut)
	for _, c := range calls {
		g.shut[c] = true
	}
}

func (g *gate) pass(call string) {
	g.mu.Lock()
	hangs := g.shut[call]
	open := g.open
	if hangs {
		g.in++
	}
	g.mu.Unlock()
	if hangs {
		<-open
	}
}

// release lets those that hang go on, and all that come until the next set.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.shut)
	close(g.open)
	g.open = make(chan struct{})
}

func (g *gate) hangs() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in
}

// gated is a socket whose calls hang at a gate.
type gated struct {
	socket
	g *gate
}

func (s gated) send(b []byte, m *scratch) (int, error) { s.g.pass("send"); return s.socket.send(b, m) }

func (s gated) recv(b []byte, m *scratch) (int, error) { s.g.pass("recv"); return s.socket.recv(b, m) }

func (s gated) ready() (bool, bool) { s.g.pass("ready"); return s.socket.ready() }

func (s gated) closeWrite(m *scratch) error { s.g.pass("closeWrite"); return s.socket.closeWrite(m) }
func (s gated) close(abort bool)            { s.socket.close(abort); s.g.pass("close") }

// gatedConn is a shell that hangs.
type gatedConn struct {
	*stubConn
	g *gate
}

func (c gatedConn) Close() error { c.g.pass("shell"); return c.stubConn.Close() }

// gatedMux is a muxer that hangs.
type gatedMux struct {
	records
	g *gate
}

func (m gatedMux) Head(b []byte, tracks []*av.Track) []byte {
	m.g.pass("Head")
	return m.records.Head(b, tracks)
}

func (m gatedMux) Config(b []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	m.g.pass("Config")
	return m.records.Config(b, tracks, prev, at)
}

// gated has all that is the client's alone pass the gate.
func (c *client) gated(g *gate) *client {
	c.hear = func(b []byte) error {
		if g.pass("Hear"); b[0] == 'e' {
			return errSession
		}
		return nil
	}
	c.farewell = func(cause error) []byte {
		g.pass("Farewell")
		return record(nil, 'F', []byte(cause.Error())...)
	}
	c.atEnd = func() { g.pass("Ended") }
	c.link.sock, c.link.shell = gated{c.sock, g}, gatedConn{c.conn, g}
	return c
}

// hung is a client that hangs at the gate sooner or later, in any of its calls.
func (r *rig) hung(key any, g *gate) *client {
	r.t.Helper()
	return r.fakeAs(key, func() stream.Muxer { return gatedMux{g: newGate()} }).gated(g)
}

var hangs = []struct {
	call, say string
	kick      bool
	room      int
	want      error
}{
	{call: "Hear", say: "x", want: ErrHung},
	{call: "Farewell", kick: true, want: errOver},
	{call: "Farewell", say: "e", want: errSession},
	{call: "Ended", kick: true, want: errOver},
	{call: "send", want: ErrHung},
	{call: "recv", want: ErrHung},
	{call: "ready", room: 10, want: ErrHung},
	{call: "closeWrite", kick: true, want: errOver},
	{call: "close", kick: true, want: errOver},
	{call: "shell", kick: true, want: errOver},
	{call: "lane", want: ErrHung},
	{call: "laneClose", kick: true, want: errOver},
}

// types reads records and compares their types.
func (c *client) types(want string) {
	c.r.t.Helper()
	for i, w := range []byte(want) {
		if typ, _, err := c.next(); err != nil || typ != w {
			c.r.t.Fatalf("record %d of %q: %q, %v", i, want, typ, err)
		}
	}
}

// longest is the longest time between two sends.
func longest(times []time.Time) (gap time.Duration) {
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i].Sub(times[i-1]))
	}
	return gap
}

// lively publishes for so long, and returns the units.
func (r *rig) lively(span time.Duration) (units []*av.AccessUnit) {
	r.t.Helper()
	for range span / (40 * time.Millisecond) {
		units = append(units, r.write(1)...)
		time.Sleep(40 * time.Millisecond)
	}
	return units
}

// A session, a muxer or a socket that hangs costs the others of its shard less than a second, and its own viewer.
func TestHungCall(t *testing.T) {
	for _, tc := range hangs {
		t.Run(tc.call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, board := guarded(t)
				units := r.write(1)
				g := newGate()
				var good []*client
				for range 25 {
					good = append(good, r.fake().play())
				}
				c := r.hung("records", g)
				c.sock.room = tc.room
				if strings.HasPrefix(tc.call, "lane") {
					c.detoured(g)
				}
				c.play()
				for range 25 {
					good = append(good, r.fake().play())
				}
				for _, c := range good {
					c.sock.clip()
				}
				units = append(units, r.lively(time.Second)...)
				g.set(tc.call)
				if tc.say != "" {
					c.say(tc.say)
				}
				if tc.kick {
					c.cancel(errOver)
				}
				units = append(units, r.lively(4*time.Second)...)
				if g.hangs() != 1 {
					t.Fatalf("%d calls hang", g.hangs())
				}
				if shards, abandoned := cells(board); shards != 1 || abandoned != 1 || r.e.Progress()[0].Deposed != 1 {
					t.Errorf("cells of %d shards, %d abandoned; %+v", shards, abandoned, r.e.Progress()[0])
				}
				if p := r.e.Progress()[0]; p.Links != 50 || p.Pending != 0 {
					t.Errorf("%+v", p)
				}
				judgeHealthy(t, good, units)
				g.release()
				units = r.lively(time.Second)
				if err := c.end(); !errors.Is(err, tc.want) {
					t.Errorf("ended with %v, want %v", err, tc.want)
				}
				if _, closed := c.sock.state(); !closed || c.conn.closes.Load() != 1 {
					t.Errorf("closed %v, the connection %d times", closed, c.conn.closes.Load())
				}
				if shards, abandoned := cells(board); shards != 1 || abandoned != 0 || r.e.Progress()[0].Deposed != 0 {
					t.Errorf("after it has come back: cells of %d shards, %d abandoned; %+v", shards, abandoned, r.e.Progress()[0])
				}
				for _, c := range good {
					c.want(types("", len(units)), units...)
				}
				if text := r.log.String(); strings.Count(text, "another goroutine goes on without it") != 1 {
					t.Error(text)
				}
			})
		})
	}
}

// judgeHealthy has each client have got all, without a long gap.
func judgeHealthy(t *testing.T, good []*client, units []*av.AccessUnit) {
	t.Helper()
	for i, c := range good {
		times := c.sock.clock()
		if gap := longest(times); gap > time.Second || time.Since(times[len(times)-1]) > 100*time.Millisecond {
			t.Fatalf("viewer %d: a gap of %v, and %v now", i, gap, time.Since(times[len(times)-1]))
		}
		c.want(types("HC", len(units)), units...)
	}
}

// A muxer that hangs over a newcomer's head or configuration costs that newcomer, and not those who have it.
func TestHungMuxer(t *testing.T) {
	for _, call := range []string{"Head", "Config"} {
		synctest.Test(t, func(t *testing.T) {
			r, board := guarded(t)
			units := r.write(1)
			g := newGate()
			mux := func() stream.Muxer { return gatedMux{g: g} }
			var good []*client
			for i := range 50 {
				if i%2 == 0 {
					good = append(good, r.fake().play())
				} else {
					good = append(good, r.fakeAs("gated", mux).play())
				}
				good[i].sock.clip()
			}
			units = append(units, r.lively(400*time.Millisecond)...) // another key unit, and another opening
			g.set(call)
			c := r.fakeAs("gated", mux)
			c.play()
			units = append(units, r.lively(3*time.Second)...)
			judgeHealthy(t, good, units)
			if _, abandoned := cells(board); abandoned != 1 || c.isOver() {
				t.Errorf("%s: %d abandoned, over: %v", call, abandoned, c.isOver())
			}
			g.release()
			if err := c.end(); !errors.Is(err, ErrHung) {
				t.Error(err)
			}
			g.set()
			late := r.fakeAs("gated", mux).play()
			late.want("HC")
		})
	}
}

// A newcomer may hang in its subscription, when a muxer hangs and holds the stream's lock. The subscription that is made at last
// is ended, and not that of another.
func TestHungSubscription(t *testing.T) {
	r, _ := guarded(t) // in real time: who waits for a lock does not let that of a bubble pass
	first := r.write(1)
	good := r.fake().play()
	good.want("HCU", first...)
	g := newGate()
	other := stream.New(keeping())
	pub, enc := other.Publish(), pictures()
	write := func() {
		if err := pub.Write(enc.Next()); err != nil {
			t.Error(err)
		}
	}
	write()
	var all []*client
	for range 2 {
		v, err := other.Watch("unit", func() stream.Muxer { return hangingUnit{g: g} })
		if err != nil {
			t.Fatal(err)
		}
		c := r.fake()
		c.viewer.Close()
		c.viewer = v
		all = append(all, c)
	}
	g.set("Unit")
	var wg sync.WaitGroup
	wg.Go(write)
	for g.hangs() == 0 {
		runtime.Gosched()
	}
	all[0].play()
	deadline := time.Now().Add(10 * time.Second)
	for r.e.Progress()[0].Deposed == 0 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	good.want("U", r.write(1)...)
	g.set()
	all[1].play() // it may have to wait, but not for long
	g.release()
	wg.Wait()
	if err := all[0].end(); !errors.Is(err, ErrHung) {
		t.Error(err)
	}
	all[1].types("HCUU")
	write()
	all[1].types("U") // it is still told
}

type hangingUnit struct {
	records
	g *gate
}

func (m hangingUnit) Unit(b []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	m.g.pass("Unit")
	return m.records.Unit(b, tracks, u)
}

// The same over TCP and TLS, in real time.
func TestHungOverNetwork(t *testing.T) {
	for name, call := range map[string]string{"tcp": "Hear", "tls": "send"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, board := guarded(t)
			g := newGate()
			var near net.Conn
			var far peer
			if name == "tls" {
				n, f := secured(t, NewTLSListener, nil)
				near, far = n, f
			} else {
				n, f := loopback(t)
				near, far = n, f
			}
			first := r.write(1)
			c := r.join(near, far)
			c.hear = func([]byte) error { g.pass("Hear"); return nil }
			c.link.takeSocket()
			if s, ok := c.link.sock.(*tlsSocket); ok {
				s.under = gated{s.under, g} // in the middle of TLS
			}
			c.play()
			c.want("HCU", first...)
			var good []*client
			for range 50 {
				n, f := loopback(t)
				good = append(good, r.join(n, f).play())
			}
			for _, c := range good {
				c.want("HCU", first...)
			}
			g.set(call)
			if call == "Hear" {
				c.say("x")
			}
			worst := follows(t, r, good, 6*time.Second)
			t.Logf("longest gap %v", worst)
			most := 1500 * time.Millisecond
			if n := r.pauses.Load(); n > 0 { // this machine has no time for us: the guard then grants all two seconds
				t.Logf("%d pauses of the process", n)
				most += 4 * time.Second
			}
			if worst > most || g.hangs() != 1 {
				t.Errorf("a gap of %v, %d calls hang", worst, g.hangs())
			}
			if _, abandoned := cells(board); abandoned != 1 {
				t.Errorf("%d abandoned", abandoned)
			}
			drain(far) // its end is told although the call still hangs
			g.release()
			if err := c.end(); !errors.Is(err, ErrHung) {
				t.Error(err)
			}
		})
	}
}

// follows publishes for so long, while all read, and returns the longest time that a viewer had to wait for a unit.
func follows(t *testing.T, r *rig, all []*client, span time.Duration) (worst time.Duration) {
	t.Helper()
	units := r.enc.Take(int(span / (40 * time.Millisecond)))
	var wg sync.WaitGroup
	gaps := make([]time.Duration, len(all))
	for i, c := range all {
		wg.Go(func() {
			last := time.Now()
			for _, u := range units {
				c.want("U", u)
				gaps[i] = max(gaps[i], time.Since(last))
				last = time.Now()
			}
		})
	}
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for _, u := range units {
		<-tick.C
		r.put(u)
	}
	wg.Wait()
	return slices.Max(gaps)
}

// heal does what the healer does, for a rig of one shard that nobody else heals, in a bubble.
func (r *rig) heal() {
	s := r.e.shards[0]
	synctest.Wait()
	s.relieve(r.ctx, s.pilot)
}

// One that was left behind does not hold up Run's end, and may come back after it.
func TestShutdownWithHung(t *testing.T) {
	for _, call := range []string{"Hear", "Farewell", "Ended", "close"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRigOf(t, Options{}, keeping(), pictures(), 1)
			r.write(1)
			g := newGate(call)
			c := r.hung("records", g)
			c.play()
			other := r.fake().play()
			c.say("x")
			if synctest.Wait(); call == "Hear" {
				time.Sleep(time.Second)
				r.heal()
			}
			r.stop(errStop)
			if call != "Hear" { // it hangs in the shutdown
				time.Sleep(time.Second)
				r.heal()
			}
			begin := time.Now()
			if <-r.ran; time.Since(begin) > time.Second {
				t.Errorf("%s: Run returned after %v", call, time.Since(begin))
			}
			if err := other.end(); !errors.Is(err, errStop) {
				t.Error(err)
			}
			if !strings.Contains(r.log.String(), "left behind") {
				t.Errorf("%s: %d hang, %q", call, g.hangs(), r.log.String())
			}
			g.release()
			_ = c.end()
			synctest.Wait()
			if _, closed := c.sock.state(); !closed {
				t.Error("it is not closed")
			}
		})
	}
}

// At most so many goroutines are left behind; when they come back others may be.
func TestManyHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 1)
		units := r.write(1)
		good := r.fake().play()
		good.want("HCU", units...)
		for total := 0; total < 100; {
			g := newGate("Hear")
			var all []*client
			for n := 1; n <= deposedMost+1; n++ {
				c := r.hung("records", g)
				all = append(all, c)
				c.play()
				c.say("x")
				time.Sleep(time.Second)
				for range 3 { // the second and the third find that it goes on
					r.heal()
				}
				synctest.Wait()
				if got := r.e.Progress()[0].Deposed; got != min(n, deposedMost) || g.hangs() != n {
					t.Fatalf("%d are deposed, %d hang", got, g.hangs())
				}
				if n <= deposedMost {
					good.want("U", r.write(1)...)
					total++
				}
			}
			if !strings.Contains(r.log.String(), "too many do already") {
				t.Error("nothing is said")
			}
			g.release()
			synctest.Wait()
			for _, c := range all[:deposedMost] {
				if err := c.end(); !errors.Is(err, ErrHung) {
					t.Error(err)
				}
			}
			if last := all[deposedMost]; last.isOver() {
				t.Error("one that was not deposed has ended")
			}
			good.want("U", r.write(1)...)
			if p := r.e.Progress()[0]; p.Deposed != 0 {
				t.Fatalf("%+v", p)
			}
			all[deposedMost].cancel(errOver)
			time.Sleep(2 * time.Second)
			_ = all[deposedMost].peer.Close()
		}
	})
}

// One that panics when it comes back is like any other.
func TestHungPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 1)
		units := r.write(1)
		good, c := r.fake().play(), r.fake()
		hold := make(chan struct{})
		c.hear = func([]byte) error { <-hold; panic("late") }
		c.atEnd = func() { panic("at the end") }
		c.play()
		c.say("x")
		time.Sleep(time.Second)
		r.heal()
		close(hold)
		synctest.Wait()
		if err := c.end(); !errors.Is(err, ErrHung) {
			t.Error(err)
		}
		if _, closed := c.sock.state(); !closed || r.e.Progress()[0].Deposed != 0 {
			t.Errorf("closed %v, %+v", closed, r.e.Progress()[0])
		}
		units = append(units, r.write(3)...)
		good.want(types("HC", len(units)), units...)
	})
}

// A shard that gets on, or has nothing to do, is left alone; so is one that hangs in its own code.
func TestHealOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t, stream.Options{})
		book := &logBook{}
		y.e.log = slog.New(slog.NewTextHandler(book, nil))
		s := y.e.shards[0]
		p := s.pilot
		l := y.join(&sinkSocket{})
		check := func(what string, since time.Duration, at *Link, said string) {
			t.Helper()
			p.since.Store(0)
			if since > 0 {
				p.since.Store(int64(y.e.now().add(-since)))
			}
			p.out.Store(at)
			before := len(book.String())
			s.relieve(t.Context(), p)
			if s.pilot != p || p.out.Load() != at || !strings.Contains(book.String()[before:], said) || said == "" && len(book.String()) > before {
				t.Errorf("%s: %q", what, book.String()[before:])
			}
		}
		time.Sleep(time.Minute)
		check("idle", 0, nil, "")
		check("just away", time.Millisecond, l, "")
		check("at work", time.Millisecond, nil, "")
		check("hangs", time.Second, nil, "in its own code")
		check("was deposed", time.Second, &p.mark, "")
		y.e.lost.Store(deposedMost)
		check("too many", time.Second, l, "too many")
	})
}

// A turn that is long because there is much to do is not taken for one that hangs.
func TestLongTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t)
		r.write(1)
		var all []*client
		for range 1000 {
			c := r.fake()
			c.sock.sink = true
			all = append(all, c.play())
		}
		time.Sleep(3 * time.Second)
		for _, c := range all {
			c.sock.set(func() { c.sock.onTry = func() { time.Sleep(time.Millisecond) } })
		}
		r.write(1)
		time.Sleep(20 * time.Second)
		if p := r.e.Progress()[0]; p.Longest < time.Second || p.Links != 1000 {
			t.Errorf("%+v", p)
		}
		if text := r.log.String(); strings.Contains(text, "hang") {
			t.Error(text)
		}
	})
}

// sound fails if what the shard keeps does not fit together. It must be parked.
func (s *shard) sound() error {
	s.mu.Lock() // until all has been read: the shard takes it before it goes on
	defer s.mu.Unlock()
	waiting := len(s.taken) + len(s.boarding)
	if got := int(s.load.Load()); got != waiting+len(s.links) {
		return fmt.Errorf("a load of %d: %d links, %d are new", got, len(s.links), waiting)
	}
	full := map[*Link]int{}
	for _, l := range s.full {
		full[l]++
	}
	for i, l := range s.links {
		switch {
		case int(l.index) != i || l.phase == over:
			return fmt.Errorf("link %d has index %d, phase %d", i, l.index, l.phase)
		case l.retryAt != 0 && full[l] != 1 || full[l] > 1 || l.waiting != (full[l] == 1):
			return fmt.Errorf("link %d stands %d times among the full: retry at %d, waiting %v", i, full[l], l.retryAt, l.waiting)
		case l.phase == playing && (l.place < 0 || l.group.links[l.place] != l):
			return fmt.Errorf("link %d is not in its group", i)
		case l.phase != playing && l.place >= 0:
			return fmt.Errorf("link %d is parting, and has a place", i)
		}
	}
	for _, g := range s.groups {
		left := 0
		for _, l := range g.links {
			if l == nil {
				left++
			}
		}
		s.egress.mu.Lock()
		members := g.members
		s.egress.mu.Unlock()
		if left != g.left || members != len(g.links)-left+waiting && waiting == 0 || members > 0 && g.cancel == nil {
			return fmt.Errorf("a group of %d members, %d links, %d and %d have left, subscribed %v",
				members, len(g.links), g.left, left, g.cancel != nil)
		}
	}
	return nil
}

// Wherever the shard is deposed (in the middle of a walk, a retry, a sweep, of newcomers), all others go on, and miss nothing.
func TestHungAnywhere(t *testing.T) {
	calls := []string{"Hear", "Farewell", "Ended", "send", "recv", "ready", "closeWrite", "close", "shell", "lane", "laneClose"}
	seeds := amount(t, 150)
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 4))
			r := newRigOf(t, Options{StallTimeout: time.Hour}, keeping(), pictures(), 1)
			s := r.e.shards[0]
			units := r.write(1)
			var good, bad []*client
			var gates []*gate
			for range 30 {
				c := r.fake()
				if rnd.IntN(3) == 0 {
					c.sock.room = 300
				}
				good = append(good, c)
			}
			for range 10 {
				g := newGate()
				gates = append(gates, g)
				t.Cleanup(g.release)
				c := r.hung("records", g)
				if rnd.IntN(2) == 0 {
					c.detoured(g)
				}
				if rnd.IntN(2) == 0 {
					c.sock.room = 100 + rnd.IntN(300)
				}
				bad = append(bad, c)
			}
			all := slices.Concat(good, bad)
			rnd.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			for len(all) > 0 || rnd.IntN(10) > 0 {
				for range min(rnd.IntN(12), len(all)) { // newcomers, together
					all[0].play()
					all = all[1:]
				}
				i := rnd.IntN(len(bad))
				gates[i].set(calls[rnd.IntN(len(calls))])
				switch rnd.IntN(4) {
				case 0:
					_, _ = bad[i].peer.Write([]byte("x")) // it may be closed
				case 1:
					_, _ = bad[i].peer.Write([]byte("e"))
				case 2:
					bad[i].cancel(errOver)
				}
				if rnd.IntN(3) > 0 {
					units = append(units, r.write(1)...)
				}
				time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
				for synctest.Wait(); s.pilot.out.Load() != nil; synctest.Wait() { // it hangs
					time.Sleep(hangLeast)
					r.heal()
				}
				if err := s.sound(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.e.lost.Load() > 3 {
					for _, g := range gates {
						g.release()
					}
				}
			}
			for _, g := range gates {
				g.release()
			}
			// No unit comes any more that would wake anybody.
			for _, c := range good {
				c.sock.set(func() { c.sock.room = 0 })
			}
			time.Sleep(time.Second)
			for i, c := range good {
				var got int
				c.sock.set(func() { got = c.sock.total })
				if c.viewer.Behind() {
					t.Fatalf("seed %d: viewer %d was sent %d bytes and is behind", seed, i, got)
				}
			}
			for _, c := range bad {
				c.cancel(errOver)
				c.sock.set(func() { c.sock.room = 0 })
			}
			time.Sleep(3 * time.Second)
			if err := s.sound(); err != nil || r.e.lost.Load() != 0 || len(s.links) != len(good) {
				t.Fatalf("seed %d: %v, %d are deposed, %d links of %d", seed, err, r.e.lost.Load(), len(s.links), len(good))
			}
			for i, c := range bad {
				if _, closed := c.sock.state(); !closed || !c.isOver() || c.conn.closes.Load() != 1 {
					t.Fatalf("seed %d: the hung viewer %d: closed %v, over %v", seed, i, closed, c.isOver())
				}
			}
		})
	}
}

// A shard that gathers is woken by newcomers only.
func TestLulled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 1)
		r.write(1)
		s := r.e.shards[0]
		var streams []*group
		for i := range 20 {
			c := r.fakeAs(i, func() stream.Muxer { return records{} })
			c.sock.sink = true
			if i == 0 {
				c.hear = func([]byte) error { s.busyShare = 0.5; return nil } // on the shard's goroutine
			}
			c.play()
			streams = append(streams, c.link.group)
		}
		r.clients[0].say("x")
		time.Sleep(sweepEvery + scanEvery)
		synctest.Wait()
		if s.busyShare == 0 {
			t.Fatal("it has not heard")
		}
		looked := func() (last instant, since time.Duration) { // while it gathers
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.lulled {
				return 0, 0
			}
			return s.now, time.Duration(s.now - s.began)
		}
		from, since := looked()
		for from == 0 || since > 2*time.Millisecond { // or it has gathered for a while already
			time.Sleep(time.Millisecond)
			streams[0].Wake(time.Now(), true)
			from, since = looked()
		}
		for _, g := range streams[1:] {
			time.Sleep(500 * time.Microsecond)
			g.Wake(time.Now(), true)
			if now, _ := looked(); now != from {
				t.Fatalf("it was woken after %v", time.Duration(now-from))
			}
		}
		r.fake().play()
		synctest.Wait()
		if now, _ := looked(); now == from || len(s.links) != 21 {
			t.Error("it was not woken by a newcomer")
		}
		time.Sleep(gatherMost)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lulled || len(s.due) > 0 {
			t.Errorf("lulled %v, %d streams are due", s.lulled, len(s.due))
		}
	})
}

// One that hangs with a newcomer while the shard gathers leaves no shard behind that nobody wakes.
func TestHungInLull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 1)
		r.write(1)
		s, g := r.e.shards[0], newGate("Hear")
		t.Cleanup(g.release)
		c := r.fake()
		c.sock.sink = true
		c.hear = func([]byte) error { s.busyShare = 0.5; return nil } // on the shard's goroutine
		c.play()
		other := r.fakeAs("other", func() stream.Muxer { return records{} })
		other.sock.sink = true
		other.play()
		c.say("x")
		time.Sleep(sweepEvery + scanEvery/2)
		r.write(1) // a turn
		time.Sleep(time.Millisecond)
		r.write(1) // it gathers
		bad := r.hung("records", g)
		bad.say("x")
		bad.play()
		synctest.Wait()
		if s.mu.Lock(); !s.lulled || g.hangs() != 1 {
			t.Fatalf("lulled %v, %d hang", s.lulled, g.hangs())
		}
		s.mu.Unlock()
		time.Sleep(600 * time.Millisecond)
		r.heal()
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lulled || len(s.links) != 2 {
			t.Errorf("lulled %v, %d links", s.lulled, len(s.links))
		}
	})
}

// The time for which the shard hung is charged to nobody.
func TestHungTimeIsGranted(t *testing.T) {
	y := newYard(t, stream.Options{})
	s := y.e.shards[0]
	bad, full := y.join(&sinkSocket{}), y.join(&sinkSocket{})
	s.turn()
	now := s.now.add(700 * time.Millisecond)
	full.fullSince, full.retryAt = s.now, s.now
	s.forsake(s.pilot, bad, now)
	if full.fullSince != now || !full.waiting || len(s.links) != 1 || s.now != now || s.retryAt != now || s.scanAt != now {
		t.Errorf("full since %d, now is %d; %d links, retry at %d, scan at %d", full.fullSince, now, len(s.links), s.retryAt, s.scanAt)
	}
}

// One that comes back ends the subscriptions that its link has left, and its goroutine.
func TestRetire(t *testing.T) {
	y := newYard(t, stream.Options{})
	s := y.e.shards[0]
	bad, good := y.join(&sinkSocket{}), y.join(&sinkSocket{})
	s.turn()
	p, undo := s.pilot, bad.group.cancel // as if the group had been subscribed by a call that hung
	s.subscribe(good)                    // and then by the successor
	p.undo = undo
	called := false
	p.cancel = func() { called = true }
	p.link, p.cause = bad, ErrHung
	p.out.Store(&p.mark)
	s.lost.Add(1)
	y.e.lost.Add(1)
	close(p.cleared)
	done, returned := make(chan struct{}), false
	go func() {
		defer close(done)
		p.back(bad)
		returned = true
	}()
	<-done
	if !called || returned || s.lost.Load() != 0 || y.e.lost.Load() != 0 {
		t.Errorf("cancelled %v, returned %v, %d are deposed", called, returned, y.e.lost.Load())
	}
	if err := y.p.Write(pictures().Next()); err != nil {
		t.Fatal(err)
	}
	if good.group.pace.since() == 0 {
		t.Error("the successor's subscription has ended too")
	}
	good.group.cancel()
	good.group.pace.sent(1)
	u := pictures().Take(2)[1]
	if err := y.p.Write(u); err != nil {
		t.Fatal(err)
	}
	if good.group.pace.since() != 0 {
		t.Error("a subscription is left")
	}
}
