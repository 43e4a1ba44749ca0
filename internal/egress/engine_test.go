package egress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// engine is a way of sending. All must behave alike.
type engine struct {
	name   string
	bubble bool // in fake time
	client func(r *rig) *client
}

var engines = []engine{
	{"fake", true, (*rig).fake},
	{"pipe", true, func(r *rig) *client {
		near, far := net.Pipe()
		return r.join(near, halfPipe{far})
	}},
	{"tcp", false, func(r *rig) *client {
		near, far := loopback(r.t)
		return r.join(near, far)
	}},
	{"portable tcp", false, func(r *rig) *client {
		near, far := loopback(r.t)
		return r.join(struct{ net.Conn }{near}, far)
	}},
	{"tls", false, func(r *rig) *client {
		near, far := secured(r.t, NewTLSListener, nil)
		return r.join(near, far)
	}},
	{"portable tls", false, func(r *rig) *client {
		near, far := secured(r.t, tls.NewListener, nil)
		return r.join(near, far)
	}},
}

// each runs a test with all engines.
func each(t *testing.T, test func(t *testing.T, g engine)) {
	t.Helper()
	some(t, func(engine) bool { return true }, test)
}

// inBubbles runs a test with the engines that can do with fake time.
func inBubbles(t *testing.T, test func(t *testing.T, g engine)) {
	t.Helper()
	some(t, func(g engine) bool { return g.bubble }, test)
}

func some(t *testing.T, which func(engine) bool, test func(t *testing.T, g engine)) {
	t.Helper()
	for _, g := range engines {
		switch {
		case !which(g):
		case g.bubble:
			t.Run(g.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, g) }) })
		default:
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				test(t, g)
			})
		}
	}
}

// loopback returns both ends of a TCP connection. The far end is closed when the test is over.
func loopback(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, b := dial(t, l)
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func dial(t testing.TB, l net.Listener) (near, far net.Conn) {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// secured returns both ends of a TLS connection.
func secured(t testing.TB, listener func(net.Listener, *tls.Config) net.Listener, change func(*tls.Config)) (near net.Conn, far *tls.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server, client := certificate(t)
	if change != nil {
		change(server)
	}
	near, raw := dial(t, listener(l, server))
	far = tls.Client(raw, client)
	done := make(chan error, 1)
	go func() { done <- near.(*tls.Conn).Handshake() }()
	if err := errors.Join(far.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return near, far
}

var certified = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	cert, err := certified()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: pool, ServerName: "test"}
}

var errOver = errors.New("over")

func TestBytesInOrder(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r).play()
		c.want("HCU", units...)
		for range 20 {
			units = r.write(30)
			c.want(types("", 30), units...)
		}
		r.enc.ChangeVideo()
		units = r.write(10)
		c.want("UUUUUUUUU", units[:9]...)
		c.want("CU", units[9])
		r.s.End(errOver)
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Error(err)
		}
	})
}

// What is counted is what was sent, and the end comes after the last byte.
func TestSentIsCounted(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		all := r.write(1)
		c := g.client(r).play()
		c.want("HCU", all...)
		for range 10 {
			all = append(all, r.write(50)...)
		}
		r.s.End(errOver)
		c.want(types("", len(all)-1), all[1:]...)
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Errorf("%v, want the cause", err)
		}
		want := uint64(5 + 5 + 2) // head and configuration
		for _, u := range all {
			want += uint64(5 + u.Size())
		}
		if got := c.viewer.Sent(); got != want {
			t.Errorf("%d bytes counted, want %d", got, want)
		}
	})
}

// Large packets, larger than any batch, buffer or record, come whole; also to peers that read in small pieces.
func TestLargePackets(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		first := r.write(1)
		c := g.client(r).play()
		c.want("HCU", first...)
		var units []*av.AccessUnit
		for i := range 9 {
			u := r.big(40_000 * (i + 1) * (i + 1))
			r.put(u)
			units = append(units, u)
		}
		c.want(types("", 9), units...)
	})
}

