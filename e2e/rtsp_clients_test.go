package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	clipH265Opus = clip{
		"H.265 with B-frames, Opus", "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=25:pools=1 " +
			"-pix_fmt yuv420p -b:v 150k -c:a libopus -ar 48000 -b:a 48k", "h265-opus.mp4",
	}
	clipG711 = clip{"H.264, G.711", x264 + "-bf 0 -c:a pcm_alaw -ar 8000", "g711.mov"}
)

// rtspRow is a publisher, how its media go, what it publishes, and who plays that.
type rtspRow struct {
	client  string
	over    transport
	clips   []clip
	players []rtspPlayer
	publish func(t testing.TB, s *server, over transport, c clip, name string) (p *process, file string)
	end     func(t testing.TB, p *process) // waits until it has published
}

// rtspPlayer is a client that plays, and how to judge what it made of it.
type rtspPlayer struct {
	client string
	over   transport
	play   func(t testing.TB, s *server, over transport, c clip, name string) func(t testing.TB, file string)
}

// rtspTable is what is tried: every codec with every player and transport once, and every publisher and transport. VLC of Debian has no
// client of RTSP: it is built without live555.
var rtspTable = []rtspRow{
	{"ffmpeg", overTCP, []clip{clipAAC, clipH265Opus, clipG711}, []rtspPlayer{
		{"ffprobe", overTCP, probeRTSP},
		{"ffprobe", overUDP, probeRTSP},
		{"ffmpeg", overTCP, decodeRTSP},
		{"ffmpeg", overUDP, decodeRTSP},
		{"ffmpeg", overHTTP, decodeRTSP},
		{"GStreamer", overTCP, pullRTSP},
		{"GStreamer", overUDP, pullRTSP},
		{"GStreamer", overHTTP, pullRTSP},
	}, pushRTSP, pushed},
	{"ffmpeg", overTCP, []clip{clipVideo, clipAudio}, []rtspPlayer{
		{"ffprobe", overTCP, probeRTSP},
		{"ffmpeg", overUDP, decodeRTSP},
		{"GStreamer", overTCP, pullRTSP},
	}, pushRTSP, pushed},
	{"ffmpeg", overUDP, []clip{clipAAC, clipH265Opus}, []rtspPlayer{
		{"ffprobe", overTCP, probeRTSP},
		{"ffmpeg", overUDP, decodeRTSP},
	}, pushRTSP, pushed},
	{"GStreamer rtspclientsink", overTCP, []clip{clipAAC}, []rtspPlayer{
		{"ffmpeg", overTCP, decodeRTSP},
		{"GStreamer", overTCP, pullRTSP},
	}, sinkRTSP, sunk},
	{"GStreamer rtspclientsink", overUDP, []clip{clipAAC}, []rtspPlayer{{"ffmpeg", overTCP, decodeRTSP}}, sinkRTSP, sunk},
}

// TestRTSPClients has other makers' clients publish and play by RTSP, in all the ways of the table: nothing is missing but what cannot
// be helped (see lossAt), nothing cannot be decoded, no client complains.
func TestRTSPClients(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m", "publish.resume_window=1s")
	for i, row := range rtspTable {
		for j, c := range row.clips {
			t.Run(fmt.Sprintf("%s %s/%s", row.client, row.over, c.name), func(t *testing.T) {
				t.Parallel()
				c.make(t)
				name := fmt.Sprintf("rtsp-%d-%d", i, j)
				judges := make([]func(testing.TB, string), len(row.players))
				for k, p := range row.players {
					judges[k] = p.play(t, s, p.over, c, name)
				}
				s.awaitWaiting(t, name, len(row.players))
				p, file := row.publish(t, s, row.over, c, name)
				row.end(t, p)
				for k, p := range row.players {
					t.Run(p.client+" "+string(p.over), func(t *testing.T) { judges[k](t, file) })
				}
			})
		}
	}
}

// lossAt is how many units of a kind a player may lack at the end of a stream. By UDP the goodbye comes to another port than the media, and
// clients that read it first do not wait for what it has overtaken: of sound, all that has waited for a picture that did not come any more.
// Of sound, ffmpeg's muxer of RTP keeps some, which it has not put into a packet yet, for itself; and by UDP its TEARDOWN is quicker than
// the last of it.
func (over transport) lossAt(kind string) int {
	switch {
	case kind == "audio":
		return 10
	case over == overUDP:
		return 2
	}
	return 0
}

// flag is the transport as ffmpeg calls it.
func (over transport) flag() []string {
	return []string{"-rtsp_transport", strings.ToLower(string(over))}
}

