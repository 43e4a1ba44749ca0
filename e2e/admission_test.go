package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/sim"
)

// limited is the program under a limit of descriptors.
func limited(t testing.TB, descriptors int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil-limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", descriptors, program(t))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// port is a listener of the server under test.
type port struct{ name, address string }

func (s *server) ports() []port {
	all := []port{{"RTMP", s.rtmp}, {"HTTP", s.http}, {"RTSP", s.rtsp}, {"RTMPS", s.rtmps}, {"HTTPS", s.https}, {"RTSPS", s.rtsps}}
	return slices.DeleteFunc(all, func(p port) bool { return p.address == "" })
}

// greet connects to a port and says whether an honest client is served there: RTMP shakes hands, RTSP and HTTP answer.
func (s *server) greet(ctx context.Context, p port) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if strings.HasSuffix(p.name, "S") {
		conn = tls.Client(conn, s.trust)
	}
	if strings.HasPrefix(p.name, "RTMP") {
		return shakeHands(conn)
	}
	if strings.HasPrefix(p.name, "RTSP") {
		return askOptions(conn)
	}
	if _, err = io.WriteString(conn, "GET /livez HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(b), "HTTP/1.0 200") {
		err = fmt.Errorf("answers %.80q", b)
	}
	return err
}

// askOptions has RTSP answer.
func askOptions(conn net.Conn) error {
	if _, err := io.WriteString(conn, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"); err != nil {
		return err
	}
	b := make([]byte, len("RTSP/1.0 200"))
	_, err := io.ReadFull(conn, b)
	if err == nil && string(b) != "RTSP/1.0 200" {
		err = fmt.Errorf("answers %q", b)
	}
	return err
}

// shakeHands does the handshake of RTMP.
func shakeHands(conn net.Conn) error {
	const size = 1536
	if _, err := conn.Write(append([]byte{3}, make([]byte, size)...)); err != nil {
		return err
	}
	b := make([]byte, 1+2*size)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	_, err := conn.Write(b[1 : 1+size])
	return err
}

// flood opens n connections to a port, on each of which it says what say says, and returns them. Refusals are part of the plan.
func flood(t testing.TB, p port, n int, say func(net.Conn) error) []net.Conn {
	t.Helper()
	var d net.Dialer
	var conns []net.Conn
	for range n {
		conn, err := d.DialContext(t.Context(), "tcp", p.address)
		if errors.Is(err, syscall.ECONNRESET) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		conns = append(conns, conn)
		if say != nil {
			_ = say(conn) // it may have been refused
		}
	}
	t.Cleanup(func() { release(conns) })
	return conns
}

func release(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// prober asks the API again and again, each time over a new connection.
type prober struct {
	done   chan struct{}
	cancel context.CancelFunc
	took   []time.Duration
	failed []error
}

func (s *server) probe(t testing.TB) *prober {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &prober{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			begin := time.Now()
			if err := s.ask(ctx, []string{"/livez", "/api/v1/streams", "/metrics"}[i%3]); err != nil && ctx.Err() == nil {
				p.failed = append(p.failed, err)
			}
			p.took = append(p.took, time.Since(begin))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-p.done })
	return p
}

// turnsAway says whether a request for media is answered with 503. What else it is answered with is not read.
func (s *server) turnsAway(t testing.TB, path string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := web.Do(req)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
}

// ask gets a path of the control plane.
func (s *server) ask(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		return err
	}
	for k, v := range s.authorized() {
		req.Header.Set(k, v)
	}
	res, err := web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// judge ends the probe: all must have been answered, 99 % within limit.
func (p *prober) judge(t testing.TB, limit time.Duration) {
	t.Helper()
	p.cancel()
	<-p.done
	slices.Sort(p.took)
	p99, worst := p.took[len(p.took)*99/100], p.took[len(p.took)-1]
	t.Logf("the API was asked %d times: p99 %v, worst %v, %d failures", len(p.took), p99, worst, len(p.failed))
	if p99 > limit {
		t.Errorf("p99 of the API is %v, more than %v", p99, limit)
	}
	if len(p.failed) > 0 {
		t.Errorf("the API failed %d times: %v", len(p.failed), p.failed[0])
	}
}

