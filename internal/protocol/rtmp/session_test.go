package rtmp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestPaths(t *testing.T) {
	for _, tc := range []struct{ app, name, path, query string }{
		{"live", "cam", "live/cam", ""},
		{"live/", "cam", "live/cam", ""},
		{"/live", "/cam", "live/cam", ""},
		{"live/a", "b/c", "live/a/b/c", ""},
		{"live", "a/b", "live/a/b", ""},
		{"live?token=1", "cam", "live/cam", "token=1"},
		{"live", "cam?token=2", "live/cam", "token=2"},
		{"live?token=1", "cam?token=2", "live/cam", "token=2"},
		{"live", "cam?a=b?c", "live/cam", "a=b?c"},
		{"live", "mp4:0", "live/0.mp4", ""},
		{"live", "mp4:film.mp4?x=1", "live/film.mp4", "x=1"},
		{"", "live/cam", "live/cam", ""},
		{"live/cam", "", "live/cam", ""},
		{"live", "", "live", ""},
		{"live", "..", "live/..", ""},
		{"live", "//cam", "live//cam", ""},
	} {
		s := &session{}
		s.app, s.query, _ = strings.Cut(tc.app, "?")
		if path, query := s.path(tc.name); path != tc.path || query != tc.query {
			t.Errorf("app %q, name %q: %q, %q; want %q, %q", tc.app, tc.name, path, query, tc.path, tc.query)
		}
	}
}

// bubble runs a test in a house of pipes.
func bubble(t *testing.T, o conformance.Options, fn func(t *testing.T, h *conformance.House)) {
	t.Helper()
	o.Memory = true
	synctest.Test(t, func(t *testing.T) { fn(t, conformance.Open(t, Protocol(), o)) })
}

// visit is for a driver.
func visit(h *conformance.House, path string, e *sim.Encoder) conformance.Visit {
	path, query, _ := strings.Cut(path, "?")
	v := conformance.Visit{House: h, Path: path, Query: query, Form: "enhanced"}
	if e != nil {
		v.Tracks = e.Tracks()
	}
	return v
}

// publisher publishes what an encoder makes.
type publisher struct {
	conformance.Publication
	t   testing.TB
	enc *sim.Encoder
}

func newPublisher(t testing.TB, h *conformance.House, path string) *publisher {
	t.Helper()
	p := &publisher{t: t, enc: sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})}
	var err error
	if p.Publication, err = publishDriver(t.Context(), visit(h, path, p.enc)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *publisher) write(n int) {
	p.t.Helper()
	for range n {
		if err := p.Write(p.enc.Next()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *publisher) client() *Client { return p.Publication.(*publication).client }

func newPlayer(t testing.TB, h *conformance.House, path string) *playback {
	t.Helper()
	p, err := playDriver(t.Context(), visit(h, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*playback)
}

// status reads until an onStatus command with the code comes. Media before it are passed over.
func (p *playback) status(t testing.TB, code string) {
	t.Helper()
	for {
		m, err := p.client.read()
		if err != nil {
			t.Fatalf("want %s: %v", code, err)
		}
		c, ok, err := parseCommand(m)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !ok:
			if _, err := p.demuxer.Demux(flv.Tag{Type: flv.TagType(m.Type), Time: m.Time, Body: m.Payload}); err != nil {
				t.Fatal(err)
			}
		case c.name == "onStatus" && c.status().Code == code:
			return
		}
	}
}

func TestPause(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		pub := newPublisher(t, h, "live/x")
		pub.write(30)
		p := newPlayer(t, h, "live/x")
		c := p.client
		if _, err := p.Read(); err != nil {
			t.Fatal(err)
		}
		ask := func(name string, args ...any) {
			t.Helper()
			go func() { _ = c.command(mediaStream, name, append([]any{nil}, args...)...) }()
		}
		ask("seek", 5000)
		p.status(t, "NetStream.Seek.Notify")
		ask("pause", true, 0)
		p.status(t, "NetStream.Pause.Notify")
		pub.write(300)
		c.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if u, err := p.Read(); err == nil {
			t.Fatalf("while it is paused comes %v at %v", u.Track.Codec, u.DTS)
		}
		h.Viewers(1)
	})
}

