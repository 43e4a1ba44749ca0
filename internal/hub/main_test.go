package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"

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

// drain reads what is there and judges it.
func drain(t testing.TB, r *stream.Reader, c *sim.Checker) int {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	dst := make([]*av.AccessUnit, 16)
	total := 0
	for {
		n, err := r.Read(ctx, dst)
		for _, u := range dst[:n] {
			if err := c.Unit(u); err != nil {
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
	if len(h.paths) != 0 || len(h.sessions) != 0 || h.counts[ActionPublish] != 0 || h.counts[ActionPlay] != 0 {
		t.Errorf("the hub still has %d paths, %d sessions, counts %v", len(h.paths), len(h.sessions), h.counts)
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

// check checks that publications of a key alternate with their ends, with rising epochs.
func (j *journal) check(t testing.TB) {
	t.Helper()
	type state struct {
		epoch   uint64
		session string
		open    bool
	}
	keys := map[Key]*state{}
	played := map[string]bool{}
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
}
