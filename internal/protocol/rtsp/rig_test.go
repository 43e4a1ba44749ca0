package rtsp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
	"github.com/vigil-media/vigil/internal/sim"
)

// rig is a house whose server can be looked into.
type rig struct {
	*conformance.House
	t      testing.TB
	server *server
}

// open opens a house, and holds its server to having nothing left at the end.
func open(t testing.TB, o conformance.Options) *rig {
	t.Helper()
	return openTo(t, o, func(*protocol.Env) {})
}

// openTo opens a house in which somebody knows passwords.
func openTo(t testing.TB, o conformance.Options, change func(*protocol.Env)) *rig {
	t.Helper()
	r, p := &rig{t: t}, Protocol()
	inner := p.Serve
	p.Serve = func(env protocol.Env, section conf.Section) (protocol.Server, error) {
		change(&env)
		s, err := inner(env, section)
		if err == nil {
			r.server = s.(*server)
		}
		return s, err
	}
	t.Cleanup(r.empty) // after the house has been closed
	r.House = conformance.Open(t, p, o)
	return r
}

// empty fails the test if sessions have left something behind.
func (r *rig) empty() {
	s := r.server
	if s == nil {
		return
	}
	if n := len(s.players.all) + len(s.players.by); n > 0 {
		r.t.Errorf("%d entries of players are left", n)
	}
	if n := len(s.variants.all); n > 0 {
		r.t.Errorf("the variants of %d streams are left", n)
	}
	if n := s.tunnels.Waiting(); n > 0 {
		r.t.Errorf("%d halves of tunnels are left", n)
	}
	if !s.audience.Enter(2) { // one place in all
		r.t.Error("the audience has not left")
	}
}

// bubble runs a test in a house of pipes, where time is fake.
func bubble(t *testing.T, o conformance.Options, fn func(t *testing.T, h *rig)) {
	t.Helper()
	o.Memory = true
	synctest.Test(t, func(t *testing.T) { fn(t, open(t, o)) })
}

// encoder returns one of H.264 and AAC.
func encoder() *sim.Encoder { return sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}) }

// publisher publishes what an encoder makes.
type publisher struct {
	conformance.Publication
	t   testing.TB
	enc *sim.Encoder
}

// visit is for a driver.
func (r *rig) visit(path string, tracks []*av.Track) conformance.Visit {
	path, query, _ := strings.Cut(path, "?")
	return conformance.Visit{House: r.House, Path: path, Query: query, Tracks: tracks}
}

