package files

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

// house is a window with files behind it.
type house struct {
	*Files
	www   string
	asked []string // what May was asked
	deny  error
	known bool
	lists bool
}

func build(t testing.TB) *house {
	t.Helper()
	top := t.TempDir()
	h := &house{www: filepath.Join(top, "www"), known: true}
	for name, text := range map[string]string{
		"www/record/a.mp4": "0123456789", "www/record/b<i>.mp4": "x", "www/site/index.html": "<p>hello", "www/site2/index.htm": "old", "www/page.html": "page",
		"www/rec/shadowed": "s", "rec/c.ts": "ts", "secret": "topsecret", "www/.hidden": "hiding", "www/empty/.keep": "",
	} {
		at := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	tree := func(name string) *disk.Tree {
		tr, err := disk.NewTree(filepath.Join(top, name), disk.NewVolume(disk.VolumeOptions{Name: name}))
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	h.Files = New(Options{
		Log: slog.New(slog.DiscardHandler), Root: tree("www"), Aliases: map[string]*disk.Tree{"rec": tree("rec")}, Downloads: []*disk.Tree{tree("www/record"), tree("rec")},
		CORS: "*", Listing: func() bool { return h.lists }, Known: func(netip.Addr) bool { return h.known },
		May: func(q Question) (*http.Cookie, error) {
			rel, _ := filepath.Rel(top, q.File)
			h.asked = append(h.asked, fmt.Sprint(rel, " ", q.Dir))
			return &http.Cookie{Name: "c", Value: "v"}, h.deny
		},
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "next", http.StatusNotFound) }))
	return h
}

