package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/sim"
)

// cutting is how many renditions are cut now.
func (i *inn) cutting() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.renditions)
}

// TestOnDemand: a stream is cut from the first viewer on, and no longer than a little after the last one; and the hub knows that it is watched.
func TestOnDemand(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		if i.cutting() != 0 {
			t.Error("cut before anybody has asked")
		}
		g := i.guest("192.0.2.1", "x")
		s.first(tsList, g)
		s.watch(10*time.Second, tsList, g)
		if i.knows(1); i.cutting() != 1 {
			t.Errorf("%d renditions", i.cutting())
		}
		before := g.list(tsList).Media
		s.send(i.cfg.Idle + 2*time.Second)
		if i.knows(0); i.cutting() != 1 {
			t.Error("not cut any more, just after the last viewer")
		}
		s.send(renditionIdle + 2*time.Second)
		if i.cutting() != 0 {
			t.Error("still cut")
		}
		s.first(tsList, g)
		if after := g.list(tsList).Media; after.MediaSequence <= before.Last() || after.DiscontinuitySequence < before.DiscontinuitySequence {
			t.Errorf("sequence %d, %d after %d, %d", after.MediaSequence, after.DiscontinuitySequence, before.Last(), before.DiscontinuitySequence)
		}
		s.send(2 * time.Minute)
		i.empty()
	})
}

// TestAlways: every stream is cut, and the first viewer gets it at once.
func TestAlways(t *testing.T) {
	within(t, conformance.Options{Settings: []string{"hls.always=true"}}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.send(time.Minute)
		i.knows(0)
		g := i.guest("192.0.2.1", "x")
		for _, target := range []string{tsList, lowList} {
			if w := g.get(target); w.Code != http.StatusOK || strings.Count(w.Body.String(), "#EXTINF") != i.cfg.Segments {
				t.Errorf("%s: %d\n%s", target, w.Code, w.Body)
			}
		}
		s.Finish(nil)
		time.Sleep(2 * time.Minute)
		i.empty()
	})
}

// TestAlwaysAsServed: a format in which a stream is not served is not cut for nobody.
func TestAlwaysAsServed(t *testing.T) {
	c := hub.DefaultConfig()
	c.Serves = map[string]bool{protocolFMP4: false}
	within(t, conformance.Options{Hub: c, Settings: []string{"hls.always=true"}}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.send(time.Minute)
		if n := i.cutting(); n != 1 {
			t.Errorf("%d formats are cut", n)
		}
		s.Finish(nil)
		time.Sleep(2 * time.Minute)
		i.empty()
	})
}

// TestIndexAsServed: the multivariant playlist names a format in which the stream is served.
func TestIndexAsServed(t *testing.T) {
	c := hub.DefaultConfig()
	c.Serves = map[string]bool{protocolFMP4: false}
	within(t, conformance.Options{Hub: c, Settings: []string{"hls.always=true"}}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.send(time.Minute)
		g := i.guest("192.0.2.1", "x")
		if w := g.get(strings.Replace(tsList, "hls.m3u8", "index.m3u8", 1)); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\nhls.m3u8?") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		s.Finish(nil)
		time.Sleep(2 * time.Minute)
		i.empty()
	})
}

// judged holds successive answers for a playlist to the specification.
type judged struct {
	m3u8.History
	g      *guest
	target string
	breaks int64
}

func (g *guest) judge(target string) *judged {
	return &judged{m3u8.History{Slack: -1}, g, target, -1}
}

func (j *judged) look() *m3u8.Media {
	j.g.t.Helper()
	w := j.g.get(j.target)
	if w.Code != http.StatusOK {
		j.g.t.Fatalf("%s: %d %s", j.target, w.Code, w.Body)
	}
	p, found := j.Add(m3u8.Response{At: time.Now(), URL: "http://h" + j.target, Header: w.Header(), Body: w.Body.Bytes()})
	if must := m3u8.Musts(found); len(must) > 0 {
		j.g.t.Fatalf("%v\n%s", must, w.Body)
	}
	return p.Media
}