// pushRTSP has ffmpeg publish a clip at its own pace.
func pushRTSP(t testing.TB, s *server, over transport, c clip, name string) (*process, string) {
	t.Helper()
	file := c.make(t)
	args := append([]string{"-v", "error", "-nostdin", "-re", "-i", file, "-c", "copy", "-f", "rtsp"}, over.flag()...)
	return start(t, "ffmpeg", append(args, s.rtspURL(name))...), file
}

func pushed(t testing.TB, p *process) {
	t.Helper()
	p.succeed(t, playLimit)
	heard(t, p)
}

// sunk waits for rtspclientsink, which ends as it likes (GStreamer 1.22): with TEARDOWN, without a word, with an error, or not at all.
// What has come of it the players tell.
func sunk(t testing.TB, p *process) {
	t.Helper()
	if !eventually((seconds+3)*time.Second, p.ended) {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	t.Logf("rtspclientsink: %v %.500s", p.err, p.errors.String())
}

// sinkRTSP has GStreamer encode something like the clip, publish it and write it to a file too, at once: it may have to be killed.
func sinkRTSP(t testing.TB, s *server, over transport, _ clip, name string) (*process, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.flv")
	line := "-q flvmux name=m streamable=true ! filesink buffer-mode=unbuffered location=" + file +
		" rtspclientsink name=r location=" + s.rtspURL(name) + " protocols=" + strings.ToLower(string(over)) +
		" videotestsrc is-live=true num-buffers=" + fmt.Sprint(25*seconds) +
		" ! video/x-raw,format=I420,width=192,height=108,framerate=25/1" +
		" ! x264enc bframes=2 key-int-max=25 bitrate=200 speed-preset=veryfast threads=1 ! h264parse ! tee name=v" +
		" v. ! queue ! m.video v. ! queue ! r." +
		" audiotestsrc is-live=true num-buffers=" + fmt.Sprint(43*seconds) +
		" ! audio/x-raw,rate=44100,channels=1 ! voaacenc ! aacparse ! tee name=a a. ! queue ! m.audio a. ! queue ! r."
	return start(t, "gst-launch-1.0", strings.Fields(line)...), file
}

// probeRTSP has ffprobe, which looks at a stream as ffplay does, list all packets.
func probeRTSP(t testing.TB, s *server, over transport, _ clip, name string) func(testing.TB, string) {
	t.Helper()
	p := start(t, "ffprobe", append(over.flag(), probeArgs(s.rtspURL(name))...)...)
	return func(t testing.TB, file string) {
		t.Helper()
		p.succeed(t, playLimit)
		heard(t, p)
		got, want := parseProbe(t, withTimes(p.out.String())), probe(t, file)
		for kind := range want.samples {
			sameSamples(t, kind, over, got, want)
		}
		if len(got.samples) != len(want.samples) {
			t.Errorf("%d tracks, the source has %d", len(got.samples), len(want.samples))
		}
	}
}

// sameSamples compares a track. The bytes of pictures are in another form than in a file; decodeRTSP compares what they show. ffmpeg
// does not know the time of the first picture of any RTSP stream, and guesses decoding times.
func sameSamples(t testing.TB, kind string, over transport, got, want *recording) {
	t.Helper()
	if a, b := codecName(got.codec[kind]), codecName(want.codec[kind]); a != b {
		t.Errorf("%s: codec %s, the source has %s", kind, a, b)
	}
	came, sent := got.samples[kind], want.samples[kind]
	if len(came) == 0 {
		t.Errorf("%s: nothing", kind)
		return
	}
	if kind == "audio" {
		head := max(0, slices.IndexFunc(sent, func(s sample) bool { return s.md5 == came[0].md5 }))
		sent = sent[min(head, joinLoss):]
	}
	if missing := len(sent) - len(came); missing < 0 || missing > over.lossAt(kind) {
		t.Errorf("%s: %d units, the source has %d", kind, len(came), len(sent))
		return
	}
	const known = 4 // the first pictures may have no time
	for i, c := range came {
		w := sent[i]
		if c.key != w.key || kind == "audio" && c.md5 != w.md5 {
			t.Errorf("%s: unit %d is another", kind, i)
			return
		}
		if i < known {
			continue
		}
		if a, b := c.pts-came[known].pts, w.pts-sent[known].pts; a-b < -2 || a-b > 2 {
			t.Errorf("%s: unit %d is %d ms after the first, in the source %d", kind, i, a, b)
			return
		}
	}
}
