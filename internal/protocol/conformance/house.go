package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/task"
)

// Options are what a House is made of.
type Options struct {
	Memory   bool // net.Pipe: within a bubble of synctest only
	Narrow   bool // loopback with small socket buffers
	Settings []string
	Egress   egress.Options
	Hub      hub.Config // the zero Config means the defaults
	Auth     hub.Authorizer
	Observer hub.Observer                                   // or nil
	TLS      *tls.Config                                    // the room's
	HTTPS    *tls.Config                                    // of the shared HTTP listener; nil: it is plain
	Panics   bool                                           // are expected
	Wrap     func(name string, l net.Listener) net.Listener // what is listened on in place of a listener
}

// House is a room with its surroundings.
type House struct {
	Hub  *hub.Hub
	HTTP *protocol.Mux // of the shared HTTP listener

	t      testing.TB
	memory bool
	panics bool
	net    network
	log    logBuffer
	data   *task.Group
	hubs   *task.Group
	once   sync.Once
	guests []func() // end the publishers that are not the room's

	visitors atomic.Uint64 // sessions of the suite's own protocol so far
}

// patience is how long a test waits for what must happen at all.
const patience = 10 * time.Second

// Open builds a room and its surroundings, and runs them until Close or the end of the test.
func Open(t testing.TB, p protocol.Protocol, o Options) *House {
	t.Helper()
	if o.Hub.Publish.OnConflict == "" {
		o.Hub = hub.DefaultConfig()
	}
	var observers []hub.Observer
	if o.Observer != nil {
		observers = append(observers, o.Observer)
	}
	h := &House{t: t, memory: o.Memory, panics: o.Panics, Hub: hub.New(o.Hub, o.Auth, observers...)}
	h.net = &loopback{narrow: o.Narrow}
	if o.Memory {
		h.net = &memory{}
	}
	cfg, err := conf.Load(conf.Source{Set: o.Settings})
	if err != nil {
		t.Fatal(err)
	}
	var ids atomic.Uint64
	mux := protocol.NewMux()
	h.HTTP = mux
	logger := slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	out := egress.New(o.Egress, logger)
	env := protocol.Env{
		Hub: h.Hub, Log: logger, Egress: out,
		Net: h.net, HTTP: mux, TLS: o.TLS, NewID: func() string { return fmt.Sprint("s", ids.Add(1)) },
	}
	if o.Wrap != nil {
		env.Net = wrapped{h.net, o.Wrap}
	}
	room, err := p.Serve(env, cfg.Section(p.Name))
	if err != nil {
		t.Fatal(err)
	}
	web, err := h.net.Listen(t.Context(), "HTTP", "")
	if err != nil {
		t.Fatal(err)
	}
	if o.Wrap != nil {
		web = o.Wrap("HTTP", web)
	}
	if o.HTTPS != nil {
		web = egress.NewTLSListener(web, o.HTTPS)
	}
	h.hubs, _ = task.NewGroup(context.Background()) //nolint:usetesting // ended by Close, not before
	h.hubs.Go("hub", h.Hub.Run)
	h.data, _ = task.NewGroup(context.Background()) //nolint:usetesting // ended by Close, not before
	h.data.Go("egress", out.Run)
	h.data.Go("room", room.Run)
	h.data.Go("http", func(ctx context.Context) error { return serveHTTP(ctx, web, mux, io.Discard) })
	t.Cleanup(h.Close)
	return h
}

// serveHTTP is the shared HTTP listener as the server has it.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log io.Writer) error {
	var handlers sync.WaitGroup
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.Add(1)
			defer handlers.Done()
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 90 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(log, nil), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nothing can be done about it
	defer stop()
	err := srv.Serve(l)
	handlers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close ends the room, whatever it is doing, and holds it to its promise: all is over within a second.
func (h *House) Close() { h.once.Do(h.shut) }

func (h *House) shut() {
	limit := time.Second
	if !h.memory {
		limit = 5 * time.Second // the machine may be busy
	}
	begin := time.Now()
	h.data.Stop(hub.ErrClosing)
	if err := h.data.Wait(); err != nil {
		h.t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > limit {
		h.t.Errorf("Run took %v to return after its context had ended, at most %v", took, limit)
	}
	for _, end := range h.guests {
		end()
	}
	h.hubs.Stop(nil)
	_ = h.hubs.Wait() // it has no error
	publishers, viewers := h.Hub.Sessions()
	for publishers+viewers > 0 && time.Since(begin) < limit { // who asked by a goroutine of a test's own may be about to leave
		<-time.After(10 * time.Millisecond)
		publishers, viewers = h.Hub.Sessions()
	}
	if publishers+viewers > 0 {
		h.t.Errorf("%d publishers and %d viewers are still known to the hub", publishers, viewers)
	}
	if log := h.Log(); !h.panics && strings.Contains(log, "panic") {
		h.t.Errorf("something panicked:\n%s", log)
	}
	if h.t.Failed() {
		h.t.Logf("log:\n%s", tail(h.Log(), 40))
	}
}

func tail(s string, lines int) string {
	all := strings.SplitAfter(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// Guest has end called when the room has ended: it takes away a publisher that is not the room's.
func (h *House) Guest(end func()) { h.guests = append(h.guests, end) }

// Dial connects to a listener. The connection is closed at the end of the test.
func (h *House) Dial(ctx context.Context, name string) (net.Conn, error) {
	c, err := h.net.Dial(ctx, name)
	if err != nil {
		return nil, err
	}
	h.t.Cleanup(func() { _ = c.Close() }) // it may be closed already
	return c, nil
}

// MustDial connects to a listener and gives the test 10 s for all that it does with the connection.
func (h *House) MustDial(name string) net.Conn {
	h.t.Helper()
	c, err := h.Dial(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// Log is what was logged so far, as text lines.
func (h *House) Log() string { return h.log.String() }

// Eventually waits until is says so.
func (h *House) Eventually(what string, is func() bool) {
	h.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Since(begin) > 3*patience {
			h.t.Fatalf("waited in vain for: %s\n%s", what, tail(h.Log(), 40))
		}
		<-tick.C
	}
}

// Logged waits until a line of the log has all words.
func (h *House) Logged(words ...string) {
	h.t.Helper()
	h.Eventually("log line with "+strings.Join(words, ", "), func() bool {
		for line := range strings.Lines(h.Log()) {
			n := 0
			for _, w := range words {
				if strings.Contains(line, w) {
					n++
				}
			}
			if n == len(words) {
				return true
			}
		}
		return false
	})
}

// Viewers waits until the hub knows n viewers.
func (h *House) Viewers(n int) {
	h.t.Helper()
	h.Eventually(fmt.Sprint(n, " viewers"), func() bool { _, got := h.Hub.Sessions(); return got == n })
}

// Publishers waits until the hub knows n publishers.
func (h *House) Publishers(n int) {
	h.t.Helper()
	h.Eventually(fmt.Sprint(n, " publishers"), func() bool { got, _ := h.Hub.Sessions(); return got == n })
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
