package rtsp

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// guarded has one user.
func guarded(more ...string) conformance.Options {
	return conformance.Options{Settings: append([]string{"rtsp.users.me=secret"}, more...)}
}

// basic is a name and password as they are.
func basic(user, password string) string {
	return "|Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// digest is a proof of the password for a request that was refused.
func digest(t testing.TB, refused *base.Response, user, password, method, to string) string {
	t.Helper()
	s := &auth.Sender{WWWAuth: refused.Header["WWW-Authenticate"], User: user, Pass: password}
	if err := s.Initialize(); err != nil {
		t.Fatal(err)
	}
	u, err := base.ParseURL(to)
	if err != nil {
		t.Fatal(err)
	}
	r := &base.Request{Method: base.Method(method), URL: u, Header: base.Header{}}
	s.AddAuthorization(r)
	return "|Authorization: " + r.Header["Authorization"][0]
}

// A password is asked for whatever begins something, once in a connection.
func TestPassword(t *testing.T) {
	const x = "rtsp://test/live/x"
	for name, auth := range map[string]string{"digest": "[digest]", "digest-sha256": "[digest-sha256]", "basic": "[basic]", "all": "[digest, digest-sha256, basic]"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, guarded("rtsp.auth="+auth), func(t *testing.T, h *rig) {
				k := h.talk()
				k.asks("OPTIONS @x")
				for _, text := range []string{"DESCRIBE @x", "ANNOUNCE @x|@sdp", "SETUP @x/trackID=1|tcp=0-1", "PLAY @x", "RECORD @x"} {
					if r := k.ask(401, text); len(r.Header["WWW-Authenticate"]) == 0 {
						t.Error("no challenge")
					}
				}
				r := k.ask(401, "ANNOUNCE @x|@sdp")
				proof := digest(t, r, "me", "secret", "ANNOUNCE", x)
				k.asks("ANNOUNCE @x|@sdp"+proof, "SETUP @x/trackID=1|tcp=0-1", "RECORD @x")
				feed(k, 30, nil)
				v := h.talk()
				r = v.ask(401, "DESCRIBE @x")
				v.asks("DESCRIBE @x"+digest(t, r, "me", "secret", "DESCRIBE", x), "SETUP @x/trackID=1|tcp=0-1", "PLAY @x")
			})
		})
	}
}

// Who guesses is ended after three guesses, and can wait for no stream meanwhile.
func TestWrongPasswords(t *testing.T) {
	for _, scheme := range []string{"basic", "digest"} {
		for _, method := range []string{"DESCRIBE", "ANNOUNCE", "SETUP"} {
			bubble(t, guarded(), func(t *testing.T, h *rig) {
				k, begin := h.talk(), time.Now()
				r := k.ask(401, "DESCRIBE @x")
				for i := range 3 {
					user, password := "me", fmt.Sprint("guess", i)
					if i == 1 {
						user, password = "you", "secret"
					}
					proof := basic(user, password)
					if scheme == "digest" {
						proof = digest(t, r, user, password, method, "rtsp://test/live/x")
					}
					r = k.ask(401, method+" @x"+proof)
				}
				k.closed(time.Second)
				if took := time.Since(begin); took > time.Second {
					t.Errorf("it took %v", took)
				}
				h.Logged("refused", "denied", "(attempts: 3)")
				if strings.Contains(h.Log(), "guess") {
					t.Error("a password is in the log")
				}
			})
		}
	}
}

// ledger is a patience that ends with the second wrong password.
type ledger struct {
	mu   sync.Mutex
	said []string
}

func (l *ledger) note(what string, a hub.Action, q *hub.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprint(what, " ", a, " ", q.Key, " ", q.Remote.Addr().IsValid()))
}

func (l *ledger) Wrong(a hub.Action, q *hub.Request) { l.note("wrong", a, q) }
func (l *ledger) Right(a hub.Action, q *hub.Request) { l.note("right", a, q) }
func (l *ledger) Hears(hub.Action, *hub.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) >= 2 { //nolint:mnd // see above
		return fmt.Errorf("%w: too many", hub.ErrDenied)
	}
	return nil
}

