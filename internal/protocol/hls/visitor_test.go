package hls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// knows fails the test unless the hub knows so many viewers.
func (i *inn) knows(want int) {
	i.t.Helper()
	synctest.Wait()
	if _, n := i.Hub.Sessions(); n != want {
		i.t.Errorf("%d viewers, want %d", n, want)
	}
}

// streamed is a stream that has been played in all formats for some seconds, and by nobody for a minute.
func streamed(i *inn) *source {
	s := i.publish("live/x", usual())
	s.send(3 * time.Second)
	return s
}

// watch has guests ask for playlists while a stream goes on.
func (s *source) watch(d time.Duration, target string, guests ...*guest) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, g := range guests {
			if w := g.get(target); w.Code != http.StatusOK {
				s.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
			}
		}
		s.send(time.Second)
	}
}

// first has guests ask for a playlist for the first time.
func (s *source) first(target string, guests ...*guest) {
	s.t.Helper()
	for _, g := range guests {
		c := g.later(s.t.Context(), target)
		for !has(c) {
			s.send(100 * time.Millisecond)
		}
		if w := <-c; w.Code != http.StatusOK {
			s.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// TestViewers: who is one viewer, and who is two.
func TestViewers(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		a, b := i.guest("192.0.2.1", "x"), i.guest("192.0.2.1", "x")
		s.first(tsList, a)
		s.watch(2*time.Second, tsList, a)
		s.first(tsList, b)
		i.knows(2) // the same looks, other cookies
		s.watch(10*time.Second, tsList, a, b)
		i.knows(2)
		s.first(lowList, a)
		i.knows(3) // another format
		s.watch(5*time.Second, tsList, a, b)
		s.watch(5*time.Second, lowList, a)
		i.knows(3)

		c := i.guest("192.0.2.1", "y") // keeps no cookies
		s.first(tsList, c)
		for range 5 {
			clear(c.cookies)
			s.watch(time.Second, tsList, c)
		}
		i.knows(4)
		d := i.guest("192.0.2.2", "y") // another address
		s.first(tsList, d)
		i.knows(5)

		e := i.guest("192.0.2.3", "z") // by the query of the multivariant playlist
		s.first(mainList, e)
		variant := variantOf(t, e)
		for range 5 {
			clear(e.cookies)
			s.watch(time.Second, variant, e)
		}
		i.knows(6)
		s.watch(time.Second, tsList, a, b, c, d)
		stranger := i.guest("192.0.2.4", "z") // with the session of another stream, or one that is made up
		s.first(tsList+"?session=nonsense", stranger)
		s.first(tsList+"?session="+e.session(variant), stranger)
		i.knows(7)
		time.Sleep(i.cfg.Idle + 2*time.Second)
		i.knows(0)
		s.Finish(nil)
		time.Sleep(2 * time.Minute)
		i.empty()
	})
}

func variantOf(t *testing.T, g *guest) string {
	t.Helper()
	p := g.list(mainList)
	if p.Multivariant == nil || len(p.Multivariant.Variants) != 1 {
		t.Fatalf("%+v", p)
	}
	return "/live/x/" + p.Multivariant.Variants[0].URI
}

func (g *guest) session(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		g.t.Fatal(err)
	}
	return u.Query().Get("session")
}