// awaitPorts waits until every port serves again.
func (s *server) awaitPorts(t testing.TB, limit time.Duration) {
	t.Helper()
	begin := time.Now()
	for _, p := range s.ports() {
		var err error
		if !eventually(limit-time.Since(begin), func() bool { err = s.greet(t.Context(), p); return err == nil }) {
			t.Errorf("%s does not serve %v after the others have gone: %v", p.name, limit, err)
		}
	}
}

// patience is for what takes 1 s: under the race detector, on a busy machine, it may take some more.
func patience() time.Duration {
	if raced() {
		return 2 * time.Second
	}
	return time.Second
}

// TestDescriptorsRunOut has 400 connections come to each port in turn, of a server that may have 256 descriptors. The API answers
// throughout, the canary plays on, and when they have gone every port serves within a second (card A01).
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	cert, key, trust := certify(t)
	s := serveFrom(t, limited(t, 256), "rtmp.tls.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0", "tls.cert="+cert, "tls.key="+key)
	s.trust = trust
	c := newCanary(t, s, 20_000)
	api := s.probe(t)
	for _, p := range s.ports() {
		conns := flood(t, p, 400, nil)
		if p.name == "RTMP" {
			hold(500 * time.Millisecond) // until the descriptors have been counted
			if fds := s.footprint(t).fds; fds < 200 || fds > 235 {
				t.Errorf("%s: %d descriptors of 256, want about 85 %%", p.name, fds)
			}
			within(t, 5*time.Second, "a viewer over HTTP is refused", func() bool {
				conns = append(conns, flood(t, p, 10, nil)...) // the descriptors were counted anew: there may be room for some
				return s.turnsAway(t, "/live/canary.live.flv")
			})
		}
		hold(3 * time.Second)
		if fds := s.footprint(t).fds; fds > 252 {
			t.Errorf("%s: %d descriptors of 256: the house has none left", p.name, fds)
		}
		release(conns)
		s.awaitPorts(t, patience())
	}
	api.judge(t, 500*time.Millisecond)
	f := s.figures(t)
	if f[`vigil_connections_refused_total{cause="descriptors"}`] < 100 || f["vigil_descriptors_limit"] != 256 {
		t.Errorf("%v connections were refused of %v descriptors", f[`vigil_connections_refused_total{cause="descriptors"}`],
			f["vigil_descriptors_limit"])
	}
	within(t, 10*time.Second, "the places are given back", func() bool { return s.figures(t)["vigil_connections"] <= 4 })
	if n := strings.Count(s.errors.String(), "refused a connection"); n == 0 || n > 40 {
		t.Errorf("%d lines about it", n)
	}
	c.judge(t)
}

// TestConnectionQuotas refuses what is too much from one address, or in all, and gives the places back (card Q03).
func TestConnectionQuotas(t *testing.T) {
	t.Parallel()
	s := serve(t, "limits.connections=40", "limits.connections_per_address=20", "limits.handshakes_per_address=200")
	from := func(addr string) error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 2 * time.Second}
		conn, err := d.DialContext(t.Context(), "tcp", s.rtmp)
		if err != nil {
			return err
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		return shakeHands(conn)
	}
	many := func(addr string, n, want int) {
		t.Helper()
		served := 0
		for range n {
			if from(addr) == nil {
				served++
			}
		}
		if served != want {
			t.Errorf("%s: %d of %d were served, want %d", addr, served, n, want)
		}
	}
	many("127.0.0.2", 30, 20)
	many("127.0.0.3", 30, 20)
	many("127.0.0.4", 5, 0)
	f := s.figures(t) // over a connection beyond the quota
	if f[`vigil_connections_refused_total{cause="connections-per-address"}`] != 20 ||
		f[`vigil_connections_refused_total{cause="connections"}`] != 5 || f["vigil_connections"] != 41 {
		t.Errorf("refused %v and %v; %v are open", f[`vigil_connections_refused_total{cause="connections-per-address"}`],
			f[`vigil_connections_refused_total{cause="connections"}`], f["vigil_connections"])
	}
	if a := s.request(t, http.MethodGet, "/live/x.live.flv", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("a viewer beyond the quota is answered %d", a.status)
	}
	within(t, 20*time.Second, "the silent are ended, their places given back", func() bool { return s.figures(t)["vigil_connections"] == 1 })
	many("127.0.0.2", 25, 20)
}

