package metrics_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/metrics"
	"github.com/vigil-media/vigil/internal/sim"
)

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestScrape(t *testing.T) {
	m := metrics.New()
	h := hub.New(hub.DefaultConfig(), nil)
	key := hub.Key{VHost: hub.DefaultVHost, App: "live", Name: "a"}
	l, err := h.Publish(t.Context(), hub.Request{Key: key, Session: "1", Protocol: "p"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range sim.New(sim.Options{Video: av.H264, Audio: av.AAC}).Take(10) {
		if err := l.Write(u); err != nil {
			t.Fatal(err)
		}
	}
	v, err := h.Play(t.Context(), t.Context(), hub.Request{Key: key, Session: "2", Protocol: "q"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release(nil)
	s := hub.SessionInfo{Protocol: "p", Action: hub.ActionPublish}
	m.Observe(hub.Event{Kind: hub.Published, Session: s})
	m.Observe(hub.Event{Kind: hub.Unpublished, Session: s, Cause: hub.ErrSilent})
	m.Observe(hub.Event{Kind: hub.Unpublished, Session: s, Cause: errors.New("anything")})

	e := egress.New(egress.Options{}, slog.New(slog.DiscardHandler))
	text := scrape(t, m.Handler(h, e, "1.2"))
	for _, want := range []string{
		`vigil_info{version="1.2"} 1`,
		"vigil_streams 1",
		`vigil_sessions{action="publish",protocol="p"} 1`,
		`vigil_sessions{action="play",protocol="q"} 1`,
		`vigil_sessions_started_total{action="publish",protocol="p"} 1`,
		`vigil_sessions_ended_total{action="publish",protocol="p",reason="silent"} 1`,
		`vigil_sessions_ended_total{action="publish",protocol="p",reason="peer"} 1`,
		`vigil_egress_links{shard="0"} 0`,
		`vigil_egress_links_full{shard="0"} 0`,
		`vigil_egress_walks_total{shard="0"} 0`,
		`vigil_egress_pending_seconds{shard="0"} 0`,
		`vigil_egress_longest_walk_seconds{shard="0"} 0`,
		`vigil_egress_interval_seconds{shard="0"} 0`,
		"go_goroutines ",
		"process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	received := metric(t, text, "vigil_received_bytes_total ")
	l.Release(nil)
	if after := metric(t, scrape(t, m.Handler(h, e, "1.2")), "vigil_received_bytes_total "); after != received || after == "0" {
		t.Errorf("received %s, after the publisher has gone %s", received, after)
	}
}

func metric(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value
}
