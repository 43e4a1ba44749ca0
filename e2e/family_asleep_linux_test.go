package e2e

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestFamilyAsleep stops a server without a supervisor for longer than a publisher may be silent, while encoders go on (card D07): it was the
// server that slept. When it wakes nobody loses a key, nothing is resumed, and viewers go on.
func TestFamilyAsleep(t *testing.T) {
	t.Parallel()
	const silence = 5 * time.Second
	s := serve(t, "publish.max_silence="+silence.String(), "limits.connections_per_address=0")
	many := 100
	if raced() {
		many = 40
	}
	slow := sim.Options{Video: av.H264, FPS: 5, GOP: 5, Size: 200, KeySize: 400}
	var publishers []*faults.Publisher
	var viewers []*watcher
	for i := range many {
		name := "well" + strconv.Itoa(i)
		slow.Origin = byte(i)
		p, _ := publishSim(t, s.target(name), faults.RTMP, slow)
		publishers = append(publishers, p)
		if i%10 == 0 {
			for _, way := range fewWays {
				w := watch(t.Context(), s.target(name), way)
				t.Cleanup(w.close)
				viewers = append(viewers, w)
			}
		}
	}
	within(t, 20*time.Second, "all publish and watch", func() bool {
		st := s.streams(t)
		for _, w := range viewers {
			if w.units() == 0 {
				return false
			}
		}
		return st.Publishers == many && st.Viewers == len(viewers)
	})
	before := s.epochs(t)
	signal(t, s.process, syscall.SIGSTOP)
	hold(inFull(t, 12*time.Second, silence+time.Second))
	counts := make([]int, len(viewers))
	for i, w := range viewers {
		counts[i] = w.units()
	}
	signal(t, s.process, syscall.SIGCONT)
	woken := time.Now()
	within(t, 5*time.Second, "all viewers go on", func() bool {
		for i, w := range viewers {
			if !w.over() && w.units() < counts[i]+10 {
				return false
			}
		}
		return true
	})
	t.Logf("all viewers have got ten units more %v after the server woke", time.Since(woken).Round(time.Millisecond))
	hold(silence + 2*time.Second - time.Since(woken)) // in which somebody would be ended
	for _, w := range viewers {
		if w.over() {
			t.Errorf("a viewer was ended: %v", w.fault())
		}
	}
	for i, p := range publishers {
		select {
		case <-p.Ended():
			t.Errorf("publisher %d was ended: %s", i, p.Told())
		default:
		}
	}
	after := s.epochs(t)
	for name, epoch := range before {
		if after[name] != epoch {
			t.Errorf("%s: epoch %d, and %d before it slept", name, after[name], epoch)
		}
	}
	if len(before) != many || len(after) != many {
		t.Errorf("%d streams, %d before it slept, want %d", len(after), len(before), many)
	}
}

// epochs are those of all streams that have a publisher.
func (s *server) epochs(t testing.TB) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	for _, st := range s.streams(t).Streams {
		if st.Publisher != nil {
			all[st.Key] = st.Epoch
		}
	}
	return all
}
