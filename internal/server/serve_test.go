package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	confzlm "github.com/vigil-media/vigil/internal/conf/zlm"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/server"
	"github.com/vigil-media/vigil/internal/sim"
)

// servesSecret is the API's secret of the servers below.
const servesSecret = "0123456789abcdef"

// newPlatform is a platform that gives publishers the answers of a map, by the stream's name, and tells of what it is told by on_stream_changed:
// a text such as "a rtmp" for each schema that a stream has come in.
func newPlatform(t *testing.T, answers map[string]string) (address string, told <-chan string) {
	t.Helper()
	came := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Stream, Schema string
			Regist         bool
		}
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/changed" && said.Regist {
			came <- said.Stream + " " + said.Schema
		}
		answer := `{"code":0}`
		if r.URL.Path == "/publish" && answers[said.Stream] != "" {
			answer = answers[said.Stream]
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, came
}

// appears publishes a stream with sound over RTMP, until the end of the test, and returns when it can be watched.
func appears(t *testing.T, r *running, name string) *rtmp.Client {
	t.Helper()
	p := dial(t, &url.URL{Scheme: "rtmp", Host: r.Addr("RTMP").String(), Path: "/live/" + name})
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	tags := []flv.Tag{{Type: flv.ScriptTag, Body: flv.Enhanced.AppendMetadata(nil, e.Tracks()[0], e.Tracks()[1])}}
	for _, track := range e.Tracks() {
		tags = append(tags, flv.Tag{Type: flv.TypeFor(track.Kind()), Body: flv.Enhanced.AppendConfig(nil, track)})
	}
	for _, u := range e.Take(60) {
		tags = append(tags, flv.Tag{Type: flv.TypeFor(u.Track.Kind()), Time: flv.Milliseconds(u.DTS), Body: flv.Enhanced.AppendUnit(nil, u)})
	}
	for _, tag := range tags {
		if err := p.WriteTag(tag); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if status, body := r.get(t, "/api/v1/streams/live/"+name, servesSecret); status == http.StatusOK && strings.Contains(body, `"ready": true`) {
			return p
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("%s cannot be watched", name)
	return nil
}

// describe asks for a stream by RTSP as a player does, and returns the status of the answer.
func describe(t *testing.T, r *running, name string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr("RTSP").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "DESCRIBE rtsp://%s/live/%s RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n", r.Addr("RTSP"), name); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// plays says whether a stream comes over RTMP.
func plays(t *testing.T, r *running, name string) bool {
	t.Helper()
	c := dial(t, &url.URL{Scheme: "rtmp", Host: r.Addr("RTMP").String(), Path: "/live/" + name})
	_ = c.Conn().SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.Play(t.Context()); err != nil {
		return false
	}
	for {
		tag, err := c.ReadTag()
		if err != nil {
			return false
		}
		if tag.Type == flv.VideoTag {
			return true
		}
	}
}

// listed are the schemas in which ZLMediaKit's API lists a stream, and of how many tracks.
func listed(t *testing.T, r *running, name string) (schemas []string, tracks int) {
	t.Helper()
	_, body := r.get(t, "/index/api/getMediaList?secret="+servesSecret+"&stream="+name, "")
	var answer struct {
		Data []struct {
			Schema string
			Tracks []any
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for _, s := range answer.Data {
		schemas, tracks = append(schemas, s.Schema), len(s.Tracks)
	}
	slices.Sort(schemas)
	return schemas, tracks
}

const (
	found     = "RTSP/1.0 200 OK"
	notFound  = "RTSP/1.0 404 Not Found"
	all       = "fmp4 hls hls.fmp4 rtmp rtsp ts"
	allButOne = "fmp4 hls hls.fmp4 rtmp ts"
)

// judge holds what players, API and hooks find of a stream against what is expected.
func judge(t *testing.T, r *running, name string, told <-chan string, status, schemas string, tracks int) {
	t.Helper()
	if got := describe(t, r, name); got != status {
		t.Errorf("%s: by RTSP: %s, want %s", name, got, status)
	}
	if got := plays(t, r, name); got != strings.Contains(schemas, "rtmp") {
		t.Errorf("%s: plays by RTMP: %v", name, got)
	}
	if got, n := listed(t, r, name); strings.Join(got, " ") != schemas || n != tracks {
		t.Errorf("%s: getMediaList says %v of %d tracks, want %s of %d", name, got, n, schemas, tracks)
	}
	if told == nil {
		return
	}
	var got []string
	for range strings.FieldsSeq(schemas) {
		select {
		case s := <-told:
			got = append(got, strings.TrimPrefix(s, name+" "))
		case <-time.After(10 * time.Second):
		}
	}
	if slices.Sort(got); strings.Join(got, " ") != schemas {
		t.Errorf("%s: on_stream_changed says %v, want %s", name, got, schemas)
	}
}

// TestServe: a form that is off by our configuration, or by ZLMediaKit's, is found by nobody, unless the platform says of a stream that it is on.
func TestServe(t *testing.T) {
	t.Parallel()
	ini, _, err := confzlm.Convert("config.ini", []byte("[general]\nlisten_ip=127.0.0.1\n[protocol]\nenable_rtsp=0\nenable_audio=0\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		set  []string
		want int // tracks
	}{
		"ours":         {"", []string{"serve.rtsp=false"}, 2},
		"ZLMediaKit's": {string(ini), nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, told := newPlatform(t, map[string]string{
				"on":   `{"code":0,"enable_rtsp":true,"enable_audio":true}`,
				"null": `{"code":0,"enable_rtsp":null,"enable_audio":null}`,
				"off":  `{"code":0,"enable_rtsp":true,"enable_rtmp":0,"enable_audio":0}`,
			})
			cfg, err := conf.Load(conf.Source{Data: []byte(c.file), Known: server.Known(), Set: append([]string{
				"data=" + t.TempDir(), "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0", "api.secret=" + servesSecret,
				"publish.max_silence=1m", "hooks.enabled=true", "hooks.on_publish=" + at + "/publish", "hooks.on_stream_changed=" + at + "/changed",
			}, c.set...)})
			if err != nil {
				t.Fatal(err)
			}
			r := runWith(t, cfg)
			for _, s := range []struct {
				name, status, schemas string
				tracks                int
			}{
				{"a", notFound, allButOne, c.want},
				{"null", notFound, allButOne, c.want},
				{"on", found, all, 2},
				{"off", found, strings.Replace(all, "rtmp ", "", 1), 1},
			} {
				appears(t, r, s.name)
				judge(t, r, s.name, told, s.status, s.schemas, s.tracks)
			}
		})
	}
}

// TestServeChanges: what is changed by ZLMediaKit's API holds for publishers that come then, and streams that run keep what they have.
func TestServeChanges(t *testing.T) {
	t.Parallel()
	r := run(t, "api.secret="+servesSecret, "publish.max_silence=1m")
	set := func(query string) {
		t.Helper()
		if _, body := r.get(t, "/index/api/setServerConfig?secret="+servesSecret+"&"+query, ""); !strings.Contains(body, `"code": 0`) {
			t.Fatalf("%s: %s", query, body)
		}
	}
	appears(t, r, "a")
	set("protocol.enable_rtsp=0&protocol.enable_audio=0")
	if _, body := r.get(t, "/index/api/getServerConfig?secret="+servesSecret, ""); !strings.Contains(body, `"protocol.enable_rtsp": "0"`) ||
		!strings.Contains(body, `"protocol.enable_audio": "0"`) || !strings.Contains(body, `"protocol.enable_rtmp": "1"`) {
		t.Errorf("getServerConfig: %s", body)
	}
	appears(t, r, "b")
	judge(t, r, "a", nil, found, all, 2)
	judge(t, r, "b", nil, notFound, allButOne, 1)
	set("protocol.enable_rtsp=1&protocol.enable_audio=1")
	appears(t, r, "c")
	judge(t, r, "b", nil, notFound, allButOne, 1)
	judge(t, r, "c", nil, found, all, 2)
	if changed, later := change(t, r, map[string]string{"serve.rtmp": "false"}); len(changed) != 1 || len(later) > 0 {
		t.Errorf("changed %v, %v of them for the next start", changed, later)
	}
	appears(t, r, "d")
	judge(t, r, "d", nil, found, strings.Replace(all, "rtmp ", "", 1), 2)
}
