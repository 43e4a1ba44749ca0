package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	pageText   = "<!doctype html><title>the page</title>"
	scriptName = "main-1A2B3C4D.js"
)

var scriptText = strings.Repeat("play();", 200)

// files is a small page.
func files() fstest.MapFS {
	return fstest.MapFS{
		"index.html":   {Data: []byte(pageText)},
		scriptName:     {Data: []byte(scriptText)},
		"LICENSES.txt": {Data: []byte("x")},
		"below/no.txt": {Data: []byte("not served")},
	}
}

// open returns a handler; what is not its own is answered with 418.
func open(t testing.TB, from fs.FS) http.Handler {
	t.Helper()
	h, err := Handler(from, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request; header is of names and values in turn.
func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://test/", nil)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?") // as it stands, without http.ServeMux's tidying
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	const html, js, text = "text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/plain; charset=utf-8"
	h := open(t, files())
	for _, tc := range []struct {
		method, target string
		code           int
		kind, body     string
	}{
		{"GET", "/play/", 200, html, pageText},
		{"GET", "/play/live/cam1", 200, html, pageText},
		{"GET", "/play/live/cam1?token=x&via=hls", 200, html, pageText},
		{"GET", "/play/live/floor/cam1", 200, html, pageText},
		{"GET", "/play/live/cam1.js", 200, html, pageText},
		{"GET", "/play/assets/" + scriptName, 200, html, pageText}, // a stream may be called so
		{"GET", "/play/<script>/\"'\x00\xff", 200, html, pageText},
		{"GET", "/play/live", 200, html, pageText},
		{"HEAD", "/play/live/cam1", 200, html, ""},
		{"GET", "/play/" + scriptName, 200, js, scriptText},
		{"HEAD", "/play/" + scriptName, 200, js, ""},
		{"GET", "/play/LICENSES.txt", 200, text, "x"},
		{"GET", "/play/main-AAAAAAAA.js", 404, text, ""},
		{"GET", "/play/index.html", 404, text, ""},
		{"GET", "/play/..", 404, text, ""},
		{"GET", "/play/../page.go", 200, html, pageText}, // a path is a name here, never a place on a disk
		{"GET", "/play/below", 200, html, pageText},      // no listing
		{"GET", "/play/below/no.txt", 200, html, pageText},
		{"GET", "/play/..%2f..%2fetc/passwd", 200, html, pageText},
		{"GET", "/play", 302, "", ""},
		{"POST", "/play", 405, text, ""},
		{"POST", "/play/live/cam1", 405, text, ""},
		{"DELETE", "/play/" + scriptName, 405, text, ""},
		{"GET", "/", 418, "", ""},
		{"GET", "/player", 418, "", ""},
		{"GET", "/live/play/", 418, "", ""},
		{"POST", "/api/v1/streams", 418, "", ""},
	} {
		w := ask(h, tc.method, tc.target)
		if w.Code != tc.code || tc.kind != "" && w.Header().Get("Content-Type") != tc.kind {
			t.Errorf("%s %q: %d %q, want %d %q", tc.method, tc.target, w.Code, w.Header().Get("Content-Type"), tc.code, tc.kind)
		}
		if tc.code == 200 && w.Body.String() != tc.body {
			t.Errorf("%s %q: body %.60q", tc.method, tc.target, w.Body)
		}
		if tc.code == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %q: Allow %q", tc.method, tc.target, w.Header().Get("Allow"))
		}
		if tc.code != 418 {
			secured(t, tc.target, w.Header())
		}
	}
	if to := ask(h, "GET", "/play?token=x").Header().Get("Location"); to != "/play/?token=x" {
		t.Errorf("led to %q", to)
	}
}

// secured looks for what every answer must have.
func secured(t *testing.T, target string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": policy,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%q: %s is %q", target, name, got)
		}
	}
}

// A looser policy is a decision, not an accident.
func TestPolicy(t *testing.T) {
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src data:", "connect-src 'self' ws: wss:", "media-src 'self' blob:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors *",
	} {
		if !strings.Contains("; "+policy+";", "; "+want+";") {
			t.Errorf("the policy has no %q", want)
		}
	}
	for _, no := range []string{"unsafe", "http:", "https:"} {
		if strings.Contains(policy, no) {
			t.Errorf("the policy has %q", no)
		}
	}
}

// Nothing of a request may come into the page: two streams have the same bytes.
func TestSameForAll(t *testing.T) {
	h := open(t, web.Files())
	one := ask(h, "GET", "/play/live/a").Body.String()
	if other := ask(h, "GET", "/play/<img src=x>/b?c=<d>").Body.String(); other != one {
		t.Error("the pages of two streams differ")
	}
}