func TestUnpause(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		pub := newPublisher(t, h, "live/x")
		pub.write(30)
		p := newPlayer(t, h, "live/x")
		var check sim.Checker
		go func() { _ = p.client.command(mediaStream, "pause", nil, true, 0) }()
		p.status(t, "NetStream.Pause.Notify")
		pub.write(300)
		synctest.Wait() // until the server has taken them, or there is nothing to jump over
		go func() { _ = p.client.command(mediaStream, "pause", nil, false, 0) }()
		p.status(t, "NetStream.Unpause.Notify")
		pub.write(60)
		for last := uint64(0); last != 30+300+60-1; { // it begins somewhere near the end
			u, err := p.Read()
			if err != nil {
				t.Fatal(err)
			}
			if err = check.Unit(u); err != nil { // the first is a key picture
				t.Fatal(err)
			}
			tag, err := sim.Read(u)
			if err != nil {
				t.Fatal(err)
			}
			last = tag.Seq
		}
		go func() { _, _ = io.Copy(io.Discard, p.client.conn) }()
		synctest.Wait()
	})
}

// While a player waits for its stream, it is answered as soon as there is something to answer between.
func TestPlayerSpeaksWhileItWaits(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		k := &talker{t: t, conn: h.MustDial("RTMP"), chunkSize: chunk.DefaultChunkSize, answers: make(chan string, 1000)}
		if _, err := handshakeClient(k.conn); err != nil {
			t.Fatal(err)
		}
		go k.listen()
		k.say(strings.Fields("command connect 1 app=live"))
		k.say(strings.Fields("command play 2 null x"))
		k.say(strings.Fields("ping 7"))
		k.say(strings.Fields("command createStream 3 null"))
		k.say(strings.Fields("command pause 0 null true 0"))
		h.Viewers(1)
		synctest.Wait()
		pub := newPublisher(t, h, "live/x")
		pub.write(30)
		synctest.Wait()
		var all []string
		for len(k.answers) > 0 {
			all = append(all, <-k.answers)
		}
		got := strings.Join(all, "\n")
		for _, want := range []string{"event 7 00 00 00 07", "_result 3", "NetStream.Play.Start", "NetStream.Pause.Notify"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		if strings.Contains(got, "video") {
			t.Error("media in spite of the pause")
		}
	})
}

// A player that asks and asks, and does not read the answers, is ended.
func TestPlayerAsksTooMuch(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		pub := newPublisher(t, h, "live/x")
		pub.write(30)
		p := newPlayer(t, h, "live/x")
		for range 1000 {
			p.client.conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := p.client.conn.Write(chunk.AppendUserControl(nil, chunk.EventPingRequest, 1)); err != nil {
				break
			}
		}
		h.Logged("stopped playing", "too many unanswered requests")
		h.Viewers(0)
	})
}

func TestUnpublishedPlayerIsTold(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		pub := newPublisher(t, h, "live/x")
		pub.write(30)
		p := newPlayer(t, h, "live/x")
		go func() { _ = pub.End() }()
		var last string
		for {
			m, err := p.client.in.Read()
			if err != nil {
				break
			}
			last += describeMessage(m) + "\n"
		}
		if !strings.HasSuffix(last, "event 1 00 00 00 01\ncommand@1 onStatus 0 null {level=status "+
			"code=NetStream.Play.UnpublishNotify description=\"The publisher has gone.\"}\n") {
			t.Errorf("the last words are\n%s", last)
		}
	})
}

// A player that is behind and acknowledges what it reads gets the stream to its end: an acknowledgement that comes to a closed
// connection would make the kernel throw away what is on its way.
func TestTailReachesPlayerThatAcknowledges(t *testing.T) {
	h := conformance.Open(t, Protocol(), conformance.Options{Narrow: true})
	pub := newPublisher(t, h, "live/x")
	pub.enc = sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, KeySize: 60_000, Size: 60_000})
	pub.write(3)
	p := newPlayer(t, h, "live/x")
	h.Viewers(1)
	pub.write(30)
	if err := pub.End(); err != nil {
		t.Fatal(err)
	}
	h.Publishers(0)
	for received := uint32(0); ; received += 60_000 {
		m, err := p.client.in.Read()
		if err != nil {
			t.Fatalf("the end notice did not come: %v", err)
		}
		if m.Type == chunk.TypeUserControl {
			if event, _, err := m.UserControl(); err == nil && event == chunk.EventStreamEOF {
				return
			}
		}
		_, _ = p.client.conn.Write(chunk.AppendAcknowledgement(nil, received))
	}
}

