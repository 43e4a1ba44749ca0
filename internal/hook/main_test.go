package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http shows there what a target sends without being asked
	goleak.VerifyTestMain(m)
}

const yes = `{"code":0,"msg":"success"}`

// called is a hook that has arrived.
type called struct {
	Hook
	conn   int // the number of its connection, from 1
	header http.Header
	query  string
	raw    []byte
	body   map[string]any
}

// field is a field of the body as text.
func (c *called) field(name string) string { return fmt.Sprint(c.body[name]) }

// platform is a server of hooks in memory: fake time passes for it too. It answers yes unless serve says something else.
type platform struct {
	t     testing.TB
	conns chan net.Conn
	gone  chan struct{}
	http  *http.Server

	mu    sync.Mutex
	serve func(w http.ResponseWriter, r *http.Request, c *called)
	all   []called
	down  bool
	dials int
	under map[Hook]int
	most  map[Hook]int
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{t: t, conns: make(chan net.Conn), gone: make(chan struct{}), under: map[Hook]int{}, most: map[Hook]int{}}
	n := 0
	p.http = &http.Server{
		Handler: p, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			n++
			return context.WithValue(ctx, connNumber{}, n)
		},
	}
	go func() { _ = p.http.Serve(p) }()
	return p
}

// connNumber is where the number of a request's connection is kept.
type connNumber struct{}

// Accept, Close and Addr make it a listener.
func (p *platform) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *platform) Close() error {
	select {
	case <-p.gone:
	default:
		close(p.gone)
	}
	return nil
}

func (p *platform) Addr() net.Addr { return &net.TCPAddr{} }

func (p *platform) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	p.dials++
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := called{Hook: Hook(strings.TrimPrefix(r.URL.Path, "/")), header: r.Header, query: r.URL.RawQuery}
	c.conn, _ = r.Context().Value(connNumber{}).(int)
	c.raw, _ = io.ReadAll(r.Body)
	d := json.NewDecoder(bytes.NewReader(c.raw))
	d.UseNumber()
	if err := d.Decode(&c.body); err != nil {
		p.t.Errorf("%s: the body is no JSON object: %v: %s", c.Hook, err, c.raw)
	}
	p.mu.Lock()
	p.all = append(p.all, c)
	p.under[c.Hook]++
	p.most[c.Hook] = max(p.most[c.Hook], p.under[c.Hook])
	serve := p.serve
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.under[c.Hook]--
		p.mu.Unlock()
	}()
	if serve == nil {
		serve = says(yes)
	}
	serve(w, r, &c)
}

// set changes how it behaves.
func (p *platform) set(change func(p *platform)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *platform) answers(serve func(w http.ResponseWriter, r *http.Request, c *called)) {
	p.set(func(p *platform) { p.serve = serve })
}

// calls are those of a hook so far.
func (p *platform) calls(hook Hook) []called {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.all), func(c called) bool { return c.Hook != hook })
}

// underway is how many calls of a hook there are now, and at the most.
func (p *platform) underway(hook Hook) (now, most int) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.under[hook], p.most[hook]
}

// says answers with a text.
func says(text string) func(w http.ResponseWriter, r *http.Request, c *called) {
	return func(w http.ResponseWriter, _ *http.Request, _ *called) { _, _ = io.WriteString(w, text) }
}

// hangs reads the question, and waits until who asked has gone.
func hangs(_ http.ResponseWriter, r *http.Request, _ *called) { <-r.Context().Done() }

// takes answers yes after d.
func takes(d time.Duration) func(w http.ResponseWriter, r *http.Request, c *called) {
	return func(w http.ResponseWriter, r *http.Request, _ *called) {
		select {
		case <-time.After(d):
			_, _ = io.WriteString(w, yes)
		case <-r.Context().Done():
		}
	}
}

// to returns a configuration with these hooks, on a platform in memory.
func to(hooks ...Hook) Config { return at("http://platform:8080/", hooks...) }

