package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var clipH265 = clip{
	"H.265 with B-frames, AAC", "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=25:pools=1 " +
		"-pix_fmt yuv420p -b:v 150k -c:a aac -b:a 64k", "h265-aac.mp4",
}

// webFormat is a format by HTTP.
type webFormat struct {
	name, suffix string
	demuxer      string // of GStreamer
}

var (
	webFLV = webFormat{"HTTP-FLV", ".live.flv", "flvdemux"}
	webTS  = webFormat{"HTTP-TS", ".live.ts", "tsdemux"}
	webMP4 = webFormat{"HTTP-fMP4", ".live.mp4", "qtdemux"}
	webHLS = webFormat{"HLS, TS", "/hls.m3u8", "hlsdemux ! tsdemux"}
	webLow = webFormat{"HLS, fMP4", "/hls.fmp4.m3u8", "hlsdemux ! qtdemux"}
)

func (f webFormat) url(s *server, name string) string {
	return "http://" + s.http + "/live/" + name + f.suffix
}

// webPlayer is a client that plays by HTTP, and how to judge what it made of it.
type webPlayer struct {
	name string // as in README.md
	play func(t testing.TB, s *server, f webFormat, c clip, name string) func(t testing.TB, file string)
}

var (
	webDecode = webPlayer{"ffmpeg", decodeWeb}
	webProbe  = webPlayer{"ffprobe", probeWeb}
	webPull   = webPlayer{"GStreamer", pullWeb}
	webVLC    = webPlayer{"VLC", watchVLC}
)

// webRow is a clip, and who plays it in which format.
type webRow struct {
	clip    clip
	format  webFormat
	players []webPlayer
}

// webTable is what is tried. Of G.711 in a transport stream other clients know nothing: it has no registered type.
var webTable = []webRow{
	{clipAAC, webFLV, []webPlayer{webVLC}},
	{clipAAC, webTS, []webPlayer{webProbe, webDecode, webPull, webVLC}},
	{clipAAC, webMP4, []webPlayer{webProbe, webDecode, webPull, webVLC}},
	{clipAAC, webHLS, []webPlayer{webProbe, webDecode, webPull, webVLC}},
	{clipAAC, webLow, []webPlayer{webProbe, webDecode, webPull, webVLC}},
	{clipH265, webHLS, []webPlayer{webDecode, webVLC}},
	{clipH265, webLow, []webPlayer{webDecode, webVLC}},
	{clipVideo, webHLS, []webPlayer{webDecode, webPull}},
	{clipVideo, webLow, []webPlayer{webDecode, webPull}},
	{clipAudio, webHLS, []webPlayer{webDecode, webPull}},
	{clipAudio, webLow, []webPlayer{webDecode, webPull}},
	{clipH265, webTS, []webPlayer{webDecode, webPull, webVLC}},
	{clipH265, webMP4, []webPlayer{webDecode, webPull, webVLC}},
	{clipH265Opus, webTS, []webPlayer{webDecode, webPull}},
	{clipH265Opus, webMP4, []webPlayer{webDecode, webPull}},
	{clipG711, webMP4, []webPlayer{webDecode, webPull}},
	{clipVideo, webTS, []webPlayer{webProbe, webDecode, webPull}},
	{clipVideo, webMP4, []webPlayer{webProbe, webDecode, webPull}},
	{clipAudio, webTS, []webPlayer{webDecode, webPull}},
	{clipAudio, webMP4, []webPlayer{webDecode, webPull}},
}

// TestWebClients has other makers' clients play by HTTP: every picture is the source's, no sound is missing but at the ends, and no client
// complains.
func TestWebClients(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m", "publish.resume_window=1s")
	clips := []clip{clipAAC, clipH265, clipH265Opus, clipG711, clipVideo, clipAudio}
	for i, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.make(t)
			name := fmt.Sprint("web-", i)
			type judge struct {
				name string
				run  func(testing.TB, string)
			}
			var judges []judge
			for _, row := range webTable {
				if row.clip != c {
					continue
				}
				for _, p := range row.players {
					judges = append(judges, judge{p.name + " " + row.format.name, p.play(t, s, row.format, c, name)})
				}
			}
			s.awaitWaiting(t, name, len(judges))
			file := c.make(t)
			if filepath.Ext(file) == ".flv" {
				p, _ := publishFFmpeg(t, s, c, name)
				p.succeed(t, playLimit)
			} else { // what ffmpeg does not put into FLV
				p, _ := pushRTSP(t, s, overTCP, c, name)
				pushed(t, p)
			}
			for _, j := range judges {
				t.Run(j.name, func(t *testing.T) { j.run(t, file) })
			}
		})
	}
}

// decodeWeb has ffmpeg decode everything, and compares every picture.
func decodeWeb(t testing.TB, s *server, f webFormat, c clip, name string) func(testing.TB, string) {
	t.Helper()
	p := start(t, "ffmpeg", decodeArgs(f.url(s, name))...)
	return func(t testing.TB, file string) {
		t.Helper()
		p.wait(t, playLimit)
		decodedAll(t, p)
		want := run(t, "ffmpeg", decodeArgs(file)...)
		for _, kind := range []string{"video", "audio"} {
			came, sent := frameSums(p.out.String(), kind), frameSums(want, kind)
			loss := 0
			if kind == "audio" {
				loss = joinLoss + overTCP.lossAt(kind)
			}
			if missing := len(sent) - len(came); missing < 0 || missing > loss {
				t.Errorf("%s: %d frames, the source has %d", kind, len(came), len(sent))
			} else if kind == "video" && !slices.Equal(came, sent) {
				t.Error("other pictures than the source's")
			}
		}
	}
}

