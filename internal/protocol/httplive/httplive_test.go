package httplive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/sim"
)

// bubble runs a test in a house of pipes.
func bubble(t *testing.T, o conformance.Options, fn func(t *testing.T, h *conformance.House)) {
	t.Helper()
	o.Memory = true
	synctest.Test(t, func(t *testing.T) { fn(t, conformance.Open(t, Protocol(), o)) })
}

// broadcast is a publisher without a protocol.
type broadcast struct {
	*hub.Lease
	t   testing.TB
	enc *sim.Encoder
}

func publish(t testing.TB, h *conformance.House) *broadcast {
	t.Helper()
	s := publishMedia(t, h, sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	s.write(30)
	return s
}

// publishMedia is publish for other media, of which nothing is written yet.
func publishMedia(t testing.TB, h *conformance.House, o sim.Options) *broadcast {
	t.Helper()
	key, err := hub.ParseKey("live/x")
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Hub.Publish(context.Background(), hub.Request{Key: key}) //nolint:usetesting // it ends with the house
	if err != nil {
		t.Fatal(err)
	}
	h.Guest(func() { l.Finish(nil) })
	l.Declare(o.Video != 0, o.Audio != 0)
	return &broadcast{l, t, sim.New(o)}
}

func (s *broadcast) write(n int) {
	s.t.Helper()
	for range n {
		if err := s.Write(s.enc.Next()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// answer is a response and what follows its head.
type answer struct {
	*http.Response
	raw *bufio.Reader
}

// ask sends a request and reads the answer's head.
func ask(t testing.TB, c net.Conn, method, target string, header ...string) answer {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() }) // it lives as long as c
	return answer{resp, r}
}

// body reads the JSON of a refusal.
func body(t testing.TB, resp answer) protocol.Refusal {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var r protocol.Refusal
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	return r
}

type denyAll struct{}

func (denyAll) Authorize(context.Context, hub.Action, hub.Request) (hub.Permit, error) {
	return hub.Permit{}, hub.ErrDenied
}

// noViewers lets in publishers only.
func noViewers() hub.Config {
	c := hub.DefaultConfig()
	c.Limits.Viewers = 0
	return c
}

// everyKind runs a test for each format.
func everyKind(t *testing.T, name string, fn func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(strings.Trim(name+" "+k.name, " "), func(t *testing.T) { fn(t, k) })
	}
}

func TestRefusals(t *testing.T) {
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	for _, tc := range []struct {
		name, method, target string
		header               []string
		o                    conformance.Options
		code                 int
		word                 string
	}{
		{"absent", "GET", "/live/absent.live.flv", nil, conformance.Options{}, 404, "not-found"},
		{"absent HEAD", "HEAD", "/live/absent.live.flv", nil, conformance.Options{}, 404, ""},
		{"denied", "GET", "/live/x.live.flv?token=no", nil, conformance.Options{Auth: denyAll{}}, 403, "denied"},
		{"no app", "GET", "/x.live.flv", nil, conformance.Options{}, 400, "bad-name"},
		{"no name", "GET", "/live/.live.flv", nil, conformance.Options{}, 400, "bad-name"},
		{"dots", "GET", "/live/%2e%2e/x.live.flv", nil, conformance.Options{}, 400, "bad-name"},
		{"control", "GET", "/live/a%00b.live.flv", nil, conformance.Options{}, 400, "bad-name"},
		{"long", "GET", "/live/" + strings.Repeat("x", 600) + ".live.flv", nil, conformance.Options{}, 400, "bad-name"},
		{"method", "POST", "/live/x.live.flv", nil, conformance.Options{}, 405, "method"},
		{"delete", "DELETE", "/live/x.live.flv", nil, conformance.Options{}, 405, "method"},
		{"full", "GET", "/live/x.live.flv", nil, conformance.Options{Hub: noViewers()}, 503, "limit"},
		{"WebSocket without a key", "GET", "/live/x.live.flv", upgrade, conformance.Options{}, 400, "handshake"},
		{
			"WebSocket with a bad key", "GET", "/live/x.live.flv",
			append(upgrade, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: abc"),
			conformance.Options{},
			400, "handshake",
		},
		{
			"WebSocket of another version", "GET", "/live/x.live.flv",
			append(upgrade, "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: "+sampleKey),
			conformance.Options{},
			400, "handshake",
		},
		{"POST a WebSocket", "POST", "/live/x.live.flv", upgrade, conformance.Options{}, 405, "method"},
	} {
		everyKind(t, tc.name, func(t *testing.T, k kind) {
			bubble(t, tc.o, func(t *testing.T, h *conformance.House) {
				target := strings.Replace(tc.target, ".live.flv", k.suffix, 1)
				resp := ask(t, h.MustDial("HTTP"), tc.method, target, tc.header...)
				if resp.StatusCode != tc.code {
					t.Errorf("status %d, want %d", resp.StatusCode, tc.code)
				}
				if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
					t.Errorf("Access-Control-Allow-Origin %q", got)
				}
				if tc.code == 405 && resp.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
					t.Errorf("Allow %q", resp.Header.Get("Allow"))
				}
				if tc.word == "" {
					return
				}
				if r := body(t, resp); r.Code != tc.code || r.Error != tc.word || r.Message == "" {
					t.Errorf("body %+v, want %q", r, tc.word)
				}
			})
		})
	}
}

