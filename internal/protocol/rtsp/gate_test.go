package rtsp

import (
	"context"
	"crypto/md5" //nolint:gosec // that is what clients know
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// book knows passwords: of the user "me" for streams whose names begin with "x" or "y". It is the authorizer too.
type book struct {
	hashed bool
	realm  func(ctx context.Context) (string, error) // in place of its own; nil: as it is
	reveal func(ctx context.Context) (string, error) // the same for passwords

	mu    sync.Mutex
	asked []string
}

func (b *book) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprintf(format, args...))
}

// took returns what it was asked since the last time.
func (b *book) took() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.asked
	b.asked = nil
	return all
}

func (b *book) Realm(ctx context.Context, q hub.Request) (string, error) {
	b.note("realm of %s?%s", q.Key.Name, q.Query)
	if b.realm != nil {
		return b.realm(ctx)
	}
	if strings.HasPrefix(q.Key.Name, "free") {
		return "", nil
	}
	return "realm " + q.Key.Name, nil
}

func (b *book) Password(ctx context.Context, q hub.Request, user, realm string, plain bool) (string, bool, error) {
	b.note("password of %s in %s for %s, plain: %v", user, realm, q.Key.Name, plain)
	if b.reveal != nil {
		p, err := b.reveal(ctx)
		return p, b.hashed, err
	}
	if user != "me" {
		return "", false, fmt.Errorf("%w: no such user", hub.ErrDenied)
	}
	if b.hashed {
		sum := md5.Sum([]byte(user + ":" + realm + ":secret " + q.Key.Name)) //nolint:gosec // the same
		return hex.EncodeToString(sum[:]), true, nil
	}
	return "secret " + q.Key.Name, false, nil
}

func (b *book) Authorize(_ context.Context, a hub.Action, q hub.Request) (hub.Permit, error) {
	b.note("%s %s, proven: %v", a, q.Key.Name, q.Proven)
	if q.Key.Name == "free-not" {
		return hub.Permit{}, hub.ErrDenied
	}
	return hub.Permit{}, nil
}

// asked opens a house of pipes with a book, in which x, y and free are published.
func asked(t *testing.T, b *book, fn func(t *testing.T, h *rig), settings ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := openTo(t, conformance.Options{Memory: true, Auth: b, Settings: settings}, func(env *protocol.Env) { env.Passwords = b })
		if len(settings) == 0 || !strings.Contains(settings[0], "users") {
			for _, name := range []string{"x", "y", "free"} {
				h.publish("live/"+name, 30).keep()
			}
			if got := b.took(); len(got) != 3 || slices.ContainsFunc(got, func(s string) bool { return !strings.HasPrefix(s, "publish") }) {
				t.Errorf("publishers: %q", got)
			}
		}
		fn(t, h)
	})
}