// TestTakeover: the playlist goes on when another publisher does, after a pause or at once.
func TestTakeover(t *testing.T) {
	for _, target := range []string{tsList, lowList} {
		for name, pause := range map[string]time.Duration{"at once": 0, "after a pause": 10 * time.Second} {
			t.Run(name+target, func(t *testing.T) {
				within(t, conformance.Options{}, func(t *testing.T, i *inn) {
					s := streamed(i)
					g := i.guest("192.0.2.1", "x")
					s.first(target, g)
					j := g.judge(target)
					for range 5 {
						s.send(time.Second)
						j.look()
					}
					for round := range 3 {
						s.Release(errors.New("vanished"))
						for d := time.Duration(0); d < pause; d += time.Second {
							time.Sleep(time.Second)
							if j.look().Ended {
								t.Fatal("the playlist has ended")
							}
						}
						o := usual()
						o.Origin = byte(round + 1)
						s = i.publish("live/x", o)
						for range 6 {
							s.send(time.Second)
							j.look()
						}
					}
					m := j.look()
					if n := strings.Count(g.get(target).Body.String(), "EXT-X-DISCONTINUITY\n"); m.DiscontinuitySequence+int64(n) < 3 || n == 0 {
						t.Errorf("%d discontinuities after 3 publishers, %d before", n, m.DiscontinuitySequence)
					}
					if late := time.Since(m.Segments[len(m.Segments)-1].PDT); late < 0 || late > 6*time.Second {
						t.Errorf("the newest segment is dated %v ago", late)
					}
					i.knows(1)
					s.Finish(nil)
					synctest.Wait()
					if !j.look().Ended {
						t.Error("the playlist has not ended")
					}
					i.knows(0)
				})
			})
		}
	}
}

// TestAgain: who publishes under the name of a stream that has ended is played on, by the same cookies, with higher numbers.
func TestAgain(t *testing.T) {
	for _, target := range []string{tsList, lowList} {
		within(t, conformance.Options{}, func(t *testing.T, i *inn) {
			s := streamed(i)
			g := i.guest("192.0.2.1", "x")
			s.first(target, g)
			last := g.list(target).Media
			old := "/live/x/" + names.FindString(g.get(target).Body.String())
			for round := range 5 {
				s.send(time.Duration(round) * 500 * time.Millisecond)
				s.Finish(nil)
				synctest.Wait()
				m := g.list(target).Media
				if !m.Ended || m.MediaSequence < last.MediaSequence {
					t.Errorf("round %d: ended %v", round, m.Ended)
				}
				if w := g.get(old); w.Code != http.StatusOK {
					t.Errorf("round %d: %d for a segment of a stream that has just ended", round, w.Code)
				}
				s = i.publish("live/x", usual())
				s.send(100 * time.Millisecond)
				s.first(target, g)
				next := g.list(target).Media
				if next.Ended || next.MediaSequence <= m.Last() || next.DiscontinuitySequence < m.DiscontinuitySequence {
					t.Errorf("round %d: sequence %d, %d after %d, %d", round, next.MediaSequence, next.DiscontinuitySequence, m.Last(), m.DiscontinuitySequence)
				}
				old, last = "/live/x/"+names.FindString(g.get(target).Body.String()), next
				i.knows(1)
			}
			s.Finish(nil)
			time.Sleep(3 * time.Minute)
			if w := g.get(target); w.Code != http.StatusNotFound {
				t.Errorf("%d long after the end", w.Code)
			}
			if w := g.get(old); w.Code != http.StatusNotFound {
				t.Errorf("%d for a segment, long after the end", w.Code)
			}
			i.empty()
		})
	}
}

// TestBroken: a rendition that panics ends, and the next request gets another.
func TestBroken(t *testing.T) {
	within(t, conformance.Options{Panics: true}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "x")
		s.first(tsList, g)
		s.send(4 * time.Second)
		before := g.list(tsList).Media
		w := g.later(t.Context(), fmt.Sprint(tsList, "?_HLS_msn=", before.Last()+1))
		for _, n := range i.snapshot() {
			n.end(errBroken)
		}
		if !has(w) {
			t.Error("who waits is not freed")
		}
		<-w
		i.knows(0)
		s.first(tsList, g)
		if after := g.list(tsList).Media; after.MediaSequence <= before.Last() {
			t.Errorf("sequence %d after %d", after.MediaSequence, before.Last())
		}
		i.knows(1)

		n, err := i.rendition(s.Key(), nil, segment.TS, false) // which panics as soon as it looks at the stream
		if err != nil {
			t.Fatal(err)
		}
		if e, err := n.await(t.Context(), time.Second, func(*edition) bool { return false }); !errors.Is(err, errBroken) || e.Playable() {
			t.Errorf("a rendition that panics ends with %v", err)
		}
		i.Logged("panic")
		if i.cutting() != 1 {
			t.Error("it is still there")
		}
	})
}

