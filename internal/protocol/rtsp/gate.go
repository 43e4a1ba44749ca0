package rtsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/challenge"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// userMost bounds the name of a user that somebody is asked about, in bytes.
const userMost = 256

// gate asks one peer for the password of a stream, which somebody else knows (protocol.Passwords). The zero value is ready.
type gate struct {
	guard
	target target // whose realm and challenge these are; none while there is no challenge
	realm  string
}

// turn makes the gate that of another stream: what was proven for the one before proves nothing. Wrong passwords still count.
func (g *gate) turn(t target) {
	if g.target == t {
		return
	}
	g.settle()
	g.challenge, g.let, g.realm, g.target = nil, false, "", target{}
}

// begin notes that a stream has a realm.
func (g *gate) begin(c *Config, t target, realm string) {
	g.challenge, g.realm = c.challenge(realm), realm
	g.target = target{strings.Clone(t.path), strings.Clone(t.query)}
}

// prove has the peer prove who it is, if the stream wants that, and notes in q that it has. Where rtsp.users are set, it has done so already.
// It waits for others, no longer than ctx lives. If unproven says so of the error, the peer is to be challenged.
func (s *session) prove(ctx context.Context, r *wire.Request, t target, q *hub.Request) error {
	if s.env.Passwords == nil || len(s.cfg.Users) > 0 {
		return nil
	}
	g := &s.gate
	g.turn(t)
	if g.challenge == nil {
		realm, err := s.realm(ctx, q)
		if err != nil || realm == "" {
			return err
		}
		g.begin(s.cfg, t, realm)
	}
	if !g.let {
		if err := s.compare(ctx, r, q); err != nil {
			return err
		}
	}
	q.Proven = true
	return nil
}

// compare holds a request to the password of the user who made it.
func (s *session) compare(ctx context.Context, r *wire.Request, q *hub.Request) error {
	var failed error
	err := s.verify(r, &s.gate.guard, func(user string, plain bool) (secret challenge.Secret, known bool) {
		secret, failed = s.secret(ctx, q, user, plain)
		return secret, failed == nil
	})
	switch {
	case failed == nil:
		return err
	case errors.Is(failed, hub.ErrDenied): // there is no such user: err says as much, in the peer's terms
		return fmt.Errorf("%w: %w", err, failed)
	}
	return failed
}

// realm asks for that of a stream.
func (s *session) realm(ctx context.Context, q *hub.Request) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.env.Hub.Limit(hub.Authorisation).Age)
	defer cancel()
	realm, err := s.env.Passwords.Realm(ctx, *q)
	return realm, unanswered(err)
}

// secret asks for a user's password. Names that nobody can have are not asked about.
func (s *session) secret(ctx context.Context, q *hub.Request, user string, plain bool) (challenge.Secret, error) {
	if user == "" || len(user) > userMost || !utf8.ValidString(user) {
		return challenge.Secret{}, fmt.Errorf("%w: no name of a user", hub.ErrDenied)
	}
	ctx, cancel := context.WithTimeout(ctx, s.env.Hub.Limit(hub.Authorisation).Age)
	defer cancel()
	password, hashed, err := s.env.Passwords.Password(ctx, *q, user, s.gate.realm, plain)
	return challenge.Secret{Text: password, Hashed: hashed}, unanswered(err)
}

// unanswered is err in the hub's terms: what is not a no means that nobody knows.
func unanswered(err error) error {
	if err == nil || errors.Is(err, hub.ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", hub.ErrAuthorizer, err)
}

// unproven says whether an error means that the peer is to prove who it is.
func unproven(err error) bool {
	return errors.Is(err, challenge.ErrMissing) || errors.Is(err, challenge.ErrStale) || errors.Is(err, challenge.ErrDenied)
}
