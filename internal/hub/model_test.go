package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

const modelSeeds = 300

// The hub against a model of it, in random order. A failure names its seed.
func TestModel(t *testing.T) {
	for seed := range uint64(modelSeeds) {
		m := newModel(seed)
		for step := range 150 {
			op, err := m.step()
			if err == nil {
				err = m.compare()
			}
			if err != nil {
				t.Fatalf("seed %d, step %d, %s: %v", seed, step, op, err)
			}
		}
		if err := m.finish(t); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// model is what the hub ought to be.
type model struct {
	rnd     *rand.Rand
	hub     *Hub
	journal *journal
	policy  Policy
	now     time.Duration
	pubs    []*modelPub // whose session is not released
	views   []*modelView
	owner   map[Key]*modelPub
	closed  bool
	origin  byte
	epoch   uint64
}

type modelPub struct {
	lease    *Lease
	key      Key
	enc      *sim.Encoder
	progress time.Duration
	lost     error // why it lost its key
}

type modelView struct {
	v      *Viewing
	key    Key
	stream *stream.Stream
	reader *stream.Reader
	check  sim.Checker
}

const modelPublishers, modelViewers = 5, 6

func newModel(seed uint64) *model {
	m := &model{
		rnd: rand.New(rand.NewPCG(seed, 0)), journal: &journal{}, policy: Reject, owner: map[Key]*modelPub{},
	}
	if seed%2 == 1 {
		m.policy = Takeover
	}
	m.hub = New(config(func(c *Config) {
		c.Publish.OnConflict, c.Play.Wait = m.policy, 0
		c.Limits.Publishers, c.Limits.Viewers = modelPublishers, modelViewers
	}), nil, m.journal)
	return m
}

func pick[T any](rnd *rand.Rand, from []T) (int, T) {
	i := rnd.IntN(len(from))
	return i, from[i]
}

func (m *model) key() string { return string(rune('a' + m.rnd.IntN(3))) }

func (m *model) step() (string, error) {
	switch n := m.rnd.IntN(100); {
	case n < 25:
		return "publish", m.publish(m.key())
	case n < 55 && len(m.pubs) > 0:
		_, p := pick(m.rnd, m.pubs)
		return "write", m.write(p)
	case n < 65 && len(m.pubs) > 0:
		i, _ := pick(m.rnd, m.pubs)
		m.release(i)
		return "release", nil
	case n < 80:
		return "play", m.play(m.key())
	case n < 88 && len(m.views) > 0:
		i, v := pick(m.rnd, m.views)
		v.v.Release(nil)
		m.views = slices.Delete(m.views, i, i+1)
		return "stop", nil
	case n < 99:
		m.pass(time.Duration(m.rnd.IntN(3000)) * time.Millisecond)
		return "judge", nil
	case m.rnd.IntN(4) == 0:
		m.closed = true
		m.hub.Close()
		for k, p := range m.owner {
			p.lost = ErrClosing
			delete(m.owner, k)
		}
		return "close", nil
	}
	return "nothing", nil
}

func (m *model) publish(name string) error {
	k := key(name)
	old := m.owner[k]
	var want error
	switch {
	case old != nil && m.policy == Reject:
		want = ErrBusy
	case m.closed:
		want = ErrClosing
	case len(m.pubs) >= modelPublishers:
		want = ErrLimit
	}
	l, err := m.hub.Publish(context.Background(), request(name))
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		return fmt.Errorf("%v, want %v", err, want)
	}
	if err != nil {
		return nil //nolint:nilerr // it is the error that was wanted
	}
	if l.Epoch() <= m.epoch {
		return fmt.Errorf("epoch %d after %d", l.Epoch(), m.epoch)
	}
	m.epoch = l.Epoch()
	l.Declare(true, false)
	m.origin = (m.origin + 1) % 128
	p := &modelPub{lease: l, key: k, enc: encoder(m.origin), progress: m.now}
	if old != nil {
		old.lost = ErrReplaced
		if old.lease.Stream() != l.Stream() {
			return errors.New("a takeover made another stream")
		}
	}
	m.pubs, m.owner[k] = append(m.pubs, p), p
	return m.write(p)
}

func (m *model) write(p *modelPub) error {
	err := p.lease.Write(p.enc.Next())
	if !errors.Is(err, p.lost) || (err == nil) != (p.lost == nil) {
		return fmt.Errorf("%v, want %v", err, p.lost)
	}
	if cause := context.Cause(p.lease.Context()); !errors.Is(cause, p.lost) || (cause == nil) != (p.lost == nil) {
		return fmt.Errorf("the context ended with %v, want %v", cause, p.lost)
	}
	if err == nil {
		p.progress = m.now
	}
	return nil
}

func (m *model) release(i int) {
	p := m.pubs[i]
	p.lease.Release(errors.New("done"))
	if m.owner[p.key] == p {
		delete(m.owner, p.key)
	}
	m.pubs = slices.Delete(m.pubs, i, i+1)
}

func (m *model) play(name string) error {
	k := key(name)
	var want error
	switch {
	case m.closed:
		want = ErrClosing
	case len(m.views) >= modelViewers:
		want = ErrLimit
	case m.owner[k] == nil:
		want = ErrNotFound
	}
	v, err := m.hub.Play(context.Background(), context.Background(), request(name))
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		return fmt.Errorf("%v, want %v", err, want)
	}
	if err == nil {
		if v.Stream() != m.owner[k].lease.Stream() {
			return errors.New("plays another stream")
		}
		m.views = append(m.views, &modelView{v: v, key: k, stream: v.Stream(), reader: v.Stream().NewReader()})
	}
	return nil
}

