package egress

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// live publishes units at their times for so long.
func (r *rig) live(span time.Duration) {
	r.t.Helper()
	begin := time.Now()
	var from time.Duration = -1
	for {
		u := r.enc.Next()
		if from < 0 {
			from = u.DTS
		}
		time.Sleep(time.Until(begin.Add(u.DTS - from)))
		if time.Since(begin) >= span {
			return
		}
		r.put(u)
	}
}

// clip keeps the times of sends from now on.
func (f *fakeSocket) clip() {
	f.set(func() { f.keep, f.times, f.sends = true, nil, 0 })
}

func (f *fakeSocket) clock() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.times
}

// rate is how many sends a viewer gets a second, of a live stream.
func rate(t *testing.T, o Options, from sim.Options, span time.Duration) float64 {
	t.Helper()
	r := newRigOf(t, o, stream.Options{}, sim.New(from), 1)
	var all []*client
	for range 10 {
		c := r.fake()
		c.sock.sink = true
		all = append(all, c.play())
	}
	r.live(5 * time.Second)
	for _, c := range all {
		c.sock.clip()
	}
	r.live(span)
	low, high := 1<<30, 0
	for _, c := range all {
		n, _ := c.sock.counts()
		low, high = min(low, n), max(high, n)
	}
	if high-low > 10 { // what comes at the same time may just have missed some
		t.Errorf("some viewers are sent %d times, some %d", low, high)
	}
	return float64(high) / span.Seconds()
}

func TestFlushRates(t *testing.T) {
	both := sim.Options{Video: av.H264, Audio: av.AAC}
	for name, tc := range map[string]struct {
		opt       Options
		from      sim.Options
		low, high float64
	}{
		"pictures":                {Default(), sim.Options{Video: av.H264}, 24.8, 25.2},
		"pictures and sound":      {Default(), both, 24.8, 27}, // at 25 fps sound never has to wait for 40 ms
		"50 pictures and sound":   {Default(), sim.Options{Video: av.H264, Audio: av.AAC, FPS: 50}, 49.8, 50.2},
		"10 pictures and sound":   {Default(), sim.Options{Video: av.H264, Audio: av.AAC, FPS: 10}, 18, 31},
		"sound only":              {Default(), sim.Options{Audio: av.AAC}, 15, 25.2},
		"sound that is not held":  {Options{StallTimeout: time.Second}, sim.Options{Audio: av.AAC}, 46, 47.5},
		"sound at once":           {Options{StallTimeout: time.Second}, both, 60, 73},
		"merged":                  {Options{AudioHold: 40 * time.Millisecond, MergeWindow: 300 * time.Millisecond}, both, 3, 3.6},
		"merged sound":            {Options{AudioHold: 40 * time.Millisecond, MergeWindow: 300 * time.Millisecond}, sim.Options{Audio: av.AAC}, 3, 3.6},
		"merged for a little":     {Options{AudioHold: 40 * time.Millisecond, MergeWindow: 60 * time.Millisecond}, sim.Options{Video: av.H264}, 12.3, 16.8},
		"merged, pictures slower": {Options{AudioHold: 40 * time.Millisecond, MergeWindow: 30 * time.Millisecond}, sim.Options{Video: av.H264}, 24.8, 25.2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := rate(t, tc.opt, tc.from, 20*time.Second)
				if got < tc.low || got > tc.high {
					t.Errorf("%.2f sends a second, want %.1f to %.1f", got, tc.low, tc.high)
				}
				t.Logf("%.2f sends a second and viewer", got)
			})
		})
	}
}

