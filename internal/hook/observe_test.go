package hook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// A stream that nobody watches is closed if the platform says so.
func TestNoneReader(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		closes bool
	}{
		"yes":     {`{"code":0,"close":true}`, true},
		"as text": {`{"code":"0","close":"1"}`, true},
		"no":      {`{"code":0,"close":false}`, false},
		"nothing": {yes, false},
		"null":    {`{"code":0,"close":null}`, false},
		"refused": {`{"code":1,"close":true}`, false},
		"failed":  {`{"close":true}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, to(NoneReader), func(t *testing.T, s *stage) {
				s.answers(says(c.answer))
				l, e := s.publish(t, "a")
				feed(t, l, e, 20*time.Second)
				same(t, "calls", len(s.calls(NoneReader)), 1)
				if (l.Context().Err() != nil) != c.closes {
					t.Errorf("the publisher's end: %v", l.Context().Err())
				}
				l.Release(nil)
			})
		})
	}
}

// An answer that comes late does nothing to a stream that is watched by then, nor to another publisher's.
func TestNoneReaderLate(t *testing.T) {
	late := func(w http.ResponseWriter, r *http.Request, c *called) {
		time.Sleep(2 * time.Second)
		says(`{"code":0,"close":true}`)(w, r, c)
	}
	scene(t, to(NoneReader), func(t *testing.T, s *stage) {
		s.answers(late)
		l, e := s.publish(t, "a")
		feed(t, l, e, 20*time.Second)
		same(t, "calls", len(s.calls(NoneReader)), 1)
		v, err := s.hub.Play(t.Context(), t.Context(), s.request("rtmp", "a"))
		if err != nil {
			t.Fatal(err)
		}
		feed(t, l, e, 3*time.Second)
		if l.Context().Err() != nil || v.Ended() != nil {
			t.Errorf("it ends: %v", v.Ended())
		}
		v.Release(nil)
		feed(t, l, e, 25*time.Second-time.Second)
		if l.Context().Err() == nil {
			t.Error("it does not end, though nobody watches again")
		}
		l.Release(nil)
	})
	scene(t, to(NoneReader), func(t *testing.T, s *stage) {
		s.answers(late)
		l, e := s.publish(t, "a")
		feed(t, l, e, 20*time.Second)
		same(t, "calls", len(s.calls(NoneReader)), 1)
		l.Finish(nil)
		l, e = s.publish(t, "a")
		feed(t, l, e, 3*time.Second)
		if l.Context().Err() != nil {
			t.Error("another publisher's stream ends")
		}
		l.Release(nil)
	})
}

// A viewer that waits is turned away if the platform says so; not if the stream has come.
func TestNotFound(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		after  time.Duration
	}{
		"close":  {`{"code":0,"close":true}`, time.Second},
		"wait":   {yes, 0},
		"failed": {`{"code":1,"close":true}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, to(NotFound), func(t *testing.T, s *stage) {
				s.answers(func(w http.ResponseWriter, r *http.Request, called *called) {
					time.Sleep(time.Second)
					says(c.answer)(w, r, called)
				})
				begin := time.Now()
				_, err := s.hub.Play(t.Context(), t.Context(), s.request("rtmp", "a"))
				wants(t, "it is absent", err, hub.ErrNotFound)
				after := c.after
				if after == 0 {
					after = hub.DefaultConfig().Play.Wait
				}
				same(t, "after", time.Since(begin), after)
			})
		})
	}
}

func TestNotFoundLate(t *testing.T) {
	scene(t, to(NotFound), func(t *testing.T, s *stage) {
		s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
			time.Sleep(time.Second)
			says(`{"code":0,"close":true}`)(w, r, c)
		})
		got := make(chan *hub.Viewing, 1)
		q := s.request("rtmp", "a")
		go func() {
			v, err := s.hub.Play(t.Context(), t.Context(), q)
			if err != nil {
				t.Error(err)
			}
			got <- v
		}()
		synctest.Wait()
		same(t, "calls", len(s.calls(NotFound)), 1)
		l, e := s.publish(t, "a")
		v := <-got
		feed(t, l, e, 3*time.Second)
		if v == nil || v.Ended() != nil {
			t.Error("a viewer of a stream that has come is turned away")
		}
		if v != nil {
			v.Release(nil)
		}
		l.Release(nil)
	})
}

