package hook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// passwords returns a configuration with the two hooks about passwords.
func passwords() Config {
	c := to(Play)
	c.OnRTSPRealm, c.OnRTSPAuth = "http://platform:8080/on_rtsp_realm", "http://platform:8080/on_rtsp_auth"
	return c
}

// TestPasswordBodies: what is asked has the fields of ZLMediaKit, and nothing else.
func TestPasswordBodies(t *testing.T) {
	c := passwords()
	c.ServerID = "node \"1\""
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(says(`{"code":0,"realm":"cams","passwd":"x"}`))
		q := s.request("rtsp", "cam/1")
		if realm, err := s.Realm(t.Context(), q); realm != "cams" || err != nil {
			t.Errorf("%q, %v", realm, err)
		}
		for _, plain := range []bool{false, true} {
			if _, _, err := s.Password(t.Context(), q, `m<"é`, "cams", plain); err != nil {
				t.Error(err)
			}
		}
		for hook, want := range map[Hook]string{
			RTSPRealm: fieldsMedia, RTSPAuth: fieldsMedia + " user_name:s must_no_encrypt:b realm:s",
		} {
			all := s.calls(hook)
			for _, b := range all {
				checkBody(t, hook, want, &b)
			}
			golden(t, hook, all)
		}
		same(t, "calls of on_play", len(s.calls(Play)), 0)
	})
}

// TestRealm: no realm, and none at all, is a yes; what is no answer is a no, however open other hooks fail.
func TestRealm(t *testing.T) {
	c := passwords()
	c.FailOpen = []string{"on_play", "on_publish"}
	for text, want := range map[string]struct {
		realm, err string
		kind       error
	}{
		`{"code":0,"realm":"a b é"}`:           {"a b é", "", nil},
		`{"code":"0","realm":7}`:               {"7", "", nil},
		`{"code":0,"realm":""}`:                {"", "", nil},
		`{"code":0,"realm":null}`:              {"", "", nil},
		`{"code":0}`:                           {"", "", nil},
		`{"code":-1,"msg":"no","realm":""}`:    {"", "denied: no (code -1)", hub.ErrDenied},
		`{"code":0,"realm":{}}`:                {"", "on_rtsp_realm was not answered", errRealm},
		`{"code":0,"realm":[""]}`:              {"", "on_rtsp_realm was not answered", errRealm},
		`{"code":0,"realm":"a\"b"}`:            {"", "on_rtsp_realm was not answered", errRealm},
		`{"code":0,"realm":"a\\b"}`:            {"", "on_rtsp_realm was not answered", errRealm},
		`{"code":0,"realm":"a\r\nb"}`:          {"", "on_rtsp_realm was not answered", errRealm},
		`{"realm":""}`:                         {"", "on_rtsp_realm was not answered", errAnswer},
		`nothing`:                              {"", "on_rtsp_realm was not answered", errAnswer},
		`{"code":0,"realm":"` + long() + `"}`:  {long(), "", nil},
		`{"code":0,"realm":"` + long() + `x"}`: {"", "on_rtsp_realm was not answered", errRealm},
	} {
		scene(t, c, func(t *testing.T, s *stage) {
			s.answers(says(text))
			realm, err := s.Realm(t.Context(), s.request("rtsp", "a"))
			same(t, text, realm, want.realm)
			wants(t, text, err, want.kind)
			if err != nil {
				same(t, text, err.Error(), want.err)
				if said := strings.Contains(s.log.String(), "a hook failed"); said == (want.kind == hub.ErrDenied) { //nolint:errorlint // of the table
					t.Errorf("%s: the log is %q", text, s.log)
				}
			}
		})
	}
}

// long is a realm that is just short enough.
func long() string { return strings.Repeat("r", realmMost) }

