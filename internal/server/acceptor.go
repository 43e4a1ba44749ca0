package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
	"github.com/vigil-media/vigil/internal/wedge"
)

// acceptors are the goroutines that accept for a door, of which one is in charge: the newest. Those before it hung over a connection, and
// were replaced on the same socket: nothing is wrong with that, and whoever waits in its queue is served by the next. If one ever goes on,
// it hands over the connection that it has, finds that it is not in charge any more, and ends.
type acceptors struct {
	door   *door
	pool   *task.Pool
	charge atomic.Pointer[acceptor]
	over   chan struct{} // closed when the one in charge has ended, or none ever will be

	mu  sync.Mutex // guards what follows; memory only
	all int        // that have not ended
}

// acceptor is one goroutine that accepts.
type acceptor struct {
	cell    *watch.Cell
	handing atomic.Bool // it waits for the room to take a connection
}

const (
	hungMost = 3           // of a door, that may hang while another accepts: what cannot be helped by as many is helped by none
	endTime  = time.Second // for those in charge to end once their doors are closed
)

// newDoor returns a door to l, which is l's owner. b is for doors of HTTP.
func (n *network) newDoor(l net.Listener, name string, b *lobby) *door {
	d := &door{
		Listener: l, name: name, point: wedge.Accept + strings.ToLower(name), network: n, lobby: b,
		out: make(chan net.Conn), done: make(chan struct{}),
	}
	d.staff = acceptors{door: d, over: make(chan struct{}), pool: task.NewPool(2*(1+hungMost), n.acceptorPanicked)}
	return d
}

// acceptorPanicked logs the panic of an acceptor, which costs a connection: another goes on.
func (n *network) acceptorPanicked(p *task.PanicError) {
	n.log.Error("accepting panicked", "cause", p, "stack", string(p.Stack))
}

// start has somebody accept, unless the door is closed already.
func (s *acceptors) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door.closed() {
		close(s.over)
		return
	}
	s.next(context.Background(), 0)
}

// next puts another in charge, who begins after a pause. Under mu.
func (s *acceptors) next(ctx context.Context, pause time.Duration) {
	a, d := &acceptor{}, s.door
	a.cell = d.network.requests.board.Claim(watch.Label{
		Class: watch.Accept, Name: d.name, Heal: func(watch.Finding) { s.relieve(ctx, a) },
	})
	s.charge.Store(a)
	s.all++
	err := s.pool.Go(ctx, "accept "+d.name, func(ctx context.Context) {
		defer s.ended(ctx, a)
		d.wait(pause)
		s.accept(a)
	})
	if err != nil { // not to be expected: there is room for all, and for those that are about to go
		s.all--
		a.cell.Free()
		d.shut()
		close(s.over)
	}
}

// relief is what was done about an acceptor that hangs.
type relief uint8

const (
	needless relief = iota // it has gone on meanwhile, or there is nothing to accept
	relieved
	untaken // another would be no help: the room does not take what it is handed
	tooMany // hang already
)

// relieve puts another in charge for one that hangs, if that can be of help. Otherwise the cell that is left alone is a reason to have the
// process replaced.
func (s *acceptors) relieve(ctx context.Context, a *acceptor) {
	log := s.door.network.log.With("name", s.door.name, "for", a.cell.Busy().Round(10*time.Millisecond))
	switch s.replace(ctx, a) {
	case relieved:
		log.Warn("a listener hangs: another goroutine accepts on its socket")
	case untaken:
		log.Error("a listener hangs, and nothing can be done about it: nobody takes its connections")
	case tooMany:
		log.Error("a listener hangs, and nothing is done about it: too many hang already")
	case needless:
	}
}

func (s *acceptors) replace(ctx context.Context, a *acceptor) relief {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.charge.Load() != a || s.door.quit() || a.cell.Busy() < watch.Accept.Limits().Act:
		return needless
	case a.handing.Load():
		return untaken
	case s.all > hungMost:
		return tooMany
	}
	a.cell.Abandon()
	s.next(ctx, 0)
	return relieved
}

// ended is for an acceptor that ends: the door was closed, another is in charge, or it has panicked.
func (s *acceptors) ended(ctx context.Context, a *acceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	a.cell.Free()
	switch {
	case s.charge.Load() != a:
	case s.door.quit():
		close(s.over)
	default:
		s.next(ctx, acceptPauseShortest)
	}
}

// accept accepts until the door is closed, or another is in charge. What it does about a connection is a step; to wait for one is none.
func (s *acceptors) accept(a *acceptor) {
	d, pause := s.door, acceptPauseShortest
	for s.charge.Load() == a {
		conn, err := d.Listener.Accept()
		switch {
		case err == nil:
			pause = acceptPauseShortest
			a.cell.Begin()
			wedge.At(d.point)
			if c := d.admit(conn); c != nil {
				d.hand(c, &a.handing)
			}
			a.cell.End()
		case d.quit():
			return
		case errors.Is(err, net.ErrClosed):
			d.shut()
			return
		default:
			a.cell.Begin()
			d.trouble(err, pause)
			a.cell.End()
			d.wait(pause)
			pause = min(2*pause, acceptPauseLongest)
		}
	}
}

// hand gives a connection to the room, which calls Accept, or closes it if the room does not want any more.
func (d *door) hand(c net.Conn, handing *atomic.Bool) {
	handing.Store(true)
	defer handing.Store(false)
	select {
	case d.out <- c:
	case <-d.done:
		_ = c.Close() // nothing can be done about it
	}
}

// wait waits, but not for longer than the door is open.
func (d *door) wait(pause time.Duration) {
	if pause == 0 {
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.done:
	}
}

// dismiss waits until nobody accepts any more, but for those who hang. The rooms close their doors meanwhile.
func (n *network) dismiss() {
	limit := time.NewTimer(endTime)
	defer limit.Stop()
	for _, l := range n.all() {
		d, ok := l.listener.(*door)
		if !ok || d.staff.charge.Load() == nil {
			continue
		}
		select {
		case <-d.staff.over:
		case <-limit.C:
			return
		}
	}
}
