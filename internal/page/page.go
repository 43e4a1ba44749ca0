package page

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
)

const (
	prefix = "/play/"
	index  = "index.html"
)

// policy lets the page run its own scripts only, speak to its own host only, and be embedded anywhere. Some browsers do not take 'self' for
// WebSockets of the same host, hence ws: and wss:. Media come from blobs, which MediaSource makes.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws: wss:; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors *"

type handler struct {
	assets    map[string]*asset // by their names
	page      *asset
	otherwise http.Handler
}

// Handler serves the page and its files under /play/ and leads /play there; what is not under these is for otherwise. files is a flat
// folder with an index.html, and is read now. The answers to GET and HEAD are safe for concurrent use.
//
// It is meant for the pattern "/", behind the addresses of the media: "/play/cam1.live.flv" may be the media of an application with the
// name "play".
func Handler(files fs.FS, otherwise http.Handler) (http.Handler, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	h := &handler{assets: make(map[string]*asset, len(entries)), otherwise: otherwise}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		content, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		h.assets[e.Name()] = newAsset(e.Name(), content)
	}
	if h.page = h.assets[index]; h.page == nil {
		return nil, errors.New("page: there is no " + index + ": run make web")
	}
	delete(h.assets, index)
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	forgot := r.URL.Path+"/" == prefix
	if !ok && !forgot {
		h.otherwise.ServeHTTP(w, r)
		return
	}
	secure(w.Header())
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, r.Method+" is not possible here", http.StatusMethodNotAllowed)
	case forgot:
		lead(w, r)
	case h.assets[path] != nil:
		h.assets[path].serve(w, r)
	case strings.Contains(path, "/") || !strings.Contains(path, "."):
		h.page.serve(w, r) // which knows what to do with half a name
	default: // a file of another version
		http.Error(w, "no such file; a stream's page is at /play/application/name", http.StatusNotFound)
	}
}

// lead sends who has forgotten the last slash to the form. The query is the page's.
func lead(w http.ResponseWriter, r *http.Request) {
	to := prefix
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// secure sets what holds for all answers. The address of the page may hold a token, so it goes nowhere.
func secure(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", policy)
}

// accepts says whether the client takes gzip (RFC 9110, section 12.5.3).
func accepts(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !slices.Contains([]string{"q=0", "q=0.0", "q=0.00", "q=0.000"}, strings.ReplaceAll(weight, " ", ""))
		}
	}
	return false
}

// matches says whether the client has it (RFC 9110, section 13.1.2): the comparison is the weak one.
func matches(r *http.Request, tag string) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
