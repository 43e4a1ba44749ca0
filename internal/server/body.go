package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limits of requests that have a body. Only those to the control plane may.
const (
	bodyMost = 40960 // bytes, as ZLMediaKit's http.maxReqSize
	bodyTime = 2 * time.Second
)

// The paths of ZLMediaKit's API begin with dialectPath, in letters of any case; dialectList is the list of them.
const (
	dialectPath = "/index/api/"
	dialectList = "/index/"
)

// inDialect says whether a path is one of ZLMediaKit's API.
func inDialect(path string) bool {
	return len(path) >= len(dialectPath) && strings.EqualFold(path[:len(dialectPath)], dialectPath) || strings.EqualFold(path, dialectList)
}

// inLetters is the request, with small letters where those of its path are of no account.
func inLetters(r *http.Request) *http.Request {
	small := strings.ToLower(r.URL.Path)
	if !inDialect(r.URL.Path) || small == r.URL.Path {
		return r
	}
	again, at := r.WithContext(r.Context()), *r.URL
	at.Path, at.RawPath = small, ""
	again.URL = &at
	return again
}

// takesBody says whether a request may have a body.
func takesBody(r *http.Request) bool {
	return inDialect(r.URL.Path) || strings.HasPrefix(r.URL.Path, "/api/v1/settings")
}

// readBody reads the body of a request, within its limits of size and time, so that no handler waits for a peer. Who reads a body that was too
// large gets *http.MaxBytesError behind its beginning, and who reads one that did not come in time the error of that; the connection of either
// is given up. Nobody waits for the rest: with no deadline, the HTTP server would do so before it closes it. It returns the request to go on with: a
// read that fails ends the context of the one that came, by which the answer would be lost too.
func readBody(w http.ResponseWriter, r *http.Request) *http.Request {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // where there is none, nothing waits
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMost))
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(text))
		return r
	}
	w.Header().Set("Connection", "close")
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text), cutShort{err}))
	return r
}

// cutShort is a reader of nothing but an error.
type cutShort struct{ error }

// Read implements io.Reader.
func (f cutShort) Read([]byte) (int, error) { return 0, f.error }
