package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

func TestGuardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guard
		good := netip.MustParseAddr("203.0.113.9")
		g.Right(good)
		for i := range 3 * guardMost {
			time.Sleep(time.Millisecond)
			g.Wrong(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if len(g.peers) != guardMost || g.peers[good] == nil {
			t.Errorf("%d addresses, trusted: %v", len(g.peers), g.peers[good])
		}
		a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		for range guessesMost / 2 {
			g.Wrong(a)
			g.Wrong(b)
		}
		if g.Blocked(b) == 0 {
			t.Error("a customer has more than one network")
		}
		if g.Wrong(netip.Addr{}); len(g.peers) != guardMost {
			t.Error("no address is an address too")
		}
	})
}

// A secret that is not there admits nobody: neither who gives none nor who gives an empty one.
func TestGateWithoutSecret(t *testing.T) {
	g := Gate{Secret: func() conf.Secret { return "" }, Guard: &Guard{}}
	h := g.RequireOrProbe("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody is in") }))
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer x"} {
		for _, target := range []string{"/api/v1/streams", "/api/v1/streams?secret=", "/api/v1/streams?secret=x"} {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusUnauthorized && w.Code != http.StatusTooManyRequests {
				t.Errorf("%q, %s: %d", header, target, w.Code)
			}
		}
	}
}