// A picture is sent at the moment at which it comes, with the sound that has been held.
func TestPictureAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, sim.New(sim.Options{Video: av.H264, Audio: av.AAC}), 1)
		r.write(2)
		c := r.fake()
		c.sock.sink = true
		c.play()
		time.Sleep(time.Second)
		for range 50 {
			time.Sleep(7*time.Millisecond + 300*time.Microsecond)
			c.sock.clip()
			for u := r.enc.Next(); ; u = r.enc.Next() {
				video := u.Track.Kind() == av.Video
				r.put(u)
				synctest.Wait()
				if times := c.sock.clock(); video {
					if len(times) < 1 || len(times) > 2 || !times[0].Equal(time.Now()) { // 2: a chunk ends there
						t.Fatalf("sent at %v, now is %v", times, time.Now())
					}
					break
				} else if len(times) != 0 {
					t.Fatal("sound was not held")
				}
			}
		}
	})
}

// Sound without a picture is sent after the hold, and little later.
func TestSoundIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, sim.New(sim.Options{Audio: av.AAC}), 1)
		r.write(2)
		c := r.fake()
		c.sock.sink = true
		c.play()
		for i := range 200 {
			time.Sleep(100*time.Millisecond + time.Duration(i)*137*time.Microsecond)
			c.sock.clip()
			r.write(1)
			begin := time.Now()
			time.Sleep(60 * time.Millisecond)
			times := c.sock.clock()
			if len(times) != 1 {
				t.Fatalf("%d sends", len(times))
			}
			if held := times[0].Sub(begin); held < 40*time.Millisecond || held > 42*time.Millisecond {
				t.Fatalf("held for %v", held)
			}
		}
	})
}

// A newcomer gets what there is at once, whatever the windows are.
func TestNewcomerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{AudioHold: 40 * time.Millisecond, MergeWindow: time.Second}, stream.Options{}, pictures(), 1)
		r.write(5)
		first := r.fake().play()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		units := r.write(1)
		c := r.fake()
		c.sock.keep = true
		c.play()
		synctest.Wait()
		if times := c.sock.clock(); len(times) == 0 || !times[0].Equal(time.Now()) {
			t.Errorf("sent at %v", times)
		}
		_ = units
		first.cancel(errOver)
	})
}

// A shard that is busy sends less often, and more often again when it is not.
func TestJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, pictures(), 1)
		r.stop(errStop)
		<-r.ran
		s := newShard(r.e, 3)
		s.now = 1
		judge := func(share float64, span time.Duration, want time.Duration) {
			t.Helper()
			s.now = s.now.add(span)
			s.busy += time.Duration(share * float64(s.now-s.busyFrom))
			s.judge()
			if s.interval != want || time.Duration(s.spread.Load()) != want {
				t.Errorf("interval %v, shown as %v, want %v", s.interval, time.Duration(s.spread.Load()), want)
			}
		}
		judge(0.9, 500*time.Millisecond, 0) // too early
		s.busy = 0
		judge(0.55, time.Second, 0)
		judge(0.65, time.Second, 80*time.Millisecond)
		judge(0.4, time.Second, 80*time.Millisecond)
		judge(0.65, time.Second, 160*time.Millisecond)
		judge(0.99, time.Second, 160*time.Millisecond)
		judge(0.3, time.Second, 160*time.Millisecond)
		judge(0.2, time.Second, 80*time.Millisecond)
		judge(0.2, time.Second, 0)
		judge(0.1, time.Second, 0)
		text := r.log.String()
		if strings.Count(text, "overloaded: viewers are sent more at a time") != 2 || strings.Count(text, "no longer overloaded") != 1 ||
			!strings.Contains(text, "shard=3 interval=80ms") {
			t.Error(text)
		}
	})
}

// An interval that the shard has chosen spreads the sends.
func TestIntervalSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{}, pictures(), 1)
		c := r.fake()
		c.sock.sink = true
		c.link.Play(c.ctx, c.viewer)
		s := r.e.shards[0]
		c.hear = func([]byte) error { s.interval = intervalMax; return nil } // on the shard's goroutine
		r.live(time.Second)
		for range 10 {
			c.say("x")
			r.live(250 * time.Millisecond)
		}
		c.say("x")
		c.sock.clip()
		r.live(900 * time.Millisecond)
		if n, _ := c.sock.counts(); n < 5 || n > 12 {
			t.Errorf("%d sends in 900 ms", n)
		}
	})
}

