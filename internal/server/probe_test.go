package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/probe"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/watch"
)

const (
	probeToken   = "0123456789abcdef"
	probedSecret = "correct horse"
)

// console keeps what is logged.
type console struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// probed is a server that knows a probe.
type probed struct {
	*Server
	console *console
	stop    func()
}

// godparent is a parent that knows a token, and cares for nothing else.
type godparent struct{}

func (godparent) Listen(ctx context.Context, _, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false) // as the supervisor does: some options are of TCP alone
	return c.Listen(ctx, "tcp", address)
}

func (godparent) Token() string                                              { return probeToken }
func (godparent) Ready([]byte) error                                         { return nil }
func (godparent) Beat(*watch.Pulse, supervise.Vitals)                        {}
func (godparent) Keep(context.Context, string, bool, []byte) (string, error) { return "", nil }
func (godparent) Health() *supervise.Health                                  { return nil }
func (godparent) HealthAddress() string                                      { return "" }
func (godparent) Replace() error                                             { return nil }
func (godparent) Planned() bool                                              { return false }
func (godparent) Why() string                                                { return "" }
func (godparent) Safe() bool                                                 { return false }

func newProbed(t testing.TB, set ...string) *probed {
	t.Helper()
	c, err := conf.Load(conf.Source{Known: Known(), Set: append([]string{
		"data=" + filepath.Join(t.TempDir(), "data"), "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0",
		"api.secret=" + probedSecret,
	}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	p := &probed{console: &console{}}
	p.Server, err = New(Options{Config: c, Version: "test", Console: p.console, Parent: godparent{}})
	if err != nil {
		t.Fatal(err)
	}
	p.opt.Parent = nil // from now on health is what the server itself says

	// Whoever is cleaned up before the server may still need it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *probed) target() probe.Target {
	t := probe.Target{Token: probeToken}
	for _, l := range p.net.all() {
		switch addr := l.listener.Addr().String(); l.name {
		case "RTMP":
			t.RTMP = addr
		case "HTTP":
			t.HTTP = addr
		default:
			t.Others = append(t.Others, addr)
		}
	}
	return t
}

// look runs the probe with the time that it has in use, or less.
func look(t testing.TB, d probe.Dialer, target probe.Target, limit time.Duration) probe.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return probe.Run(ctx, d, target)
}

// patient is for a machine that does other things too.
const patient = 20 * time.Second

func (p *probed) mustSee(t testing.TB) probe.Result {
	t.Helper()
	r := look(t, new(net.Dialer), p.target(), patient)
	if !r.OK {
		t.Fatalf("%s: %v\n%s", r.Stage, r.Err, p.console)
	}
	return r
}

// eventually waits for what must happen.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for limit := time.After(patient); !is(); {
		select {
		case <-limit:
			t.Fatalf("not in %v: %s", patient, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *probed) page(t testing.TB, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr("HTTP").String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+probedSecret)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProbeSeesAServer(t *testing.T) {
	for _, set := range [][]string{
		nil,
		{"play.wait=0s", "publish.resume_window=0s", "rtmp.chunk_size=128"},
		{"rtmp.form=legacy", "httplive.form=legacy", "limits.viewers_per_address=1", "limits.publishers_per_app=1"},
	} {
		p := newProbed(t, set...)
		if r := p.mustSee(t); r.Latency <= 0 || r.Latency > patient {
			t.Errorf("%v: latency %v", set, r.Latency)
		}
		p.stop()
	}
}

// TestProbeLooksAtWhatIsOn switches listeners off.
func TestProbeLooksAtWhatIsOn(t *testing.T) {
	if r := newProbed(t, "rtmp.listen=").mustSee(t); r.Latency != 0 {
		t.Errorf("without RTMP: %+v", r)
	}
	if r := newProbed(t, "http.listen=").mustSee(t); r.Latency == 0 {
		t.Errorf("without HTTP: %+v", r)
	}
}

// TestProbeLeavesNothing probes often, and looks for what it leaves behind and for what it is seen by.
func TestProbeLeavesNothing(t *testing.T) {
	const runs = 200
	p := newProbed(t)
	p.mustSee(t)
	idle := func() bool { return p.net.admission.Open() == 0 }
	eventually(t, "all connections are closed", idle)
	before := runtime.NumGoroutine()
	for range runs {
		p.mustSee(t)
		if publishers, viewers := p.hub.Sessions(); publishers+viewers > 0 {
			t.Fatalf("%d publishers, %d viewers", publishers, viewers)
		}
	}
	eventually(t, "all connections are closed", idle)
	eventually(t, "goroutines are back at the baseline", func() bool { return runtime.NumGoroutine() <= before })
	s := p.hub.Snapshot()
	if len(s.Streams)+len(s.Waiting)+len(s.Figures.Refused) > 0 || s.Totals != (hub.Totals{}) || s.Figures.Orphans > 0 {
		t.Errorf("seen: %+v", s)
	}
	if list := p.page(t, "/api/v1/streams"); strings.Contains(list, probe.App) || !strings.Contains(list, `"publishers": 0`) {
		t.Errorf("seen in the list: %s", list)
	}
	for line := range strings.Lines(p.page(t, "/metrics")) {
		if strings.HasPrefix(line, "vigil_sessions") && !strings.HasSuffix(line, " 0\n") {
			t.Errorf("seen in metrics: %s", line)
		}
	}
	if text := p.console.String(); strings.Contains(text, probe.App) || strings.Contains(text, probeToken) ||
		strings.Count(text, "\n") > 10 {
		t.Errorf("seen in the log:\n%s", text)
	}
}

// TestProbeIsNotNamedInDebugLines has all lines logged.
func TestProbeIsNotNamedInDebugLines(t *testing.T) {
	p := newProbed(t, "log.level=debug")
	p.mustSee(t)
	eventually(t, "the session's lines", func() bool { return strings.Count(p.console.String(), probe.App+"/...") >= 5 })
	p.stop()
	if text := p.console.String(); strings.Contains(text, probeToken) {
		t.Errorf("the token is in the log:\n%s", text)
	}
}

// TestProbeOfAStranger has a probe with another token come: publishing is refused, and it is told why.
func TestProbeOfAStranger(t *testing.T) {
	p := newProbed(t)
	target := p.target()
	target.Token = "wrong"
	r := look(t, new(net.Dialer), target, patient)
	if r.OK || r.Stage != "publish" || !strings.Contains(r.Err.Error(), "NetStream.Publish.BadAuth") {
		t.Errorf("%+v", r)
	}
}

// wire is a dialer whose connections are spoiled from the nth of an address on.
type wire struct {
	address string
	after   int
	spoil   func(b []byte) // what was read
}

func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || address != w.address {
		return conn, err
	}
	if w.after--; w.after >= 0 {
		return conn, nil
	}
	return spoiled{conn, w.spoil}, nil
}

type spoiled struct {
	net.Conn
	spoil func(b []byte)
}

func (s spoiled) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.spoil(b[:n])
	return n, err
}

// TestProbeMissesThePicture has players get something else, or nothing.
func TestProbeMissesThePicture(t *testing.T) {
	p := newProbed(t)
	target := p.target()
	other := func(b []byte) { // the marker is hexadecimal digits
		for i, c := range b {
			if c >= 'a' && c <= 'f' {
				b[i] = 'x'
			}
		}
	}
	const owner = "vigil end-to-end"
	onlyMarker := func(b []byte) {
		_, after, _ := bytes.Cut(b, []byte(owner))
		other(after)
	}
	for _, c := range []struct {
		name    string
		address string
		after   int // connections that are not spoiled
		stage   string
	}{
		{"by RTMP", target.RTMP, 1, "play RTMP"},
		{"by HTTP", target.HTTP, 1, "play HTTP-FLV"},
	} {
		r := look(t, &wire{c.address, c.after, onlyMarker}, target, time.Second)
		if r.OK || r.Stage != c.stage || !strings.Contains(r.Err.Error(), "the picture was not seen") {
			t.Errorf("%s: %q: %v", c.name, r.Stage, r.Err)
		}
	}
	eventually(t, "what the probe broke off is gone", func() bool { return p.net.admission.Open() == 0 })
	p.mustSee(t)
}

// TestProbeOfAClosingServer looks while publishers are refused.
func TestProbeOfAClosingServer(t *testing.T) {
	p := newProbed(t)
	p.hub.SetPressure(hub.Refuse)
	r := look(t, new(net.Dialer), p.target(), patient)
	if r.OK || r.Stage != "publish" || !strings.Contains(r.Err.Error(), "NetStream.Publish.Failed") {
		t.Errorf("under pressure: %q: %v", r.Stage, r.Err)
	}
	p.hub.SetPressure(hub.Calm)
	p.mustSee(t)
	target := p.target()
	p.hub.Close()
	if r = look(t, new(net.Dialer), target, patient); r.OK || r.Stage != "publish" {
		t.Errorf("closing: %q: %v", r.Stage, r.Err)
	}
	p.stop()
	if r = look(t, new(net.Dialer), target, patient); r.OK || r.Stage != "GET /livez" {
		t.Errorf("closed: %q: %v", r.Stage, r.Err)
	}
	if _, refused := errors.AsType[*net.OpError](r.Err); !refused {
		t.Errorf("closed: %v", r.Err)
	}
}

// BenchmarkProbe measures a run, the server's part included.
func BenchmarkProbe(b *testing.B) {
	p := newProbed(b)
	for b.Loop() {
		p.mustSee(b)
	}
}