// TestPassword: a password comes in clear or hashed; no password is none, and what is no answer is none either.
func TestPassword(t *testing.T) {
	const sum = "0123456789abcdef0123456789ABCDEF"
	for text, want := range map[string]struct {
		password string
		hashed   bool
		kind     error
	}{
		`{"code":0,"encrypted":false,"passwd":"a b"}`:           {"a b", false, nil},
		`{"code":0,"passwd":"` + sum + `"}`:                     {sum, false, nil},
		`{"code":0,"passwd":1234}`:                              {"1234", false, nil},
		`{"code":0,"encrypted":true,"passwd":"` + sum + `"}`:    {strings.ToLower(sum), true, nil},
		`{"code":0,"encrypted":1,"passwd":"` + sum + `"}`:       {strings.ToLower(sum), true, nil},
		`{"code":0,"encrypted":true,"passwd":"` + sum + `0"}`:   {"", false, errHash},
		`{"code":0,"encrypted":true,"passwd":"` + sum + `00"}`:  {"", false, errHash},
		`{"code":0,"encrypted":true,"passwd":"plain"}`:          {"", false, errHash},
		`{"code":0,"passwd":""}`:                                {"", false, hub.ErrDenied},
		`{"code":0,"encrypted":true,"passwd":""}`:               {"", false, hub.ErrDenied},
		`{"code":0,"passwd":null}`:                              {"", false, hub.ErrDenied},
		`{"code":0,"passwd":["x"]}`:                             {"", false, hub.ErrDenied},
		`{"code":0}`:                                            {"", false, hub.ErrDenied},
		`{"code":5,"msg":"nobody","passwd":"x"}`:                {"", false, hub.ErrDenied},
		`{"passwd":"x"}`:                                        {"", false, errAnswer},
		`{"code":0,"encrypted":true,"passwd":"` + sum + "\n\"}": {"", false, errAnswer},
	} {
		scene(t, passwords(), func(t *testing.T, s *stage) {
			s.answers(says(text))
			password, hashed, err := s.Password(t.Context(), s.request("rtsp", "a"), "me", "cams", false)
			same(t, text, fmt.Sprint(password, hashed), fmt.Sprint(want.password, want.hashed))
			wants(t, text, err, want.kind)
			if strings.Contains(s.log.String(), sum) || strings.Contains(s.log.String(), "plain") {
				t.Errorf("the log tells a password: %s", s.log)
			}
		})
	}
}

// TestNoPasswordHooks: where nobody is asked nobody needs a password, and nobody has one.
func TestNoPasswordHooks(t *testing.T) {
	scene(t, to(Play), func(t *testing.T, s *stage) {
		if realm, err := s.Realm(t.Context(), s.request("rtsp", "a")); realm != "" || err != nil {
			t.Errorf("%q, %v", realm, err)
		}
		_, _, err := s.Password(t.Context(), s.request("rtsp", "a"), "me", "cams", true)
		wants(t, "a password", err, hub.ErrDenied)
		same(t, "a password", err.Error(), "denied: hooks.on_rtsp_auth is not set")
	})
}

// TestPasswordHooksHang: they are not waited for beyond the timeout, and say nothing of each other, nor of on_play.
func TestPasswordHooksHang(t *testing.T) {
	c := passwords()
	c.Timeout, c.FailOpen = 3*time.Second, []string{"on_play"}
	scene(t, c, func(t *testing.T, s *stage) {
		s.answers(func(w http.ResponseWriter, r *http.Request, c *called) {
			if c.Hook == RTSPRealm {
				hangs(w, r, c)
			}
			says(`{"code":0,"passwd":"x"}`)(w, r, c)
		})
		q := s.request("rtsp", "a")
		for i := range breakAfter + 1 {
			begin := time.Now()
			_, err := s.Realm(t.Context(), q)
			if took := time.Since(begin); err == nil || took > c.Timeout || i == breakAfter && took != 0 {
				t.Errorf("%d: %v after %v", i, err, took)
			}
		}
		if password, _, err := s.Password(t.Context(), q, "me", "cams", false); password != "x" || err != nil {
			t.Errorf("%q, %v", password, err)
		}
		same(t, "play", (<-s.play(t.Context(), q)).err, nil)
	})
}