// TestStuck: one that hangs is given up, and the next request gets another.
func TestStuck(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "x")
		s.first(tsList, g)
		for _, n := range i.renditions {
			n.end(hub.ErrStuck) // as the watch does
		}
		i.knows(0)
		s.first(tsList, g)
		i.knows(1)
		s.watch(5*time.Second, tsList, g)
	})
}

// TestStop: a server that stops ends what waits, tells nobody that a stream is over, and begins nothing any more.
func TestStop(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "x")
		s.first(tsList, g)
		s.send(4 * time.Second)
		absent := i.guest("192.0.2.2", "x").later(t.Context(), "/live/absent/hls.m3u8")
		waits := g.later(t.Context(), fmt.Sprint(tsList, "?_HLS_msn=", g.list(tsList).Media.Last()+1))
		i.Close()
		if w := <-waits; w.Code != http.StatusOK || strings.Contains(w.Body.String(), "ENDLIST") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := <-absent; w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d", w.Code)
		}
		if w := i.guest("192.0.2.3", "x").get(lowList); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d after the end", w.Code)
		}
		if i.cutting() != 0 {
			t.Error("something is cut")
		}
	})
}

// TestRace has many ask for all kinds of things while streams come and go.
func TestRace(t *testing.T) {
	i := open(t, conformance.Options{Settings: []string{"hls.always=true"}})
	stop, over := make(chan struct{}), make(chan struct{})
	var wg, publishers sync.WaitGroup
	for k := range 3 {
		name := fmt.Sprint("live/", k)
		publishers.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-over:
					return
				default:
				}
				key, _ := hub.ParseKey(name)
				l, err := i.Hub.Publish(t.Context(), hub.Request{Key: key})
				if err != nil {
					continue
				}
				l.Declare(true, true)
				e := sim.New(usual())
				for range 2000 {
					if l.Write(e.Next()) != nil {
						break
					}
				}
				if round%2 == 0 {
					l.Finish(nil)
				} else {
					l.Release(io.ErrUnexpectedEOF)
				}
			}
		})
	}
	for k := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(k), 1))
			g := i.guest(fmt.Sprint("192.0.2.", k/2), "x")
			last := map[string]string{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				folder := fmt.Sprint("/live/", rng.IntN(3), "/")
				target := folder + []string{"hls.m3u8", "hls.fmp4.m3u8", "index.m3u8", last[folder], last[folder]}[rng.IntN(5)]
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(30))*time.Millisecond)
				w := g.askCtx(ctx, http.MethodGet, target)
				cancel()
				if all := names.FindAllString(w.Body.String(), -1); len(all) > 0 {
					last[folder] = all[rng.IntN(len(all))]
				}
				if rng.IntN(10) == 0 {
					clear(g.cookies)
				}
				if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
					t.Errorf("%s: %d %s", target, w.Code, w.Body)
				}
			}
		})
	}
	<-time.After(time.Second)
	for _, n := range i.snapshot() {
		n.end(errBroken)
	}
	<-time.After(time.Second)
	close(over)
	publishers.Wait()
	i.stop(hub.ErrClosing) // in the midst of it; the listener would wait for its requests, as is done here
	<-time.After(100 * time.Millisecond)
	close(stop)
	wg.Wait()
	i.Close()
}

// snapshot is the renditions that there are.
func (i *inn) snapshot() (all []*rendition) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, n := range i.renditions {
		all = append(all, n)
	}
	return all
}

