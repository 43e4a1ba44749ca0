package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// www makes a folder with files, and gives its path.
func www(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "www")
	for name, text := range map[string]string{"record/a.mp4": "0123456789", "b.txt": "text", "live/page.html": "page"} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fetch asks for a path, with cookies and a query, and gives the status and the body.
func fetch(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestFiles: files are served where they are, beside everything else, to the addresses that may call.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir := www(t)
	r := run(t, "files.root="+dir, "files.aliases=[old="+dir+"/record]", "files.download=["+dir+"/record]", "api.secret="+servesSecret)
	for path, want := range map[string]string{
		"/record/a.mp4": "200 0123456789", "/old/a.mp4": "200 0123456789", "/b.txt": "200 text", "/none": "404 {", "/livez": "200 {", "/play/": "200 <!doctype",
		"/live/page.html": "200 page", "/live/": "404 {",
		"/index/api/downloadFile?file_path=" + dir + "/record/a.mp4":                               "200 0123456789",
		"/index/api/downloadFile?file_path=" + dir + "/b.txt":                                      "401 this file may not",
		"/index/api/downloadFile?file_path=" + dir + "/record/a.mp4&secret=wrong":                  "200 {\n\t\"code\": -100",
		"/index/api/downloadFile?file_path=" + dir + "/record/b.mp4&secret=" + servesSecret:        "404 there is no such file",
		"/index/api/downloadFile?file_path=" + dir + "/record/../record/a.mp4&secret=" + "x-wrong": "200 {\n\t\"code\": -100",
	} {
		if status, body := r.get(t, path, ""); !strings.HasPrefix(strings.ToLower(fmt.Sprint(status, " ", body)), strings.ToLower(want)) {
			t.Errorf("%s: %d %.80q, want %s", path, status, body, want)
		}
	}
	// What can be read is not for who has the secret, and who lists is.
	for _, key := range []string{"files.root", "files.aliases", "files.download"} {
		if _, err := r.Settings().Change(t.Context(), map[string]string{key: "/"}); err == nil || !strings.Contains(err.Error(), "where the server is started") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if changed, later := change(t, r, map[string]string{"files.listing": "true"}); len(changed) != 1 || len(later) > 0 {
		t.Errorf("changed %v, %v of them for the next start", changed, later)
	}
	if status, body := r.get(t, "/live/", ""); status != http.StatusOK || !strings.Contains(body, "page.html") {
		t.Errorf("not listed: %d %s", status, body)
	}
	if _, body := r.get(t, "/index/api/setServerConfig?secret="+servesSecret+"&http.rootPath=/&http.dirMenu=0", ""); !strings.Contains(body, `"changed": 1`) {
		t.Error(body)
	}
	if status, _ := r.get(t, "/live/", ""); status != http.StatusNotFound {
		t.Errorf("listed still: %d", status)
	}
	change(t, r, map[string]string{"api.from": "[192.0.2.1]"})
	for _, path := range []string{"/record/a.mp4", "/index/api/downloadFile?file_path=" + dir + "/record/a.mp4"} {
		if status, body := r.get(t, path, ""); status != http.StatusUnauthorized {
			t.Errorf("%s from an address that may not: %d %s", path, status, body)
		}
	}
}

// TestFilesUnderEncodedPaths: a path that only looks like one of the API, because a slash in it is encoded, leads to a file, which is sent as others are:
// an answer of the API is kept in memory until it is whole, and a file may be of any size.
func TestFilesUnderEncodedPaths(t *testing.T) {
	t.Parallel()
	dir := www(t)
	r := run(t, "files.root="+dir, "api.secret="+servesSecret)
	file := filepath.Join(dir, "record", "a.mp4")
	for _, path := range []string{"/api%2f..%2frecord%2fa.mp4", "/index/api%2f..%2f..%2frecord%2fa.mp4"} {
		if err := os.Truncate(file, 64<<20); err != nil { // more than is under way between two ends
			t.Fatal(err)
		}
		res, err := http.Get("http://" + r.Addr("HTTP").String() + path)
		if err != nil {
			t.Fatal(err)
		}
		if err = os.Truncate(file, 0); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || err == nil {
			t.Errorf("%s: %d, %d bytes of a file that has gone were in memory", path, res.StatusCode, n)
		}
	}
}

// TestFilesByHook: the platform decides who reads, and its answer holds for who has its cookie.
func TestFilesByHook(t *testing.T) {
	t.Parallel()
	dir := www(t)
	var mu sync.Mutex
	var asked []string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Path, Params string
			File         string `json:"file_path"`
			Dir          bool   `json:"is_dir"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		mu.Lock()
		asked = append(asked, fmt.Sprint(q.Path, " ", strings.TrimPrefix(q.File, dir), " ", q.Dir))
		mu.Unlock()
		if strings.Contains(q.Params, "token=good") {
			_, _ = io.WriteString(w, `{"code":0,"err":"","path":"/record","second":60}`)
			return
		}
		_, _ = io.WriteString(w, `{"code":0,"err":"no token"}`)
	}))
	t.Cleanup(platform.Close)
	r := run(t, "files.root="+dir, "files.download=["+dir+"]", "api.secret="+servesSecret, "api.from=[192.0.2.1]", "hooks.on_http_access="+platform.URL)
	base := "http://" + r.Addr("HTTP").String()
	if status, body := fetch(t, http.DefaultClient, base+"/record/a.mp4"); status != http.StatusUnauthorized || body != "denied: no token\n" {
		t.Errorf("%d %s", status, body)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	for _, at := range []string{"/record/a.mp4?token=good", "/record/a.mp4"} {
		if status, body := fetch(t, browser, base+at); status != http.StatusOK || body != "0123456789" {
			t.Errorf("%s: %d %s", at, status, body)
		}
	}
	if status, body := fetch(t, browser, base+"/b.txt"); status != http.StatusUnauthorized {
		t.Errorf("elsewhere: %d %s", status, body)
	}
	if status, body := fetch(t, browser, base+"/index/api/downloadFile?token=good&file_path="+dir+"/b.txt"); status != http.StatusOK || body != "text" {
		t.Errorf("a download: %d %s", status, body)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"/record/a.mp4 /record/a.mp4 false", "/record/a.mp4 /record/a.mp4 false", "/b.txt /b.txt false", "/index/api/downloadFile /b.txt false",
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestFilesVerdictScope: an answer is about what a path leads to, and not about what it begins with; and it holds in folders of any name.
func TestFilesVerdictScope(t *testing.T) {
	t.Parallel()
	dir := www(t)
	const odd = "录 像"
	if err := errors.Join(os.Mkdir(filepath.Join(dir, odd), 0o700), os.WriteFile(filepath.Join(dir, odd, "c.txt"), []byte("odd"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Path string
			File string `json:"file_path"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		mu.Lock()
		asked = append(asked, q.Path+" "+strings.TrimPrefix(q.File, dir))
		mu.Unlock()
		if strings.HasPrefix(q.Path, "/record/") || strings.HasPrefix(q.Path, "/"+odd) {
			_, _ = io.WriteString(w, `{"code":0,"err":"","second":60}`)
			return
		}
		_, _ = io.WriteString(w, `{"code":0,"err":"no"}`)
	}))
	t.Cleanup(platform.Close)
	r := run(t, "files.root="+dir, "files.download=["+dir+"]", "hooks.on_http_access="+platform.URL)
	base := "http://" + r.Addr("HTTP").String()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at     string
		status int
	}{
		{"/record/a.mp4?x=1", 200},
		{"/record/a.mp4", 200}, // by the cookie
		{"/record/%2e%2e/b.txt?x=1", 401},
		{"/record/..%2fb.txt", 401},
		{"/index/api/downloadFile?file_path=" + dir + "//./b.txt", 401},
	} {
		if status, body := fetch(t, &http.Client{Jar: jar}, base+c.at); status != c.status {
			t.Errorf("%s: %d %s", c.at, status, body)
		}
	}
	res, err := http.Get(base + "/%E5%BD%95%20%E5%83%8F/c.txt")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	// Browsers compare it with what they send.
	if all := res.Cookies(); len(all) != 1 || all[0].Path != "/%E5%BD%95%20%E5%83%8F" {
		t.Errorf("%v", all)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"/record/a.mp4 /record/a.mp4", "/b.txt /b.txt", "/b.txt /b.txt", "/index/api/downloadFile /b.txt", "/" + odd + "/c.txt /" + odd + "/c.txt",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestFilesExposed: a folder that has a secret in it is refused.
func TestFilesExposed(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	file := filepath.Join(top, "etc", "vigil.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		"files.root=" + top:                             "files.root: " + top + " has the data folder",
		"files.root=" + top + "/data":                   "data folder",
		"files.download=[/]":                            "files.download: / has the data folder",
		"files.aliases=[x=" + top + "/etc]":             "files.aliases: " + top + "/etc has the configuration file",
		"files.root=" + top + "/data/record":            "",
		"files.root=" + top + "/www":                    "",
		"files.root=" + top + "/dat":                    "",
		"files.download=[" + top + "/www, /srv/no/way]": "",
	} {
		c, err := conf.Load(conf.Source{File: file, Known: server.Known(), Set: []string{"data=" + filepath.Join(top, "data"), set}})
		if err != nil {
			t.Fatal(err)
		}
		if err = server.Check(c); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}

// TestFilesExposedByLinks: a folder that has a secret in it, by links only, is not read. Nobody looks at links before: their disk may hang.
func TestFilesExposedByLinks(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	join := func(name string) string { return filepath.Join(top, name) }
	if err := errors.Join(
		os.MkdirAll(join("www/data"), 0o700), os.WriteFile(join("www/data/x.txt"), []byte("x"), 0o600), os.Symlink(join("www/data"), join("data")),
		os.Mkdir(join("other"), 0o700), os.WriteFile(join("other/y.txt"), []byte("y"), 0o600), os.Symlink(join("other"), join("good")), os.Symlink(top, join("all")),
	); err != nil {
		t.Fatal(err)
	}
	r := run(t, "data="+join("data"), "files.root="+join("www"), "files.aliases=[all="+join("all")+", good="+join("good")+"]", "files.listing=true", "api.secret="+servesSecret,
		"files.download=["+join("all")+"]")
	for path, want := range map[string]int{
		"/data/x.txt": 404, "/data/": 404, "/": 404, "/all/": 404, "/all/data/x.txt": 404, "/all/www/data/x.txt": 404, "/good/y.txt": 200, "/good/": 200,
		"/index/api/downloadFile?file_path=" + join("all/www/data/x.txt"): 404,
	} {
		if status, body := r.get(t, path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
