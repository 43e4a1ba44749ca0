package protocol

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// answer is a handler that says who it is.
func answer(who string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, who) })
}

func get(m *Mux, method, target string) (int, string) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Code, w.Body.String()
}

func TestMux(t *testing.T) {
	m := NewMux()
	m.Handle("GET /api/", answer("api"))
	m.Handle("/health", answer("health"))
	m.HandleSuffix(".flv", answer("flv"))
	m.HandleSuffix(".live.flv", answer("live.flv")) // the longer one wins, whatever the order
	m.HandleSuffix(".live.ts", answer("live.ts"))
	for _, tc := range []struct {
		method, target string
		code           int
		body           string
	}{
		{"GET", "/live/cam.live.flv", 200, "live.flv"},
		{"GET", "/live/cam.flv", 200, "flv"},
		{"GET", "/live/cam.live.ts?token=a.flv", 200, "live.ts"},
		{"OPTIONS", "/live/a/b/c.live.ts", 200, "live.ts"},
		{"GET", "/api/streams", 200, "api"},
		{"POST", "/api/streams", 405, "Method Not Allowed\n"},
		{"GET", "/health", 200, "health"},
		{"GET", "/live/cam.mp4", 404, "404 page not found\n"},
		{"GET", "/", 404, "404 page not found\n"},
	} {
		if code, body := get(m, tc.method, tc.target); code != tc.code || body != tc.body {
			t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.target, code, body, tc.code, tc.body)
		}
	}
}

func TestMuxConcurrent(t *testing.T) {
	m := NewMux()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			m.HandleSuffix(fmt.Sprintf(".%d", i), answer("suffix"))
			m.Handle(fmt.Sprintf("/%d/", i), answer("prefix"))
			for range 100 {
				if _, body := get(m, "GET", fmt.Sprintf("/x.%d", i)); body != "suffix" {
					t.Errorf("%q", body)
				}
				if _, body := get(m, "GET", fmt.Sprintf("/%d/x", i)); body != "prefix" {
					t.Errorf("%q", body)
				}
			}
		})
	}
	wg.Wait()
}

// What is under a pattern is that handler's, whatever the path ends with: a stream of any name can be asked for by the API.
func TestPatternBeforeSuffix(t *testing.T) {
	m := NewMux()
	m.Handle("/api/", answer("api"))
	m.Handle("/", answer("rest"))
	m.HandleSuffix(".live.flv", answer("live"))
	for path, want := range map[string]string{
		"/api%2Fv1": "rest", "/api%2F..%2Fx": "rest", "/api%2Fx.live.flv": "live", "/api/v1/streams/live%2Fx": "api",
		"/api/v1/streams/live/x.live.flv": "api", "/live/x.live.flv": "live", "/apiary/x.live.flv": "live", "/live/x": "rest",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		m.ServeHTTP(w, r)
		if got := w.Body.String(); got != want || m.Named(r) != (want == "api") {
			t.Errorf("%s: %s, want %s; of a pattern: %v", path, got, want, m.Named(r))
		}
	}
}
