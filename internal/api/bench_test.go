package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// counter is a peer that takes all.
type counter struct {
	header http.Header
	bytes  int
}

func (c *counter) Header() http.Header { return c.header }

func (c *counter) WriteHeader(int) {}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}

// BenchmarkList lists 10 000 streams with two tracks each; "brief" as the server's own probe asks, of whose doings every one is a change.
func BenchmarkList(b *testing.B) {
	const streams = 10_000
	c := hub.DefaultConfig()
	c.Limits.Publishers, c.Limits.PublishersPerApp, c.Limits.PublishersPerAddress = streams+1, streams+1, streams+1
	h := hub.New(c, nil)
	units := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}).Take(4)
	for i := range streams {
		l := take(b, h, i)
		defer l.Release(nil)
		for _, u := range units {
			if err := l.Write(u); err != nil {
				b.Fatal(err)
			}
		}
	}
	handler := listOf(h)
	for name, query := range map[string]string{"all": "", "brief": "?brief=true"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/v1/streams"+query, nil)
			w := &counter{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				take(b, h, streams).Release(nil)
				w.bytes = 0
				handler.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(w.bytes)/1e6, "MB")
		})
	}
}

// take takes the name of stream i.
func take(b *testing.B, h *hub.Hub, i int) *hub.Lease {
	b.Helper()
	l, err := h.Publish(b.Context(), request(fmt.Sprintf("%04x", i), "proto", fmt.Sprintf("live/s%d", i)))
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func listOf(h *hub.Hub) http.Handler {
	return api.New(api.Options{Snapshot: h.Snapshot, Counts: h.Sessions, Events: api.NewEvents()})
}

// BenchmarkObserve tells of an event.
func BenchmarkObserve(b *testing.B) {
	e := api.NewEvents()
	defer e.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		observe(e, hub.Played, i)
	}
}
