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

// Secret is what is known of a password.
type Secret struct {
	Text   string
	Hashed bool // Text is what Digest with MD5 makes of it: hexadecimal digits of the MD5 of user:realm:password (RFC 2617, 3.2.2.2)
}

// Lookup returns what is known of a user's password, if there is a user of that name. plain says that a hashed one is of no use.
type Lookup func(user string, plain bool) (Secret, bool)

// Verify returns the user who made a request. The error is ErrMissing, ErrStale, or ErrDenied with more words, none of which come from the client.
func (c *Challenge) Verify(r Request, password Lookup) (user string, err error) {
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
			if a, ok := c.algorithm(p["algorithm"]); ok {
				return c.verifyDigest(r, p, a, password)
			}
		}
	}
	return "", fmt.Errorf("%w: of no scheme that was offered", ErrDenied)
}

// algorithm is what a digest is made with.
type algorithm struct {
	scheme Scheme
	hash   func() hash.Hash
}

// algorithm returns that of a name, if it was offered.
func (c *Challenge) algorithm(name string) (a algorithm, ok bool) {
	switch strings.ToUpper(name) {
	case "", "MD5":
		a = algorithm{DigestMD5, md5.New}
	case "SHA-256":
		a = algorithm{DigestSHA256, sha256.New}
	default:
		return a, false
	}
	return a, slices.Contains(c.schemes, a.scheme)
}

// errHashed is for those who had to be shown a plain password.
var errHashed = fmt.Errorf("%w: the password is known by its MD5 only, which proves nothing here", ErrDenied)

// lookup returns the password of a user, or one that nobody knows.
func (c *Challenge) lookup(user string, plain bool, password Lookup) (pass Secret, known bool) {
	if pass, known = password(user, plain); !known {
		pass = Secret{Text: c.decoy}
	}
	return pass, known
}

func (c *Challenge) verifyBasic(text string, password Lookup) (string, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	plain, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("%w: not base64", ErrDenied)
	}
	user, given, _ := strings.Cut(string(plain), ":") // a password may have colons
	pass, known := c.lookup(user, true, password)
	if pass.Hashed {
		return "", errHashed
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(pass.Text)) // so that lengths do not show
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || !known {
		return "", ErrDenied
	}
	return user, nil
}

func (c *Challenge) verifyDigest(r Request, p map[string]string, a algorithm, password Lookup) (string, error) {
	user, nonce, uri := p["username"], p["nonce"], p["uri"]
	pass, known := c.lookup(user, a.scheme != DigestMD5, password)
	if pass.Hashed && a.scheme != DigestMD5 {
		return "", errHashed
	}
	sum := func(parts ...string) string {
		h := a.hash()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	secret, target := sum(user, c.realm, pass.Text), sum(string(r.Method), uri)
	if pass.Hashed {
		secret = strings.ToLower(pass.Text)
	}
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
