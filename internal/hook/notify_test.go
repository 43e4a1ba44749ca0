package hook

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/zlm"
)

// opened and closed are the hub's words for a stream that comes and goes.
func opened(name string, epoch uint64) hub.Event {
	return hub.Event{Kind: hub.Opened, Session: hub.SessionInfo{Key: key(name), Protocol: "rtmp", ID: name}, Epoch: epoch}
}

func closed(name string, epoch uint64) hub.Event {
	e := opened(name, epoch)
	e.Kind = hub.Closed
	return e
}

// story is what has been told of a stream in a schema: + for its begin, - for its end, with the epoch.
func story(all []called, schema, name string) (told string) {
	for _, c := range all {
		if c.field("schema") == schema && c.field("stream") == name {
			told += map[string]string{"true": "+", "false": "-"}[c.field("regist")] + c.field("epoch") + " "
		}
	}
	return strings.TrimSpace(told)
}

// What is told of a stream in a schema comes in order, although calls are slow, and some fail; streams do not wait for each other.
func TestOrder(t *testing.T) {
	c := to(Changed)
	c.Schemas, c.Concurrency = []string{"rtsp", "hls"}, 64
	scene(t, c, func(t *testing.T, s *stage) {
		var n atomic.Int32
		s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
			if n.Add(1)%7 == 0 { // it was taken, and the answer is lost
				panic(http.ErrAbortHandler)
			}
			takes(300*time.Millisecond)(w, r, c)
		})
		const streams, times = 10, 5
		for epoch := range uint64(times) {
			for i := range streams {
				s.Observe(opened(fmt.Sprint(i), 2*epoch))
				s.Observe(closed(fmt.Sprint(i), 2*epoch))
			}
		}
		begin := time.Now()
		for s.figure(Changed).Waiting > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > 12*time.Second { // one after the other it would be a minute
			t.Errorf("it takes %v", took)
		}
		if _, most := s.underway(Changed); most < 10 || most > 16 {
			t.Errorf("%d at a time", most)
		}
		for i := range streams {
			for _, schema := range c.Schemas {
				told := slices.Compact(strings.Fields(story(s.calls(Changed), schema, fmt.Sprint(i)))) // twice is not out of order
				same(t, "stream "+fmt.Sprint(i), strings.Join(told, " "), "+0 -0 +2 -2 +4 -4 +6 -6 +8 -8")
			}
		}
		same(t, "dropped", s.figure(Changed).Dropped, uint64(0))
	})
}

// A platform that is down for a while loses nothing of what was to be told meanwhile, in whatever way it is down.
func TestDown(t *testing.T) {
	gateway := func(w http.ResponseWriter, _ *http.Request, _ *called) {
		http.Error(w, "no upstream", http.StatusBadGateway)
	}
	aborts := func(http.ResponseWriter, *http.Request, *called) { panic(http.ErrAbortHandler) }
	for name, down := range map[string]func(p *platform){
		"refuses": func(p *platform) { p.down = true },
		"hangs":   func(p *platform) { p.serve = hangs },
		"aborts":  func(p *platform) { p.serve = aborts },
		"gateway": func(p *platform) { p.serve = gateway },
	} {
		for _, streams := range []int{1, 30} {
			t.Run(fmt.Sprintf("%s/%d", name, streams), func(t *testing.T) {
				c := to(Changed)
				c.Retries = 0
				scene(t, c, func(t *testing.T, s *stage) {
					s.set(down)
					want := ""
					for epoch := range uint64(5) { // 20 s
						for i := range streams {
							s.Observe(opened(fmt.Sprint(i), epoch))
							s.Observe(closed(fmt.Sprint(i), epoch))
						}
						want += fmt.Sprintf("+%d -%d ", epoch, epoch)
						time.Sleep(4 * time.Second)
					}
					failures := s.figure(Changed).Failures
					s.set(func(p *platform) { p.down, p.serve, p.all = false, nil, nil })
					time.Sleep(12 * time.Second)
					for i := range streams {
						same(t, "stream "+fmt.Sprint(i), story(s.calls(Changed), "rtsp", fmt.Sprint(i)), strings.TrimSpace(want))
					}
					f := s.figure(Changed)
					same(t, "afterwards", f, Figures{Hook: Changed, URL: f.URL, Calls: f.Calls, Failures: f.Failures})
					if failures < 3 || failures > 50 {
						t.Errorf("%d calls in 20 s of failure", failures)
					}
				})
			})
		}
	}
}