// probeWeb compares the times and the keys of all packets that ffprobe sees.
func probeWeb(t testing.TB, s *server, f webFormat, _ clip, name string) func(testing.TB, string) {
	t.Helper()
	p := start(t, "ffprobe", probeArgs(f.url(s, name))...)
	return func(t testing.TB, file string) {
		t.Helper()
		p.succeed(t, playLimit)
		got, source := parseProbe(t, p.out.String()), probe(t, file)
		got.ordered(t)
		for kind, want := range source.samples {
			came := got.samples[kind]
			for i := range came {
				came[i].md5 = "" // start codes and headers are the format's
			}
			missing := len(want) - len(came)
			if missing < 0 || missing > 0 && kind == "video" || missing > joinLoss {
				t.Errorf("%s: %d units, the source has %d", kind, len(came), len(want))
			} else if err := compare(came, want[missing:]); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if a, b := got.codec[kind], source.codec[kind]; a != b {
				t.Errorf("%s: codec %s, the source has %s", kind, a, b)
			}
		}
	}
}

// webBranches decode the tracks of a clip.
func webBranches(c clip, raw string) []string {
	h264, h265 := "h264parse ! avdec_h264 ! filesink location="+raw, "h265parse ! avdec_h265 ! filesink location="+raw
	const (
		aac  = "aacparse ! avdec_aac ! fakesink"
		opus = "opusparse ! opusdec ! fakesink"
		alaw = "alawdec ! fakesink"
	)
	return map[clip][]string{
		clipAAC: {h264, aac}, clipH265: {h265, aac}, clipH265Opus: {h265, opus}, clipG711: {h264, alaw}, clipVideo: {h264}, clipAudio: {aac},
	}[c]
}

// pullWeb has GStreamer decode everything, and compares every picture.
func pullWeb(t testing.TB, s *server, f webFormat, c clip, name string) func(testing.TB, string) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "video.raw")
	args := []string{"-q", "souphttpsrc", "location=" + f.url(s, name), "!"}
	args = append(append(args, strings.Fields(f.demuxer)...), "name=d")
	for _, b := range webBranches(c, raw) {
		args = append(append(args, "d.", "!", "queue", "!"), strings.Fields(b)...)
	}
	p := start(t, "gst-launch-1.0", args...)
	return func(t testing.TB, file string) {
		t.Helper()
		p.succeed(t, playLimit)
		clean(t, p)
		if c == clipAudio {
			return
		}
		want := filepath.Join(t.TempDir(), "want.raw")
		run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", want)
		samePictures(t, raw, want, 0)
	}
}

// What VLC says when it cannot play.
var vlcFailed = regexp.MustCompile(`(?m)^.* (main input error|main stream error|demux error|decoder error):? .*\n`)

// watchVLC has VLC play to nowhere. It refuses to be root; then it is nobody.
func watchVLC(t testing.TB, s *server, f webFormat, _ clip, name string) func(testing.TB, string) {
	t.Helper()
	args := []string{
		client(t, "cvlc"), "--intf", "dummy", "--vout", "dummy", "--aout", "dummy", "--no-media-library", "--play-and-exit", "-vv",
		"--ipv4-timeout", "60000", f.url(s, name),
	}
	if os.Geteuid() == 0 {
		args = append([]string{client(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "HOME=/nonexistent")
	p := launch(t, cmd)
	return func(t testing.TB, _ string) {
		t.Helper()
		p.wait(t, playLimit)
		said := p.errors.String()
		for _, sign := range []string{"using video decoder module", "using audio decoder module", "Stream buffering done", "Received first picture"} {
			if !strings.Contains(said, sign) {
				t.Errorf("VLC does not say %q", sign)
			}
		}
		if bad := vlcFailed.FindString(said); bad != "" {
			t.Errorf("VLC complains: %s", bad)
		}
		if t.Failed() {
			t.Logf("VLC said:\n%s", said[max(0, len(said)-4000):])
		}
	}
}

// webTableText is README.md's table of TestWebClients.
func webTableText() string {
	b := &strings.Builder{}
	b.WriteString("| clip | HTTP-FLV | HTTP-TS | HTTP-fMP4 | HLS, TS | HLS, fMP4 |\n|---|---|---|---|---|---|\n")
	var done []clip
	for _, row := range webTable {
		if slices.Contains(done, row.clip) {
			continue
		}
		done = append(done, row.clip)
		fmt.Fprintf(b, "| %s |", row.clip.name)
		for _, f := range []webFormat{webFLV, webTS, webMP4, webHLS, webLow} {
			var names []string
			for _, r := range webTable {
				if r.clip != row.clip || r.format != f {
					continue
				}
				for _, p := range r.players {
					names = append(names, p.name)
				}
			}
			fmt.Fprintf(b, " %s |", strings.Join(names, ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
}