// Many viewers with different speeds all get everything, in order. They join while the stream runs.
func TestManyViewers(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		r.write(1)
		var wg sync.WaitGroup
		for i := range 12 {
			c := g.client(r)
			if c.sock != nil {
				c.sock.room, c.sock.most = 1500+700*i, 1000+997*i
			}
			c.play()
			wg.Go(func() {
				read := slowly{c.peer, 37 + 411*i}
				if err := follow(read, r.enc.Tracks()[0], 1000); err != nil {
					t.Errorf("viewer %d: %v", i, err)
				}
			})
			r.write(100)
		}
		wg.Wait()
	})
}

// slowly reads in small pieces.
type slowly struct {
	io.Reader
	piece int
}

func (s slowly) Read(b []byte) (int, error) { return s.Reader.Read(b[:min(len(b), s.piece)]) }

// follow reads units until number last, and judges them: none is cut, none is out of order, and after a gap comes a key.
func follow(from io.Reader, track *av.Track, last uint64) error {
	seq, opened := uint64(0), 0
	for seq < last {
		typ, body, err := next(from)
		if err != nil {
			return err
		}
		switch typ {
		case 'H', 'C':
			opened++
		case 'U':
			u := &av.AccessUnit{Track: track, Key: body[0] == 0x65, Data: [][]byte{body}}
			tag, err := sim.Read(u)
			switch {
			case err != nil:
				return err
			case opened != 2:
				return errors.New("a unit before head and configuration")
			case seq != 0 && tag.Seq <= seq:
				return errors.New("a unit comes twice")
			case tag.Seq != seq+1 && !u.Key:
				return errors.New("a gap without a key unit")
			}
			seq = tag.Seq
		default:
			return errors.New("a strange record: something is within a packet")
		}
	}
	return nil
}

// Replies stand between packets.
func TestRepliesBetweenPackets(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room, c.sock.most = 5000, 777
		}
		c.play()
		c.want("HCU", units...)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 300 {
				for _, u := range r.enc.Take(3) {
					if err := r.p.Write(u); err != nil {
						t.Error(err)
					}
				}
				if g.bubble {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
		got := 0
		var last uint64
		for i := 0; got < 40 || last < 890; i++ {
			if i%20 == 0 && i/20 < 40 {
				c.say("q")
			}
			typ, body, err := next(c.peer)
			if err != nil {
				t.Fatal(err)
			}
			switch typ {
			case 'q':
				if body[0] != byte(got) {
					t.Fatalf("reply %d, want %d", body[0], got)
				}
				got++
			case 'U':
				tag, err := sim.Read(&av.AccessUnit{Track: r.enc.Tracks()[0], Key: body[0] == 0x65, Data: [][]byte{body}})
				if err != nil {
					t.Fatal(err)
				}
				last = tag.Seq
			default:
				t.Fatalf("record %q: something was put into a packet", typ)
			}
		}
		wg.Wait()
	})
}

// Replies go out although no media come, and while the media are paused.
func TestRepliesWithoutMedia(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r).play()
		for range 3 {
			c.say("q")
			c.answer('q')
		}
		c.pause()
		r.write(5)
		c.say("q")
		if n := c.answer('q'); n != 0 {
			t.Errorf("%d units in the pause", n)
		}
	})
}

// A reply that is asked for while a packet is stuck waits for the packet's end.
func TestReplyWaitsForPacketsEnd(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		c.play()
		c.want("HCU", units...)
		u := r.big(100_000)
		r.put(u)
		time.Sleep(time.Second)
		c.say("q")
		time.Sleep(time.Second)
		c.want("U", u)
		c.answer('q')
	})
}