// What is told of a stream as it comes, is lost, goes on, and ends.
func TestStory(t *testing.T) {
	c := to(Changed)
	c.Schemas = []string{"rtsp", "hls"}
	scene(t, c, func(t *testing.T, s *stage) {
		l, e := s.publish(t, "a")
		synctest.Wait()
		same(t, "published", story(s.calls(Changed), "rtsp", "a"), "+1")
		v, err := s.hub.Play(t.Context(), t.Context(), s.request("rtmp", "a"))
		if err != nil {
			t.Fatal(err)
		}
		feed(t, l, e, time.Second)
		l.Release(hub.ErrUnpublished)
		time.Sleep(5 * time.Second)
		same(t, "lost", story(s.calls(Changed), "rtsp", "a"), "+1")
		l, e = s.publish(t, "a")
		feed(t, l, e, time.Second)
		same(t, "resumed", story(s.calls(Changed), "rtsp", "a"), "+1")
		v.Release(nil)
		l.Finish(nil)
		synctest.Wait()
		for _, schema := range c.Schemas {
			same(t, "ended", story(s.calls(Changed), schema, "a"), "+1 -2")
		}
		silent, err := s.hub.Publish(t.Context(), s.request("rtmp", "b")) // never a unit
		if err != nil {
			t.Fatal(err)
		}
		silent.Finish(nil)
		synctest.Wait()
		same(t, "nothing to watch", story(s.calls(Changed), "rtsp", "b"), "")
	})
}

// A stream that has ended before it is told of is told of all the same, by the schemas of its own terms.
func TestOpenedLate(t *testing.T) {
	scene(t, to(Changed, Publish), func(t *testing.T, s *stage) {
		s.answers(says(`{"code":0,"enable_rtsp":false}`))
		s.Observe(opened("gone", 7))
		s.Observe(closed("gone", 7))
		l, _ := s.publish(t, "here")
		s.Observe(opened("here", 9)) // what was there before was served by RTSP too
		synctest.Wait()
		same(t, "story", story(s.calls(Changed), "rtsp", "gone"), "+7 -7")
		for _, c := range s.calls(Changed) {
			for _, name := range []string{"schema", "vhost", "app", "stream"} {
				if c.field(name) == "" || c.field(name) == "<nil>" {
					t.Errorf("%s is not there: %s", name, c.raw)
				}
			}
			if c.field("regist") == "true" && fmt.Sprint(c.body["tracks"]) == "<nil>" {
				t.Errorf("tracks are no list: %s", c.raw)
			}
		}
		l.Finish(nil)
	})
}

// Traffic below the threshold is not reported; reports of many do not wait for each other.
func TestFlowReport(t *testing.T) {
	c := to(FlowReport)
	c.FlowThreshold = 1000
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(takes(time.Second))
		stopped := func(id string, action hub.Action, received, sent uint64) {
			s.Observe(hub.Event{Kind: hub.Stopped, Epoch: 3, Session: hub.SessionInfo{
				ID: id, Key: key("a"), Protocol: "rtsp", Action: action, Received: received, Sent: sent, Started: time.Now().Add(-90 * time.Second),
			}})
		}
		stopped("1", hub.ActionPublish, 999, 5000)
		stopped("2", hub.ActionPlay, 5000, 999)
		stopped("3", hub.ActionPublish, 1000, 0)
		stopped("4", hub.ActionPlay, 0, 1001)
		time.Sleep(time.Second / 2)
		all := s.calls(FlowReport)
		same(t, "reports", len(all), 2)
		for _, c := range all {
			want := map[string]string{"3": "1000 false 3 90", "4": "1001 true <nil> 90"}[c.field("id")]
			got := strings.Join([]string{c.field("totalBytes"), c.field("player"), c.field("epoch"), c.field("duration")}, " ")
			same(t, "report", got, want)
		}
	})
}