// Among 2000 viewers one has a huge backlog: the others get each picture all the same, when it comes.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{Bytes: 1 << 30, Keep: time.Hour, MaxLag: time.Hour}, pictures(), 1)
		r.write(1)
		var all []*client
		for range 2000 {
			c := r.fake()
			c.sock.sink = true
			all = append(all, c.play())
		}
		late := r.fake()
		late.sock.sink, late.sock.frozen = true, true
		late.play()
		time.Sleep(time.Second)
		for range 200 { // 20 MB
			u := r.big(100_000)
			u.Key = false
			r.put(u)
		}
		time.Sleep(time.Second)
		for _, c := range all {
			c.sock.clip()
		}
		_, before := late.sock.counts()
		late.sock.set(func() { late.sock.frozen = false })
		walks := r.e.Progress()[0].Walks
		for range 25 {
			r.write(1)
			time.Sleep(40 * time.Millisecond)
		}
		for i, c := range all {
			times := c.sock.clock()
			if len(times) != 25 {
				t.Fatalf("viewer %d was sent %d pictures of 25", i, len(times))
			}
			for n := 1; n < len(times); n++ {
				if gap := times[n].Sub(times[n-1]); gap != 40*time.Millisecond {
					t.Fatalf("viewer %d: a picture was late: %v", i, gap)
				}
			}
		}
		_, after := late.sock.counts()
		if after-before < 20_000_000 {
			t.Errorf("the late one got %d bytes only", after-before)
		}
		walks = r.e.Progress()[0].Walks - walks
		if most := after / walkBytes; walks < uint64(most) {
			t.Errorf("%d turns for a backlog of %d times a turn's share", walks, most)
		}
	})
}

// What one viewer gets in one go is bounded, so that others have their turn.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Default(), stream.Options{Bytes: 1 << 30, Keep: time.Hour, MaxLag: time.Hour}, pictures(), 1)
		r.write(1)
		s := r.e.shards[0]
		c := r.fake()
		c.sock.sink = true
		for range 100 {
			u := r.big(50_000)
			u.Key = false
			r.put(u)
		}
		last, before, worst := uint64(0), 0, 0
		c.sock.onTry = func() {
			if w := s.walks.Load(); w != last {
				last, before = w, c.sock.total
			}
			worst = max(worst, c.sock.total-before)
		}
		c.play()
		time.Sleep(time.Second)
		c.sock.mu.Lock()
		defer c.sock.mu.Unlock()
		if worst > 2*(walkBytes+2*batchBytes) { // as a newcomer, and as one who has had enough
			t.Errorf("%d bytes in one turn", worst)
		}
		if c.sock.total < 5_000_000 {
			t.Errorf("%d bytes in all", c.sock.total)
		}
	})
}

// A viewer that takes nothing costs the others nothing: neither delay nor sends.
func TestStalledAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{AudioHold: 40 * time.Millisecond, StallTimeout: time.Hour}, stream.Options{}, pictures(), 1)
		r.write(1)
		var good, bad []*client
		for i := range 100 {
			c := r.fake()
			if i%2 == 0 {
				c.sock.frozen = true
				bad = append(bad, c)
			} else {
				c.sock.sink = true
				good = append(good, c)
			}
			c.play()
		}
		r.live(2 * time.Second)
		for _, c := range good {
			c.sock.clip()
		}
		for _, c := range bad {
			c.sock.set(func() { c.sock.tries = 0 })
		}
		r.live(10 * time.Second)
		for i, c := range good {
			if n, _ := c.sock.counts(); n < 249 || n > 251 {
				t.Errorf("viewer %d was sent %d pictures of 250", i, n)
			}
		}
		for i, c := range bad {
			if c.sock.tries != 0 || c.viewer.Skips() > 1 {
				t.Errorf("stalled viewer %d: %d sends that took nothing, %d skips", i, c.sock.tries, c.viewer.Skips())
			}
		}
		p := r.e.Progress()[0]
		if p.Links != 100 || p.Full != 50 {
			t.Errorf("%+v", p)
		}
	})
}