func TestTooManyReplies(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 10
		}
		c.play()
		synctest.Wait() // it is stuck in the first packet
		var flood sync.WaitGroup
		flood.Go(func() {
			for range 100 {
				if _, err := io.WriteString(c.peer, strings.Repeat("q", 100)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		begin := time.Now()
		if err := c.end(); !errors.Is(err, ErrReplies) || time.Since(begin) > 3*time.Second {
			t.Errorf("%v after %v, want ErrReplies", err, time.Since(begin))
		}
		flood.Wait()
	})
}

// A paused viewer gets nothing, and goes on at the newest key unit.
func TestPauseResumesAtKey(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r).play()
		c.want("HCU", units...)
		c.pause()
		units = r.write(24) // 1 to 24
		c.say("q")
		if n := c.answer('q'); n != 0 {
			t.Errorf("%d units in the pause", n)
		}
		c.say("r")
		c.want("UUUUU", units[19:]...) // from 20
		units = r.write(3)
		c.want("UUU", units...)
		if string(c.events) != "r" {
			t.Errorf("answers %q", c.events)
		}
	})
}

// One that was paused before its first packet gets head and configuration when it goes on.
func TestPausedFromTheStart(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		c.link.Pause(true)
		c.play()
		units := r.write(16)
		c.say("q")
		c.answer('q')
		c.say("r")
		c.want(types("HC", 6), units[10:]...)
	})
}

// What changed during the pause is told after it.
func TestTracksChangeInPause(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r).play()
		c.want("HCU", units...)
		c.pause()
		r.enc.ChangeVideo()
		units = r.write(26) // 1 to 26
		c.say("r")
		typ, body, err := c.next()
		if err != nil || typ != 'C' || !bytes.Equal(body, []byte{1280 >> 8, 1280 & 255}) {
			t.Fatalf("%q % x, %v: want the new configuration", typ, body, err)
		}
		c.want(types("", 7), units[19:]...)
	})
}

// A short pause within a GOP neither repeats nor loses anything.
func TestShortPause(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(3)
		c := g.client(r).play()
		c.want("HCUUU", units...)
		c.pause()
		units = r.write(2)
		c.say("r")
		c.want("UU", units...)
	})
}

// A stream's end ends viewers that are paused, too.
func TestEndInPause(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(3)
		c := g.client(r).play()
		c.want("HCUUU", units...)
		c.pause()
		r.s.End(errOver)
		limit := time.AfterFunc(2*time.Second, func() {
			t.Error("a paused viewer is not ended by its stream's end")
			c.cancel(errStop)
		})
		defer limit.Stop()
		if err := c.end(); !errors.Is(err, errOver) && !t.Failed() {
			t.Error(err)
		}
	})
}

// A peer that takes nothing is ended after the stall timeout, and soon.
func TestStalledPeer(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{StallTimeout: 3 * time.Second})
		r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		c.play()
		begin := time.Now()
		err := c.end()
		if took := time.Since(begin); !errors.Is(err, ErrStalled) || took < 3*time.Second || took > 3*time.Second+2*retryLast {
			t.Errorf("%v after %v", err, took)
		}
		if len(c.asked) > 0 {
			t.Error("a farewell for one that cannot hear it")
		}
	})
}

// One that takes a byte now and then in the middle of a packet is ended, too.
func TestDrippingPeer(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{StallTimeout: 5 * time.Second})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		c.play()
		c.want("HCU", units...)
		r.put(r.big(100_000))
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for !c.isOver() {
				_, _ = c.peer.Read(make([]byte, 1))
				time.Sleep(time.Second)
			}
		})
		err := c.end()
		if took := time.Since(begin); !errors.Is(err, ErrStalled) || took < 5*time.Second || took > 6*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		_ = c.peer.Close()
		wg.Wait()
	})
}

// A slow peer that gets on is not ended, though it takes longer than the stall timeout for what there is.
func TestSlowPeerIsNotStalled(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{StallTimeout: 3 * time.Second})
		all := r.write(150) // 15 groups of 10 kB
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		units := all[140:]
		for range 90 {
			u := r.enc.Next()
			u.Key = false // or it would jump to a newer one
			r.put(u)
			units = append(units, u)
		}
		c.play()
		c.want("HC")
		for i, u := range units { // 5 kB at the beginning, then 600 bytes
			time.Sleep(200 * time.Millisecond)
			if c.isOver() {
				t.Fatalf("ended after %d units: %v", i, c.end())
			}
			c.want("U", u)
		}
	})
}

