package zlm

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// Options are what the API has to do with. What is called must not wait for media.
type Options struct {
	Control *control.Control
	Log     *slog.Logger
	Secret  func() conf.Secret    // as it is now; "": nobody is let in
	Allowed func(netip.Addr) bool // who may call at all; nil: every address
	Guard   *api.Guard            // of the secret, which the native API has too; nil: one of its own
	CORS    string                // pages of which origin may read answers; "": none, "*": all

	// ReadConfig returns all settings in the dialect, "http.port": "8080".
	ReadConfig func() map[string]string
	// WriteConfig changes some of them, and says how many say something else now. Keys that it does not know are no errors.
	WriteConfig func(ctx context.Context, set map[string]string) (changed int, err error)
	// Statistic returns the data of getStatistic, as [Statistic] does; nil: made of the control's objects.
	Statistic func() any

	// Download answers a file by its absolute path, to be saved under a name, "": to be shown. allowed: the call has the secret; otherwise Download says who
	// may have it. It has limits and deadlines of its own. nil: there are no files.
	Download func(w http.ResponseWriter, r *http.Request, path, saveAs string, allowed bool)
	// Reader gives a reader of a stream, at its newest key unit, or nil if there is none. nil: there are no probes.
	Reader func(k hub.Key) *stream.Reader
}

// callTime is how long an endpoint may take. The server has a limit of its own for requests, which is longer.
const callTime = 3 * time.Second

// API answers the calls. Make one with New.
type API struct {
	opt       Options
	endpoints map[string]*endpoint // by path, in small letters
	names     []string             // the paths, sorted
	logins    *logins
	lists     *lists
	probes    chan struct{}
}

// New returns the API.
func New(o Options) *API {
	if o.Guard == nil {
		o.Guard = &api.Guard{Log: o.Log}
	}
	a := &API{
		opt: o, logins: newLogins(), lists: newLists(), probes: make(chan struct{}, probesMost),
	}
	a.endpoints, a.names = a.index()
	return a
}

// call is one call of an endpoint.
type call struct {
	arguments
	r    *http.Request
	peer netip.Addr
}

// ServeHTTP implements http.Handler, for /index/ and all below /index/api/. Paths are matched in letters of any case.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.allowOrigin(w.Header(), r)
	e := a.endpoint(r.URL.Path)
	if r.Method == http.MethodOptions || r.Method == http.MethodHead || !callable(r.Method) || e == nil {
		leaveBody(w, r)
	}
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", methods)
		a.preflight(w.Header(), r)
		w.WriteHeader(http.StatusOK)
	case !callable(r.Method):
		w.Header().Set("Allow", methods)
		a.write(w, r, failed(codeFailed, r.Method+" is not possible here").as(http.StatusMethodNotAllowed))
	case e == nil:
		a.write(w, r, failed(codeNotFound, "there is no such API: see /index/api/getApiList").as(http.StatusNotFound))
	case r.Method == http.MethodHead: // the endpoint is not run
		w.Header().Set("Content-Type", typeJSON)
		w.WriteHeader(http.StatusOK)
	default:
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		defer cancel()
		begun := time.Now()
		a.write(w, r, a.answer(ctx, w, r, e))
		a.opt.Log.Debug("a call of the API", "path", e.path, "remote", r.RemoteAddr, "took", time.Since(begun))
	}
}

// Sends says whether the answer to a path is a file, which takes as long as it takes: its deadlines are those of its parts. A handler that
// keeps answers in memory, or ends them after a while, is no good for it.
func (a *API) Sends(path string) bool {
	e := a.endpoint(path)
	return e != nil && e.sends
}

const methods = "GET, POST, PUT, DELETE, HEAD, OPTIONS"

func callable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead:
		return true
	}
	return false
}

// answer runs an endpoint. Whatever happens, there is an answer, ready to be written.
func (a *API) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, e *endpoint) (out reply) {
	defer func() {
		if p := recover(); p != nil {
			a.opt.Log.Error("a call of the API has panicked", "path", e.path, "cause", p, "stack", string(debug.Stack()))
			out = failed(codeException, "the call has failed: the server's log says why").encoded()
		}
	}()
	args, refusal := a.read(w, r, e.kind)
	if refusal != nil {
		return refusal.encoded()
	}
	c := &call{args, r, peerOf(r)}
	if !e.open {
		if refusal = a.admit(c); refusal != nil {
			return refusal.encoded()
		}
	}
	if refusal = c.lacks(e.required); refusal != nil {
		return refusal.encoded()
	}
	return e.do(ctx, c).encoded()
}

// peerOf is who calls; the zero address stands for one that is no IP address.
func peerOf(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap()
}

// allowOrigin lets pages of another origin read the answer, with the cookies of a login. Those are not sent from other sites, whatever is
// said here (SameSite).
func (a *API) allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if a.opt.CORS == "" || origin == "" {
		return
	}
	if a.opt.CORS != "*" {
		h.Set("Access-Control-Allow-Origin", a.opt.CORS)
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Add("Vary", "Origin")
}

// preflight says what pages of another origin may call.
func (a *API) preflight(h http.Header, r *http.Request) {
	if a.opt.CORS == "" {
		return
	}
	if r.Header.Get("Origin") == "" {
		h.Set("Access-Control-Allow-Origin", a.opt.CORS)
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, secret")
	h.Set("Access-Control-Max-Age", "86400")
}
