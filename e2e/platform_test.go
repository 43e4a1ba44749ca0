package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// platform is a business platform such as wvp-GB28181-pro, as far as a media server sees it: it calls ZLMediaKit's API, and takes its hooks at
// /index/hook/NAME.
type platform struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	heard   []saying
	answers map[string]string // by hook; what is not there is {"code":0}
	deaf    bool              // it does not answer
}

// saying is a hook that has come.
type saying struct {
	hook string
	at   time.Time
	body map[string]any
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{t: t, answers: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *platform) serve(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	said := saying{hook: path.Base(r.URL.Path), at: time.Now()}
	if err := json.Unmarshal(text, &said.body); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		p.t.Errorf("hook %s: %v: %s", said.hook, err, text)
	}
	p.mu.Lock()
	p.heard = append(p.heard, said)
	answer, deaf := p.answers[said.hook], p.deaf
	p.mu.Unlock()
	if deaf {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if answer == "" {
		answer = `{"code":0,"msg":"success"}`
	}
	_, _ = io.WriteString(w, answer)
}

// says sets what a hook is answered.
func (p *platform) says(hook, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[hook] = answer
}

func (p *platform) hears(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = !deaf
}

// of returns what has been heard of a hook for which all of want holds.
func (p *platform) of(hook string, want map[string]any) (all []saying) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.heard {
		if s.hook == hook && holds(s.body, want) {
			all = append(all, s)
		}
	}
	return all
}

func holds(body, want map[string]any) bool {
	for key, value := range want {
		if body[key] != value {
			return false
		}
	}
	return true
}

// await waits until a hook has come for which all of want holds, and returns the newest.
func (p *platform) await(t testing.TB, limit time.Duration, hook string, want map[string]any) saying {
	t.Helper()
	var all []saying
	within(t, limit, hook, func() bool {
		all = p.of(hook, want)
		return len(all) > 0
	})
	return all[len(all)-1]
}

// call calls the API as wvp does: by a form, with the secret in it.
func (p *platform) call(t testing.TB, s *server, name string, args ...string) map[string]any {
	t.Helper()
	form := url.Values{"secret": {s.secret}}
	for i := 0; i < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	res, err := web.PostForm("http://"+s.http+"/index/api/"+name, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", name, res.StatusCode, err)
	}
	if _, ok := body["code"].(float64); !ok {
		t.Fatalf("%s has no code: %v", name, body)
	}
	return body
}

// good is call, of which success is expected.
func (p *platform) good(t testing.TB, s *server, name string, args ...string) map[string]any {
	t.Helper()
	body := p.call(t, s, name, args...)
	if body["code"] != 0.0 {
		t.Fatalf("%s %v: %v", name, args, body)
	}
	return body
}

// takeOn does what wvp does when it finds a server: it reads the configuration, and writes its own.
func (p *platform) takeOn(t testing.TB, s *server) (serverID string) {
	t.Helper()
	config := p.config(t, s)
	for key := range strings.FieldsSeq("http.port http.sslport rtmp.port rtmp.sslport rtsp.port rtsp.sslport rtp_proxy.port general.streamNoneReaderDelayMS") {
		if _, err := strconv.Atoi(config[key]); err != nil {
			t.Errorf("%s is %q", key, config[key])
		}
	}
	if _, err := strconv.ParseFloat(config["hook.alive_interval"], 32); err != nil {
		t.Errorf("hook.alive_interval is %q", config["hook.alive_interval"])
	}
	args := []string{
		"hook.enable", "1", "hook.timeoutSec", "5", "protocol.continue_push_ms", "3000", "protocol.downloadRoot", "/tmp", "hook.alive_interval", "1",
		"general.streamNoneReaderDelayMS", "1000",
	}
	for hook := range strings.FieldsSeq("on_play on_publish on_record_mp4 on_server_started on_stream_changed on_stream_none_reader " +
		"on_stream_not_found on_server_keepalive on_send_rtp_stopped on_rtp_server_timeout") {
		args = append(args, "hook."+hook, p.URL+"/index/hook/"+hook)
	}
	for hook := range strings.FieldsSeq("on_flow_report on_http_access on_record_ts on_rtsp_auth on_rtsp_realm on_shell_login") {
		args = append(args, "hook."+hook, "")
	}
	if changed := p.good(t, s, "setServerConfig", args...)["changed"]; changed == 0.0 || changed == nil {
		t.Errorf("setServerConfig changed %v", changed)
	}
	return config["general.mediaServerId"]
}

// config reads the configuration.
func (p *platform) config(t testing.TB, s *server) map[string]string {
	t.Helper()
	body := p.good(t, s, "getServerConfig")
	list, _ := body["data"].([]any)
	if len(list) != 1 {
		t.Fatalf("getServerConfig: %v", body)
	}
	config := map[string]string{}
	for key, value := range list[0].(map[string]any) { //nolint:forcetypeassert // a panic tells it
		text, ok := value.(string)
		if !ok {
			t.Errorf("%s is %v, and no text", key, value)
		}
		config[key] = text
	}
	return config
}

