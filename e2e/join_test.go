package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// joinGoal is how soon a late joiner should have its first key picture.
const joinGoal = 150 * time.Millisecond

// TestJoin joins a stream of 25 pictures a second and a GOP of 3 s at many moments: the first picture is a key picture of the past,
// and it comes at once.
func TestJoin(t *testing.T) {
	t.Parallel()
	s := serve(t)
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipGOP3.make(t), "-c", "copy", "-f", "flv",
		s.rtmpURL("join"))
	within(t, 20*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "join")
		return st.Ready
	})
	live := view(t, s.flvURL("join"))
	for _, url := range []string{s.rtmpURL("join"), s.flvURL("join")} {
		var waits []time.Duration
		for range 12 {
			hold(130 * time.Millisecond) // so that the joins fall into all parts of the GOP
			waits = append(waits, join(t, url, live))
		}
		slices.Sort(waits)
		median := waits[len(waits)/2]
		t.Logf("%s: first key picture after %v (median), %v at most", url, median, waits[len(waits)-1])
		if median > joinGoal {
			t.Errorf("%s: the first key picture comes after %v, want %v", url, median, joinGoal)
		}
	}
}

// join plays until the first picture and returns how long that took.
func join(t testing.TB, url string, live *viewing) time.Duration {
	t.Helper()
	v := view(t, url)
	defer v.close()
	var first arrival
	within(t, 5*time.Second, "a picture comes from "+url, func() bool {
		units, err := v.got()
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if u.Track.Kind() == av.Video {
				first = u
				return true
			}
		}
		return false
	})
	if !first.Key {
		t.Errorf("%s: the first picture is no key picture", url)
	}
	edge, _ := live.got()
	if len(edge) > 0 {
		if behind := edge[len(edge)-1].DTS - first.DTS; behind < -time.Second || behind > 4*time.Second {
			t.Errorf("%s: the first picture is %v behind the live edge, with a GOP of 3 s", url, behind)
		}
	}
	return first.at.Sub(v.began)
}
