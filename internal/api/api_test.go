package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

func request(session, protocol, path string) hub.Request {
	key, err := hub.ParseKey(path)
	if err != nil {
		panic(err)
	}
	return hub.Request{
		Key: key, Session: session, Protocol: protocol, Remote: netip.MustParseAddrPort("192.0.2.1:5000"),
		Agent: "<b>encoder</b>", Query: "token=hidden", Local: netip.MustParseAddrPort("198.51.100.1:1935"),
	}
}

// publish takes a key and writes two groups of pictures with sound.
func publish(t *testing.T, h *hub.Hub, path string) *hub.Lease {
	t.Helper()
	l, err := h.Publish(t.Context(), request("00a1", "proto", path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release(nil) })
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	for _, u := range e.Take(60) {
		if err := l.Write(u); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func get(t *testing.T, h http.Handler, path string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, w.Body)
	}
	return w.Code
}

func TestStreams(t *testing.T) {
	h := hub.New(hub.DefaultConfig(), nil)
	publish(t, h, "live/a/b")
	for _, id := range []string{"00b1", "00b2"} {
		v, err := h.Play(t.Context(), t.Context(), request(id, "other", "live/a/b"))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release(nil)
	}
	type session struct{ ID, Protocol, Remote, Agent, Stream string }
	type view struct {
		Key, App, Name string
		Ready          bool
		Tracks         []struct {
			Kind, Codec string
			CodecString string `json:"codec_string"`
			Width       int
			GOP         float64 `json:"gop_seconds"`
			Units       uint64
		}
		MIME      string
		Publisher session
		Viewers   map[string]int
		Sessions  []session
	}
	var list struct {
		Publishers, Viewers int
		Streams             []view
	}
	handler := streamsOf(h)
	if code := get(t, handler, "/api/v1/streams", &list); code != http.StatusOK || len(list.Streams) != 1 {
		t.Fatalf("%d: %+v", code, list)
	}
	if list.Publishers != 1 || list.Viewers != 2 {
		t.Errorf("%d publishers, %d viewers", list.Publishers, list.Viewers)
	}
	brief := list
	brief.Publishers, brief.Viewers = 0, 0
	if code := get(t, handler, "/api/v1/streams?brief=true", &brief); code != http.StatusOK || len(brief.Streams) != 0 {
		t.Errorf("brief: %d: %+v", code, brief)
	}
	if brief.Publishers != 1 || brief.Viewers != 2 {
		t.Errorf("brief: %d publishers, %d viewers", brief.Publishers, brief.Viewers)
	}
	var one view
	if code := get(t, handler, "/api/v1/streams/live/a/b", &one); code != http.StatusOK {
		t.Fatalf("%d", code)
	}
	for _, s := range []view{list.Streams[0], one} {
		if s.Key != "live/a/b" || s.App != "live" || s.Name != "a/b" || !s.Ready {
			t.Errorf("%+v", s)
		}
		if s.Viewers["other"] != 2 || len(s.Sessions) != 2 || s.Publisher.ID != "00a1" ||
			s.Publisher.Remote != "192.0.2.1:5000" || s.Publisher.Agent != "<b>encoder</b>" {
			t.Errorf("sessions: %+v", s)
		}
		if len(s.Tracks) != 2 || s.Tracks[0].Codec != "H264" || s.Tracks[0].Width == 0 || s.Tracks[0].GOP <= 0 ||
			s.Tracks[1].Kind != "audio" || s.Tracks[0].Units+s.Tracks[1].Units != 60 {
			t.Errorf("tracks: %+v", s.Tracks)
		}
		if s.MIME != `video/mp4; codecs="avc1.64000d,mp4a.40.2"` || s.Tracks[0].CodecString != "avc1.64000d" {
			t.Errorf("MIME %s, codec string %s", s.MIME, s.Tracks[0].CodecString)
		}
	}
}

func TestErrors(t *testing.T) {
	handler := streamsOf(hub.New(hub.DefaultConfig(), nil))
	for path, want := range map[string]int{
		"/api/v1/streams/live/none":     http.StatusNotFound,
		"/api/v1/streams/live/%01":      http.StatusBadRequest,
		"/api/v1/streams?brief=perhaps": http.StatusBadRequest,
		"/api/v1/streams/live/a%2f%2f":  http.StatusBadRequest,
		"/api/v1/nothing":               http.StatusNotFound,
	} {
		var body struct {
			Code           int
			Error, Message string
		}
		if code := get(t, handler, path, &body); code != want || body.Code != want || body.Message == "" || body.Error == "" {
			t.Errorf("%s: %d %+v, want %d", path, code, body, want)
		}
	}
}

func TestSecret(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := (&api.Gate{Secret: func() conf.Secret { return "right" }, Guard: &api.Guard{}}).Require(inner)
	for _, c := range []struct {
		header, query string
		want          int
	}{
		{"", "", http.StatusUnauthorized},
		{"Bearer right", "", http.StatusTeapot},
		{"Bearer wrong", "", http.StatusUnauthorized},
		{"Bearer wrong", "right", http.StatusUnauthorized},
		{"Basic right", "", http.StatusUnauthorized},
		{"", "right", http.StatusTeapot},
		{"", "right%00", http.StatusUnauthorized},
		{"Bearer ", "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?secret="+c.query, nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%q %q: %d, want %d", c.header, c.query, w.Code, c.want)
		}
	}
}