// A notification that the platform answers with nonsense is given up after the retries; one that it never answers, after a minute. Then it is
// the next one's turn, and others have not waited.
func TestLost(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request, c *called)
		after time.Duration
		calls int
	}{
		"nonsense": {says("what?"), 2 * time.Second, 2},
		"500":      {func(w http.ResponseWriter, _ *http.Request, _ *called) { w.WriteHeader(http.StatusInternalServerError) }, 2 * time.Second, 2},
		"hangs":    {hangs, noteAge, 10},
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, to(Changed), func(t *testing.T, s *stage) {
				s.answers(func(w http.ResponseWriter, r *http.Request, called *called) {
					if called.field("stream") == "bad" && called.field("epoch") == "1" {
						c.serve(w, r, called)
						return
					}
					_, _ = io.WriteString(w, yes)
				})
				s.Observe(opened("bad", 1))
				s.Observe(opened("good", 1))
				synctest.Wait()
				same(t, "another", story(s.calls(Changed), "rtsp", "good"), "+1")
				time.Sleep(c.after / 2)
				s.Observe(closed("bad", 2))
				time.Sleep(c.after/2 + 8*time.Second)
				told := strings.Fields(story(s.calls(Changed), "rtsp", "bad"))
				if len(told) < 2 || len(told) > c.calls+1 || told[len(told)-1] != "-2" || slices.Index(told, "-2") != len(told)-1 {
					t.Errorf("told of: %v", told)
				}
				f := s.figure(Changed)
				same(t, "dropped", f.Dropped, uint64(1))
				same(t, "waiting", f.Waiting, 0)
			})
		})
	}
}

// What has waited for a minute is not sent any more: the platform hears of what is new.
func TestAge(t *testing.T) {
	scene(t, to(Changed), func(t *testing.T, s *stage) {
		s.set(func(p *platform) { p.down = true })
		for epoch := range uint64(100) { // a second each
			s.Observe(opened("a", epoch))
			time.Sleep(time.Second)
		}
		if f := s.figure(Changed); f.Waiting < 50 || f.Waiting > 61 || f.Waiting+int(f.Dropped) != 100 {
			t.Errorf("%d wait, %d are dropped", f.Waiting, f.Dropped)
		}
		s.set(func(p *platform) { p.down = false })
		time.Sleep(5 * time.Second)
		told := strings.Fields(story(s.calls(Changed), "rtsp", "a"))
		if len(told) < 50 || len(told) > 62 || told[len(told)-1] != "+99" || !slices.IsSortedFunc(told, strings.Compare) {
			t.Errorf("told of: %v", told)
		}
	})
}

// A target that is slow, and for which there is too much, is not found guilty of what has waited for too long.
func TestAgeOfSlow(t *testing.T) {
	c := to(Changed)
	c.Concurrency = 4 // one notification at a time
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(takes(4900 * time.Millisecond))
		for i := range 100 {
			s.Observe(opened(fmt.Sprint(i), 1))
		}
		time.Sleep(2 * time.Minute)
		f := s.figure(Changed)
		same(t, "figures", f, Figures{Hook: Changed, URL: f.URL, Calls: 13, Dropped: 87})
	})
}

// Fewer places are fewer workers, soon.
func TestFewerPlaces(t *testing.T) {
	c := to(Changed)
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(takes(time.Second))
		for i := range 100 {
			s.Observe(opened(fmt.Sprint(i), 1))
		}
		now, _ := s.underway(Changed)
		same(t, "under way", now, 8)
		c.Concurrency = 8
		s.Configure(c)
		time.Sleep(1500 * time.Millisecond)
		now, _ = s.underway(Changed)
		same(t, "under way with fewer places", now, 2)
		c.Concurrency = 64
		s.Configure(c)
		s.Observe(opened("more", 1)) // each hires one
		s.Observe(opened("still more", 1))
		now, _ = s.underway(Changed)
		same(t, "under way with more places", now, 4)
		time.Sleep(time.Minute)
		same(t, "waiting", s.figure(Changed).Waiting, 0)
	})
}

// The queue is bounded, in notifications and in bytes, and what is dropped is counted.
func TestQueueBound(t *testing.T) {
	c := to(Changed)
	c.Queue = 100
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		for i := range 1000 {
			s.Observe(opened(fmt.Sprint(i), 1))
		}
		f := s.figure(Changed)
		same(t, "waiting", f.Waiting, 100)
		same(t, "dropped", f.Dropped, uint64(900))
		_, most := s.underway(Changed)
		same(t, "the most at a time", most, 8)
		s.answers(nil)
		time.Sleep(15 * time.Second)
		s.Observe(opened("last", 1))
		synctest.Wait()
		same(t, "told of", len(s.calls(Changed)) >= 101, true)
		same(t, "the last", story(s.calls(Changed), "rtsp", "last"), "+1")
	})
}

