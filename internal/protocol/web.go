package protocol

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// CORS is the value of Access-Control-Allow-Origin in the answers of a room; empty: there is none, and pages of other origins do not play.
type CORS string

// Allow sets the header fields that let a page of another origin read the answer.
func (c CORS) Allow(h http.Header) {
	if c != "" {
		h.Set("Access-Control-Allow-Origin", string(c))
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range")
	}
}

// Asks says whether a request asks for something, by GET or HEAD, and sets the header fields of Allow. If it does not, it is answered.
func (c CORS) Asks(w http.ResponseWriter, r *http.Request) bool {
	c.Allow(w.Header())
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		return true
	case http.MethodOptions:
		c.preflight(w)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		Refusal{Code: http.StatusMethodNotAllowed, Error: "method", Message: r.Method + " is not possible here"}.Answer(w)
	}
	return false
}

// preflight answers OPTIONS.
func (c CORS) preflight(w http.ResponseWriter) {
	if c != "" {
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.Header().Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuseTimeout is for a peer to take a refusal.
const refuseTimeout = 5 * time.Second

// Refusal is the JSON body of an error, and the reason of a WebSocket's close frame.
type Refusal struct {
	Code    int    `json:"code"`    // HTTP status
	Error   string `json:"error"`   // a stable word
	Message string `json:"message"` // a sentence
}

// RefusalOf is what an error of the hub means to who asks by HTTP.
func RefusalOf(err error) Refusal { return Refusal{HTTPStatus(err), hub.Reason(err), err.Error()} }

// Answer answers a request with the refusal.
func (f Refusal) Answer(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(refuseTimeout)) // where there is none, nothing waits
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Code)
	_ = json.NewEncoder(w).Encode(f) // the peer may be gone
}

// Join returns a context that ends with ctx, and with done and its cause.
func Join(ctx, done context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(done, func() { cancel(context.Cause(done)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// agentMax bounds what is kept of what a viewer says it is.
const agentMax = 256

// RequestOf is what a viewer that asks by HTTP asks the hub for, but for the session's id and what the protocol carries. What is kept is
// copied, lest it keep all of the HTTP request alive.
func RequestOf(r *http.Request, key hub.Key, name string) hub.Request {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	return hub.Request{
		Key: key, Protocol: name, Remote: remote, Local: LocalOf(r), Secure: r.TLS != nil,
		Query: strings.Clone(r.URL.RawQuery), Agent: strings.Clone(AgentOf(r)),
	}
}

// LocalOf is our end of the connection that a request came by, or zero.
func LocalOf(r *http.Request) netip.AddrPort {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addrPort(local)
}

// AgentOf is as much as is kept of what a viewer says it is. It is a part of the request's text.
func AgentOf(r *http.Request) string {
	agent := r.UserAgent()
	return agent[:min(len(agent), agentMax)]
}
