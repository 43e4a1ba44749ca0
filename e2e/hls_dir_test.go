package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
)

// otherServer serves a folder as a web server does that knows nothing of Vigil.
func otherServer(t testing.TB, dir string) (url string) {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	w := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, ok := map[string]string{
			".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".m4s": "video/iso.segment", ".mp4": "video/mp4",
		}[path.Ext(r.URL.Path)]; ok {
			w.Header().Set("Content-Type", kind)
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(w.Close)
	return w.URL
}

// copied is a program with a folder for copies, and a stream that is published.
type copied struct {
	*server
	dir     string
	url     string // of the other server
	encoder *process
}

// copies publishes live/cam and waits until it is in the folder dir.
func copies(t testing.TB, dir string) *copied {
	t.Helper()
	c := &copied{
		server: serve(t, "hls.dir="+dir, "hls.segment=1s"), dir: dir, url: otherServer(t, dir),
	}
	c.encoder = start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "flv", c.rtmpURL("cam"))
	for _, list := range []string{listTS, listFMP4} {
		within(t, 30*time.Second, list+" is in the folder", func() bool { return strings.Count(c.list(list), "#EXTINF") >= 4 })
	}
	return c
}

// list is a playlist in the folder.
func (c *copied) list(name string) string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "live", "cam", name)) // "": it is not there
	return string(b)
}

// volume is a figure of the folder's disk.
func (c *copied) volume(t testing.TB, what string) float64 {
	t.Helper()
	return c.figures(t)["vigil_volume_"+what+`{volume="hls"}`]
}

// TestHLSDir: who serves the folder serves the stream, whole and in time, and knows of its end; a while later nothing is left.
func TestHLSDir(t *testing.T) {
	t.Parallel()
	c := copies(t, filepath.Join(t.TempDir(), "copies"))
	ts := follow(t, c.url+"/live/cam/"+listTS, m3u8.Options{})
	fmp4 := follow(t, c.url+"/live/cam/"+listFMP4, m3u8.Options{FromStart: true})
	for _, list := range []string{listTS, listFMP4} {
		p := start(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", c.url+"/live/cam/"+list)
		if code := p.wait(t, 30*time.Second); code != 0 || !strings.Contains(p.out.String(), "h264") || !strings.Contains(p.out.String(), "aac") {
			t.Errorf("ffprobe of %s: exit code %d: %s %s", list, code, p.out.String(), p.errors.tail(5))
		}
	}
	within(t, 30*time.Second, "both play", func() bool { return ts.count(av.Video) > 150 && fmp4.count(av.Video) > 150 })
	if err := c.encoder.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*follower{ts, fmp4} {
		select {
		case <-f.done:
		case <-time.After(20 * time.Second):
			t.Errorf("%s has no end", f.url)
		}
		f.mu.Lock()
		if f.lag > 8*time.Second {
			t.Errorf("%s: %v behind", f.url, f.lag)
		}
		f.mu.Unlock()
		f.verdict(t, "cache", "etag", "segment-overdue", "update-overdue") // the other server's, and the end
	}
	within(t, 30*time.Second, "nothing is left of the stream", func() bool {
		all, err := os.ReadDir(filepath.Join(c.dir, "live"))
		return err == nil && len(all) == 0
	})
	if n := c.volume(t, "errors_total") + c.volume(t, "refused_total"); n > 0 {
		t.Errorf("%v operations have failed", n)
	}
}

// unhurt follows the stream by parts, from memory, while something is done to the disk; the picture goes on in time.
func (c *copied) unhurt(t testing.TB, during func()) {
	t.Helper()
	viewer := follow(t, c.hlsURL("cam", listFMP4), m3u8.Options{LowLatency: true})
	other := follow(t, c.hlsURL("cam", listTS), m3u8.Options{})
	within(t, 20*time.Second, "both play", func() bool { return viewer.count(av.Video) > 25 && other.count(av.Video) > 25 })
	began, before := time.Now(), viewer.count(av.Video)
	ctx, cancel := context.WithCancel(t.Context())
	gaps := make(chan time.Duration, 1)
	go func() { gaps <- widest(ctx, viewer) }()
	during()
	cancel()
	gap := <-gaps
	got, want := viewer.count(av.Video)-before, int(25*time.Since(began).Seconds())
	t.Logf("in %v %d pictures of %d; the longest pause was %v", time.Since(began).Round(time.Second), got, want, gap.Round(time.Millisecond))
	if got < want-50 || gap > 2*time.Second {
		t.Errorf("%d pictures of %d have come, with a pause of %v", got, want, gap)
	}
	viewer.verdict(t, "part-overdue")
	other.verdict(t)
}

// widest is the longest time without a picture, until ctx ends.
func widest(ctx context.Context, f *follower) (gap time.Duration) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	last, at := f.count(av.Video), time.Now()
	for {
		select {
		case <-ctx.Done():
			return gap
		case <-poll.C:
		}
		if n := f.count(av.Video); n != last {
			last, at = n, time.Now()
		}
		gap = max(gap, time.Since(at))
	}
}

