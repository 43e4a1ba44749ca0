package server

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/watch"
)

// queue is a listener whose connections come when the test says so.
type queue struct {
	net.Listener
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// odd is a connection that nobody can say anything about: who looks at it does what ask does.
type odd struct {
	net.Conn
	ask func()
}

func (o *odd) RemoteAddr() net.Addr {
	o.ask()
	return o.Conn.RemoteAddr()
}

// guardedDoor is a door under the eyes of a guard, and of a healer that does what it says. In the end nobody accepts, and no cell is left.
type guardedDoor struct {
	*door
	queue *queue
	board *watch.Board
	out   *bytes.Buffer
	room  chan net.Conn // what Accept has given
	pulse atomic.Pointer[watch.Pulse]
}

func guardDoor(t *testing.T, f func(t *testing.T, g *guardedDoor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, out := room(hub.LimitsConfig{}, 1000)
		g := &guardedDoor{queue: &queue{conns: make(chan net.Conn), done: make(chan struct{})}, out: out, board: watch.NewBoard()}
		n.requests.board = g.board
		g.door, g.room = n.newDoor(g.queue, "TEST", nil), make(chan net.Conn)
		n.opened = append(n.opened, listening{"TEST", g.door})
		look := watch.NewGuard(watch.GuardOptions{Board: g.board, Beat: func(p *watch.Pulse) { c := *p; g.pulse.Store(&c) }})
		healer := watch.NewHealer(watch.HealerOptions{})
		ctx, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = look.Run(ctx) })
		all.Go(func() { _ = healer.Run(ctx, look.Findings()) })
		all.Go(func() {
			for c, err := g.Accept(); err == nil; c, err = g.Accept() {
				g.room <- c
			}
			close(g.room)
		})
		synctest.Wait()
		f(t, g)
		_ = g.Close()
		for range g.room { // until Accept fails
		}
		n.dismiss()
		end()
		all.Wait()
		synctest.Wait()
		if left := g.board.States(); len(left) > 0 || g.staff.all != 0 {
			t.Errorf("%d accept still; cells %+v", g.staff.all, left)
		}
	})
}

// come has a connection come.
func (g *guardedDoor) come(t *testing.T, ask func()) net.Conn {
	t.Helper()
	c := pipe(t, "192.0.2.1:1")
	if ask != nil {
		c = &odd{c, ask}
	}
	g.queue.conns <- c
	return c
}

// takes waits until the room has been given a connection, and says how long that took.
func (g *guardedDoor) takes(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	select {
	case c := <-g.room:
		_ = c.Close()
	case <-time.After(time.Hour):
		t.Fatal("nobody is let in")
	}
	return time.Since(begin)
}

// said is the log.
func (g *guardedDoor) said() string {
	synctest.Wait()
	return g.out.String()
}

func (g *guardedDoor) of(c watch.Class) (n int) {
	for _, st := range g.board.States() {
		if st.Class == c {
			n++
		}
	}
	return n
}

// Somebody hangs over a connection. Those who come are served when the time of its class is over, by another; what comes back hands over
// what it has, and is gone. As many may hang as there are, and not one more.
func TestAcceptorHangs(t *testing.T) {
	guardDoor(t, func(t *testing.T, g *guardedDoor) {
		act := watch.Accept.Limits().Act
		release := make(chan struct{})
		for i := range hungMost {
			g.come(t, func() { <-release })
			come := make(chan struct{})
			go func() {
				g.come(t, nil)
				close(come)
			}()
			if took := g.takes(t); took < act || took > act+time.Second/2 {
				t.Errorf("the next is let in after %v", took)
			}
			<-come
			if g.of(watch.Abandoned) != i+1 || g.of(watch.Accept) != 1 {
				t.Errorf("%+v", g.board.States())
			}
			if n := strings.Count(g.said(), "another goroutine accepts on its socket"); n != i+1 {
				t.Errorf("%d are replaced:\n%s", n, g.said())
			}
			time.Sleep(watch.BudgetTime)
			if d := g.pulse.Load().Doomed; d.Label != nil {
				t.Errorf("a reason to replace the process: %+v", d.Label)
			}
		}
		g.come(t, func() { <-release })
		time.Sleep(act + 2*time.Second)
		if d := g.pulse.Load().Doomed; d.Label == nil || d.Label.Class != watch.Accept || d.Label.Name != "TEST" {
			t.Errorf("no reason to replace the process: %+v", d)
		}
		if !strings.Contains(g.said(), "too many hang already") || g.of(watch.Abandoned) != hungMost {
			t.Errorf("%s\n%+v", g.said(), g.board.States())
		}
		close(release)
		for range hungMost + 1 { // what they had
			if took := g.takes(t); took != 0 {
				t.Errorf("one that was held up is let in after %v", took)
			}
		}
		synctest.Wait()
		if g.of(watch.Abandoned) != 0 || g.of(watch.Accept) != 1 {
			t.Errorf("%+v", g.board.States())
		}
		for range 3 {
			g.come(t, nil)
			g.takes(t)
		}
	})
}

