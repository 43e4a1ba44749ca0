package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/hub"
)

// TestSessions lists who publishes, stands by, watches and waits.
func TestSessions(t *testing.T) {
	r := newRig(t)
	publish(t, r.hub, "live/a/b")
	v := play(t, r.hub, "00b1", "live/a/b")
	defer v.Release(nil)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		q := request("00c1", "third", "live/none")
		if w, err := r.hub.Play(ctx, ctx, q); err == nil {
			w.Release(nil)
		}
	}()
	defer func() { cancel(); <-waited }()
	for len(r.hub.Snapshot().Waiting) == 0 {
		if ctx.Err() != nil {
			t.Fatal("nobody waits")
		}
	}
	type one struct{ ID, Action, Protocol, Stream, Remote, Local string }
	for query, want := range map[string][]string{
		"":                        {"00a1 publish", "00b1 play", "00c1 waiting"},
		"?protocol=other":         {"00b1 play"},
		"?stream=live/a/b":        {"00a1 publish", "00b1 play"},
		"?stream=live/x":          nil,
		"?remote=192.0.2.1":       {"00a1 publish", "00b1 play", "00c1 waiting"},
		"?remote=192.0.2.1:5000":  {"00a1 publish", "00b1 play", "00c1 waiting"},
		"?remote=192.0.2.1:5001":  nil,
		"?remote=::ffff:c000:201": {"00a1 publish", "00b1 play", "00c1 waiting"},
		"?remote=192.0.2.2":       nil,
		"?protocol=other&stream=live/none&remote=192.0.2.1": nil,
	} {
		var list struct {
			At       time.Time
			Sessions []one
		}
		if w := ask(t, r, http.MethodGet, "/api/v1/sessions"+query, nil, &list); w.Code != http.StatusOK || list.At.IsZero() {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
		if list.Sessions == nil {
			t.Errorf("%s: null", query)
		}
		var got []string
		for _, s := range list.Sessions {
			got = append(got, s.ID+" "+s.Action)
			if s.Local != "198.51.100.1:1935" || s.Protocol == "" || s.Stream == "" || s.Remote != "192.0.2.1:5000" {
				t.Errorf("%+v", s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	var s one
	if w := ask(t, r, http.MethodGet, "/api/v1/sessions/00b1", nil, &s); w.Code != http.StatusOK || s.ID != "00b1" || s.Action != "play" {
		t.Errorf("%d %+v", w.Code, s)
	}
}

// TestStandby: who stands by is in the list.
func TestStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hub.DefaultConfig()
		c.Publish.OnConflict = "standby"
		h := hub.New(c, nil)
		publish(t, h, "live/a")
		second, err := h.Publish(t.Context(), request("00a2", "proto", "live/a"))
		if err != nil {
			t.Fatal(err)
		}
		defer second.Release(nil)
		var s struct{ ID, Action string }
		a := api.New(api.Options{Snapshot: h.Snapshot, Counts: h.Sessions, Events: api.NewEvents()})
		if w := ask(t, a, http.MethodGet, "/api/v1/sessions/00a2", nil, &s); w.Code != http.StatusOK || s.Action != "standby" {
			t.Errorf("%d %+v", w.Code, s)
		}
	})
}

// TestBadRequests: whatever is wrong is answered in the same form.
func TestBadRequests(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		method, target, body string
		status               int
		word, key            string
	}{
		{"GET", "/api/v1/streams/live/none", "", 404, "not-found", ""},
		{"GET", "/api/v1/streams/live/", "", 400, "bad-name", ""},
		{"GET", "/api/v1/streams/live/%01", "", 400, "bad-name", ""},
		{"GET", "/api/v1/streams/live/" + strings.Repeat("a", 600), "", 400, "bad-name", ""},
		{"POST", "/api/v1/streams", "", 404, "not-found", ""},
		{"DELETE", "/api/v1/streams", "", 404, "not-found", ""},
		{"DELETE", "/api/v1/streams/live/%01", "", 400, "bad-name", ""},
		{"DELETE", "/api/v1/streams/live/none", "", 404, "not-found", ""},
		{"GET", "/api/v1/sessions/none", "", 404, "not-found", ""},
		{"DELETE", "/api/v1/sessions/none", "", 404, "not-found", ""},
		{"GET", "/api/v1/sessions?remote=host", "", 400, "bad-request", "query.remote"},
		{"GET", "/api/v1/sessions?stream=live", "", 400, "bad-name", ""},
		{"GET", "/api/v1/sessions?protocol=" + strings.Repeat("a", 65), "", 400, "bad-request", "query.protocol"},
		{"GET", "/api/v1/log?lines=0", "", 400, "bad-request", "query.lines"},
		{"GET", "/api/v1/log?lines=-1", "", 400, "bad-request", "query.lines"},
		{"GET", "/api/v1/log?lines=x", "", 400, "bad-request", "query.lines"},
		{"GET", "/api/v1/events?kind=nothing", "", 400, "bad-request", ""},
		{"GET", "/api/v1/events?kind=,", "", 400, "bad-request", ""},
		{"GET", "/api/v1/events?stream=live", "", 400, "bad-name", ""},
		{"PATCH", "/api/v1/settings", "", 400, "bad-request", ""},
		{"PATCH", "/api/v1/settings", "{", 400, "bad-request", "body"},
		{"PATCH", "/api/v1/settings", "[]", 400, "bad-request", "body"},
		{"PATCH", "/api/v1/settings", `{"a.b":null}`, 400, "bad-settings", "a.b"},
		{"PATCH", "/api/v1/settings", `{"a.b":{"c":1}}`, 400, "bad-settings", "a.b"},
		{"PATCH", "/api/v1/settings", `{"a.b":[1]}`, 400, "bad-settings", "a.b"},
		{"PATCH", "/api/v1/settings", `{"a.b":["x",null]}`, 400, "bad-settings", "a.b"},
		{"PATCH", "/api/v1/settings", `{"api.secret":"***","x":1}`, 400, "bad-settings", "api.secret"},
		{"PATCH", "/api/v1/settings", `{"no.such":1}`, 400, "bad-settings", "no.such"},
		{"PATCH", "/api/v1/settings", `{"a":"` + strings.Repeat("a", 64<<10) + `"}`, 413, "request-entity-too-large", ""},
		{"PUT", "/api/v1/settings", `{}`, 404, "not-found", ""},
	} {
		var body failure
		w := ask(t, r, c.method, c.target, strings.NewReader(c.body), &body)
		if w.Code != c.status || body.Code != c.status || body.Error != c.word || body.Message == "" {
			t.Errorf("%s %.60s %.20s: %d %+v, want %d %s", c.method, c.target, c.body, w.Code, body, c.status, c.word)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %.60s: Content-Type %s", c.method, c.target, got)
		}
		if c.key != "" && (len(body.Problems) != 1 || body.Problems[0].Key != c.key || body.Problems[0].Message == "") {
			t.Errorf("%s %.60s %.20s: problems %+v, want one of %s", c.method, c.target, c.body, body.Problems, c.key)
		}
	}
}