// A socket that breaks ends its link.
func TestSocketBreaks(t *testing.T) {
	strange := errors.New("strange")
	for _, tc := range []struct {
		send, recv error
		want       error
	}{
		{syscall.EPIPE, nil, ErrLeft},
		{syscall.ECONNRESET, nil, ErrLeft},
		{syscall.ETIMEDOUT, nil, ErrLeft},
		{strange, nil, strange},
		{nil, syscall.ECONNRESET, ErrLeft},
		{nil, strange, strange},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Options{})
			units := r.write(1)
			c, other := r.fake().play(), r.fake().play()
			c.want("HCU", units...)
			other.want("HCU", units...)
			c.sock.set(func() { c.sock.sendErr, c.sock.recvErr = tc.send, tc.recv })
			units = r.write(1)
			if err := c.end(); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			synctest.Wait() // the connection is closed after the session has been told
			if _, closed := c.sock.state(); !closed || c.conn.closes.Load() != 1 {
				t.Errorf("closed %v, the connection %d times", closed, c.conn.closes.Load())
			}
			other.want("U", units...)
		})
	}
}

// What breaks while the link is parting does not change why it ended.
func TestSocketBreaksInParting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.write(1)
		c := r.fake()
		c.sock.room = 100
		c.play()
		synctest.Wait()
		c.cancel(errOver)
		time.Sleep(sweepEvery + time.Millisecond)
		if c.isOver() {
			t.Fatal("the packet is not finished")
		}
		c.sock.set(func() { c.sock.sendErr = syscall.EPIPE })
		if err := c.end(); !errors.Is(err, errOver) {
			t.Error(err)
		}
	})
}

// Panics on the shard's goroutine in each place, while others are being served.
func TestShardPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, stream.Options{}, pictures(), 1)
		r.write(1)
		var good []*client
		for range 50 {
			c := r.fake()
			c.sock.sink = true
			good = append(good, c.play())
		}
		var bad []*client
		for i := range 50 {
			var c *client
			switch i % 5 {
			case 0:
				c = r.fake()
				c.hear = func([]byte) error { panic("Hear") }
			case 1:
				c = r.fake()
				c.farewell = func(error) []byte { panic("Farewell") }
				c.cancel(errOver)
			case 2:
				c = r.fake()
				c.atEnd = func() { panic("Ended") }
				c.cancel(errOver)
			case 3:
				c = r.fakeAs("bad", func() stream.Muxer { return panicking{} })
			case 4: // when its socket is tried again
				c = r.fakeAs("bad later", func() stream.Muxer { return &panickingLater{} })
				c.sock.room = 100
			}
			c.play()
			if i%5 == 0 {
				c.say("x")
			}
			bad = append(bad, c)
		}
		r.live(2 * time.Second)
		for _, c := range bad {
			c.sock.set(func() { c.sock.sink, c.sock.room, c.sock.buf = true, 0, nil })
			if !c.isOver() {
				c.cancel(errOver)
			}
		}
		r.live(time.Second)
		for i, c := range bad {
			if !c.isOver() {
				t.Errorf("%d has not ended", i)
			}
		}
		for i, c := range good {
			c.sock.clip()
			if c.isOver() {
				t.Errorf("bystander %d has ended", i)
			}
		}
		r.live(time.Second)
		for i, c := range good {
			if n, _ := c.sock.counts(); n != 25 {
				t.Errorf("bystander %d: %d pictures", i, n)
			}
		}
	})
}

type panickingLater struct{ records }

