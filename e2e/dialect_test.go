package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// TestZLMediaKitFile serves with a configuration of ZLMediaKit's as it is, and with ours that was made of it: with its ports, secret and name.
func TestZLMediaKitFile(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 3)
	number := func(i int) string {
		_, port, _ := net.SplitHostPort(ports[i])
		return port
	}
	ini := filepath.Join(t.TempDir(), "config.ini")
	text := "; a comment\n[api]\nsecret=0123456789abcdef0123456789abcdef\n[general]\nmediaServerId=polaris\nlisten_ip=127.0.0.1\n[http]\nport=" + number(0) +
		"\nsslport=0\n[rtmp]\nport=" + number(1) + "\nsslport=0\n[rtsp]\nport=" + number(2) + "\nsslport=0\n" +
		"[protocol]\ncontinue_push_ms=3000\nenable_mp4=1\nenable_rtsp=0\nenable_audio=0\n[hls]\nsegDur=3\n[unheard]\nof=1\n"
	if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	checked := launch(t, command(t, "check", "-c", ini))
	checked.succeed(t, 20*time.Second)
	if out := checked.out.String(); !strings.Contains(out, "unheard.of") || !strings.Contains(out, "protocol.enable_mp4: no effect") || !strings.Contains(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	yaml := filepath.Join(t.TempDir(), "vigil.yaml")
	launch(t, command(t, "convert", ini, "-o", yaml)).succeed(t, 20*time.Second)
	if launch(t, command(t, "convert", ini, "-o", yaml)).wait(t, 20*time.Second) == 0 {
		t.Error("convert writes over a file")
	}
	for _, file := range []string{ini, yaml} {
		t.Run(filepath.Ext(file), func(t *testing.T) {
			s := &server{data: t.TempDir()}
			s.process = launch(t, command(t, "--no-supervisor", "-c", file, "--set", "data="+s.data))
			s.http, s.rtmp, s.rtsp, s.secret = ports[0], ports[1], ports[2], "0123456789abcdef0123456789abcdef"
			s.awaitReady(t)
			config := (&platform{t: t}).config(t, s)
			for key, want := range map[string]string{
				"general.mediaServerId": "polaris", "protocol.continue_push_ms": "3000", "http.port": number(0), "rtmp.port": number(1),
				"rtsp.port": number(2), "protocol.enable_mp4": "1", "protocol.enable_rtsp": "0", "protocol.enable_audio": "0", "protocol.enable_ts": "1", "hls.segDur": "3", "api.secret": s.secret, "rtmp.sslport": "0",
			} {
				if config[key] != want {
					t.Errorf("%s is %q, want %q", key, config[key], want)
				}
			}
			units := unitsOf(t, clipAAC)
			publish(t, s, "cam", flv.Enhanced, trackOf(av.Video, units), nil).send(0, units...)
			s.stop(t)
		})
	}
}

// TestSignedURL: who has a signed URL plays, who has none does not, and neither does one whose time is over.
func TestSignedURL(t *testing.T) {
	t.Parallel()
	rules := []string{"auth.sign_key=0123456789abcdef", `auth.rules=[{action: play, signed: true}]`}
	s := serve(t, rules...)
	units := unitsOf(t, clipAAC)
	cam := publish(t, s, "cam", flv.Enhanced, trackOf(av.Video, units), nil)
	cam.send(0, units...)
	sign := func(args ...string) string {
		args = append([]string{"sign", "play", "live/cam"}, args...)
		for _, kv := range rules {
			args = append(args, "--set", kv)
		}
		p := launch(t, command(t, args...))
		p.succeed(t, 20*time.Second)
		return strings.TrimSpace(p.out.String())
	}
	for query, want := range map[string]int{
		sign(): http.StatusOK, sign("--for=-1m"): http.StatusForbidden, "": http.StatusForbidden, strings.Replace(sign(), "expires=", "expires=1", 1): http.StatusForbidden,
	} {
		res, err := web.Get(s.flvURL("cam") + "?" + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		refused := res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden
		if want == http.StatusOK && res.StatusCode != want || want != http.StatusOK && !refused {
			t.Errorf("?%s: %d, want %d", query, res.StatusCode, want)
		}
	}
}