// One that cannot keep up skips to key units, is counted, and gets whole packets only.
func TestLaggardSkips(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRigOf(t, Options{}, stream.Options{}, pictures(), 0)
		r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 500
		}
		c.play()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 1500 { // a minute
				if err := r.p.Write(r.enc.Next()); err != nil {
					t.Error(err)
				}
				time.Sleep(40 * time.Millisecond)
			}
			close(stop)
			r.s.End(errOver)
		})
		var got []byte
		buf := make([]byte, 400)
		for {
			n, err := c.peer.Read(buf) // 10 kB a second of 23
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
			time.Sleep(40 * time.Millisecond)
			if errors.Is(c.ctx.Err(), context.Canceled) {
				break
			}
		}
		wg.Wait()
		in := bytes.NewReader(got)
		if err := follow(in, r.enc.Tracks()[0], 1400); err != nil {
			t.Errorf("%v; ended with %v", err, c.end())
		}
		if c.viewer.Skips() < 5 {
			t.Errorf("only %d skips", c.viewer.Skips())
		}
	})
}

func TestTooSlow(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRigOf(t, Options{}, stream.Options{Units: 16, MaxSkips: 2}, sim.New(sim.Options{Video: av.H264, GOP: 5}), 0)
		r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		c.play()
		var wg sync.WaitGroup
		wg.Go(func() {
			for !c.isOver() {
				_, _ = io.ReadFull(c.peer, make([]byte, 10_000))
				time.Sleep(time.Second)
			}
		})
		for range 60 {
			r.write(100)
			time.Sleep(time.Second)
			if c.isOver() {
				break
			}
		}
		if !c.isOver() {
			t.Fatal("a viewer that is lapped each time goes on")
		}
		if err := c.end(); !errors.Is(err, stream.ErrTooSlow) || c.viewer.Skips() != 3 {
			t.Errorf("%v after %d jumps", err, c.viewer.Skips())
		}
		_ = c.peer.Close()
		wg.Wait()
	})
}

// The ring's rest is sent before the end, however long the peer takes within its time.
func TestEndDrains(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{StallTimeout: 2 * time.Second})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 900
		}
		c.play()
		c.want("HCU", units...)
		units = r.write(29)
		r.s.End(errOver)
		for i, u := range units {
			time.Sleep(40 * time.Millisecond) // within MaxLag
			if c.isOver() && i < 27 {         // the others may be in the socket
				t.Fatal("Ended before the last byte was handed over")
			}
			c.want("U", u)
		}
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Errorf("%v, want the cause", err)
		}
	})
}

// After the last words comes the end of the stream, and the peer has time to close: what it says then is nothing to anybody.
func TestFarewellAndLinger(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(2)
		c := g.client(r).play()
		c.want("HCUU", units...)
		c.cancel(errOver)
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Error(err)
		}
		_, _ = c.peer.Write([]byte("qpe!")) // a pipe is closed already
		_ = c.peer.Close()
	})
}

// A peer that is told that nothing more comes and does not close is cut off after a while.
func TestLingerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.fake().play()
		synctest.Wait()
		c.cancel(errOver)
		_ = c.end()
		begin := time.Now()
		if halved, closed := c.sock.state(); !halved || closed {
			t.Errorf("half-closed %v, closed %v", halved, closed)
		}
		for _, closed := c.sock.state(); !closed; _, closed = c.sock.state() {
			time.Sleep(10 * time.Millisecond)
			_, _ = c.peer.Write([]byte("q")) // one that talks all the time
			if time.Since(begin) > 10*time.Second {
				t.Fatal("does not end")
			}
		}
		if took := time.Since(begin); took < lingerTime || took > lingerTime+2*sweepEvery {
			t.Errorf("closed after %v", took)
		}
		if n := c.conn.closes.Load(); n != 1 {
			t.Errorf("the connection was closed %d times", n)
		}
		if got := c.saw(); got != "" {
			t.Errorf("the session heard %q after its end", got)
		}
	})
}

