package rtsp

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// reset ends a connection with RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// What others ask for of a session that is being reset costs nobody else anything (card C07).
func TestForeignRequestsWhileReset(t *testing.T) {
	const rounds = 2000
	h := open(t, conformance.Options{})
	h.publish("live/x", 30).keep()
	ctx, stop := context.WithCancel(t.Context())
	var slowest atomic.Int64
	var third sync.WaitGroup
	third.Go(func() {
		k := h.talk()
		for ctx.Err() == nil {
			begin := time.Now()
			k.ask(200, "OPTIONS *")
			slowest.Store(max(slowest.Load(), int64(time.Since(begin))))
			if k.cseq%200 == 0 {
				_ = k.conn.Close()
				k = h.talk()
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	b, chance := h.talk(), rand.New(rand.NewPCG(1, 7))
	texts := []string{"PLAY @x", "GET_PARAMETER @x", "PAUSE @x", "RECORD @x"}
	for i := range rounds {
		a := h.talk()
		a.asks("SETUP @x/trackID=1|tcp=0-1")
		if i%2 == 0 {
			a.asks("PLAY @x")
		}
		after := time.Duration(chance.IntN(3000)) * time.Microsecond
		timer := time.AfterFunc(after, func() { reset(a.conn) })
		for range 3 {
			if r, err := b.try(texts[i%len(texts)] + "|Session: " + a.session); err != nil || r.StatusCode != base.StatusSessionNotFound {
				t.Fatalf("round %d: %+v, %v", i, r, err)
			}
		}
		if timer.Stop() {
			reset(a.conn)
		}
		if b.cseq > 100 { // a connection may ask for so much
			_ = b.conn.Close()
			b = h.talk()
		}
	}
	stop()
	third.Wait()
	if took := time.Duration(slowest.Load()); took > time.Second { // the card says 200 ms, of a machine of one's own
		t.Errorf("OPTIONS took %v", took)
	} else {
		t.Logf("OPTIONS took %v at the most", took)
	}
	h.Viewers(0)
}

// used is the processor time of this process.
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Connections that end oddly leave nothing behind, no busy loop, and few lines in the log (card P02).
func TestOddEnds(t *testing.T) {
	ends := map[string]func(c *net.TCPConn){
		"RST":         func(c *net.TCPConn) { reset(c) },
		"half-close":  func(c *net.TCPConn) { _ = c.CloseWrite() },
		"unread data": func(c *net.TCPConn) { _, _ = c.Write([]byte("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")); _ = c.Close() },
		"urgent data": func(c *net.TCPConn) {
			raw, err := c.SyscallConn()
			if err == nil {
				_ = raw.Write(func(fd uintptr) bool { _ = syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil); return true })
			}
			_ = c.CloseWrite()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			h := datagrams(t, 20)
			pub := h.publish("live/x", 30)
			goroutines := runtime.NumGoroutine()
			const rounds = 6
			sessions := 0
			for i := range rounds {
				for _, state := range []string{"new", "described", "set up", "playing", "paused", "announced", "to record", "publishing"} {
					k := h.talk()
					if i%2 == 1 && state == "set up" { // and one by UDP, to ports that nobody has
						k.asks("SETUP @x/trackID=1|Transport: RTP/AVP;client_port=7000-7001", "PLAY @x")
					} else {
						k.stage(state)
					}
					sessions++
					end(k.conn.(*net.TCPConn))
					if state == "publishing" {
						h.Publishers(1)
					}
				}
				pub.write(10)
			}
			h.Eventually("no viewers", func() bool {
				pub.write(1)
				_, n := h.Hub.Sessions()
				return n == 0
			})
			h.Eventually("no goroutines", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			before := used(t)
			<-time.After(300 * time.Millisecond)
			if busy := used(t) - before; busy > 200*time.Millisecond {
				t.Errorf("%v of processor time within 300ms", busy)
			}
			if lines := strings.Count(h.Log(), "\n"); lines > 3*sessions+20 {
				t.Errorf("%d lines of log for %d sessions", lines, sessions)
			}
		})
	}
}

// lister looks at everything there is whenever something happens.
type lister struct {
	hub   atomic.Pointer[hub.Hub]
	calls atomic.Int64
}

// Observe implements hub.Observer.
func (l *lister) Observe(hub.Event) {
	if h := l.hub.Load(); h != nil {
		_ = h.Snapshot()
		_, _ = h.Sessions()
		l.calls.Add(1)
	}
}

// Medias that come late, one by one, with somebody who lists all streams at every event (card L06).
func TestLateMedias(t *testing.T) {
	l := &lister{}
	bubble(t, conformance.Options{Observer: l}, func(t *testing.T, h *rig) {
		l.hub.Store(h.Hub)
		k := h.talk()
		sdp := string(description(encoder().Tracks())) + "m=audio 0 RTP/AVP 0\r\na=control:trackID=3\r\n"
		k.asks("ANNOUNCE @y|body="+sdp, "SETUP @y/trackID=1|tcp=0-1", "SETUP @y/trackID=2|tcp=2-3", "SETUP @y/trackID=3|tcp=4-5", "RECORD @y")
		f := newFrames()
		seq := 0
		for i := range 300 { // sound first, then pictures, then the third
			var b []byte
			for unit := f.next(); len(unit) > 0; {
				n := wire.FrameHead + int(unit[2])<<8 + int(unit[3])
				if unit[1] >= 2 || i > 20 {
					b = append(b, unit[:n]...)
				}
				unit = unit[n:]
			}
			if i > 60 {
				seq++
				packet := append([]byte{0x80, 0, byte(seq >> 8), byte(seq), 0, byte(seq * 160 >> 16), byte(seq * 160 >> 8), byte(seq * 160), 0, 0, 0, 9}, make([]byte, 160)...)
				b = wire.AppendFrame(b, 4, packet)
			}
			if len(b) > 0 {
				k.send(b)
			}
			time.Sleep(15 * time.Millisecond)
		}
		synctest.Wait()
		p := h.talk()
		r := p.ask(200, "DESCRIBE @y")
		if n := strings.Count(string(r.Body), "m="); n != 3 {
			t.Errorf("%d medias:\n%s", n, r.Body)
		}
		p.asks("SETUP @y/trackID=3|tcp=0-1", "PLAY @y")
		if l.calls.Load() == 0 {
			t.Error("nothing was listed")
		}
	})
}

// A publisher that reads nothing of what it is told is heard all the same.
func TestDeafPublisher(t *testing.T) {
	cfg := hub.DefaultConfig()
	cfg.Publish.MaxSilence = 3 * time.Second // less than an answer may take elsewhere
	bubble(t, conformance.Options{Hub: cfg}, func(t *testing.T, h *rig) {
		k := h.talk().stage("to record")
		k.asks("RECORD @y")
		f := newFrames()
		for i := range 1000 {
			b := f.next()
			if i%10 == 0 {
				b = append(b, k.request("GET_PARAMETER @y")...)
			}
			k.send(b)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		h.Publishers(1)
	})
}

// One that asks and asks in its set-up, and reads no answers, is ended in time.
func TestDeafInSetup(t *testing.T) {
	for _, text := range []string{"OPTIONS *", "DESCRIBE @x"} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			h.publish("live/x", 30).keep()
			k, begin := h.talk(), time.Now()
			for {
				_ = k.conn.SetWriteDeadline(time.Now().Add(time.Minute))
				if _, err := k.conn.Write(k.request(text)); err != nil {
					break
				}
			}
			if took := time.Since(begin); took > 11*time.Second {
				t.Errorf("it took %v", took)
			}
			h.Viewers(0)
		})
	}
}

// A player that asks and asks, and does not read the answers, is ended.
func TestPlayerAsksTooMuch(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		k := h.talk().stage("playing")
		for range 2000 {
			_ = k.conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := k.conn.Write(k.request("OPTIONS *")); err != nil {
				break
			}
		}
		h.Logged("stopped playing")
		h.Viewers(0)
	})
}

