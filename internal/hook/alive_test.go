package hook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/watch"
)

// Keep-alives begin when they are configured, at once; they go by the interval that holds, and stop when they are taken away.
func TestKeepAlive(t *testing.T) {
	scene(t, to(Started), func(t *testing.T, s *stage) {
		count := func(what string, after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			same(t, what, len(s.calls(KeepAlive)), want)
		}
		count("none is configured", time.Hour, 0)
		c := to(Started, KeepAlive)
		s.Configure(c)
		count("at once", 0, 1)
		count("not yet", 9*time.Second, 1)
		count("every 10 s", 21*time.Second, 4)
		c.AliveInterval = time.Hour
		s.Configure(c)
		count("another interval", 59*time.Minute, 4)
		c.AliveInterval = 2 * time.Second
		s.Configure(c)
		count("it is due by the new interval", 0, 5)
		count("every 2 s", 2*time.Second, 6)
		c.AliveInterval = 4 * time.Second
		s.Configure(c)
		count("not by the old one", 2*time.Second, 6)
		count("but by the new one", 2*time.Second, 7)
		for range 10 {
			s.Configure(c)
		}
		c.Timeout++
		s.Configure(c)
		count("what does not concern it", 0, 7)
		c.OnServerKeepalive += "?v=2"
		s.Configure(c)
		count("elsewhere", 0, 8)
		c.Enabled = false
		s.Configure(c)
		count("off", time.Hour, 8)
		c.Enabled = true
		s.Configure(c)
		count("on", 0, 9)
		same(t, "starts", len(s.calls(Started)), 1)
	})
}

// A target that hangs has one keep-alive at a time, and hears again when it is back.
func TestKeepAliveHangs(t *testing.T) {
	c := to(KeepAlive)
	c.AliveInterval = time.Second
	scene(t, c, func(t *testing.T, s *stage) {
		synctest.Wait()
		s.answers(hangs)
		time.Sleep(10 * time.Minute)
		_, most := s.underway(KeepAlive)
		same(t, "at a time", most, 1)
		same(t, "waiting", s.figure(KeepAlive).Waiting, 1)
		s.answers(nil)
		s.set(func(p *platform) { p.all = nil })
		time.Sleep(30 * time.Second)
		if n := len(s.calls(KeepAlive)); n < 20 || n > 31 {
			t.Errorf("%d keep-alives in 30 s", n)
		}
	})
}

// The server's figures may hang or break down: the guard sees it, and other hooks go on.
func TestStatistic(t *testing.T) {
	wait := make(chan struct{})
	n := 0
	o := Options{Config: to(KeepAlive, Changed), Board: watch.NewBoard(), Statistic: func() any {
		if n++; n == 1 {
			panic("oops")
		}
		<-wait
		return map[string]int{"n": n}
	}}
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		defer p.http.Close()
		wait = make(chan struct{})
		o.Dial, o.Log = p.dial, (&text{}).logger()
		h := New(o)
		h.Serve(hub.New(hub.DefaultConfig(), nil))
		stop := run(t, h)
		time.Sleep(15 * time.Second)
		same(t, "keep-alives", len(p.calls(KeepAlive)), 1)
		h.Observe(opened("a", 1))
		synctest.Wait()
		same(t, "others", len(p.calls(Changed)), 1)
		close(wait)
		synctest.Wait()
		if all := p.calls(KeepAlive); len(all) != 2 || fmt.Sprint(all[1].body["data"]) != "map[n:2]" {
			t.Errorf("%v", all)
		}
		stop()
	})
}

// Everything at once.
func TestRace(t *testing.T) {
	scene(t, to(Publish, Play, Changed, KeepAlive), func(t *testing.T, s *stage) {
		s.answers(func(w http.ResponseWriter, _ *http.Request, c *called) {
			switch {
			case len(c.raw)%5 == 0:
				panic(http.ErrAbortHandler)
			case len(c.raw)%5 == 1:
				time.Sleep(time.Millisecond)
			}
			_, _ = io.WriteString(w, yes)
		})
		var all sync.WaitGroup
		configs := []Config{to(Publish, Play, Changed, KeepAlive), to(), to(Play, Changed), to(Publish, KeepAlive), to(Changed)}
		for i := range configs {
			configs[i].RetryDelay, configs[i].Cache = 10*time.Millisecond, time.Duration(i)*time.Millisecond
			configs[i].Concurrency, configs[i].Queue, configs[i].AliveInterval = 2+i, 10*(i+1), time.Second
			configs[i].FailOpen = []string{"on_play", "on_publish"}
			configs[i].Timeout = 100*time.Millisecond + time.Duration(i/2)
		}
		all.Go(func() {
			for i := range 200 {
				s.Configure(configs[i%len(configs)])
				time.Sleep(time.Millisecond)
			}
		})
		for i := range 4 {
			all.Go(func() {
				for n := range uint64(100) {
					s.Observe(opened(fmt.Sprint(i, n%10), n))
					s.Observe(closed(fmt.Sprint(i, n%10), n))
					time.Sleep(time.Millisecond)
				}
			})
			all.Go(func() {
				for n := range 50 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Millisecond)
					q := hub.Request{Key: key(fmt.Sprint(n % 5)), Protocol: "rtmp", Session: "x"}
					_, _ = s.Authorize(ctx, hub.ActionPlay, q)
					_, _ = s.Authorize(t.Context(), hub.ActionPublish, q)
					s.Figures()
					s.Asks(hub.ActionPlay)
					s.ServerID()
					cancel()
				}
			})
		}
		all.Wait()
		s.Configure(configs[0])
		s.answers(nil)
		time.Sleep(3 * time.Second)
		same(t, "waiting", s.waiting(), 0)
		for hook, l := range s.lanes {
			if l.working != 0 || l.bytes != 0 || len(l.queues) != 0 || len(l.ready) != 0 {
				t.Errorf("%s: %d workers, %d bytes, %d lanes, %d ready", hook, l.working, l.bytes, len(l.queues), len(l.ready))
			}
		}
		for _, hook := range []Hook{Publish, Play} {
			now, _ := s.underway(hook)
			same(t, "under way", now, 0)
			same(t, "places", len(s.target(hook).questions), 0)
		}
	})
}
