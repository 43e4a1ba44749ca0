package hls

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// waiting are requests that wait: for a segment, for a part, for the next segment's first part, and for a hinted part.
func waiting(g *guest) map[string]string {
	g.t.Helper()
	p := g.list(lowList).Media
	next := strconv.FormatInt(p.Last()+1, 10)
	part := "0"
	if p.Open != nil {
		part = strconv.Itoa(len(p.Open.Parts))
	}
	return map[string]string{
		"segment": lowList + "?_HLS_msn=" + next, "part": lowList + "?_HLS_msn=" + next + "&_HLS_part=" + part,
		"next": lowList + "?_HLS_msn=" + strconv.FormatInt(p.Last()+2, 10) + "&_HLS_part=0", "hint": "/live/x/" + p.Hint("PART").URI,
		"TS": tsList + "?_HLS_msn=" + strconv.FormatInt(g.list(tsList).Media.Last()+1, 10),
	}
}

// playing is a stream that is played in both formats.
func playing(i *inn) (*source, *guest) {
	s, g := i.publish("live/x", usual()), i.guest("192.0.2.1", "a")
	go func() { g.get(lowList) }()
	s.send(time.Second)
	go func() { i.guest("192.0.2.2", "a").get(tsList) }()
	s.send(7300 * time.Millisecond)
	synctest.Wait()
	return s, g
}

// TestWaits: who waits gets it as soon as it is there.
func TestWaits(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s, g := playing(i)
		for name := range waiting(g) {
			target, at := waiting(g)[name], time.Now()
			c := g.later(t.Context(), target)
			if has(c) {
				t.Errorf("%s: not waited for: %d", name, (<-c).Code)
				continue
			}
			for !has(c) && time.Since(at) < 10*time.Second {
				s.send(20 * time.Millisecond)
			}
			w := <-c
			most := map[string]time.Duration{"part": 300 * time.Millisecond, "hint": 300 * time.Millisecond}[name]
			if most == 0 {
				most = 2500 * time.Millisecond
			}
			if took := time.Since(at); w.Code != http.StatusOK || took > most {
				t.Errorf("%s: %d after %v", name, w.Code, took)
			}
			if name == "hint" && w.Header().Get("Content-Type") != typeVideo {
				t.Errorf("a hinted part is %v", w.Header())
			}
		}
	})
}

// TestFreed: who waits is freed when nothing will come, at once or after three target durations.
func TestFreed(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(i *inn, s *source)
		after time.Duration
		ended bool // the playlist says so
	}{
		"stream ends":   {func(_ *inn, s *source) { s.Finish(nil) }, 0, true},
		"server stops":  {func(i *inn, _ *source) { i.Close() }, time.Second, false},
		"operator ends": {func(i *inn, s *source) { _ = i.Hub.End(i.t.Context(), s.Key()) }, time.Second, true},
		"silence":       {func(*inn, *source) {}, 12 * time.Second, false}, // 3 target durations of 4 s,
		"viewer leaves": {nil, 0, false},
	} {
		for _, what := range []string{"segment", "part", "next", "hint", "TS"} {
			t.Run(name+"/"+what, func(t *testing.T) {
				o := conformance.Options{Hub: hub.DefaultConfig()}
				o.Hub.Publish.MaxSilence = time.Minute
				within(t, o, func(t *testing.T, i *inn) {
					s, g := playing(i)
					target, at := waiting(g)[what], time.Now()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					w := g.later(ctx, target)
					time.Sleep(100 * time.Millisecond)
					if has(w) {
						t.Fatal("it did not wait")
					}
					if c.end == nil {
						cancel()
					} else {
						c.end(i, s)
					}
					got := <-w
					if took := time.Since(at) - 100*time.Millisecond; took > c.after {
						t.Errorf("freed after %v", took)
					}
					list, ended := strings.Contains(target, "m3u8"), strings.Contains(got.Body.String(), "ENDLIST")
					switch {
					case c.end == nil:
					case list && (got.Code != http.StatusOK || ended != c.ended):
						t.Errorf("%d, ended %v", got.Code, ended)
					case !list && got.Code != http.StatusOK && got.Code != http.StatusNotFound:
						t.Errorf("%d", got.Code)
					}
				})
			})
		}
	}
}

// TestNothingComes: a stream without a key picture is waited for, but not for ever.
func TestNothingComes(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := i.publish("live/x", usual())
		s.send(100 * time.Millisecond)
		i.guest("192.0.2.9", "w")
		g := i.guest("192.0.2.1", "a")
		at := time.Now()
		w := g.later(t.Context(), tsList)
		for !has(w) && time.Since(at) < time.Minute {
			time.Sleep(time.Second)
			if time.Since(at) < 5*time.Second {
				continue
			}
			_ = s.Write(s.enc.Next())
		}
		if got := <-w; got.Code != http.StatusServiceUnavailable && got.Code != http.StatusNotFound || time.Since(at) > 14*time.Second {
			t.Errorf("%d after %v", got.Code, time.Since(at))
		}
	})
}
