package protocol

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// ErrMemory ends a session that was cut in its set-up for want of memory.
var ErrMemory = errors.New("short of memory: the peer was closed before it published or played")

// Limits of a set-up while the server lets nobody new in for want of memory: whoever is quick enough to be told so stays.
const (
	pressedSetup = time.Second            // from its begin
	pressedEvery = 250 * time.Millisecond // between two looks
)

// Setups are the sessions of a room that have not come as far as to publish or to play, which need no right to be there. The zero value
// is ready; all methods may be called from any goroutine.
type Setups struct {
	lent atomic.Int64 // bytes that may be overheard, of overhearAll

	mu    sync.Mutex // guards what follows; memory only
	since map[*Setup]time.Time
}

// Setup is one session among its room's Setups. Enter it.
type Setup struct {
	setups  *Setups
	cut     func()
	evicted atomic.Bool
}

// New returns the entry of a session whose connection cut closes.
func (u *Setups) New(cut func()) *Setup { return &Setup{setups: u, cut: cut} }

// Enter notes that the session's set-up begins.
func (s *Setup) Enter() {
	u := s.setups
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil {
		u.since = map[*Setup]time.Time{}
	}
	u.since[s] = time.Now()
}

// Leave notes that it is over, and says whether the session may go on.
func (s *Setup) Leave() bool {
	u := s.setups
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, s)
	return !s.evicted.Load()
}

// Evicted says whether the session was cut for want of memory.
func (s *Setup) Evicted() bool { return s.evicted.Load() }

// overdue takes out those whose set-up began before a time, and marks them.
func (u *Setups) overdue(before time.Time) (all []*Setup) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for s, since := range u.since {
		if since.Before(before) {
			s.evicted.Store(true)
			delete(u.since, s)
			all = append(all, s)
		}
	}
	return all
}

// Run cuts sessions whose set-up takes its time while memory is short, until ctx ends. They hold what they have sent, and would
// for as long as they may.
func (u *Setups) Run(ctx context.Context, h *hub.Hub) error {
	tick := time.NewTicker(pressedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h.Pressure() < hub.Refuse {
			continue
		}
		for _, late := range u.overdue(time.Now().Add(-pressedSetup)) {
			late.cut()
		}
	}
}

// Audience counts those of a room who play, or wait for a stream: they leave some of the room's connections to publishers. Its methods
// may be called from any goroutine.
type Audience struct{ n atomic.Int64 }

// Enter says whether there is a place for one more, of so many connections. It is to be left.
func (a *Audience) Enter(connections int) bool {
	if a.n.Add(1) > int64(hub.ViewersOf(connections)) {
		a.n.Add(-1)
		return false
	}
	return true
}

// Leave gives a place back.
func (a *Audience) Leave() { a.n.Add(-1) }
