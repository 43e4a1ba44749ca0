package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// wantFailure judges an HTTP error.
func wantFailure(t testing.TB, a answer, status int, word string) {
	t.Helper()
	var f struct {
		Code           int
		Error, Message string
	}
	if err := json.Unmarshal([]byte(a.body), &f); err != nil {
		t.Errorf("%s: %v: %.200q", a.request, err, a.body)
		return
	}
	if a.status != status || f.Code != status || f.Error != word || f.Message == "" {
		t.Errorf("%s: %d, %+v; want %d, %q", a.request, a.status, f, status, word)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: Content-Type %q", a.request, ct)
	}
}

// figures reads /metrics.
func (s *server) figures(t testing.TB) map[string]float64 {
	t.Helper()
	a := s.request(t, http.MethodGet, "/metrics", s.authorized())
	if a.status != http.StatusOK {
		t.Fatalf("/metrics: %d", a.status)
	}
	figures := map[string]float64{}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if at < 0 || err != nil {
			t.Fatalf("/metrics: %q: %v", line, err)
		}
		figures[line[:at]] = v
	}
	return figures
}

// TestHTTP walks through what HTTP answers besides media.
func TestHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=100ms")
	units := unitsOf(t, clipAAC)
	p := publish(t, s, "web", flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
	p.send(0, units[:10]...)

	t.Run("secret", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(s.data, "api-secret"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the secret's file: %v, %v", info, err)
		}
		for _, path := range []string{"/api/v1/streams", "/metrics", "/api/v1/streams/live/web", "/api/v1/nothing"} {
			wantFailure(t, s.request(t, http.MethodGet, path, nil), http.StatusUnauthorized, "unauthorized")
			a := s.request(t, http.MethodGet, path, map[string]string{"Authorization": "Bearer " + s.secret[1:]})
			wantFailure(t, a, http.StatusUnauthorized, "unauthorized")
			if strings.Contains(a.body, s.secret) {
				t.Errorf("%s tells the secret", path)
			}
		}
	})
	t.Run("open", func(t *testing.T) {
		for _, path := range []string{"/livez", "/readyz"} {
			if a := s.request(t, http.MethodGet, path, nil); a.status != http.StatusOK || !strings.Contains(a.body, `"ok"`) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
	t.Run("metrics", func(t *testing.T) {
		f := s.figures(t)
		if f["vigil_streams"] != 1 || f[`vigil_sessions{action="publish",protocol="rtmp"}`] != 1 || f["go_goroutines"] < 5 {
			t.Errorf("streams %v, goroutines %v, of %d figures", f["vigil_streams"], f["go_goroutines"], len(f))
		}
	})
	t.Run("api", func(t *testing.T) {
		st, ok := s.stream(t, "web")
		if !ok || len(st.Tracks) != 2 || st.Tracks[0].Codec != "H264" || st.Tracks[1].Codec != "AAC" {
			t.Errorf("%+v", st)
		}
		wantFailure(t, s.request(t, http.MethodGet, "/api/v1/streams/live/nothing", s.authorized()), http.StatusNotFound, "not-found")
	})
	t.Run("errors", func(t *testing.T) {
		for _, c := range []struct {
			method, path string
			status       int
			word         string
		}{
			{"GET", "/nothing", 404, "not-found"},
			{"GET", "/live/nothing.live.flv", 404, "not-found"},
			{"GET", "/nolevel.live.flv", 400, "bad-name"},
			{"GET", "/live/a%00b.live.flv", 400, "bad-name"},
			{"POST", "/live/web.live.flv", 405, "method"},
		} {
			wantFailure(t, s.request(t, c.method, c.path, nil), c.status, c.word)
		}
	})
	t.Run("HEAD and OPTIONS", func(t *testing.T) {
		head := s.request(t, http.MethodHead, "/live/web.live.flv", nil)
		if head.status != http.StatusOK || head.header.Get("Content-Type") != "video/x-flv" || head.body != "" {
			t.Errorf("HEAD: %+v", head)
		}
		if a := s.request(t, http.MethodHead, "/live/nothing.live.flv", nil); a.status != http.StatusNotFound {
			t.Errorf("HEAD of nothing: %d", a.status)
		}
		options := s.request(t, http.MethodOptions, "/live/web.live.flv", map[string]string{
			"Origin": "http://example.org", "Access-Control-Request-Method": "GET",
		})
		if options.status != http.StatusNoContent || options.header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(options.header.Get("Access-Control-Allow-Methods"), "GET") {
			t.Errorf("OPTIONS: %+v", options)
		}
	})
	t.Run("FLV header", func(t *testing.T) { // both tracks were announced: a browser must hear of both at once
		v := view(t, s.flvURL("web"))
		within(t, 5*time.Second, "a unit comes", func() bool { u, _ := v.got(); return len(u) > 0 })
		if flags := firstBytes(t, s.flvURL("web"), 5)[4]; flags != 5 {
			t.Errorf("the FLV header's flags are %d, want 5: picture and sound", flags)
		}
	})
	p.end()
}
