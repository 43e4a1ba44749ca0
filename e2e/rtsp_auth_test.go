package e2e

import (
	"crypto/md5"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/sim"
)

// TestRTSPPasswords has ffmpeg and GStreamer prove who they are by Digest and by Basic, and be refused: 401, and they end.
func TestRTSPPasswords(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"digest", "basic"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "rtsp.users.camera=secret", "rtsp.auth=["+scheme+"]")
			with := func(user, password string) string {
				return "rtsp://" + user + ":" + password + "@" + s.rtsp + "/live/" + scheme
			}
			start(t, "ffmpeg", append([]string{
				"-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipAAC.make(t), "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp",
			}, with("camera", "secret"))...)
			within(t, 15*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, scheme); return st.Ready })

			for _, over := range []transport{overTCP, overUDP, overHTTP} {
				p := start(t, "ffmpeg", append(over.flag(), "-v", "error", "-nostdin", "-i", with("camera", "secret"), "-t", "1", "-f", "framecrc", "-")...)
				p.succeed(t, playLimit)
				heard(t, p)
				if n := len(frameSums(p.out.String(), "video")); n < 15 {
					t.Errorf("over %s: %d pictures in a second", over, n)
				}
			}
			pull := start(t, "gst-launch-1.0", strings.Fields("-q rtspsrc location="+with("camera", "secret")+
				" protocols=tcp ! rtph264depay ! h264parse ! identity eos-after=20 ! fakesink")...)
			pull.succeed(t, playLimit)

			for _, url := range []string{with("camera", "mistaken"), with("nobody", "secret"), s.rtspURL(scheme)} {
				refused(t, start(t, "ffprobe", append(overTCP.flag(), "-v", "error", url)...))
				refused(t, start(t, "ffmpeg", append([]string{
					"-v", "error", "-nostdin", "-re", "-i", clipAAC.make(t), "-c", "copy", "-f", "rtsp",
				}, strings.Replace(url, "/live/", "/live/other-", 1))...))
			}
			if _, taken := s.stream(t, "other-"+scheme); taken {
				t.Error("somebody without a password has published")
			}
			for _, line := range []string{"secret", "mistaken"} {
				if strings.Contains(s.errors.String(), line) {
					t.Errorf("the log tells the password %q", line)
				}
			}
		})
	}
}

// TestRTSPHooks has players by RTSP be asked for a password that a platform knows, in clear and hashed; it is not asked about them otherwise.
func TestRTSPHooks(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := serve(t, "hooks.on_rtsp_realm="+p.URL+"/on_rtsp_realm", "hooks.on_rtsp_auth="+p.URL+"/on_rtsp_auth", "hooks.on_play="+p.URL+"/on_play")
	p.says("on_play", `{"code":401,"msg":"not so"}`)
	p.says("on_rtsp_realm", `{"code":0,"realm":"cams"}`)
	publishFFmpeg(t, s, clipAAC, "asked")
	within(t, 15*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, "asked"); return st.Ready })
	with := func(user, password string) string {
		return "rtsp://" + user + ":" + password + "@" + s.rtsp + "/live/asked"
	}
	hash := md5.Sum([]byte("viewer:cams:word"))
	for _, answer := range []string{`{"code":0,"encrypted":false,"passwd":"word"}`, `{"code":0,"encrypted":true,"passwd":"` + hex.EncodeToString(hash[:]) + `"}`} {
		p.says("on_rtsp_auth", answer)
		start(t, "ffprobe", append(overTCP.flag(), "-v", "error", with("viewer", "word"))...).succeed(t, playLimit)
		refused(t, start(t, "ffprobe", append(overTCP.flag(), "-v", "error", with("viewer", "other"))...))
	}
	p.await(t, time.Second, "on_rtsp_auth", map[string]any{"user_name": "viewer", "realm": "cams", "must_no_encrypt": false})
	if asked := p.of("on_play", nil); len(asked) > 0 {
		t.Errorf("on_play was asked about one whose password is known: %v", asked)
	}
	var tried int
	for ; tried < 10; tried++ { // who goes on guessing is not listened to, and the platform is not asked
		asked := len(p.of("on_rtsp_auth", nil))
		guess := start(t, "ffprobe", append(overTCP.flag(), "-v", "error", with("viewer", "other"))...)
		if guess.wait(t, playLimit); strings.Contains(guess.errors.String(), "403 Forbidden") {
			if now := len(p.of("on_rtsp_auth", nil)); now != asked {
				t.Errorf("on_rtsp_auth was asked %d times about one who is not listened to", now-asked)
			}
			break
		}
	}
	if tried < 2 || tried == 10 {
		t.Errorf("%d wrong passwords were looked at", tried)
	}
	p.says("on_rtsp_realm", `{"code":0,"realm":""}`) // then on_play decides
	if code := start(t, "ffprobe", append(overTCP.flag(), "-v", "error", s.rtspURL("asked"))...).wait(t, playLimit); code == 0 || len(p.of("on_play", nil)) == 0 {
		t.Errorf("exit code %d, on_play was asked %d times", code, len(p.of("on_play", nil)))
	}
}