// TestListenerQuotas refuses what is too much for one protocol. Who looks after the server is let in (card Q03).
func TestListenerQuotas(t *testing.T) {
	t.Parallel()
	s := serve(t, "rtmp.connections=5", "http.connections=5")
	count := func() float64 { return s.figures(t)[`vigil_connections_refused_total{cause="listener"}`] }
	flood(t, port{"RTMP", s.rtmp}, 8, nil)
	within(t, 5*time.Second, "three are refused", func() bool { return count() == 3 })
	flood(t, port{"HTTP", s.http}, 5, nil)
	if a := s.request(t, http.MethodGet, "/live/x.live.flv", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("a viewer beyond the quota is answered %d", a.status)
	}
	if n := count(); n != 4 {
		t.Errorf("%v were refused, want 4", n)
	}
	flood(t, port{"HTTP", s.http}, 100, nil) // more than may be: the silent go
	if n := s.figures(t)["vigil_connections"]; n < 60 || n > 5+5+64 {
		t.Errorf("%v connections", n)
	}
}

// TestHandshakeRate bounds how many connections come a second (card Q03).
func TestHandshakeRate(t *testing.T) {
	t.Parallel()
	const rate = 50
	s := serve(t, "limits.handshakes="+strconv.Itoa(rate))
	begin, served := time.Now(), 0
	for range 300 {
		if err := s.greet(t.Context(), port{"RTMP", s.rtmp}); err == nil {
			served++
		}
	}
	if most := rate + int(time.Since(begin).Seconds()*rate) + 1; served < rate/2 || served > most {
		t.Errorf("%d of 300 were served in %v, want %d at most", served, time.Since(begin), most)
	}
	if err := s.ask(t.Context(), "/livez"); err != nil {
		t.Errorf("the control plane: %v", err)
	}
}

// TestSlow has some hundred clients that are silent, drip, or stop after the handshake, on every port. All are ended within the limit
// of their phase; honest ones are served meanwhile (cards N03, A03).
func TestSlow(t *testing.T) {
	t.Parallel()
	const each, limit = 40, 10*time.Second + 3*time.Second
	s := serveTLS(t)
	c := newCanary(t, s, 20_000)
	api := s.probe(t)
	var wg sync.WaitGroup
	slow := func(p port, name string, act func(net.Conn) error) {
		for i, conn := range flood(t, p, each, nil) {
			wg.Go(func() {
				begin := time.Now()
				_ = conn.SetDeadline(begin.Add(limit))
				err := act(conn)
				if err == nil {
					_, err = io.Copy(io.Discard, conn)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: %s: is there after %v", p.name, name, limit)
				}
				if i == 0 {
					t.Logf("%s: %s: ended after %v", p.name, name, time.Since(begin).Round(time.Millisecond))
				}
			})
		}
	}
	for _, p := range s.ports() {
		slow(p, "silent", func(net.Conn) error { return nil })
		drips := append([]byte{3}, make([]byte, 100)...)
		switch p.name {
		case "HTTP":
			drips = []byte("GET /livez HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a", 100))
		case "RTMPS", "HTTPS":
			drips = append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 100)...)
		}
		slow(p, "dripping", func(conn net.Conn) error { return drip(conn, drips) })
	}
	slow(port{"RTMP", s.rtmp}, "mute after the handshake", shakeHands)
	slow(port{"HTTPS", s.https}, "TLS late, then a header that drips", func(conn net.Conn) error {
		hold(6 * time.Second)
		return drip(tls.Client(conn, s.trust), []byte("GET /livez HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a", 100)))
	})
	begin := time.Now()
	for range 8 {
		for _, p := range s.ports() {
			began := time.Now()
			if err := s.greet(t.Context(), p); err != nil || time.Since(began) > time.Second {
				t.Errorf("%s: an honest client: %v after %v", p.name, err, time.Since(began))
			}
		}
		hold(time.Second)
	}
	wg.Wait()
	t.Logf("the last was ended after %v", time.Since(begin))
	api.judge(t, 500*time.Millisecond)
	c.judge(t)
}

