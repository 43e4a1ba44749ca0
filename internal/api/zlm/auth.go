package zlm

import (
	"net/http"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/api"
)

// secretOf is the secret that a call carries: an argument, or a bearer's token. "": none.
func (c *call) secretOf() string {
	if secret := c.text("secret"); secret != "" {
		return secret
	}
	const scheme = "Bearer "
	if header := c.r.Header.Get("Authorization"); len(header) > len(scheme) && strings.EqualFold(header[:len(scheme)], scheme) {
		return header[len(scheme):]
	}
	return ""
}

// admit lets a call through whose address may call, and that has a login's cookie or the secret. nil: it may pass.
func (a *API) admit(c *call) *reply {
	if a.opt.Allowed != nil && !a.opt.Allowed(c.peer) {
		out := failed(codeAuth, "Your ip is not allowed to access the service.")
		return &out
	}
	secret := a.opt.Secret().Reveal()
	if a.logins.valid(cookieOf(c.r, cookieLogin), secret) {
		return nil
	}
	if given := c.secretOf(); given != "" {
		if left := a.opt.Guard.Blocked(c.peer); left > 0 {
			return blocked(left)
		}
		if secret != "" && api.Same(given, secret) {
			a.opt.Guard.Right(c.peer)
			return nil
		}
		a.opt.Guard.Wrong(c.peer)
	}
	out := a.loginFirst(c)
	return &out
}

// blocked is the answer to an address that is not listened to.
func blocked(left time.Duration) *reply {
	_, text := api.Later(left)
	out := failed(codeAuth, text)
	return &out
}

// loginFirst is the answer to who has no secret: how to log in with it.
func (a *API) loginFirst(c *call) reply { return a.offer(c, codeAuth, "Please login first") }

// offer is an answer with a ticket for a login.
func (a *API) offer(c *call, result code, msg string) reply {
	ticket := a.logins.ticket()
	out := with(result, msg, fields{"cookie": ticket})
	out.cookies = append(out.cookies, cookie(c.r, cookieTicket, ticket, ticketTime))
	return out
}

// cookieOf is the value of a request's cookie; "": there is none.
func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// cookie is one that no script reads and no other site sends. Without a time it is to be forgotten.
func cookie(r *http.Request, name, value string, lives time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: root, MaxAge: int(lives.Seconds()), HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
	if lives == 0 {
		c.MaxAge = -1
	}
	return c
}