// TestCounted: what viewers load is counted as theirs, however they are known.
func TestCounted(t *testing.T) {
	for name, cookies := range map[string]bool{"cookies": true, "none": false} {
		for _, target := range []string{tsList, tsList + "?token=x", mainList} {
			t.Run(name+" "+target, func(t *testing.T) {
				within(t, conformance.Options{}, func(t *testing.T, i *inn) {
					s := streamed(i)
					g := i.guest("192.0.2.1", "x")
					keep := func() {
						if !cookies {
							clear(g.cookies)
						}
					}
					s.first(target, g)
					list := target
					if target == mainList {
						list = variantOf(t, g)
					}
					s.send(4 * time.Second)
					keep()
					p := g.list(list).Media
					bytes := 0
					for range 3 {
						keep()
						bytes += g.get("/live/x/" + p.Segments[0].URI).Body.Len()
					}
					time.Sleep(2 * time.Second) // a snapshot may be that old
					all := i.Hub.Snapshot().Streams[0].Viewers
					if len(all) != 1 || all[0].Sent < uint64(bytes) || all[0].Sent > uint64(bytes)+20_000 {
						t.Errorf("%d bytes of media were loaded, the hub knows of %+v", bytes, all)
					}
				})
			})
		}
	}
}

// TestIdle: a viewer who asks for nothing has left, but not one who waits for an answer.
func TestIdle(t *testing.T) {
	o := conformance.Options{Hub: hub.DefaultConfig(), Settings: []string{"hls.idle=5s"}}
	o.Hub.Publish.MaxSilence = time.Minute
	within(t, o, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "x")
		s.first(lowList, g)
		s.watch(3*time.Second, lowList, g)
		p := g.list(lowList).Media
		w := g.later(t.Context(), fmt.Sprint(lowList, "?_HLS_msn=", p.Last()+2)) // for what does not come
		time.Sleep(5900 * time.Millisecond)                                      // of 3 target durations of 2 s
		if i.knows(1); has(w) {
			t.Error("it did not wait")
		}
		<-w
		time.Sleep(4 * time.Second)
		i.knows(1)
		time.Sleep(3 * time.Second)
		i.knows(0)
		i.Logged("stopped playing", errLeft.Error())
	})
}

