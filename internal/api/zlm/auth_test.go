package zlm

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What api.Guard promises.
const (
	guessesMost = 10
	blockMost   = time.Minute
	trusted     = time.Hour
)

// cookieIn is the cookie that an answer sets, or nil.
func cookieIn(w *httptest.ResponseRecorder, name string) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// from calls version as somebody, with cookies.
func (r *rig) from(t *testing.T, peer, name, query string, cookies ...*http.Cookie) (*httptest.ResponseRecorder, int) {
	t.Helper()
	q := build(t, byQuery, http.MethodGet, prefix+name, query)
	q.RemoteAddr = peer
	for _, c := range cookies {
		if c != nil {
			q.AddCookie(c)
		}
	}
	w := r.do(q)
	return w, *resultOf(t, w).Code
}

const (
	stranger = "203.0.113.66:1"
	platform = "203.0.113.9:1"
	rightKey = "secret=" + theSecret
)

func TestSecret(t *testing.T) {
	r := newRig(t)
	for header, want := range map[string]int{
		"Bearer " + theSecret: 0, "bearer " + theSecret: 0, "Bearer  " + theSecret: -100, "Bearer x": -100, "Bearer ": -100, "Basic " + theSecret: -100, theSecret: -100,
	} {
		q := build(t, byQuery, http.MethodGet, prefix+"version", "")
		q.Header.Set("Authorization", header)
		if got := *resultOf(t, r.do(q)).Code; got != want {
			t.Errorf("%q: %d", header, got)
		}
	}
	r.secret = ""
	for _, query := range []string{"", "secret=", "secret=x"} {
		if _, code := r.from(t, platform, "version", query); code != -100 {
			t.Errorf("without a secret, %q is let in", query)
		}
	}
	r.secret = theSecret
	r.opt.Allowed = func(a netip.Addr) bool { return a == netip.MustParseAddr("203.0.113.9") }
	for peer, want := range map[string]int{platform: 0, stranger: -100, "[::ffff:203.0.113.9]:1": 0, "@": -100} {
		w, code := r.from(t, peer, "version", rightKey)
		if code != want || want != 0 && !strings.Contains(w.Body.String(), "Your ip is not allowed to access the service.") {
			t.Errorf("%s: %s", peer, w.Body)
		}
	}
}

func digest(secret, ticket string) string {
	return fmt.Sprintf("digest=%x", md5.Sum([]byte("zlmediakit:"+secret+":"+ticket)))
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		w, _ := r.from(t, platform, "version", "")
		ticket := cookieIn(w, cookieTicket)
		if ticket == nil || ticket.Value != resultOf(t, w).Cookie || !ticket.HttpOnly || ticket.MaxAge != 60 || ticket.SameSite != http.SameSiteStrictMode {
			t.Fatalf("the ticket: %+v", ticket)
		}
		for what, c := range map[string]struct {
			digest string
			ticket *http.Cookie
		}{
			"another secret": {digest("x", ticket.Value), ticket},
			"no ticket":      {digest(theSecret, ""), nil},
			"a ticket of its own making": {
				digest(theSecret, "a-7fffffff-00"), &http.Cookie{Name: cookieTicket, Value: "a-7fffffff-00"},
			},
			"a forged end": {
				digest(theSecret, "9"+ticket.Value), &http.Cookie{Name: cookieTicket, Value: "9" + ticket.Value},
			},
		} {
			w, code := r.from(t, platform, "login", c.digest, c.ticket)
			if code != -100 || resultOf(t, w).Msg != "Digest does not match, incorrect secret?" || resultOf(t, w).Cookie == "" {
				t.Errorf("%s: %s", what, w.Body)
			}
		}
		w, code := r.from(t, platform, "login", digest(theSecret, ticket.Value), ticket)
		in, gone := cookieIn(w, cookieLogin), cookieIn(w, cookieTicket)
		if code != 0 || in == nil || !in.HttpOnly || in.MaxAge != 86400 || gone == nil || gone.MaxAge >= 0 {
			t.Fatalf("login: %s %v", w.Body, w.Header())
		}
		if _, code = r.from(t, platform, "login", digest(theSecret, ticket.Value), ticket); code != -100 {
			t.Error("a ticket holds twice")
		}
		if _, code = r.from(t, platform, "version", "", in); code != 0 {
			t.Error("the login does not hold")
		}
		if _, code = r.from(t, platform, "version", "secret=wrong", in); code != 0 {
			t.Error("with a login, the secret is not asked for")
		}
		time.Sleep(loginTime - time.Second)
		if _, code = r.from(t, platform, "version", "", in); code != 0 {
			t.Error("the login does not hold for a day")
		}
		time.Sleep(2 * time.Second)
		if _, code = r.from(t, platform, "version", "", in); code == 0 {
			t.Error("the login holds for more than a day")
		}
		// It ends with the secret, by logging out, and by a login that fails.
		for what, end := range map[string]func(in *http.Cookie){
			"another secret": func(*http.Cookie) { r.secret = "another" },
			"logout": func(in *http.Cookie) {
				if w, code := r.from(t, platform, "logout", "", in); code != 0 || resultOf(t, w).Msg != "" || resultOf(t, w).Cookie == "" {
					t.Errorf("logout: %s", w.Body)
				}
			},
			"a login that fails": func(in *http.Cookie) { r.from(t, platform, "login", "digest=1", in) },
		} {
			ticket := &http.Cookie{Name: cookieTicket, Value: r.logins.ticket()}
			w, _ := r.from(t, platform, "login", digest(theSecret, ticket.Value), ticket)
			in := cookieIn(w, cookieLogin)
			if _, code := r.from(t, platform, "version", "", in); code != 0 {
				t.Fatalf("%s: there is no login: %s", what, w.Body)
			}
			end(in)
			r.secret = theSecret
			if what == "another secret" { // nobody has asked meanwhile: it is the same again, and so is the login
				r.secret = "another"
			}
			if _, code := r.from(t, platform, "version", "", in); code == 0 {
				t.Errorf("it holds in spite of %s", what)
			}
			r.secret = theSecret
		}
		ticket = &http.Cookie{Name: cookieTicket, Value: r.logins.ticket()}
		time.Sleep(ticketTime + time.Second)
		if _, code = r.from(t, platform, "login", digest(theSecret, ticket.Value), ticket); code != -100 {
			t.Error("a ticket holds for more than a minute")
		}
	})
}

func TestLoginsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		var first string
		for i := range 2 * loginsMost {
			ticket := l.ticket()
			until, ok := l.fresh(ticket)
			value := l.enter(ticket, until, theSecret)
			if !ok || value == "" {
				t.Fatalf("login %d: %v %q", i, ok, value)
			}
			if i == 0 {
				first = value
			}
			time.Sleep(time.Second)
		}
		if len(l.open) > loginsMost || len(l.used) > ticketsUsed || l.valid(first, theSecret) {
			t.Errorf("%d logins, %d tickets", len(l.open), len(l.used))
		}
	})
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.from(t, platform, "version", rightKey)
		guess := func(peer string) string {
			w, code := r.from(t, peer, "version", "secret=guess")
			if code != -100 {
				t.Fatalf("a guess: %s", w.Body)
			}
			return resultOf(t, w).Msg
		}
		for range guessesMost {
			if msg := guess(stranger); msg != "Please login first" {
				t.Fatal(msg)
			}
		}
		if _, code := r.from(t, stranger, "version", ""); code != -100 {
			t.Error("nothing is no guess, and not let in either")
		}
		if msg := guess(stranger); !strings.HasSuffix(msg, "try again in 1 s") {
			t.Error(msg)
		}
		if _, code := r.from(t, stranger, "version", rightKey); code != -100 {
			t.Error("a blocked address is listened to")
		}
		if _, code := r.from(t, platform, "version", rightKey); code != 0 {
			t.Error("another address is blocked too")
		}
		begin := time.Now()
		for _, seconds := range []int{2, 4, 8, 16, 32, 60, 60} {
			for strings.Contains(guess(stranger), "try again") { // each of them while it is blocked costs nothing
				time.Sleep(time.Second)
			}
			if left := r.opt.Guard.Blocked(netip.MustParseAddr("203.0.113.66")); left != time.Duration(seconds)*time.Second {
				t.Fatalf("after %v: blocked for %v, want %d s", time.Since(begin), left, seconds)
			}
		}
		time.Sleep(blockMost)
		if _, code := r.from(t, stranger, "version", rightKey); code != 0 {
			t.Error("it is blocked for ever")
		}
		// Whoever is trusted stays so in spite of wrong secrets from the same address, for a while.
		for range 100 {
			guess(platform)
		}
		if _, code := r.from(t, platform, "version", rightKey); code != 0 {
			t.Error("a platform was locked out")
		}
		time.Sleep(trusted + time.Second)
		for range guessesMost {
			guess(platform)
		}
		if _, code := r.from(t, platform, "version", rightKey); code != -100 {
			t.Error("trust lasts for ever")
		}
		// Slow guesses are mistakes.
		time.Sleep(trusted)
		for range 3 * guessesMost {
			if msg := guess("198.51.100.1:1"); strings.Contains(msg, "try again") {
				t.Fatal(msg)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
