package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const options = "OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"

func TestParserErrors(t *testing.T) {
	limits := Limits{Head: 200, Body: 50, Stray: 20}
	for _, c := range []struct {
		name   string
		input  string
		err    error
		offset uint64
		cseq   string
	}{
		{"no empty line", options + "OPTIONS rtsp://h/" + strings.Repeat("a", 300), ErrHead, uint64(len(options)), ""},
		{"many lines", "OPTIONS * RTSP/1.0\n" + strings.Repeat("a:\n", linesMax) + "b:\n\n", ErrHead, 0, ""},
		{"long body", "ANNOUNCE * RTSP/1.0\nCSeq: 7\nContent-Length: 51\n\n", ErrBody, 0, "7"},
		{"long body that is not wanted", "GET_PARAMETER * RTSP/1.0\nCSeq: 8\nContent-Length: 51\n\n", ErrBody, 0, "8"},
		{"length beyond numbers", "ANNOUNCE * RTSP/1.0\nContent-Length: 99999999999999999999\n\n", ErrBody, 0, ""},
		{"long body of a response", "RTSP/1.0 200 OK\nContent-Length: 51\n\n", ErrBody, 0, ""},
		{"no version", "OPTIONS *\n\n", ErrMalformed, 0, ""},
		{"no URL", "OPTIONS RTSP/1.0\n\n", ErrMalformed, 0, ""},
		{"no status", "RTSP/1.0 OK\n\n", ErrMalformed, 0, ""},
		{"odd status", "RTSP/1.0 99 OK\n\n", ErrMalformed, 0, ""},
		{"junk", strings.Repeat("\x00", 21), ErrStray, 20, ""},
		{"junk with marks", "\x00" + strings.Repeat("$\xff", 50), ErrStray, 20, ""},
		{"empty lines", strings.Repeat("\r\n", 11), ErrStray, 20, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := limits
			if strings.Contains(c.name, "many") {
				l.Head = 0
			}
			p := NewParser(l)
			b := []byte(c.input)
			var err error
			for err == nil {
				var n int
				var ok bool
				_, n, ok, err = p.Parse(b)
				if b = b[n:]; !ok && err == nil {
					t.Fatal("no error")
				}
			}
			var e *Error
			if !errors.Is(err, c.err) || !errors.As(err, &e) || e.Offset != c.offset {
				t.Fatalf("error %v, want %v at %d", err, c.err, c.offset)
			}
			if e.Request != nil && e.Request.CSeq() != c.cseq || e.Request == nil && c.cseq != "" {
				t.Fatalf("request %+v, want one with CSeq %q", e.Request, c.cseq)
			}
		})
	}
}

// TestParserMemory: what is claimed to come costs nothing before it has come.
func TestParserMemory(t *testing.T) {
	for _, s := range []string{
		"$\x00\xff\xff\x80",
		"ANNOUNCE * RTSP/1.0\nContent-Length: 65536\n\nv=0",
		"RTSP/1.0 200 OK\nContent-Length: 65536\n\nv=0",
		"GET_PARAMETER * RTSP/1.0\nContent-Length: 65536\n\nPLA",
	} {
		p := NewParser(Limits{})
		for i := range len(s) {
			for b := []byte(s[i : i+1]); ; {
				_, n, ok, err := p.Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				if b = b[n:]; !ok {
					break
				}
			}
		}
		if cap(p.kept) > 256 {
			t.Errorf("%d bytes are held for %q", cap(p.kept), s)
		}
	}
}

// TestParserLetsGo: memory for something long is given back once it is not needed any more.
func TestParserLetsGo(t *testing.T) {
	p := NewParser(Limits{})
	long := AppendFrame(nil, 0, make([]byte, FrameMax))
	short := AppendFrame(nil, 0, make([]byte, 20))
	for _, f := range [][]byte{long, short, short} {
		for _, b := range [][]byte{f[:10], f[10:]} {
			if _, n, _, err := p.Parse(b); err != nil || n != len(b) {
				t.Fatal(n, err)
			}
		}
	}
	if cap(p.kept) > 256 {
		t.Errorf("%d bytes are held", cap(p.kept))
	}
}

// TestNothingIsKeptBeyondAHead: what comes behind a message that was cut is not copied.
func TestNothingIsKeptBeyondAHead(t *testing.T) {
	p := NewParser(Limits{})
	if _, n, ok, err := p.Parse([]byte(options[:30])); n != 30 || ok || err != nil {
		t.Fatal(n, ok, err)
	}
	rest := AppendFrame([]byte(options[30:]), 0, make([]byte, 10000))
	it, n, ok, err := p.Parse(rest)
	if err != nil || !ok || it.Request == nil || n != len(options)-30 || cap(p.kept) > 256 {
		t.Fatal(it, n, ok, err, cap(p.kept))
	}
}

