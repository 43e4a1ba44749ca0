package rtsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/task"
)

// datagrams opens a house with some pairs of ports, of the number of which one is for players.
func datagrams(t testing.TB, pairs int) *rig {
	t.Helper()
	from := 20_000 + 2*anyPort(5000)
	o := conformance.Options{Settings: []string{fmt.Sprintf("rtsp.udp_ports=%d-%d", from, from+2*pairs-1)}}
	h := open(t, o)
	if h.server.ports.rtp == nil {
		t.Fatal("no UDP")
	}
	return h
}

// anyPort is another number each time: other tests run meanwhile.
func anyPort(n int) int {
	return rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano()))).IntN(n) //nolint:gosec // a number is a number
}

// client returns a client that sends and receives media by UDP.
func (r *rig) client(path string) *Client {
	r.t.Helper()
	c, err := dialClient(r.t.Context(), r.visit(path, nil))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	c.UDP()
	return c
}

// publishUDP publishes by UDP, n units.
func (r *rig) publishUDP(path string, n int) *publisher {
	r.t.Helper()
	c, p := r.client(path), &publisher{t: r.t, enc: encoder()}
	if err := c.Publish(r.t.Context(), p.enc.Tracks()); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Listen() }()
	p.Publication = &publication{client: c, ended: ended}
	p.write(n)
	return p
}

// playUDP plays by UDP.
func (r *rig) playUDP(path string) *Client {
	r.t.Helper()
	c := r.client(path)
	if err := c.Play(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// units reads n units. Each track's come in order, and video begins with a key picture; tracks come as their sockets are read.
func units(t testing.TB, c *Client, n int) {
	t.Helper()
	last := map[int]uint64{}
	for i := range n {
		u, err := c.ReadUnit()
		if err != nil {
			t.Fatalf("unit %d: %v", i, err)
		}
		tag, err := sim.Read(u)
		if err != nil {
			t.Fatal(err)
		}
		before, known := last[u.Track.ID]
		switch {
		case known && tag.Seq <= before:
			t.Errorf("%v: unit %d after %d", u.Track.Codec, tag.Seq, before)
		case !known && u.Track.ID == 1 && !u.Key:
			t.Errorf("%v begins without a key picture", u.Track.Codec)
		}
		last[u.Track.ID] = tag.Seq
	}
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// What is published by UDP is played by UDP and by TCP.
func TestUDP(t *testing.T) {
	h := datagrams(t, 20)
	h.publishUDP("live/x", 30).keep()
	tcp, udp := h.play("live/x"), h.playUDP("live/x")
	units(t, tcp, 50)
	units(t, udp, 50)
	_ = udp.Close()
	_ = tcp.Close()
	h.Viewers(0)
}

// Receiver reports say that a player lives, others' datagrams say nothing.
func TestReceiverReports(t *testing.T) {
	h := datagrams(t, 20)
	h.publish("live/x", 30).keep()
	c := h.playUDP("live/x")
	units(t, c, 5)
	p := h.player()
	before := p.heard.Load()
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(h.server.ports.numbers[1]))
	report := c.AppendReport(nil)[wire.FrameHead:] // of one of them
	report = report[:4*(1+int(report[2])<<8+int(report[3]))]
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.WriteToUDPAddrPort(report, to); err != nil {
		t.Fatal(err)
	}
	h.Eventually("a foreign datagram", func() bool { return h.server.ports.foreign.Load() == 1 })
	if p.heard.Load() != before {
		t.Error("somebody else's report counts")
	}
	for _, pair := range c.udp.pairs {
		if _, err := pair[1].WriteToUDPAddrPort(report, to); err != nil {
			t.Fatal(err)
		}
	}
	h.Eventually("a report", func() bool { return p.heard.Load() > before })
}

// player is the one of those who may be gone unnoticed.
func (r *rig) player() (p *player) {
	r.t.Helper()
	r.Eventually("a player", func() bool {
		u := &r.server.players
		u.mu.Lock()
		defer u.mu.Unlock()
		for p = range u.all {
			return true
		}
		return false
	})
	return p
}

// sockets are a pair of a client's own, at an address.
func sockets(t testing.TB, addr string, port int) (pair [2]*net.UDPConn, number int) {
	t.Helper()
	for range 100 {
		number = port
		if port == 0 {
			number = 34_000 + 2*anyPort(5000)
		}
		for i := range pair {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr), Port: number + i})
			if err != nil {
				break
			}
			pair[i] = c
			t.Cleanup(func() { _ = c.Close() })
			if i == 1 {
				return pair, number
			}
		}
	}
	t.Fatal("no ports")
	return pair, 0
}