// A server that closes refuses with 503.
func TestClosing(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		h.Hub.Close()
		resp := ask(t, h.MustDial("HTTP"), "GET", "/live/x.live.flv")
		if r := body(t, resp); r.Code != 503 || r.Error != "closing" {
			t.Errorf("%+v", r)
		}
	})
}

func TestPreflight(t *testing.T) {
	for _, cors := range []string{"*", "https://example.org", ""} {
		o := conformance.Options{Settings: []string{"httplive.cors=" + cors}}
		bubble(t, o, func(t *testing.T, h *conformance.House) {
			resp := ask(t, h.MustDial("HTTP"), "OPTIONS", "/live/x.live.flv", "Origin: https://example.org",
				"Access-Control-Request-Method: GET")
			if resp.StatusCode != http.StatusNoContent {
				t.Errorf("status %d", resp.StatusCode)
			}
			want := ""
			if cors != "" {
				want = "GET, HEAD, OPTIONS"
			}
			if got := resp.Header.Get("Access-Control-Allow-Methods"); got != want {
				t.Errorf("cors %q: Access-Control-Allow-Methods %q", cors, got)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != cors {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, cors)
			}
		})
	}
}

// The body has no length and no chunks, and is of its format from its first byte.
func TestBody(t *testing.T) {
	begins := map[string]string{
		"FLV": "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00", "MPEG-TS": "G@\x00", "fMP4": "\x00\x00\x00\x18ftyp",
	}
	everyKind(t, "", func(t *testing.T, k kind) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			s := publish(t, h)
			resp := ask(t, h.MustDial("HTTP"), "GET", "/live/x"+k.suffix, "User-Agent: "+strings.Repeat("x", 5000))
			if resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || !resp.Close {
				t.Errorf("length %d, coding %q, close %v", resp.ContentLength, resp.TransferEncoding, resp.Close)
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
			v := h.Hub.Snapshot().Streams[0].Viewers[0]
			if len(v.Agent) != 256 || v.Protocol != k.http {
				t.Errorf("the agent has %d bytes, the protocol is %q", len(v.Agent), v.Protocol)
			}
			want := begins[k.name]
			if begin, err := resp.raw.Peek(len(want)); err != nil || string(begin) != want {
				t.Errorf("the body begins with % x, %v", begin, err)
			}
			go func() { s.Finish(nil) }()
			var check sim.Checker
			for read := k.read(resp.Body); ; {
				units, err := read()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range units {
					if err := check.Unit(u); err != nil {
						t.Fatal(err)
					}
				}
			}
			if check.Units == 0 || check.Gaps > 0 {
				t.Errorf("%d units, %d gaps", check.Units, check.Gaps)
			}
		})
	})
}