var unauthorized = regexp.MustCompile(`401 Unauthorized`)

// refused waits for a client that has not the right password.
func refused(t testing.TB, p *process) {
	t.Helper()
	if code := p.wait(t, 10*time.Second); code == 0 || !unauthorized.MatchString(p.errors.String()) {
		t.Errorf("%v: exit code %d\n%s", p.cmd.Args, code, p.errors.tail(5))
	}
}

// TestRTSPS has ffmpeg publish over TLS, and ffmpeg, GStreamer and our own viewer play: over TLS, and in the clear.
func TestRTSPS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, "play.wait=1m")
	const name = "secure"
	url := "rtsps://" + s.rtsps + "/live/" + name
	ff := start(t, "ffmpeg", decodeArgs(url)...)
	plain := start(t, "ffmpeg", decodeArgs(s.rtspURL(name), overTCP.flag()...)...)
	dir := t.TempDir()
	line := "-q rtspsrc location=" + url + " tls-validation-flags=0 latency=200 name=s s. ! " +
		strings.Join(gstBranches(clipAAC), " s. ! ")
	gst := start(t, "gst-launch-1.0", strings.Fields(strings.ReplaceAll(line, "RAW", dir+"/video.raw"))...)
	own := view(t, s.rtmpURL(name))
	s.awaitWaiting(t, name, 4)
	p := start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", clipAAC.make(t), "-c", "copy", "-f", "rtsp", url)
	pushed(t, p)
	want := frameSums(run(t, "ffmpeg", decodeArgs(clipAAC.make(t))...), "video")
	for _, p := range []*process{ff, plain} {
		p.succeed(t, playLimit)
		heard(t, p)
		if got := frameSums(p.out.String(), "video"); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%v: %d pictures, the source has %d, or others", p.cmd.Args, len(got), len(want))
		}
	}
	pulled(t, gst)
	raw := dir + "/want.raw"
	run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", clipAAC.make(t), "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", raw)
	samePictures(t, dir+"/video.raw", raw, 0)
	if n := len(own.wait(t, 10*time.Second)); n < len(want) {
		t.Errorf("RTMP: %d units", n)
	}
}

// TestRTSPPause has a publisher pause and go on, and a peer pause that plays nothing: GStreamer does both at its end, and takes a refusal
// for an error.
func TestRTSPPause(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c, err := dialRTSP(t.Context(), s.rtspURL("pause"), overTCP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Request("PAUSE", "", nil, nil); err != nil {
		t.Errorf("a peer that plays nothing pauses: %v", err)
	}
	e := sim.New(both(0))
	if err := c.Publish(t.Context(), e.Tracks()); err != nil {
		t.Fatal(err)
	}
	for _, method := range []base.Method{base.Pause, base.Record} {
		for _, u := range e.Take(20) {
			if err := c.WriteUnit(u); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Request(method, "", nil, nil); err != nil {
			t.Errorf("a publisher asks for %s: %v", method, err)
		}
	}
	if st, _ := s.stream(t, "pause"); !st.Ready || st.Publisher == nil {
		t.Error("it is not published any more")
	}
	if err := c.Teardown(); err != nil {
		t.Error(err)
	}
}
