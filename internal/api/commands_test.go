package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
)

// end sends a DELETE and returns the status and the word of the answer.
func end(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, path, nil))
	var body struct{ Status, Error string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("DELETE %s: %v: %s", path, err, w.Body)
	}
	return w.Code, body.Status + body.Error
}

// play watches a stream, and leaves when it is told to.
func play(t *testing.T, h *hub.Hub, id, path string) *hub.Viewing {
	t.Helper()
	v, err := h.Play(t.Context(), t.Context(), request(id, "other", path))
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(v.Context(), func() { v.Release(nil) })
	return v
}

func TestEndSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.DefaultConfig(), nil)
		l := publish(t, h, "live/a/b")
		v, w := play(t, h, "00b1", "live/a/b"), play(t, h, "00b2", "live/a/b")
		streams := streamsOf(h)
		if code, word := end(t, streams, "/api/v1/sessions/00b1"); code != http.StatusOK || word != "ended" {
			t.Errorf("a viewer: %d %s", code, word)
		}
		if !errors.Is(context.Cause(v.Context()), hub.ErrKicked) || w.Context().Err() != nil || l.Context().Err() != nil {
			t.Error("the wrong one was ended")
		}
		if code, word := end(t, streams, "/api/v1/sessions/00b1"); code != http.StatusNotFound || word != "not-found" {
			t.Errorf("once more: %d %s", code, word)
		}
		// The publisher's goroutine hangs: the answer comes all the same, and the name is free.
		begin := time.Now()
		if code, word := end(t, streams, "/api/v1/sessions/00a1"); code != http.StatusServiceUnavailable || word != "slow" {
			t.Errorf("a publisher that hangs: %d %s", code, word)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("answered after %v", took)
		}
		if !errors.Is(l.Stream().Ended(), hub.ErrKicked) {
			t.Errorf("the stream ended with %v", l.Stream().Ended())
		}
		l.Release(nil)
		publish(t, h, "live/a/b").Finish(nil)
		v.Release(nil)
		w.Release(nil)
	})
}

func TestEndStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.DefaultConfig(), nil)
		l := publish(t, h, "live/a/b")
		context.AfterFunc(l.Context(), func() { l.Release(nil) })
		v := play(t, h, "00b1", "live/a/b")
		streams := streamsOf(h)
		if code, word := end(t, streams, "/api/v1/streams/live/a/b"); code != http.StatusOK || word != "ended" {
			t.Errorf("%d %s", code, word)
		}
		if !errors.Is(context.Cause(l.Context()), hub.ErrKicked) || !errors.Is(context.Cause(v.Context()), hub.ErrKicked) {
			t.Error("somebody stays")
		}
		if code, _ := end(t, streams, "/api/v1/streams/live/a/b"); code != http.StatusNotFound {
			t.Errorf("once more: %d", code)
		}
		if code, _ := end(t, streams, "/api/v1/streams/live/a%01"); code != http.StatusBadRequest {
			t.Errorf("a bad name: %d", code)
		}
		// A stream whose publisher was lost ends too.
		l = publish(t, h, "live/a/b")
		v = play(t, h, "00b1", "live/a/b")
		l.Release(nil)
		var list struct {
			Streams []struct {
				State     string
				Publisher *struct{}
				Left      float64 `json:"ends_in_seconds"`
			}
		}
		get(t, streams, "/api/v1/streams", &list)
		if s := list.Streams; len(s) != 1 || s[0].State != "lost" || s[0].Publisher != nil || s[0].Left < 15 {
			t.Errorf("%+v", s)
		}
		if code, word := end(t, streams, "/api/v1/streams/live/a/b"); code != http.StatusOK {
			t.Errorf("%d %s", code, word)
		}
		synctest.Wait()
		if v.Context().Err() == nil || len(h.Snapshot().Streams) != 0 {
			t.Error("it is still there")
		}
	})
}

// streamsOf is an API that knows a hub and nothing else.
func streamsOf(h *hub.Hub) *api.API {
	return api.New(api.Options{Control: control.New(control.Options{Hub: h}), Snapshot: h.Snapshot, Counts: h.Sessions, Events: api.NewEvents()})
}
