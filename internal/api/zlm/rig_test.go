package zlm

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const theSecret = "0123456789abcdef"

// rig is an API over a real hub.
type rig struct {
	*API
	hub       *hub.Hub
	settings  map[string]string
	secret    string
	restarted int
}

// newRig returns one without streams.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{hub: hub.New(hub.DefaultConfig(), nil), secret: theSecret}
	r.settings = map[string]string{"api.apiDebug": "1", "general.mediaServerId": "node-1", "http.port": "8080", "hook.on_play": ""}
	c := control.New(control.Options{
		Hub:     r.hub,
		Version: control.Version{Name: "v1.2.3", Commit: "fdaec26", Built: time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC)},
		Shards: func() []control.Load {
			return []control.Load{{Name: "shard 0", Busy: 0.071, Holds: 31, Delay: 3 * time.Millisecond}, {Name: "shard 1", Stalled: true}}
		},
		Workers: func() []control.Load { return nil },
		Objects: func() control.Objects {
			return control.Objects{Streams: 2, Rings: 3, Listeners: 4, Connections: 5, Publishers: 2, Viewers: 2}
		},
		Restart: func() error { r.restarted++; return nil },
	})
	r.API = New(Options{
		Control: c, Log: slog.New(slog.DiscardHandler),
		Secret:     func() conf.Secret { return conf.Secret(r.secret) },
		ReadConfig: func() map[string]string { return maps.Clone(r.settings) },
		WriteConfig: func(_ context.Context, set map[string]string) (changed int, err error) {
			for k, v := range set {
				if old, known := r.settings[k]; known && old != v {
					r.settings[k] = v
					changed++
				}
			}
			return changed, nil
		},
		Reader: func(k hub.Key) *stream.Reader {
			if s := r.hub.Stream(k); s != nil {
				return s.NewReader()
			}
			return nil
		},
	})
	return r
}

func request(session, protocol, name string) hub.Request {
	return hub.Request{
		Key: hub.Key{VHost: hub.DefaultVHost, App: "live", Name: name}, Session: session, Protocol: protocol,
		Remote: netip.MustParseAddrPort("192.0.2.1:5000"), Local: netip.MustParseAddrPort("198.51.100.7:1935"), Query: "callId=7&x=<é>",
	}
}

// publish takes a name, and writes some media. Its publisher leaves when it is told to.
func (r *rig) publish(t testing.TB, session, name string, units int) *hub.Lease {
	t.Helper()
	l, err := r.hub.Publish(t.Context(), request(session, "rtmp", name))
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(l.Context(), func() { l.Release(nil) })
	t.Cleanup(func() { l.Finish(nil) })
	for _, u := range sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}).Take(units) {
		if err := l.Write(u); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// play watches a stream, until told to leave.
func (r *rig) play(t testing.TB, session, protocol, name string) *hub.Viewing {
	t.Helper()
	v, err := r.hub.Play(t.Context(), t.Context(), request(session, protocol, name))
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(v.Context(), func() { v.Release(nil) })
	t.Cleanup(func() { v.Release(nil) })
	return v
}

// transport is a way to send arguments.
type transport string

const (
	byQuery  transport = "query"
	byForm   transport = "form"
	byJSON   transport = "json"
	byHeader transport = "header"
)

// build makes a request of arguments in the form of a query.
func build(t testing.TB, by transport, method, path, query string) *http.Request {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	body, contentType, target := "", "", path
	switch by {
	case byQuery:
		target += "?" + query
	case byForm:
		body, contentType = query, "application/x-www-form-urlencoded; charset=UTF-8"
	case byJSON:
		contentType = "application/json;charset=utf-8"
		var members []string
		for k, v := range values {
			members = append(members, fmt.Sprintf("%q:%q", k, v[0]))
		}
		body = "{" + strings.Join(members, ",") + "}"
	case byHeader:
	}
	q := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	q.RemoteAddr = "203.0.113.9:4000"
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	if by == byHeader {
		for k, v := range values {
			q.Header.Set(k, v[0])
		}
	}
	return q
}

// do sends a request.
func (r *rig) do(q *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

// get calls with the secret.
func (r *rig) get(t testing.TB, name, query string) *httptest.ResponseRecorder {
	t.Helper()
	return r.do(build(t, byQuery, http.MethodGet, prefix+name, "secret="+theSecret+"&"+query))
}
