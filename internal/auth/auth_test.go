package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// platform is who is asked after the rules.
type platform struct {
	asked int
	on    bool
	err   error
}

func (p *platform) Asks(hub.Action) bool { return p.on }

func (p *platform) Realm(context.Context, hub.Request) (string, error) { return "platform", p.err }

func (p *platform) Password(context.Context, hub.Request, string, string, bool) (string, bool, error) {
	return "word", false, p.err
}

func (p *platform) Authorize(context.Context, hub.Action, hub.Request) (hub.Permit, error) {
	p.asked++
	return hub.Permit{Identity: "platform"}, p.err
}

func request(t testing.TB, key, query, from string) hub.Request {
	t.Helper()
	k, err := hub.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return hub.Request{Key: k, Query: query, Remote: netip.MustParseAddrPort(from)}
}

// from are addresses that make sense.
func from(texts ...string) (all []conf.Addresses) {
	for _, text := range texts {
		a, err := conf.ParseAddresses(text)
		if err != nil {
			panic(err)
		}
		all = append(all, a)
	}
	return all
}

func house() Config {
	return Config{
		Users: map[string]conf.Secret{"cam": "pass word", "eve": "other"}, SignKey: "0123456789abcdef",
		Tokens: map[string]Token{
			"all":   {Secret: "token-of-all"},
			"lobby": {Secret: "token-of-lobby", Streams: []string{"live/lobby*"}},
			"old":   {Secret: "token-of-old", Expires: "1999-01-01T00:00:00Z"},
		},
		Rules: []Rule{
			{Action: "publish", Streams: []string{"live/*"}, From: from("10.0.0.0/8", "192.168.0.10-192.168.0.20", "::1"), Trusted: true},
			{Action: "publish", Streams: []string{"live/*"}, Users: []string{"cam"}, Tokens: []string{"lobby", "old"}, Signed: true},
			{Action: "publish", Streams: []string{"closed/*"}, Deny: true},
			{Streams: []string{"both/*"}, Tokens: []string{"all"}},
		},
	}
}

// TestRules: the first rule that fits decides, and who fits none is refused.
func TestRules(t *testing.T) {
	t.Parallel()
	c := house()
	k, _ := hub.ParseKey("live/a")
	good, err := Sign(&c, hub.ActionPublish, k, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	late, _ := Sign(&c, hub.ActionPublish, k, time.Now().Add(-time.Minute))
	play, _ := Sign(&c, hub.ActionPlay, k, time.Now().Add(time.Minute))
	for i, tc := range []struct {
		action           hub.Action
		key, query, from string
		ok               bool
		asked            int
	}{
		{"publish", "live/a", "", "10.1.2.3:1", true, 0},
		{"publish", "live/a", "", "[::ffff:10.1.2.3]:1", true, 0},
		{"publish", "live/a", "", "11.1.2.3:1", false, 0},
		{"publish", "live/a", "", "192.168.0.20:1", true, 0},
		{"publish", "live/a", "", "192.168.0.21:1", false, 0},
		{"publish", "live/a", "", "[::1]:1", true, 0},
		{"publish", "live/a", "", "[::2]:1", false, 0},
		{"publish", "live/a", "user=cam&password=pass+word", "1.1.1.1:1", true, 1},
		{"publish", "live/a", "user=cam&password=other", "1.1.1.2:1", false, 0},
		{"publish", "live/a", "user=eve&password=other", "1.1.1.3:1", false, 0}, // a user, but not of this rule
		{"publish", "live/a", "user=cam", "1.1.1.4:1", false, 0},
		{"publish", "live/a", "token=token-of-lobby", "1.1.1.5:1", false, 0},
		{"publish", "live/lobby1", "token=token-of-lobby", "1.1.1.6:1", true, 1},
		{"publish", "live/a", "token=token-of-old", "1.1.1.7:1", false, 0},
		{"publish", "live/a", "token=token-of-all", "1.1.1.8:1", false, 0},
		{"publish", "live/a", good, "1.1.1.9:1", true, 1},
		{"publish", "live/b", good, "1.1.2.1:1", false, 0},
		{"publish", "live/a", late, "1.1.2.2:1", false, 0},
		{"publish", "live/a", play, "1.1.2.3:1", false, 0},
		{"publish", "live/a", strings.Replace(good, "expires=", "expires=9", 1), "1.1.2.4:1", false, 0},
		{"publish", "live/a", "sign=%zz&token=token-of-lobby", "1.1.2.5:1", false, 0},
		{"publish", "closed/a", "token=token-of-all", "10.1.2.3:1", false, 0},
		{"publish", "elsewhere/a", "token=token-of-all", "10.1.2.3:1", false, 0},
		{"publish", "both/a", "token=token-of-all", "1.1.2.6:1", true, 1},
		{"play", "both/a", "token=token-of-all", "1.1.2.6:1", true, 1},
		{"play", "live/a", "", "10.1.2.3:1", false, 0}, // there is a rule for playing, and it is about others
	} {
		p := &platform{on: true}
		a := New(c, p)
		_, err := a.Authorize(t.Context(), tc.action, request(t, tc.key, tc.query, tc.from))
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, hub.ErrDenied) {
			t.Errorf("%d: %s %s?%s from %s: %v", i, tc.action, tc.key, tc.query, tc.from, err)
		}
		if p.asked != tc.asked {
			t.Errorf("%d: the platform was asked %d times, want %d", i, p.asked, tc.asked)
		}
		if err != nil && tc.query != "" && strings.Contains(err.Error(), tc.query) {
			t.Errorf("%d: the error tells the query: %v", i, err)
		}
	}
}