// Run's end ends all links at once, whatever they are at.
func TestShutdown(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{StallTimeout: time.Hour})
		r.write(1)
		var all []*client
		var readers sync.WaitGroup
		for i := range 50 {
			c := g.client(r)
			switch i % 5 {
			case 0: // plays
				readers.Go(func() { drain(c.peer) })
			case 1: // is stuck
				if c.sock != nil {
					c.sock.room = 10
				}
			case 2: // is paused
				c.link.Pause(true)
			case 3: // is parting
				if c.sock != nil {
					c.sock.room = 10
				}
			case 4: // is lingering
				readers.Go(func() { drain(c.peer) })
			}
			all = append(all, c.play())
		}
		time.Sleep(time.Second)
		for i, c := range all {
			if i%5 >= 3 {
				c.cancel(errOver)
			}
		}
		time.Sleep(sweepEvery + time.Millisecond)
		begin := time.Now()
		r.stop(errStop)
		<-r.ran
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Run took %v to end", took)
		}
		for i, c := range all {
			want := errStop
			if i%5 >= 3 {
				want = errOver
			}
			if !c.isOver() {
				t.Errorf("%d has not been told", i)
			} else if err := c.end(); !errors.Is(err, want) {
				t.Errorf("%d: %v, want %v", i, err, want)
			}
		}
		late := g.client(r).play()
		if err := late.end(); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v, want ErrClosed", err)
		}
		for _, c := range all {
			_ = c.peer.Close()
		}
		readers.Wait()
		for _, p := range r.e.Progress() {
			if p.Links != 0 {
				t.Errorf("%d links are left", p.Links)
			}
		}
	})
}

func drain(p peer) {
	b := make([]byte, 64<<10)
	for {
		if _, err := p.Read(b); err != nil {
			return
		}
	}
}

// Play while Run ends: each link is told once, and none is forgotten.
func TestPlayWhileRunEnds(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		for i := range 10 {
			r := newRig(t, Options{})
			r.write(1)
			var all []*client
			for range 40 {
				all = append(all, g.client(r))
			}
			var wg sync.WaitGroup
			for k := range 4 {
				wg.Go(func() {
					for n := k; n < len(all); n += 4 {
						all[n].play()
						if n == 3*i {
							r.stop(errStop)
						}
						runtime.Gosched()
					}
				})
			}
			wg.Wait()
			<-r.ran
			for n, c := range all {
				if err := c.end(); !errors.Is(err, errStop) && !errors.Is(err, ErrClosed) {
					t.Errorf("%d: %v", n, err)
				}
			}
		}
	})
}

// Links that have ended are forgotten, although nothing else happens.
func TestEndedLinksAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{StallTimeout: time.Hour}, stream.Options{}, pictures(), 1)
		r.write(1)
		var all []*client
		for range 10 {
			c := r.fake()
			c.sock.room = 10
			all = append(all, c.play())
		}
		time.Sleep(time.Second)
		if p := r.e.Progress()[0]; p.Full != 10 || p.Links != 10 {
			t.Errorf("%+v", p)
		}
		for _, c := range all {
			c.cancel(errOver)
		}
		time.Sleep(time.Minute)
		if p := r.e.Progress()[0]; p.Full != 0 || p.Links != 0 {
			t.Errorf("%+v after all have ended: they are kept", p)
		}
		r.e.mu.Lock()
		defer r.e.mu.Unlock()
		if len(r.e.groups) != 0 {
			t.Errorf("%d groups are left", len(r.e.groups))
		}
	})
}