// expect compares what the book was asked.
func (b *book) expect(t testing.TB, want ...string) {
	t.Helper()
	if got := b.took(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

const streamX, streamY = "rtsp://test/live/x", "rtsp://test/live/y"

// A player proves the password that the book has, by every scheme, and is asked for nothing else.
func TestAskedPassword(t *testing.T) {
	for name, c := range map[string]struct {
		auth          string
		hashed, plain bool
	}{
		"digest": {"[digest]", false, false}, "hashed": {"[digest]", true, false}, "digest-sha256": {"[digest-sha256]", false, true},
		"basic": {"[basic]", false, true}, "all": {"[digest, digest-sha256, basic]", false, true}, "none is configured": {"[]", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &book{hashed: c.hashed}
			asked(t, b, func(t *testing.T, h *rig) {
				k := h.talk()
				k.asks("OPTIONS @x")
				r := k.ask(401, "DESCRIBE @x")
				for _, v := range r.Header["WWW-Authenticate"] {
					if !strings.Contains(v, `realm="realm x"`) {
						t.Error(v)
					}
				}
				k.asks("DESCRIBE @x"+digest(t, r, "me", "secret x", "DESCRIBE", streamX), "SETUP @x/trackID=1|tcp=0-1", "DESCRIBE @x",
					"SETUP @x/trackID=1|tcp=0-1", "SETUP @x/trackID=2|tcp=2-3", "PLAY @x")
				if n, err := k.media(time.Second); n == 0 || err != nil {
					t.Error("no media:", err)
				}
				b.expect(t, "realm of x?", fmt.Sprintf("password of me in realm x for x, plain: %v", c.plain), "play x, proven: true", "play x, proven: true")
				if strings.Contains(h.Log(), "refused") || strings.Contains(h.Log(), "secret") {
					t.Error(h.Log())
				}
			}, "rtsp.auth="+c.auth)
		})
	}
}

// SETUP without DESCRIBE needs the password just so; PLAY without both is nothing that is valid.
func TestAskedPasswordWithoutDescribe(t *testing.T) {
	b := &book{}
	asked(t, b, func(t *testing.T, h *rig) {
		k := h.talk()
		k.ask(455, "PLAY @x")
		r := k.ask(401, "SETUP @x/trackID=1|tcp=0-1")
		k.ask(455, "PLAY @x")
		k.asks("SETUP @x/trackID=1|tcp=0-1"+digest(t, r, "me", "secret x", "SETUP", streamX), "PLAY @x")
		b.expect(t, "realm of x?", "password of me in realm x for x, plain: false", "play x, proven: true")
		h.Viewers(1)
	})
}

// Where a stream has no realm, the authorizer is asked, and nobody for a password.
func TestNoRealm(t *testing.T) {
	b := &book{}
	asked(t, b, func(t *testing.T, h *rig) {
		h.talk().asks("DESCRIBE @free"+basic("me", "wrong"), "SETUP @free/trackID=1|tcp=0-1", "PLAY @free")
		h.talk().ask(403, "DESCRIBE @free-not")
		b.expect(t, "realm of free?", "play free, proven: false", "realm of free-not?", "play free-not, proven: false")
	})
}

// What was proven for a stream is of no use for another, nor for the same with another query.
func TestPasswordIsTheStreams(t *testing.T) {
	b := &book{}
	asked(t, b, func(t *testing.T, h *rig) {
		k := h.talk()
		r := k.ask(401, "DESCRIBE @x")
		proof := digest(t, r, "me", "secret x", "DESCRIBE", streamX)
		k.asks("DESCRIBE @x" + proof)
		r = k.ask(401, "DESCRIBE @y") // the stream of which x was found is given up
		k.ask(401, "SETUP @y/trackID=1|tcp=0-1")
		k.ask(401, "SETUP @y/trackID=1|tcp=0-1"+digest(t, r, "me", "secret x", "SETUP", streamY))
		k.ask(455, "PLAY @x")
		b.expect(t, "realm of x?", "password of me in realm x for x, plain: false", "play x, proven: true",
			"realm of y?", "password of me in realm y for y, plain: false")
		k.asks("DESCRIBE @free")
		b.expect(t, "realm of free?", "play free, proven: false")
		k.ask(401, "DESCRIBE @x?a=b")
		r = k.ask(401, "DESCRIBE @x")
		b.expect(t, "realm of x?a=b", "realm of x?")
		k.asks("SETUP @x/trackID=1|tcp=0-1"+digest(t, r, "me", "secret x", "SETUP", streamX), "PLAY @x")
		h.Logged("refused to play", "live/y", "wrong credentials (attempts: 1)")
		if strings.Count(h.Log(), "refused") != 1 {
			t.Error(h.Log())
		}
	})
}

// Who guesses is ended after three guesses, of whatever streams; nobody knows such users as have no name, or one that nobody has.
func TestWrongAskedPasswords(t *testing.T) {
	b := &book{}
	asked(t, b, func(t *testing.T, h *rig) {
		k := h.talk()
		k.ask(401, "DESCRIBE @x"+basic("me", "guess"))
		k.ask(401, "DESCRIBE @y"+basic("me", "secret x"))
		k.ask(401, "SETUP @x/trackID=1|tcp=0-1"+basic("you", "secret x"))
		k.closed(time.Second)
		h.Logged("refused to play", "live/x", "no such user", "(attempts: 3)")
		b.took()
		for _, user := range []string{"", strings.Repeat("x", userMost+1), "m\xffe"} {
			k := h.talk()
			k.ask(401, "DESCRIBE @x"+basic(user, "guess"))
			_ = k.conn.Close()
			b.expect(t, "realm of x?")
		}
		if strings.Contains(h.Log(), "guess") || strings.Contains(h.Log(), "secret") {
			t.Error("a password is in the log")
		}
		h.Viewers(0)
	})
}

// A hash is no password where the password itself has to be shown.
func TestHashIsNoPassword(t *testing.T) {
	for _, scheme := range []string{"basic", "digest-sha256"} {
		b := &book{hashed: true}
		asked(t, b, func(t *testing.T, h *rig) {
			k := h.talk()
			r := k.ask(401, "DESCRIBE @x")
			k.ask(401, "DESCRIBE @x"+digest(t, r, "me", "secret x", "DESCRIBE", streamX))
			_ = k.conn.Close()
			h.Logged("refused to play", "its MD5 only")
		}, "rtsp.auth=["+scheme+"]")
	}
}

// Who cannot be asked, or says no, lets nobody in: there is one line about it, and the connection is over.
func TestPasswordFailures(t *testing.T) {
	fails := func(err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return "secret x", err }
	}
	for name, c := range map[string]struct {
		book *book
		code int
		log  string
	}{
		"no realm is told": {&book{realm: fails(errors.New("it is down"))}, 503, "authorisation failed: it is down"},
		"no":               {&book{realm: fails(fmt.Errorf("%w: not you", hub.ErrDenied))}, 403, "denied: not you"},
		"no password is told": {
			&book{reveal: fails(errors.New("it is down"))}, 503, "authorisation failed: it is down",
		},
		"no hash is told": {
			&book{hashed: true, reveal: fails(errors.New("it is down"))}, 503, "authorisation failed: it is down",
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked(t, c.book, func(t *testing.T, h *rig) {
				k := h.talk()
				r, err := k.try("DESCRIBE @x")
				if err == nil && r.StatusCode == base.StatusUnauthorized {
					r, err = k.try("DESCRIBE @x" + digest(t, r, "me", "secret x", "DESCRIBE", streamX))
				}
				if err != nil || int(r.StatusCode) != c.code {
					t.Fatalf("%+v, %v", r, err)
				}
				k.closed(time.Second)
				h.Logged("refused to play", "live/x", c.log)
				if strings.Count(h.Log(), "refused") != 1 {
					t.Error(h.Log())
				}
				h.Viewers(0)
			})
		})
	}
}

