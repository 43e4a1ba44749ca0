package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/sim"
)

// hoard is memory that the server cannot give up while it is short: the newest pictures of many streams, large ones.
type hoard struct {
	streams []*publisher
	e       *sim.Encoder
	at      time.Time // when the newest was sent
}

const hoardUnit = 2 << 20

// newHoard begins to publish n streams, and sends nothing.
func newHoard(t *testing.T, s *server, n int) *hoard {
	t.Helper()
	h := &hoard{e: sim.New(sim.Options{Video: av.H264, GOP: 1, KeySize: hoardUnit})}
	for i := range n {
		h.streams = append(h.streams, publish(t, s, fmt.Sprint("hoard-", i), flv.Enhanced, trackAmong(av.Video, h.e.Tracks()), nil))
	}
	return h
}

// grow sends one picture more.
func (h *hoard) grow() error {
	p := h.streams[0]
	h.streams, h.at = h.streams[1:], time.Now()
	return p.trySend(0, h.e.Next())
}

// hoarding lets publishers be silent.
func hoarding(memory string) []string {
	return []string{"limits.memory=" + memory, "publish.max_silence=1m", "publish.resume_window=0s", "play.wait=0s"}
}

// memory is what the server says of its memory.
func (s *server) memory(t testing.TB) (pressure int, used int64) {
	t.Helper()
	var bytes float64
	for line := range strings.Lines(s.request(t, http.MethodGet, "/metrics", s.authorized()).body) {
		_, _ = fmt.Sscanf(line, "vigil_memory_pressure %d", &pressure)
		_, _ = fmt.Sscanf(line, "vigil_memory_used_bytes %g", &bytes)
	}
	return pressure, int64(bytes)
}

// A server that runs short of memory refuses viewers first, then publishers, and lets them in again when there is room.
func TestMemoryPressure(t *testing.T) {
	t.Parallel()
	const limit = 128 << 20
	s := serve(t, hoarding("128MiB")...)
	began := time.Now()
	small := sim.New(sim.Options{Video: av.H264})
	tryPublishSmall := func(name string) error {
		p, err := tryPublish(t.Context(), t, s, name, flv.Enhanced, trackAmong(av.Video, small.Tracks()), nil)
		if err == nil {
			p.end()
		}
		return err
	}
	watch := func(name string) int { return s.request(t, http.MethodGet, "/live/"+name+".live.flv", nil).status }
	ready := func() int { return s.request(t, http.MethodGet, "/readyz", nil).status }

	h := newHoard(t, s, limit/hoardUnit)
	all := h.streams
	_, base := s.memory(t)
	for range (limit*58/100 - int(base)) / hoardUnit {
		if err := h.grow(); err != nil {
			t.Fatal(err)
		}
	}
	if p, _ := s.memory(t); p != 0 || watch("nobody") != http.StatusNotFound || ready() != http.StatusOK {
		t.Fatalf("pressure %d at half of the limit, and a viewer gets %d", p, watch("nobody"))
	}
	// reach grows by 3 MiB a second: the server, which looks at what is in use each 2 s then, notices at each level.
	reach := func(want int) {
		t.Helper()
		within(t, 15*time.Second, fmt.Sprintf("pressure %d", want), func() bool {
			if time.Since(h.at) > time.Second*hoardUnit/(3<<20) {
				if err := h.grow(); err != nil {
					t.Fatal(err)
				}
			}
			p, used := s.memory(t)
			if p > want || used > limit*94/100 {
				t.Fatalf("pressure %d with %d bytes in use", p, used)
			}
			return p == want
		})
	}
	reach(1)
	if status := watch("nobody"); status != http.StatusServiceUnavailable {
		t.Errorf("a viewer gets %d while memory is short", status)
	}
	if err := tryPublishSmall("other"); err != nil || ready() != http.StatusOK {
		t.Errorf("a publisher is refused too early: %v", err)
	}
	reach(2)
	if err := tryPublishSmall("other"); err == nil {
		t.Error("a publisher is let in although there is no memory")
	}
	if a := s.request(t, http.MethodGet, "/readyz", nil); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "short of memory") {
		t.Errorf("/readyz answers %d: %s", a.status, a.body)
	}
	if a := s.request(t, http.MethodGet, "/livez", nil); a.status != http.StatusOK {
		t.Errorf("/livez answers %d: %s", a.status, a.body)
	}
	for _, p := range all {
		p.end()
	}
	within(t, 10*time.Second, "there is memory again", func() bool { p, _ := s.memory(t); return p == 0 })
	if err := tryPublishSmall("other"); err != nil || ready() != http.StatusOK || watch("nobody") != http.StatusNotFound {
		t.Errorf("the server has not recovered: %v", err)
	}
	t.Logf("took %v", time.Since(began))
}