// serverPorts are those of the answer to SETUP.
func serverPorts(t testing.TB, r interface{ header() string }) [2]int {
	t.Helper()
	all, err := wire.ParseTransports([]string{r.header()})
	if err != nil {
		t.Fatal(err)
	}
	return all[0].ServerPorts
}

type transportOf string

func (s transportOf) header() string { return string(s) }

// A publisher's ports take what its address sends, from whichever port, and nothing of others.
func TestForeignDatagrams(t *testing.T) {
	h := datagrams(t, 20)
	own, number := sockets(t, "127.0.0.1", 0)
	other, _ := sockets(t, "127.0.0.1", 0)
	stranger, _ := sockets(t, "127.0.0.2", 0)
	k := h.talk().stage("announced")
	r := k.ask(200, fmt.Sprintf("SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=%d-%d;mode=record", number, number+1))
	port := serverPorts(t, transportOf(r.Header["Transport"][0]))[0]
	k.asks("RECORD @y")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	f, strangers := newFrames(), uint64(0)
	send := func(from *net.UDPConn) {
		t.Helper()
		for b := f.next(); len(b) > 0; b = b[wire.FrameHead+int(b[2])<<8+int(b[3]):] {
			if b[1] == 0 {
				if from == stranger[0] {
					strangers++
				}
				if _, err := from.WriteToUDPAddrPort(b[wire.FrameHead:][:int(b[2])<<8+int(b[3])], to); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	received := func() (bytes, foreign uint64) {
		for _, s := range h.Hub.Snapshot().Streams {
			if s.Publisher != nil {
				if s.Publisher.Transit != nil {
					foreign = s.Publisher.Transit.Foreign
				}
				return s.Publisher.Received, foreign
			}
		}
		return 0, 0
	}
	for range 20 {
		send(stranger[0])
	}
	for _, odd := range [][]byte{nil, {0}, {0x80, 96}, make([]byte, 5000)} {
		strangers++
		_, _ = stranger[0].WriteToUDPAddrPort(odd, to)
		if len(odd) == 2 { // from a port to which the media have not moved
			strangers++
		}
		_, _ = other[0].WriteToUDPAddrPort(odd, to)
		_, _ = own[0].WriteToUDPAddrPort(odd, to)
	}
	if n, _ := received(); n > 0 {
		t.Errorf("%d bytes of a stranger were taken", n)
	}
	f = newFrames()
	for i := range 60 {
		if i == 30 {
			<-time.After(2 * moveAfter) // twice: it counts from when the last one was read, which is later on a busy machine
		}
		send([]*net.UDPConn{own[0], other[0]}[i/30])
	}
	h.Eventually("media", func() bool { n, _ := received(); return n > 1000 })
	before, _ := received()
	h.Eventually("foreign ones counted", func() bool {
		send(own[0])
		n, foreign := received()
		return foreign == strangers && n > before
	})
	k.asks("TEARDOWN @y")
}

// Media go to the peer of the connection, wherever it wants them to go.
func TestDestination(t *testing.T) {
	h := datagrams(t, 20)
	h.publish("live/x", 30).keep()
	own, number := sockets(t, "127.0.0.1", 0)
	victim, _ := sockets(t, "127.0.0.2", number)
	k := h.talk()
	r := k.ask(200, fmt.Sprintf("SETUP @x/trackID=1|Transport: RTP/AVP;unicast;destination=127.0.0.2;client_port=%d-%d", number, number+1))
	if got := r.Header["Transport"][0]; strings.Contains(got, "127.0.0.2") {
		t.Error(got)
	}
	b := make([]byte, 2000)
	_ = own[0].SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, _, err := own[0].ReadFrom(b); err == nil {
		t.Error("media before PLAY")
	}
	k.asks("PLAY @x")
	for range 30 {
		_ = own[0].SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := own[0].ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if n > 1400 || int(from.Port()) != h.server.ports.numbers[0] {
			t.Errorf("%d bytes from %v", n, from)
		}
	}
	_ = victim[0].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, _, err := victim[0].ReadFrom(b); err == nil {
		t.Error("somebody else got media")
	}
	// With its ports closed, which the network tells, it is served on until it is silent for too long.
	for _, c := range own {
		_ = c.Close()
	}
	c := h.playUDP("live/x")
	units(t, c, 50)
	k.isOpen()
	h.Viewers(2)
	k.asks("TEARDOWN @x")
	h.Viewers(1)
}

// What goes together in one session, and where there is none.
func TestTransportsByUDP(t *testing.T) {
	h := datagrams(t, 20)
	h.publish("live/x", 30).keep()
	for _, text := range []string{
		"client_port=0-0", "client_port=7000-0", "client_port=53-54", "client_port=7000-123", "client_port=70000-70001", "client_port=-1", "client_port=x", "",
	} {
		h.talk().ask(461, "SETUP @x/trackID=1|Transport: RTP/AVP;unicast;"+text)
		h.talk().stage("announced").ask(map[bool]int{true: 200, false: 461}[strings.HasPrefix(text, "client_port=7000-") || text == "client_port=53-54"],
			"SETUP @y/trackID=1|Transport: RTP/AVP;unicast;"+text)
	}
	k := h.talk().stage("set up")
	k.ask(461, "SETUP @x/trackID=2|Transport: RTP/AVP;unicast;client_port=7000-7001")
	k = h.talk()
	k.asks("SETUP @x/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001")
	k.ask(461, "SETUP @x/trackID=2|tcp=2-3")
	k.asks("SETUP @x/trackID=1|tcp=2-3") // the only one may change
	k = h.talk().stage("to record")
	k.ask(461, "SETUP @y/trackID=2|Transport: RTP/AVP;unicast;client_port=7000-7001")
	k.asks("SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001")
	k.ask(461, "SETUP @y/trackID=2|tcp=2-3")
}

// A publisher's ports are free again however it ends.
func TestPortsAreReleased(t *testing.T) {
	const pairs, rounds = 4, 300
	h := datagrams(t, pairs)
	owner := h.publish("live/busy", 30)
	owner.keep()
	before := descriptors(t)
	setup := "|Transport: RTP/AVP;unicast;client_port=7000-7001;mode=record"
	for i := range rounds {
		k := h.talk()
		switch i % 5 {
		case 0: // TEARDOWN
			k.asks("ANNOUNCE @y|@sdp", "SETUP @y/trackID=1"+setup, "SETUP @y/trackID=2"+setup, "RECORD @y", "TEARDOWN @y")
			k.isOpen()
		case 1: // vanishes
			k.asks("ANNOUNCE @y|@sdp", "SETUP @y/trackID=1"+setup, "RECORD @y")
		case 2: // is refused
			if i > 50 {
				break // each takes the time that its connection lingers
			}
			k.asks("ANNOUNCE @busy|@sdp", "SETUP @busy/trackID=1"+setup)
			k.ask(406, "RECORD @busy")
		case 3: // changes its mind
			k.asks("ANNOUNCE @y|@sdp", "SETUP @y/trackID=1"+setup, "ANNOUNCE @z|@sdp", "SETUP @z/trackID=1"+setup, "DESCRIBE @busy")
		case 4: // does not begin
			k.asks("ANNOUNCE @y|@sdp", "SETUP @y/trackID=1"+setup)
		}
		_ = k.conn.Close()
		h.Publishers(1)
		if i%5 != 0 { // its end is noticed when it is
			h.Eventually("descriptors", func() bool { return descriptors(t) <= before })
		}
	}
	h.Eventually("descriptors", func() bool { return descriptors(t) <= before })
}

// Without a free pair a publisher is refused, and the log says why.
func TestNoPorts(t *testing.T) {
	h := datagrams(t, 1) // which is the players'
	h.publish("live/x", 30).keep()
	k := h.talk().stage("announced")
	k.ask(453, "SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001;mode=record")
	h.Logged("refused to publish", "live/y", "no free pair of UDP ports")
	units(t, h.playUDP("live/x"), 20) // players need none
}

// Servers that share a range do not take each other's ports; one that gets none does not begin.
func TestSharedRange(t *testing.T) {
	a := datagrams(t, 6)
	setting := "rtsp.udp_ports=" + a.server.cfg.UDPPorts.String()
	b := open(t, conformance.Options{Settings: []string{setting}})
	for _, h := range []*rig{a, b} {
		h.publishUDP("live/x", 30).keep()
		h.publishUDP("live/y", 30).keep()
		units(t, h.playUDP("live/x"), 20)
	}
	cfg, err := conf.Load(conf.Source{Set: []string{setting}})
	if err != nil {
		t.Fatal(err)
	}
	env := a.server.env
	if _, err = serve(env, cfg.Section("rtsp")); err == nil || !strings.Contains(err.Error(), "no free pair of UDP ports") {
		t.Error(err)
	}
}

// Who publishes by UDP is ended with its connection, and by an operator.
func TestUDPPublisherEnds(t *testing.T) {
	for name, end := range map[string]func(h *rig, p *publisher){
		"kicked":    func(h *rig, _ *publisher) { _ = h.Hub.Kick(h.t.Context(), "s1") },
		"vanishes":  func(_ *rig, p *publisher) { _ = p.Conn().Close() },
		"half-open": func(_ *rig, p *publisher) { _ = p.Conn().(*net.TCPConn).CloseWrite() },
		"tears down": func(_ *rig, p *publisher) {
			_ = p.End()
		},
		"stops": func(h *rig, _ *publisher) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := datagrams(t, 20)
			before := descriptors(t)
			p := h.publishUDP("live/x", 30)
			v := h.playUDP("live/x")
			units(t, v, 1)
			end(h, p)
			h.Publishers(0)
			_ = v.Close()
			_ = p.client().Close()
			h.Viewers(0)
			h.Eventually("descriptors", func() bool { return descriptors(t) <= before })
		})
	}
}

func (p *publisher) client() *Client { return p.Publication.(*publication).client }

// A session may have let go of its publishing before those run that close its sockets: they do not need the session. What panics there ends
// the process.
func TestSocketsOutliveTheSession(t *testing.T) {
	pair, _ := sockets(t, "127.0.0.1", 0)
	f := &feeder{session: &session{server: &server{cfg: Default()}, record: &recording{pair: pair}}, start: time.Now()}
	f.reported = f.start
	ctx, end := context.WithCancelCause(t.Context())
	wait := f.hearDatagrams(ctx, end)
	f.record = nil
	end(nil)
	wait()
	if err := pair[0].Close(); err == nil {
		t.Error("a socket was left open")
	}
}

// A frame that no datagram can carry is lost, and nothing else.
func TestFrameTooLong(t *testing.T) {
	from, _ := sockets(t, "127.0.0.1", 0)
	to, number := sockets(t, "127.0.0.1", 0)
	out, err := egress.NewOutlet(from[0])
	if err != nil {
		t.Fatal(err)
	}
	l := &lane{ports: &ports{out: [2]*egress.Outlet{out, out}}}
	l.add(rtp.Lane{RTP: 0, RTCP: 1}, netip.MustParseAddr("127.0.0.1"), [2]int{number, number + 1})
	var b []byte
	for _, size := range []int{100, wire.FrameMax, wire.FrameMax, 200} {
		b = wire.AppendFrame(b, 0, make([]byte, size))
	}
	if n, err := l.Send(b); n != len(b) || err != nil {
		t.Errorf("%d of %d bytes: %v", n, len(b), err)
	}
	for _, size := range []int{100, 200} {
		_ = to[0].SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := to[0].Read(make([]byte, 1000)); n != size || err != nil {
			t.Errorf("%d bytes, want %d: %v", n, size, err)
		}
	}
}

// A panic over a datagram ends the publishing at once, and is logged.
func TestPanicByUDP(t *testing.T) {
	pair, number := sockets(t, "127.0.0.1", 0)
	from, own := sockets(t, "127.0.0.1", 0)
	addr := netip.MustParseAddr("127.0.0.1")
	var log bytes.Buffer
	s := &session{
		server: &server{cfg: Default(), env: protocol.Env{Log: slog.New(slog.NewTextHandler(&log, nil))}},
		record: &recording{pair: pair}, remote: netip.AddrPortFrom(addr, 1),
	}
	broken := &media{from: [2]netip.AddrPort{netip.AddrPortFrom(addr, uint16(own))}} // it has no receiver
	f := &feeder{session: s, udp: true, medias: []*media{broken}, start: time.Now(), reported: time.Now()}
	ctx, stop := context.WithCancelCause(t.Context())
	wait := f.hearDatagrams(ctx, stop)
	if _, err := from[0].WriteToUDPAddrPort([]byte{0x80, 96}, netip.AddrPortFrom(addr, uint16(number))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
	wait()
	if _, ok := errors.AsType[*task.PanicError](context.Cause(ctx)); !ok {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
	if !strings.Contains(log.String(), "panicked") {
		t.Errorf("log: %s", &log)
	}
}

// While a publisher's media come from the ports that were agreed on, what its address sends from others harms nobody: somebody else may have
// the same address, or write it on what he sends.
func TestSameAddress(t *testing.T) {
	h := datagrams(t, 20)
	own, number := sockets(t, "127.0.0.1", 0)
	other, _ := sockets(t, "127.0.0.1", 0)
	k := h.talk().stage("announced")
	r := k.ask(200, fmt.Sprintf("SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=%d-%d;mode=record", number, number+1))
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(serverPorts(t, transportOf(r.Header["Transport"][0]))[0]))
	k.asks("RECORD @y")
	f := newFrames()
	send := func() {
		for b := f.next(); len(b) > 0; b = b[wire.FrameHead+int(b[2])<<8+int(b[3]):] {
			if b[1] == 0 {
				_, _ = own[0].WriteToUDPAddrPort(b[wire.FrameHead:][:int(b[2])<<8+int(b[3])], to)
			}
		}
	}
	for i := range 100 {
		send()
		if i == 50 {
			h.Publishers(1)
			for j := range 2 * badPacketsMax {
				if j%50 == 0 {
					send() // the agreed ports are not silent meanwhile
				}
				_, _ = other[0].WriteToUDPAddrPort([]byte{0, 96, 0}, to)
				<-time.After(20 * time.Microsecond)
			}
		}
		<-time.After(2 * time.Millisecond)
	}
	h.Publishers(1)
	if log := h.Log(); strings.Contains(log, "bad packet") {
		t.Error(log)
	}
}

// Who asks for ports and does not publish leaves room for others, who do.
func TestPortsThatWait(t *testing.T) {
	const pairs = 8 // of which one is for players
	h := datagrams(t, pairs)
	ask := func(k *talker, code int) {
		k.ask(code, "SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001;mode=record")
	}
	var waiting []*talker
	for range (pairs + 1) / 2 {
		k := h.talk().stage("announced")
		ask(k, 200)
		waiting = append(waiting, k)
	}
	ask(h.talk().stage("announced"), 453)
	waiting[0].asks("RECORD @y") // it waits no longer
	ask(h.talk().stage("announced"), 200)
	ask(h.talk().stage("announced"), 453)
	_ = waiting[1].conn.Close()
	h.Eventually("its place is free", func() bool {
		s := h.server
		s.pending.mu.Lock()
		defer s.pending.mu.Unlock()
		return s.pending.all < (pairs+1)/2
	})
	ask(h.talk().stage("announced"), 200)
}