// A request that comes byte by byte, head or body, does not come in time; nor does one without end.
func TestSlowRequests(t *testing.T) {
	body := string(description(encoder().Tracks()))
	for name, tc := range map[string]struct {
		text  string
		each  int
		every time.Duration
	}{
		"head":                  {"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + strings.Repeat("X: y\r\n", 100), 1, 100 * time.Millisecond},
		"body":                  {fmt.Sprintf("ANNOUNCE rtsp://test/live/y RTSP/1.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 1, 100 * time.Millisecond},
		"a head without end":    {"OPTIONS * RTSP/1.0\r\n" + strings.Repeat("X: "+strings.Repeat("y", 90)+"\r\n", 1000), 100, 0},
		"a line without end":    {"OPTIONS " + strings.Repeat("x", 100_000), 100, 0},
		"a body without end":    {"ANNOUNCE rtsp://test/live/y RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n", 100, 0},
		"junk":                  {strings.Repeat("\x00", 100_000), 100, 0},
		"empty lines":           {strings.Repeat("\r\n", 100_000), 100, 0},
		"frames":                {strings.Repeat("$\x00\x00\x08\x80\x60\x00\x00\x00\x00\x00\x00", 1_000_000), 12_000, 10 * time.Millisecond},
		"answers":               {strings.Repeat("RTSP/1.0 200 OK\r\n\r\n", 1_000_000), 19_000, 10 * time.Millisecond},
		"a frame that is short": {"$\x00\xff\xff", 1, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				c := h.MustDial("RTSP")
				_ = c.SetDeadline(time.Time{})
				go func() { _, _ = io.Copy(io.Discard, c) }()
				begin := time.Now()
				for b := tc.text; ; b = b[min(tc.each, len(b)):] {
					if len(b) == 0 {
						b = tc.text
						if name == "head" || name == "body" || strings.Contains(name, "without end") || strings.Contains(name, "short") {
							time.Sleep(time.Minute)
							break
						}
					}
					if _, err := io.WriteString(c, b[:min(tc.each, len(b))]); err != nil {
						break
					}
					time.Sleep(tc.every)
				}
				_ = c.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := c.Write([]byte("x")); err == nil {
					t.Error("it is open")
				}
				if took := time.Since(begin); took > 10100*time.Millisecond && took < time.Minute {
					t.Errorf("it took %v", took)
				}
				h.Logged("session ended before media")
			})
		})
	}
}