// A server that needs more memory than it may have ends with an exit code of its own, and leaves a profile.
func TestMemoryEnd(t *testing.T) {
	t.Parallel()
	s := boot(t, append(hoarding("64MiB"), "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0", "data="+t.TempDir())...)
	h := newHoard(t, s, 80<<20/hoardUnit)
	for len(h.streams) > 0 && h.grow() == nil {
	}
	const outOfMemory = 77
	if code := s.wait(t, 20*time.Second); code != outOfMemory {
		t.Errorf("exit code %d", code)
	}
	s.healthy(t)
	b, err := os.ReadFile(filepath.Join(s.data, "profiles", "heap-1.pb.gz"))
	if err != nil || len(b) < 100 || b[0] != 0x1f || b[1] != 0x8b {
		t.Errorf("a profile of %d bytes: %v", len(b), err)
	}
	if log := s.errors.String(); !strings.Contains(log, "out of memory") || !strings.Contains(log, "heap-1.pb.gz") {
		t.Errorf("the log does not tell:\n%s", s.errors.tail(10))
	}
}

// Publishers whose key pictures are rare fill their rings with what nobody needs. That is the first to be given up: the
// server lives, goes on to serve who watches, and lets in newcomers as soon as there is room.
func TestMemoryOfRings(t *testing.T) {
	t.Parallel()
	const (
		publishers = 5
		unit       = 60 << 10 // each 40 ms: 12 Mbit/s
		length     = 25 * time.Second
	)
	s := serve(t, "limits.memory=64MiB", "limits.ring_bytes=17MiB", "publish.resume_window=0s")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, publishers)
	for i := range publishers {
		e := sim.New(sim.Options{Video: av.H264, GOP: 1 << 30, KeySize: unit, Size: unit})
		p := publish(t, s, fmt.Sprint("rare-", i), flv.Enhanced, trackAmong(av.Video, e.Tracks()), nil)
		go func() { ended <- p.encode(ctx, e) }()
	}
	v := view(t, s.flvURL("rare-0"))
	began := time.Now()
	for time.Since(began) < length && !s.ended() {
		hold(200 * time.Millisecond)
	}
	if s.ended() {
		t.Fatalf("the server has ended after %v\n%s", time.Since(began), s.errors.tail(6))
	}
	if !strings.Contains(s.errors.String(), "short of memory") {
		t.Error("memory was never short: this proves nothing")
	}
	if tags, err := v.got(); err != nil || len(tags) < 500 {
		t.Errorf("a viewer got %d tags: %v", len(tags), err)
	}
	if !strings.Contains(s.errors.String(), "limits.ring_bytes") {
		t.Error("the log does not warn of large rings")
	}
	cancel()
	for range publishers {
		if err := <-ended; err != nil {
			t.Errorf("a publisher: %v", err)
		}
	}
	within(t, 10*time.Second, "there is memory again", func() bool { p, _ := s.memory(t); return p == 0 })
	broadcast(t, s, "new", sim.Options{Video: av.H264})
	firstBytes(t, s.flvURL("new"), 1000)
}
