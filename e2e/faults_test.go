package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// canary is an honest publisher with honest viewers. It must not notice what others suffer.
type canary struct {
	target faults.Target
	views  map[string]*viewing
	stop   func()
}

// gapMax is how long a canary may be without a picture.
const gapMax = time.Second

// newCanary publishes live/canary, at about rate bytes a second, with a viewer over each protocol.
func newCanary(t testing.TB, s *server, rate int) *canary {
	t.Helper()
	quiet := broadcast(t, s, "canary", sim.Options{Video: av.H264, Audio: av.AAC, Size: rate / 25, KeySize: rate / 12})
	c := &canary{target: s.target("canary")}
	c.views = map[string]*viewing{"RTMP": view(t, s.rtmpURL("canary")), "HTTP-FLV": view(t, s.flvURL("canary"))}
	c.stop = sync.OnceFunc(func() {
		for _, v := range c.views {
			v.close()
		}
		quiet()
	})
	t.Cleanup(c.stop)
	return c
}

// judge ends the canary and fails the test if it has noticed anything.
func (c *canary) judge(t testing.TB) {
	t.Helper()
	for over, v := range c.views {
		units, err := v.got()
		if err != nil || len(units) == 0 {
			t.Errorf("the canary's viewer over %s: %d units, %v", over, len(units), err)
			continue
		}
		worst, last := time.Duration(0), units[0].at
		for _, u := range units {
			worst, last = max(worst, u.at.Sub(last)), u.at
		}
		worst = max(worst, time.Since(last))
		t.Logf("canary over %s: %d units, longest gap %v", over, len(units), worst)
		if worst > gapMax {
			t.Errorf("the canary's viewer over %s was without a unit for %v", over, worst)
		}
	}
	c.stop()
}

// footprint is what a server takes of the machine.
type footprint struct {
	goroutines, fds int
	rss             int64 // bytes
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", f.goroutines, f.fds, f.rss>>20)
}

func (s *server) footprint(t testing.TB) footprint {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return footprint{int(s.figures(t)["go_goroutines"]), len(fds), kib << 10}
}

// within says whether f is back to base (SLO-BASE). Under the race detector memory is not the program's own.
func (f footprint) within(base footprint) bool {
	room := func(n int) int { return n + max(n/20, 5) }
	memory := base.rss + base.rss/20 + 16<<20
	if raced() {
		memory = 2*base.rss + 64<<20
	}
	return f.goroutines <= room(base.goroutines) && f.fds <= room(base.fds) && f.rss <= memory
}

// alone says whether there is nobody but the canary, and no connection that has come to nothing yet.
func (s *server) alone(t testing.TB) bool {
	t.Helper()
	return s.has(t, 1, 2)
}

// has says whether there are so many publishers and viewers, and no connection that has come to nothing yet.
func (s *server) has(t testing.TB, publishers, viewers int) bool {
	t.Helper()
	sockets := 5 // listeners, and the pair for RTSP by UDP
	if s.rtmps != "" {
		sockets = 8
	}
	st := s.streams(t)
	return st.Publishers == publishers && st.Viewers == viewers && len(st.Waiting) == 0 &&
		s.sockets(t) <= sockets+publishers+viewers+1 // one may be ours
}