// publish begins to publish, with n units.
func (r *rig) publish(path string, n int) *publisher {
	r.t.Helper()
	p := &publisher{t: r.t, enc: encoder()}
	var err error
	if p.Publication, err = publishDriver(r.t.Context(), r.visit(path, p.enc.Tracks())); err != nil {
		r.t.Fatal(err)
	}
	p.write(n)
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

// keep writes a unit every 20 ms until the test ends, or the connection does.
func (p *publisher) keep() {
	done := make(chan struct{})
	p.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for p.t.Context().Err() == nil {
			_ = p.Conn().SetWriteDeadline(time.Now().Add(5 * time.Second))
			if p.Write(p.enc.Next()) != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}()
}

// play begins to play.
func (r *rig) play(path string) *Client {
	r.t.Helper()
	p, err := playDriver(r.t.Context(), r.visit(path, nil))
	if err != nil {
		r.t.Fatal(err)
	}
	return p.(*playback).client
}

// description is the SDP of what an encoder makes.
func description(tracks []*av.Track) []byte {
	var all []rtp.Media
	for i, m := range lanes(tracks) {
		all = append(all, rtp.Media{Kind: m.lane.Track.Kind(), Control: control(i), Format: m.lane.Format})
	}
	return rtp.AppendSDP(nil, "test", all)
}

// talker speaks RTSP word by word.
type talker struct {
	t       testing.TB
	conn    net.Conn
	in      *wire.Reader
	cseq    int
	session string
	frames  int // that came between answers
}

func (r *rig) talk() *talker {
	r.t.Helper()
	c := r.MustDial("RTSP")
	_ = c.SetDeadline(time.Time{})
	return &talker{t: r.t, conn: c, in: wire.NewReader(c, wire.Limits{}, 0)}
}

// request makes a request of "METHOD URL|Header: value|...", with a CSeq and the session's id, unless there are others. "@name" is the
// stream of that name, and "@sdp" as a header the description of it.
func (k *talker) request(text string) []byte {
	parts := strings.Split(text, "|")
	method, to, _ := strings.Cut(parts[0], " ")
	if strings.HasPrefix(to, "@") {
		to = "rtsp://test/live/" + to[1:]
	}
	proto := wire.Proto
	if before, version, ok := strings.Cut(to, " "); ok {
		to, proto = before, version
	}
	k.cseq++
	head := fmt.Sprintf("%s %s %s\r\n", method, to, proto)
	if !strings.Contains(text, "CSeq:") {
		head += fmt.Sprintf("CSeq: %d\r\n", k.cseq)
	}
	if k.session != "" && !strings.Contains(text, "Session:") {
		head += "Session: " + k.session + "\r\n"
	}
	var body []byte
	for _, h := range parts[1:] {
		switch {
		case h == "@sdp":
			body = description(encoder().Tracks())
			head += fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n", len(body))
		case strings.HasPrefix(h, "body="):
			body = []byte(h[len("body="):])
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		default:
			head += strings.ReplaceAll(h, "tcp=", "Transport: RTP/AVP/TCP;unicast;interleaved=") + "\r\n"
		}
	}
	return append([]byte(head+"\r\n"), body...)
}

// send sends bytes, though nobody may read them.
func (k *talker) send(b []byte) {
	k.t.Helper()
	_ = k.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := k.conn.Write(b); err != nil {
		k.t.Fatalf("send %.80q: %v", b, err)
	}
}

// try sends a request and returns its answer, or why there is none.
func (k *talker) try(text string) (*base.Response, error) {
	b, number := k.request(text), strconv.Itoa(k.cseq)
	if strings.Contains(text, "CSeq:") {
		number = ""
	}
	sent := make(chan error, 1)
	go func() {
		_, err := k.conn.Write(b)
		sent <- err
	}()
	r, err := k.answer(number)
	if err != nil {
		_ = k.conn.Close()
	}
	if failed := <-sent; err == nil {
		err = failed
	}
	return r, err
}

// answer reads up to an answer with a CSeq, or with none.
func (k *talker) answer(cseq string) (*base.Response, error) {
	_ = k.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		it, err := k.in.Read()
		switch {
		case err != nil:
			return nil, err
		case it.Frame != nil:
			k.frames++
		case it.Response != nil:
			r := it.Response
			if got := r.Header["CSeq"]; len(got) > 0 && cseq != "" && got[0] != cseq {
				return nil, fmt.Errorf("an answer to %v, not to %s", got, cseq)
			}
			if id := wire.SessionID(r.Header["Session"]); id != "" {
				k.session = id
			}
			return r, nil
		}
	}
}

// ask sends a request and fails the test if it is not answered with code.
func (k *talker) ask(code int, text string) *base.Response {
	k.t.Helper()
	r, err := k.try(text)
	if err != nil {
		k.t.Fatalf("%s: %v", text, err)
	}
	if int(r.StatusCode) != code {
		k.t.Errorf("%s: %d %s, want %d", text, r.StatusCode, r.StatusMessage, code)
	}
	return r
}

// asks asks for several things that are to be done.
func (k *talker) asks(all ...string) {
	k.t.Helper()
	for _, text := range all {
		k.ask(200, text)
	}
}

// media counts the frames that come within a time.
func (k *talker) media(within time.Duration) (n int, err error) {
	_ = k.conn.SetReadDeadline(time.Now().Add(within))
	for {
		it, err := k.in.Read()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return n, nil
			}
			return n, err
		}
		if it.Frame != nil {
			n++
		}
	}
}

// closed waits until the server has closed the connection, and says how long that took; it fails the test if it takes longer than limit.
func (k *talker) closed(limit time.Duration) time.Duration {
	k.t.Helper()
	begin := time.Now()
	_, err := k.media(limit)
	took := time.Since(begin)
	if err == nil {
		k.t.Errorf("the connection is open after %v", limit)
	}
	_ = k.conn.Close()
	return took
}

// isOpen fails the test if the server has closed the connection.
func (k *talker) isOpen() {
	k.t.Helper()
	if r, err := k.try("OPTIONS *"); err != nil || r.StatusCode != base.StatusOK {
		k.t.Errorf("the connection is not open: %v", err)
	}
}

// stage brings a session as far as a state, of the stream x, which is published, or to publish y.
func (k *talker) stage(state string) *talker {
	k.t.Helper()
	switch state {
	case "new":
	case "described":
		k.asks("DESCRIBE @x")
	case "set up":
		k.asks("DESCRIBE @x", "SETUP @x/trackID=1|tcp=0-1")
	case "playing":
		k.stage("set up").asks("PLAY @x")
	case "paused":
		k.stage("playing").asks("PAUSE @x")
	case "announced":
		k.asks("ANNOUNCE @y|@sdp")
	case "to record":
		k.stage("announced").asks("SETUP @y/trackID=1|tcp=0-1;mode=record")
	case "publishing":
		k.stage("to record").asks("RECORD @y")
	default:
		k.t.Fatal(state)
	}
	return k
}
