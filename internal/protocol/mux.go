package protocol

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Mux routes the requests of the shared HTTP listener. Live media hang on the end of a path ("/app/name.live.flv"), for
// which http.ServeMux has no pattern; all else goes by its patterns. A pattern other than "/" comes before a suffix: what is
// under /api is the API's, whatever its name ends with. It is safe for concurrent use.
type Mux struct {
	prefix *http.ServeMux

	mu     sync.RWMutex
	suffix []suffixRoute // the longest first
}

type suffixRoute struct {
	suffix string
	h      http.Handler
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return &Mux{prefix: http.NewServeMux()} }

// Handle registers a handler for a pattern of http.ServeMux.
func (m *Mux) Handle(pattern string, h http.Handler) { m.prefix.Handle(pattern, h) }

// HandleSuffix registers a handler for all paths that end with suffix. Of several that fit, the longest counts.
func (m *Mux) HandleSuffix(suffix string, h http.Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suffix = append(m.suffix, suffixRoute{suffix, h})
	slices.SortStableFunc(m.suffix, func(a, b suffixRoute) int { return len(b.suffix) - len(a.suffix) })
}

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.route(r).ServeHTTP(w, r)
}

// Live says whether a request is for live media: its answer may have to wait for a stream.
func (m *Mux) Live(r *http.Request) bool { return m.live(r) != nil }

// Named says whether a request is for a handler of a pattern other than "/". Its decoded path does not tell: in /api%2Fv1 it looks as if it were under
// /api/, and is not.
func (m *Mux) Named(r *http.Request) bool {
	_, pattern := m.prefix.Handler(r)
	return pattern != "" && pattern != "/"
}

func (m *Mux) route(r *http.Request) http.Handler {
	if h := m.live(r); h != nil {
		return h
	}
	return m.prefix
}

// live returns the handler of a suffix that is responsible for a request, or nil.
func (m *Mux) live(r *http.Request) http.Handler {
	if m.Named(r) {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.suffix {
		if strings.HasSuffix(r.URL.Path, s.suffix) {
			return s.h
		}
	}
	return nil
}