// One that is ended in the middle of a packet gets the packet's rest, and the last words behind it.
func TestKickFinishesPacket(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 1000
		}
		c.play()
		c.want("HCU", units...)
		u := r.big(20_000)
		r.put(u)
		r.write(30) // nobody wants it any more
		head := make([]byte, 3000)
		if _, err := io.ReadFull(c.peer, head); err != nil {
			t.Fatal(err)
		}
		c.cancel(errOver)
		synctest.Wait()
		begin := time.Now()
		whole := c.peer
		c.peer = prefixed{whole, io.MultiReader(bytes.NewReader(head), whole)}
		c.want("U", u)
		for typ := byte('U'); typ != 'F'; { // the kick may take until a sweep to be noticed
			var err error
			if typ, _, err = c.next(); err != nil || typ != 'U' && typ != 'F' {
				t.Fatalf("%q, %v", typ, err)
			}
		}
		if err := c.end(); !errors.Is(err, errOver) || time.Since(begin) > sweepEvery+dismissTime {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Whoever is ended is told within the time of a sweep, or, when the peer takes nothing, soon after.
func TestKickIsSoon(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		for _, stuck := range []bool{false, true} {
			r := newRig(t, Options{StallTimeout: time.Hour})
			c := g.client(r)
			if c.sock != nil {
				c.sock.room = 1000
			}
			var wg sync.WaitGroup
			if !stuck {
				wg.Go(func() { _, _ = io.Copy(io.Discard, c.peer) })
			}
			r.write(1)
			c.play()
			time.Sleep(1700 * time.Millisecond)
			begin := time.Now()
			c.cancel(errOver)
			err := c.end()
			limit := sweepEvery
			if stuck {
				limit += dismissTime + sweepEvery
			}
			if took := time.Since(begin); !errors.Is(err, errOver) || took > limit+10*time.Millisecond {
				t.Errorf("stuck %v: %v after %v", stuck, err, took)
			}
			_ = c.peer.Close()
			wg.Wait()
		}
	})
}

// Whatever the cause is, the peer gets the last words if it can hear them: also when the cause is a time-out of something else.
func TestFarewellForAnyCause(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		for _, cause := range []error{context.DeadlineExceeded, &net.OpError{Op: "read", Err: errOver}} {
			for _, kick := range []bool{true, false} {
				r := newRig(t, Options{})
				units := r.write(1)
				c := g.client(r).play()
				c.want("HCU", units...)
				if kick {
					c.cancel(cause)
				} else {
					r.s.End(cause)
				}
				c.over(cause)
				if err := c.end(); !errors.Is(err, cause) {
					t.Errorf("%v, want %v", err, cause)
				}
			}
		}
	})
}

// A context that has ended before, and a stream that has: both are told.
func TestPlayAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		c.cancel(errOver)
		c.play()
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Error(err)
		}
		units := r.write(3)
		c = g.client(r)
		r.s.End(errStop)
		c.play()
		c.want("HCUUU", units...)
		c.over(errStop)
		if err := c.end(); !errors.Is(err, errStop) {
			t.Error(err)
		}
	})
}

func TestHearError(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r).play()
		c.want("HCU", units...)
		c.say("qe")
		c.answer('q')
		c.over(errSession)
		if err := c.end(); !errors.Is(err, errSession) {
			t.Error(err)
		}
	})
}

// The peer closes.
func TestPeerCloses(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c, other := g.client(r).play(), g.client(r).play()
		c.want("HCU", units...)
		_ = c.peer.Close()
		if err := c.end(); !errors.Is(err, ErrLeft) {
			t.Errorf("%v, want ErrLeft", err)
		}
		other.want("HCU", units...)
		units = r.write(20)
		other.want(types("", 20), units...)
		if len(c.asked) > 0 {
			t.Error("a farewell for one that is gone")
		}
	})
}

