package hls

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inn is a house with the room in it.
type inn struct {
	*conformance.House
	*server
	t *testing.T
}

// within runs a test in a bubble, in which time passes when nobody does anything.
func within(t *testing.T, o conformance.Options, fn func(t *testing.T, i *inn)) {
	t.Helper()
	o.Memory = true
	synctest.Test(t, func(t *testing.T) { fn(t, open(t, o)) })
}

func open(t *testing.T, o conformance.Options) *inn {
	t.Helper()
	i := &inn{t: t}
	p := Protocol()
	p.Serve = func(env protocol.Env, section conf.Section) (protocol.Server, error) {
		s, err := serve(env, section)
		if err == nil {
			i.server = s.(*server)
		}
		return s, err
	}
	i.House = conformance.Open(t, p, o)
	return i
}

// source is a publisher without a protocol, which sends at the pace of life.
type source struct {
	*hub.Lease
	t    *testing.T
	enc  *sim.Encoder
	unit *av.AccessUnit
	at   time.Duration
}

func usual() sim.Options {
	return sim.Options{Video: av.H264, Audio: av.AAC, KeySize: 400, Size: 100}
}

func (i *inn) publish(name string, o sim.Options) *source {
	i.t.Helper()
	key, err := hub.ParseKey(name)
	if err != nil {
		i.t.Fatal(err)
	}
	l, err := i.Hub.Publish(context.Background(), hub.Request{Key: key})
	if err != nil {
		i.t.Fatal(err)
	}
	i.Guest(func() { l.Finish(nil) })
	context.AfterFunc(l.Context(), func() { l.Release(context.Cause(l.Context())) })
	l.Declare(o.Video != 0, o.Audio != 0)
	return &source{Lease: l, t: i.t, enc: sim.New(o), at: o.Start}
}

// send sends so much more media, each unit when it is time for it.
func (s *source) send(d time.Duration) *source {
	s.t.Helper()
	for end := s.at + d; ; {
		if s.unit == nil {
			s.unit = s.enc.Next()
		}
		if s.unit.DTS >= end {
			time.Sleep(end - s.at)
			s.at = end
			return s
		}
		time.Sleep(s.unit.DTS - s.at)
		s.at = max(s.at, s.unit.DTS)
		if err := s.Write(s.unit); err != nil {
			s.t.Fatal(err)
		}
		s.unit = nil
	}
}

// guest is one who asks, with cookies.
type guest struct {
	*inn
	addr, agent string
	cookies     map[string]*http.Cookie
}

func (i *inn) guest(addr, agent string) *guest {
	return &guest{inn: i, addr: addr, agent: agent, cookies: map[string]*http.Cookie{}}
}

// ask does a request; header are names and values, in turn.
func (g *guest) ask(method, target string, header ...string) *httptest.ResponseRecorder {
	return g.askCtx(context.Background(), method, target, header...)
}

func (g *guest) askCtx(ctx context.Context, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, target, http.NoBody)
	r.RemoteAddr = g.addr + ":1234"
	r.Header.Set("User-Agent", g.agent)
	for _, c := range g.cookies {
		if strings.HasPrefix(r.URL.EscapedPath(), c.Path) {
			r.AddCookie(c)
		}
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	g.HTTP.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Path == "" {
			c.Path = r.URL.EscapedPath()[:strings.LastIndexByte(r.URL.EscapedPath(), '/')+1]
		}
		g.cookies[c.Name] = c
	}
	return w
}

func (g *guest) get(target string, header ...string) *httptest.ResponseRecorder {
	return g.ask(http.MethodGet, target, header...)
}

// list gets a playlist, which must be there.
func (g *guest) list(target string) *m3u8.Playlist {
	g.t.Helper()
	w := g.get(target)
	if w.Code != http.StatusOK {
		g.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	p, err := m3u8.Parse(w.Body.Bytes())
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

// later does a request on another goroutine.
func (g *guest) later(ctx context.Context, target string) <-chan *httptest.ResponseRecorder {
	c := make(chan *httptest.ResponseRecorder, 1)
	go func() { c <- g.askCtx(ctx, http.MethodGet, target) }()
	synctest.Wait()
	return c
}

func has(c <-chan *httptest.ResponseRecorder) bool {
	synctest.Wait()
	return len(c) > 0
}

const (
	tsList   = "/live/x/hls.m3u8"
	lowList  = "/live/x/hls.fmp4.m3u8"
	mainList = "/live/x/index.m3u8"
)

// names are what the names in a playlist are like.
var names = regexp.MustCompile(`[a-z0-9]{16}-[0-9]+(\.[0-9]+)?\.hls\.(ts|m4s|mp4)`)

// empty fails the test unless nothing is kept that is about anybody.
func (i *inn) empty() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.renditions) + len(i.tokens) + len(i.visitors) + len(i.strangers); n > 0 {
		i.t.Errorf("%d renditions, %d tokens, %d visitors and %d strangers are left", len(i.renditions), len(i.tokens), len(i.visitors), len(i.strangers))
	}
}

// TestPlay plays as players do, over connections.
func TestPlay(t *testing.T) {
	for _, c := range []struct {
		name, target string
		o            m3u8.Options
	}{
		{"TS", tsList, m3u8.Options{}},
		{"TS by the clock", tsList, m3u8.Options{NoBlock: true}},
		{"fMP4", lowList, m3u8.Options{}},
		{"low latency", lowList, m3u8.Options{LowLatency: true, Preload: true, Parents: true}},
		{"low latency without hints", lowList, m3u8.Options{LowLatency: true, NoDelta: true, NoGzip: true}},
		{"multivariant", mainList, m3u8.Options{LowLatency: true, Preload: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, conformance.Options{}, func(t *testing.T, i *inn) {
				s := i.publish("live/x", usual())
				s.send(time.Second)
				transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
					return i.Dial(ctx, "HTTP")
				}}
				defer transport.CloseIdleConnections()
				c.o.Client, c.o.Check = &http.Client{Transport: transport}, true
				p, err := m3u8.NewPlayer("http://host"+c.target, c.o)
				if err != nil {
					t.Fatal(err)
				}
				units := m3u8.NewUnits(p)
				done := make(chan error, 1)
				check := sim.Checker{PerTrack: true}
				go func() {
					for {
						u, err := units.Next(t.Context())
						if err != nil {
							done <- err
							return
						}
						if check.Units == 0 && (u.Track.Kind() != av.Video || !u.Key) {
							continue // a decoder cannot begin here: the key picture is in the middle of the part
						}
						if err := check.Unit(u); err != nil {
							t.Error(err)
						}
					}
				}()
				s.send(30 * time.Second)
				s.Finish(nil)
				if err := <-done; !errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
				for _, p := range p.Problems() {
					if p.Must && (p.Name != "part-overdue" || c.o.LowLatency) || p.Name == "cache" || p.Name == "gzip" && c.target != mainList {
						t.Error(p)
					}
				}
				if n := p.Missed(); len(n) > 0 || check.Gaps > 0 {
					t.Errorf("missed %v, %d gaps", n, check.Gaps)
				}
				if check.Units < 28*70 {
					t.Errorf("%d units", check.Units)
				}
			})
		})
	}
}
