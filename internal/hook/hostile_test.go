package hook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// villain is a target on a real socket that does to each connection what its mode says, until it is good.
type villain struct {
	ln    net.Listener
	tls   *tls.Config
	mode  func(c net.Conn) // nil: it accepts none
	ready chan struct{}    // closed when it is good
	all   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	heard int // questions that it has answered
	over  bool
}

func newVillain(t testing.TB, ln net.Listener, mode func(c net.Conn)) *villain {
	v := &villain{ln: ln, mode: mode, ready: make(chan struct{}), conns: map[net.Conn]bool{}}
	v.all.Go(v.accept)
	t.Cleanup(func() {
		v.mu.Lock()
		v.over = true
		for c := range v.conns {
			c.Close()
		}
		v.mu.Unlock()
		v.ln.Close()
		v.reform()
		v.all.Wait()
	})
	return v
}

// reform makes it good.
func (v *villain) reform() {
	select {
	case <-v.ready:
	default:
		close(v.ready)
	}
}

func (v *villain) accept() {
	if v.mode == nil {
		<-v.ready
	}
	for {
		c, err := v.ln.Accept()
		if err != nil {
			return
		}
		v.mu.Lock()
		v.conns[c] = true
		if v.over {
			c.Close()
		}
		v.mu.Unlock()
		v.all.Go(func() {
			defer func() {
				c.Close()
				v.mu.Lock()
				delete(v.conns, c)
				v.mu.Unlock()
			}()
			select {
			case <-v.ready:
				v.good(c)
			default:
				v.mode(c)
			}
		})
	}
}

// good answers what it is asked.
func (v *villain) good(c net.Conn) {
	if v.tls != nil {
		c = tls.Server(c, v.tls)
	}
	for r := bufio.NewReader(c); ; {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err = io.Copy(io.Discard, q.Body); err != nil {
			return
		}
		v.mu.Lock()
		v.heard++
		v.mu.Unlock()
		if _, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(yes), yes); err != nil {
			return
		}
	}
}

// read takes a request from a connection.
func read(c net.Conn) {
	q, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, _ = io.Copy(io.Discard, q.Body)
	}
}

// gone waits until the peer has closed the connection.
func gone(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// writes sends text again and again until the peer has gone.
func writes(c net.Conn, text []byte, every time.Duration) {
	tick := time.NewTicker(max(every, 1))
	defer tick.Stop()
	for {
		if _, err := c.Write(text); err != nil {
			return
		}
		if every > 0 {
			<-tick.C
		}
	}
}

// modes is what targets do, by what it is called.
func modes(t testing.TB) map[string]func(c net.Conn) {
	return map[string]func(c net.Conn){
		"never accepts":      nil,
		"never reads":        unread,
		"never answers":      func(c net.Conn) { read(c); gone(c) },
		"stalls in a header": func(c net.Conn) { read(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le"); gone(c) },
		"stalls in the body": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":")
			gone(c)
		},
		"a byte a second": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			writes(c, []byte("{"), time.Second/4)
		},
		"endless header": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			writes(c, []byte("X-A: b\r\n"), 0)
		},
		"resets": func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok && tcp.SetLinger(0) != nil {
				t.Error("no reset")
			}
		},
		"closes": func(net.Conn) {},
		"500": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			gone(c)
		},
		"endless body": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n{\"code\":0,\"x\":\"")
			writes(c, bytes.Repeat([]byte("x"), 64<<10), 0)
		},
		"100 MB": func(c net.Conn) {
			read(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
			writes(c, bytes.Repeat([]byte("x"), 64<<10), 0)
		},
		"redirects": func(c net.Conn) {
			for r := bufio.NewReader(c); ; {
				q, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, q.Body)
				_, _ = fmt.Fprintf(c, "HTTP/1.1 307 Go\r\nLocation: http://%s/on_play\r\nContent-Length: 0\r\n\r\n", q.Host)
			}
		},
		"tls stalls": func(c net.Conn) { gone(c) },
		"garbage": func(c net.Conn) {
			b := make([]byte, 4096)
			_, _ = rand.Read(b)
			_, _ = c.Write(b)
			gone(c)
		},
		"informs for ever": func(c net.Conn) { read(c); writes(c, []byte("HTTP/1.1 103 Hints\r\nX: y\r\n\r\n"), time.Millisecond) },
	}
}

