package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// both is what encoders of these tests make.
func both(origin byte) sim.Options { return sim.Options{Video: av.H264, Audio: av.AAC, Origin: origin} }

// encode has a publisher encode until the returned function is called, or the test ends. It is for publishers that may break.
func encode(t testing.TB, p *faults.Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Encode(ctx) // who needs to know sees it by other signs
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(func() {
		_ = p.Close()
		stop()
	})
	return stop
}

// publishSim publishes what an encoder of sim makes, and has it encode.
func publishSim(t testing.TB, to faults.Target, way faults.Way, o sim.Options) (p *faults.Publisher, stop func()) {
	t.Helper()
	p, err := faults.Publish(t.Context(), to, way, o)
	if err != nil {
		t.Fatal(err)
	}
	return p, encode(t, p)
}

// acceptMost is how long a publisher may have to wait for the key of one that has vanished.
const acceptMost = 3 * time.Second

// TestVanishedPublisher has a publisher vanish without FIN or RST, and a second encoder try every second (card S02): it is let in
// within 3 s, all viewers keep their connections and go on with its first key picture, and what the first one sends when it is
// back is rejected.
func TestVanishedPublisher(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	for _, way := range []faults.Way{faults.RTMP, faults.RTMPS, faults.RTSP, faults.RTSPS} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			to := s.target("vanish-" + strings.ToLower(string(way)))
			old, stop := publishSim(t, to, way, both(0))
			watchers := audience(t, to, len(ways))
			hold(time.Second)
			stop()
			if err := old.Vanish(); err != nil {
				t.Fatal(err)
			}
			hold(time.Second)
			second, took, attempts, err := faults.Insist(t.Context(), to, way, both(1), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("let in after %v, with attempt %d", took, attempts)
			if took > acceptMost {
				t.Errorf("let in after %v, want %v", took, acceptMost)
			}
			stop = encode(t, second)
			awaitOrigin(t, watchers, 1, acceptMost)
			judgeReturn(t, old)
			hold(time.Second)
			judgeSplice(t, watchers, 1)
			stop()
			if err := second.Unpublish(); err != nil {
				t.Error(err)
			}
			within(t, 3*time.Second, "the viewers see the end", func() bool {
				return !slices.ContainsFunc(watchers, func(w *watcher) bool { return !w.over() })
			})
		})
	}
}

// awaitOrigin waits until all watchers see what an encoder has made.
func awaitOrigin(t testing.TB, all []*watcher, origin byte, limit time.Duration) {
	t.Helper()
	within(t, limit, fmt.Sprintf("all viewers see encoder %d", origin), func() bool {
		return !slices.ContainsFunc(all, func(w *watcher) bool { tag, _ := w.newest(); return tag.Origin != origin })
	})
}

// judgeSplice fails unless all watchers still watch, on the connections that they had, and see what an encoder makes.
func judgeSplice(t testing.TB, all []*watcher, origin byte) {
	t.Helper()
	for _, w := range all {
		if err := w.fault(); err != nil {
			t.Error(err)
		}
		if tag, _ := w.newest(); w.over() || tag.Origin != origin {
			t.Errorf("%s: over: %v, sees encoder %d", w.way, w.over(), tag.Origin)
		}
	}
}

// judgeReturn has a publisher that had vanished come back, and go on: it is told why it may not, or its connection breaks.
func judgeReturn(t testing.TB, p *faults.Publisher) {
	t.Helper()
	if err := p.Return(); err != nil {
		t.Fatal(err)
	}
	rejected := false
	within(t, 10*time.Second, "late units are rejected", func() bool {
		select {
		case <-p.Ended():
			return true
		default:
			rejected = p.Next() != nil
			return rejected
		}
	})
	t.Logf("the one that came back is told %q", p.Told())
}

// TestVanishedAlone has publishers vanish for whom nobody comes (card S02): their names are free within max_silence, and the kernel's halves
// of the connections are gone within 30 s.
func TestVanishedAlone(t *testing.T) {
	t.Parallel()
	const silence, room = 5 * time.Second, 500 * time.Millisecond // the defaults
	s := serveTLS(t)
	over := map[faults.Way]string{faults.RTMP: s.rtmp, faults.RTMPS: s.rtmps, faults.RTSP: s.rtsp, faults.RTSPS: s.rtsps}
	name := func(way faults.Way) string { return "alone-" + strings.ToLower(string(way)) }
	lost := map[faults.Way]*faults.Publisher{}
	var stops []func()
	for way := range over {
		p, stop := publishSim(t, s.target(name(way)), way, both(0))
		lost[way], stops = p, append(stops, stop)
	}
	hold(time.Second)
	for _, stop := range stops {
		stop()
	}
	for way, p := range lost {
		if err := p.Vanish(); err != nil {
			t.Fatal(err)
		}
		if st, ok := s.stream(t, name(way)); !ok || st.Publisher == nil {
			t.Error("the API does not show who owns the name")
		}
	}
	gone := time.Now()
	within(t, silence+room, "the names are free", func() bool { return len(s.streams(t).Streams) == 0 })
	t.Logf("the names are free after %v", time.Since(gone))
	for way := range over {
		second, err := faults.Publish(t.Context(), s.target(name(way)), way, both(1))
		if err != nil {
			t.Fatalf("the name is not free: %v", err)
		}
		if err := second.Unpublish(); err != nil {
			t.Error(err)
		}
	}
	within(t, 30*time.Second-time.Since(gone), "the kernel has forgotten the connections", func() bool {
		for way, address := range over {
			if connected(t, address, lost[way].Address()) {
				return false
			}
		}
		return true
	})
	t.Logf("the kernel has forgotten them after %v", time.Since(gone))
}