// pass lets time pass on the hub's clock.
func (m *model) pass(d time.Duration) {
	m.now += d
	m.hub.now.Store(int64(m.now))
	m.hub.judge()
	for k, p := range m.owner {
		if m.now-p.progress > 5*time.Second {
			p.lost = ErrSilent
			delete(m.owner, k)
		}
	}
}

func (m *model) compare() error {
	s := m.hub.Snapshot()
	if s.Publishers != len(m.pubs) || s.Viewers != len(m.views) || len(s.Streams) != len(m.owner) {
		return fmt.Errorf("%d publishers, %d viewers, %d streams, want %d, %d, %d",
			s.Publishers, s.Viewers, len(s.Streams), len(m.pubs), len(m.views), len(m.owner))
	}
	viewers := map[Key]int{}
	for _, v := range m.views {
		viewers[v.key]++
		ended := v.stream.Ended() != nil
		if owner := m.owner[v.key]; ended == (owner != nil && owner.lease.Stream() == v.stream) {
			return fmt.Errorf("a viewer's stream of %v has ended: %v", v.key, ended)
		}
	}
	for _, st := range s.Streams {
		o := m.owner[st.Key]
		if o == nil || o.lease.Epoch() != st.Epoch || o.lease.session.Session != st.Publisher.ID || len(st.Viewers) != viewers[st.Key] {
			return fmt.Errorf("stream %+v", st)
		}
	}
	return nil
}

func (m *model) finish(t *testing.T) error {
	t.Helper()
	for _, v := range m.views {
		drain(t, v.reader, &v.check)
		v.v.Release(nil)
	}
	for len(m.pubs) > 0 {
		m.release(0)
	}
	m.hub.events.deliver()
	empty(t, m.hub)
	m.journal.check(t)
	return nil
}

// Everything at once, for the race detector; the books are right at the end.
func TestConcurrent(t *testing.T) {
	for _, policy := range []Policy{Reject, Takeover} {
		t.Run(string(policy), func(t *testing.T) { concurrent(t, policy) })
	}
}

func concurrent(t *testing.T, policy Policy) {
	t.Helper()
	j := &journal{}
	h := New(config(func(c *Config) {
		c.Publish.OnConflict = policy
		c.Play.Wait = 20 * time.Millisecond
		c.Limits.Publishers, c.Limits.Viewers = 6, 12
	}), nil, j)
	stop := run(h)
	var wg sync.WaitGroup
	var running atomic.Int32
	running.Store(8)
	for i := range uint64(8) {
		rnd := rand.New(rand.NewPCG(i, 1))
		wg.Go(func() {
			defer running.Add(-1)
			for range 150 {
				publisherLife(t, h, rnd)
			}
		})
		wg.Go(func() {
			for rnd := rand.New(rand.NewPCG(i, 2)); running.Load() > 0; {
				viewerLife(t, h, rnd)
			}
		})
	}
	wg.Go(func() {
		for running.Load() > 0 {
			s := h.Snapshot()
			for i, st := range s.Streams {
				if i > 0 && s.Streams[i-1].Key.String() >= st.Key.String() {
					t.Error("streams out of order, or twice")
				}
			}
			h.now.Add(int64(100 * time.Millisecond))
			h.judge()
		}
	})
	wg.Wait()
	h.Close()
	stop()
	h.events.deliver()
	empty(t, h)
	if h.events.drops() == 0 {
		j.check(t)
	}
}

func publisherLife(t *testing.T, h *Hub, rnd *rand.Rand) {
	t.Helper()
	l, err := h.Publish(ctx, request(string(rune('a'+rnd.IntN(3)))))
	if err != nil {
		if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrLimit) {
			t.Error(err)
		}
		return
	}
	e := encoder(0)
	l.Declare(true, false)
	for range rnd.IntN(30) {
		if err := l.Write(e.Next()); err != nil {
			if !errors.Is(err, ErrReplaced) && !errors.Is(err, stream.ErrFenced) && !errors.Is(err, ErrSilent) {
				t.Error(err)
			}
			break
		}
	}
	l.Release(nil)
}

func viewerLife(t *testing.T, h *Hub, rnd *rand.Rand) {
	t.Helper()
	c, cancel := context.WithTimeout(ctx, time.Duration(1+rnd.IntN(20))*time.Millisecond)
	defer cancel()
	v, err := h.Play(c, c, request(string(rune('a'+rnd.IntN(3)))))
	if err != nil {
		return
	}
	defer v.Release(nil)
	if w, err := v.Watch(rnd.IntN(2), func() stream.Muxer { return null{} }); err == nil {
		var b stream.Batch
		for range rnd.IntN(20) {
			if err := w.Peek(&b, 10_000); err != nil {
				break
			}
			w.Advance(&b, len(b.Bytes))
			runtime.Gosched()
		}
	}
}
