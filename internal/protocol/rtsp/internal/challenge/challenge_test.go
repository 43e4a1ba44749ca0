package challenge

import (
	"crypto/md5" //nolint:gosec // that is what clients know
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const (
	aURL   = "rtsp://host:554/live/cam/trackID=0"
	aRealm = "vigil"
)

func users(user string, _ bool) (Secret, bool) {
	switch user {
	case "ann":
		return Secret{Text: "pa:ss"}, true
	case "empty":
		return Secret{}, true
	}
	return Secret{}, false
}

// answer makes a client's header with the library's own client.
func answer(t *testing.T, header base.HeaderValue, method base.Method, url, user, pass string) base.HeaderValue {
	t.Helper()
	u, err := base.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	s := &auth.Sender{WWWAuth: header, User: user, Pass: pass}
	if err = s.Initialize(); err != nil {
		t.Fatal(err)
	}
	req := &base.Request{Method: method, URL: u}
	s.AddAuthorization(req)
	return req.Header["Authorization"]
}

func TestVerifyWhatTheLibrarySends(t *testing.T) {
	for _, schemes := range [][]Scheme{nil, {Basic}, {DigestMD5}, {DigestSHA256}, {DigestMD5, DigestSHA256, Basic}} {
		for _, c := range []struct {
			user, pass string
			err        error
		}{
			{"ann", "pa:ss", nil},
			{"empty", "", nil},
			{"ann", "pa:st", ErrDenied},
			{"ann", "", ErrDenied},
			{"bob", "", ErrDenied},
			{"", "", ErrDenied},
		} {
			ch := New(aRealm, schemes)
			r := Request{Method: base.Setup, URL: aURL}
			if _, err := ch.Verify(r, users); !errors.Is(err, ErrMissing) {
				t.Fatal(err)
			}
			r.Authorization = answer(t, ch.Header(), base.Setup, aURL, c.user, c.pass)
			user, err := ch.Verify(r, users)
			if !errors.Is(err, c.err) || err == nil && user != c.user {
				t.Errorf("schemes %v, %s:%s: %q, %v", schemes, c.user, c.pass, user, err)
			}
			r.Method = base.Record
			if _, err = ch.Verify(r, users); strings.HasPrefix(r.Authorization[0], "Digest") && !errors.Is(err, ErrDenied) {
				t.Errorf("a digest for another method: %v", err)
			}
		}
	}
}

func TestDecoyIsNoPassword(t *testing.T) {
	ch := New(aRealm, nil)
	r := Request{Method: base.Setup, URL: aURL, Authorization: answer(t, ch.Header(), base.Setup, aURL, "bob", ch.decoy)}
	if _, err := ch.Verify(r, users); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	r.Authorization = base.HeaderValue{"Basic " + base64.StdEncoding.EncodeToString([]byte("bob:"+ch.decoy))}
	if _, err := ch.Verify(r, users); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}

func TestHeader(t *testing.T) {
	ch := New("a \"realm\"\r\n", []Scheme{DigestMD5, DigestSHA256, Basic})
	got := ch.Header()
	want := base.HeaderValue{
		`Digest realm="a _realm___", nonce="` + ch.nonce + `"`,
		`Digest realm="a _realm___", nonce="` + ch.nonce + `", algorithm=SHA-256`,
		`Basic realm="a _realm___"`,
	}
	if !slices.Equal(got, want) || len(ch.nonce) != 32 {
		t.Errorf("got %q", got)
	}
	if again := ch.Header(); !slices.Equal(again, want) {
		t.Error("another nonce on the same connection")
	}
	if other := New(ch.realm, ch.schemes).Header(); other[0] == want[0] {
		t.Error("two connections with the same nonce")
	}
}

func TestNonceExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := New(aRealm, nil)
		h := ch.Header()
		r := Request{Method: base.Play, URL: aURL, Authorization: answer(t, h, base.Play, aURL, "ann", "pa:ss")}
		time.Sleep(nonceAge - 1)
		if _, err := ch.Verify(r, users); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := ch.Verify(r, users); !errors.Is(err, ErrStale) {
			t.Fatal(err)
		}
		h2 := ch.Header()
		if h2[0] == h[0] || !strings.HasSuffix(h2[0], ", stale=true") || strings.Contains(ch.Header()[0], "stale") {
			t.Error(h2)
		}
		wrong := r
		wrong.Authorization = answer(t, h, base.Play, aURL, "ann", "guess")
		if _, err := ch.Verify(wrong, users); !errors.Is(err, ErrDenied) {
			t.Error("a wrong password with an old nonce:", err)
		}
		r.Authorization = answer(t, h2, base.Play, aURL, "ann", "pa:ss")
		if _, err := ch.Verify(r, users); err != nil {
			t.Error(err)
		}
		if _, err := New(aRealm, nil).Verify(r, users); !errors.Is(err, ErrStale) {
			t.Error("the nonce of another connection:", err)
		}
	})
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // that is what clients know
	return hex.EncodeToString(sum[:])
}

