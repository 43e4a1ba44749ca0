package challenge

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Scheme is a way to prove who one is.
type Scheme uint8

// Schemes.
const (
	DigestMD5    Scheme = 1 + iota // RFC 2069 and RFC 2617
	DigestSHA256                   // RFC 7616
	Basic                          // RFC 7617: the password goes in clear
)

// Defaults returns the schemes that are offered if nothing is said, in their order: old clients take the first. DigestSHA256 is not
// among them, because FFmpeg takes the last digest that is offered and older ones know no other than MD5.
func Defaults() []Scheme { return []Scheme{DigestMD5, Basic} }

// Why a request is not let through. Each is answered with 401 and a new header.
var (
	ErrMissing = errors.New("no credentials")        // as every client begins: no fault
	ErrStale   = errors.New("the nonce has expired") // the credentials are right: no fault
	ErrDenied  = errors.New("wrong credentials")
)

// nonceAge is how long a nonce is taken.
const nonceAge = 5 * time.Minute

// Challenge is what one connection is asked.
type Challenge struct {
	realm   string
	schemes []Scheme
	nonce   string
	made    time.Time // the nonce
	stale   bool      // the client's was: say so
	decoy   string    // the password of those that do not exist
}

// New returns a Challenge that offers schemes, in this order; nil means [Defaults].
func New(realm string, schemes []Scheme) *Challenge {
	if schemes == nil {
		schemes = Defaults()
	}
	realm = strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			return '_'
		}
		return r
	}, realm)
	return &Challenge{realm: realm, schemes: schemes, decoy: random()}
}

// random returns 128 random bits as text.
func random() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, since Go 1.24
	return hex.EncodeToString(b[:])
}

// fresh says whether the nonce is still taken.
func (c *Challenge) fresh() bool { return c.nonce != "" && time.Since(c.made) < nonceAge }

// Header returns the values of the WWW-Authenticate header for an answer with 401.
func (c *Challenge) Header() base.HeaderValue {
	if !c.fresh() {
		c.nonce, c.made = random(), time.Now()
	}
	digest := `Digest realm="` + c.realm + `", nonce="` + c.nonce + `"`
	if c.stale {
		digest += ", stale=true"
		c.stale = false
	}
	var values base.HeaderValue
	for _, s := range c.schemes {
		switch s {
		case DigestMD5:
			values = append(values, digest) // what is not said is MD5, to all
		case DigestSHA256:
			values = append(values, digest+", algorithm=SHA-256")
		case Basic:
			values = append(values, `Basic realm="`+c.realm+`"`)
		}
	}
	return values
}
