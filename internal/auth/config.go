package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// Config is the section "auth".
type Config struct {
	Rules   []Rule                 `yaml:"rules" doc:"who may publish and play; the first that fits decides, and who fits none is refused. None for an action: everybody may"`
	Users   map[string]conf.Secret `yaml:"users" doc:"names and passwords, for rules: ?user=NAME&password=PASSWORD in the URL"`
	Tokens  map[string]Token       `yaml:"tokens" doc:"names and tokens, for rules: ?token=SECRET in the URL"`
	SignKey conf.Secret            `yaml:"sign_key" doc:"key of signed URLs (16 characters or more): ?expires=UNIXTIME&sign=HEX, where HEX is HMAC-SHA256 of ACTION, newline, APP/NAME, newline, UNIXTIME; vigil sign makes them"`
}

// Rule says who may do something.
type Rule struct {
	Action  string           `yaml:"action" doc:"publish or play; empty: both"`
	Streams []string         `yaml:"streams" doc:"streams app/name that it is about, in which * is any text; empty: all"`
	From    []conf.Addresses `yaml:"from" doc:"addresses, prefixes (10.0.0.0/8) and ranges (10.0.0.1-10.0.0.9) that it is about; empty: all"`
	Users   []string         `yaml:"users" doc:"names of auth.users who are let in"`
	Tokens  []string         `yaml:"tokens" doc:"names of auth.tokens that let in"`
	Signed  bool             `yaml:"signed" doc:"a signed URL lets in"`
	Deny    bool             `yaml:"deny" doc:"nobody is let in"`
	Trusted bool             `yaml:"trusted" doc:"who is let in need not be asked about by hooks"`
}

// Token is a secret that lets in whoever has it.
type Token struct {
	Secret  conf.Secret `yaml:"secret" doc:"what is to stand in the URL (8 characters or more)"`
	Streams []string    `yaml:"streams" doc:"streams app/name that it is good for, in which * is any text; empty: all"`
	Expires string      `yaml:"expires" doc:"until when, as 2026-12-31T23:59:59Z; empty: for ever"`
}

// Validate refuses settings that cannot work.
func (c *Config) Validate() error {
	_, err := c.compile()
	return err
}

// Lengths of secrets below which they can be guessed.
const (
	tokenLeast = 8
	keyLeast   = 16
)

// rules are a configuration, made ready. They are immutable.
type rules struct {
	list    []rule
	signKey []byte
	of      map[hub.Action]bool // there are some for the action
}

// rule is a Rule, made ready.
type rule struct {
	Rule
	users  []user
	tokens []token
}

type user struct{ name, password string }

type token struct {
	secret  string
	streams []string
	expires time.Time // zero: never
}

func (c *Config) compile() (*rules, error) {
	r := &rules{signKey: []byte(c.SignKey.Reveal()), of: map[hub.Action]bool{}}
	if n := len(r.signKey); n > 0 && n < keyLeast {
		return nil, conf.KeyErrorf("sign_key", "has %d characters, at least %d", n, keyLeast)
	}
	for name, password := range c.Users {
		if name == "" || password.Reveal() == "" { // a variable that is not set is not to let everybody in
			return nil, conf.KeyErrorf("users", "%q has no name or no password", name)
		}
	}
	tokens := map[string]token{}
	for name := range c.Tokens {
		t, err := c.Tokens[name].compile()
		if err != nil {
			return nil, conf.KeyErrorf("tokens", "%s: %v", name, err)
		}
		tokens[name] = t
	}
	for i := range c.Rules {
		one, err := c.rule(&c.Rules[i], tokens)
		if err != nil {
			return nil, conf.KeyErrorf("rules", "rule %d: %v", i+1, err)
		}
		r.list = append(r.list, one)
		for _, a := range []hub.Action{hub.ActionPublish, hub.ActionPlay} {
			r.of[a] = r.of[a] || one.Action == "" || one.Action == string(a)
		}
	}
	return r, nil
}

func (t Token) compile() (out token, err error) {
	out = token{secret: t.Secret.Reveal(), streams: t.Streams}
	if len(out.secret) < tokenLeast {
		return out, fmt.Errorf("the secret has %d characters, at least %d", len(out.secret), tokenLeast)
	}
	if t.Expires != "" {
		if out.expires, err = time.Parse(time.RFC3339, t.Expires); err != nil {
			return out, fmt.Errorf("expires: %q is no time such as 2026-12-31T23:59:59Z", t.Expires)
		}
	}
	return out, nil
}

// rule makes one ready.
func (c *Config) rule(in *Rule, tokens map[string]token) (out rule, err error) {
	out.Rule = *in
	if a := hub.Action(in.Action); a != "" && a != hub.ActionPublish && a != hub.ActionPlay {
		return out, fmt.Errorf("action: %q is neither publish nor play", in.Action)
	}
	for _, name := range in.Users {
		password, known := c.Users[name]
		if !known {
			return out, fmt.Errorf("users: there is no %q in auth.users", name)
		}
		out.users = append(out.users, user{name, password.Reveal()})
	}
	for _, name := range in.Tokens {
		t, known := tokens[name]
		if !known {
			return out, fmt.Errorf("tokens: there is no %q in auth.tokens", name)
		}
		out.tokens = append(out.tokens, t)
	}
	if in.Signed && c.SignKey == "" {
		return out, errors.New("signed: needs auth.sign_key")
	}
	if in.Deny && (in.Signed || len(in.Users)+len(in.Tokens) > 0) {
		return out, errors.New("deny lets nobody in: users, tokens and signed mean nothing with it")
	}
	return out, nil
}
