package e2e

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// decodeRTSP has ffmpeg decode everything, without an error, and compares every picture with those of the source.
func decodeRTSP(t testing.TB, s *server, over transport, _ clip, name string) func(testing.TB, string) {
	t.Helper()
	p := start(t, "ffmpeg", decodeArgs(s.rtspURL(name), over.flag()...)...)
	return func(t testing.TB, file string) {
		t.Helper()
		p.succeed(t, playLimit)
		heard(t, p)
		want := run(t, "ffmpeg", decodeArgs(file)...)
		for _, kind := range []string{"video", "audio"} {
			came, sent := frameSums(p.out.String(), kind), frameSums(want, kind)
			loss := over.lossAt(kind)
			if kind == "audio" {
				loss += joinLoss
			}
			if missing := len(sent) - len(came); missing < 0 || missing > loss {
				t.Errorf("%s: %d frames, the source has %d", kind, len(came), len(sent))
			} else if kind == "video" && !slices.Equal(came, sent[:len(came)]) {
				t.Errorf("%s: other pictures than the source's", kind)
			}
		}
	}
}

// tried is what ffmpeg says of a port that it has tried and somebody else has; it takes the next.
var tried = regexp.MustCompile(`(?m)^\[udp @ \w+\] bind failed: Address already in use\n`)

// heard fails if ffmpeg has complained of anything else.
func heard(t testing.TB, p *process) {
	t.Helper()
	if said := tried.ReplaceAllString(p.errors.String(), ""); said != "" {
		t.Errorf("%s complains:\n%.2000s", p.name, said)
	}
}

func decodeArgs(url string, options ...string) []string {
	args := append([]string{"-v", "error", "-nostdin"}, options...)
	return append(args, "-i", url, "-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")
}

// frameSums are the checksums of the frames of a kind in what ffmpeg's framecrc writes.
func frameSums(text, kind string) []string {
	stream, sums := "-", []string(nil)
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#media_type "); ok {
			if number, k, _ := strings.Cut(strings.TrimSpace(rest), ": "); k == kind {
				stream = number + ","
			}
		} else if strings.HasPrefix(line, stream) {
			fields := strings.Split(strings.TrimSpace(line), ",")
			sums = append(sums, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return sums
}

// withTimes puts 0 where ffprobe's JSON leaves out a time that it does not know: parseProbe wants one.
func withTimes(text string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(text, "{") {
		for _, key := range []string{"pts_time", "dts_time"} {
			if strings.Contains(part, `"flags"`) && !strings.Contains(part, `"`+key+`"`) {
				b.WriteString(`"` + key + `": "0",`)
			}
		}
		b.WriteString(part)
	}
	return b.String()
}

// pullRTSP has GStreamer play, decode, and write the pictures, which are compared with the source's. It needs a branch for each
// track, with the depayloader for its codec.
func pullRTSP(t testing.TB, s *server, over transport, c clip, name string) func(testing.TB, string) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "video.raw")
	url, protocol := s.rtspURL(name), strings.ToLower(string(over))
	if over == overHTTP {
		url, protocol = strings.Replace(url, "rtsp:", "rtsph:", 1), "tcp"
	}
	line := fmt.Sprintf("-q rtspsrc location=%s protocols=%s latency=200 name=s", url, protocol)
	for _, branch := range gstBranches(c) {
		line += " s. ! " + branch
	}
	p := start(t, "gst-launch-1.0", strings.Fields(strings.ReplaceAll(line, "RAW", raw))...)
	return func(t testing.TB, file string) {
		t.Helper()
		pulled(t, p)
		if c == clipAudio {
			return
		}
		want := filepath.Join(t.TempDir(), "want.raw")
		run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", want)
		samePictures(t, raw, want, over.lossAt("video"))
	}
}

// hungUp is what GStreamer takes for an error when its pipeline has come to its end: a PAUSE that it asks for then meets a connection that
// the server has closed by that time, the stream being over, or another one that GStreamer has opened in its place.
var hungUp = regexp.MustCompile(`(?m)^ERROR: from element .*GstRTSPSrc:s: (Could not (read from|write to) resource\.|Unhandled error)\n` +
	`Additional debug info:\n.*gst_rtspsrc_(try_send|send|pause|close) .*\n` +
	`(Could not (send|receive) message\. \((Received end-of-file|Generic error)\)|Session Not Found \(454\))\n`)

// pulled fails unless GStreamer has come to the end without another complaint than that.
func pulled(t testing.TB, p *process) {
	t.Helper()
	code, said := p.wait(t, playLimit), p.errors.String()
	if rest := hungUp.ReplaceAllString(said, ""); rest != "" || code != 0 && said == "" {
		t.Errorf("GStreamer complains (exit code %d):\n%.2000s", code, rest)
	}
}

// gstBranches decode the tracks of a clip.
func gstBranches(c clip) []string {
	const (
		h264 = "rtph264depay ! h264parse ! avdec_h264 ! filesink location=RAW"
		h265 = "rtph265depay ! h265parse ! avdec_h265 ! filesink location=RAW"
		aac  = "rtpmp4gdepay ! aacparse ! decodebin ! audioconvert ! fakesink"
		opus = "rtpopusdepay ! opusdec ! fakesink"
		alaw = "rtppcmadepay ! alawdec ! fakesink"
	)
	return map[clip][]string{
		clipAAC: {h264, aac}, clipH265Opus: {h265, opus}, clipG711: {h264, alaw}, clipVideo: {h264}, clipAudio: {aac},
	}[c]
}

// samePictures compares two files of raw pictures, of which the first may lack some at its end.
func samePictures(t testing.TB, got, want string, missing int) {
	t.Helper()
	const picture = 192 * 108 * 3 / 2
	came, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if lost := (len(sent) - len(came)) / picture; lost < 0 || lost > missing || len(came)%picture != 0 {
		t.Errorf("%d pictures decoded, the source has %d", len(came)/picture, len(sent)/picture)
	} else if md5.Sum(came) != md5.Sum(sent[:len(came)]) {
		t.Error("other pictures than the source's")
	}
}
