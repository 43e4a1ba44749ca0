package e2e

import (
	"maps"
	"math"
	"slices"
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

// known are the IDs of the viewers of live/name.
func (s *server) known(t testing.TB, name string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	st, _ := s.stream(t, name)
	for _, v := range st.Sessions {
		ids[v.ID] = true
	}
	return ids
}

// newcomers are the viewers of live/name that are not among known.
func (s *server) newcomers(t testing.TB, name string, known map[string]bool) map[string]apiSession {
	t.Helper()
	found := map[string]apiSession{}
	st, _ := s.stream(t, name)
	for _, v := range st.Sessions {
		if !known[v.ID] {
			found[v.ID] = v
		}
	}
	return found
}

// stillTime is how long a viewer that is stuck is sent nothing; what the API counts may be a second old.
const stillTime = 3 * time.Second

// awaitStill waits until each of n viewers of live/name, which the filter lets through, has been stuck. found is called once
// for each, as soon as it is.
func (s *server) awaitStill(t testing.TB, name string, n int, filter func(id string) bool, found func(v apiSession)) {
	t.Helper()
	type state struct {
		sent  uint64
		since time.Time
		found bool
	}
	seen, count := map[string]*state{}, 0
	within(t, 40*time.Second, "all that do not read are stuck", func() bool {
		for id, v := range s.newcomers(t, name, nil) {
			at := seen[id]
			switch {
			case !filter(id):
			case at == nil || at.sent != v.Sent && !at.found:
				seen[id] = &state{sent: v.Sent, since: time.Now()}
			case v.Sent > 0 && !at.found && time.Since(at.since) > stillTime:
				at.found = true
				count++
				found(v)
			}
		}
		return count == n
	})
}

// all lets every viewer through, and idle does nothing with it.
func all(string) bool { return true }
func idle(apiSession) {}

// stall has n players begin to play, in the ways in turn, that never read.
func stall(t testing.TB, to faults.Target, n int, over []faults.Way) {
	t.Helper()
	for i := range n {
		p, err := faults.Play(t.Context(), to, over[i%len(over)], true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
	}
}

// TestCrowdStalls has among 48 healthy viewers some of each way that never read, one ffmpeg that is stopped for good, and ffprobe
// stopped and continued over RTMP and HTTP-FLV. The healthy notice nothing; who accepts nothing is ended with the reason in the
// log; who goes on in time does so at a key unit, and its skip is counted.
func TestCrowdStalls(t *testing.T) {
	t.Parallel()
	const name, healthy, deaf = "crowd", 48, 12
	s := serveTLS(t, "egress.stall_timeout=10s")
	stop := broadcast(t, s, name, sim.Options{Video: av.H264, Audio: av.AAC, Size: 8000, KeySize: 20_000})
	to := s.target(name)
	watchers := audience(t, to, healthy)
	well := s.known(t, name)

	laggards := map[string]*process{}
	for _, url := range []string{s.rtmpURL(name), s.flvURL(name)} {
		before := s.known(t, name)
		p := start(t, "ffprobe", probeArgs(url)...)
		within(t, 10*time.Second, "ffprobe plays "+url, func() bool {
			for id, v := range s.newcomers(t, name, before) {
				laggards[id] = p
				return v.Sent > 0
			}
			return false
		})
	}
	frozen := start(t, "ffmpeg", "-v", "quiet", "-nostdin", "-i", s.flvURL(name), "-c", "copy", "-f", "null", "-")
	stall(t, to, deaf, ways)
	s.awaitPlaying(t, name, healthy+len(laggards)+1+deaf)
	began := time.Now()
	for _, p := range slices.AppendSeq([]*process{frozen}, maps.Values(laggards)) {
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	doomed := s.newcomers(t, name, well)
	maps.DeleteFunc(doomed, func(id string, _ apiSession) bool { return laggards[id] != nil })
	stuck := map[string]apiSession{}
	s.awaitStill(t, name, len(laggards), func(id string) bool { return laggards[id] != nil }, func(v apiSession) {
		stuck[v.ID] = v
		t.Logf("%s is stuck after %v, and goes on", v.Protocol, time.Since(began))
		if err := laggards[v.ID].cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	})
	within(t, 10*time.Second, "those that go on are sent more, and have skipped", func() bool {
		now := s.newcomers(t, name, well)
		for id := range laggards {
			if now[id].Skips == 0 || now[id].Sent <= stuck[id].Sent+100_000 {
				return false
			}
		}
		return true
	})
	within(t, 20*time.Second, "those that do not are ended", func() bool {
		return len(s.newcomers(t, name, well)) == len(laggards)
	})
	t.Logf("the last was ended after %v", time.Since(began))
	for id, v := range doomed {
		if !eventually(2*time.Second, func() bool { return s.says(id, "stalled: the peer accepts no data") }) {
			t.Errorf("the log does not say that %s (%s) has stalled", id, v.Protocol)
		}
	}
	counted := 0.0
	for figure, n := range s.figures(t) {
		if strings.HasPrefix(figure, "vigil_sessions_ended_total") && strings.Contains(figure, `reason="stalled"`) {
			counted += n
		}
	}
	if counted != deaf+1 {
		t.Errorf("%v sessions are counted as stalled, want %d", counted, deaf+1)
	}
	judgeAll(t, watchers)
	final := s.newcomers(t, name, nil)
	for id := range well {
		if v := final[id]; v.Skips > 0 {
			t.Errorf("a healthy viewer (%s) has skipped %d times", v.Protocol, v.Skips)
		}
	}
	stop()
	for id, p := range laggards {
		p.succeed(t, playLimit)
		judgeLaggard(t, parseProbe(t, p.out.String()), int(final[id].Skips))
	}
}

// says looks for a line of the log that has all words.
func (s *server) says(words ...string) bool {
lines:
	for line := range strings.Lines(s.errors.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		return true
	}
	return false
}

// judgeLaggard fails unless pictures are missing at as many places as were counted, and each goes on with a key picture.
func judgeLaggard(t testing.TB, r *recording, skips int) {
	t.Helper()
	r.ordered(t)
	pictures, gaps := r.samples["video"], 0
	for i := 1; i < len(pictures); i++ {
		if missed := pictures[i].dts - pictures[i-1].dts; missed > 2*frameTime.Milliseconds() {
			gaps++
			t.Logf("a laggard skips %d ms", missed)
			if !pictures[i].key {
				t.Errorf("after %d ms that were skipped it goes on with no key picture", missed)
			}
		}
	}
	if gaps == 0 || gaps != skips {
		t.Errorf("pictures are missing at %d places, %d skips were counted", gaps, skips)
	}
}

// live is what the program keeps on its heap: the least that is seen while it collects garbage a few times.
func (s *server) live(t testing.TB) float64 {
	t.Helper()
	const collections = 4
	least, seen := math.Inf(1), map[float64]bool{}
	within(t, time.Minute, "garbage is collected", func() bool {
		f := s.figures(t)
		least = min(least, f["go_memstats_heap_alloc_bytes"]+f["go_memstats_stack_inuse_bytes"])
		seen[f["go_memstats_last_gc_time_seconds"]] = true
		return len(seen) > collections
	})
	return least
}

// stalledMost is what a viewer that does not read may cost the program, without what the kernel keeps for its socket.
const stalledMost = 64 << 10

// TestCrowdMemory compares what 20 viewers of 4 Mbit/s that never read cost with what ten times as many do.
func TestCrowdMemory(t *testing.T) {
	t.Parallel()
	const name = "memory"
	for _, c := range []struct {
		name string
		over []faults.Way
	}{{"plain", plainWays}, {"TLS", secureWays}} {
		t.Run(c.name, func(t *testing.T) {
			s := serveTLS(t, "egress.stall_timeout=10m")
			broadcast(t, s, name, sim.Options{Video: av.H264, Audio: av.AAC, Size: 20_000, KeySize: 30_000})
			few, many := 20, 200*min(scale(t), 5) // the kernel keeps some 200 KB for each
			stall(t, s.target(name), few, c.over)
			s.awaitStill(t, name, few, all, idle)
			small, memory := s.footprint(t), s.live(t)
			stall(t, s.target(name), many-few, c.over)
			s.awaitStill(t, name, many, all, idle)
			large, more := s.footprint(t), s.live(t)
			each := (more - memory) / float64(many-few)
			t.Logf("%d viewers: %v, %.0f KiB live; %d viewers: %v, %.0f KiB live: %.2f KiB for each more",
				few, small, memory/1024, many, large, more/1024, each/1024)
			if each > stalledMost {
				t.Errorf("a viewer that does not read costs %.0f KiB", each/1024)
			}
			if more := large.goroutines - small.goroutines; more > 20 {
				t.Errorf("%d goroutines for %d viewers", more, many-few)
			}
		})
	}
}

// TestCrowdTerminates ends the program while 500 viewers play, or 5 000 of the program as users get it: exit code 0 within a bound,
// and every viewer sees the end of its stream.
func TestCrowdTerminates(t *testing.T) {
	t.Parallel()
	const name, dialers = "end", 8
	viewers, path, limit := 500, program(t), 5*time.Second // the race detector makes everything several times as slow
	if scale(t) > 1 {
		viewers, path, limit = 5000, built(t, buildPlain), 2*time.Second
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if most := int(files.Cur) - 1000; viewers > most { //nolint:gosec // not that many
		t.Logf("this machine allows %d descriptors only", files.Cur)
		viewers = most
	}
	s := serveFrom(t, path)
	broadcast(t, s, name, sim.Options{Video: av.H264, FPS: 5, GOP: 5})
	to := s.target(name)
	var wg, playing sync.WaitGroup
	var next, failed, broken atomic.Int64
	for range dialers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(viewers); i = next.Add(1) {
				p, err := faults.Play(t.Context(), to, plainWays[int(i)%len(plainWays)], false)
				if err != nil {
					if failed.Add(1) < 5 {
						t.Error(err)
					}
					continue
				}
				t.Cleanup(func() { p.Close() })
				playing.Go(func() {
					if err := p.Discard(); err != nil && broken.Add(1) < 5 {
						t.Errorf("a viewer does not see the end: %v", err)
					}
				})
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	s.awaitPlaying(t, name, viewers)
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t, 3*limit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began)
	t.Logf("%d viewers: ended after %v", viewers, took)
	if took > limit {
		t.Errorf("it took %v to end, want %v", took, limit)
	}
	playing.Wait()
}