// A panic ends its own link, and nothing else.
func TestPanics(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		bystander := g.client(r).play()
		bystander.want("HCU", units...)
		cases := map[string]struct {
			prepare func(c *client)
			cause   error
			said    int
		}{
			"Hear":     {func(c *client) { c.say("!") }, nil, 0},
			"Farewell": {func(c *client) { c.farewell = func(error) []byte { panic("in Farewell") }; c.cancel(errOver) }, errOver, 1},
			"Ended":    {func(c *client) { c.atEnd = func() { panic("in Ended") }; c.cancel(errOver) }, errOver, 1},
		}
		for name, tc := range cases {
			c := g.client(r)
			if name == "Hear" {
				c.play()
				c.want("HCU", units...)
			}
			tc.prepare(c)
			var rest sync.WaitGroup
			if name != "Hear" {
				rest.Go(func() { _, _ = io.Copy(io.Discard, c.peer) })
				c.play()
			}
			err := c.end()
			rest.Wait()
			if tc.cause != nil && !errors.Is(err, tc.cause) && !isPanic(err) {
				t.Errorf("%s: %v, want %v", name, err, tc.cause)
			}
			if tc.cause == nil && !isPanic(err) {
				t.Errorf("%s: %v, want a panic", name, err)
			}
			if len(c.asked) != tc.said {
				t.Errorf("%s: Farewell was asked for %d times", name, len(c.asked))
			}
			_, _ = io.Copy(io.Discard, c.peer) // the connection is closed
			_ = c.peer.Close()
			more := r.write(10)
			bystander.want(types("", 10), more...)
			units = more[9:] // a key unit
			r.e.Progress()
		}
		bystander.cancel(errOver)
		bystander.over(errOver)
		_ = bystander.end()
		if n := strings.Count(r.log.String(), "a session panicked"); n != len(cases) {
			t.Errorf("%d panics were logged, want %d", n, len(cases))
		}
	})
}

// A muxer that panics when it makes the beginning for a newcomer ends the newcomers of its format.
func TestMuxerPanics(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		good := g.client(r).play()
		good.want("HCU", units...)
		bad := g.client(r)
		v, err := r.s.Watch("bad", func() stream.Muxer { return panicking{} })
		if err != nil {
			t.Fatal(err)
		}
		bad.viewer.Close()
		bad.viewer = v
		bad.play()
		if err := bad.end(); !isPanic(err) {
			t.Errorf("%v, want a panic", err)
		}
		units = r.write(20)
		good.want(types("", 20), units...)
	})
}

type panicking struct{ records }

// prefixed is a peer that some bytes have been read from already.
type prefixed struct {
	peer
	all io.Reader
}

func (p prefixed) Read(b []byte) (int, error) { return p.all.Read(b) }

func isPanic(err error) bool {
	var p *task.PanicError
	return errors.As(err, &p)
}

func (panicking) Head([]byte, []*av.Track) []byte { panic("in Head") }

// What a peer takes at once is sent without long pauses, however small the socket's buffer is: pauses between tries grow while a
// peer takes nothing, not while it takes a packet piece by piece.
func TestSmallBufferLargePacket(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 16 << 10
		}
		c.play()
		c.want("HCU", units...)
		begin := time.Now()
		u := r.big(640 << 10) // 40 times the buffer
		r.put(u)
		c.want("U", u)
		if took := time.Since(begin); took > 40*2*retryFirst {
			t.Errorf("a peer that reads at once waited %v for a packet", took)
		}
	})
}

// A reply that is being written when the link is to end is written to its end.
func TestKickFinishesReply(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		if c.sock != nil {
			c.sock.room = 3
		}
		c.play()
		c.say("q")
		time.Sleep(time.Second)
		head := make([]byte, 3)
		if _, err := io.ReadFull(c.peer, head); err != nil {
			t.Fatal(err)
		}
		if c.sock != nil {
			c.sock.set(func() { c.sock.room = 0 })
		}
		c.cancel(errOver)
		synctest.Wait()
		c.peer = prefixed{c.peer, io.MultiReader(bytes.NewReader(head), c.peer)}
		c.answer('q')
		c.over(errOver)
	})
}
