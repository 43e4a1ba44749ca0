package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// resumeWindow is the window of these tests: short, because they wait for it.
const resumeWindow = 2500 * time.Millisecond

// killRounds is how often each case is played: VIGIL_ROUNDS, or once.
func killRounds(t testing.TB) int {
	t.Helper()
	text := os.Getenv("VIGIL_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("VIGIL_ROUNDS=%q is no number of rounds", text)
	}
	return n
}

// killCase is a publisher that is killed, and what comes after it.
type killCase struct {
	name  string
	after time.Duration
	with  clip
	more  bool // only where there are more rounds than one
}

// within says whether it comes back in time.
func (c killCase) within() bool { return c.after < resumeWindow }

// TestKilledPublisher kills ffmpeg while it publishes, and starts another some time later (cards S04, S05): the next one is let in at its
// first attempt. Within the resume window every viewer plays on, and decodes it, on the connection that it has; after it, every viewer
// has seen the end. The second publisher's stamps begin at 0, and some have another resolution. Every round has the same outcome.
func TestKilledPublisher(t *testing.T) {
	t.Parallel()
	s := serve(t, "publish.resume_window="+resumeWindow.String())
	for _, c := range []killCase{
		{"at once", 200 * time.Millisecond, clipAAC, true},
		{"at once, larger", 200 * time.Millisecond, clipLarge, false},
		{"late", 2 * time.Second, clipAAC, false}, // 0.8 of the window
		{"late, larger", 2 * time.Second, clipLarge, true},
		{"too late", 3 * time.Second, clipAAC, false}, // 1.2 of the window
	} {
		if c.more && killRounds(t) == 1 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := ""
			for round := range killRounds(t) {
				outcome := killAndReturn(t, s, c, fmt.Sprintf("killed-%s-%d", idOf(c.name), round))
				if t.Failed() {
					t.Fatalf("this was round %d", round)
				}
				if first == "" {
					first = outcome
					t.Log(outcome)
				}
				if outcome != first {
					t.Fatalf("round %d: %s; the first: %s", round, outcome, first)
				}
			}
		})
	}
}

// decoding is ffmpeg that decodes a stream.
func decoding(t testing.TB, url string) *process {
	t.Helper()
	return start(t, "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1",
		"-f", "framecrc", "-")
}

// noticed is what mpegts.js says, and need not, when the parameter sets change.
var noticed = regexp.MustCompile(`(?m)^.*AVCDecoderConfigurationRecord has been changed, re-generate initialization segment\n`)

// killAndReturn plays one round, judges it and tells its outcome.
func killAndReturn(t testing.TB, s *server, c killCase, name string) string {
	t.Helper()
	first := start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipAAC.make(t), "-c", "copy", "-f", "flv",
		s.rtmpURL(name))
	within(t, 15*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, name); return st.Ready })
	urls := []string{s.rtmpURL(name), s.flvURL(name)}
	views := []*viewing{view(t, urls[0]), view(t, urls[1])}
	decoders := []*process{decoding(t, urls[0]), decoding(t, urls[1])}
	reader := startReader(t, s.wsURL(name))
	s.awaitPlaying(t, name, len(views)+len(decoders)+1)
	hold(1500 * time.Millisecond) // ffmpeg has looked at it and decodes
	before, _ := s.stream(t, name)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	<-first.done
	hold(c.after)
	second, file := publishFFmpeg(t, s, c.with, name)
	second.succeed(t, playLimit) // it has been let in, at once
	sent := len(probe(t, file).samples["video"])
	outcome := ""
	for i, v := range views {
		outcome += urls[i][:4] + ": " + judgeKilled(t, c, v.wait(t, 10*time.Second), killed, sent) + "; "
	}
	for i, p := range decoders {
		p.wait(t, playLimit)
		decodedAll(t, p)
		if n := countFrames(p.out.String(), "video"); n < 25 || c.within() && n < sent+25 {
			t.Errorf("%s: ffmpeg decoded %d pictures, the second publisher sent %d", urls[i], n, sent)
		}
	}
	reader.succeed(t, playLimit)
	if said := noticed.ReplaceAllString(reader.errors.String(), ""); said != "" {
		t.Errorf("mpegts.js complains:\n%.2000s", said)
	}
	r := parseReader(t, reader.out.String())
	r.ordered(t)
	if n := len(r.samples["video"]); n < 25 || c.within() && n < sent+25 {
		t.Errorf("WS-FLV: %d pictures, the second publisher sent %d", n, sent)
	}
	if logged := s.says("publishing", "live/"+name); !logged {
		t.Errorf("the log does not tell of live/%s, epoch %d", name, before.Epoch)
	}
	return outcome
}

// judgeKilled judges what a viewer has got in all until its end, and tells it.
func judgeKilled(t testing.TB, c killCase, units []arrival, killed time.Time, sent int) string {
	t.Helper()
	last := map[int]time.Duration{}
	for i, u := range units {
		if before, ok := last[u.Track.ID]; ok && u.DTS <= before {
			t.Errorf("unit %d: DTS %v after %v", i, u.DTS, before)
		}
		last[u.Track.ID] = u.DTS
	}
	splice := -1
	for i := 1; i < len(units) && splice < 0; i++ {
		if units[i].at.Sub(killed) > c.after {
			splice = i
		}
	}
	if !c.within() {
		if splice >= 0 {
			t.Errorf("units came %v after the publisher was killed", units[splice].at.Sub(killed))
		}
		return "ended"
	}
	if splice < 0 {
		t.Error("no unit of the second publisher came")
		return "frozen"
	}
	if gap := units[splice].at.Sub(killed) - c.after; gap > 3*time.Second {
		t.Errorf("the first unit came %v after the second publisher was started", gap)
	}
	pictures := 0
	for _, u := range units[splice:] {
		if u.Track.Kind() != av.Video {
			continue
		}
		if pictures == 0 && !u.Key {
			t.Error("the first picture after the splice is no key picture")
		}
		pictures++
	}
	if pictures != sent {
		t.Errorf("%d pictures of the second publisher came, it sent %d", pictures, sent)
	}
	return "resumed"
}