// unread holds a connection and does not read from it, until it is closed on this side.
func unread(c net.Conn) {
	<-time.After(100 * time.Millisecond)
	for {
		if _, err := c.Write(nil); err != nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// dialer counts the connections that are open, or being made.
type dialer struct{ now, most atomic.Int64 }

type counted struct {
	net.Conn
	once sync.Once
	d    *dialer
}

func (c *counted) Close() error {
	c.once.Do(func() { c.d.now.Add(-1) })
	return c.Conn.Close()
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n := d.now.Add(1)
	for most := d.most.Load(); n > most && !d.most.CompareAndSwap(most, n); most = d.most.Load() {
	}
	c, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, address)
	if err != nil {
		d.now.Add(-1)
		return nil, err
	}
	return &counted{Conn: c, d: d}, nil
}

const (
	siegeTimeout = 500 * time.Millisecond
	siegeSlack   = 2 * time.Second // the machine is others' too; it says "not for ever", and less than a second attempt
)

// Whatever a target does, questions are answered in time, by the policy; the target gets no more calls than it should, the breaker opens and closes,
// notifications are bounded, other hooks do not feel it, and nothing is left (card H03).
func TestHostile(t *testing.T) {
	honest := newVillain(t, listen(t), nil)
	honest.reform()
	var all sync.WaitGroup
	places := make(chan struct{}, 6) // so many at a time, for the machine's sake
	siege := func(name string, v *villain) {
		all.Go(func() {
			places <- struct{}{}
			besiege(t, name, v, honest)
			<-places
		})
	}
	for name, mode := range modes(t) {
		siege(name, newVillain(t, listen(t), mode))
	}
	if ln := fullListener(t); ln != nil {
		siege("full backlog", newVillain(t, ln, nil))
	}
	all.Wait()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func besiege(t *testing.T, name string, v, honest *villain) {
	t.Helper()
	scheme := "http://"
	if strings.HasPrefix(name, "tls") {
		scheme, v.tls = "https://", selfSigned(t)
	}
	c := at(scheme+v.ln.Addr().String()+"/", Play, Changed)
	c.OnPublish = URL("http://" + honest.ln.Addr().String() + "/on_publish")
	c.Timeout, c.RetryDelay, c.Concurrency, c.Queue, c.Insecure = siegeTimeout, 50*time.Millisecond, 8, 20, true
	var d dialer
	log := &text{}
	h := New(Options{Config: c, Log: log.logger(), Dial: d.dial})
	h.Serve(hub.New(hub.DefaultConfig(), nil))
	stop := run(t, h)
	defer stop()
	q := hub.Request{Key: key("a"), Protocol: "rtmp", Session: "x"}

	begin := time.Now()
	attacks := func() bool { return time.Since(begin) < 10*time.Second && !h.figure(Play).Open }
	var askers sync.WaitGroup
	for range 10 {
		askers.Go(func() {
			for attacks() {
				at := time.Now()
				_, err := h.Authorize(context.Background(), hub.ActionPlay, q) //nolint:usetesting // as sessions' are
				if took := time.Since(at); err == nil || took > siegeTimeout+siegeSlack {
					t.Errorf("%s: %v after %v", name, err, took)
				}
			}
		})
	}
	good, bad := 0, 0 // of questions to another hook; the machine may be too busy for some
	askers.Go(func() {
		for once := true; once || attacks(); once = false {
			if _, err := h.Authorize(context.Background(), hub.ActionPublish, q); err == nil { //nolint:usetesting // as sessions' are
				good++
			} else {
				bad++
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	for i := range 100 {
		h.Observe(opened(fmt.Sprint(i), 1))
	}
	askers.Wait()
	if good <= bad {
		t.Errorf("%s: of another hook's questions %d are answered, %d are not", name, good, bad)
	}
	if !h.figure(Play).Open {
		t.Errorf("%s: the breaker does not open", name)
	}
	if f := h.figure(Changed); f.Waiting > 20 || uint64(f.Waiting)+f.Dropped != 100 {
		t.Errorf("%s: %d notifications wait, %d are dropped", name, f.Waiting, f.Dropped)
	}
	if most := d.most.Load(); most > 3*8 { // of three hooks
		t.Errorf("%s: %d connections", name, most)
	}
	c.FailOpen = []string{"on_play"}
	h.Configure(c)
	if _, err := h.Authorize(context.Background(), hub.ActionPlay, q); err != nil { //nolint:usetesting // as sessions' are
		t.Errorf("%s: open: %v", name, err)
	}
	c.FailOpen = nil
	h.Configure(c)
	recovers(t, name, h, v, q)
	stop()
	for range 200 { // connections are closed by goroutines of their own
		if d.now.Load() == 0 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if n := d.now.Load(); n != 0 {
		t.Errorf("%s: %d connections are left", name, n)
	}
	if len(log.String()) > 1<<20 {
		t.Errorf("%s: %d bytes of log", name, len(log.String()))
	}
}

// recovers checks that a target is asked again soon after it has become good.
func recovers(t *testing.T, name string, h *Hooks, v *villain, q hub.Request) {
	t.Helper()
	v.reform()
	for begin := time.Now(); ; <-time.After(20 * time.Millisecond) {
		if _, err := h.Authorize(context.Background(), hub.ActionPlay, q); err == nil { //nolint:usetesting // as sessions' are
			break
		} else if time.Since(begin) > 10*time.Second {
			t.Errorf("%s: the breaker does not close: %v", name, err)
			return
		}
	}
	for begin := time.Now(); ; <-time.After(20 * time.Millisecond) {
		f := h.figure(Changed)
		if f.Waiting == 0 && !f.Open {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Errorf("%s: notifications are not sent: %+v", name, f)
			return
		}
		h.Observe(opened("again", 1))
	}
}

// selfSigned is a certificate that nobody knows.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
		return nil
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Error(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}, MinVersion: tls.VersionTLS12}
}