func TestQueueBytes(t *testing.T) {
	l := newLanes()
	l.limit(1<<20, 1)
	n := note{lane: "a", body: &body{text: make([]byte, 1<<20)}}
	for range 100 {
		l.add(n)
	}
	waiting, dropped := l.figures()
	if waiting != 63 || dropped != 37 {
		t.Errorf("%d notes of a megabyte wait, %d are dropped", waiting, dropped)
	}
	for range waiting {
		n, ok := l.next()
		if !ok {
			t.Fatal("there is none")
		}
		l.done(n, true)
	}
	if len(l.queues) != 0 || l.bytes != 0 || l.waiting != 0 {
		t.Errorf("%d lanes, %d bytes, %d notes are left", len(l.queues), l.bytes, l.waiting)
	}
}

// Notifications that come before Run wait for it, and are worked on by as many as may.
func TestBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		defer p.http.Close()
		p.answers(takes(time.Second))
		h := New(Options{Config: to(Changed), Log: (&text{}).logger(), Dial: p.dial})
		h.Serve(hub.New(hub.DefaultConfig(), nil))
		for i := range 16 {
			h.Observe(opened(fmt.Sprint(i), 1))
		}
		time.Sleep(time.Hour)
		same(t, "calls before", len(p.calls(Changed)), 0)
		for i := range 16 {
			h.Observe(opened(fmt.Sprint(16+i), 1))
		}
		stop := run(t, h)
		time.Sleep(5 * time.Second)
		same(t, "calls", len(p.calls(Changed)), 16) // the others are too old by then
		_, most := p.underway(Changed)
		same(t, "the most at a time", most, 8)
		stop()
	})
}

// What still waits when the server ends is sent, if that does not take long.
func TestFlush(t *testing.T) {
	c := to(Changed, Exited)
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(takes(100 * time.Millisecond))
		for i := range 100 {
			s.Observe(opened(fmt.Sprint(i), 1))
		}
		begin := time.Now()
		s.end()
		same(t, "calls", len(s.calls(Changed)), 100)
		same(t, "ends", len(s.calls(Exited)), 1)
		if took := time.Since(begin); took > 2*time.Second || s.all[100].Hook != Exited {
			t.Errorf("it takes %v; the last call is %s", took, s.all[100].Hook)
		}
	})
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		for i := range 100 {
			s.Observe(opened(fmt.Sprint(i), 1))
		}
		begin := time.Now()
		s.end()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it takes %v", took)
		}
		synctest.Wait()
		now, _ := s.underway(Changed)
		same(t, "under way", now, 0)
		s.Observe(opened("late", 1)) // does nothing
	})
}

// What takes the server long at its end is no reason for hooks to take as long again: who ends it waits for the whole, and kills it then. Of its end
// a platform is told all the same.
func TestFlushAfterLongEnd(t *testing.T) {
	for _, c := range []struct{ drains, most time.Duration }{{0, 3 * time.Second}, {2 * time.Second, 3 * time.Second}, {3 * time.Second, 3300 * time.Millisecond}} {
		scene(t, to(Changed, Exited), func(t *testing.T, s *stage) {
			s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
				if c.Hook == Changed {
					hangs(w, r, c)
				}
				says(`{"code":0}`)(w, r, c)
			})
			s.Observe(opened("a", 1))
			begin := time.Now()
			s.Hooks.Close()
			time.Sleep(c.drains)
			s.end()
			if took := time.Since(begin); took > c.most+100*time.Millisecond {
				t.Errorf("viewers take %v, and all takes %v", c.drains, took)
			}
			same(t, "ends", len(s.calls(Exited)), 1)
		})
	}
}

// A worker that another one succeeds says nothing of its end.
func TestRetire(t *testing.T) {
	scene(t, to(Changed, Exited), func(t *testing.T, s *stage) {
		l, _ := s.publish(t, "a")
		defer l.Release(nil)
		s.Retire()
		s.end()
		same(t, "story", story(s.calls(Changed), "rtsp", "a"), "+1 -1")
		same(t, "ends", len(s.calls(Exited)), 0)
	})
}

