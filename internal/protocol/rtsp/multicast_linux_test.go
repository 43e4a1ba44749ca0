package rtsp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// onLoopback are settings for groups that nobody beyond this machine hears, and no other test's.
func onLoopback(size int, more ...string) conformance.Options {
	a := rand.Uint32() //nolint:forbidigo // so that tests that run at the same time keep apart
	prefix := fmt.Sprintf("239.255.%d.%d/%d", a>>8&255, a&0xf0, size)
	return conformance.Options{Settings: append([]string{
		"rtsp.multicast.range=" + prefix, "rtsp.multicast.interface=lo", "rtsp.multicast.ttl=3",
	}, more...)}
}

// member sets up the medias of the stream x by multicast and plays them.
func (k *talker) member(medias ...int) (all []wire.Transport) {
	k.t.Helper()
	k.asks("DESCRIBE @x")
	for _, m := range medias {
		all = append(all, k.setUp(m))
	}
	k.asks("PLAY @x")
	return all
}

// setUp asks for a media by multicast.
func (k *talker) setUp(media int) wire.Transport {
	k.t.Helper()
	r := k.ask(200, fmt.Sprintf("SETUP @x/trackID=%d|Transport: RTP/AVP;multicast", media))
	all, err := wire.ParseTransports(r.Header["Transport"])
	if err != nil {
		k.t.Fatal(err)
	}
	return all[0]
}

// ear hears one media of a group, without a word to anybody.
type ear struct {
	t    testing.TB
	rtp  *net.UDPConn
	rtcp *net.UDPConn
	seen map[uint16]bool
}

func listenTo(t testing.TB, to wire.Transport) *ear {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{t: t, seen: map[uint16]bool{}}
	for i, c := range []**net.UDPConn{&e.rtp, &e.rtcp} {
		*c, err = net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: to.Destination.AsSlice(), Port: to.GroupPorts[i]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = (*c).Close() })
	}
	return e
}

// take reads n packets, of which none may come twice.
func (e *ear) take(n int) {
	e.t.Helper()
	var b [2048]byte
	for range n {
		_ = e.rtp.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := e.rtp.Read(b[:]); err != nil {
			e.t.Fatalf("after %d packets: %v", len(e.seen), err)
		}
		seq := uint16(b[2])<<8 | uint16(b[3])
		if e.seen[seq] {
			e.t.Errorf("packet %d came twice", seq)
		}
		e.seen[seq] = true
	}
}

// unit reads up to the first unit of a track.
func (e *ear) unit(track *av.Track) *av.AccessUnit {
	e.t.Helper()
	f, err := rtp.FormatOf(track, 96)
	if err != nil {
		e.t.Fatal(err)
	}
	r := rtp.NewReceiver(1, f, new(rtp.Clock), rtp.Options{})
	var first *av.AccessUnit
	var b [2048]byte
	for begin := time.Now(); first == nil; {
		_ = e.rtp.SetReadDeadline(begin.Add(10 * time.Second))
		n, err := e.rtp.Read(b[:])
		if err != nil {
			e.t.Fatal(err)
		}
		_ = r.Packet(b[:n], time.Since(begin), func(u *av.AccessUnit) error {
			if first == nil {
				first = u
			}
			return nil
		})
	}
	return first
}

// silence waits until nothing comes for a while.
func (e *ear) silence() {
	e.t.Helper()
	var b [2048]byte
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); { // less than a share lives without viewers
		_ = e.rtp.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := e.rtp.Read(b[:]); err != nil {
			return
		}
	}
	e.t.Fatal("it goes on and on")
}

// bye waits until the end is told.
func (e *ear) bye() {
	e.t.Helper()
	var b [2048]byte
	_ = e.rtcp.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := e.rtcp.Read(b[:])
		if err != nil {
			e.t.Fatalf("no BYE: %v", err)
		}
		all, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			e.t.Fatal(err)
		}
		for _, p := range all {
			if _, is := p.(*rtcp.Goodbye); is {
				return
			}
		}
	}
}

