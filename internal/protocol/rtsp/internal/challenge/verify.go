package challenge

import (
	"crypto/md5" //nolint:gosec // that is what clients know
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Request is what a client sent, as far as it matters here.
type Request struct {
	Method        base.Method
	URL           string           // as sent
	Authorization base.HeaderValue // the first value counts that is of a scheme that was offered
}

// Verify returns the user who made a request. password returns a user's, if there is one of that name. The error is ErrMissing, ErrStale,
// or ErrDenied with more words, none of which come from the client.
func (c *Challenge) Verify(r Request, password func(user string) (string, bool)) (user string, err error) {
	if len(r.Authorization) == 0 {
		return "", ErrMissing
	}
	for _, value := range r.Authorization {
		name, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		switch {
		case strings.EqualFold(name, "Basic") && slices.Contains(c.schemes, Basic):
			return c.verifyBasic(rest, password)
		case strings.EqualFold(name, "Digest"):
			p := parseParameters(rest)
			if f, ok := c.function(p["algorithm"]); ok {
				return c.verifyDigest(r, p, f, password)
			}
		}
	}
	return "", fmt.Errorf("%w: of no scheme that was offered", ErrDenied)
}

// function returns the hash function of an algorithm that was offered.
func (c *Challenge) function(algorithm string) (f func() hash.Hash, ok bool) {
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
		return md5.New, slices.Contains(c.schemes, DigestMD5)
	case "SHA-256":
		return sha256.New, slices.Contains(c.schemes, DigestSHA256)
	default:
		return nil, false
	}
}

// lookup returns the password of a user, or one that nobody knows.
func (c *Challenge) lookup(user string, password func(string) (string, bool)) (pass string, known bool) {
	if pass, known = password(user); !known {
		pass = c.decoy
	}
	return pass, known
}

func (c *Challenge) verifyBasic(text string, password func(string) (string, bool)) (string, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	plain, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("%w: not base64", ErrDenied)
	}
	user, given, _ := strings.Cut(string(plain), ":") // a password may have colons
	pass, known := c.lookup(user, password)
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(pass)) // so that lengths do not show
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || !known {
		return "", ErrDenied
	}
	return user, nil
}

func (c *Challenge) verifyDigest(
	r Request, p map[string]string, f func() hash.Hash, password func(string) (string, bool),
) (string, error) {
	user, nonce, uri := p["username"], p["nonce"], p["uri"]
	pass, known := c.lookup(user, password)
	sum := func(parts ...string) string {
		h := f()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	secret, target := sum(user, c.realm, pass), sum(string(r.Method), uri)
	want := sum(secret, nonce, target)
	qop := strings.ToLower(p["qop"])
	if qop != "" { // RFC 2617, 3.2.2.1
		want = sum(secret, nonce, p["nc"], p["cnonce"], p["qop"], target)
	}
	right := subtle.ConstantTimeCompare([]byte(strings.ToLower(p["response"])), []byte(want)) == 1
	switch {
	case !right || !known:
		return "", ErrDenied
	case qop != "" && qop != "auth":
		return "", fmt.Errorf("%w: of an unknown quality of protection", ErrDenied)
	case p["realm"] != c.realm:
		return "", fmt.Errorf("%w: of another realm", ErrDenied)
	case !related(uri, r.URL):
		return "", fmt.Errorf("%w: for another URL", ErrDenied)
	case nonce != c.nonce || !c.fresh(): // it may have been another connection's: who knows the password need not be asked again
		c.stale = true
		return "", ErrStale
	default:
		return user, nil
	}
}

// related says whether a digest that was made of a URI is good for a request's URL: if one path is the other's, or continues it.
func related(digest, request string) bool {
	a, b := pathOf(digest), pathOf(request)
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || a != "" && strings.HasPrefix(b, a) && b[len(a)] == '/'
}

// pathOf returns the path of a URL, without slashes at its end and without a query; "*" and what is no URL as it is.
func pathOf(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return ""
		}
		s = rest[i:]
	}
	s, _, _ = strings.Cut(s, "?")
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	return strings.TrimRight(s, "/")
}