// Wrong passwords of many connections add up. Then even the right one is refused, without a challenge; who has none is still challenged.
func TestPatience(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		right    string
	}{"users": {[]string{"rtsp.users.me=secret", "rtsp.auth=[basic]"}, "secret"}, "hook": {[]string{"rtsp.auth=[basic]"}, "secret x"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, b := &ledger{}, &book{}
				h := openTo(t, conformance.Options{Memory: true, Auth: b, Settings: c.settings}, func(env *protocol.Env) { env.Passwords, env.Patience = b, l })
				for i := range 2 {
					k := h.talk()
					k.ask(401, "DESCRIBE @x")
					k.ask(401, "DESCRIBE @x"+basic("me", fmt.Sprint("guess", i)))
					_ = k.conn.Close()
				}
				if got := strings.Join(l.said, ", "); got != "wrong play live/x true, wrong play live/x true" {
					t.Error(got)
				}
				k := h.talk()
				k.ask(401, "DESCRIBE @x")
				k.ask(403, "DESCRIBE @x"+basic("me", c.right))
				k.closed(time.Second)
				h.Logged("refused to play", "live/x", "too many")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l, o := &ledger{}, guarded("rtsp.auth=[basic]")
		o.Memory = true
		openTo(t, o, func(env *protocol.Env) { env.Patience = l }).talk().asks("ANNOUNCE @x|@sdp" + basic("me", "secret"))
		if got := strings.Join(l.said, ", "); got != "right publish live/x true" {
			t.Error(got)
		}
	})
}

// Most clients try a password once: who has a wrong one is in the log, once; who has none, or the right one in the end, is not.
func TestWrongPasswordIsLogged(t *testing.T) {
	bubble(t, guarded(), func(t *testing.T, h *rig) {
		k := h.talk()
		k.ask(401, "ANNOUNCE @x|@sdp")
		k.ask(401, "ANNOUNCE @x|@sdp"+basic("me", "guess"))
		_ = k.conn.Close()
		h.Logged("refused to publish", "live/x", "wrong credentials (attempts: 1)")
		none := h.talk()
		none.ask(401, "ANNOUNCE @y|@sdp")
		_ = none.conn.Close()
		late := h.talk()
		late.ask(401, "ANNOUNCE @z|@sdp"+basic("me", "guess"))
		late.asks("ANNOUNCE @z|@sdp" + basic("me", "secret"))
		_ = late.conn.Close()
		h.Publishers(0)
		<-time.After(time.Minute)
		if log := h.Log(); strings.Count(log, "refused") != 1 {
			t.Error(log)
		}
	})
}

// Where there are no users there is no challenge; where there are, an open session cannot be used by asking for something else.
func TestPasswordIsTheConnections(t *testing.T) {
	bubble(t, guarded(), func(t *testing.T, h *rig) {
		k := h.talk()
		k.asks("ANNOUNCE @x|@sdp"+basic("me", "secret"), "SETUP @x/trackID=1|tcp=0-1", "RECORD @x")
		feed(k, 30, nil)
		k.asks("TEARDOWN @x")
		k.session = ""
		k.asks("ANNOUNCE @x|@sdp", "SETUP @x/trackID=1|tcp=0-1", "RECORD @x") // the same connection
		h.talk().ask(401, "ANNOUNCE @z|@sdp")
		h.talk().ask(401, "PLAY @x|Session: "+k.session[:0]+"|Require: x")
	})
}

// A user without a password, such as of a variable that is not set, would let everybody in.
func TestEmptyPassword(t *testing.T) {
	for _, users := range []map[string]conf.Secret{{"me": "secret", "you": ""}, {"": "secret"}} {
		c := Default()
		c.Users = users
		if err := c.Validate(); err == nil {
			t.Errorf("%v is taken", users)
		}
	}
}

// A name with a colon could not be told from the password by Basic, nor typed into a URL.
func TestUserWithColon(t *testing.T) {
	c := Default()
	c.Users = map[string]conf.Secret{"us:er": "x"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `users: "us:er"`) {
		t.Error(err)
	}
	c.Users = map[string]conf.Secret{"user": "a:b"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
