package server

import (
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// guests are connections with names.
type guests struct {
	*lobby
	t    testing.TB
	conn map[string]net.Conn
}

func newGuests(t testing.TB) *guests {
	t.Helper()
	return &guests{newLobby(), t, map[string]net.Conn{}}
}

func (g *guests) note(name string, s http.ConnState) {
	if g.conn[name] == nil {
		g.conn[name] = pipe(g.t, "192.0.2.1:1")
	}
	g.lobby.note(g.conn[name], s)
}

// closed lists those that were.
func (g *guests) closed() (names []string) {
	for name, c := range g.conn {
		if c.(*addressed).closed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// The one goes that can best be spared, and never one that is being answered (cards A01, N03).
func TestLobby(t *testing.T) {
	type steps func(g *guests)
	const long = time.Second
	for name, tc := range map[string]struct {
		act  steps
		gone []string
		took time.Duration
	}{
		"nobody": {func(*guests) {}, nil, 0},
		"all are being answered": {func(g *guests) {
			g.note("a", http.StateNew)
			g.note("a", http.StateActive)
			g.note("b", http.StateNew)
			g.note("b", http.StateHijacked)
			g.note("c", http.StateNew)
			g.note("c", http.StateClosed)
		}, nil, 0},
		"the longest unread": {func(g *guests) {
			g.note("a", http.StateActive)
			g.note("b", http.StateActive)
			g.note("media", http.StateActive)
			g.forget(g.conn["media"])
			time.Sleep(lobbyUnread)
			g.note("a", http.StateIdle)
			g.note("a", http.StateActive)
		}, []string{"b"}, 0},
		"silent before unread": {func(g *guests) {
			g.note("unread", http.StateActive)
			time.Sleep(long)
			g.note("answered", http.StateIdle)
		}, []string{"answered"}, 0},
		"the longest silent": {func(g *guests) {
			g.note("a", http.StateNew)
			g.note("b", http.StateNew)
			time.Sleep(long)
			g.note("c", http.StateNew)
		}, []string{"a"}, 0},
		"a newcomer has a moment": {func(g *guests) { g.note("a", http.StateNew) }, []string{"a"}, lobbyGrace},
		"silent before answered": {func(g *guests) {
			g.note("answered", http.StateIdle)
			g.note("silent", http.StateNew)
			time.Sleep(long)
		}, []string{"silent"}, 0},
		"answered before a newcomer": {func(g *guests) {
			g.note("answered", http.StateIdle)
			time.Sleep(long)
			g.note("newcomer", http.StateNew)
		}, []string{"answered"}, 0},
		"the longest answered": {func(g *guests) {
			g.note("a", http.StateIdle)
			g.note("b", http.StateIdle)
			g.note("a", http.StateActive)
			g.note("a", http.StateIdle)
		}, []string{"b"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuests(t)
				tc.act(g)
				begin := time.Now()
				if ok := g.makeRoom(); ok != (tc.gone != nil) {
					t.Errorf("made room: %v", ok)
				}
				if took := time.Since(begin); took != tc.took {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
				if gone := g.closed(); !slices.Equal(gone, tc.gone) {
					t.Errorf("%v went, want %v", gone, tc.gone)
				}
				time.Sleep(lobbyUnread)
				for range g.conn {
					g.makeRoom()
				}
				if n := g.fresh.Len() + g.idle.Len() + g.busy.Len() + len(g.at); n != 0 {
					t.Errorf("%d are left over", n)
				}
			})
		})
	}
}

// What has sent no request for the limit of the phase is ended, however it drips (card N03).
func TestLobbyExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t)
		limit := hub.Phases(hub.DefaultConfig())[hub.Handshake].Age
		g.note("a", http.StateNew)
		g.note("idle", http.StateIdle)
		time.Sleep(limit / 2)
		g.note("b", http.StateNew)
		time.Sleep(limit / 2)
		g.expire(limit)
		if gone := g.closed(); gone != nil {
			t.Errorf("%v went at the limit", gone)
		}
		time.Sleep(measureEvery)
		g.expire(limit)
		if gone := g.closed(); !slices.Equal(gone, []string{"a"}) {
			t.Errorf("%v went", gone)
		}
	})
}
