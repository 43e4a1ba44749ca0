package e2e

import (
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

// hoard publishes live/name without a second key picture, so that the stream keeps all of it.
type hoard struct {
	*publisher
	e *sim.Encoder
}

const hoardUnit = 60 << 10 // and what a buffer for it takes is little more

func newHoard(t *testing.T, s *server, name string) *hoard {
	t.Helper()
	e := sim.New(sim.Options{Video: av.H264, GOP: 1 << 30, KeySize: hoardUnit, Size: hoardUnit, FPS: 200})
	return &hoard{publish(t, s, name, flv.Enhanced, trackAmong(av.Video, e.Tracks()), nil), e}
}

// grow adds that many bytes.
func (h *hoard) grow(bytes int) { h.send(0, h.e.Take(bytes/hoardUnit)...) }

// hoarding lets a stream keep as much as anybody sends.
func hoarding(memory string) []string {
	return []string{
		"limits.memory=" + memory, "limits.ring_bytes=1GiB", "limits.ring_age=1h", "limits.ring_units=65536",
		"publish.max_silence=1m", "publish.resume_window=0s", "play.wait=0s",
	}
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

	h := newHoard(t, s, "hoard")
	_, base := s.memory(t)
	h.grow(limit*58/100 - int(base))
	if p, _ := s.memory(t); p != 0 || watch("nobody") != http.StatusNotFound || ready() != http.StatusOK {
		t.Fatalf("pressure %d at half of the limit, and a viewer gets %d", p, watch("nobody"))
	}
	// reach grows by 3 MiB a second at the most: the server, which looks at what is in use each 2 s then, notices at each level.
	reach := func(want int) {
		t.Helper()
		within(t, 15*time.Second, fmt.Sprintf("pressure %d", want), func() bool {
			h.grow(hoardUnit)
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
	h.end()
	within(t, 10*time.Second, "there is memory again", func() bool { p, _ := s.memory(t); return p == 0 })
	if err := tryPublishSmall("other"); err != nil || ready() != http.StatusOK || watch("nobody") != http.StatusNotFound {
		t.Errorf("the server has not recovered: %v", err)
	}
	t.Logf("took %v", time.Since(began))
}

// A server that needs more memory than it may have ends with an exit code of its own, and leaves a profile.
func TestMemoryEnd(t *testing.T) {
	t.Parallel()
	s := boot(t, append(hoarding("64MiB"), "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "data="+t.TempDir())...)
	h := newHoard(t, s, "hoard")
	for range 80 << 20 / hoardUnit {
		if h.trySend(0, h.e.Next()) != nil {
			break
		}
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
