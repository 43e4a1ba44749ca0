package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSettings(t *testing.T) {
	r := newRig(t)
	var list struct{ Settings map[string]string }
	if w := ask(t, r, http.MethodGet, "/api/v1/settings", nil, &list); w.Code != http.StatusOK || list.Settings["publish.resume_window"] != "15s" ||
		list.Settings["api.secret"] != "***" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var done struct{ Changed, Now, Later []string }
	body := `{"a.text":"x \"y\" é", "a.number":12.50, "a.big":12345678901234567890, "a.bool":true, "a.list": [ "a", "b,c" ], "a.none":[]}`
	w := ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader(body), &done)
	if w.Code != http.StatusOK || fmt.Sprint(done) != "{[a.now b.later] [a.now] [b.later]}" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	all := r.settings.All()
	for key, want := range map[string]string{
		"a.text": `x "y" é`, "a.number": "12.50", "a.big": "12345678901234567890", "a.bool": "true", "a.list": `[ "a", "b,c" ]`, "a.none": "[]",
	} {
		if all[key] != want {
			t.Errorf("%s: %q, want %q", key, all[key], want)
		}
	}
	if w := ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader("{}"), nil); w.Code != 200 || strings.Contains(w.Body.String(), "null") {
		t.Errorf("nothing: %d %s", w.Code, w.Body)
	}
}

// TestSettingsAreNotRepeated: what was sent may be a secret.
func TestSettingsAreNotRepeated(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{`{"api.secret":{"x":"hidden"}}`, `{"api.secret":"hidden"`, `["hidden"]`, `{"no.such":"hidden"}`} {
		if w := ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader(body), &failure{}); strings.Contains(w.Body.String(), "hidden") {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
}

// TestSettingsProblems: an answer says what is wrong, and where that was written.
func TestSettingsProblems(t *testing.T) {
	r := newRig(t)
	var body failure
	ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader(`{"no.such":"x"}`), &body)
	if len(body.Problems) != 1 || body.Problems[0] != (struct{ Key, Message, At string }{"no.such", "unknown key", "vigil.yaml:7:3"}) ||
		body.Message != "nothing was changed: no.such: unknown key" {
		t.Errorf("%+v", body)
	}
	body = failure{}
	ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader(`{"b":null,"a":{}}`), &body)
	if len(body.Problems) != 2 || body.Problems[0].Key != "a" || body.Problems[1].Key != "b" {
		t.Errorf("%+v", body)
	}
}

// TestSettingsSlow: a change that cannot be kept, or not in time, is no fault of the request.
func TestSettingsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for err, word := range map[error]string{errors.New("disk is full"): "not-kept", context.DeadlineExceeded: "slow"} {
			r.settings.err = err
			begin := time.Now()
			var body failure
			w := ask(t, r, http.MethodPatch, "/api/v1/settings", strings.NewReader(`{"a.b":"x"}`), &body)
			if w.Code != http.StatusServiceUnavailable || body.Error != word || w.Header().Get("Retry-After") != "1" {
				t.Errorf("%d %v %+v", w.Code, w.Header(), body)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("answered after %v", took)
			}
		}
	})
}

// TestSettingsBody: bodies that cannot be read are answered as what they are.
func TestSettingsBody(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		kind   string
		body   *strings.Reader
		most   int64
		status int
	}{
		{"application/json; charset=utf-8", strings.NewReader(`{"a.b":1}`), 100, http.StatusOK},
		{"application/x-www-form-urlencoded", strings.NewReader(`{"a.b":1}`), 100, http.StatusBadRequest},
		{"application/json", strings.NewReader(`{"a.b":1}`), 5, http.StatusRequestEntityTooLarge},
	} {
		w := httptest.NewRecorder()
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/api/v1/settings", c.body)
		q.Header.Set("Content-Type", c.kind)
		q.Body = http.MaxBytesReader(w, q.Body, c.most)
		r.ServeHTTP(w, q)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.kind, w.Code, w.Body)
		}
	}
}