// digest is a header as some client writes it: %n is the nonce, %r the response.
func digest(ch *Challenge, form, uri, middle string) string {
	ch.Header()
	response := md5Hex(md5Hex("ann:"+aRealm+":pa:ss") + ":" + ch.nonce + ":" + middle + md5Hex("SETUP:"+uri))
	return strings.NewReplacer("%n", ch.nonce, "%r", response, "%R", strings.ToUpper(response)).Replace(form)
}

func TestForms(t *testing.T) {
	const uri = aURL
	for name, c := range map[string]struct {
		form, middle string
		err          error
	}{
		"plain":          {`Digest username="ann", realm="vigil", nonce="%n", uri="` + uri + `", response="%r"`, "", nil},
		"no blanks":      {`digest username="ann",realm="vigil",nonce="%n",uri="` + uri + `",response="%r",algorithm=MD5`, "", nil},
		"no commas":      {`Digest username="ann" realm="vigil" nonce=%n uri="` + uri + `" response=%R`, "", nil},
		"quoted MD5":     {`Digest  username = "ann" , Realm="vigil", nonce="%n", uri="` + uri + `", response="%r", algorithm="md5"`, "", nil},
		"qop":            {`Digest username="ann", realm="vigil", nonce="%n", uri="` + uri + `", response="%r", qop=auth, nc=00000001, cnonce="x"`, "00000001:x:auth:", nil},
		"auth-int":       {`Digest username="ann", realm="vigil", nonce="%n", uri="` + uri + `", response="%r", qop=auth-int, nc=1, cnonce="x"`, "1:x:auth-int:", ErrDenied},
		"other realm":    {`Digest username="ann", realm="x", nonce="%n", uri="` + uri + `", response="%r"`, "", ErrDenied},
		"not offered":    {`Digest username="ann", realm="vigil", nonce="%n", uri="` + uri + `", response="%r", algorithm=SHA-256`, "", ErrDenied},
		"other uri":      {`Digest username="ann", realm="vigil", nonce="%n", uri="rtsp://host/x", response="%r"`, "", ErrDenied},
		"second user":    {`Digest username="ann", username="bob", realm="vigil", nonce="%n", uri="` + uri + `", response="%r"`, "", nil},
		"empty":          {`Digest`, "", ErrDenied},
		"nothing":        {``, "", ErrDenied},
		"unknown scheme": {`Bearer abc`, "", ErrDenied},
		"basic unpadded": {"Basic " + base64.RawStdEncoding.EncodeToString([]byte("ann:pa:ss")), "", nil},
		"basic junk":     {"Basic ???", "", ErrDenied},
		"basic no colon": {"Basic " + base64.StdEncoding.EncodeToString([]byte("ann")), "", ErrDenied},
	} {
		ch := New(aRealm, nil)
		r := Request{Method: base.Setup, URL: uri, Authorization: base.HeaderValue{digest(ch, c.form, uri, c.middle)}}
		if user, err := ch.Verify(r, users); !errors.Is(err, c.err) || err == nil && user != "ann" {
			t.Errorf("%s: %q, %v", name, user, err)
		}
	}
}

func TestURI(t *testing.T) {
	for uri, ok := range map[string]bool{
		aURL:                                 true,
		"rtsp://host:554/live/cam/":          true,
		"rtsp://host/live/cam":               true,
		"rtsp://other/live/cam?a=b":          true,
		"/live/cam/trackID=0":                true,
		"/live/%63am/":                       true,
		"rtsp://host/live/cam/trackID=0/x/y": true,
		"rtsp://host/live/ca":                false,
		"rtsp://host/live/cam/trackID=01":    false,
		"rtsp://host/":                       false,
		"rtsp://host":                        false,
		"*":                                  false,
		"":                                   false,
	} {
		ch := New(aRealm, nil)
		form := `Digest username="ann", realm="vigil", nonce="%n", uri="` + uri + `", response="%r"`
		r := Request{Method: base.Setup, URL: aURL, Authorization: base.HeaderValue{digest(ch, form, uri, "")}}
		if _, err := ch.Verify(r, users); (err == nil) != ok {
			t.Errorf("%q: %v", uri, err)
		}
	}
	for _, url := range []string{"*", "rtsp://h", "rtsp://h/"} {
		if !related(url, url) {
			t.Error(url)
		}
	}
}

