package zlm

import (
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the dialect's; nothing but the login of a page rests on it
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/api"
)

// The cookies: of who may log in with what is in it, and of who has.
const (
	cookieTicket = "ZLM_UNLOGIN"
	cookieLogin  = "ZLM_LOGINED"
)

// Limits of logins.
const (
	ticketTime  = time.Minute
	loginTime   = 24 * time.Hour
	loginsMost  = 256 // at the same time: the oldest ends
	ticketsUsed = 256 // within ticketTime: no more logins meanwhile
)

// logins are those that hold. A ticket is not kept: it says itself when it ends, signed, so that nobody can fill a table by asking for them; only
// those that were used are. The methods are safe for concurrent use.
type logins struct {
	key []byte // that tickets are signed with, made anew with each run

	mu   sync.Mutex           // a leaf
	open map[string]login     // by the cookie's value
	used map[string]time.Time // tickets, and when they end
}

// login is one that holds.
type login struct {
	secret [sha256.Size]byte // that it was made with: it ends when there is another
	until  time.Time
}

func newLogins() *logins {
	return &logins{key: []byte(rand.Text()), open: map[string]login{}, used: map[string]time.Time{}}
}

// ticket returns a new one.
func (l *logins) ticket() string {
	text := rand.Text() + "-" + strconv.FormatInt(time.Now().Add(ticketTime).Unix(), 16)
	return text + "-" + l.sign(text)
}

func (l *logins) sign(text string) string {
	const half = sha256.Size / 2
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil)[:half])
}

// fresh says whether a ticket is ours and holds, and until when.
func (l *logins) fresh(ticket string) (until time.Time, ok bool) {
	i := strings.LastIndexByte(ticket, '-')
	if i < 0 || !api.Same(l.sign(ticket[:i]), ticket[i+1:]) {
		return until, false
	}
	_, end, _ := strings.Cut(ticket[:i], "-")
	seconds, err := strconv.ParseInt(end, 16, 64)
	until = time.Unix(seconds, 0)
	return until, err == nil && time.Now().Before(until)
}

// enter begins a login with a ticket, which holds for this once, and returns its cookie's value. "": the ticket was used, or there are too many
// logins.
func (l *logins) enter(ticket string, until time.Time, secret string) string {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for t, end := range l.used {
		if !now.Before(end) {
			delete(l.used, t)
		}
	}
	if _, known := l.used[ticket]; known || len(l.used) >= ticketsUsed {
		return ""
	}
	l.used[ticket] = until
	for len(l.open) >= loginsMost {
		oldest := ""
		for value, o := range l.open {
			if oldest == "" || o.until.Before(l.open[oldest].until) {
				oldest = value
			}
		}
		delete(l.open, oldest)
	}
	value := rand.Text()
	l.open[value] = login{sha256.Sum256([]byte(secret)), now.Add(loginTime)}
	return value
}

// valid says whether a cookie's value is that of a login that holds.
func (l *logins) valid(value, secret string) bool {
	if value == "" || secret == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o, known := l.open[value]
	if !known {
		return false
	}
	if o.secret != sha256.Sum256([]byte(secret)) || !time.Now().Before(o.until) {
		delete(l.open, value)
		return false
	}
	return true
}

// leave ends a login, and says whether there was one.
func (l *logins) leave(value string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.open[value]
	delete(l.open, value)
	return known
}

// login lets a page in whose digest shows that it knows the secret.
func (a *API) login(_ context.Context, c *call) reply {
	if a.opt.Allowed != nil && !a.opt.Allowed(c.peer) {
		return failed(codeAuth, "Your ip is not allowed to access the service.")
	}
	if left := a.opt.Guard.Blocked(c.peer); left > 0 {
		return *blocked(left)
	}
	secret, ticket := a.opt.Secret().Reveal(), cookieOf(c.r, cookieTicket)
	until, fresh := a.logins.fresh(ticket)
	sum := md5.Sum([]byte("zlmediakit:" + secret + ":" + ticket)) //nolint:gosec // see the import
	if fresh && secret != "" && api.Same(hex.EncodeToString(sum[:]), c.text("digest")) {
		if value := a.logins.enter(ticket, until, secret); value != "" {
			a.opt.Guard.Right(c.peer)
			out := ok(nil)
			out.cookies = append(out.cookies, cookie(c.r, cookieLogin, value, loginTime), cookie(c.r, cookieTicket, "", 0))
			return out
		}
	} else if fresh {
		a.opt.Guard.Wrong(c.peer)
	}
	a.logins.leave(cookieOf(c.r, cookieLogin))
	out := a.offer(c, codeAuth, "Digest does not match, incorrect secret?")
	out.cookies = append(out.cookies, cookie(c.r, cookieLogin, "", 0))
	return out
}

// logout ends a login.
func (a *API) logout(_ context.Context, c *call) reply {
	msg := ""
	if !a.logins.leave(cookieOf(c.r, cookieLogin)) {
		msg = "You are not logined"
	}
	out := a.offer(c, codeSuccess, msg)
	out.cookies = append(out.cookies, cookie(c.r, cookieLogin, "", 0))
	return out
}