// groups waits until n groups are in use.
func (r *rig) groups(n int) {
	r.t.Helper()
	r.Eventually(fmt.Sprint(n, " groups"), func() bool {
		g := &r.server.groups
		g.mu.Lock()
		defer g.mu.Unlock()
		if n == 0 && len(g.addrs)+len(g.pairs) > 0 {
			return false
		}
		return len(g.all) == n
	})
}

// began is how often sending to a group has begun.
func (r *rig) began() int { return strings.Count(r.Log(), "msg=multicasting") }

func TestMulticastTransports(t *testing.T) {
	h := open(t, onLoopback(28))
	h.publish("live/x", 30).keep()
	prefix := h.server.cfg.Multicast.Range
	t.Run("taken", func(t *testing.T) {
		k := h.talk()
		k.asks("DESCRIBE @x")
		one, two := k.setUp(1), k.setUp(2)
		if !one.Multicast || one.TTL != 3 || !prefix.Contains(one.Destination) || one.GroupPorts[1] != one.GroupPorts[0]+1 {
			t.Errorf("%+v", one)
		}
		if two.Destination != one.Destination || two.GroupPorts[0] == one.GroupPorts[0] {
			t.Errorf("first media %+v, second %+v", one, two)
		}
		if again := k.setUp(1); again != one {
			t.Errorf("asked once more: %+v, before that %+v", again, one)
		}
		if other := h.talk(); other.setUp(2) != two {
			t.Error("another is told another thing")
		}
	})
	for name, tc := range map[string]struct {
		offer string
		code  int
		want  string // in the answer
	}{
		"where the peer says": {"RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=200", 200, "ttl=3"},
		"by UDP, in words":    {"RTP/AVP/UDP;multicast;client_port=5000-5001", 200, "destination=" + prefix.Addr().String()[:8]},
		"SRTP":                {"RTP/SAVP;multicast", 461, ""},
		"the better offer":    {"RTP/SAVP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1", 200, "interleaved=0-1"},
	} {
		t.Run(name, func(t *testing.T) {
			k := h.talk()
			k.asks("DESCRIBE @x")
			r := k.ask(tc.code, "SETUP @x/trackID=1|Transport: "+tc.offer)
			if got := strings.Join(r.Header["Transport"], ""); !strings.Contains(got, tc.want) || strings.Contains(got, "239.1.2.3") {
				t.Errorf("%s", got)
			}
		})
	}
	t.Run("not one media so and another so", func(t *testing.T) {
		k := h.talk()
		k.asks("DESCRIBE @x")
		k.setUp(1)
		k.ask(461, "SETUP @x/trackID=2|tcp=0-1")
		k.ask(461, "SETUP @x/trackID=2|Transport: RTP/AVP;unicast;client_port=5000-5001")
		k.ask(200, "SETUP @x/trackID=1|tcp=0-1") // another mind
		k.ask(461, "SETUP @x/trackID=2|Transport: RTP/AVP;multicast")
		k.asks("SETUP @x/trackID=2|tcp=2-3", "PLAY @x")
		if n, err := k.media(200 * time.Millisecond); n == 0 {
			t.Errorf("nothing is played: %v", err)
		}
		_ = k.conn.Close()
	})
	if h.began() != 0 {
		t.Error("something is sent though nobody plays")
	}
}

