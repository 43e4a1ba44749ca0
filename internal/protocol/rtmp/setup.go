package rtmp

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// Limits of a set-up while the server lets nobody new in for want of memory: whoever is quick enough to be told so stays.
const (
	pressedSetup = time.Second            // from its begin
	pressedEvery = 250 * time.Millisecond // between two looks
)

// setups are the sessions that have not come as far as to publish or to play, which need no right to be there. All methods may be
// called from any goroutine.
type setups struct {
	lent atomic.Int64 // bytes that watchers may hear, of claimAll

	mu    sync.Mutex // guards what follows; memory only
	since map[*session]time.Time
}

// lend says whether a watcher may hear claimBytes more. They are to be given back.
func (u *setups) lend() bool {
	if u.lent.Add(claimBytes) > claimAll {
		u.lent.Add(-claimBytes)
		return false
	}
	return true
}

// giveBack returns what was lent to a watcher that has stopped.
func (u *setups) giveBack(n int) { u.lent.Add(-int64(n)) }

// enter notes that a session's set-up begins.
func (u *setups) enter(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil {
		u.since = map[*session]time.Time{}
	}
	u.since[s] = time.Now()
}

// leave notes that a session's set-up is over.
func (u *setups) leave(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, s)
}

// overdue takes out those whose set-up began before a time, and marks them.
func (u *setups) overdue(before time.Time) (all []*session) {
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

// enterSetup begins the phase in which the peer is to say what it wants.
func (s *session) enterSetup() error {
	s.setups.enter(s)
	return s.deadline(s.setupTime())
}

// leaveSetup ends that phase. It says whether the session may go on.
func (s *session) leaveSetup() bool {
	s.setups.leave(s)
	return !s.evicted.Load()
}

// watchSetups cuts sessions whose set-up takes its time while memory is short, until ctx ends. They hold what they have sent, and would
// for as long as they may.
func (s *server) watchSetups(ctx context.Context) error {
	tick := time.NewTicker(pressedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s.env.Hub.Pressure() < hub.Refuse {
			continue
		}
		for _, late := range s.setups.overdue(time.Now().Add(-pressedSetup)) {
			late.cut()
		}
	}
}