// drip writes b byte by byte, two a second.
func drip(conn net.Conn, b []byte) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := range b {
		if _, err := conn.Write(b[i : i+1]); err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}

// TestHalfDoneTLS has 200 clients on each port that stop in the middle of a handshake. Good ones connect in less than 500 ms, and
// nobody has to wait for accept (card A03).
func TestHalfDoneTLS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 200)...)
	for _, p := range s.ports() {
		say := hello
		switch p.name {
		case "RTMP":
			say = append([]byte{3}, make([]byte, 700)...)
		case "HTTP":
			say = []byte("GET /livez HTT")
		}
		flood(t, p, 200, func(c net.Conn) error { _, err := c.Write(say); return err })
		for range 5 {
			begin := time.Now()
			err := s.greet(t.Context(), p)
			if took := time.Since(begin); err != nil || took > 500*time.Millisecond {
				t.Errorf("%s: a good client: %v after %v", p.name, err, took)
			}
		}
		if n := backlog(t, p); n > 50 {
			t.Errorf("%s: %d wait to be accepted", p.name, n)
		}
	}
}

// backlog is how many connections wait to be accepted at a port, as the kernel says.
func backlog(t testing.TB, p port) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, number, _ := net.SplitHostPort(p.address)
	n, _ := strconv.Atoi(number)
	const listens = "0A"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && f[3] == listens && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			_, queue, _ := strings.Cut(f[4], ":")
			waiting, err := strconv.ParseInt(queue, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return waiting
		}
	}
	t.Fatalf("%s: the listener is lost", p.name)
	return 0
}

// TestDescriptorsTaken takes the descriptors away from a running server, as files or pulls would: what comes is refused at once and
// not left waiting, and when there are descriptors again every port serves (card A01).
func TestDescriptorsTaken(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	before := s.footprint(t).fds
	restrict := func(n int) {
		t.Helper()
		r := &unix.Rlimit{Cur: uint64(n), Max: 4096}
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, r, nil); err != nil {
			t.Fatal(err)
		}
	}
	restrict(4096)
	restrict(before + 10)
	for _, p := range s.ports() {
		conns := flood(t, p, 60, nil)
		var ends atomic.Int32
		ends.Store(int32(60 - len(conns))) // those that were refused before they knew that they had connected
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				_ = c.SetReadDeadline(time.Now().Add(patience()))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					ends.Add(1)
				}
			})
		}
		if wg.Wait(); ends.Load() < 40 {
			t.Errorf("%s: of %d only %d were refused", p.name, len(conns), ends.Load())
		}
		if n := backlog(t, p); n > 0 {
			t.Errorf("%s: %d wait to be accepted", p.name, n)
		}
		release(conns)
		s.awaitPorts(t, patience())
	}
	restrict(4096)
	s.awaitPorts(t, patience())
	if n := s.figures(t)[`vigil_connections_refused_total{cause="descriptors"}`]; n < 100 {
		t.Errorf("%v refusals were counted", n)
	}
	if !strings.Contains(s.errors.String(), "cannot accept") {
		t.Error("the log does not tell")
	}
}

