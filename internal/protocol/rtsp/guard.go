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

// admit says why a request is not let through that needs one of the configured passwords.
func (s *session) admit(r *wire.Request) error {
	g := &s.guard
	if g.let || len(s.cfg.Users) == 0 {
		return nil
	}
	if g.challenge == nil {
		g.challenge = s.cfg.challenge(s.cfg.Realm)
	}
	return s.verify(r, g, func(user string, _ bool) (challenge.Secret, bool) {
		password, known := s.cfg.Users[user]
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

// verify holds a request to the challenge of g. At what comes from those who have given too many wrong passwords, on whatever connections, it takes
// no look.
func (s *session) verify(r *wire.Request, g *guard, password challenge.Lookup) error {
	given := r.Header["Authorization"]
	action, who := s.intent(r)
	if p := s.env.Patience; p != nil && len(given) > 0 {
		if err := p.Hears(action, who); err != nil {
			return err
		}
	}
	_, err := g.challenge.Verify(challenge.Request{Method: r.Method, URL: r.URL, Authorization: given}, password)
	g.let = err == nil
	denied := errors.Is(err, challenge.ErrDenied)
	if denied {
		g.attempts++
	}
	switch p := s.env.Patience; {
	case p == nil:
	case denied:
		p.Wrong(action, who)
	case g.let:
		p.Right(action, who)
	}
	return err
}

// intent is what a request with a password wants to do, and who makes it. A URL that names no stream counts as one of its own.
func (s *session) intent(r *wire.Request) (hub.Action, *hub.Request) {
	q := &hub.Request{Remote: s.remote}
	if t, err := targetOf(r.URL); err == nil {
		q.Key, _ = hub.ParseKey(t.path)
	}
	if r.Method == base.Announce || r.Method == base.Record {
		return hub.ActionPublish, q
	}
	return hub.ActionPlay, q
}

// challenged answers a request that g has not let through; a peer that guesses is ended.
func (s *session) challenged(r *wire.Request, g *guard, cause error) error {
	if !unproven(cause) { // it was not even looked at
		action, who := s.intent(r)
		s.refused(action, who.Key, cause)
		return s.refuse(r, cause)
	}
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
	action, _ := s.intent(r)
	cause = fmt.Errorf("%w: %w (attempts: %d)", hub.ErrDenied, cause, g.attempts)
	g.denied = func() { s.refused(action, t.name(), cause) }
}

// settle writes the line about wrong passwords, if no right one has followed.
func (g *guard) settle() {
	if g.denied != nil && !g.let {
		g.denied()
	}
	g.denied = nil
}