func TestDisabled(t *testing.T) {
	o := conformance.Options{Settings: []string{"httplive.enabled=false"}}
	bubble(t, o, func(t *testing.T, h *conformance.House) {
		resp := ask(t, h.MustDial("HTTP"), "GET", "/live/x.live.flv")
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// A connection that cannot be taken over (HTTP/2) is answered all the same.
func TestNoHijack(t *testing.T) {
	for _, header := range []http.Header{{}, {
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {sampleKey},
	}} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			publish(t, h)
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/live/x.live.flv", nil)
			r.Header = header
			h.HTTP.ServeHTTP(w, r)
			if w.Code != http.StatusHTTPVersionNotSupported {
				t.Errorf("status %d", w.Code)
			}
			h.Viewers(0)
		})
	}
}

// everywhere runs a test in a house of pipes, where every viewer has goroutines, and on the loopback, where shards have them.
func everywhere(t *testing.T, fn func(t *testing.T, h *conformance.House)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { bubble(t, conformance.Options{}, fn) })
	t.Run("loopback", func(t *testing.T) { fn(t, conformance.Open(t, Protocol(), conformance.Options{})) })
}

// ways to leave.
var ways = []struct {
	name   string
	leave  func(s *socket)
	answer bool
	log    string
}{
	{"close frame", func(s *socket) { _ = s.send(finBit|opClose, []byte{3, 0xe8}) }, true, "the viewer left"},
	{"close frame in pieces", func(s *socket) {
		for _, b := range masked(finBit|opClose, []byte{3, 0xe8}) {
			_, _ = s.conn.Write([]byte{b})
		}
	}, true, "the viewer left"},
	{"gone", func(s *socket) { _ = s.conn.Close() }, false, "the peer closed the connection"},
}

func TestLeaveWhileWaiting(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			c := h.MustDial("HTTP")
			if _, err := io.WriteString(c, "GET /live/absent.live.flv HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			h.Viewers(1)
			begin := time.Now()
			c.Close()
			h.Viewers(0)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("noticed after %v", took)
			}
			h.Logged("stopped waiting for a stream")
		})
	})
	for _, w := range ways {
		t.Run("websocket "+w.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, h *conformance.House) {
				s, err := shake(h.MustDial("HTTP"), "/live/absent.live.flv")
				if err != nil {
					t.Fatal(err)
				}
				h.Viewers(1)
				w.leave(s)
				if _, err := s.next(); w.answer && !errors.Is(err, io.EOF) {
					t.Errorf("answered with %v", err)
				}
				h.Viewers(0)
				h.Logged("stopped waiting for a stream", w.log)
			})
		})
	}
}

func TestLeave(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, h *conformance.House) {
				publish(t, h)
				s := watching(t, h)
				go w.leave(s)
				var err error
				for err == nil {
					_, err = s.next()
				}
				if w.answer && !errors.Is(err, io.EOF) {
					t.Errorf("answered with %v", err)
				}
				if _, err := s.in.ReadByte(); w.answer && !errors.Is(err, io.EOF) {
					t.Errorf("after the close frame: %v", err)
				}
				h.Viewers(0)
				h.Logged("stopped playing", w.log)
			})
		})
	}
}

func TestCloseCodes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		target string
		o      conformance.Options
		code   int
		reason string
	}{
		{"absent", "/live/absent.live.flv", conformance.Options{}, 4404, `"error":"not-found"`},
		{"denied", "/live/x.live.flv", conformance.Options{Auth: denyAll{}}, 4403, `"error":"denied"`},
		{"full", "/live/x.live.flv", conformance.Options{Hub: noViewers()}, 4503, `limit`},
		{"long", "/live/" + strings.Repeat("x", 400) + ".live.flv", conformance.Options{}, 4404, `not-found`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, tc.o, func(t *testing.T, h *conformance.House) {
				s, err := shake(h.MustDial("HTTP"), tc.target)
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.next()
				var code codeError
				if !errors.As(err, &code) || code.code != tc.code || !strings.Contains(code.reason, tc.reason) {
					t.Errorf("%v, want %d %s", err, tc.code, tc.reason)
				}
				if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("after the close frame: %v", err)
				}
			})
		})
	}
}

