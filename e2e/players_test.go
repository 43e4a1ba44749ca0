package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// player is a client that plays, and how to judge what it made of it.
type player struct {
	name string // as in README.md
	over string // as in README.md
	// play starts the client for stream name. The returned function waits for its end and judges.
	play func(t testing.TB, s *server, name string) func(t testing.TB, source *recording)
}

// playLimit is how long a client may take to its end, from when it is waited for.
const playLimit = 40 * time.Second

// players is the list of clients of README.md.
var players = []player{
	{"ffprobe", "RTMP", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playProbe(t, s.rtmpURL(name))
	}},
	{"ffprobe", "HTTP-FLV", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playProbe(t, s.flvURL(name))
	}},
	{"ffmpeg", "RTMP", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playDecode(t, s.rtmpURL(name))
	}},
	{"ffmpeg", "HTTP-FLV", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playDecode(t, s.flvURL(name))
	}},
	{"rtmpdump", "RTMP", playDump},
	{"GStreamer", "RTMP", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playGStreamer(t, "rtmp2src", s.rtmpURL(name))
	}},
	{"GStreamer", "HTTP-FLV", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playGStreamer(t, "souphttpsrc", s.flvURL(name))
	}},
	{"mpegts.js", "HTTP-FLV", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playMPEGTS(t, s.flvURL(name))
	}},
	{"mpegts.js", "WS-FLV", func(t testing.TB, s *server, name string) func(testing.TB, *recording) {
		return playMPEGTS(t, s.wsURL(name))
	}},
}

// playProbe compares every packet that ffprobe sees with the source's.
func playProbe(t testing.TB, url string) func(testing.TB, *recording) {
	t.Helper()
	p := start(t, "ffprobe", probeArgs(url)...)
	return func(t testing.TB, source *recording) {
		t.Helper()
		p.succeed(t, playLimit)
		parseProbe(t, p.out.String()).same(t, source, 0)
	}
}

// playDecode has ffmpeg decode everything and stop at the first error.
func playDecode(t testing.TB, url string) func(testing.TB, *recording) {
	t.Helper()
	args := []string{"-v", "error", "-nostdin"}
	if strings.HasPrefix(url, "rtmp") { // over HTTP it would take the end for an error: see httpEnd
		args = append(args, "-xerror")
	}
	p := start(t, "ffmpeg", append(args, "-i", url, "-map", "0", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")...)
	return func(t testing.TB, source *recording) {
		t.Helper()
		p.wait(t, playLimit)
		decodedAll(t, p)
		pictures := countFrames(p.out.String(), "video")
		if want := len(source.samples["video"]); pictures != want {
			t.Errorf("%d pictures decoded, the source has %d", pictures, want)
		}
		if sound := countFrames(p.out.String(), "audio"); (sound > 0) != (len(source.samples["audio"]) > 0) {
			t.Errorf("%d frames of sound decoded", sound)
		}
	}
}

// httpEnd is what ffmpeg says, and takes for an error, when an HTTP body ends with its connection, whoever serves it.
var httpEnd = regexp.MustCompile(`(?m)^(\[http @ \w+\] Stream ends prematurely at .*|\s*Last message repeated .*|.*: Input/output error)\n`)

// decodedAll fails unless ffmpeg has come to the end without another complaint than that.
func decodedAll(t testing.TB, p *process) {
	t.Helper()
	said := p.errors.String()
	if rest := httpEnd.ReplaceAllString(said, ""); rest != "" || p.err != nil && said == "" {
		t.Errorf("ffmpeg complains: %v\n%.2000s", p.err, rest)
	}
}

// clean fails if a client has complained.
func clean(t testing.TB, p *process) {
	t.Helper()
	if said := p.errors.String(); said != "" {
		t.Errorf("%s complains:\n%.2000s", p.name, said)
	}
}

// playDump has rtmpdump write a file, which ffprobe compares and ffmpeg decodes.
func playDump(t testing.TB, s *server, name string) func(testing.TB, *recording) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump.flv")
	p := start(t, "rtmpdump", "-q", "--live", "-r", s.rtmpURL(name), "-o", file)
	return func(t testing.TB, source *recording) {
		t.Helper()
		p.succeed(t, playLimit)
		probe(t, file).same(t, source, 0)
		decode(t, file)
	}
}

// decode has ffmpeg decode a file without an error.
func decode(t testing.TB, file string) {
	t.Helper()
	p := start(t, "ffmpeg", "-v", "error", "-xerror", "-nostdin", "-i", file, "-map", "0",
		"-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-")
	p.succeed(t, playLimit)
	clean(t, p)
}

// playGStreamer has GStreamer write down what its source element gives, demux it and decode it.
func playGStreamer(t testing.TB, element, url string) func(testing.TB, *recording) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "gst.flv")
	p := start(t, "gst-launch-1.0", "-q", element, "location="+url, "!", "filesink", "location="+file)
	return func(t testing.TB, source *recording) {
		t.Helper()
		p.succeed(t, playLimit)
		clean(t, p)
		got := probe(t, file)
		got.same(t, source, 1) // rtmp2src throws away what it has not handed on when the end comes
		// A pipeline with a branch that never gets anything does not end: there is one for each track that there is.
		args := []string{"-q", "filesrc", "location=" + file, "!", "flvdemux", "name=d"}
		raw := filepath.Join(dir, "video.raw")
		if len(source.samples["video"]) > 0 {
			args = append(args, "d.video", "!", "queue", "!", "h264parse", "!", "avdec_h264", "!", "filesink", "location="+raw)
		}
		if len(source.samples["audio"]) > 0 {
			args = append(args, "d.audio", "!", "queue", "!", "decodebin", "!", "audioconvert", "!", "fakesink")
		}
		d := start(t, "gst-launch-1.0", args...)
		d.succeed(t, playLimit)
		clean(t, d)
		if want := len(got.samples["video"]); want > 0 {
			info, err := os.Stat(raw)
			const picture = 192 * 108 * 3 / 2
			if err != nil || info.Size() != int64(want)*picture {
				t.Errorf("GStreamer decoded %v bytes of pictures, want %d pictures of %d: %v", info, want, picture, err)
			}
		}
	}
}

// readerDir is where the reader under Node lives.
func readerDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("reader")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "mpegts.js")); err != nil {
		t.Fatal("mpegts.js is missing: run scripts/npm.sh e2e/reader (as `make deps` does)")
	}
	return dir
}

// startReader starts mpegts.js on a URL or a file.
func startReader(t testing.TB, url string) *process {
	t.Helper()
	cmd := exec.Command(client(t, "node"), "reader.mjs", url)
	cmd.Dir = readerDir(t)
	return launch(t, cmd)
}

// playMPEGTS compares every sample of mpegts.js with the source's.
func playMPEGTS(t testing.TB, url string) func(testing.TB, *recording) {
	t.Helper()
	p := startReader(t, url)
	return func(t testing.TB, source *recording) {
		t.Helper()
		p.succeed(t, playLimit)
		clean(t, p)
		parseReader(t, p.out.String()).same(t, source, 0)
	}
}
