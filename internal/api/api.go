package api

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
)

// Options are what the API has to do with. What is called must not wait for media.
type Options struct {
	Control  *control.Control
	Snapshot func() *hub.Snapshot // as of now: of the streams and all sessions
	Counts   func() (publishers, viewers int)
	Events   *Events
	Watched  Watched
	Hooks    func() []Hook // by name
	Health   []Check
	Started  time.Time // of the process; the zero time: just now
}

// API answers all that is under /api/. Make one with New.
type API struct {
	opt      Options
	mux      *http.ServeMux
	document []byte // openapi.json
}

// The paths that are more than one operation's, or known elsewhere.
const (
	streamsPath  = "/api/v1/streams" // what the server's own probe may ask for, and nothing else of the API
	streamPath   = streamsPath + "/{app}/{name}"
	sessionsPath = "/api/v1/sessions"
	sessionPath  = sessionsPath + "/{id}"
	settingsPath = "/api/v1/settings"
	eventsPath   = "/api/v1/events"
	documentPath = "/api/v1/openapi.json"
)

// New returns the API.
func New(o Options) *API {
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	a := &API{opt: o, mux: http.NewServeMux()}
	h := describedBy(routes{a.mux})
	a.streams(h)
	a.sessions(h)
	a.settings(h)
	a.server(h)
	a.watch(h)
	a.events(h)
	a.describe(h)
	a.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not-found", r.Method+" "+r.URL.Path+" is no part of this API")
	})
	return a
}

// ServeHTTP implements http.Handler, for all below /api/. Whoever mounts it asks for the secret: see [Gate].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Sends says whether the answer to a path goes on until its reader leaves: its deadlines are those of its parts, and it has a bound of its own.
// A handler that keeps answers in memory, or ends them after a while, is no good for it.
func (a *API) Sends(path string) bool { return path == eventsPath }

// routes are where huma adds its operations.
type routes struct{ *http.ServeMux }

// HandleFunc implements humago.Mux. A stream's name may have slashes, which OpenAPI has no word for and ServeMux has. Answers are not to be kept.
func (m routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	if path := streamPath; len(pattern) > len(path) && pattern[len(pattern)-len(path):] == path {
		pattern = pattern[:len(pattern)-len("}")] + "...}"
	}
	m.ServeMux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		h(w, r)
	})
}

var _ humago.Mux = routes{}

// answer is what an operation gives back.
type answer[T any] struct{ Body T }

// operation describes one of the API's, with the failures that it may answer with besides 401 and 500.
func operation(id, method, path, tag, summary string, failures ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary,
		Errors: append([]int{http.StatusUnauthorized}, failures...),
	}
}
