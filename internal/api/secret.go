package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
)

// Gate lets only requests through that carry the API's secret, in a header or in the query. Its methods are safe for concurrent use.
type Gate struct {
	Secret func() conf.Secret // as it is then
	Guard  *Guard             // slows down who guesses; required
}

// Require returns h behind the gate. The comparison takes the same time for all; an address that the guard has blocked gets 429, whatever it
// carries.
func (g *Gate) Require(h http.Handler) http.Handler { return g.RequireOrProbe("", h) }

// RequireOrProbe does as [Gate.Require], and lets the server's own probe list the streams too: GET of that one path with the
// probe's token in the header. "": there is no probe.
func (g *Gate) RequireOrProbe(probe string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, inHeader := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !inHeader {
			given = r.URL.Query().Get("secret")
		}
		if probe != "" && inHeader && r.Method == http.MethodGet && r.URL.Path == streamsPath && Same(probe, given) || g.admits(w, r, given) {
			h.ServeHTTP(w, r)
		}
	})
}

// admits says whether a secret is the right one, or answers that it is not.
func (g *Gate) admits(w http.ResponseWriter, r *http.Request, given string) bool {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	if given != "" {                           // who has none is no guesser
		peer := at.Addr().Unmap()
		if left := g.Guard.Blocked(peer); left > 0 {
			seconds, text := Later(left)
			w.Header().Set("Retry-After", seconds)
			writeError(w, http.StatusTooManyRequests, "too-many-requests", text)
			return false
		}
		if Same(g.Secret().Reveal(), given) {
			g.Guard.Right(peer)
			return true
		}
		g.Guard.Wrong(peer)
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	writeError(w, http.StatusUnauthorized, "unauthorized", "this path needs the secret (see api.secret)")
	return false
}

// Same compares secrets, in the same time for all.
func Same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
