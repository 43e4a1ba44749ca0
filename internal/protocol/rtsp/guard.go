package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/challenge"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// attemptsMax is how many wrong passwords a connection may try. The first request of every client has none.
const attemptsMax = 3

// guard asks one peer for its name and password. The zero value is ready.
type guard struct {
	challenge *challenge.Challenge
	attempts  int
	let       bool // in: what has been proven once is taken for the connection

	denied func() // writes the line about the last wrong password; nil: there was none, or it is written
}

// schemes are what the configuration calls the schemes.
//
//nolint:gochecknoglobals // a constant table
var schemes = map[string]challenge.Scheme{
	"digest": challenge.DigestMD5, "digest-sha256": challenge.DigestSHA256, "basic": challenge.Basic,
}

// check says why a request is not let through that needs one of the configured passwords.
func (g *guard) check(c *Config, r *wire.Request) error {
	if g.let || len(c.Users) == 0 {
		return nil
	}
	if g.challenge == nil {
		g.challenge = c.challenge(c.Realm)
	}
	return g.verify(r, func(user string, _ bool) (challenge.Secret, bool) {
		password, known := c.Users[user]
		return challenge.Secret{Text: password.Reveal()}, known
	})
}

// challenge is what a connection is asked in a realm.
func (c *Config) challenge(realm string) *challenge.Challenge {
	var all []challenge.Scheme
	for _, name := range c.Auth {
		all = append(all, schemes[name])
	}
	return challenge.New(realm, all)
}

// verify holds a request to the challenge.
func (g *guard) verify(r *wire.Request, password challenge.Lookup) error {
	_, err := g.challenge.Verify(challenge.Request{Method: r.Method, URL: r.URL, Authorization: r.Header["Authorization"]}, password)
	if errors.Is(err, challenge.ErrDenied) {
		g.attempts++
	}
	g.let = err == nil
	return err
}

// challenged answers a request that g has not let through; a peer that guesses is ended.
func (s *session) challenged(r *wire.Request, g *guard, cause error) error {
	s.suspect(r, g, cause)
	err := s.respond(r, answer{code: base.StatusUnauthorized, header: base.Header{"WWW-Authenticate": g.challenge.Header()}})
	if err != nil || g.attempts < attemptsMax {
		return err
	}
	return errRefused
}

// suspect prepares the line about a wrong password. It is written when the connection ends, since most clients give up after one, and some
// have the right one after a wrong one.
func (s *session) suspect(r *wire.Request, g *guard, cause error) {
	t, err := targetOf(r.URL)
	if err != nil || !errors.Is(cause, challenge.ErrDenied) {
		return
	}
	publishes := r.Method == base.Announce || r.Method == base.Record
	cause = fmt.Errorf("%w: %w (attempts: %d)", hub.ErrDenied, cause, g.attempts)
	g.denied = func() {
		if publishes {
			s.refusal(hub.ActionPublish, cause).Info("refused to publish", "stream", t.name(), "remote", s.remote, "cause", cause)
		} else {
			s.refusal(hub.ActionPlay, cause).Info("refused to play", "stream", t.name(), "remote", s.remote, "cause", cause)
		}
	}
}

// settle writes the line about wrong passwords, if no right one has followed.
func (g *guard) settle() {
	if g.denied != nil && !g.let {
		g.denied()
	}
	g.denied = nil
}
