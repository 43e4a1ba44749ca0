package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
)

// TestResumeAcrossProtocols kills an encoder and has another go on with its stream over another protocol, both ways: viewers of all
// protocols play on, on the connections that they have.
func TestResumeAcrossProtocols(t *testing.T) {
	t.Parallel()
	s := serve(t, "publish.resume_window="+resumeWindow.String())
	rtmp := []string{"-f", "flv"}
	tcp, udp := []string{"-f", "rtsp", "-rtsp_transport", "tcp"}, []string{"-f", "rtsp", "-rtsp_transport", "udp"}
	for _, c := range []struct {
		name          string
		first, second []string // how ffmpeg publishes
		to            [2]func(string) string
		with          clip // what the second publishes
	}{
		{"RTMP, then RTSP by TCP", rtmp, tcp, [2]func(string) string{s.rtmpURL, s.rtspURL}, clipAAC},
		{"RTMP, then RTSP by UDP, larger", rtmp, udp, [2]func(string) string{s.rtmpURL, s.rtspURL}, clipLarge},
		{"RTSP by TCP, then RTMP", tcp, rtmp, [2]func(string) string{s.rtspURL, s.rtmpURL}, clipLarge},
		{"RTSP by UDP, then RTMP", udp, rtmp, [2]func(string) string{s.rtspURL, s.rtmpURL}, clipAAC},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := "across-" + idOf(strings.ToLower(c.name))
			push := func(input []string, file string, how []string, url string) *process {
				args := append([]string{"-v", "error", "-nostdin", "-re"}, input...)
				return start(t, "ffmpeg", append(append(append(args, "-i", file, "-c", "copy"), how...), url)...)
			}
			file := c.with.make(t)
			first := push([]string{"-stream_loop", "-1"}, clipAAC.make(t), c.first, c.to[0](name))
			within(t, 15*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, name); return st.Ready })
			views := map[string]*viewing{
				"RTMP": view(t, s.rtmpURL(name)), "HTTP-FLV": view(t, s.flvURL(name)),
				"RTSP by TCP": viewRTSP(t, s.rtspURL(name), overTCP), "RTSP by UDP": viewRTSP(t, s.rtspURL(name), overUDP),
			}
			decoders := []*process{
				decoding(t, s.rtmpURL(name)),
				start(t, "ffmpeg", decodeArgs(s.rtspURL(name), overTCP.flag()...)...),
			}
			s.awaitPlaying(t, name, len(views)+len(decoders))
			hold(1500 * time.Millisecond) // ffmpeg has looked at it and decodes
			if err := first.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			<-first.done
			again := killCase{name: c.name, after: 500 * time.Millisecond, with: c.with}
			hold(again.after)
			push(nil, file, c.second, c.to[1](name)).succeed(t, playLimit)
			sent := len(probe(t, file).samples["video"])
			for over, v := range views {
				units := v.wait(t, 10*time.Second)
				t.Run(over, func(t *testing.T) { judgeKilled(t, again, units, killed, sent) })
			}
			for _, p := range decoders {
				p.succeed(t, playLimit)
				heard(t, p)
				if n := countFrames(p.out.String(), "video"); n < sent+25 {
					t.Errorf("%v: %d pictures decoded, the second publisher sent %d", p.cmd.Args, n, sent)
				}
			}
		})
	}
}

// TestVanishAcrossProtocols has an encoder vanish without FIN or RST, and another insist on its key over another protocol: it is let in
// within 3 s, and all viewers see it on the connections that they have.
func TestVanishAcrossProtocols(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	for _, c := range [][2]faults.Way{{faults.RTMP, faults.RTSP}, {faults.RTSP, faults.RTMP}} {
		t.Run(string(c[0])+", then "+string(c[1]), func(t *testing.T) {
			t.Parallel()
			to := s.target("vanish-across-" + strings.ToLower(string(c[0])))
			old, stop := publishSim(t, to, c[0], both(0))
			watchers := audience(t, to, len(ways))
			hold(time.Second)
			stop()
			if err := old.Vanish(); err != nil {
				t.Fatal(err)
			}
			hold(500 * time.Millisecond)
			second, took, _, err := faults.Insist(t.Context(), to, c[1], both(1), 500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if took > acceptMost {
				t.Errorf("let in after %v, want %v", took, acceptMost)
			}
			stop = encode(t, second)
			awaitOrigin(t, watchers, 1, acceptMost)
			hold(500 * time.Millisecond)
			judgeSplice(t, watchers, 1)
			stop()
			if err := second.Unpublish(); err != nil {
				t.Error(err)
			}
		})
	}
}