// Where groups are off, which is the default, or all are taken, another way may do.
func TestMulticastRefused(t *testing.T) {
	t.Run("off", func(t *testing.T) {
		h := open(t, conformance.Options{})
		h.publish("live/x", 30).keep()
		k := h.talk()
		k.asks("DESCRIBE @x")
		k.ask(461, "SETUP @x/trackID=1|Transport: RTP/AVP;multicast")
		k.asks("SETUP @x/trackID=1|tcp=0-1")
	})
	t.Run("full", func(t *testing.T) {
		h := open(t, onLoopback(32))
		h.publish("live/x", 30).keep()
		h.publish("live/y", 30).keep()
		k := h.talk()
		k.asks("DESCRIBE @x")
		k.setUp(1)
		late := h.talk()
		late.asks("DESCRIBE @y")
		late.ask(453, "SETUP @y/trackID=1|Transport: RTP/AVP;multicast")
		late.asks("SETUP @y/trackID=1|Transport: RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1")
		_ = k.conn.Close()
		h.groups(0)
		again := h.talk()
		again.asks("DESCRIBE @y", "SETUP @y/trackID=1|Transport: RTP/AVP;multicast")
	})
	t.Run("no such interface", func(t *testing.T) {
		s := &server{cfg: Default(), env: open(t, conformance.Options{}).server.env}
		s.cfg.Listen, s.cfg.Multicast.Interface = "127.0.0.1:0", "eth4711"
		s.cfg.Multicast.Range = netip.MustParsePrefix("239.255.0.0/24")
		err := s.openGroups(t.Context())
		s.close()
		if err == nil || !strings.Contains(err.Error(), "rtsp.multicast.interface") {
			t.Error(err)
		}
	})
}

// Who was told of a group and then plays by the connection does not keep the group.
func TestMulticastAnotherMind(t *testing.T) {
	h := open(t, onLoopback(28))
	h.publish("live/x", 30).keep()
	k := h.talk()
	k.asks("DESCRIBE @x")
	k.setUp(1)
	h.groups(1)
	k.asks("SETUP @x/trackID=1|tcp=0-1", "PLAY @x")
	h.groups(0)
	if n, err := k.media(200 * time.Millisecond); n == 0 {
		t.Errorf("nothing is played: %v", err)
	}
}