// goesOn waits until the folder's playlists go on.
func (c *copied) goesOn(t testing.TB) {
	t.Helper()
	for _, list := range []string{listTS, listFMP4} {
		was := c.list(list)
		within(t, 10*time.Second, list+" goes on", func() bool { return c.list(list) != was })
		for line := range strings.Lines(c.list(list)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				if _, err := os.Stat(filepath.Join(c.dir, "live", "cam", line)); err != nil {
					t.Errorf("%s: %v", list, err)
				}
			}
		}
	}
}

// TestHLSDirFull: there is no room for copies. The stream and its viewers go on, somebody is told, and with room the copies go on (card D04).
func TestHLSDirFull(t *testing.T) {
	t.Parallel()
	c := copies(t, t.TempDir())
	room := func(bytes uint64) {
		t.Helper()
		r := &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, r, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.unhurt(t, func() {
		room(10)
		within(t, 15*time.Second, "metrics tell of it", func() bool { return c.volume(t, "state") == 2 && c.volume(t, "refused_total") > 0 })
		hold(5 * time.Second)
		was := c.list(listTS)
		hold(3 * time.Second)
		if c.list(listTS) != was {
			t.Error("there was room for a playlist")
		}
		room(unix.RLIM_INFINITY)
		c.goesOn(t)
		within(t, 5*time.Second, "the disk is healthy", func() bool { return c.volume(t, "state") == 0 })
	})
	within(t, 15*time.Second, "the log says so", func() bool {
		return c.says("copies of segments are not written") && c.says("copies of segments are written again") && c.says("the disk works again", "volume=hls")
	})
}

// TestHLSDirFrozen is the same for a disk that answers nothing (card D01). It runs with make faults, as root.
func TestHLSDirFrozen(t *testing.T) {
	if os.Getenv("VIGIL_ROUNDS") == "" || os.Getuid() != 0 {
		t.Log("make faults, as root")
		return
	}
	f := newFreezer(t)
	c := copies(t, filepath.Join(f.dir, "copies"))
	c.unhurt(t, func() {
		f.freeze(t)
		within(t, 25*time.Second, "metrics tell of it", func() bool { return c.volume(t, "state") == 3 })
		if n := c.figures(t)[`vigil_volume_state{volume="data"}`]; n != 0 {
			t.Errorf("the state of the data is %v", n)
		}
		hold(5 * time.Second)
		if n := c.volume(t, "running"); n < 1 || n > 4 {
			t.Errorf("%v operations hang", n)
		}
		if out, err := exec.Command("fsfreeze", "-u", f.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		c.goesOn(t)
		within(t, 5*time.Second, "the disk is healthy", func() bool { return c.volume(t, "state") == 0 })
	})
	within(t, 15*time.Second, "the log says so", func() bool { return c.says("copies of segments are written again") })
}