// TestBodyIsKept: a body belongs to who gets it.
func TestBodyIsKept(t *testing.T) {
	p := NewParser(Limits{})
	b := []byte("ANNOUNCE * RTSP/1.0\nContent-Length: 3\n\nv=0")
	for cut := range b {
		again := bytes.Clone(b)
		_, n, ok, err := p.Parse(again[:cut])
		if n != cut || ok || err != nil {
			t.Fatal(n, ok, err)
		}
		it, _, ok, err := p.Parse(again[cut:])
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		clear(again)
		if _, _, _, err = p.Parse([]byte("\r\n$")); err != nil { // it is kept where the body was
			t.Fatal(err)
		}
		if _, _, _, err = p.Parse([]byte("\x00\x00\x00")); err != nil || string(it.Request.Body) != "v=0" {
			t.Fatalf("%q, %v", it.Request.Body, err)
		}
	}
}

// TestStrayIsInARow: an item makes up for what was skipped before it.
func TestStrayIsInARow(t *testing.T) {
	frame := AppendFrame(nil, 0, []byte("\x80\xc8\x00\x00\x00\x00\x00\x00"))
	var b []byte
	for range 10 {
		b = append(append(b, make([]byte, 15)...), frame...)
		b = append(append(b, "\r\n\r\n\r\n\r\n"...), frame...)
	}
	got := parsePieces(b, Limits{Stray: 20}, func() int { return 7 })
	if len(got) != 21 {
		t.Error(strings.Join(got, "\n"))
	}
}

func TestFrameIsLentFromInput(t *testing.T) {
	p := NewParser(Limits{})
	b := AppendFrame(nil, 3, []byte("abc"))
	it, n, ok, err := p.Parse(b)
	if err != nil || !ok || n != len(b) || it.Channel != 3 || string(it.Frame) != "abc" {
		t.Fatal(it, n, ok, err)
	}
	if b[4] = 'x'; it.Frame[0] != 'x' {
		t.Error("a frame was copied")
	}
	if it, _, _, _ = p.Parse(AppendFrame(nil, 3, nil)); it.Frame == nil || len(it.Frame) != 0 {
		t.Error("an empty frame is none")
	}
}

func TestAppend(t *testing.T) {
	req := &Request{
		Method: base.Setup, URL: "rtsp://h/a b", Body: []byte("xyz"),
		Header: base.Header{"Transport": {"one", "two"}, "CSeq": {"5"}, "Content-Length": {"99"}, "A": {"evil\r\nB: c"}},
	}
	want := "SETUP rtsp://h/a b RTSP/1.0\r\nCSeq: 5\r\nA: evil  B: c\r\nTransport: one\r\nTransport: two\r\nContent-Length: 3\r\n\r\nxyz"
	if got := string(AppendRequest([]byte("."), req)); got != "."+want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = "RTSP/1.0 461 Unsupported Transport\r\nCSeq: 2\r\n\r\n"
	res := &base.Response{StatusCode: base.StatusUnsupportedTransport, Header: base.Header{"CSeq": {"2"}}}
	if got := string(AppendResponse(nil, res)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(AppendRequest(nil, &Request{Method: base.Options})); got != "OPTIONS * RTSP/1.0\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if got := len(AppendFrame(nil, 1, make([]byte, FrameMax+1))); got != FrameMax+FrameHead {
		t.Errorf("a frame of %d bytes", got)
	}
}

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"rtsp://h/a":                "rtsp://h/a",
		"rtsps://u:p@h:322/a/?b=c":  "rtsps://u:p@h:322/a/?b=c",
		"rtsp://h/%zz":              "rtsp://h/%25zz",
		"rtsp://h/a%2":              "rtsp://h/a%252",
		"rtsp://h/a?x=%41":          "rtsp://h/a?x=%41",
		" rtsp://h/a ":              "rtsp://h/a",
		"rtsp://[fe80::1%25eth0]/a": "rtsp://[fe80::1%25eth0]/a",
		"http://h/a":                "",
		"rtsp:///a":                 "",
		"rtsp:a":                    "",
		"a/b":                       "",
		"rtsp://h/\x00":             "",
		"rtsp://h:port/":            "",
	} {
		u, err := ParseURL(raw)
		switch {
		case want == "" && !errors.Is(err, ErrURL):
			t.Errorf("%q: %v, %v", raw, u, err)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("%q: %v, %v, want %s", raw, u, err, want)
		}
	}
	for _, raw := range []string{"", "*", " * "} {
		if u, err := ParseURL(raw); u != nil || err != nil {
			t.Errorf("%q: %v, %v", raw, u, err)
		}
	}
}