// TestUnknownUsersAreLookedUpAlike: what is computed does not depend on whether there is such a user.
func TestUnknownUsersAreLookedUpAlike(t *testing.T) {
	allocs := func(user string) float64 {
		ch := New(aRealm, nil)
		r := Request{Method: base.Setup, URL: aURL, Authorization: answer(t, ch.Header(), base.Setup, aURL, user, "x")}
		return testing.AllocsPerRun(50, func() {
			if _, err := ch.Verify(r, users); !errors.Is(err, ErrDenied) {
				t.Fatal(err)
			}
		})
	}
	if a, b := allocs("ann"), allocs("bob"); a != b {
		t.Errorf("%v and %v allocations", a, b)
	}
}

// TestHashedPassword: what Digest makes of a password with MD5 is as good as the password for such digests, and proves nothing else.
func TestHashedPassword(t *testing.T) {
	for name, c := range map[string]struct {
		schemes    []Scheme
		hash, user string
		pass       string
		err        error
		plain      bool // the lookup was told to
	}{
		"right":           {nil, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", "pa:ss", nil, false},
		"capitals":        {nil, strings.ToUpper(md5Hex("ann:" + aRealm + ":pa:ss")), "ann", "pa:ss", nil, false},
		"wrong":           {nil, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", "pa:st", ErrDenied, false},
		"of another user": {nil, md5Hex("ann:" + aRealm + ":pa:ss"), "bob", "pa:ss", ErrDenied, false},
		"other realm":     {nil, md5Hex("ann:x:pa:ss"), "ann", "pa:ss", ErrDenied, false},
		"the hash itself": {nil, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", md5Hex("ann:" + aRealm + ":pa:ss"), ErrDenied, false},
		"empty":           {nil, "", "ann", "", ErrDenied, false},
		"SHA-256":         {[]Scheme{DigestSHA256}, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", "pa:ss", ErrDenied, true},
		"basic":           {[]Scheme{Basic}, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", "pa:ss", ErrDenied, true},
		"basic, the hash": {[]Scheme{Basic}, md5Hex("ann:" + aRealm + ":pa:ss"), "ann", md5Hex("ann:" + aRealm + ":pa:ss"), ErrDenied, true},
	} {
		ch := New(aRealm, c.schemes)
		r := Request{Method: base.Describe, URL: aURL, Authorization: answer(t, ch.Header(), base.Describe, aURL, c.user, c.pass)}
		user, err := ch.Verify(r, func(user string, plain bool) (Secret, bool) {
			if user != c.user || plain != c.plain {
				t.Errorf("%s: asked for %q, plain: %v", name, user, plain)
			}
			return Secret{c.hash, true}, true
		})
		if !errors.Is(err, c.err) || err == nil && user != c.user {
			t.Errorf("%s: %q, %v", name, user, err)
		}
		if _, err = ch.Verify(r, func(string, bool) (Secret, bool) { return Secret{c.hash, true}, false }); !errors.Is(err, ErrDenied) {
			t.Errorf("%s, but unknown: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(`Digest username="ann", realm="vigil", nonce="n", uri="*", response="r"`, "*")
	f.Add(`Digest a="\"\\", b=c d,e=,=f,"`, "rtsp://h")
	f.Add("Basic YTpi", "")
	f.Fuzz(func(t *testing.T, value, url string) {
		for _, hashed := range []bool{false, true} {
			fuzzVerify(t, value, url, hashed)
		}
	})
}

func fuzzVerify(t *testing.T, value, url string, hashed bool) {
	t.Helper()
	ch := New(aRealm, []Scheme{DigestMD5, DigestSHA256, Basic})
	ch.Header()
	calls := 0
	_, err := ch.Verify(Request{Method: "OPTIONS", URL: url, Authorization: base.HeaderValue{value, value}}, func(string, bool) (Secret, bool) {
		calls++
		return Secret{"a password that nobody guesses", hashed}, true
	})
	if err == nil || calls > 1 {
		t.Fatal(err, calls)
	}
}