func (h *house) get(target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServe(t *testing.T) {
	h := build(t)
	for _, c := range []struct {
		target string
		status int
		body   string
		asked  string
	}{
		{"/record/a.mp4", 200, "0123456789", "www/record/a.mp4 false"},
		{"/record//a.mp4", 200, "0123456789", "www/record/a.mp4 false"},
		{"/page.html", 200, "page", "www/page.html false"},
		{"/site/", 200, "<p>hello", "www/site true"},
		{"/site2/?token=1", 200, "old", "www/site2 true"},
		{"/rec/c.ts", 200, "ts", "rec/c.ts false"},
		{"/rec/shadowed", 404, "next\n", ""},
		{"/site", 301, "", ""},
		{"/record/", 404, "next\n", "www/record true"}, // what is in it is not shown
		{"/", 404, "next\n", "www true"},
		{"/none", 404, "next\n", ""},
		{"/.hidden", 404, "next\n", ""},
		{"/record/../../secret", 404, "next\n", ""},
		{"/..%2fsecret", 404, "next\n", ""},
		{"/%2e%2e/secret", 404, "next\n", ""},
		{"/record/a.mp4%00", 404, "next\n", ""},
		{"/record/a.mp4/", 200, "0123456789", "www/record/a.mp4 false"},
		{"/" + strings.Repeat("x", 5000), 404, "next\n", ""},
	} {
		h.asked = nil
		w := h.get(c.target)
		if got := strings.Join(h.asked, ","); w.Code != c.status || w.Body.String() != c.body || got != c.asked {
			t.Errorf("%.40s: %d %q, asked %q, want %d %q, %q", c.target, w.Code, w.Body, got, c.status, c.body, c.asked)
		}
	}
	w := h.get("/record/a.mp4", func(r *http.Request) { r.Header.Set("Range", "bytes=2-4") })
	if w.Code != 206 || w.Body.String() != "234" || w.Header().Get("Content-Type") != "video/mp4" || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(w.Header().Get("Set-Cookie"), "c=v") {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	seen := w.Header().Get("Last-Modified")
	if w = h.get("/record/a.mp4", func(r *http.Request) { r.Header.Set("If-Modified-Since", seen) }); w.Code != http.StatusNotModified {
		t.Errorf("again: %d", w.Code)
	}
	if w = h.get("/record/a.mp4", func(r *http.Request) { r.Method = http.MethodHead }); w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	if w = h.get("/record/a.mp4", func(r *http.Request) { r.Method = http.MethodPost }); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
	h.asked = nil
	if w = h.get("/record/a.mp4", func(r *http.Request) { r.Method = http.MethodOptions }); w.Code != http.StatusNoContent ||
		w.Header().Get("Access-Control-Allow-Methods") != "GET, HEAD, OPTIONS" || len(h.asked) > 0 {
		t.Errorf("OPTIONS: %d %v, asked %q", w.Code, w.Header(), h.asked)
	}
	if w = h.get("/site?a=b&c"); w.Header().Get("Location") != "./site/?a=b&c" {
		t.Errorf("%v", w.Header())
	}
	// A path that looks like another host leads nowhere else.
	if w = h.get("http://host//evil.example/..//site"); w.Header().Get("Location") != "./site/" {
		t.Errorf("%v", w.Header())
	}
}

func TestRefused(t *testing.T) {
	h := build(t)
	h.deny = errors.New("denied: not you")
	for _, target := range []string{"/record/a.mp4", "/site/", "/"} {
		if w := h.get(target); w.Code != http.StatusUnauthorized || w.Body.String() != "denied: not you\n" || w.Header().Get("Set-Cookie") == "" {
			t.Errorf("%s: %d %s %v", target, w.Code, w.Body, w.Header())
		}
	}
	h.known = false
	h.asked = nil
	for _, target := range []string{"/record/a.mp4", "/none", "/"} {
		if w := h.get(target); w.Code != http.StatusUnauthorized || len(h.asked) > 0 {
			t.Errorf("%s: %d %s, asked %v", target, w.Code, w.Body, h.asked)
		}
	}
}

func TestList(t *testing.T) {
	h := build(t)
	h.lists = true
	w := h.get("/record/")
	if got := w.Body.String(); w.Code != 200 || !strings.Contains(got, `<a href="./a.mp4">a.mp4</a></td><td align="right">10<`) || !strings.Contains(got, `<a href="../">`) ||
		!strings.Contains(got, `<a href="./b%3Ci%3E.mp4">b&lt;i&gt;.mp4</a>`) || w.Header().Get("Content-Security-Policy") != "default-src 'none'" {
		t.Errorf("%d %s %v", w.Code, got, w.Header())
	}
	if got := h.get("/").Body.String(); strings.Contains(got, "hidden") || strings.Contains(got, `"../"`) || !strings.Contains(got, `<a href="./record/">record/</a>`) {
		t.Error(got)
	}
	for i := range entriesMost + 1 {
		if err := os.WriteFile(filepath.Join(h.www, "empty", fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.get("/empty/").Body.String(); strings.Count(got, "<tr><td>") != entriesMost+1 || !strings.Contains(got, "there are more") {
		t.Error(strings.Count(got, "<tr><td>"))
	}
}

func TestDownload(t *testing.T) {
	h := build(t)
	inside := filepath.Join(h.www, "record", "a.mp4")
	do := func(at, saveAs string, allowed bool) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.Download(w, httptest.NewRequest(http.MethodGet, "/index/api/downloadFile", nil), at, saveAs, allowed)
		return w
	}
	for _, c := range []struct {
		what, path string
		status     int
		body       string
	}{
		{"a file", inside, 200, "0123456789"},
		{"of another folder", filepath.Join(h.www, "..", "rec", "c.ts"), 200, "ts"},
		{"no file", h.www + "/record/c.mp4", 404, "there is no such file\n"},
		{"the folder", h.www + "/record", 404, "there is no such file\n"},
		{"outside", h.www + "/page.html", 401, "this file may not be downloaded\n"},
		{"a name that begins as the folder's", h.www + "/record2/a", 401, "this file may not be downloaded\n"},
		{"up and down again", h.www + "/record/../record/a.mp4", 401, "this file may not be downloaded\n"},
		{"relative", "record/a.mp4", 401, "this file may not be downloaded\n"},
		{"nothing", "", 401, "this file may not be downloaded\n"},
		{"a zero", inside + "\x00", 404, "there is no such file\n"},
	} {
		if w := do(c.path, "", true); w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %q, want %d %q", c.what, w.Code, w.Body, c.status, c.body)
		}
	}
	if len(h.asked) > 0 {
		t.Errorf("with the secret, asked %v", h.asked)
	}
	if w := do(inside, "../x.mp4", false); w.Code != 200 || len(h.asked) != 1 || w.Header().Get("Content-Disposition") != `attachment; filename=_x.mp4` {
		t.Errorf("%d %v, asked %v", w.Code, w.Header(), h.asked)
	}
	h.deny = errors.New("no")
	if w := do(inside, "", false); w.Code != 401 || w.Body.String() != "no\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.known = false
	if w := do(inside, "", false); w.Code != 401 || len(h.asked) != 2 {
		t.Errorf("%d %s, asked %v", w.Code, w.Body, h.asked)
	}
	if w := do(inside, "", true); w.Code != 200 {
		t.Errorf("with the secret: %d", w.Code)
	}
}

// TestPlaces: requests at the same time are bounded, for each address and in all, and places come back.
func TestPlaces(t *testing.T) {
	h := build(t)
	one := netip.MustParseAddr("192.0.2.1")
	for range addressMost {
		if !h.places.enter(one) {
			t.Fatal("no place")
		}
	}
	if w := h.get("/page.html"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" { // httptest comes from that address
		t.Errorf("%d %v", w.Code, w.Header())
	}
	other := func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1" }
	if w := h.get("/page.html", other); w.Code != http.StatusOK {
		t.Errorf("another address: %d", w.Code)
	}
	for i := range requestsMost - addressMost {
		if !h.places.enter(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})) {
			t.Fatal("no place")
		}
	}
	if w := h.get("/page.html", other); w.Code != http.StatusServiceUnavailable {
		t.Errorf("too many in all: %d", w.Code)
	}
	for range addressMost {
		h.places.leave(one)
	}
	if w := h.get("/page.html"); w.Code != http.StatusOK || len(h.places.by) != requestsMost-addressMost || h.places.all != requestsMost-addressMost {
		t.Errorf("%d, %d and %d", w.Code, len(h.places.by), h.places.all)
	}
}

// One subscriber has a network of IPv6 addresses, and the places of one.
func TestPlacesOfNetwork(t *testing.T) {
	var p places
	for i := range addressMost {
		if !p.enter(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})) {
			t.Fatal("no place")
		}
	}
	if p.enter(netip.MustParseAddr("2001:db8::ffff")) {
		t.Error("a network has more places than an address")
	}
	if !p.enter(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("another network has none")
	}
}