// Groups come and go with their viewers, and the share's wakers with them.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, stream.Options{}, pictures(), 0)
		units := r.write(1)
		for round := range 5 {
			var all []*client
			for range 3 * audienceMin {
				all = append(all, r.fake().play())
			}
			synctest.Wait()
			links := 0
			for _, p := range r.e.Progress() {
				links += p.Links
				if p.Links == 0 {
					t.Error("a shard has nothing to do")
				}
			}
			if links != len(all) {
				t.Errorf("%d links of %d", links, len(all))
			}
			for i, c := range all {
				c.want(types("HC", len(units)), units...)
				if i%2 == round%2 {
					c.cancel(errOver)
				}
			}
			time.Sleep(time.Second)
			more := r.write(1)
			for i, c := range all {
				if i%2 != round%2 {
					c.want("U", more...)
				} else {
					c.over(errOver)
				}
				_ = c.peer.Close()
			}
			units = append(units, more...)
			if len(units) > 9 {
				t.Fatal("too many units for this test")
			}
			time.Sleep(3 * time.Second)
		}
		for i, p := range r.e.Progress() {
			if p.Links != 0 || p.Full != 0 {
				t.Errorf("%+v", p)
			}
			if n := len(r.e.shards[i].links); n != 0 {
				t.Errorf("%d links", n)
			}
		}
	})
}

// Progress tells of a shard that works, one that is idle, and one that is held up.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, stream.Options{}, pictures(), 1)
		r.write(1)
		c, other := r.fake(), r.fake()
		c.sock.sink, other.sock.sink = true, true
		c.play()
		other.play()
		time.Sleep(time.Second)
		before := r.e.Progress()[0]
		if before.Links != 2 || before.Full != 0 || before.Pending != 0 || before.Walks == 0 || before.Beat > 50*time.Millisecond {
			t.Errorf("%+v", before)
		}
		r.live(time.Second)
		after := r.e.Progress()[0]
		if after.Walks < before.Walks+25 || after.Pending != 0 {
			t.Errorf("%+v, before %+v", after, before)
		}
		hold := make(chan struct{})
		c.hear = func([]byte) error { <-hold; return nil }
		c.say("x")
		time.Sleep(300 * time.Millisecond) // it hangs
		walks := r.e.Progress()[0].Walks
		r.write(1)
		for i := range 5 {
			p := r.e.Progress()[0]
			if want := time.Duration(i) * time.Second; p.Pending != want || p.Walks != walks || p.Beat < want {
				t.Errorf("after %v: %+v", want, p)
			}
			time.Sleep(time.Second)
		}
		close(hold)
		time.Sleep(10 * time.Millisecond)
		if p := r.e.Progress()[0]; p.Pending != 0 || p.Walks == walks || p.Longest < 5*time.Second || p.Beat > 50*time.Millisecond {
			t.Errorf("%+v", p)
		}
	})
}

// Progress may be asked for at any time.
func TestProgressRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			walks := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := uint64(0)
				for _, p := range r.e.Progress() {
					now += p.Walks
					if p.Pending < 0 || p.Beat < 0 || p.Links < 0 || p.Full < 0 {
						t.Errorf("%+v", p)
					}
				}
				if now < walks {
					t.Error("walks fall")
				}
				walks = now
				time.Sleep(time.Millisecond)
			}
		})
		for range 20 {
			c := r.fake()
			c.sock.sink = true
			c.play()
			r.live(200 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
	})
}

// Links whose stream has ended, and whose peers have yet to take its rest, do not hold up Run's end, nor a kick.
func TestShutdownWhileParting(t *testing.T) {
	for _, kick := range []bool{false, true} {
		inBubbles(t, func(t *testing.T, g engine) {
			r := newRig(t, Options{StallTimeout: time.Hour})
			units := r.write(1)
			var all []*client
			for range 5 {
				c := g.client(r).play()
				c.want("HCU", units...)
				if c.sock != nil {
					c.sock.set(func() { c.sock.room = 5 })
				}
				c.farewell = func(error) []byte { return make([]byte, 100) } // which nobody reads
				all = append(all, c)
			}
			r.s.End(errOver)
			time.Sleep(100 * time.Millisecond)
			begin := time.Now()
			if kick {
				for _, c := range all {
					c.cancel(errStop)
				}
			} else {
				r.stop(errStop)
			}
			for _, c := range all {
				if err := c.end(); !errors.Is(err, errOver) {
					t.Error(err)
				}
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("told after %v (kick: %v)", took, kick)
			}
		})
	}
}