// connected says whether the kernel has a socket between two addresses, in whatever state.
func connected(t testing.TB, local, peer string) bool {
	t.Helper()
	found := false
	for _, file := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(filepath.Join("/proc/net", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			found = found || len(f) > 2 && strings.HasSuffix(f[1], kernelAddress(t, local)) && strings.HasSuffix(f[2], kernelAddress(t, peer))
		}
	}
	return found
}

// kernelAddress is how the kernel writes an address of IPv4.
func kernelAddress(t testing.TB, text string) string {
	t.Helper()
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatal(err)
	}
	ip := a.Addr().As4()
	slices.Reverse(ip[:]) // as a number of this machine's order
	return strings.ToUpper(hex.EncodeToString(ip[:])) + fmt.Sprintf(":%04X", a.Port())
}

// TestAbortedPublish breaks the exchange with which a publisher begins after each of its messages (card S11), by RST, by FIN, without a
// word, and by silence on a connection that is sound. The same name is free for another encoder: at once if the connection
// broke, else within the challenge's time; or within max_silence, where nobody is challenged.
func TestAbortedPublish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		silence time.Duration // after which the name must be free
		set     []string
	}{
		{"challenge", acceptMost, nil},
		{"reject", 2 * time.Second, []string{"publish.on_conflict=reject", "publish.max_silence=2s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, c.set...)
			var wg sync.WaitGroup
			var steps atomic.Int64
			for _, how := range []faults.Break{faults.RST, faults.FIN, faults.Deaf, faults.Silent} {
				for step := 1; step <= 20; step++ {
					wg.Go(func() {
						to := s.target(fmt.Sprintf("abort-%d-%d", how, step))
						held, reached, err := faults.Abort(t.Context(), to, step, how)
						if held != nil {
							t.Cleanup(func() { held.Close() })
						}
						if err != nil || !reached {
							if err != nil {
								t.Errorf("%v after message %d: %v", how, step, err)
							}
							return
						}
						steps.Add(1)
						limit := time.Second
						if how == faults.Deaf || how == faults.Silent {
							limit = c.silence + 750*time.Millisecond // the grain of the hub's clock, and of the attempts
						}
						p, took, _, err := faults.Insist(t.Context(), to, []faults.Way{faults.RTMPS, faults.RTMP, faults.RTSP}[step%3], both(0), 100*time.Millisecond)
						if err != nil || took > limit {
							t.Errorf("%v after message %d: the name is free after %v: %v", how, step, took, err)
							return
						}
						if err := p.Next(); err != nil {
							t.Error(err)
						}
						if err := p.Unpublish(); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			t.Logf("%d exchanges were broken", steps.Load())
			if n := steps.Load(); n < 4*8 {
				t.Errorf("%d exchanges were broken, want all that there are", n)
			}
			within(t, 15*time.Second, "nobody is left", func() bool {
				st := s.streams(t)
				return st.Publishers == 0 && len(st.Streams) == 0
			})
		})
	}
}

// TestDeafKicked kicks viewers and publishers over TLS that have gone deaf (card C14): each session is gone within 2 s, and its descriptor
// as soon as it has had its time to read why.
func TestDeafKicked(t *testing.T) {
	t.Parallel()
	const (
		viewers, publishers = 30, 10
		limit               = 2 * time.Second
		reading             = 3 * time.Second // which the server grants for that
	)
	s := serveTLS(t)
	broadcast(t, s, "kicked", sim.Options{Video: av.H264, Audio: av.AAC, Size: 4000})
	stay := audience(t, s.target("kicked"), len(ways))
	known := s.known(t, "kicked")
	base := s.sockets(t)
	for i := range viewers {
		p, err := faults.Play(t.Context(), s.target("kicked"), secureWays[i%len(secureWays)], false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Drop() })
		go func() { _ = p.Discard() }()
		within(t, 5*time.Second, "it plays", func() bool { return len(s.newcomers(t, "kicked", known)) == i+1 })
		if err := p.Vanish(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range publishers {
		p, stop := publishSim(t, s.target(fmt.Sprintf("deaf-%d", i)), faults.RTMPS, both(0))
		within(t, 5*time.Second, "it publishes", func() bool { _, ok := s.stream(t, fmt.Sprintf("deaf-%d", i)); return ok })
		stop()
		if err := p.Vanish(); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for id := range s.newcomers(t, "kicked", known) {
		ids = append(ids, id)
	}
	for _, st := range s.streams(t).Streams {
		if st.Publisher != nil && strings.HasPrefix(st.Key, "live/deaf-") {
			ids = append(ids, st.Publisher.ID)
		}
	}
	if len(ids) < viewers+publishers {
		t.Errorf("%d sessions are left to be kicked", len(ids))
	}
	began := time.Now()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			a := s.request(t, http.MethodDelete, "/api/v1/sessions/"+id, s.authorized())
			if a.status != http.StatusOK {
				t.Errorf("kick: %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	t.Logf("%d sessions were kicked within %v", len(ids), time.Since(began))
	within(t, limit-time.Since(began), "all sessions are gone", func() bool {
		st := s.streams(t)
		return st.Publishers == 1 && st.Viewers == len(stay)
	})
	t.Logf("they are gone after %v", time.Since(began))
	within(t, limit+reading-time.Since(began), "all descriptors are given back", func() bool { return s.sockets(t) <= base+1 })
	t.Logf("the last descriptor was given back after %v", time.Since(began))
	judgeAll(t, stay)
}