func TestGzip(t *testing.T) {
	h := open(t, files())
	for _, tc := range []struct {
		target, accept string
		packed         bool
	}{
		{"/play/" + scriptName, "gzip, deflate, br", true},
		{"/play/" + scriptName, "br;q=1, GZIP;q=0.5", true},
		{"/play/" + scriptName, "br", false},
		{"/play/" + scriptName, "gzip;q=0", false},
		{"/play/" + scriptName, "gzip; q=0.000", false},
		{"/play/" + scriptName, "", false},
		{"/play/LICENSES.txt", "gzip", false}, // it would only grow
	} {
		w := ask(h, "GET", tc.target, "Accept-Encoding", tc.accept)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != tc.packed {
			t.Errorf("%s with %q: packed %v", tc.target, tc.accept, got)
			continue
		}
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%s with %q: Content-Length %s of %d", tc.target, tc.accept, got, w.Body.Len())
		}
		if w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: Vary %q", tc.target, w.Header().Get("Vary"))
		}
		if !tc.packed {
			continue
		}
		r, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != scriptText {
			t.Errorf("unpacked to %.40q, %v", b, err)
		}
	}
}

func TestCache(t *testing.T) {
	h := open(t, files())
	for _, tc := range []struct{ target, cache string }{
		{"/play/live/cam1", "no-cache"},
		{"/play/LICENSES.txt", "no-cache"},
		{"/play/" + scriptName, "public, max-age=31536000, immutable"},
	} {
		if got := ask(h, "GET", tc.target).Header().Get("Cache-Control"); got != tc.cache {
			t.Errorf("%s: Cache-Control %q", tc.target, got)
		}
	}
	plain := ask(h, "GET", "/play/"+scriptName).Header().Get("ETag")
	packed := ask(h, "GET", "/play/"+scriptName, "Accept-Encoding", "gzip").Header().Get("ETag")
	if plain == packed || len(plain) < 10 || !strings.HasPrefix(plain, `"`) || !strings.HasSuffix(packed, `"`) {
		t.Errorf("tags %s and %s", plain, packed)
	}
	for _, tc := range []struct {
		sent, accept string
		code         int
	}{
		{plain, "", 304},
		{"W/" + plain, "", 304},
		{`"other", ` + plain, "", 304},
		{"*", "", 304},
		{packed, "gzip", 304},
		{packed, "", 200},
		{plain, "gzip", 200},
		{`"other"`, "", 200},
		{"", "", 200},
	} {
		w := ask(h, "GET", "/play/"+scriptName, "If-None-Match", tc.sent, "Accept-Encoding", tc.accept)
		if w.Code != tc.code {
			t.Errorf("If-None-Match %s, Accept-Encoding %q: %d, want %d", tc.sent, tc.accept, w.Code, tc.code)
		}
		if w.Code == 304 && (w.Body.Len() > 0 || w.Header().Get("ETag") == "" || w.Header().Get("Content-Encoding") != "") {
			t.Errorf("304 with %d bytes and %v", w.Body.Len(), w.Header())
		}
	}
}

func TestNoPage(t *testing.T) {
	if _, err := Handler(fstest.MapFS{"main.js": {}}, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("without a page: %v", err)
	}
}

// The page as it was built names files that are there, and no other host. Its scripts are in files: the policy allows no others.
func TestBuilt(t *testing.T) {
	built := web.Files()
	html, err := fs.ReadFile(built, index)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, built)
	for part := range strings.SplitSeq(string(html), `"`) {
		name, ok := strings.CutPrefix(part, prefix)
		if !ok {
			continue
		}
		if w := ask(h, "GET", part); w.Code != http.StatusOK || bytes.Equal(w.Body.Bytes(), html) {
			t.Errorf("the page names %s: status %d", part, w.Code)
		}
		if ext := path.Ext(name); (ext == ".js" || ext == ".css") && !hashed(name) {
			t.Errorf("%s has no hash in its name as hashed wants it", name)
		}
	}
	for _, no := range []string{"http://", "https://", "<style", " style=", " onclick=", "{{", "<script>"} {
		if rest := strings.ReplaceAll(string(html), "http://www.w3.org/2000/svg", ""); strings.Contains(rest, no) {
			t.Errorf("the page has %s in it", no)
		}
	}
}

// Many ask at once for what is packed once.
func TestConcurrent(t *testing.T) {
	h := open(t, web.Files())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, target := range []string{"/play/", "/play/live/x", "/play/LICENSES.txt"} {
				if w := ask(h, "GET", target, "Accept-Encoding", "gzip"); w.Code != http.StatusOK {
					t.Errorf("%s: %d", target, w.Code)
				}
			}
		})
	}
	wg.Wait()
}

// patient is a ResponseWriter that is told until when it may write.
type patient struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (p *patient) SetWriteDeadline(t time.Time) error {
	p.until = t
	return nil
}

// TestSlowClient: who has a slow link gets the files too, and not for ever.
func TestSlowClient(t *testing.T) {
	w := &patient{ResponseRecorder: httptest.NewRecorder()}
	open(t, files()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/play/"+scriptName, nil))
	if left := time.Until(w.until); left < 30*time.Second || left > 2*time.Minute {
		t.Errorf("it has %v", left)
	}
}
