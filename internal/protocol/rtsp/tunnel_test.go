package rtsp

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// tunnelled is a client's end of a tunnel: it writes to the POST and reads from the GET.
type tunnelled struct {
	net.Conn // the GET
	post     net.Conn
}

// Write implements net.Conn.
func (c tunnelled) Write(b []byte) (int, error) {
	if _, err := io.WriteString(c.post, base64.StdEncoding.EncodeToString(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements net.Conn.
func (c tunnelled) Close() error {
	_ = c.post.Close()
	return c.Conn.Close()
}

// SetWriteDeadline implements net.Conn.
func (c tunnelled) SetWriteDeadline(at time.Time) error { return c.post.SetWriteDeadline(at) }

// SetDeadline implements net.Conn.
func (c tunnelled) SetDeadline(at time.Time) error {
	_ = c.post.SetWriteDeadline(at)
	return c.SetReadDeadline(at)
}

// get sends a GET, and returns the status of the answer.
func (r *rig) get(cookie string) (c net.Conn, status string) {
	r.t.Helper()
	c = r.MustDial("RTSP")
	go func() {
		_, _ = io.WriteString(c, "GET /live/x HTTP/1.0\r\nx-sessioncookie: "+cookie+"\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n")
	}()
	var head bytes.Buffer
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(c, b); err != nil {
			r.t.Fatalf("after %q: %v", head.String(), err)
		}
		head.Write(b)
	}
	return c, strings.Fields(head.String())[1]
}

// post sends the head of a POST.
func (r *rig) post(cookie string) net.Conn {
	r.t.Helper()
	c := r.MustDial("RTSP")
	if _, err := io.WriteString(c, "POST /live/x HTTP/1.0\r\nx-sessioncookie: "+cookie+"\r\nContent-Length: 32767\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// tunnel returns a talker behind a tunnel.
func (r *rig) tunnel(cookie string) *talker {
	r.t.Helper()
	c := tunnelled{post: r.post(cookie)}
	c.Conn, _ = r.get(cookie)
	_ = c.SetDeadline(time.Time{})
	return &talker{t: r.t, conn: c, in: wire.NewReader(c, wire.Limits{}, 0)}
}

// gone waits until the server has closed a connection, and returns how long that took.
func gone(t testing.TB, c net.Conn, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	_ = c.SetReadDeadline(begin.Add(limit))
	_, _ = io.Copy(io.Discard, c)
	took := time.Since(begin)
	if took >= limit {
		t.Errorf("the connection is open after %v", limit)
	}
	return took
}

// All that goes without a tunnel goes with one.
func TestTunnel(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		p := h.tunnel("a").stage("publishing")
		feed(p, 30, nil)
		h.Publishers(2)
		p.asks("GET_PARAMETER @y", "TEARDOWN @y")
		h.Publishers(1)
		v := h.tunnel("b").stage("playing")
		if n, err := v.media(2 * time.Second); n == 0 || err != nil {
			t.Errorf("%d frames, %v", n, err)
		}
		v.asks("GET_PARAMETER @x", "PAUSE @x", "PLAY @x", "TEARDOWN @x")
		v.closed(2 * time.Second)
		gone(t, v.conn.(tunnelled).post, 2*time.Second)
		h.Viewers(0)
	})
}

// A tunnel that stops saying what it wants is closed after 10 s, both halves of it.
func TestSilentTunnel(t *testing.T) {
	for _, state := range []string{"new", "described", "set up", "to record"} {
		t.Run(state, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.tunnel("a").stage(state)
				c := k.conn.(tunnelled)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					gone(t, c.post, time.Minute)
				}()
				if took := gone(t, c.Conn, time.Minute); took > 11*time.Second {
					t.Errorf("it took %v", took)
				}
				<-ended
				h.Logged("session ended before media", "no RECORD or PLAY in time")
			})
		})
	}
}

// Half a tunnel is closed after 10 s.
func TestHalfTunnel(t *testing.T) {
	t.Run("GET", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			c, status := h.get("a")
			if status != "200" {
				t.Error(status)
			}
			if took := gone(t, c, time.Minute); took > 11*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("POST", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			c := h.post("a")
			_ = c.SetReadDeadline(time.Time{})
			if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.0 404") {
				t.Errorf("%q", b)
			}
		})
	})
	t.Run("a second GET", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			h.tunnel("a")
			if _, status := h.get("a"); status != "503" && status != "400" {
				t.Error(status)
			}
		})
	})
	t.Run("a head without end", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			c := h.MustDial("RTSP")
			_ = c.SetDeadline(time.Time{})
			begin := time.Now()
			for _, b := range []byte("GET / HTTP/1.0\r\n" + strings.Repeat("x", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(begin); took > 11*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("no tunnel", func(t *testing.T) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			c := h.MustDial("RTSP")
			go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") }()
			if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.0 404") {
				t.Errorf("%q", b)
			}
		})
	})
}

// When one half of a tunnel goes, the session goes on as far as it can, and leaves nothing behind.
func TestTunnelBreaks(t *testing.T) {
	for _, state := range []string{"new", "set up", "playing", "publishing"} {
		for _, half := range []string{"GET", "POST", "both"} {
			t.Run(state+" "+half, func(t *testing.T) {
				bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
					h.publish("live/x", 30).keep()
					k := h.tunnel("a").stage(state)
					c := k.conn.(tunnelled)
					if half != "GET" {
						_ = c.post.Close()
					}
					if half != "POST" {
						_ = c.Conn.Close()
					} else {
						go func() { _, _ = io.Copy(io.Discard, c.Conn) }()
					}
					time.Sleep(20 * time.Second)
					synctest.Wait()
					if _, n := h.Hub.Sessions(); n > 0 && (half != "POST" || state != "playing") {
						t.Errorf("%d viewers", n)
					}
					h.Publishers(1)
					_ = c.Close()
				})
			})
		}
	}
}

// Tunnels are kicked, and stopped, as others are.
func TestTunnelKick(t *testing.T) {
	for state, name := range map[string]string{"set up": "x", "playing": "x", "publishing": "y"} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			h.publish("live/x", 30).keep()
			k := h.tunnel("a").stage(state)
			key, err := hub.ParseKey("live/" + name)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan time.Duration, 2)
			c := k.conn.(tunnelled)
			for _, half := range []net.Conn{c.post, c.Conn} {
				go func() { ended <- gone(t, half, 10*time.Second) }()
			}
			if err := h.Hub.End(t.Context(), key); err != nil {
				t.Error(err)
			}
			for range 2 {
				if took := <-ended; took > 1100*time.Millisecond {
					t.Errorf("%s: %v", state, took)
				}
			}
		})
	}
}

// A tunnel in its set-up makes room when memory is short.
func TestTunnelWithoutMemory(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		c := h.tunnel("a").conn.(tunnelled)
		half, _ := h.get("b")
		h.Hub.SetPressure(hub.Refuse)
		defer h.Hub.SetPressure(hub.Calm)
		for _, one := range []net.Conn{c.Conn, c.post, half} {
			if took := gone(t, one, 20*time.Second); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}
