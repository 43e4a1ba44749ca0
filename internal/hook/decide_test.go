package hook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

func TestPublishAnswers(t *testing.T) {
	scene(t, to(Publish), func(t *testing.T, s *stage) {
		if !s.Asks(hub.ActionPublish) || s.Asks(hub.ActionPlay) {
			t.Error("it asks what it should not")
		}
		s.answers(says(`{"code":0,"stream_replace":"named","continue_push_ms":null,"enable_rtsp":0}`))
		p, err := s.Authorize(t.Context(), hub.ActionPublish, s.request("rtmp", "raw"))
		if err != nil || p.Key != key("named") || p.Terms.ServedBy("rtsp") || !p.Terms.ServedBy("http-flv") || len(p.Terms.Serves) != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		s.answers(says(`{"code":-5,"msg":"go away"}`))
		_, err = s.Authorize(t.Context(), hub.ActionPublish, s.request("rtmp", "raw"))
		wants(t, "refused", err, hub.ErrDenied)
		same(t, "refused", err.Error(), "denied: go away (code -5)")
		same(t, "calls", len(s.calls(Publish)), 2) // a refusal is not asked about again
		s.answers(says(`{"code":0,"stream_replace":"../x"}`))
		_, err = s.Authorize(t.Context(), hub.ActionPublish, s.request("rtmp", "raw"))
		wants(t, "badly named", err, hub.ErrBadName)
		f := s.figure(Publish)
		same(t, "figures", []uint64{f.Calls, f.Failures, f.Refusals, f.Busy}, []uint64{3, 0, 1, 0})
	})
}

// What is no answer is asked again, and then decided by the policy.
func TestNoAnswer(t *testing.T) {
	for name, serve := range map[string]func(w http.ResponseWriter, r *http.Request, c *called){
		"text": says("ok"), "empty": says(""), "array": says("[]"), "no code": says("{}"), "too long": says(yes + strings.Repeat(" ", 64<<10)),
		"500": func(w http.ResponseWriter, _ *http.Request, _ *called) {
			http.Error(w, yes, http.StatusInternalServerError)
		},
		"201": func(w http.ResponseWriter, _ *http.Request, _ *called) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(yes))
		},
		"redirects": func(w http.ResponseWriter, r *http.Request, _ *called) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		},
		"panics": func(http.ResponseWriter, *http.Request, *called) { panic(http.ErrAbortHandler) },
	} {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/open=%v", name, open), func(t *testing.T) {
				c := to(Play, Publish)
				if open {
					c.FailOpen = []string{"on_play", "on_publish"}
				}
				scene(t, c, func(t *testing.T, s *stage) {
					s.answers(serve)
					o := <-s.play(t.Context(), s.request("rtmp", "a"))
					if (o.err == nil) != open || o.took < 700*time.Millisecond || o.took > 1300*time.Millisecond {
						t.Errorf("%v after %v", o.err, o.took)
					}
					same(t, "calls", len(s.calls(Play)), 2)
					if !open {
						same(t, "what the peer is told", o.err.Error(), "on_play was not answered")
					}
					if _, err := s.Authorize(t.Context(), hub.ActionPublish, s.request("rtmp", "a")); (err == nil) != open {
						t.Errorf("publish: %v", err)
					}
				})
			})
		}
	}
}

// A refusal stays one, however open the hook fails.
func TestOpenRefuses(t *testing.T) {
	c := to(Play, Publish)
	c.FailOpen = []string{"on_play", "on_publish"}
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(says(`{"code":401,"msg":"Unauthorized","stream_replace":"x"}`))
		for _, a := range []hub.Action{hub.ActionPlay, hub.ActionPublish} {
			_, err := s.Authorize(t.Context(), a, s.request("rtmp", "a"))
			wants(t, string(a), err, hub.ErrDenied)
		}
	})
}

// A target that answers late is not waited for beyond the timeout, retries and waits for a place included.
func TestTimeout(t *testing.T) {
	c := to(Play)
	c.Concurrency, c.Timeout, c.Retries = 8, 4*time.Second, 3
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		var all []<-chan outcome
		for range 100 {
			all = append(all, s.play(t.Context(), s.request("rtmp", "a")))
		}
		time.Sleep(time.Second) // before the breaker opens
		_, most := s.underway(Play)
		same(t, "the most at a time", most, 6)
		for _, c := range all {
			if o := <-c; o.err == nil || o.took > 4*time.Second {
				t.Fatalf("%v after %v", o.err, o.took)
			}
		}
		_, most = s.underway(Play)
		same(t, "the most at a time", most, 6)
		same(t, "those for whom there was no place", s.figure(Play).Busy, uint64(94))
		if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err == nil || o.took != 0 || !s.figure(Play).Open {
			t.Errorf("the breaker is closed: %v after %v", o.err, o.took)
		}
	})
}

// While the breaker is open nobody waits for a place to be told so.
func TestOpenAtOnce(t *testing.T) {
	c := to(Play)
	c.Concurrency, c.Retries = 8, 0
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		for range 6 {
			s.play(t.Context(), s.request("rtmp", "a"))
		}
		synctest.Wait()
		for range breakAfter {
			s.target(Play).breaker.RecordFailure()
		}
		if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err == nil || o.took != 0 {
			t.Errorf("%v after %v", o.err, o.took)
		}
		time.Sleep(5 * time.Second)
	})
}