// sockets is how many sockets the program has, as the kernel lists them.
func (s *server) sockets(t testing.TB) int {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// cycles is how many TestCycles does: VIGIL_CYCLES, or 1 000.
func cycles(t testing.TB) int {
	t.Helper()
	text := os.Getenv("VIGIL_CYCLES")
	if text == "" {
		return 1000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("VIGIL_CYCLES=%q is no number of cycles", text)
	}
	return n
}

// scale is how much more than in an ordinary run the tests of crowds do: as much as TestCycles.
func scale(t testing.TB) int {
	t.Helper()
	return max(1, cycles(t)/1000)
}

// TestCycles connects, publishes, plays and is cut off at any byte, by FIN, by RST, or without a word, over all protocols, again and again;
// and a key that was being published is published once more. After it nothing is left over (cards R01, S11).
func TestCycles(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, "publish.max_silence=1s", "play.wait=500ms", "egress.stall_timeout=2s")
	c := newCanary(t, s, 20_000)
	cut(t, c.target, 150, 1) // so that what grows once has grown
	within(t, 40*time.Second, "the sessions of the warm-up are gone", func() bool { return s.alone(t) })
	base := s.footprint(t)
	n := cycles(t)
	began := time.Now()
	cut(t, c.target, n, 2)
	took := time.Since(began)
	after, end, good := s.footprint(t), footprint{}, 0
	ok := eventually(60*time.Second, func() bool {
		if end = s.footprint(t); s.alone(t) && end.within(base) {
			good++
		} else {
			good = 0
		}
		return good == 10
	})
	t.Logf("%d cycles in %v; before: %v; at their end: %v; %v later: %v", n, took, base, after, time.Since(began)-took, end)
	if !ok {
		t.Errorf("before %v, after %d cycles %v", base, n, end)
	}
	c.judge(t)
}

// cut runs n cycles, eight at a time.
func cut(t testing.TB, target faults.Target, n int, seed uint64) {
	t.Helper()
	const workers = 8
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var held []io.Closer // of those that vanished: their sockets must stay until the server has noticed
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				cy := faults.NewCycle(r, target)
				conn, err := cy.Run(t.Context(), target, fmt.Sprintf("cycle-%d-%d", seed, i))
				if err != nil && failed.Add(1) <= 5 {
					t.Errorf("%+v: %v", cy, err)
				}
				if conn != nil && cy.How == faults.Deaf {
					mu.Lock()
					held = append(held, conn)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range held {
			_ = c.Close()
		}
	})
}

// TestHostile lets peers behave as no peer should. Each is ended within the limit of its phase, with a line in the log, and the
// canary notices nothing (cards N03, P05).
func TestHostile(t *testing.T) {
	t.Parallel()
	s := serve(t, "log.level=debug", "play.wait=1s")
	c := newCanary(t, s, 20_000)
	var wg sync.WaitGroup
	for _, h := range faults.Hostiles() {
		wg.Go(func() {
			peer, took, err := h.Run(t.Context(), c.target)
			if err != nil {
				t.Errorf("%s: %s: %v", h.Card, h.Name, err)
				return
			}
			logged := func() bool {
				for line := range strings.Lines(s.errors.String()) {
					if strings.Contains(line, " INF ") && strings.Contains(line, "remote="+peer) {
						return true
					}
				}
				return false
			}
			if !h.HTTP && !eventually(2*time.Second, logged) {
				t.Errorf("%s: %s: no line in the log that says why", h.Card, h.Name)
			}
			t.Logf("%s: %s: ended after %v", h.Card, h.Name, took.Round(time.Millisecond))
		})
	}
	wg.Wait()
	c.judge(t)
}

// TestStalled has players that no longer read: two with full sockets, and ffmpeg stopped by a signal. Each is ended by the stall
// timeout; the canary's viewers play on (cards N01, Q06).
func TestStalled(t *testing.T) {
	t.Parallel()
	s := serve(t, "egress.stall_timeout=2s")
	c := newCanary(t, s, 400_000)
	for _, way := range []faults.Way{faults.RTMP, faults.HTTP} {
		p, err := faults.Play(t.Context(), c.target, way, true)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
	}
	frozen := start(t, "ffmpeg", "-v", "quiet", "-nostdin", "-i", s.flvURL("canary"), "-c", "copy", "-f", "null", "-")
	s.awaitPlaying(t, "canary", 5)
	began := time.Now()
	if err := frozen.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, 40*time.Second, "only the canary's two viewers are left", func() bool {
		st, _ := s.stream(t, "canary")
		return len(st.Sessions) == 2
	})
	t.Logf("the last was ended after %v", time.Since(began))
	within(t, 5*time.Second, "the log says why, three times", func() bool {
		return strings.Count(s.errors.String(), "stalled: the peer accepts no data") == 3
	})
	c.judge(t)
}