// TestNoRules: where there are none for an action, only the platform is asked, if there is one.
func TestNoRules(t *testing.T) {
	t.Parallel()
	p := &platform{}
	a := New(Config{}, p)
	q := request(t, "live/a", "", "1.2.3.4:1")
	if a.Asks(hub.ActionPlay) {
		t.Error("asks, and there is nobody")
	}
	if _, err := a.Authorize(t.Context(), hub.ActionPlay, q); err != nil || p.asked != 0 {
		t.Errorf("%v, asked %d", err, p.asked)
	}
	p.on, p.err = true, hub.ErrDenied
	if _, err := a.Authorize(t.Context(), hub.ActionPlay, q); !errors.Is(err, hub.ErrDenied) || p.asked != 1 || !a.Asks(hub.ActionPlay) {
		t.Errorf("%v, asked %d", err, p.asked)
	}
	p.on = false
	a.Configure(Config{Rules: []Rule{{Action: "play", Deny: true}}})
	if !a.Asks(hub.ActionPlay) || a.Asks(hub.ActionPublish) {
		t.Error("asks about the wrong action")
	}
	a.Configure(Config{Rules: []Rule{{Action: "no"}}}) // not sound
	if _, err := a.Authorize(t.Context(), hub.ActionPlay, q); err == nil {
		t.Error("a configuration that is not sound holds")
	}
}

