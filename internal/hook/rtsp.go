package hook

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/hub"
)

// realmMost bounds a realm, in bytes: it stands in a header.
const realmMost = 256

// What cannot be used of an answer about passwords.
var (
	errRealm = errors.New("the realm cannot stand in a header")
	errHash  = errors.New("the password is no MD5 in hexadecimal digits, as encrypted says")
)

// credential is the body of on_rtsp_auth.
type credential struct {
	media
	User  string `json:"user_name"`
	Plain bool   `json:"must_no_encrypt"`
	Realm string `json:"realm"`
}

// Realm asks on_rtsp_realm in which realm a player needs a password; "": in none. Where nobody is asked, nobody needs one. The error wraps hub.ErrDenied
// if the answer is no; without an answer there is another, whatever hooks.fail_open says.
func (h *Hooks) Realm(ctx context.Context, q hub.Request) (string, error) {
	t := h.target(RTSPRealm)
	if t == nil {
		return "", nil
	}
	a, err := h.insist(ctx, t, q.Key.VHost, mediaOf(&q))
	if err != nil {
		return "", err
	}
	realm, ok := a.text("realm")
	if raw := a.fields["realm"]; !ok && len(raw) > 0 && raw[0] != 'n' || !quotable(realm) { // null, and none at all, is no realm
		return "", h.useless(t, errRealm)
	}
	return realm, nil
}

// quotable says whether a text can stand in quotation marks in a header, as it is: passwords are hashed together with it.
func quotable(s string) bool {
	bad := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }
	return len(s) <= realmMost && utf8.ValidString(s) && !strings.ContainsFunc(s, bad)
}

// Password asks on_rtsp_auth for the password of a user. hashed: it is the MD5 of user:realm:password in hexadecimal digits, which is of no use if
// plain. The error wraps hub.ErrDenied if there is none; without an answer there is another, whatever hooks.fail_open says.
func (h *Hooks) Password(ctx context.Context, q hub.Request, user, realm string, plain bool) (password string, hashed bool, err error) {
	t := h.target(RTSPAuth)
	if t == nil {
		return "", false, fmt.Errorf("%w: hooks.%s is not set", hub.ErrDenied, RTSPAuth)
	}
	a, err := h.insist(ctx, t, q.Key.VHost, credential{mediaOf(&q), user, plain, realm})
	if err != nil {
		return "", false, err
	}
	password, _ = a.text("passwd")
	if password == "" { // it would let everybody in
		return "", false, fmt.Errorf("%w: %s knows no password", hub.ErrDenied, RTSPAuth)
	}
	if hashed, _ = a.truth("encrypted"); !hashed {
		return password, false, nil
	}
	if sum, err := hex.DecodeString(password); err != nil || len(sum) != 16 { //nolint:mnd // of an MD5
		return "", false, h.useless(t, errHash)
	}
	return strings.ToLower(password), true, nil
}

// insist asks a target whose failure is no yes.
func (h *Hooks) insist(ctx context.Context, t *target, vhost string, of any) (answer, error) {
	a, err := h.decide(ctx, t, vhost, of)
	switch {
	case err != nil:
		return a, &unanswered{t.hook, err}
	case a.code != 0:
		return a, a.refusal()
	}
	return a, nil
}

// useless is a good answer with something in it that is none.
func (h *Hooks) useless(t *target, err error) error {
	err = t.failure(err)
	h.failed(t, err)
	return &unanswered{t.hook, err}
}