// A target that is slow and gets more questions than it can answer is not found guilty: those for whom there is a place are answered.
func TestOverload(t *testing.T) {
	c := to(Play)
	c.Concurrency = 4 // 3 questions
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(takes(2 * time.Second))
		good, all := 0, []<-chan outcome{}
		for range 20 * 20 {
			all = append(all, s.play(t.Context(), s.request("rtmp", "a")))
			time.Sleep(time.Second / 20)
		}
		for _, c := range all {
			if o := <-c; o.err == nil {
				good++
			} else if o.took > 5*time.Second {
				t.Errorf("%v after %v", o.err, o.took)
			}
		}
		if good < 30 || s.figure(Play).Failures != 0 {
			t.Errorf("%d questions are answered, %d calls have failed", good, s.figure(Play).Failures)
		}
	})
}

// The breaker opens, questions are answered at once, and it closes when the target is back.
func TestBreaker(t *testing.T) {
	scene(t, to(Play), func(t *testing.T, s *stage) {
		s.answers(hangs)
		begin := time.Now()
		for !s.figure(Play).Open {
			if time.Since(begin) > 10*time.Second {
				t.Fatal("the breaker does not open")
			}
			s.play(t.Context(), s.request("rtmp", "a"))
			time.Sleep(time.Second)
		}
		calls := len(s.calls(Play))
		for range 100 { // 10 s
			o := <-s.play(t.Context(), s.request("rtmp", "a"))
			if o.err == nil || o.took > 5*time.Second {
				t.Errorf("%v after %v", o.err, o.took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(s.calls(Play)) - calls; n < 1 || n > 8 {
			t.Errorf("%d calls while the breaker was open", n)
		}
		s.answers(nil)
		begin = time.Now()
		for o := (outcome{err: hub.ErrDenied}); o.err != nil; o = <-s.play(t.Context(), s.request("rtmp", "a")) {
			if time.Sleep(100 * time.Millisecond); time.Since(begin) > 10*time.Second {
				t.Fatal("the breaker does not close")
			}
		}
		if s.figure(Play).Open {
			t.Error("the breaker is open")
		}
	})
}

// A target that goes deaf on the connections that there are, and listens (card H01): no more calls fail than there were connections, and the next
// one has another.
func TestDeafConnections(t *testing.T) {
	for _, together := range []int{1, 20} {
		scene(t, to(Play, Changed), func(t *testing.T, s *stage) {
			const pooled = 5
			ask := func(n int) (failed int, took time.Duration) {
				var all []<-chan outcome
				for range n {
					all = append(all, s.play(t.Context(), s.request("rtmp", "a")))
				}
				for _, c := range all {
					o := <-c
					if took = max(took, o.took); o.err != nil {
						failed++
					}
				}
				return failed, took
			}
			s.answers(takes(time.Second))
			if failed, _ := ask(pooled); failed != 0 {
				t.Fatalf("%d have failed", failed)
			}
			deaf := 0
			for _, c := range s.calls(Play) {
				deaf = max(deaf, c.conn)
			}
			same(t, "connections", deaf, pooled)
			s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
				if c.conn <= deaf {
					hangs(w, r, c)
				}
				says(yes)(w, r, c)
			})
			failed, took := ask(together)
			if failed > pooled || took > 5*time.Second {
				t.Errorf("%d of %d have failed after %v", failed, together, took)
			}
			if failed, took = ask(together); failed != 0 || took > time.Second {
				t.Errorf("then %d have failed after %v", failed, took)
			}
		})
	}
}

// Who leaves takes the call along. That is no failure of the target, and no place is lost.
func TestAskerLeaves(t *testing.T) {
	c := to(Play)
	c.Concurrency, c.FailOpen = 4, []string{"on_play"}
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(hangs)
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			var all []<-chan outcome
			for range 5 { // three ask, two wait for a place
				all = append(all, s.play(ctx, s.request("rtmp", "a")))
			}
			time.Sleep(time.Second)
			now, _ := s.underway(Play)
			same(t, "under way", now, 3)
			cancel()
			for _, c := range all {
				o := <-c
				wants(t, "who has gone", o.err, context.Canceled) // and is not let in
				same(t, "after", o.took, time.Second)
			}
			now, _ = s.underway(Play)
			same(t, "under way", now, 0)
		}
		f := s.figure(Play) // those who wait may get a place of others who have left a moment before them
		same(t, "figures", f, Figures{Hook: Play, URL: f.URL, Calls: min(max(f.Calls, 30), 50)})
		s.answers(nil)
		if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err != nil || o.took != 0 {
			t.Errorf("%v after %v", o.err, o.took)
		}
	})
}