// Neither the queries of hooks, nor passwords in them, nor the queries of streams are ever in the log.
func TestSecrets(t *testing.T) {
	for name, serve := range map[string]func(w http.ResponseWriter, r *http.Request, c *called){
		"500": func(w http.ResponseWriter, _ *http.Request, _ *called) {
			http.Error(w, "no", http.StatusInternalServerError)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request, _ *called) {
			http.Redirect(w, r, "http://%zz?"+r.URL.RawQuery, http.StatusFound)
		},
		"no answer": func(w http.ResponseWriter, r *http.Request, c *called) {
			_, _ = w.Write(append([]byte(r.RequestURI), c.raw...))
		},
		"hangs": hangs,
		"echo": func(w http.ResponseWriter, r *http.Request, c *called) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\n%s\r\n\r\n", r.RequestURI, c.raw)
				conn.Close()
			}
		},
		"bad header": func(w http.ResponseWriter, r *http.Request, c *called) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 %s\r\n%s\r\n\r\n", r.RequestURI, c.raw)
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := at("http://user:pass-secret@platform:8080/", Publish, Play, Changed, KeepAlive)
			for _, u := range []*URL{&c.OnPublish, &c.OnPlay, &c.OnStreamChanged, &c.OnServerKeepalive} {
				*u += "?token=hook-secret"
			}
			scene(t, c, func(t *testing.T, s *stage) {
				s.answers(serve)
				for range 8 {
					q := s.request("rtmp", "a")
					q.Query = "token=stream-secret"
					for _, a := range []hub.Action{hub.ActionPublish, hub.ActionPlay} {
						if _, err := s.Authorize(t.Context(), a, q); err == nil || strings.Contains(err.Error(), "secret") {
							t.Errorf("%v", err)
						}
					}
					e := opened("a", 1)
					e.Session.Query = q.Query
					s.Observe(e)
					time.Sleep(11 * time.Second)
				}
				time.Sleep(time.Minute)
				text := s.log.String()
				if strings.Contains(text, "secret") || !strings.Contains(text, "a hook failed") {
					t.Errorf("the log:\n%.2000s", text)
				}
				for line := range strings.Lines(text) {
					if len(line) > 500 {
						t.Errorf("a line of %d bytes", len(line))
					}
				}
				for _, c := range s.calls(Play) {
					if user, pass, _ := (&http.Request{Header: c.header}).BasicAuth(); c.query != "token=hook-secret" || user != "user" || pass != "pass-secret" {
						t.Fatalf("the target's own secrets are not sent: %v", c)
					}
				}
			})
		})
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"": "", " ": "", " http://a:8080/x?token=1 ": "http://a:8080/x", "https://u:p@a/b/c?d#e": "https://a/b/c#e", "HTTP://a": "http://a",
	} {
		var u URL
		if err := u.UnmarshalText([]byte(text)); err != nil || u.String() != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
	for text, want := range map[URL]string{
		"": "", "http://a:8080/x": "http://a:8080/x", "http://a/x?token=1": "http://a/x?***", "https://u:p@a/b?d#e": "https://***@a/b?***#e",
	} {
		if got := text.Mask(); got != want {
			t.Errorf("%q is shown as %q", string(text), got)
		}
	}
	for _, text := range []string{"a", "/x", "ftp://a/x", "http:///x", "http://", "://", "http://a:x/?secret", "http://[::1/?secret", "http:a/?secret", "%zz?secret"} {
		u := URL("before")
		if err := u.UnmarshalText([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") || u != "before" {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Default()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Config){
		"alive_interval":         func(c *Config) { c.AliveInterval = 0 },
		"timeout":                func(c *Config) { c.Timeout = time.Hour },
		"retry_delay":            func(c *Config) { c.RetryDelay = -1 },
		"cache":                  func(c *Config) { c.Cache = 2 * time.Hour },
		"retries":                func(c *Config) { c.Retries = 11 },
		"concurrency":            func(c *Config) { c.Concurrency = 1 },
		"queue":                  func(c *Config) { c.Queue = 0 },
		"stream_changed_schemas": func(c *Config) { c.Schemas = []string{"rtsp", "flv"} },
		"fail_open":              func(c *Config) { c.FailOpen = []string{"on_stream_changed"} },
		"server_id":              func(c *Config) { c.ServerID = "a\nb" },
	} {
		c := Default()
		change(&c)
		var key *conf.KeyError
		err := c.Validate()
		if k, ok := err.(*conf.KeyError); ok { //nolint:errorlint // it is not wrapped
			key = k
		}
		if key == nil || key.Key != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