// TestStorm kills the server under an audience, and starts it again: all come back at once, and again every 500 ms, without jitter
// (card Q03, scaled down).
func TestStorm(t *testing.T) {
	const publishers, players = 10, 150
	ports := freePorts(t, 2)
	settings := []string{"rtmp.listen=" + ports[0], "http.listen=" + ports[1], "rtsp.listen=127.0.0.1:0", "data=" + t.TempDir()}
	s := boot(t, settings...)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	again := func(session func()) {
		wg.Go(func() {
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				session()
				<-tick.C
			}
		})
	}
	for i := range publishers {
		again(func() {
			enc := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, Size: 1000, KeySize: 4000})
			video, audio := trackAmong(av.Video, enc.Tracks()), trackAmong(av.Audio, enc.Tracks())
			p, err := tryPublish(ctx, t, s, fmt.Sprint("storm", i), flv.Enhanced, video, audio)
			if err == nil {
				_ = p.encode(ctx, enc) // until the server dies
				p.c.Close()
			}
		})
	}
	for i := range players {
		url := s.rtmpURL(fmt.Sprint("storm", i%publishers))
		if i%2 == 0 {
			url = s.flvURL(fmt.Sprint("storm", i%publishers))
		}
		again(func() {
			v := &viewing{done: make(chan struct{})}
			if url[0] == 'r' {
				_ = v.readRTMP(ctx, url)
			} else {
				_ = v.readHTTP(ctx, url)
			}
		})
	}
	back := func(share float64) func() bool {
		return func() bool {
			list := s.streams(t)
			playing := 0
			for _, st := range list.Streams {
				for _, n := range st.Viewers {
					playing += n
				}
			}
			return float64(list.Publishers) >= share*publishers && float64(playing) >= share*players
		}
	}
	within(t, 30*time.Second, "all are there", back(1))
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
	hold(2 * time.Second)
	began := time.Now()
	next := boot(t, settings...)
	s.process, s.secret = next.process, next.secret
	api := s.probe(t)
	within(t, 10*time.Second, "95 % of the publishers are back", func() bool { return float64(s.counts(t).Publishers) >= 0.95*publishers })
	t.Logf("the publishers are back after %v", time.Since(began))
	within(t, 30*time.Second, "95 % are back", back(0.95))
	t.Logf("back after %v", time.Since(began))
	api.judge(t, time.Second)
	cancel()
	wg.Wait()
	s.stop(t)
}

var unlogged = regexp.MustCompile(`refused to publish.*unlogged=(\d+)`)

// TestRefusalsInLog has clients that are refused and come again at once. A good client is served at once, and the log tells of each
// refusal without a line for each (cards S08, N06, L01).
func TestRefusalsInLog(t *testing.T) {
	t.Parallel()
	s := serve(t, "publish.on_conflict=reject")
	c := newCanary(t, s, 20_000)
	api := s.probe(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(4*time.Second, cancel).Stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 20 {
		wg.Go(func() {
			for ctx.Err() == nil {
				client, err := tryDial(ctx, s.rtmpURL("canary"))
				if err == nil {
					err = client.Publish(ctx)
					client.Close()
				}
				if code := refusal(err); code == "NetStream.Publish.BadName" {
					mu.Lock()
					refused++
					mu.Unlock()
				} else if ctx.Err() == nil {
					t.Errorf("a publisher of a taken name: %v", err)
				}
			}
		})
	}
	for i := range 3 {
		begin := time.Now()
		good, err := tryDial(t.Context(), s.rtmpURL(fmt.Sprint("good", i)))
		if err == nil {
			err = good.Publish(t.Context())
			good.Close()
		}
		if took := time.Since(begin); err != nil || took > time.Second {
			t.Errorf("a good publisher: %v after %v", err, took)
		}
		hold(time.Second)
	}
	wg.Wait()
	api.judge(t, 500*time.Millisecond)
	log := s.errors.String()
	lines, told := strings.Count(log, "refused to publish"), 0
	for _, m := range unlogged.FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		told += n
	}
	t.Logf("%d refusals, %d lines, which tell of %d more", refused, lines, told)
	if refused < 100 || lines > 8 || lines < 3 || told < refused/2 {
		t.Errorf("%d refusals, %d lines, which tell of %d more", refused, lines, told)
	}
	c.judge(t)
}