// Who is asked and does not answer holds up one player, up to the limit; a player that goes meanwhile is not waited for. The time does not count as
// the player's.
func TestPasswordsHang(t *testing.T) {
	hangs := func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "secret x", ctx.Err()
	}
	for name, b := range map[string]*book{"realm": {realm: hangs}, "password": {reveal: hangs}} {
		t.Run(name, func(t *testing.T) {
			asked(t, b, func(t *testing.T, h *rig) {
				k, gone, begin := h.talk(), h.talk(), time.Now()
				k.send(k.request("DESCRIBE @x" + basic("me", "secret x")))
				gone.send(gone.request("DESCRIBE @x" + basic("me", "secret x")))
				time.Sleep(time.Second)
				_ = gone.conn.Close()
				h.Logged("stopped waiting for a stream", "live/x")
				if r, err := k.answer("1"); err != nil || r.StatusCode != base.StatusServiceUnavailable {
					t.Errorf("%+v, %v", r, err)
				}
				if took, limit := time.Since(begin), h.Hub.Limit(hub.Authorisation).Age; took != limit {
					t.Errorf("it took %v, want %v", took, limit)
				}
				k.closed(time.Second)
				h.Logged("refused to play", "authorisation failed")
				h.Viewers(0)
			})
		})
	}
	late := func(ctx context.Context) (string, error) {
		<-time.After(4 * time.Second)
		return "secret x", ctx.Err()
	}
	asked(t, &book{realm: late, reveal: late}, func(t *testing.T, h *rig) {
		k := h.talk()
		time.Sleep(9 * time.Second)
		r := k.ask(401, "DESCRIBE @x")
		k.asks("DESCRIBE @x"+digest(t, r, "me", "secret x", "DESCRIBE", streamX), "SETUP @x/trackID=1|tcp=0-1")
		time.Sleep(2 * time.Second)
		k.closed(time.Millisecond) // its own time is over: 11 s
	})
}

// Where there are users of the configuration, nobody else knows passwords.
func TestUsersComeFirst(t *testing.T) {
	b := &book{}
	asked(t, b, func(t *testing.T, h *rig) {
		k := h.talk()
		k.asks("ANNOUNCE @x|@sdp"+basic("me", "of users"), "SETUP @x/trackID=1|tcp=0-1", "RECORD @x")
		feed(k, 30, nil)
		v := h.talk()
		v.ask(401, "DESCRIBE @x"+basic("me", "secret x"))
		v.asks("DESCRIBE @x" + basic("me", "of users"))
		b.expect(t, "publish x, proven: false", "play x, proven: false")
	}, "rtsp.users.me=of users")
}