// Waiting notifications go where the configuration says by then, still in order; those of a hook that is off are dropped.
func TestMoved(t *testing.T) {
	c := to(Changed)
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		for epoch := range uint64(3) {
			s.Observe(opened("a", epoch))
			s.Observe(closed("a", epoch))
		}
		synctest.Wait()
		for n := range 50 { // as a platform does that sets key by key
			c.Timeout = 5*time.Second + time.Duration(n)*time.Millisecond
			s.Configure(c)
			s.Observe(opened("b", uint64(n)))
		}
		synctest.Wait()
		now, most := s.underway(Changed)
		same(t, "under way", []int{now, most}, []int{2, 2}) // one for each stream
		c.OnStreamChanged += "?v=2"
		s.Configure(c)
		s.set(func(p *platform) { p.all, p.serve = nil, nil })
		time.Sleep(10 * time.Second)
		same(t, "story", story(s.calls(Changed), "rtsp", "a"), "+0 -0 +1 -1 +2 -2")
		same(t, "the other", len(strings.Fields(story(s.calls(Changed), "rtsp", "b"))), 50)
		for _, c := range s.calls(Changed) {
			if c.query != "v=2" {
				t.Fatal("it goes where it went before")
			}
		}
		s.answers(hangs)
		for epoch := range uint64(3) {
			s.Observe(opened("a", epoch))
		}
		c.OnStreamChanged = ""
		s.Configure(c)
		time.Sleep(10 * time.Second)
		same(t, "waiting", s.waiting(), 0)
		s.Observe(opened("a", 9))
		same(t, "waiting", s.waiting(), 0)
	})
}

// A slow or hung target is nothing to other hooks.
func TestBulkheads(t *testing.T) {
	scene(t, to(Publish, Play, Changed, NotFound), func(t *testing.T, s *stage) {
		s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
			if c.Hook == Play || c.Hook == Changed {
				hangs(w, r, c)
			}
			_, _ = io.WriteString(w, yes)
		})
		for i := range 1000 {
			s.Observe(opened(fmt.Sprint(i), 1))
			s.play(t.Context(), s.request("rtmp", "a"))
		}
		time.Sleep(time.Second)
		begin := time.Now()
		for range 100 {
			if _, err := s.Authorize(t.Context(), hub.ActionPublish, s.request("rtmp", "a")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > time.Millisecond {
			t.Errorf("100 questions to another take %v", took)
		}
		s.Observe(hub.Event{Kind: hub.Wanted, Session: hub.SessionInfo{Key: key("x")}, Dismiss: func(error) {}})
		synctest.Wait()
		same(t, "notifications of another", len(s.calls(NotFound)), 1)
		time.Sleep(10 * time.Second) // for those that wait
	})
}

// Observe panics or an answer's deed: the worker goes on.
func TestDeedPanics(t *testing.T) {
	scene(t, to(NotFound), func(t *testing.T, s *stage) {
		s.answers(says(`{"code":0,"close":true}`))
		wanted := func(dismiss func(error)) {
			s.Observe(hub.Event{Kind: hub.Wanted, Session: hub.SessionInfo{Key: key("x"), ID: "1"}, Dismiss: dismiss})
		}
		dismissed := 0
		for range 20 {
			wanted(func(error) { panic("oops") })
			wanted(func(error) { dismissed++ })
		}
		synctest.Wait()
		same(t, "dismissed", dismissed, 20)
		f := s.figure(NotFound)
		same(t, "figures", f, Figures{Hook: NotFound, URL: f.URL, Calls: 40})
	})
}

// The schemas that are told of are those that are wanted, and that the stream is served by.
func TestSchemas(t *testing.T) {
	for _, c := range []struct {
		schemas, want []string
		off           map[zlm.Schema]bool
	}{
		{nil, []string{"fmp4", "hls", "hls.fmp4", "rtmp", "rtsp", "ts"}, nil},
		{[]string{"rtsp"}, []string{"rtsp"}, nil},
		{[]string{"rtsp", "hls.fmp4"}, []string{"hls.fmp4", "rtsp"}, nil},
		{nil, []string{"fmp4", "hls.fmp4", "rtmp", "ts"}, map[zlm.Schema]bool{zlm.RTSP: false, zlm.HLS: false}},
		{[]string{"rtsp"}, nil, map[zlm.Schema]bool{zlm.RTSP: false, zlm.RTMP: true}},
	} {
		cfg := to(Changed)
		cfg.Schemas = c.schemas
		scene(t, cfg, func(t *testing.T, s *stage) {
			for _, e := range []hub.Event{opened("a", 1), closed("a", 1)} {
				e.Terms.Serves = zlm.Serves(c.off)
				s.Observe(e)
				synctest.Wait()
			}
			told := map[string][]string{}
			for _, c := range s.calls(Changed) {
				told[c.field("regist")] = append(told[c.field("regist")], c.field("schema"))
			}
			slices.Sort(told["true"])
			slices.Sort(told["false"])
			same(t, "that appear", told["true"], c.want)
			same(t, "that vanish", told["false"], c.want)
		})
	}
}