func at(base string, hooks ...Hook) Config {
	c := Default()
	c.FlowThreshold, c.Schemas = 0, []string{"rtsp"}
	for hook, u := range map[Hook]*URL{
		Publish: &c.OnPublish, Play: &c.OnPlay, Changed: &c.OnStreamChanged, NotFound: &c.OnStreamNotFound, NoneReader: &c.OnStreamNoneReader,
		FlowReport: &c.OnFlowReport, Started: &c.OnServerStarted, Exited: &c.OnServerExited, KeepAlive: &c.OnServerKeepalive,
	} {
		if slices.Contains(hooks, hook) {
			*u = URL(base + string(hook))
		}
	}
	return c
}

// text is a log that is kept.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *text) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// stage is a hub with hooks and a platform, in fake time.
type stage struct {
	*platform
	*Hooks
	hub *hub.Hub
	log *text
	end func() // ends the hub and then the hooks, once
	n   int
}

// scene runs f on a stage. All ends with it.
func scene(t *testing.T, c Config, f func(t *testing.T, s *stage)) { sceneOf(t, Options{Config: c}, f) }

func sceneOf(t *testing.T, o Options, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{platform: newPlatform(t), log: &text{}}
		o.ServerID, o.Log, o.Dial = "vigil-1", s.log.logger(), s.dial
		if err := o.Config.Validate(); err != nil {
			t.Fatal(err)
		}
		s.Hooks = New(o)
		s.hub = hub.New(hub.DefaultConfig(), s.Hooks, s.Hooks)
		s.Serve(s.hub)
		ctx, cancel := context.WithCancel(t.Context())
		hubCtx, hubCancel := context.WithCancel(t.Context())
		done, hubDone := make(chan error, 1), make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		go func() { hubDone <- s.hub.Run(hubCtx) }()
		s.end = sync.OnceFunc(func() {
			s.hub.Close()
			hubCancel()
			if err := <-hubDone; err != nil {
				t.Errorf("the hub: %v", err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		defer func() {
			s.end()
			s.http.Close()
		}()
		synctest.Wait()
		f(t, s)
	})
}

// run runs hooks without a hub, until the returned function is called.
func run(t testing.TB, h *Hooks) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it ends before the test
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func key(name string) hub.Key { return hub.Key{VHost: hub.DefaultVHost, App: "live", Name: name} }

// request is one by a protocol, of a session with a number.
func (s *stage) request(protocol, name string) hub.Request {
	s.n++
	return hub.Request{
		Key: key(name), Session: fmt.Sprintf("%08x", s.n), Protocol: protocol, Query: "token=secret",
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(s.n >> 8), byte(s.n)}), 50422),
		Local:  netip.MustParseAddrPort("192.0.2.1:1935"),
	}
}

// publish publishes a stream by RTMP that can be watched.
func (s *stage) publish(t testing.TB, name string) (*hub.Lease, *sim.Encoder) {
	t.Helper()
	l, err := s.hub.Publish(t.Context(), s.request("rtmp", name))
	if err != nil {
		t.Fatal(err)
	}
	l.Declare(true, true)
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	feed(t, l, e, time.Second/2)
	return l, e
}

// feed writes d of media, as time passes, or until the lease is lost.
func feed(t testing.TB, l *hub.Lease, e *sim.Encoder, d time.Duration) {
	t.Helper()
	begin := time.Now()
	var first *time.Duration
	for {
		u := e.Next()
		if first == nil {
			first = new(time.Duration)
			*first = u.DTS
		}
		if u.DTS-*first >= d {
			return
		}
		time.Sleep(time.Until(begin.Add(u.DTS - *first)))
		switch err := l.Write(u); {
		case l.Context().Err() != nil:
			return
		case err != nil:
			t.Fatal(err)
		}
		synctest.Wait()
	}
}

// answered is the outcome of a question.
type outcome struct {
	err  error
	took time.Duration
}

// play asks whether somebody may play, on a goroutine of its own.
func (h *Hooks) play(ctx context.Context, q hub.Request) <-chan outcome {
	done := make(chan outcome, 1)
	begin := time.Now()
	go func() {
		_, err := h.Authorize(ctx, hub.ActionPlay, q)
		done <- outcome{err, time.Since(begin)}
	}()
	return done
}

// figure is that of a hook.
func (h *Hooks) figure(hook Hook) Figures {
	for _, f := range h.Figures() {
		if f.Hook == hook {
			return f
		}
	}
	return Figures{}
}

// same compares two values.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// wants checks the kind of an error; nil: there is none.
func wants(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || (err == nil) != (kind == nil) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}
