package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// RequireSecret lets only requests through that carry the secret. The comparison takes the same time for all.
func RequireSecret(secret conf.Secret, h http.Handler) http.Handler {
	return RequireSecretOrProbe(secret, "", h)
}

// probePath is what the server's own probe may ask for, and nothing else of the API.
const probePath = "/api/v1/streams"

// RequireSecretOrProbe does as [RequireSecret], and lets the server's own probe list the streams too: GET of that one path with the
// probe's token in the header. "": there is no probe.
func RequireSecretOrProbe(secret conf.Secret, probe string, h http.Handler) http.Handler {
	isSecret, isProbe := comparer(secret.Reveal()), comparer(probe)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, inHeader := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !inHeader {
			given = r.URL.Query().Get("secret")
		}
		mayProbe := probe != "" && inHeader && r.Method == http.MethodGet && r.URL.Path == probePath
		if allowed := isSecret(given) || mayProbe && isProbe(given); !allowed {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, http.StatusUnauthorized, "unauthorized", "this path needs the secret (see api.secret)")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// comparer returns what says whether a text is the given one, in the same time for all.
func comparer(to string) func(text string) bool {
	want := sha256.Sum256([]byte(to))
	return func(text string) bool {
		got := sha256.Sum256([]byte(text))
		return subtle.ConstantTimeCompare(want[:], got[:]) == 1
	}
}

// Streams answers what is being published and who is there, and ends streams and sessions.
func Streams(h *hub.Hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/streams", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, list(h.Snapshot()))
	})
	mux.HandleFunc("GET /api/v1/streams/{app}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		key, ok := pathKey(w, r)
		if !ok {
			return
		}
		s := h.Snapshot()
		for i := range s.Streams {
			if s.Streams[i].Key == key {
				write(w, http.StatusOK, describe(&s.Streams[i], s.At))
				return
			}
		}
		writeError(w, http.StatusNotFound, hub.Reason(hub.ErrNotFound), "no such stream: "+key.String())
	})
	commands(mux, h)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not-found", r.Method+" "+r.URL.Path+" is no part of this API")
	})
	return mux
}

// health is the body of the health paths.
type health struct {
	Status string `json:"status"` // "ok" or what is wrong
}

// failure is the body of an error.
type failure struct {
	Code    int    `json:"code"` // HTTP status
	Error   string `json:"error"`
	Message string `json:"message"`
}

func writeError(w http.ResponseWriter, status int, word, message string) {
	write(w, status, failure{status, word, message})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the peer may be gone
}

// NotFound answers paths that nothing serves.
func NotFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not-found", "nothing is served at "+r.URL.Path)
	})
}
