package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// asked answers a health path of a server that listens nowhere.
func (s *Server) asked(path string) (int, string) {
	mux := protocol.NewMux()
	s.healthPaths(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// TestHealthPaths says what is wrong, and only then: a server that lets nobody in is live.
func TestHealthPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: defaults()}
		s.hub = hub.New(s.cfg.hub, nil)
		s.watch = s.newWatcher()
		for _, c := range []struct {
			name        string
			change      func()
			live, ready int
			says        string
		}{
			{"begun", func() {}, http.StatusOK, http.StatusOK, "ok"},
			{"short of memory", func() { s.hub.SetPressure(hub.Refuse) }, http.StatusOK, http.StatusServiceUnavailable, "short of memory"},
			{"calm again", func() { s.hub.SetPressure(hub.Calm) }, http.StatusOK, http.StatusOK, "ok"},
			{"closing", func() { s.closing.Store(true) }, http.StatusOK, http.StatusServiceUnavailable, "shutting down"},
			{"no loop turns", func() {
				s.closing.Store(false)
				time.Sleep(hubStalled + time.Second)
			}, http.StatusServiceUnavailable, http.StatusServiceUnavailable, "stuck"},
		} {
			c.change()
			live, _ := s.asked("/livez")
			ready, body := s.asked("/readyz")
			if live != c.live || ready != c.ready || !strings.Contains(body, c.says) {
				t.Errorf("%s: /livez %d, /readyz %d %s", c.name, live, ready, body)
			}
		}
	})
}