// Who leaves while the breaker waits for his answer does not leave it waiting.
func TestAskerLeavesTrial(t *testing.T) {
	c := to(Play)
	c.Retries = 0
	scene(t, c, func(t *testing.T, s *stage) {
		s.set(func(p *platform) { p.down = true })
		for range 5 {
			<-s.play(t.Context(), s.request("rtmp", "a"))
		}
		s.set(func(p *platform) { p.down, p.serve = false, hangs })
		for range 3 {
			same(t, "the breaker is open", s.figure(Play).Open, true)
			time.Sleep(2 * time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			trial := s.play(ctx, s.request("rtmp", "a"))
			time.Sleep(time.Second)
			now, _ := s.underway(Play)
			same(t, "under way", now, 1)
			if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err == nil || o.took != 0 {
				t.Errorf("beside the trial: %v after %v", o.err, o.took)
			}
			cancel()
			<-trial
		}
		same(t, "failures", s.figure(Play).Failures, uint64(5))
		s.answers(nil)
		time.Sleep(2 * time.Second)
		if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err != nil {
			t.Errorf("the target is back: %v", o.err)
		}
	})
}

// A call that breaks down gives the breaker its permit back.
func TestCallPanics(t *testing.T) {
	c := to(Play)
	c.Retries = 0
	scene(t, c, func(t *testing.T, s *stage) {
		ask := func() (err error) {
			defer func() {
				if recover() != nil {
					err = errBroken
				}
			}()
			b := &body{} // without hooks: to write it panics
			_, err = s.target(Play).ask(t.Context(), b)
			return err
		}
		for range 5 {
			wants(t, "it panics", ask(), errBroken)
		}
		wants(t, "the breaker is open", ask(), errOpen)
		time.Sleep(2 * time.Second)
		wants(t, "it panics", ask(), errBroken)
		wants(t, "the breaker is open", ask(), errOpen)
		time.Sleep(2 * time.Second)
		if o := <-s.play(t.Context(), s.request("rtmp", "a")); o.err != nil {
			t.Errorf("the breaker waits for ever: %v", o.err)
		}
		same(t, "places", len(s.target(Play).questions), 0)
	})
}

func TestCache(t *testing.T) {
	c := to(Play)
	c.Cache = 10 * time.Second
	scene(t, c, func(t *testing.T, s *stage) {
		q := s.request("rtmp", "a")
		ask := func(what string, q hub.Request, calls int, want error) {
			t.Helper()
			o := <-s.play(t.Context(), q)
			wants(t, what, o.err, want)
			same(t, what+": calls", len(s.calls(Play)), calls)
		}
		ask("first", q, 1, nil)
		s.answers(says(`{"code":1}`))
		ask("again", q, 1, nil)
		for i, change := range []func(q *hub.Request){
			func(q *hub.Request) { q.Key = key("b") }, func(q *hub.Request) { q.Query = "" }, func(q *hub.Request) { q.Protocol = "hls" },
			func(q *hub.Request) { q.Remote = s.request("rtmp", "a").Remote },
		} {
			other := q
			change(&other)
			ask("another", other, i+2, hub.ErrDenied)
			ask("another again", other, i+2, hub.ErrDenied)
		}
		time.Sleep(10*time.Second + 1)
		ask("old", q, 6, hub.ErrDenied)

		long := q
		long.Query = strings.Repeat("x", queryMost+1)
		ask("long", long, 7, hub.ErrDenied)
		ask("long again", long, 8, hub.ErrDenied)

		c.Cache = time.Second
		s.Configure(c)
		time.Sleep(2 * time.Second)
		ask("shorter", q, 9, hub.ErrDenied)
		c.Cache = 0
		s.Configure(c)
		ask("off", q, 10, hub.ErrDenied)
		c.Cache = time.Hour
		s.Configure(c)
		ask("on", q, 10, hub.ErrDenied) // what was remembered still is
		c.OnPlay += "?v=2"
		s.Configure(c)
		ask("elsewhere", q, 11, hub.ErrDenied)

		s.answers(says(`no`)) // a failure is no answer
		ask("failure", s.request("rtmp", "b"), 13, errAnswer)
		same(t, "remembered", len(s.target(Play).cache.by), 1)
	})
}

func TestCacheBound(t *testing.T) {
	var c cache[question, error]
	for i := range cacheMost + 1000 {
		c.put(question{query: fmt.Sprint(i)}, nil, time.Minute)
	}
	same(t, "remembered", len(c.by), cacheMost)
}

// Where nobody is asked, everything is allowed, at once.
func TestOff(t *testing.T) {
	c := to(Play, Publish, Changed, KeepAlive, Started, Exited)
	c.Enabled = false
	scene(t, c, func(t *testing.T, s *stage) {
		if s.Asks(hub.ActionPublish) || s.Asks(hub.ActionPlay) {
			t.Error("it asks")
		}
		for _, a := range []hub.Action{hub.ActionPlay, hub.ActionPublish} {
			p, err := s.Authorize(t.Context(), a, s.request("rtmp", "a"))
			if err != nil || p.Key != (hub.Key{}) {
				t.Errorf("%s: %+v, %v", a, p, err)
			}
		}
		l, _ := s.publish(t, "a")
		l.Finish(nil)
		time.Sleep(time.Hour)
		s.end()
		same(t, "calls", len(s.all), 0)
	})
}
