package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vigil-media/vigil/internal/metrics"
)

func TestMemory(t *testing.T) {
	r, w := prometheus.NewRegistry(), httptest.NewRecorder()
	r.MustRegister(metrics.NewMemory(func() (int, int64, int64) { return 2, 1 << 20, 1 << 30 }))
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	for _, line := range []string{
		"vigil_memory_pressure 2", "vigil_memory_used_bytes 1.048576e+06", "vigil_memory_limit_bytes 1.073741824e+09",
	} {
		if !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			t.Errorf("%q is missing:\n%s", line, w.Body)
		}
	}
}