// A stream is sent to its group from when the first viewer plays until the last has left, however it leaves, and again for the next.
func TestMulticastLife(t *testing.T) {
	h := open(t, onLoopback(28))
	p := h.publish("live/x", 35)
	p.keep()
	a := h.talk()
	a.asks("DESCRIBE @x")
	to := a.setUp(1)
	ear, deaf := listenTo(t, to), listenTo(t, a.setUp(2))
	if h.began() != 0 {
		t.Error("sent before it is played")
	}
	_ = a.conn.Close()
	h.groups(0)

	a = h.talk()
	if got := a.member(1); got[0] != to {
		t.Errorf("the group was %+v, is %+v", to, got[0])
	}
	if u := ear.unit(p.enc.Tracks()[0]); !u.Key {
		t.Error("the first unit is no key unit")
	}
	b := h.talk()
	b.member(1)
	ear.take(50)
	h.groups(1)
	if n := h.began(); n != 1 {
		t.Errorf("%d senders for two viewers", n)
	}
	deaf.silence() // nobody has asked for sound
	c := h.talk()
	c.member(2)
	deaf.take(5)
	_ = c.conn.Close()
	h.Viewers(2)
	deaf.silence()

	a.asks("TEARDOWN @x") // the one that began it
	h.Viewers(1)
	ear.seen = map[uint16]bool{}
	ear.take(30)
	_ = b.conn.Close()
	h.Viewers(0)
	ear.silence()
	h.groups(0)

	d := h.talk()
	d.member(1, 2)
	if u := ear.unit(p.enc.Tracks()[0]); !u.Key {
		t.Error("the first unit of another time is no key unit")
	}
	if n := h.began(); n != 2 {
		t.Errorf("%d beginnings", n)
	}
	var kicked []string
	for _, st := range h.Hub.Snapshot().Streams {
		for _, v := range st.Viewers {
			kicked = append(kicked, v.ID)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Hub.Kick(ctx, kicked[0]); err != nil || len(kicked) != 1 {
		t.Errorf("kick %v: %v", kicked, err)
	}
	d.closed(5 * time.Second)
	ear.silence()
	h.groups(0)
}

// What is sent is counted once.
func TestMulticastCounts(t *testing.T) {
	h := open(t, onLoopback(28))
	p := h.publish("live/x", 1)
	h.Eventually("the stream", func() bool { return len(h.Hub.Snapshot().Streams) == 1 })
	a, b := h.talk(), h.talk()
	p.write(20)
	ear := listenTo(t, a.member(1, 2)[0])
	b.member(1, 2)
	p.write(100)
	ear.take(20)
	sent := func() (all []uint64) {
		for _, v := range h.Hub.Snapshot().Streams[0].Viewers {
			all = append(all, v.Sent)
		}
		return all
	}
	h.Eventually("figures", func() bool { n := sent(); return len(n) == 2 && n[0] > 0 })
	if n := sent(); n[1] != 0 {
		t.Errorf("sent to one %d bytes, to the other %d: they hear the same", n[0], n[1])
	}
}

// The end of the stream is told to the group, after its last unit, and ends its members.
func TestMulticastEnd(t *testing.T) {
	h := open(t, onLoopback(28))
	p := h.publish("live/x", 30)
	a, b := h.talk(), h.talk()
	ear := listenTo(t, a.member(1)[0])
	b.member(1, 2)
	p.write(50)
	ear.take(10)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	ear.bye()
	a.closed(5 * time.Second)
	b.closed(5 * time.Second)
	h.Viewers(0)
	h.groups(0)
}

// A group to which nothing can be sent any more ends its members.
func TestMulticastBreaks(t *testing.T) {
	h := open(t, onLoopback(28))
	h.publish("live/x", 30).keep()
	a, b := h.talk(), h.talk()
	ear := listenTo(t, a.member(1)[0])
	b.member(1, 2)
	ear.take(10)
	_ = h.server.groups.ports.rtp.Close()
	a.closed(5 * time.Second)
	b.closed(5 * time.Second)
	h.Viewers(0)
	h.groups(0)
}

// Viewers come and go at once; none is left without the stream, and nothing is left of them.
func TestMulticastCrowd(t *testing.T) {
	h := open(t, onLoopback(28))
	h.publish("live/x", 30).keep()
	h.Eventually("the stream", func() bool { return len(h.Hub.Snapshot().Streams) == 1 })
	const visitors, visits = 8, 12
	done := make(chan error, visitors)
	for i := range visitors {
		go func() {
			var err error
			for n := 0; n < visits && err == nil; n++ {
				k := h.talk()
				k.member(1 + (i+n)%2)
				if n%2 == 0 {
					_, err = k.try("TEARDOWN @x")
				}
				_ = k.conn.Close()
			}
			done <- err
		}()
	}
	for range visitors {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	h.Viewers(0)
	h.groups(0)
	k := h.talk()
	listenTo(t, k.member(1)[0]).take(20)
}

// A viewer that says nothing is ended after the limit for such; keep-alives keep it. A pause is nothing to the others, and
// nothing is sent on its connection, not after it either.
func TestMulticastAbsence(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := egress.NewOutlet(conn)
		if err != nil {
			t.Fatal(err)
		}
		g := &h.server.groups // a house of pipes has no UDP
		g.ports.rtp, g.ports.out = conn, [2]*egress.Outlet{out, out}
		g.cfg = &MulticastConfig{Range: netip.MustParsePrefix("239.255.0.0/24"), Ports: PortRange{40_000, 40_999}, TTL: 1}
		h.publish("live/x", 35).keep()
		a, b := h.talk(), h.talk()
		a.member(1, 2)
		b.member(1)
		begin := time.Now()
		b.asks("PAUSE @x") // so says GStreamer before it goes, and takes a refusal for a fault
		for range 4 {
			<-time.After(20 * time.Second)
			b.asks("GET_PARAMETER @x", "PLAY @x")
		}
		if took := a.closed(time.Minute); time.Since(begin) > 90*time.Second {
			t.Errorf("who says nothing is ended after %v more", took)
		}
		h.Viewers(1)
		b.isOpen()
		if n, err := b.media(10 * time.Second); n+b.frames > 0 || err != nil {
			t.Errorf("%d packets have come by the connection: %v", n+b.frames, err)
		}
		b.closed(90 * time.Second)
		h.Logged("stopped playing", errAbsent.Error())
		h.groups(0)
		if !errors.Is(h.server.groups.ports.rtp.Close(), nil) {
			t.Error("the socket is closed")
		}
	})
}