// A publishing without media does not buy another one: names could be held for ever that way.
func TestPublishingWithoutMedia(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		p := newPublisher(t, h, "live/x")
		_ = p.End() // the connection may end between its two commands
		h.Publishers(0)
		if _, err := io.Copy(io.Discard, p.client().conn); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection ended with %v", err)
		}
		h.Logged("stopped publishing", "before it sent media")
	})
}

// A refused publisher that goes on sending reads why it was refused.
func TestRefusalArrives(t *testing.T) {
	h := conformance.Open(t, Protocol(), conformance.Options{})
	newPublisher(t, h, "live/x").write(3)
	for range 20 {
		c, err := NewClient(t.Context(), h.MustDial("RTMP"), &url.URL{Scheme: "rtmp", Host: "h", Path: "/live/x"}, false)
		if err != nil {
			t.Fatal(err)
		}
		if err = c.call("createStream", nil); err != nil {
			t.Fatal(err)
		}
		if err = c.command(mediaStream, "publish", nil, "x", "live"); err != nil {
			t.Fatal(err)
		}
		for range 20 { // encoders in a hurry do not wait for the answer
			if err = c.WriteTag(flv.Tag{Type: flv.VideoTag, Body: make([]byte, 10_000)}); err != nil {
				break
			}
		}
		err = c.await(func(r command) (bool, error) { return r.name == "onStatus", nil })
		if err != nil {
			t.Errorf("the refusal did not arrive: %v", err)
		}
		c.Close()
	}
}

// tags is what a publisher sends that is not understood.
func TestBadTags(t *testing.T) {
	bad := flv.Tag{Type: flv.AudioTag, Body: []byte{0xb2, 1, 2, 3}} // Speex
	t.Run("among good ones", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			p := newPublisher(t, h, "live/x")
			for range 2 * badTagsMax {
				p.write(1)
				if err := p.client().WriteTag(bad); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := strings.Count(h.Log(), "skipped a bad media message"); n != 1 {
				t.Errorf("%d lines of one cause", n)
			}
			h.Publishers(1)
		})
	})
	t.Run("alone", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			p := newPublisher(t, h, "live/x")
			p.write(1)
			for range badTagsMax + 1 {
				if err := p.client().WriteTag(bad); err != nil {
					break
				}
			}
			h.Logged("stopped publishing", "501 bad media messages in a row", "Speex")
			h.Publishers(0)
		})
	})
	// One track of a multitrack tag is of a codec that nobody knows, for ever. The other is good.
	t.Run("within good ones", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			p := newPublisher(t, h, "live/x")
			p.write(1)
			for i := range badTagsMax + 10 {
				// many tracks, many codecs (AvMultitrackType 2): FourCC, track, length of 24 bits
				b := []byte{0x95, 0x21}
				b = append(append(append(b, "Opus"...), 1, 0, 0, 4), 0xfc, 1, 2, 3)
				b = append(append(append(b, "what"...), 2, 0, 0, 1), 9)
				if err := p.client().WriteTag(flv.Tag{Type: flv.AudioTag, Time: uint32(20 * i), Body: b}); err != nil {
					t.Fatalf("after %d: %v", i, err)
				}
			}
			synctest.Wait()
			if !strings.Contains(h.Log(), "skipped a bad media message") {
				t.Error("nothing was bad")
			}
			h.Publishers(1)
		})
	})
}

// Limits are those of a peer that does not publish again, once it has stopped.
func TestLimitsAfterPublishing(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		p := newPublisher(t, h, "live/x")
		p.write(3)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		h.Publishers(0)
		big := chunk.AppendMessage(nil, chunk.Message{Type: 18, ChunkStream: 3, Payload: make([]byte, setupMessage+1)}, clientChunkSize)
		if _, err := p.client().conn.Write(big); err == nil {
			synctest.Wait()
			h.Logged("session ended before media", "limit exceeded")
		}
	})
}