// A stream that ends, and a server that stops, say 1000.
func TestNormalClose(t *testing.T) {
	for _, stop := range []bool{true, false} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			st := publish(t, h)
			s, err := shake(h.MustDial("HTTP"), "/live/x.live.flv")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = s.next(); err != nil {
				t.Fatal(err)
			}
			if stop {
				go func() {
					synctest.Wait() // until all has been read, so that no message is cut
					h.Close()
				}()
			} else {
				st.Finish(nil)
			}
			for err == nil {
				_, err = s.next()
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("stop %v: %v", stop, err)
			}
		})
	}
}

// watching is a WebSocket that plays.
func watching(t testing.TB, h *conformance.House) *socket {
	t.Helper()
	s, err := shake(h.MustDial("HTTP"), "/live/x.live.flv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPing(t *testing.T) {
	everywhere(t, func(t *testing.T, h *conformance.House) {
		publish(t, h)
		s := watching(t, h)
		go func() {
			for _, b := range masked(finBit|opPing, []byte("hello")) {
				_, _ = s.conn.Write([]byte{b})
			}
			_ = s.send(finBit|opPing, []byte("again"))
		}()
		s.awaitPong(t, "hello")
		s.awaitPong(t, "again")
	})
}

// awaitPong reads until a pong comes, among messages.
func (s *socket) awaitPong(t *testing.T, want string) {
	t.Helper()
	for {
		s.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		op, payload, err := s.frame()
		if err != nil {
			t.Fatalf("no pong %q: %v", want, err)
		}
		if op == opPong {
			if string(payload) != want {
				t.Errorf("pong %q, want %q", payload, want)
			}
			return
		}
	}
}

// A ping that comes while the viewer waits is answered at once.
func TestPingWhileWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, h *conformance.House) {
		s, err := shake(h.MustDial("HTTP"), "/live/x.live.flv")
		if err != nil {
			t.Fatal(err)
		}
		h.Viewers(1)
		if err = s.send(finBit|opPing, []byte("early")); err != nil {
			t.Fatal(err)
		}
		s.awaitPong(t, "early")
		half := masked(finBit|opPing, []byte("half and half")) // across the handing over
		if _, err = s.conn.Write(half[:9]); err != nil {
			t.Fatal(err)
		}
		publish(t, h)
		if _, err = s.next(); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = s.conn.Write(half[9:]) }()
		s.awaitPong(t, "half and half")
	})
}

// What a viewer says right behind its request is not lost.
func TestEarly(t *testing.T) {
	request := "GET /live/x.live.flv HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + sampleKey + "\r\n\r\n"
	ping := masked(finBit|opPing, []byte("early"))
	for _, tc := range []struct {
		name  string
		early []byte
		later []byte
		code  int // of the close frame, if that comes in place of a pong
	}{
		{"ping", ping, nil, 0},
		{"half a ping", ping[:7], ping[7:], 0},
		{"text and ping", append(masked(finBit|opText, []byte("hello")), ping...), nil, 0},
		{"close frame", masked(finBit|opClose, nil), nil, closeNormal},
		{"bad frame", []byte{finBit | opText, 0}, nil, closeProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, h *conformance.House) {
				st := publish(t, h)
				conn := h.MustDial("HTTP")
				if _, err := conn.Write(append([]byte(request), tc.early...)); err != nil {
					t.Fatal(err)
				}
				s := &socket{conn: conn, in: bufio.NewReader(conn)}
				resp, err := http.ReadResponse(s.in, nil)
				if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(resp, err)
				}
				defer resp.Body.Close()
				go func() { _, _ = conn.Write(tc.later) }()
				if tc.code == 0 {
					s.awaitPong(t, "early")
					st.write(30)
					if _, err = s.next(); err != nil {
						t.Error(err)
					}
					return
				}
				op, payload, err := s.frame()
				if err != nil || op != opClose || int(binary.BigEndian.Uint16(payload)) != tc.code {
					t.Errorf("opcode %d, %q, %v; want %d", op, payload, err, tc.code)
				}
				h.Viewers(0)
				h.Logged("stopped waiting for a stream")
			})
		})
	}
	t.Run("http", func(t *testing.T) {
		everywhere(t, func(t *testing.T, h *conformance.House) {
			publish(t, h)
			conn := h.MustDial("HTTP")
			if _, err := io.WriteString(conn, "GET /live/x.live.flv HTTP/1.1\r\nHost: test\r\n\r\nand more"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			p := &playback{read: readFLV(resp.Body)}
			if _, err := p.Read(); err != nil {
				t.Error(err)
			}
			h.Viewers(1)
		})
	})
}

