package hook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// access returns a configuration with the hook about files.
func access() Config {
	c := to()
	c.OnHTTPAccess = "http://platform:8080/on_http_access"
	return c
}

// reading is the wish to read /record/a/b.mp4.
func (s *stage) reading(change ...func(*Reading)) *Reading {
	q := s.request("http", "x")
	r := &Reading{
		Remote: q.Remote, ID: q.Session, Path: "/record/a/b.mp4", File: "/srv/www/record/a/b.mp4",
		Header: http.Header{"User-Agent": {"test"}, "Accept": {"a", "b"}},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// TestAccessBody: what is asked has the fields of ZLMediaKit, and nothing else.
func TestAccessBody(t *testing.T) {
	c := access()
	c.ServerID = "node \"1\""
	scene(t, c, func(t *testing.T, s *stage) {
		if !s.AsksFiles() {
			t.Error("it does not ask")
		}
		for _, q := range []*Reading{
			s.reading(),
			s.reading(func(r *Reading) { r.Path, r.File, r.Dir, r.Query = "/record/", "/srv/www/record/", true, "a=b&c=é" }),
		} {
			if cookie, err := s.MayRead(t.Context(), q); cookie != nil || err != nil {
				t.Errorf("%+v, %v", cookie, err)
			}
		}
		all := s.calls(HTTPAccess)
		for _, b := range all {
			checkBody(t, HTTPAccess, "ip:s port:i id:s path:s file_path:s is_dir:b params:s header.User-Agent:s header.Accept:s", &b)
		}
		same(t, "lists", all[0].field("header.Accept"), "a, b")
		golden(t, HTTPAccess, all)
	})
	scene(t, to(Play), func(t *testing.T, s *stage) {
		if cookie, err := s.MayRead(t.Context(), s.reading()); cookie != nil || err != nil || s.AsksFiles() {
			t.Errorf("where nobody is asked: %v, %v", cookie, err)
		}
	})
}

func TestAccessAnswers(t *testing.T) {
	for text, want := range map[string]struct {
		err  string
		path string // of the cookie; "": there is none
		last time.Duration
	}{
		`{"code":0}`: {"", "", 0},
		`{"code":0,"err":"","path":"","second":0}`:           {"", "", 0},
		`{"code":0,"err":null,"path":null,"second":null}`:    {"", "", 0},
		`{"code":0,"err":"","path":"","second":600}`:         {"", "/record/a", 10 * time.Minute},
		`{"code":0,"path":"/record/","second":"60"}`:         {"", "/record/", time.Minute},
		`{"code":0,"path":"/","second":1e99}`:                {"", "/", 24 * time.Hour},
		`{"code":0,"path":"record","second":1}`:              {"", "/record/a", time.Second},
		`{"code":0,"path":"/a; Secure","second":1}`:          {"", "/record/a", time.Second},
		`{"code":0,"path":"/a\r\nSet-Cookie: x","second":1}`: {"", "/record/a", time.Second},
		`{"code":0,"second":-5}`:                             {"", "", 0},
		`{"code":0,"err":"not paid"}`:                        {"denied: not paid", "", 0},
		`{"code":0,"err":"not paid","second":60}`:            {"denied: not paid", "/record/a", time.Minute},
		`{"code":-1,"msg":"closed"}`:                         {"denied: closed (code -1)", "", 0},
		`{"code":-1,"second":9}`:                             {"denied: code -1", "/record/a", 9 * time.Second},
		`{"code":0,"err":"a\r\nb` + long() + `"}`:            {"denied: a  b" + long()[:196] + "...", "", 0},
		`{}`:      {"on_http_access was not answered", "", 0},
		`nothing`: {"on_http_access was not answered", "", 0},
	} {
		scene(t, access(), func(t *testing.T, s *stage) {
			s.answers(says(text))
			cookie, err := s.MayRead(t.Context(), s.reading())
			if fmt.Sprint(err) != want.err && (err != nil || want.err != "") {
				t.Errorf("%s: %v, want %s", text, err, want.err)
			}
			if (cookie == nil) != (want.path == "") || cookie != nil && (cookie.Path != want.path || cookie.Lasts != want.last || len(cookie.Value) < 20) {
				t.Errorf("%s: %+v, want %+v", text, cookie, want)
			}
		})
	}
}

// TestVerdict: an answer that holds for a while is not asked for again, neither by who has the cookie nor by who comes from there with the same query;
// for others, elsewhere, and later it is.
func TestVerdict(t *testing.T) {
	for _, text := range []string{`{"code":0,"path":"/record","second":60}`, `{"code":0,"path":"/record","second":60,"err":"no"}`} {
		scene(t, access(), func(t *testing.T, s *stage) {
			s.answers(says(text))
			first := s.reading(func(r *Reading) { r.Query = "token=1" })
			cookie, denied := s.MayRead(t.Context(), first)
			if cookie == nil || (denied != nil) != strings.Contains(text, "err") {
				t.Fatal(cookie, denied)
			}
			has := func(r *Reading) { r.Cookie = cookie.Value }
			asks := func(what string, want bool, change ...func(*Reading)) {
				t.Helper()
				before := len(s.calls(HTTPAccess))
				if _, err := s.MayRead(t.Context(), s.reading(change...)); fmt.Sprint(err) != fmt.Sprint(denied) {
					t.Errorf("%s: %v, want %v", what, err, denied)
				}
				if got := len(s.calls(HTTPAccess)) > before; got != want {
					t.Errorf("%s: asks %v, want %v", what, got, want)
				}
			}
			there := func(r *Reading) { r.Remote = first.Remote }
			asks("with the cookie", false, has)
			asks("with the cookie, the folder itself", false, has, func(r *Reading) { r.Path, r.Dir = "/record", true })
			asks("from there, with the query", false, there, func(r *Reading) { r.Query = "token=1" })
			asks("with the cookie, elsewhere", true, has, func(r *Reading) { r.Path = "/records/x" })
			asks("from there, without the query", true, there)
			asks("from elsewhere, with the query", true, func(r *Reading) { r.Query = "token=1" })
			asks("with another cookie", true, func(r *Reading) { r.Cookie = "x" })
			asks("with the cookie, a file of its own", true, has, func(r *Reading) { r.Alone = true })
			<-time.After(61 * time.Second)
			asks("too late", true, has)
		})
	}
}

// A verdict about a file whose path is that of others is about no other file.
func TestVerdictAlone(t *testing.T) {
	scene(t, access(), func(t *testing.T, s *stage) {
		s.answers(says(`{"code":0,"path":"/","second":60}`))
		alone := func(r *Reading) { r.Path, r.Alone = "/index/api/downloadFile", true }
		cookie, err := s.MayRead(t.Context(), s.reading(alone))
		if cookie == nil || err != nil {
			t.Fatal(cookie, err)
		}
		has := func(r *Reading) { r.Cookie = cookie.Value }
		for _, q := range []*Reading{s.reading(alone, has), s.reading(alone, has, func(r *Reading) { r.File = "/etc/passwd" }), s.reading(has)} {
			if _, err := s.MayRead(t.Context(), q); err != nil {
				t.Error(err)
			}
		}
		same(t, "calls", len(s.calls(HTTPAccess)), 2) // the first, and that of another file
	})
}

// A platform that does not answer costs no more than its time, and lets nobody in unless that is wished.
func TestAccessUnanswered(t *testing.T) {
	for _, open := range []bool{false, true} {
		c := access()
		if open {
			c.FailOpen = []string{"on_http_access"}
		}
		scene(t, c, func(t *testing.T, s *stage) {
			s.answers(func(_ http.ResponseWriter, r *http.Request, _ *called) { <-r.Context().Done() })
			begun := time.Now()
			_, err := s.MayRead(t.Context(), s.reading())
			if (err == nil) != open || time.Since(begun) > c.Timeout {
				t.Errorf("open %v: %v after %v", open, err, time.Since(begun))
			}
			gone, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun = time.Now()
			if _, err = s.MayRead(gone, s.reading()); time.Since(begun) > time.Second || err == nil && !open {
				t.Errorf("who has gone: %v after %v", err, time.Since(begun))
			}
		})
	}
}

// TestVerdictsBounded: many who come once cost no more than so much.
func TestVerdictsBounded(t *testing.T) {
	scene(t, access(), func(t *testing.T, s *stage) {
		target := s.target(HTTPAccess)
		for i := range 2 * cacheMost {
			target.verdicts.put(reader{cookie: fmt.Sprint(i)}, verdict{path: "/"}, time.Minute)
		}
		if n := len(target.verdicts.by); n > cacheMost {
			t.Errorf("%d are remembered", n)
		}
	})
}