// A player keeps nothing of what it has not finished saying in its set-up, when that is much: there are many players, for long.
func TestPlayerInMidMessage(t *testing.T) {
	for _, tc := range []struct {
		size int
		ok   bool
	}{{2000, true}, {60_000, false}} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			pub := newPublisher(t, h, "live/x")
			pub.write(10)
			v := visit(h, "live/x", nil)
			c, err := dialClient(t.Context(), v, true)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			half := chunk.AppendSetChunkSize(nil, 128)
			first := len(half) + 12 + 128
			half = chunk.AppendMessage(half, chunk.Message{Type: chunk.TypeDataAMF0, ChunkStream: 9, Payload: make([]byte, tc.size)}, 128)
			if _, err = c.conn.Write(half[:first]); err != nil {
				t.Fatal(err)
			}
			if err = c.Play(t.Context()); (err == nil) != tc.ok {
				t.Errorf("%d bytes under way: %v", tc.size, err)
			}
			if !tc.ok {
				h.Logged("refused to play", "limit exceeded")
			}
		})
	}
}

func TestAgentIsCut(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		k := &talker{t: t, conn: h.MustDial("RTMP"), chunkSize: chunk.DefaultChunkSize, answers: make(chan string, 1000)}
		if _, err := handshakeClient(k.conn); err != nil {
			t.Fatal(err)
		}
		go k.listen()
		k.say([]string{"command", "connect", "1", "app=live", "flashVer=" + strings.Repeat("x", 30_000)})
		k.say(strings.Fields("command publish 2 null x"))
		h.Publishers(1)
		if n := len(h.Hub.Snapshot().Streams[0].Publisher.Agent); n != agentMax {
			t.Errorf("the agent has %d bytes", n)
		}
	})
}

func TestWrongProtocolIsNamed(t *testing.T) {
	for first, want := range map[string]string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS",
		"GET / HTTP/1.1\r\n\r\n":                       "HTTP",
		"\x06":                                         "RTMPE",
	} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			c := h.MustDial("RTMP")
			go func() { _, _ = io.WriteString(c, first) }()
			_, _ = io.Copy(io.Discard, c)
			h.Logged("handshake failed", "remote=192.0.2.1:1", want)
		})
	}
}

func TestHalfHandshakeIsLogged(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		c := h.MustDial("RTMP")
		if _, err := c.Write(append([]byte{3}, make([]byte, 1000)...)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c)
		h.Logged("handshake failed", "no publish or play in time")
	})
}

// What a stop of the server does to sessions is not blamed on the peers.
func TestStopIsNotBlamedOnPeers(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		h.MustDial("RTMP")
		c := h.MustDial("RTMP")
		if _, err := handshakeClient(c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.Close()
		if log := h.Log(); strings.Contains(log, "INFO") || strings.Count(log, "shutting down") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	h := conformance.Open(t, Protocol(), conformance.Options{Settings: []string{"rtmp.connections=2"}})
	one, two := h.MustDial("RTMP"), h.MustDial("RTMP")
	for _, c := range []net.Conn{one, two} { // they are in
		if _, err := handshakeClient(c); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		c := h.MustDial("RTMP")
		if n, err := io.Copy(io.Discard, c); n > 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d bytes, %v from a connection too many", n, err)
		}
	}
	one.Close()
	h.Eventually("a place", func() bool {
		c, err := h.Dial(t.Context(), "RTMP")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = handshakeClient(c)
		return err == nil
	})
}

// broken is a connection whose reading panics once it is told to.
type broken struct {
	net.Conn
	now *atomic.Bool
}

func (c broken) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.now.Load() {
		panic("a fault for the test")
	}
	return n, err
}

type breaking struct {
	net.Listener
	now *atomic.Bool
}

func (l breaking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return broken{c, l.now}, err
}

// A panic costs its session and nothing else: key and viewer are given back at once, and it is logged with its stack.
func TestPanics(t *testing.T) {
	for _, who := range []string{"publisher", "player"} {
		t.Run(who, func(t *testing.T) {
			var now atomic.Bool
			o := conformance.Options{Panics: true, Wrap: func(_ string, l net.Listener) net.Listener { return breaking{l, &now} }}
			bubble(t, o, func(t *testing.T, h *conformance.House) {
				pub := newPublisher(t, h, "live/x")
				pub.write(5)
				conn := pub.Conn()
				if who == "player" {
					p := newPlayer(t, h, "live/x")
					conn = p.Conn()
				}
				synctest.Wait()
				now.Store(true)
				_, _ = conn.Write(chunk.AppendUserControl(nil, chunk.EventPingRequest, 1))
				synctest.Wait()
				now.Store(false)
				_, viewers := h.Hub.Sessions()
				if who == "publisher" {
					h.Publishers(0)
				} else if viewers != 0 {
					t.Error("the viewer is still there")
				}
				h.Logged("a session panicked", "a fault for the test", "session_test.go")
				if who == "publisher" {
					newPublisher(t, h, "live/x").write(5)
				} else {
					pub.write(5)
				}
			})
		})
	}
}