// What a viewer may send is thrown away; what it may not send ends it with 1002.
func TestInbound(t *testing.T) {
	unmasked := append([]byte{finBit | opText, 5}, "hello"...)
	for _, tc := range []struct {
		name string
		send []byte
		ok   bool
		log  string
	}{
		{"text", masked(finBit|opText, []byte("hello")), true, ""},
		{"empty", masked(finBit|opBinary, nil), true, ""},
		{"in pieces", append(append(masked(opText, []byte("a")), masked(opContinuation, []byte("b"))...),
			masked(finBit|opContinuation, []byte("c"))...), true, ""},
		{"ping within pieces", append(masked(opText, []byte("a")), masked(finBit|opPing, nil)...), true, ""},
		{"pong", masked(finBit|opPong, []byte("x")), true, ""},
		{"largest", masked(finBit|opBinary, make([]byte, inboundMax)), true, ""},
		{"too large", masked(finBit|opBinary, make([]byte, inboundMax+1)), false, "65537 bytes"},
		{"very large", []byte{finBit | opBinary, maskBit | 127, 255, 255, 255, 255, 255, 255, 255, 255}, false, "bytes"},
		{"not masked", unmasked, false, "not masked"},
		{"reserved bits", masked(finBit|0x40|opText, nil), false, "reserved bits"},
		{"unknown opcode", masked(finBit|3, nil), false, "opcode"},
		{"unknown control", masked(finBit|0xb, nil), false, "opcode"},
		{"ping in pieces", masked(opPing, nil), false, "in pieces"},
		{"long ping", masked(finBit|opPing, make([]byte, 126)), false, "long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
				st := publish(t, h)
				s := watching(t, h)
				go func() {
					synctest.Wait() // until all has been read, so that no message is cut
					_, _ = s.conn.Write(tc.send)
				}()
				if tc.ok {
					st.write(100)
					for range 30 {
						if _, err := s.next(); err != nil {
							t.Fatal(err)
						}
					}
					h.Viewers(1)
					return
				}
				var err error
				for err == nil {
					_, err = s.next()
				}
				var code codeError
				if !errors.As(err, &code) || code.code != closeProtocol {
					t.Errorf("ends with %v", err)
				}
				h.Logged("stopped playing", tc.log)
				h.Viewers(0)
			})
		})
	}
}

// A viewer that pings and does not read is ended.
func TestPingFlood(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		publish(t, h)
		s := watching(t, h)
		flood(s)
		h.Logged("stopped playing", "too many unanswered requests")
		h.Viewers(0)
	})
}

// One that does this while it waits holds up neither its refusal nor a room that ends.
func TestPingFloodWhileWaiting(t *testing.T) {
	for _, stop := range []bool{true, false} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			s, err := shake(h.MustDial("HTTP"), "/live/x.live.flv")
			if err != nil {
				t.Fatal(err)
			}
			h.Viewers(1)
			flood(s)
			if !stop {
				h.Viewers(0)
			}
			h.Close() // it has a second
		})
	}
}

