package files

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzPath has any path be asked for: nothing from outside, and nothing hidden, is ever sent, and there is always an answer.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/record/a.mp4", "/../secret", "//secret", "/rec/../secret", "/rec/../../secret", "/.hidden", "/record/./../.hidden", "/%2e%2e/secret", "/a\x00b", "/..\\secret",
		"/site", "/site/", "/rec/", "", "*", "/record/a.mp4/../../../secret",
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, at, file string) {
		h := build(t)
		h.lists = true
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: at}, Header: http.Header{}, RemoteAddr: "192.0.2.1:1"}
		r = r.WithContext(t.Context())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		d := httptest.NewRecorder()
		h.Download(d, r, file, at, true)
		g := httptest.NewRecorder()
		h.Download(g, r, h.www+"/record/"+file, at, true)
		for _, answer := range []*httptest.ResponseRecorder{w, d, g} {
			if body := answer.Body.String(); answer.Code == http.StatusOK && (body == "topsecret" || body == "hiding" || strings.Contains(body, ">.hidden")) {
				t.Errorf("%q, %q: %s", at, file, body)
			}
			if to := answer.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "./") {
				t.Errorf("%q leads to %q", at, to)
			}
		}
	})
}