// TestPatience: who guesses is not looked at for longer and longer, others for the same stream are, and so is a right one in the end.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{
			Tokens: map[string]Token{"t": {Secret: "the-token"}}, Rules: []Rule{{Tokens: []string{"t"}}},
		}, &platform{})
		try := func(token, from, key string) error {
			_, err := a.Authorize(t.Context(), hub.ActionPlay, request(t, key, "token="+token, from+":1"))
			return err
		}
		for range wrongFree {
			_ = try("wrong", "1.1.1.1", "live/a")
		}
		if try("the-token", "1.1.1.1", "live/a") == nil {
			t.Error("a look was taken at once")
		}
		if err := try("the-token", "1.1.1.2", "live/a"); err != nil {
			t.Errorf("another address: %v", err)
		}
		if err := try("the-token", "1.1.1.1", "live/b"); err != nil {
			t.Errorf("another stream: %v", err)
		}
		time.Sleep(1100 * time.Millisecond)
		if try("wrong", "1.1.1.1", "live/a") == nil {
			t.Error("let in")
		}
		time.Sleep(1100 * time.Millisecond) // it is two seconds now
		if try("the-token", "1.1.1.1", "live/a") == nil {
			t.Error("a look was taken after half the time")
		}
		time.Sleep(time.Second)
		if err := try("the-token", "1.1.1.1", "live/a"); err != nil {
			t.Errorf("after all of it: %v", err)
		}
		if err := try("the-token", "1.1.1.1", "live/a"); err != nil {
			t.Errorf("again: %v", err)
		}
		for i := range wrongAll {
			_ = try("wrong", "4.4.4.4", fmt.Sprint("live/", i))
		}
		if try("the-token", "4.4.4.4", "live/new") == nil {
			t.Error("who guesses at many streams is looked at")
		}
		for range wrongFree { // the same subscriber
			_ = try("wrong", "[2001:db8::1]", "live/a")
		}
		if try("the-token", "[2001:db8::2]", "live/a") == nil {
			t.Error("another address of the same network is looked at")
		}
		for i := range 3 * wrongMost {
			_ = try("wrong", netip.AddrFrom4([4]byte{2, byte(i >> 16), byte(i >> 8), byte(i)}).String(), "live/a")
		}
		if n := len(a.patience.by); n > wrongMost {
			t.Errorf("%d attempts are remembered", n)
		}
		for range 40 {
			_ = try("wrong", "3.3.3.3", "live/a")
			time.Sleep(wrongLongest)
		}
		time.Sleep(wrongLongest + time.Second)
		if err := try("the-token", "3.3.3.3", "live/a"); err != nil {
			t.Errorf("after the longest time: %v", err)
		}
	})
}

// TestRealm: a player whom a rule trusts needs no password of the platform's, and whom one refuses is refused.
func TestRealm(t *testing.T) {
	t.Parallel()
	a := New(Config{Rules: []Rule{
		{Action: "play", From: from("10.0.0.0/8"), Trusted: true}, {Action: "play", From: from("11.0.0.0/8")}, {Action: "play", Deny: true},
	}}, &platform{})
	for from, want := range map[string]string{"10.0.0.1:1": "", "11.0.0.1:1": "platform", "12.0.0.1:1": "denied"} {
		realm, err := a.Realm(t.Context(), request(t, "live/a", "", from))
		if errors.Is(err, hub.ErrDenied) {
			realm = "denied"
		}
		if realm != want {
			t.Errorf("from %s: realm %q, %v, want %q", from, realm, err, want)
		}
	}
}

// TestNonsense: what cannot work is refused, and says where.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"sign_key: has 3":     {SignKey: "abc"},
		"no password":         {Users: map[string]conf.Secret{"a": ""}},
		"at least 8":          {Tokens: map[string]Token{"a": {Secret: "short"}}},
		"no time":             {Tokens: map[string]Token{"a": {Secret: "long enough", Expires: "tomorrow"}}},
		"neither publish":     {Rules: []Rule{{Action: "watch"}}},
		"no \"x\" in auth.us": {Rules: []Rule{{Users: []string{"x"}}}},
		"no \"x\" in auth.to": {Rules: []Rule{{Tokens: []string{"x"}}}},
		"needs auth.sign_key": {Rules: []Rule{{Signed: true}}},
		"mean nothing":        {SignKey: "0123456789abcdef", Rules: []Rule{{Signed: true, Deny: true}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	h := house()
	if err := h.Validate(); err != nil {
		t.Error(err)
	}
}

// TestNoKey: without a key nothing is signed.
func TestNoKey(t *testing.T) {
	t.Parallel()
	if _, err := Sign(&Config{}, hub.ActionPlay, hub.Key{}, time.Now()); err == nil {
		t.Error("signed without a key")
	}
}