// A room that takes no connections is no reason to have another accept: that is told, and a reason to replace the process.
func TestRoomHangs(t *testing.T) {
	guardDoor(t, func(t *testing.T, g *guardedDoor) {
		g.come(t, nil) // the room has it, and does not call Accept again
		g.come(t, nil)
		time.Sleep(watch.Accept.Limits().Act + 2*time.Second)
		if d := g.pulse.Load().Doomed; d.Label == nil || d.Label.Class != watch.Accept {
			t.Errorf("no reason to replace the process: %+v", d)
		}
		if !strings.Contains(g.said(), "nobody takes its connections") || g.of(watch.Abandoned) != 0 {
			t.Errorf("%s\n%+v", g.said(), g.board.States())
		}
		g.takes(t)
		g.takes(t)
		time.Sleep(time.Second)
		if d := g.pulse.Load().Doomed; d.Label != nil {
			t.Errorf("it goes on, and is still a reason to replace the process: %+v", d.Label)
		}
	})
}

// Nobody comes for an hour, or somebody now and then: nothing is stuck.
func TestAcceptorIdle(t *testing.T) {
	guardDoor(t, func(t *testing.T, g *guardedDoor) {
		for range 6 {
			time.Sleep(10 * time.Minute)
			if p := g.pulse.Load(); p.Worst.Label != nil || p.Busy > 0 {
				t.Fatalf("%+v", p)
			}
			g.come(t, nil)
			g.takes(t)
		}
		if said := g.said(); said != "" {
			t.Error(said)
		}
	})
}

// A panic costs one connection.
func TestAcceptorPanics(t *testing.T) {
	guardDoor(t, func(t *testing.T, g *guardedDoor) {
		const times = 20
		for range times {
			g.come(t, func() { panic("oops") })
			g.come(t, nil)
			g.takes(t)
		}
		if n := strings.Count(g.said(), "accepting panicked"); n != times {
			t.Errorf("%d panics are told:\n%s", n, g.said())
		}
	})
}

// The server ends while somebody hangs: he is not waited for for long, and what he holds is closed when he comes back.
func TestAcceptorHangsAtTheEnd(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		guardDoor(t, func(t *testing.T, g *guardedDoor) {
			release := make(chan struct{})
			c := g.come(t, func() { <-release })
			if replaced {
				time.Sleep(watch.Accept.Limits().Act + time.Second)
			}
			_ = g.Close()
			begin := time.Now()
			g.network.dismiss()
			if took := time.Since(begin); took > endTime || replaced && took > 0 {
				t.Errorf("replaced %v: it is waited for for %v", replaced, took)
			}
			close(release)
			synctest.Wait()
			if !c.(*odd).Conn.(*addressed).closed {
				t.Error("what it held is left open")
			}
		})
	}
}

// A worker that hands over accepts nobody any more, and its rooms wait until they are told to end.
func TestAcceptorRetires(t *testing.T) {
	guardDoor(t, func(t *testing.T, g *guardedDoor) {
		g.come(t, nil)
		g.takes(t)
		g.retire()
		time.Sleep(time.Minute)
		select {
		case <-g.room:
			t.Error("Accept has failed")
		default:
		}
		if len(g.board.States()) > 0 {
			t.Errorf("%+v", g.board.States())
		}
	})
}
