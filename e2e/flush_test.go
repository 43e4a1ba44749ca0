package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/sim"
)

// lateMedian and lateMost are how late sound without pictures may be, on a machine that has other things to do: what is held for
// 40 ms comes within a fraction of that as a rule.
const (
	lateMedian = 250 * time.Millisecond
	lateMost   = 1500 * time.Millisecond
)

// TestAudioOnly plays streams that have no picture to send the sound with: one of ffmpeg's, to ffprobe; and one of ours,
// whose way is timed.
func TestAudioOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m")
	urls := []string{s.rtmpURL("sound"), s.flvURL("sound")}
	judges := make([]*process, len(urls))
	for i, url := range urls {
		judges[i] = start(t, "ffprobe", probeArgs(url)...)
	}
	s.awaitWaiting(t, "sound", len(urls))
	f := start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", clipAAC.make(t), "-vn", "-c:a", "copy", "-f", "flv", s.rtmpURL("sound"))

	e := sim.New(sim.Options{Audio: av.AAC})
	p := publish(t, s, "timed", flv.Enhanced, nil, e.Tracks()[0])
	units := e.Take(150) // 3.2 s
	sent := make([]time.Time, len(units))
	views := map[string]*viewing{"RTMP": view(t, s.rtmpURL("timed")), "HTTP-FLV": view(t, s.flvURL("timed"))}
	if err := p.paceShifted(t.Context(), units, func(i int) uint32 { sent[i] = time.Now(); return 0 }); err != nil {
		t.Fatal(err)
	}
	p.end()
	for over, v := range views {
		judgeDelay(t, over, v.wait(t, playLimit), sent)
	}

	f.succeed(t, playLimit)
	source := probe(t, clipAAC.make(t))
	delete(source.samples, "video")
	for _, j := range judges {
		j.succeed(t, playLimit)
		parseProbe(t, j.out.String()).same(t, source, 0)
	}
}

// judgeDelay fails unless every unit from the first that came is there, soon after it was sent.
func judgeDelay(t testing.TB, over string, got []arrival, sent []time.Time) {
	t.Helper()
	var check sim.Checker
	var late []time.Duration
	for _, g := range got {
		if err := check.Unit(g.AccessUnit); err != nil {
			t.Fatalf("%s: %v", over, err)
		}
		tag, _ := sim.Read(g.AccessUnit)
		late = append(late, g.at.Sub(sent[tag.TrackSeq]))
	}
	if len(late) < len(sent)*3/4 || check.Missing > 0 {
		t.Fatalf("%s: %d units of %d, %d are missing in between", over, len(late), len(sent), check.Missing)
	}
	late = late[10:] // what was there before the viewer
	slices.Sort(late)
	median, most := late[len(late)/2], late[len(late)-1]
	t.Logf("%s: sound comes after %v (median), %v at most", over, median, most)
	if median > lateMedian || most > lateMost {
		t.Errorf("%s: sound comes after %v (median), %v at most", over, median, most)
	}
}

// TestMergeWindow sends all that comes within 300 ms at once: every player gets every unit all the same.
func TestMergeWindow(t *testing.T) {
	t.Parallel()
	const name = "merged"
	s := serve(t, "play.wait=1m", "egress.merge_window=300ms")
	judges := make([]func(testing.TB, *recording), len(players))
	for i, p := range players {
		judges[i] = p.play(t, s, name)
	}
	s.awaitWaiting(t, name, len(players))
	p, file := publishFFmpeg(t, s, clipAAC, name)
	p.succeed(t, playLimit)
	source := probe(t, file)
	for i, p := range players {
		t.Run(p.name+" "+p.over, func(t *testing.T) { judges[i](t, source) })
	}
}

// TestPause has players over RTMP and RTMPS pause: nothing comes, and then all from a key picture on.
func TestPause(t *testing.T) {
	t.Parallel()
	const name = "paused"
	s := serveTLS(t)
	stop := broadcast(t, s, name, sim.Options{Video: av.H264, Audio: av.AAC})
	for _, way := range []faults.Way{faults.RTMP, faults.RTMPS} {
		t.Run(string(way), func(t *testing.T) {
			p, err := faults.Play(t.Context(), s.target(name), way, false)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			v := &viewing{done: make(chan struct{})}
			go func() {
				defer close(v.done)
				_ = v.read(p.Read) // its end is the test's
			}()
			count := func() int { u, _ := v.got(); return len(u) }
			within(t, 5*time.Second, "units come", func() bool { return count() > 20 })
			if err := p.Pause(true); err != nil {
				t.Fatal(err)
			}
			before, since := 0, time.Now()
			within(t, 10*time.Second, "none come for longer than from key picture to key picture", func() bool {
				if n := count(); n != before {
					before, since = n, time.Now()
				}
				return time.Since(since) > 1500*time.Millisecond
			})
			if err := p.Pause(false); err != nil {
				t.Fatal(err)
			}
			within(t, 5*time.Second, "units come again", func() bool { return count() > before+60 })
			units, _ := v.got()
			if u := units[before]; u.Track.Kind() != av.Video || !u.Key {
				t.Errorf("it goes on with %v, key %v", u.Track, u.Key)
			}
			var check sim.Checker
			for _, u := range units {
				if err := check.Unit(u.AccessUnit); err != nil {
					t.Error(err)
				}
			}
			if check.Gaps != 1 {
				t.Errorf("units are missing at %d places, want 1", check.Gaps)
			}
			p.Close()
			<-v.done
		})
	}
	st, _ := s.stream(t, name)
	for _, v := range st.Sessions {
		if strings.HasPrefix(v.Protocol, "rtmp") && v.Skips > 0 {
			t.Errorf("a pause counts as %d skips", v.Skips)
		}
	}
	stop()
}