// 1000 sessions of all kinds, broken wherever it happens, leave nothing (card C09).
func TestBrokenAnywhere(t *testing.T) {
	script := []string{"OPTIONS *", "DESCRIBE @x", "SETUP @x/trackID=1|tcp=0-1", "SETUP @x/trackID=2|tcp=2-3", "PLAY @x", "PAUSE @x", "PLAY @x", "TEARDOWN @x"}
	record := []string{"ANNOUNCE @y|@sdp", "SETUP @y/trackID=1|tcp=0-1", "RECORD @y", "PAUSE @y", "TEARDOWN @y"}
	for name, texts := range map[string][]string{"player": script, "publisher": record} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				var all []byte
				one := &talker{t: t}
				for _, text := range texts {
					all = append(all, one.request(text)...)
				}
				for cut := 0; cut <= len(all); cut += 3 {
					c := h.MustDial("RTSP")
					go func() { _, _ = io.Copy(io.Discard, c) }()
					_, _ = c.Write(all[:cut])
					_ = c.Close()
				}
				time.Sleep(20 * time.Second)
				h.Viewers(0)
				h.Publishers(1)
			})
		})
	}
}

// What is wrong with a description is logged once, when it is published: to announce costs nothing.
func TestAnnounceAgain(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		k := h.talk()
		sdp := string(description(encoder().Tracks())) + strings.Repeat("m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/1\r\n", mediasMax-2)
		for range 100 {
			k.asks("ANNOUNCE @y|body=" + sdp)
		}
		if n := strings.Count(h.Log(), "\n"); n > 0 {
			t.Errorf("%d lines", n)
		}
		k.asks("SETUP @y/trackID=1|tcp=0-1;mode=record", "RECORD @y")
		h.Logged("left out a media that cannot be read", "clock rate 1")
		if n := strings.Count(h.Log(), "left out"); n != mediasMax-2 {
			t.Errorf("%d lines", n)
		}
	})
}
