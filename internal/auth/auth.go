package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// Asker is who is asked about those whom the rules let in: the hooks.
type Asker interface {
	hub.Authorizer
	Asks(a hub.Action) bool
	Realm(ctx context.Context, q hub.Request) (string, error)
	Password(ctx context.Context, q hub.Request, user, realm string, plain bool) (password string, hashed bool, err error)
}

// Auth judges by the rules, and then has next judge. It implements hub.Authorizer. Its methods are safe for concurrent use.
type Auth struct {
	rules    atomic.Pointer[rules]
	next     Asker
	patience Patience
}

// New returns an Auth with a configuration that is sound.
func New(c Config, next Asker) *Auth {
	a := &Auth{next: next}
	a.Configure(c)
	return a
}

// Configure makes another configuration hold. One that is not sound changes nothing.
func (a *Auth) Configure(c Config) {
	if r, err := c.compile(); err == nil {
		a.rules.Store(r)
	}
}

// Patience is what remembers wrong secrets.
func (a *Auth) Patience() *Patience { return &a.patience }

// Asks says whether anything is to be asked before somebody does something.
func (a *Auth) Asks(action hub.Action) bool { return a.rules.Load().of[action] || a.next.Asks(action) }

// Authorize implements hub.Authorizer.
func (a *Auth) Authorize(ctx context.Context, action hub.Action, q hub.Request) (hub.Permit, error) {
	trusted, err := a.judge(action, &q)
	if err != nil || trusted || !a.next.Asks(action) {
		return hub.Permit{}, err
	}
	return a.next.Authorize(ctx, action, q)
}

// Realm returns the realm in which a player needs a password that next knows: "" is none. Whom a rule refuses it refuses, and whom a rule trusts
// needs none. With Password, it implements protocol.Passwords.
func (a *Auth) Realm(ctx context.Context, q hub.Request) (string, error) {
	if trusted, err := a.judge(hub.ActionPlay, &q); err != nil || trusted {
		return "", err
	}
	return a.next.Realm(ctx, q)
}

// Password is next's.
func (a *Auth) Password(ctx context.Context, q hub.Request, user, realm string, plain bool) (password string, hashed bool, err error) {
	return a.next.Password(ctx, q, user, realm, plain)
}

// judge says whether the rules let somebody in, and whether nobody else is to be asked.
func (a *Auth) judge(action hub.Action, q *hub.Request) (trusted bool, err error) {
	r := a.rules.Load()
	if !r.of[action] {
		return false, nil
	}
	fits := r.find(action, q)
	if fits == nil {
		return false, fmt.Errorf("%w: no rule lets anybody in", hub.ErrDenied)
	}
	if fits.Deny {
		return false, fmt.Errorf("%w by a rule", hub.ErrDenied)
	}
	if len(fits.users)+len(fits.tokens) == 0 && !fits.Signed {
		return fits.Trusted, nil
	}
	if err := a.patience.Hears(action, q); err != nil {
		return false, err
	}
	proof, given := r.proven(fits, action, q)
	switch {
	case proof:
		a.patience.Right(action, q)
		return fits.Trusted, nil
	case given:
		a.patience.Wrong(action, q)
		return false, fmt.Errorf("%w: wrong or expired user, token or signature", hub.ErrDenied)
	}
	return false, fmt.Errorf("%w: the URL has no user, token or signature", hub.ErrDenied)
}

// find returns the first rule whose scope fits, or nil.
func (r *rules) find(action hub.Action, q *hub.Request) *rule {
	addr := q.Remote.Addr()
	for i := range r.list {
		one := &r.list[i]
		if (one.Action == "" || one.Action == string(action)) && fitsAny(one.Streams, q.Key) && one.about(addr) {
			return one
		}
	}
	return nil
}

func (r *rule) about(addr netip.Addr) bool {
	return len(r.From) == 0 || slices.ContainsFunc(r.From, func(a conf.Addresses) bool { return a.Has(addr) })
}

// fitsAny says whether a stream fits one of the patterns, or there are none.
func fitsAny(patterns []string, k hub.Key) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return hub.Fits(p, k.String()) })
}

// proven says whether the query proves that a rule lets its sender in, and whether it tries to. All proofs are looked at, whichever is right.
func (r *rules) proven(one *rule, action hub.Action, q *hub.Request) (ok, given bool) {
	query, _ := url.ParseQuery(q.Query) // what can be read of it
	name, password := query.Get("user"), query.Get("password")
	for _, u := range one.users {
		given = given || name != ""
		ok = both(ok, same(name, u.name), same(password, u.password))
	}
	secret := query.Get("token")
	for _, t := range one.tokens {
		given = given || secret != ""
		good := fitsAny(t.streams, q.Key) && (t.expires.IsZero() || time.Now().Before(t.expires))
		ok = both(ok, same(secret, t.secret), good)
	}
	if sign := query.Get("sign"); one.Signed && sign != "" {
		given = true
		expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
		good := err == nil && time.Now().Unix() < expires
		ok = both(ok, same(sign, signature(r.signKey, action, q.Key, expires)), good)
	}
	return ok, given
}

// both is ok, or a and b.
func both(ok, a, b bool) bool { return ok || a && b }

// same compares two texts in a time that does not tell where they differ.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// signature is that of an action on a stream, until a time.
func signature(key []byte, action hub.Action, k hub.Key, expires int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(fmt.Appendf(nil, "%s\n%s\n%d", action, k, expires)) // a hash takes all
	return hex.EncodeToString(mac.Sum(nil))
}

// Sign returns the query of a URL by which somebody may publish or play a stream until a time, with a rule that says signed.
func Sign(c *Config, action hub.Action, k hub.Key, until time.Time) (string, error) {
	if c.SignKey == "" {
		return "", errors.New("auth.sign_key is not set")
	}
	at := until.Unix()
	return fmt.Sprintf("expires=%d&sign=%s", at, signature([]byte(c.SignKey.Reveal()), action, k, at)), nil
}