// flood sends pings until the server takes no more.
func flood(s *socket) {
	for range 1000 {
		s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		if err := s.send(finBit|opPing, make([]byte, 100)); err != nil {
			break
		}
	}
}

// selfSigned is the configuration of a server with a certificate that nobody signed.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(1e6 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// secure is a client's end of TLS.
func secure(c net.Conn) net.Conn {
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // self-signed
}

// The egress takes TLS connections over, too, and what they have read ahead.
func TestTLS(t *testing.T) {
	h := conformance.Open(t, Protocol(), conformance.Options{HTTPS: selfSigned(t)})
	st := publish(t, h)
	c := secure(h.MustDial("HTTP"))
	resp := ask(t, c, "GET", "/live/x.live.flv")
	p := &playback{conn: c, read: readFLV(resp.Body)}
	if _, err := p.Read(); err != nil {
		t.Fatal(err)
	}
	waits, err := shake(secure(h.MustDial("HTTP")), "/live/absent.live.flv")
	if err != nil {
		t.Fatal(err)
	}
	if err = waits.send(finBit|opPing, []byte("waiting")); err != nil {
		t.Fatal(err)
	}
	waits.awaitPong(t, "waiting")
	s, err := shake(secure(h.MustDial("HTTP")), "/live/x.live.flv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.next(); err != nil {
		t.Fatal(err)
	}
	for _, b := range masked(finBit|opPing, []byte("playing")) { // each in a record of its own
		if _, err = s.conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitPong(t, "playing")
	h.Viewers(3)
	st.Finish(nil)
	for err == nil {
		_, err = s.next()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the WebSocket ends with %v", err)
	}
	for err = nil; err == nil; {
		_, err = p.Read()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the body ends with %v", err)
	}
	h.Viewers(1) // who waits
}

// The farewells of WebSocket and TLS must not hold the server up for a viewer that does not read.
func TestStopWithStalledViewers(t *testing.T) {
	over := selfSigned(t)
	for _, ws := range []bool{true, false} {
		for _, overTLS := range []bool{true, false} {
			for _, stop := range []bool{true, false} {
				t.Run(fmt.Sprintf("ws %v tls %v stop %v", ws, overTLS, stop), func(t *testing.T) {
					o := conformance.Options{}
					if overTLS {
						o.HTTPS = over
					}
					bubble(t, o, func(t *testing.T, h *conformance.House) {
						st := publish(t, h)
						c := h.MustDial("HTTP")
						if overTLS {
							c = secure(c)
						}
						if ws {
							if _, err := shake(c, "/live/x.live.flv"); err != nil {
								t.Fatal(err)
							}
						} else {
							ask(t, c, "GET", "/live/x.live.flv")
						}
						st.write(100)
						synctest.Wait()
						begin := time.Now()
						if stop {
							h.Close() // it has a second
							return
						}
						h.Eventually("the end", func() bool {
							st.write(1)
							return strings.Contains(h.Log(), "stalled")
						})
						h.Close()
						if took := time.Since(begin); took > 12*time.Second {
							t.Errorf("ended after %v", took)
						}
					})
				})
			}
		}
	}
}

// fault is a connection whose reading panics once a byte 0x7f comes.
type fault struct{ net.Conn }

func (c fault) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bytes.IndexByte(b[:n], 0x7f) >= 0 {
		panic("a fault for the test")
	}
	return n, err
}

type faults struct{ net.Listener }

func (l faults) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return fault{c}, err
}

// A panic costs its viewer, and is logged with its stack.
func TestPanic(t *testing.T) {
	o := conformance.Options{Panics: true, Wrap: func(_ string, l net.Listener) net.Listener { return faults{l} }}
	bubble(t, o, func(t *testing.T, h *conformance.House) {
		st := publish(t, h)
		s := watching(t, h)
		if _, err := s.conn.Write([]byte{0x7f}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, s.conn) }()
		h.Viewers(0)
		h.Logged("a session panicked", "a fault for the test", "httplive_test.go")
		st.write(10)
		watching(t, h)
	})
}
