package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/watch"
)

// rig is an API with all that it has to do with.
type rig struct {
	*api.API
	hub      *hub.Hub
	events   *api.Events
	settings *settings
	options  api.Options
}

// newRig returns an API on a hub of its own.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{events: api.NewEvents(), settings: &settings{all: map[string]string{"publish.resume_window": "15s", "api.secret": "***"}}}
	t.Cleanup(r.events.Close)
	r.hub = hub.New(hub.DefaultConfig(), nil, r.events)
	board := watch.NewBoard()
	r.options = api.Options{
		Control: control.New(control.Options{
			Hub: r.hub, Settings: r.settings, ServerID: func() string { return "5e1f" },
			Version: control.Version{Name: "v1.2.3", Commit: "abc", Built: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
			Shards: func() []control.Load {
				return []control.Load{{Name: "shard 0", Busy: 0.5, Holds: 3, Delay: 20 * time.Millisecond}}
			},
			Workers: func() []control.Load { return nil },
			Objects: func() control.Objects { return control.Objects{Streams: 1, Viewers: 2} },
		}),
		Snapshot: r.hub.Snapshot, Counts: r.hub.Sessions, Events: r.events,
		Watched: api.Watched{
			Board: board, Guard: watch.NewGuard(watch.GuardOptions{Board: board}), Healer: watch.NewHealer(watch.HealerOptions{}),
			Lines:    func(n int) []string { return []string{"asked for", string(rune('0' + n%10))}[:min(n, 2)] },
			Alarms:   func() []api.Alarm { return nil },
			Evidence: func(context.Context) (string, error) { return "bundle.zip", nil },
		},
		Hooks:  func() []api.Hook { return []api.Hook{{Name: "on_play", Calls: 7, Open: true}} },
		Health: []api.Check{{"live", func() api.Verdict { return api.Verdict{OK: true, Status: "ok"} }}},
	}
	r.API = api.New(r.options)
	return r
}

// settings implements control.Settings.
type settings struct {
	mu  sync.Mutex
	all map[string]string
	err error // of the next change
}

func (s *settings) All() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

func (s *settings) Change(ctx context.Context, set map[string]string) (control.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, context.DeadlineExceeded) {
		<-ctx.Done()
	}
	if s.err != nil {
		return control.Change{}, s.err
	}
	if _, ok := set["no.such"]; ok {
		return control.Change{}, conf.Problems{{Key: "no.such", Message: "unknown key", At: conf.Position{Source: "vigil.yaml", Line: 7, Column: 3}}}
	}
	maps.Copy(s.all, set)
	if len(set) == 0 {
		return control.Change{}, nil
	}
	return control.Change{Changed: []string{"a.now", "b.later"}, Later: []string{"b.later"}}, nil
}

// failure is what the body of an error says.
type failure struct {
	Code           int
	Error, Message string
	Problems       []struct{ Key, Message, At string }
}

// ask sends a request, and reads the answer into something, if it is not nil.
func ask(t *testing.T, h http.Handler, method, path string, body io.Reader, into any) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, body))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %d: %v: %s", method, path, w.Code, err, w.Body)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s %s: Cache-Control %q", method, path, got)
	}
	if w.Header().Get("Link") != "" {
		t.Errorf("%s %s: Link %q", method, path, w.Header().Get("Link"))
	}
	return w
}
