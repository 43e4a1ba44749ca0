package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func key(name string) Key { return Key{VHost: DefaultVHost, App: "live", Name: name} }

var sessions struct {
	sync.Mutex
	n int
}

func request(name string) Request {
	sessions.Lock()
	defer sessions.Unlock()
	sessions.n++
	return Request{Key: key(name), Session: fmt.Sprintf("s%06d", sessions.n), Protocol: "test"}
}

func config(change func(c *Config)) Config {
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	return c
}

func reject(c *Config) { c.Publish.OnConflict = Reject }

func takeover(c *Config) { c.Publish.OnConflict = Takeover }

// publish takes a key and writes the first unit, so that viewers get in.
func publish(t testing.TB, h *Hub, name string, e *sim.Encoder) *Lease {
	t.Helper()
	l, err := h.Publish(ctx, request(name))
	if err != nil {
		t.Fatal(err)
	}
	l.Declare(true, false)
	if e != nil {
		write(t, l, e, 1)
	}
	return l
}

func write(t testing.TB, l *Lease, e *sim.Encoder, n int) {
	t.Helper()
	for range n {
		if err := l.Write(e.Next()); err != nil {
			t.Fatal(err)
		}
	}
}

func encoder(origin byte) *sim.Encoder {
	return sim.New(sim.Options{Video: av.H264, GOP: 10, Origin: origin})
}

// run runs the hub until the returned function is called.
func run(h *Hub) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// judge and audit are what Run does all the time.
func (h *Hub) judge() {
	h.attempts.prune()
	h.change(h.judgePaths)
}

func (h *Hub) audit() {
	h.change(h.auditTables)
	h.reportTracks()
}

// drain reads what is there and judges it.
func drain(t testing.TB, r *stream.Reader, c *sim.Checker) int {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	dst := make([]stream.Entry, 16)
	total := 0
	for {
		n, err := r.Read(ctx, dst)
		for _, u := range dst[:n] {
			if err := c.Unit(u.AccessUnit); err != nil {
				t.Fatal(err)
			}
		}
		total += n
		if err != nil {
			return total
		}
	}
}

// empty checks that the hub has forgotten everything.
func empty(t testing.TB, h *Hub) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.paths) != 0 || len(h.sessions) != 0 || len(h.counts) != 0 || len(h.renamed) != 0 {
		t.Errorf("the hub still has %d paths, %d sessions, counts %v, renamed %v", len(h.paths), len(h.sessions), h.counts, h.renamed)
	}
}

// journal is an observer.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) Observe(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) all() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.events
}

// check checks that publications of a key alternate with their ends, with rising epochs, and so do streams that can be watched.
func (j *journal) check(t testing.TB) {
	t.Helper()
	type state struct {
		epoch   uint64
		session string
		open    bool
	}
	keys := map[Key]*state{}
	played, opened := map[string]bool{}, map[Key]uint64{}
	for i, e := range j.all() {
		s := keys[e.Session.Key]
		if s == nil {
			s = &state{}
			keys[e.Session.Key] = s
		}
		switch e.Kind {
		case Published:
			if s.open || e.Epoch <= s.epoch {
				t.Fatalf("event %d: published %v with epoch %d, when epoch %d was open: %v", i, e.Session.Key, e.Epoch, s.epoch, s.open)
			}
			*s = state{e.Epoch, e.Session.ID, true}
		case Unpublished:
			if !s.open || e.Epoch != s.epoch || e.Session.ID != s.session || e.Cause == nil {
				t.Fatalf("event %d: unpublished %v epoch %d (%v), epoch %d was open: %v", i, e.Session.Key, e.Epoch, e.Cause, s.epoch, s.open)
			}
			s.open = false
		case Played:
			played[e.Session.ID] = true
		case Stopped:
			if !played[e.Session.ID] {
				t.Fatalf("event %d: session %s stops and never played", i, e.Session.ID)
			}
			delete(played, e.Session.ID)
		case Opened, Closed:
			if _, is := opened[e.Session.Key]; is != (e.Kind == Closed) || e.Epoch < opened[e.Session.Key] {
				t.Fatalf("event %d: %v is %s with epoch %d, after epoch %d", i, e.Session.Key, e.Kind, e.Epoch, opened[e.Session.Key])
			}
			if opened[e.Session.Key] = e.Epoch; e.Kind == Closed {
				delete(opened, e.Session.Key)
			}
		case Lapsed, Resumed, Wanted, Unwatched, Duel, Ghost, Mute, Stuck: // stand by themselves
		}
	}
	for k, s := range keys {
		if s.open {
			t.Errorf("%v is still published at the end", k)
		}
	}
	for id := range played {
		t.Errorf("session %s still plays at the end", id)
	}
	for k := range opened {
		t.Errorf("%v is still open at the end", k)
	}
}

// scene runs f with a hub in fake time. In the end the hub has forgotten everything, and had to clean up nothing.
func scene(t *testing.T, change func(c *Config), auth Authorizer, f func(t *testing.T, h *Hub, j *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := New(config(change), auth, j)
		stop := run(h)
		late := time.AfterFunc(time.Hour, func() { // wakes all who wait for what does not come
			t.Error("it takes more than an hour")
			h.Close()
		})
		defer func() { late.Stop(); h.Close(); stop() }() // if f gives up, so that nobody waits for ever
		synctest.Wait()
		f(t, h, j)
		h.Close()
		synctest.Wait()
		stop()
		empty(t, h)
		j.check(t)
		if n := h.figures.read().Orphans; n != 0 {
			t.Errorf("%d orphans", n)
		}
	})
}

// requestFrom is a request from an address of its own.
func requestFrom(name string, addr int) Request {
	q := request(name)
	q.Remote = address(addr)
	return q
}

func address(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 1935)
}

// attempted is how an attempt to publish went.
type attempted struct {
	*Lease
	err  error
	took time.Duration
}

// try publishes on a goroutine of its own.
func try(ctx context.Context, h *Hub, q Request) <-chan attempted {
	done := make(chan attempted, 1)
	begin := time.Now()
	go func() {
		l, err := h.Publish(ctx, q)
		if err == nil {
			l.Declare(true, false)
		}
		done <- attempted{l, err, time.Since(begin)}
	}()
	return done
}

// take publishes and wants to be let in.
func take(t testing.TB, h *Hub, q Request) *Lease {
	t.Helper()
	l, err := h.Publish(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	l.Declare(true, false)
	return l
}

func play(t testing.TB, h *Hub, name string) *Viewing {
	t.Helper()
	v, err := h.Play(ctx, ctx, request(name))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// feed writes 25 units a second, the first at once, until stop is called or a write fails. stop returns why the lease
// was lost, or nil.
func feed(l *Lease, e *sim.Encoder) (stop func() error) { return feedEvery(l, e, 40*time.Millisecond) }

func feedEvery(l *Lease, e *sim.Encoder, every time.Duration) (stop func() error) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if err := l.Write(e.Next()); err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-quit:
				done <- context.Cause(l.Context())
				return
			}
		}
	}()
	return func() error { close(quit); return <-done }
}

// wants checks the kind of an error; nil: there is none.
func wants(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || (err == nil) != (kind == nil) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// lost checks with what the lease was lost; nil: it is not.
func lost(t testing.TB, l *Lease, kind error) {
	t.Helper()
	wants(t, "the lease's end", context.Cause(l.Context()), kind)
}

func (j *journal) of(kind EventKind) []Event {
	synctest.Wait()
	return slices.DeleteFunc(slices.Clone(j.all()), func(e Event) bool { return e.Kind != kind })
}