// panicking is an authorizer that breaks.
type panicking struct{}

func (panicking) Authorize(context.Context, hub.Action, hub.Request) (hub.Permit, error) {
	panic("a fault for the test")
}

func TestAuthorizerPanics(t *testing.T) {
	bubble(t, conformance.Options{Panics: true, Auth: panicking{}}, func(t *testing.T, h *conformance.House) {
		if _, err := publishDriver(t.Context(), visit(h, "live/x", nil)); err == nil {
			t.Error("let in to publish")
		}
		if _, err := playDriver(t.Context(), visit(h, "live/x", nil)); err == nil {
			t.Error("let in to play")
		}
	})
}

// selfSigned is a TLS configuration as for a first try.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"test"}, NotAfter: time.Now().Add(1e6 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func overTLS(t testing.TB) conformance.Options {
	t.Helper()
	return conformance.Options{TLS: selfSigned(t), Settings: []string{"rtmp.tls.listen=:1936"}}
}

func dialTLS(t testing.TB, h *conformance.House) *tls.Conn {
	t.Helper()
	return tls.Client(h.MustDial("RTMPS"), &tls.Config{InsecureSkipVerify: true, ServerName: "test"}) //nolint:gosec // self-signed
}

func TestRTMPS(t *testing.T) {
	o := overTLS(t)
	h := conformance.Open(t, Protocol(), o)
	u := &url.URL{Scheme: "rtmps", Host: "test", Path: "/live/x"}
	pub, err := NewClient(t.Context(), dialTLS(t, h), u, false)
	if err != nil {
		t.Fatal(err)
	}
	if err = pub.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := &publisher{t: t, enc: sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})}
	p.Publication = &publication{client: pub, sent: map[int]*av.Track{}}
	p.write(30)
	play, err := NewClient(t.Context(), dialTLS(t, h), u, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := play.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	pb := &playback{client: play}
	p.write(10)
	var check sim.Checker
	for range 5 {
		unit, err := pb.Read()
		if err != nil {
			t.Fatal(err)
		}
		if err := check.Unit(unit); err != nil {
			t.Fatal(err)
		}
	}
	// Plain RTMP on the port of TLS is named.
	c := h.MustDial("RTMPS")
	if _, err := c.Write(append([]byte{3}, make([]byte, 1536)...)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
	h.Logged("handshake failed", "TLS")
}

// The farewell of TLS must not hold the server up for a player that does not read.
func TestStopWithStalledTLSPlayer(t *testing.T) {
	for _, stop := range []bool{true, false} {
		t.Run(fmt.Sprint("stop ", stop), func(t *testing.T) {
			bubble(t, overTLS(t), func(t *testing.T, h *conformance.House) {
				pub := newPublisher(t, h, "live/x")
				pub.write(30)
				c, err := NewClient(t.Context(), dialTLS(t, h), &url.URL{Scheme: "rtmps", Host: "test", Path: "/live/x"}, false)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Play(t.Context()); err != nil {
					t.Fatal(err)
				}
				pub.write(30)
				synctest.Wait()
				if stop {
					h.Close() // it has a second
					return
				}
				begin := time.Now()
				h.Eventually("the end", func() bool {
					pub.write(1)
					return strings.Contains(h.Log(), "stopped playing")
				})
				if took := time.Since(begin); took > 11*time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

// FuzzCommand feeds the reader of commands.
func FuzzCommand(f *testing.F) {
	f.Add(uint8(20), amf.Append(nil, "connect", 1, amf.Object{{Name: "app", Value: "live"}}))
	f.Add(uint8(17), append([]byte{0}, amf.Append(nil, "publish", 2, nil, "x", "live")...))
	f.Add(uint8(20), amf.Append(nil, "play2", 0, nil, amf.Object{{Name: "streamName", Value: "mp4:x?y"}}))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		c, ok, err := parseCommand(chunk.Message{Type: kind, Payload: b})
		if ok && (err != nil || c.name == "") {
			t.Errorf("%+v, %v", c, err)
		}
		s := &session{}
		s.path(playName(c))
		_ = c.status()
		c.flag(0)
	})
}
