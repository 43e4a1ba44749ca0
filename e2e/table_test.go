package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// encoder is a client that publishes.
type encoder struct {
	name  string // as in README.md
	clips []clip
	// publish starts it. The file is, once it has ended, what it has published.
	publish func(t testing.TB, s *server, c clip, name string) (p *process, file string)
}

// encoders is the list of publishing clients of README.md, and what each publishes.
var encoders = []encoder{
	{"ffmpeg", []clip{clipAAC, clipMP3, clipVideo, clipAudio}, publishFFmpeg},
	{"GStreamer rtmp2sink", []clip{clipAAC, clipMP3}, func(t testing.TB, s *server, c clip, name string) (*process, string) {
		return publishGStreamer(t, c, "rtmp2sink", "location="+s.rtmpURL(name))
	}},
	{"GStreamer rtmpsink", []clip{clipAAC}, func(t testing.TB, s *server, c clip, name string) (*process, string) {
		return publishGStreamer(t, c, "rtmpsink", "location="+s.rtmpURL(name)+" live=1")
	}},
}

// publishFFmpeg publishes a clip at its own pace.
func publishFFmpeg(t testing.TB, s *server, c clip, name string) (*process, string) {
	t.Helper()
	file := c.make(t)
	return start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-c", "copy", "-f", "flv", s.rtmpURL(name)), file
}

// publishGStreamer encodes something like the clip with GStreamer's own encoders, publishes it and writes it to a file too.
func publishGStreamer(t testing.TB, c clip, sink ...string) (*process, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.flv")
	frames, sound := "bframes=2", []string{"voaacenc", "!", "aacparse"}
	if c == clipMP3 {
		frames, sound = "bframes=0", []string{"lamemp3enc", "!", "mpegaudioparse"}
	}
	args := []string{
		"-q", "flvmux", "name=m", "streamable=true", "!", "tee", "name=t", "!", "queue", "!", "filesink",
		"location=" + file, "t.", "!", "queue", "!",
	}
	args = append(append(args, sink...),
		"videotestsrc", "is-live=true", fmt.Sprint("num-buffers=", 25*seconds), "!",
		"video/x-raw,format=I420,width=192,height=108,framerate=25/1", "!",
		"x264enc", frames, "key-int-max=25", "bitrate=200", "speed-preset=veryfast", "threads=1", "!", "h264parse", "!", "queue", "!", "m.video",
		"audiotestsrc", "is-live=true", fmt.Sprint("num-buffers=", 43*seconds), "!", "audio/x-raw,rate=44100,channels=1", "!")
	args = append(append(args, sound...), "!", "queue", "!", "m.audio")
	return start(t, "gst-launch-1.0", args...), file
}

// countFrames counts the frames of a kind in what ffmpeg's framecrc writes.
func countFrames(text, kind string) int {
	stream, n := "-", 0
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#media_type "); ok {
			if number, k, _ := strings.Cut(strings.TrimSpace(rest), ": "); k == kind {
				stream = number + ","
			}
		} else if strings.HasPrefix(line, stream) {
			n++
		}
	}
	return n
}

// TestClients has every encoder publish each of its formats, and every player play it from its first unit to its end: nothing
// is missing, nothing is added, nothing cannot be decoded.
func TestClients(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m")
	for i, e := range encoders {
		for j, c := range e.clips {
			t.Run(e.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.make(t)
				name := fmt.Sprintf("table-%d-%d", i, j)
				judges := make([]func(testing.TB, *recording), len(players))
				for k, p := range players {
					judges[k] = p.play(t, s, name)
				}
				s.awaitWaiting(t, name, len(players))
				p, file := e.publish(t, s, c, name)
				p.succeed(t, playLimit)
				source := probe(t, file)
				delete(source.samples, "subtitle") // what ffprobe takes the metadata for that flvmux writes again and again
				for k, p := range players {
					t.Run(p.name+" "+p.over, func(t *testing.T) { judges[k](t, source) })
				}
			})
		}
	}
}

// TestTable holds README.md to what TestClients and TestCodecs run.
func TestTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{publishTable(), playTable(), codecTable(), webTableText()} {
		if !strings.Contains(string(text), table) {
			t.Errorf("README.md does not have this table; put it there:\n%s", table)
		}
	}
}

// allClips are the formats of the tables.
func allClips() []clip { return []clip{clipAAC, clipMP3, clipVideo, clipAudio} }

func publishTable() string {
	b := &strings.Builder{}
	b.WriteString("| encoder |")
	for _, c := range allClips() {
		fmt.Fprintf(b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(allClips())) + "\n")
	for _, e := range encoders {
		fmt.Fprintf(b, "| %s |", e.name)
		for _, c := range allClips() {
			mark := " "
			for _, has := range e.clips {
				if has == c {
					mark = " x "
				}
			}
			fmt.Fprintf(b, "%s|", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func playTable() string {
	b := &strings.Builder{}
	b.WriteString("| player | RTMP | HTTP-FLV | WS-FLV |\n|---|---|---|---|\n")
	var names []string
	for _, p := range players {
		if len(names) == 0 || names[len(names)-1] != p.name {
			names = append(names, p.name)
		}
	}
	for _, name := range names {
		fmt.Fprintf(b, "| %s |", name)
		for _, over := range []string{"RTMP", "HTTP-FLV", "WS-FLV"} {
			mark := " "
			for _, p := range players {
				if p.name == name && p.over == over {
					mark = " x "
				}
			}
			fmt.Fprintf(b, "%s|", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}