// A peer that takes its answer slowly gets all of it, however long that takes.
func TestSlowPeer(t *testing.T) {
	h := build(t)
	big := strings.Repeat("x", 8<<20)
	if err := os.WriteFile(filepath.Join(h.www, "big"), []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.WriteTimeout = 50 * time.Millisecond // of the server: parts have their own
	s.Start()
	defer s.Close()
	res, err := http.Get(s.URL + "/big")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-time.After(200 * time.Millisecond)
	if n, err := io.Copy(io.Discard, res.Body); n != int64(len(big)) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// pipes is a listener of connections in memory, which hold nothing: what is written waits until it is read.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A peer that takes nothing of its answer is given up, and its place is free again.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		if err := os.WriteFile(filepath.Join(h.www, "big"), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		l := make(pipes, 1)
		l <- ours
		s := &http.Server{Handler: h}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		if _, err := io.WriteString(theirs, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		places := func() int {
			h.places.mu.Lock()
			defer h.places.mu.Unlock()
			return h.places.all
		}
		if n := places(); n != 1 {
			t.Errorf("%d places are taken by one request", n)
		}
		time.Sleep(partTime + time.Second)
		if n := places(); n != 0 {
			t.Errorf("after %v %d places are still taken", partTime, n)
		}
		close(l)
		_ = theirs.Close()
		_ = s.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// busy has all workers of a volume be busy until free is closed.
func busy(t *testing.T, v *disk.Volume, free <-chan struct{}) {
	t.Helper()
	for range 4 {
		if err := v.Go(0, "hang", func() error { <-free; return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// That there is no file is said too where the disk takes longer to find out than the server gives an answer.
func TestSlowlyNotThere(t *testing.T) {
	h := build(t)
	free := make(chan struct{})
	busy(t, h.opt.Root.Volume(), free)
	s := httptest.NewUnstartedServer(h)
	s.Config.WriteTimeout = 50 * time.Millisecond
	s.Start()
	defer s.Close()
	time.AfterFunc(200*time.Millisecond, func() { close(free) })
	res, err := http.Get(s.URL + "/none")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
}

// A folder whose disk begins to hang is answered when the first look at it has had its time.
func TestFolderHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		h.lists = true
		free := make(chan struct{})
		h.opt.May = func(Question) (*http.Cookie, error) {
			busy(t, h.opt.Root.Volume(), free)
			return nil, nil
		}
		begun := time.Now()
		if w := h.get("/record/"); w.Code != http.StatusServiceUnavailable || time.Since(begun) > 10*time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(begun))
		}
		close(free)
	})
}

// Very many ranges are none: each would be read on its own.
func TestManyRanges(t *testing.T) {
	h := build(t)
	for n, want := range map[int]int{2: http.StatusPartialContent, 3: http.StatusPartialContent, 2 * rangesMost: http.StatusOK} {
		w := h.get("/record/a.mp4", func(r *http.Request) {
			r.Header.Set("Range", "bytes=0-0"+strings.Repeat(",-0", n-2)+",2-2")
		})
		if w.Code != want {
			t.Errorf("%d ranges: %d", n, w.Code)
		}
	}
}

// Nobody is asked about what no system can open.
func TestLongDownload(t *testing.T) {
	h := build(t)
	w := httptest.NewRecorder()
	h.Download(w, httptest.NewRequest(http.MethodGet, "/index/api/downloadFile", nil), h.www+"/record/"+strings.Repeat("x", nameBytes), "", false)
	if w.Code != http.StatusUnauthorized || len(h.asked) > 0 {
		t.Errorf("%d, asked about %d", w.Code, len(h.asked))
	}
}

func TestSaveName(t *testing.T) {
	for name, want := range map[string]string{
		"":                         "",
		"a b.mp4":                  "a b.mp4",
		"../../etc/passwd":         "_.._etc_passwd",
		"C:\\x":                    "C__x",
		"a\r\nSet-Cookie: x=1.mp4": "aSet-Cookie_ x=1.mp4",
		"\xff录像\u202e.mp4":         "录像.mp4",
		"...":                      "",
		strings.Repeat("é", 300):   strings.Repeat("é", nameMost/2),
	} {
		if got := saveName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