// TestServer describes the server.
func TestServer(t *testing.T) {
	r := newRig(t)
	var s struct {
		Version, Commit, Built string
		ServerID               string  `json:"server_id"`
		Uptime                 float64 `json:"uptime_seconds"`
		Shards, Workers        []struct {
			Name  string
			Busy  float64
			Holds int
			Delay float64 `json:"delay_seconds"`
		}
		Objects struct{ Streams, Viewers int }
	}
	r.options.Started = time.Now().Add(-time.Hour)
	w := ask(t, api.New(r.options), http.MethodGet, "/api/v1/server", nil, &s)
	if w.Code != http.StatusOK || s.Version != "v1.2.3" || s.Commit != "abc" || s.Built != "2026-01-02T03:04:05Z" || s.ServerID != "5e1f" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s.Uptime < 3600 || len(s.Shards) != 1 || s.Shards[0].Delay != 0.02 || s.Workers == nil || s.Objects.Viewers != 2 {
		t.Errorf("%s", w.Body)
	}
	var hooks struct{ Hooks []api.Hook }
	if ask(t, r, http.MethodGet, "/api/v1/hooks", nil, &hooks); len(hooks.Hooks) != 1 || hooks.Hooks[0].Calls != 7 || !hooks.Hooks[0].Open {
		t.Errorf("%+v", hooks)
	}
	r.options.Health = append(r.options.Health, api.Check{Name: "ready", Judge: func() api.Verdict { return api.Verdict{Status: "shutting down"} }})
	r.options.Hooks = func() []api.Hook { return nil }
	sick := api.New(r.options)
	for h, want := range map[http.Handler]string{r: "true [{live true ok}]", sick: "false [{live true ok} {ready false shutting down}]"} {
		var health struct {
			OK     bool
			Checks []struct {
				Name   string
				OK     bool
				Status string
			}
		}
		if w := ask(t, h, http.MethodGet, "/api/v1/health", nil, &health); w.Code != http.StatusOK || fmt.Sprint(health.OK, health.Checks) != want {
			t.Errorf("%d %+v, want %s", w.Code, health, want)
		}
	}
	if w := ask(t, sick, http.MethodGet, "/api/v1/hooks", nil, &hooks); !strings.Contains(w.Body.String(), `"hooks": []`) {
		t.Errorf("no hooks: %s", w.Body)
	}
}

// TestWatch answers about loops, log, alarms and evidence.
func TestWatch(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/api/v1/watch", `"classes": []`},
		{"GET", "/api/v1/log", `"asked for"`},
		{"GET", "/api/v1/log?lines=", `"0"`}, // 100 of them
		{"GET", "/api/v1/log?lines=5", `"5"`},
		{"GET", "/api/v1/log?lines=99999", `"0"`}, // 2000 of them
		{"GET", "/api/v1/alarms", `"alarms": []`},
		{"POST", "/api/v1/bundle", `"path": "bundle.zip"`},
	} {
		if w := ask(t, r, c.method, c.path, nil, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
	r.options.Watched.Evidence = func(context.Context) (string, error) { return "", errors.New("no room") }
	var body failure
	if w := ask(t, api.New(r.options), http.MethodPost, "/api/v1/bundle", nil, &body); w.Code != 503 || body.Error != "no-evidence" || body.Message != "no room" {
		t.Errorf("%d %+v", w.Code, body)
	}
}