// TestGuessing: an address from which wrong secrets come is not listened to for a while, whatever it carries; the probe is, and who asks without a
// secret is no guesser.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		g := &api.Gate{Secret: func() conf.Secret { return "right" }, Guard: &api.Guard{}}
		handler := g.RequireOrProbe("token", inner)
		ask := func(from, secret string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/streams", nil)
			r.RemoteAddr = from + ":1"
			if secret != "" {
				r.Header.Set("Authorization", "Bearer "+secret)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		for range 100 {
			if w := ask("192.0.2.9", ""); w.Code != http.StatusUnauthorized {
				t.Fatal(w.Code)
			}
		}
		for range 10 {
			if w := ask("192.0.2.9", "wrong"); w.Code != http.StatusUnauthorized {
				t.Fatal(w.Code)
			}
		}
		if w := ask("192.0.2.9", "right"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		for from, secret := range map[string]string{"192.0.2.9": "token", "192.0.2.8": "right"} {
			if w := ask(from, secret); w.Code != http.StatusTeapot {
				t.Errorf("%s with %s: %d", from, secret, w.Code)
			}
		}
		time.Sleep(time.Second)
		if w := ask("192.0.2.9", "right"); w.Code != http.StatusTeapot {
			t.Errorf("a second later: %d", w.Code)
		}
	})
}

// TestProbeMayList proves that the probe's token opens one path, and nothing where there is no probe.
func TestProbeMayList(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, c := range []struct {
		probe, method, target, header string
		want                          int
	}{
		{"token", "GET", "/api/v1/streams", "Bearer token", http.StatusTeapot},
		{"token", "GET", "/api/v1/streams?brief=true", "Bearer token", http.StatusTeapot},
		{"token", "GET", "/api/v1/streams", "Bearer right", http.StatusTeapot},
		{"token", "DELETE", "/api/v1/streams/live/a", "Bearer right", http.StatusTeapot},
		{"token", "GET", "/api/v1/streams", "Bearer tokem", http.StatusUnauthorized},
		{"token", "GET", "/api/v1/streams", "Bearer ", http.StatusUnauthorized},
		{"token", "GET", "/api/v1/streams?secret=token", "", http.StatusUnauthorized},
		{"token", "DELETE", "/api/v1/streams", "Bearer token", http.StatusUnauthorized},
		{"token", "GET", "/api/v1/streams/live/a", "Bearer token", http.StatusUnauthorized},
		{"token", "GET", "/api/v1/streams/", "Bearer token", http.StatusUnauthorized},
		{"token", "DELETE", "/api/v1/sessions/1", "Bearer token", http.StatusUnauthorized},
		{"token", "GET", "/metrics", "Bearer token", http.StatusUnauthorized},
		{"", "GET", "/api/v1/streams", "Bearer ", http.StatusUnauthorized},
		{"", "GET", "/api/v1/streams", "Bearer token", http.StatusUnauthorized},
		{"", "GET", "/api/v1/streams", "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.target, nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		w := httptest.NewRecorder()
		(&api.Gate{Secret: func() conf.Secret { return "right" }, Guard: &api.Guard{}}).RequireOrProbe(c.probe, inner).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("probe %q: %s %s %q: %d, want %d", c.probe, c.method, c.target, c.header, w.Code, c.want)
		}
	}
}

// TestHealth answers a health path.
func TestHealth(t *testing.T) {
	for v, want := range map[api.Verdict]int{
		{OK: true, Status: "ok"}:      http.StatusOK,
		{Status: "the loop is stuck"}: http.StatusServiceUnavailable,
	} {
		var body struct{ Status string }
		if code := get(t, api.Health(func() api.Verdict { return v }), "/livez", &body); code != want || body.Status != v.Status {
			t.Errorf("%+v: %d %+v", v, code, body)
		}
	}
}

// TestStreamsMIME: of several tracks of a kind, viewers of fMP4 get one, and the media type names that one.
func TestStreamsMIME(t *testing.T) {
	h := hub.New(hub.DefaultConfig(), nil)
	l := publish(t, h, "live/two")
	second := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	shifted := map[*av.Track]*av.Track{}
	for _, u := range second.Take(60) {
		if shifted[u.Track] == nil {
			track := *u.Track
			track.ID += 2
			shifted[u.Track] = &track
		}
		u.Track = shifted[u.Track]
		if err := l.Write(u); err != nil {
			t.Fatal(err)
		}
	}
	var one struct {
		Tracks []struct{}
		MIME   string
	}
	get(t, streamsOf(h), "/api/v1/streams/live/two", &one)
	if len(one.Tracks) != 4 || one.MIME != `video/mp4; codecs="avc1.64000d,mp4a.40.2"` {
		t.Errorf("of %d tracks: %s", len(one.Tracks), one.MIME)
	}
}
