package tunnel

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const get = "GET /live/cam HTTP/1.0\r\nUser-Agent: QTS\r\nx-sessioncookie: abc\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n"

func TestSniff(t *testing.T) {
	for s, want := range map[string][2]bool{
		"":              {false, false},
		"G":             {false, false},
		"GET":           {false, false},
		"GET ":          {true, true},
		"GET /":         {true, true},
		"GET_PARAMETER": {false, true},
		"P":             {false, false},
		"POST":          {false, false},
		"POST ":         {true, true},
		"PLAY ":         {false, true},
		"OPTIONS ":      {false, true},
		"$":             {false, true},
	} {
		if isHTTP, enough := Sniff([]byte(s)); isHTTP != want[0] || enough != want[1] {
			t.Errorf("%q: %v, %v", s, isHTTP, enough)
		}
	}
}

func TestReadHead(t *testing.T) {
	for s, want := range map[string]Head{
		get: {false, "/live/cam", "abc"},
		"POST / HTTP/1.1\nX-SESSIONCOOKIE:a b \n\n":             {true, "/", "a b"},
		"GET  /a  HTTP/1.0 \r\nx-sessioncookie : q=:1\r\n \r\n": {false, "/a", "q=:1"},
	} {
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(s[3:] + "rest"),
			"bytes": iotest.OneByteReader(strings.NewReader(s[3:] + "rest")),
		} {
			h, rest, err := ReadHead(src, []byte(s[:3]))
			if err != nil || h != want {
				t.Fatalf("%s: %+v, %v", name, h, err)
			}
			if more, err := io.ReadAll(src); err != nil || string(rest)+string(more) != "rest" {
				t.Errorf("%s: %q and %q, %v", name, rest, more, err)
			}
		}
	}
}

func TestReadHeadFails(t *testing.T) {
	for s, want := range map[string]error{
		"GET / HTTP/1.1\r\n\r\n":                                                  ErrCookie,
		"GET / HTTP/1.1\r\nx-sessioncookie:\r\n\r\n":                              ErrCookie,
		"GET / HTTP/1.1\r\nx-sessioncookie: " + strings.Repeat("a", 257) + "\n\n": ErrCookie,
		"GET / RTSP/1.0\r\nx-sessioncookie: a\r\n\r\n":                            ErrHead,
		"PUT / HTTP/1.0\r\nx-sessioncookie: a\r\n\r\n":                            ErrHead,
		"GET /\r\n\r\n":                        ErrHead,
		"GET /" + strings.Repeat("a", headMax): ErrHead,
		get[:30]:                               io.EOF,
	} {
		if h, _, err := ReadHead(strings.NewReader(s), nil); !errors.Is(err, want) {
			t.Errorf("%.60q: %+v, %v", s, h, err)
		}
	}
	if _, _, err := ReadHead(iotest.ErrReader(nil), nil); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	if s := string(AppendAnswer(nil)); !strings.HasPrefix(s, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(s, "\r\n\r\n") ||
		!strings.Contains(s, "\r\nContent-Type: application/x-rtsp-tunnelled\r\n") || strings.Contains(s, "Content-Length") {
		t.Error(s)
	}
	if s := string(AppendRefusal(nil, 404, "Not Found")); !strings.HasPrefix(s, "HTTP/1.0 404 Not Found\r\n") {
		t.Error(s)
	}
}

// FuzzHead: a head comes out the same however it is cut.
func FuzzHead(f *testing.F) {
	f.Add([]byte(get))
	f.Add([]byte("POST / HTTP/1.1\nX-SESSIONCOOKIE:a b \n\nabcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, n, ok, err := ParseHead(b)
		if ok && (err != nil || n > len(b) || want.Cookie == "") {
			t.Fatal(want, n, err)
		}
		for i := range b {
			h, m, early, err2 := ParseHead(b[:i])
			if early && (h != want || m != n || !ok) || err2 != nil && err == nil {
				t.Fatalf("%q: %+v, %v; whole: %+v, %v", b[:i], h, err2, want, err)
			}
		}
	})
}