// TestNoKey: players are not told of an end when the stream goes on, and only cutting it does not.
func TestNoKey(t *testing.T) {
	o := conformance.Options{Hub: hub.DefaultConfig()}
	o.Hub.Limits.RingUnits = 2
	within(t, o, func(t *testing.T, i *inn) {
		e := usual()
		e.Audio, e.GOP = 0, 100
		s := i.publish("live/x", e)
		s.send(time.Second)
		g := i.guest("192.0.2.1", "a")
		w := g.later(t.Context(), lowList)
		s.send(9 * time.Second)
		if (<-w).Code != http.StatusOK {
			t.Fatal("it does not play")
		}
		var n *rendition
		i.mu.Lock()
		for _, n = range i.renditions {
		}
		i.mu.Unlock()
		for range 1000 { // more at once than the ring holds
			u := s.enc.Next()
			u.Key, u.Data = false, [][]byte{{0x41, 1, 2}}
			_ = s.Write(u)
		}
		for at := time.Now(); time.Since(at) < 35*time.Second; {
			u := s.enc.Next()
			u.Key, u.Data = false, [][]byte{{0x41, 1, 2}}
			_ = s.Write(u)
			time.Sleep(40 * time.Millisecond)
			if at.IsZero() {
				g.get(lowList)
			}
		}
		synctest.Wait()
		if n.current.Load().final == nil {
			t.Fatal("it is still cut: the test is none")
		}
		if n.current.Load().Ended {
			t.Errorf("the stream goes on, but players are told that it has ended: %v", n.current.Load().final)
		}
	})
}

// TestFewPictures: a part lasts as long as a picture of a camera that makes few of them.
func TestFewPictures(t *testing.T) {
	for _, gop := range []int{1, 2, 4, 20} {
		within(t, conformance.Options{}, func(t *testing.T, i *inn) {
			s := i.publish("live/x", sim.Options{Video: av.H264, FPS: 1, GOP: gop, KeySize: 400, Size: 100})
			s.send(20500 * time.Millisecond)
			g := i.guest("192.0.2.1", "a")
			w := g.later(t.Context(), lowList)
			s.send(10 * time.Second)
			<-w
			p := g.list(lowList).Media
			t.Log(gop, p.PartTarget, s.enc.Tracks()[0].FrameRate)
			if p.PartTarget < time.Second {
				t.Errorf("GOP %d: parts of %v", gop, p.PartTarget)
			}
		})
	}
}

// TestNumbers: that one stream is cut into many segments a second does not move the numbers of others, which then would go back with the next process.
func TestNumbers(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s, o := i.publish("live/bad", sim.Options{Video: av.H264, GOP: 1, KeySize: 400}), i.publish("live/good", usual())
		at := time.Duration(0)
		bad := i.guest("192.0.2.1", "a")
		for k := range 25 * 60 {
			u := s.enc.Next()
			at += 9 * time.Second
			u.DTS, u.PTS = u.DTS+at, u.PTS+at
			if err := s.Write(u); err != nil {
				t.Fatal(err)
			}
			o.send(40 * time.Millisecond)
			if k%25 == 0 {
				i.guest(bad.addr, bad.agent).later(t.Context(), "/live/bad/hls.m3u8")
			}
		}
		was := bad.list("/live/bad/hls.m3u8").Media.Last()
		s.Finish(nil)
		synctest.Wait()
		g := i.guest("192.0.2.2", "a")
		w := g.later(t.Context(), "/live/good/hls.m3u8")
		o.send(5 * time.Second)
		<-w
		if n := g.list("/live/good/hls.m3u8").Media.Last(); n > 100 {
			t.Errorf("after another stream with %d, this one is at %d", was, n)
		}
		s = i.publish("live/bad", usual())
		w = bad.later(t.Context(), "/live/bad/hls.m3u8")
		s.send(5 * time.Second)
		<-w
		if n := bad.list("/live/bad/hls.m3u8").Media.Last(); n <= was {
			t.Errorf("the stream was at %d, and is at %d", was, n)
		}
	})
}

// TestLeftOut: tracks that segments have no place for are told of, and the others play.
func TestLeftOut(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		o := usual()
		o.Audio = av.G722
		s := i.publish("live/x", o)
		s.send(3 * time.Second)
		g := i.guest("192.0.2.1", "a")
		s.first(lowList, g)
		i.Logged("tracks are left out", "hls-fmp4", "G722", "fMP4 has no place for it")
	})
}