func seeds(f *testing.F) (all []string) {
	f.Helper()
	files, err := filepath.Glob("testdata/quirks/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		sent, _ := readFixture(f, path)
		all = append(all, strings.Join(sent, ""))
	}
	return all
}

// FuzzParser: the same items come out however the bytes are cut, and nothing is lost.
func FuzzParser(f *testing.F) {
	for i, s := range seeds(f) {
		f.Add([]byte(s), uint64(i))
	}
	limits := Limits{Head: 300, Body: 100, Stray: 60}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		want := parsePieces(b, limits, func() int { return len(b) })
		got := parsePieces(b, limits, func() int { return 1 + rng.IntN(1+rng.IntN(40)) })
		if !slices.Equal(got, want) {
			t.Fatalf("in pieces:\n%s\nin one:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if one := parsePieces(b, limits, func() int { return 1 }); !slices.Equal(one, want) {
			t.Fatalf("byte by byte:\n%s\nin one:\n%s", strings.Join(one, "\n"), strings.Join(want, "\n"))
		}
	})
}

// FuzzHead: what was parsed once and written is parsed as the same again.
func FuzzHead(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if begins([]byte(s)) != message {
			return
		}
		it, err := parseHead(s)
		if err != nil {
			return
		}
		if bodyLength, _ := bodyOf(it); bodyLength < 0 {
			t.Fatal("a negative length")
		}
		second := reparse(t, it)
		if third := reparse(t, second); describe(second) != describe(third) {
			t.Fatalf("second\n%s\nthird\n%s", describe(second), describe(third))
		}
	})
}

func reparse(t *testing.T, it Item) Item {
	t.Helper()
	var b []byte
	if it.Request != nil {
		b = AppendRequest(nil, it.Request)
	} else {
		b = AppendResponse(nil, it.Response)
	}
	again, err := parseHead(string(b))
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return again
}

func FuzzTransport(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, err := ParseTransports(base.HeaderValue{s})
		if (err == nil) != (len(all) > 0) || len(all) > transportsMax {
			t.Fatal(all, err)
		}
		for _, tr := range all {
			b := AppendTransport(nil, tr)
			again, err := ParseTransports(base.HeaderValue{string(b)})
			if err != nil || len(again) != 1 {
				t.Fatalf("%s: %v, %v", b, again, err)
			}
			if got := AppendTransport(nil, again[0]); string(got) != string(b) {
				t.Fatalf("%s became %s", b, got)
			}
		}
	})
}

func TestAppendTransport(t *testing.T) {
	for in, want := range map[string]string{
		"RTP/AVP/TCP;interleaved=2-3;ssrc=1a":                                          "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=0000001A",
		"RTP/AVP;client_port=1-2;server_port=3-4;source=10.0.0.1":                      "RTP/AVP;unicast;source=10.0.0.1;client_port=1-2;server_port=3-4",
		"RTP/SAVPF;multicast;destination=239.1.1.1;port=5000-5001;ttl=16;mode=record":  "RTP/SAVPF;multicast;destination=239.1.1.1;port=5000-5001;ttl=16;mode=record",
		"RTP/AVP/UDP;unicast;source=some.name;destination=fe80::1%eth0;ttl=999;ssrc=x": "RTP/AVP;unicast",
	} {
		all, err := ParseTransports(base.HeaderValue{in})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendTransport(nil, all[0])); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, in := range []string{"", "RTP/XYZ", "RTP/AVP/SCTP", "unicast", "RTP/AVP/TCP;interleaved=256-257", "RTP/AVP;client_port=-1", "RTP/"} {
		if all, err := ParseTransports(base.HeaderValue{in}); !errors.Is(err, ErrTransport) {
			t.Errorf("%q: %v, %v", in, all, err)
		}
	}
	many := strings.Repeat("RTP/AVP,", 1000)
	if all, err := ParseTransports(base.HeaderValue{many, many}); err != nil || len(all) != transportsMax {
		t.Error(len(all), err)
	}
}

func ExampleParser() {
	p := NewParser(Limits{})
	b := []byte("OPTIONS rtsp://host/path RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x00\x00\x02hi")
	for {
		it, n, ok, err := p.Parse(b)
		if b = b[n:]; !ok {
			fmt.Println(err)
			return
		}
		if it.Request != nil {
			fmt.Println(it.Request.Method, it.Request.CSeq())
		} else {
			fmt.Println(it.Channel, string(it.Frame))
		}
	}
	// Output:
	// OPTIONS 1
	// 0 hi
	// <nil>
}