// TestPlatform takes a platform that was written for ZLMediaKit through its day: it finds the server, sets its hooks, lets a camera publish under
// another name, has viewers wait and turned away, closes what nobody watches, loses and finds the server again.
func TestPlatform(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=20s")
	p := newPlatform(t)
	id := p.takeOn(t, s)
	p.await(t, 3*time.Second, "on_server_keepalive", map[string]any{"mediaServerId": id})
	if code := p.call(t, s, "getMediaList", "app", "live", "stream", "device_1", "vhost", "__defaultVhost__"); code["data"] != nil {
		t.Errorf("a list of nothing has data: %v", code)
	}
	t.Run("nobody publishes", func(t *testing.T) {
		p.says("on_stream_not_found", `{"code":0,"close":true}`)
		begun := time.Now()
		if a := s.request(t, http.MethodGet, "/live/absent.live.flv", nil); a.status != http.StatusNotFound || time.Since(begun) > 5*time.Second {
			t.Errorf("who was turned away gets %d after %v", a.status, time.Since(begun))
		}
		p.says("on_stream_not_found", "")
	})
	t.Run("refused", func(t *testing.T) {
		p.says("on_play", `{"code":401,"msg":"Unauthorized"}`)
		if a := s.request(t, http.MethodGet, "/live/device_1.live.flv", nil); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("who may not play gets %d", a.status)
		}
		p.says("on_play", "")
	})
	units := unitsOf(t, clipAAC)
	t.Run("renamed", func(t *testing.T) {
		p.says("on_publish", `{"code":0,"msg":"success","enable_audio":true,"enable_mp4":null,"mp4_max_second":null,"mp4_save_path":null,`+
			`"stream_replace":"device_1","modify_stamp":null}`)
		waits := view(t, s.flvURL("device_1")+"?callId=42") // it has come before the camera
		p.await(t, 3*time.Second, "on_stream_not_found", map[string]any{"stream": "device_1", "params": "callId=42"})
		cam := publish(t, s, "0123ABCD?sign=x", flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
		cam.send(0, units...)
		asked := p.await(t, time.Second, "on_publish", map[string]any{"stream": "0123ABCD", "params": "sign=x", "schema": "rtmp", "mediaServerId": id})
		changed := p.await(t, 2*time.Second, "on_stream_changed", map[string]any{
			"schema": "rtsp", "app": "live", "stream": "device_1", "regist": true, "originType": 1.0, "mediaServerId": id,
		})
		if took := changed.at.Sub(asked.at); took > time.Second {
			t.Errorf("the platform knew of the stream %v after its question", took)
		}
		if tracks, _ := changed.body["tracks"].([]any); len(tracks) != 2 {
			t.Errorf("tracks: %v", changed.body["tracks"])
		}
		within(t, 5*time.Second, "the viewer plays", func() bool { u, _ := waits.got(); return len(u) > 0 })
		info := p.good(t, s, "getMediaInfo", "app", "live", "stream", "device_1", "schema", "rtsp", "vhost", "__defaultVhost__")
		if info["app"] != "live" || info["totalReaderCount"] != 1.0 {
			t.Errorf("getMediaInfo: %v", info)
		}
		if online := p.good(t, s, "isMediaOnline", "app", "live", "stream", "device_1", "schema", "rtsp", "vhost", "__defaultVhost__"); online["online"] != true {
			t.Errorf("isMediaOnline: %v", online)
		}
		p.good(t, s, "close_streams", "vhost", "__defaultVhost__", "app", "live", "stream", "device_1", "force", "1")
		waits.wait(t, 5*time.Second)
		p.await(t, 3*time.Second, "on_stream_changed", map[string]any{"schema": "rtsp", "stream": "device_1", "regist": false})
	})
	t.Run("nobody watches", func(t *testing.T) {
		p.says("on_publish", `{"code":0,"stream_replace":null}`)
		p.says("on_stream_none_reader", `{"code":0,"close":true}`)
		cam := publish(t, s, "lonely", flv.Enhanced, trackOf(av.Video, units), nil)
		cam.send(0, units...)
		p.await(t, 5*time.Second, "on_stream_none_reader", map[string]any{"app": "live", "stream": "lonely"})
		p.await(t, 3*time.Second, "on_stream_changed", map[string]any{"schema": "rtsp", "stream": "lonely", "regist": false})
	})
	t.Run("the platform is away", func(t *testing.T) {
		p.hears(false)
		begun := time.Now()
		if _, err := tryPublish(t.Context(), t, s, "lost", flv.Enhanced, trackOf(av.Video, units), nil); err == nil {
			t.Error("published, though the platform did not say yes")
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("refused after %v, hook.timeoutSec is 5", took)
		}
		p.good(t, s, "getServerConfig")
		p.hears(true)
		begun = time.Now()
		within(t, 10*time.Second, "keep-alives are back", func() bool {
			all := p.of("on_server_keepalive", nil)
			return all[len(all)-1].at.After(begun)
		})
		p.says("on_publish", "")
		within(t, 10*time.Second, "publishers are let in again", func() bool {
			c, err := tryPublish(t.Context(), t, s, "found", flv.Enhanced, trackOf(av.Video, units), nil)
			if err == nil {
				c.c.Close()
			}
			return err == nil
		})
	})
	t.Run("unknown endpoints and secrets", func(t *testing.T) {
		res, err := web.PostForm("http://"+s.http+"/index/api/getMediaList", url.Values{"secret": {"wrong"}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "-100") {
			t.Errorf("with a wrong secret: %s", text)
		}
	})
}