// TestKick: who is kicked is gone at once and refused for a minute, however seldom it asks; others are not.
func TestKick(t *testing.T) {
	for name, every := range map[string]time.Duration{"asks": time.Second, "asks seldom": 45 * time.Second} {
		t.Run(name, func(t *testing.T) {
			within(t, conformance.Options{}, func(t *testing.T, i *inn) {
				s := streamed(i)
				a, b := i.guest("192.0.2.1", "x"), i.guest("192.0.2.2", "x")
				s.first(tsList, a, b)
				s.watch(2*time.Second, tsList, a, b)
				id := ""
				for _, v := range i.Hub.Snapshot().Streams[0].Viewers {
					if v.Remote.Addr().String() == a.addr {
						id = v.ID
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if err := i.Hub.Kick(ctx, id); err != nil {
					t.Error(err)
				}
				i.knows(1)
				for begin := time.Now(); time.Since(begin) < 59*time.Second; {
					if w := a.get(tsList); w.Code != http.StatusForbidden {
						t.Fatalf("after %v: %d", time.Since(begin), w.Code)
					}
					s.watch(every, tsList, b)
				}
				s.watch(3*time.Second, tsList, b)
				s.watch(time.Second, tsList, a)
				i.knows(2)
			})
		})
	}
}

// door lets in who has the right token, once it has thought about it.
type door struct{}

func (door) Authorize(_ context.Context, a hub.Action, q hub.Request) (hub.Permit, error) {
	if a == hub.ActionPlay && !strings.Contains(q.Query, "token=good") {
		return hub.Permit{}, fmt.Errorf("%w: wrong token", hub.ErrDenied)
	}
	return hub.Permit{}, nil
}

// TestDenied: who may not play gets nothing, and is not let in by what others were let in with.
func TestDenied(t *testing.T) {
	within(t, conformance.Options{Auth: door{}}, func(t *testing.T, i *inn) {
		s := streamed(i)
		good, bad := i.guest("192.0.2.1", "x"), i.guest("192.0.2.1", "x")
		s.first(mainList+"?token=good", good)
		s.first(tsList+"?token=good", good)
		s.send(4 * time.Second)
		for _, target := range []string{tsList, lowList, mainList, tsList + "?token=bad", tsList + "?session=x", tsList + "?session="} {
			if w := bad.get(target); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "EXT") {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
			if len(bad.cookies) > 0 {
				t.Error("who is denied gets a cookie")
			}
		}
		p := good.list(mainList + "?token=good").Multivariant
		if !strings.Contains(p.Variants[0].URI, "token=good") {
			t.Errorf("the variant is %s", p.Variants[0].URI)
		}
		s.watch(2*time.Second, "/live/x/"+p.Variants[0].URI, good)
		i.knows(2)
	})
}

// TestLimits: who is too many is told to come again.
func TestLimits(t *testing.T) {
	o := conformance.Options{Hub: hub.DefaultConfig()}
	o.Hub.Limits.ViewersPerStream = 2
	within(t, o, func(t *testing.T, i *inn) {
		s := streamed(i)
		a, b, c := i.guest("192.0.2.1", "x"), i.guest("192.0.2.2", "x"), i.guest("192.0.2.3", "x")
		s.first(tsList, a, b)
		if w := c.get(tsList); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		s.watch(5*time.Second, tsList, a, b)
		i.knows(2)
		if n := len(i.visitors); n != 2 {
			t.Errorf("%d visitors", n)
		}
	})
}

// TestReleasedOnce: a visitor that is released by several at once is released once.
func TestReleasedOnce(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.first(tsList, i.guest("192.0.2.1", "x"))
		for _, v := range i.visitors {
			for range 10 {
				go v.release(errors.New("done"))
			}
		}
		i.knows(0)
		if n := strings.Count(i.Log(), "stopped playing"); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}

// TestNewcomers: one address does not get all places of viewers by asking once with many names; those who play make room for others.
func TestNewcomers(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		player := i.guest("192.0.2.1", "player")
		s.first(tsList, player)
		s.send(5 * time.Second)
		player.list(tsList)
		for n := range newcomersMost {
			if w := i.guest("192.0.2.1", fmt.Sprint("name ", n)).get(tsList); w.Code != http.StatusOK {
				t.Fatalf("newcomer %d: %d", n, w.Code)
			}
		}
		late := i.guest("192.0.2.1", "late")
		if w := late.get(tsList); w.Code != http.StatusServiceUnavailable {
			t.Errorf("one more newcomer: %d", w.Code)
		}
		player.list(tsList)
		if w := i.guest("192.0.2.2", "late").get(tsList); w.Code != http.StatusOK {
			t.Errorf("a newcomer of another address: %d", w.Code)
		}
		s.send(i.cfg.Idle + 3*time.Second) // they have left
		if w := late.get(tsList); w.Code != http.StatusOK {
			t.Errorf("later: %d", w.Code)
		}
	})
}

// TestLongAgent: one who keeps no cookie is one viewer, however long the name of its player is.
func TestLongAgent(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", strings.Repeat("agent ", 60))
		s.first(tsList, g)
		s.send(5 * time.Second)
		for range 5 {
			clear(g.cookies)
			p := g.list(tsList).Media
			clear(g.cookies)
			g.get("/live/x/" + p.Segments[0].URI)
			s.send(time.Second)
		}
		i.knows(1)
	})
}

// TestAsksOn: who asks on and on after the end of a stream does not keep it in memory.
func TestAsksOn(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "a")
		s.first(lowList, g)
		s.watch(5*time.Second, lowList, g)
		s.Finish(nil)
		for range 60 {
			time.Sleep(5 * time.Second)
			g.get(lowList)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if n := len(i.visitors); n > 0 {
			t.Errorf("%d visitors of a stream that ended five minutes ago", n)
		}
	})
}

// TestPause: viewers have not left because the process was paused, or somebody has set the clock.
func TestPause(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.first(tsList, i.guest("192.0.2.1", "a"))
		i.look(time.Now().Add(time.Hour))
		i.knows(1)
		time.Sleep(i.cfg.Idle + 3*time.Second)
		i.knows(0)
	})
}
