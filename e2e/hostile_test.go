package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHalfMessages: peers without any right, which never publish, send halves of messages and keep their connections. That does not
// end a server with little memory, which is calm again soon after them.
func TestHalfMessages(t *testing.T) {
	t.Parallel()
	s := serve(t, "limits.memory=64MiB")
	half := []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 4, 0} // chunks of 1024 bytes
	for id := byte(3); id < 7; id++ {
		half = append(half, id, 0, 0, 0, 0, 0xff, 0xff, 20, 0, 0, 0, 0)
		for n := range 63 {
			if n > 0 {
				half = append(half, 0xc0|id)
			}
			half = append(half, make([]byte, 1024)...)
		}
	}
	half = half[:len(half)/4] // more than one of them is refused at once
	var conns []net.Conn
	begin := time.Now()
	for time.Since(begin) < 12*time.Second && !s.ended() {
		hold(5 * time.Millisecond)
		c, err := net.Dial("tcp", s.rtmp)
		if err != nil {
			continue // refused
		}
		if shakeHands(c) == nil {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Write(half)
		}
		conns = append(conns, c)
		if len(conns) > 900 {
			_ = conns[0].Close()
			conns = conns[1:]
		}
	}
	release(conns)
	if s.ended() {
		t.Fatalf("the server has ended after %v\n%s", time.Since(begin), s.errors.tail(4))
	}
	within(t, 15*time.Second, "there is memory again", func() bool { p, _ := s.memory(t); return p == 0 })
	if n := s.figures(t)[`vigil_connections_refused_total{cause="memory"}`]; n == 0 {
		t.Error("no connection was refused for want of memory: the test is too weak, or the door is open")
	}
}

// TestUnreadAnswers: clients that ask and ask and do not read hold all places of HTTP, and health is answered all the same.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, "http.connections=10")
	ask := strings.Repeat("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	var conns []net.Conn
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { release(conns) }()
	for range 10 + 64 {
		c, err := net.Dial("tcp", s.http)
		if err != nil {
			t.Fatal(err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10)
		}
		conns = append(conns, c)
		wg.Go(func() {
			for { // until the server does not read on either
				if _, err := io.WriteString(c, ask); err != nil {
					return
				}
			}
		})
	}
	// They are answered for a while, until all buffers are full; then the server has nothing to do. Who has not taken an answer for a second
	// can be spared.
	worked, since := s.processTime(t), time.Now()
	within(t, 45*time.Second, "those who do not read are stuck", func() bool {
		if now := s.processTime(t); now > worked+50*time.Millisecond {
			worked, since = now, time.Now()
		}
		return time.Since(since) > 1200*time.Millisecond
	})
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 20 {
		res, err := client.Get("http://" + s.http + "/livez")
		if err != nil {
			t.Errorf("health check %d while others do not read: %v", i, err)
			continue
		}
		_ = res.Body.Close()
	}
}

// TestAnswersHaveTheirTime: who does not take an answer is closed after 5 s though there is room, and who waits for a stream for longer
// gets its answer.
func TestAnswersHaveTheirTime(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=7s")
	t.Run("waits", func(t *testing.T) {
		t.Parallel()
		if a := s.request(t, http.MethodGet, "/live/nobody.live.flv", nil); a.status != http.StatusNotFound {
			t.Errorf("who waits for a stream gets %d", a.status)
		}
	})
	for _, path := range []string{"/livez", "/nothing", "/live/%2e%2e.live.flv"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", s.http)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(4 << 10)
			}
			begin := time.Now()
			_ = c.SetDeadline(begin.Add(12 * time.Second))
			for err = nil; err == nil; {
				_, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			if took := time.Since(begin); took < 4*time.Second || took > 9*time.Second {
				t.Errorf("closed after %v: %v", took, err)
			}
		})
	}
}

// TestRefusalsOfManyAddresses: those who are refused from many addresses do not fill the log.
func TestRefusalsOfManyAddresses(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=0s")
	const workers, lasts = 8, 3 * time.Second
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w << 12; time.Since(begin) < lasts; i++ {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, Timeout: time.Second}
				c, err := d.Dial("tcp", s.http)
				if err != nil {
					continue
				}
				_, _ = fmt.Fprint(c, "GET /live/x.live.flv HTTP/1.0\r\n\r\n")
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	lines, most := strings.Count(s.errors.String(), "refused to play"), 20*(int(time.Since(begin).Seconds())+2)
	if lines < 20 || lines > most {
		t.Errorf("%d lines, want at most %d", lines, most)
	}
	within(t, 5*time.Second, "the log tells of the others", func() bool {
		return strings.Contains(s.errors.String(), "more was refused than the log tells")
	})
}
