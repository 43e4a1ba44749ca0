package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// TestJoinRTSP is TestJoin for players over RTSP, requests included.
func TestJoinRTSP(t *testing.T) {
	t.Parallel()
	s := serve(t)
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipGOP3.make(t), "-c", "copy", "-f", "rtsp",
		"-rtsp_transport", "tcp", s.rtspURL("join"))
	within(t, 20*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, "join"); return st.Ready })
	live := view(t, s.flvURL("join"))
	for _, over := range []transport{overTCP, overUDP} {
		var waits []time.Duration
		for range 12 {
			hold(130 * time.Millisecond) // so that the joins fall into all parts of the GOP
			waits = append(waits, joinRTSP(t, s.rtspURL("join"), over, live))
		}
		slices.Sort(waits)
		median := waits[len(waits)/2]
		t.Logf("%s: first key picture after %v (median), %v at most", over, median, waits[len(waits)-1])
		if median > joinGoal {
			t.Errorf("%s: the first key picture comes after %v, want %v", over, median, joinGoal)
		}
	}
}

// joinRTSP plays until the first picture and returns how long that took. RTSP does not tell the stream's own time, so the picture itself
// says how far it is behind.
func joinRTSP(t testing.TB, url string, over transport, live *viewing) time.Duration {
	t.Helper()
	v := viewRTSP(t, url, over)
	defer v.close()
	var first arrival
	within(t, 5*time.Second, "a picture comes from "+url, func() bool {
		units, err := v.got()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(units, func(u arrival) bool { return u.Track.Kind() == av.Video })
		if i >= 0 {
			first = units[i]
		}
		return i >= 0
	})
	if !first.Key {
		t.Errorf("%s: the first picture is no key picture", url)
	}
	edge, _ := live.got()
	for _, u := range slices.Backward(edge) {
		if u.Track.Kind() == av.Video && normal(u.AccessUnit) == normal(first.AccessUnit) {
			if behind := edge[len(edge)-1].DTS - u.DTS; behind > 4*time.Second {
				t.Errorf("%s: the first picture is %v behind the live edge, with a GOP of 3 s", url, behind)
			}
			return first.at.Sub(v.began)
		}
	}
	if len(edge) > 100 {
		t.Errorf("%s: nobody else has seen the first picture", url)
	}
	return first.at.Sub(v.began)
}
