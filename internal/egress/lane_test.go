package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/vigil-media/vigil/internal/av"
)

// fakeLane is a lane in memory, with a buffer of limited room.
type fakeLane struct {
	t    testing.TB
	mu   sync.Mutex
	cond sync.Cond

	room   int  // in the buffer; 0: as much as there is
	most   int  // that a Send takes; 0: all
	whole  bool // it takes whole records only
	frozen bool // takes nothing
	buf    []byte
	sends  int
	closes int
	times  []time.Time // of sends that took something
	err    error       // instead
	onSend func()
	onEnd  func()
}

func newFakeLane(t testing.TB) *fakeLane {
	t.Helper()
	l := &fakeLane{t: t}
	l.cond.L = &l.mu
	return l
}

// Send implements Lane.
func (l *fakeLane) Send(b []byte) (int, error) {
	if l.onSend != nil {
		l.onSend()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sends++
	if l.closes > 0 {
		l.t.Error("Send after Close")
	}
	if len(b) == 0 {
		l.t.Error("Send of nothing")
	}
	n := min(len(b), l.space())
	if l.whole {
		n = records{}.whole(b[:n])
	}
	if n > 0 {
		l.times = append(l.times, time.Now())
		l.buf = append(l.buf, b[:n]...)
		l.cond.Broadcast()
	}
	return n, l.err
}

// space is how much a Send takes. Under mu.
func (l *fakeLane) space() int {
	n := 1 << 30
	if l.frozen || l.err != nil {
		return 0
	}
	if l.room > 0 {
		n = max(0, l.room-len(l.buf))
	}
	if l.most > 0 {
		n = min(n, l.most)
	}
	return n
}

// whole is how much of b is whole records.
func (records) whole(b []byte) (n int) {
	for len(b)-n >= 5 {
		size := 5 + int(binary.BigEndian.Uint32(b[n+1:]))
		if len(b)-n < size {
			break
		}
		n += size
	}
	return n
}

// Close implements Lane.
func (l *fakeLane) Close() {
	l.mu.Lock()
	l.closes++
	if l.closes > 1 {
		l.t.Error("Close twice")
	}
	l.cond.Broadcast()
	l.mu.Unlock()
	if l.onEnd != nil {
		l.onEnd()
	}
}

func (l *fakeLane) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *fakeLane) counts() (sends, closes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sends, l.closes
}

// laneEnd is the other end of a fakeLane.
type laneEnd struct {
	peer
	l *fakeLane
}

func (e laneEnd) Read(b []byte) (int, error) {
	l := e.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.buf) == 0 {
		if l.closes > 0 {
			return 0, io.EOF
		}
		l.cond.Wait()
	}
	n := copy(b, l.buf)
	l.buf = l.buf[n:]
	return n, nil
}

// divert gives the client a lane. What is returned reads from that.
func (c *client) divert() (*fakeLane, *client) {
	c.r.t.Helper()
	lane := newFakeLane(c.r.t)
	c.link.Divert(lane)
	atEnd := c.atEnd
	c.atEnd = func() {
		if _, closes := lane.counts(); closes != 1 {
			c.note("Ended is called before the lane is closed")
		}
		if atEnd != nil {
			atEnd()
		}
	}
	return lane, &client{session: c.session, r: c.r, peer: laneEnd{l: lane}}
}

// reply reads what comes by the connection: the reply and nothing else.
func (c *client) reply(typ byte) {
	c.r.t.Helper()
	got, _, err := next(c.peer)
	if err != nil || got != typ {
		c.r.t.Fatalf("%q, %v by the connection: want the reply %q", got, err, typ)
	}
}

// closedOnce judges a lane whose link has ended.
func (l *fakeLane) closedOnce() {
	l.t.Helper()
	if _, n := l.counts(); n != 1 {
		l.t.Errorf("the lane was closed %d times", n)
	}
}

// The media go by the lane, and all that the session says by the connection.
func TestLane(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		c.play()
		media.want("HCU", units...)
		for range 5 {
			c.say("q")
			c.reply('q')
			units = r.write(20)
			media.want(types("", 20), units...)
		}
		units = r.write(20)
		r.s.End(errOver)
		media.want(types("", 20), units...)
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) {
			t.Error(err)
		}
		lane.closedOnce()
		if typ, _, err := media.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%q, %v by the lane after the end", typ, err)
		}
	})
}

// A lane that takes a little at a time gets all, in order, and without long pauses.
func TestLaneInPortions(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		lane.most = 16 << 10
		c.play()
		media.want("HCU", units...)
		lane.times = nil
		u := r.big(640 << 10)
		r.put(u)
		media.want("U", u)
		if len(lane.times) < 40 {
			t.Fatalf("%d sends", len(lane.times))
		}
		if gap := longest(lane.times); gap > retryFirst+time.Microsecond {
			t.Errorf("a pause of %v between two portions", gap)
		}
		units = r.write(30)
		media.want(types("", 30), units...)
	})
}

// A packet is given to a lane whole, however large it is: a cut would be within a piece.
func TestLaneGetsWholePackets(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		first := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		lane.whole = true
		c.play()
		media.want("HCU", first...)
		var units []*av.AccessUnit
		for range 10 {
			u := r.big(3 * batchBytes)
			r.put(u)
			units = append(units, u)
		}
		media.want(types("", 10), units...)
		if err := c.link.viewer.Ended(); err != nil {
			t.Error(err)
		}
	})
}

// Lanes that are full now and then, among those that are not.
func TestManyLanes(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 0)
		units := r.write(1)
		var all []*client
		for i := range 20 {
			c := g.client(r)
			lane, media := c.divert()
			lane.room = 400 * (i % 5)
			c.play()
			all = append(all, media)
		}
		units = append(units, r.lively(4*time.Second)...)
		var wg sync.WaitGroup
		for _, media := range all {
			wg.Go(func() {
				if err := follow(media.peer, r.enc.Tracks()[0], uint64(len(units)-1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// A lane that takes nothing, or finishes no packet, for the stall timeout ends its link.
func TestLaneStalls(t *testing.T) {
	for _, most := range []int{0, 1} {
		inBubbles(t, func(t *testing.T, g engine) {
			r := newRigOf(t, Options{StallTimeout: 3 * time.Second}, keeping(), pictures(), 0)
			units := r.write(1)
			c, other := g.client(r), g.client(r)
			lane, media := c.divert()
			_, healthy := other.divert()
			other.play()
			c.play()
			media.want("HCU", units...)
			lane.set(func() { lane.most, lane.frozen = most, most == 0 })
			begin := time.Now()
			live := r.lively(3*time.Second - 80*time.Millisecond)
			if c.isOver() {
				t.Fatalf("ended after %v", time.Since(begin))
			}
			live = append(live, r.lively(retryLast+2*sweepEvery)...)
			if !c.isOver() || !errors.Is(c.end(), ErrStalled) {
				t.Fatal("has not ended with ErrStalled")
			}
			if len(c.asked) > 0 {
				t.Error("a farewell for one that takes nothing")
			}
			if sends, _ := lane.counts(); most == 0 && sends > 100 {
				t.Errorf("tried %d times", sends)
			}
			lane.closedOnce()
			if typ, _, err := c.next(); err == nil {
				t.Errorf("%q by the connection", typ)
			}
			healthy.want(types("HCU", len(live)), append(units, live...)...)
		})
	}
}

// One that finishes a packet now and then is not stalled, whether it is full within a packet or between two.
func TestSlowLaneIsNotStalled(t *testing.T) {
	for _, whole := range []bool{false, true} {
		inBubbles(t, func(t *testing.T, g engine) {
			r := newRigOf(t, Options{StallTimeout: 2 * time.Second}, keeping(), pictures(), 0)
			units := r.write(10)
			c := g.client(r)
			lane, media := c.divert()
			lane.room, lane.whole = units[0].Size()+20, whole
			c.play()
			media.want("HC")
			for i, u := range units {
				time.Sleep(1500 * time.Millisecond)
				if c.isOver() {
					t.Fatalf("ended after %d units: %v", i, c.end())
				}
				media.want("U", u)
			}
		})
	}
}

// A portable writer that is behind with a lane that takes all is ended before it has caught up.
func TestLaneKickAmongMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, Options{}, keeping(), pictures(), 0)
		for range 20 {
			r.put(r.big(batchBytes))
		}
		near, far := net.Pipe()
		c := r.join(near, halfPipe{far})
		lane, _ := c.divert()
		lane.onSend = func() { c.cancel(errOver) }
		c.play()
		c.over(errOver)
		if sends, _ := lane.counts(); sends > 2 {
			t.Errorf("%d sends after the end", sends)
		}
	})
}

// A lane's error ends its link with that cause, even where a connection's would mean that the peer has left. The peer is told.
func TestLaneFails(t *testing.T) {
	for _, cause := range []error{errors.New("strange"), syscall.EPIPE, net.ErrClosed, syscall.EAGAIN} {
		for _, begun := range []bool{false, true} {
			each(t, func(t *testing.T, g engine) {
				r := newRig(t, Options{})
				units := r.write(1)
				c, other := g.client(r), g.client(r)
				lane, media := c.divert()
				_, healthy := other.divert()
				c.play()
				other.play()
				media.want("HCU", units...)
				healthy.want("HCU", units...)
				lane.set(func() {
					if begun {
						lane.most = 10
					} else {
						lane.err = cause
					}
				})
				units = r.write(1)
				if begun {
					var head [10]byte
					if _, err := io.ReadFull(media.peer, head[:]); err != nil {
						t.Fatal(err)
					}
					lane.set(func() { lane.err = cause })
				}
				c.over(cause)
				if err := c.end(); !errors.Is(err, cause) {
					t.Errorf("%v, want %v", err, cause)
				}
				lane.closedOnce()
				healthy.want("U", units...)
			})
		}
	}
}

// Replies do not wait for a lane that is full in the middle of a packet.
func TestLaneHoldsUpNoReplies(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		c.play()
		media.want("HCU", units...)
		lane.set(func() { lane.room = 1000 })
		u := r.big(20_000)
		r.put(u)
		time.Sleep(time.Second)
		begin := time.Now()
		c.say("q")
		c.reply('q')
		most := time.Millisecond
		if c.sock != nil {
			most += sweepEvery + retryLast
		}
		if took := time.Since(begin); took > most {
			t.Errorf("answered after %v", took)
		}
		media.want("U", u)
	})
}

// wrongLane says that it took what there is not.
type wrongLane struct {
	*fakeLane
	n int
}

func (l wrongLane) Send(b []byte) (int, error) {
	if l.n < 0 {
		return l.n, nil
	}
	return len(b) + l.n, nil
}

func TestLaneThatCannotCount(t *testing.T) {
	for _, n := range []int{-1, 1} {
		inBubbles(t, func(t *testing.T, g engine) {
			r := newRig(t, Options{})
			r.write(1)
			c := g.client(r)
			lane, _ := c.divert()
			c.link.Divert(wrongLane{lane, n})
			c.play()
			c.over(errLane)
			if err := c.end(); !errors.Is(err, errLane) {
				t.Error(err)
			}
		})
	}
}

// A panic in a lane ends its own link, and the session is told whatever the lane does.
func TestLanePanics(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		bystander := g.client(r)
		_, healthy := bystander.divert()
		bystander.play()
		healthy.want("HCU", units...)
		for _, closing := range []bool{false, true} {
			c := g.client(r)
			lane, media := c.divert()
			if closing {
				lane.onEnd = func() { panic("in Close") }
			} else {
				lane.onSend = func() { panic("in Send") }
			}
			c.play()
			if closing {
				media.want("HC")
				c.cancel(errOver)
				c.over(errOver)
			}
			if err := c.end(); closing && !errors.Is(err, errOver) || !closing && !isPanic(err) {
				t.Errorf("in Close %v: %v", closing, err)
			}
			lane.closedOnce()
			more := r.write(10)
			healthy.want(types("", 10), more...)
		}
		bystander.cancel(errOver)
		_ = bystander.end()
		if n := strings.Count(r.log.String(), "a session panicked"); n != 2 {
			t.Errorf("%d panics were logged", n)
		}
	})
}

// A paused viewer's lane gets nothing, and goes on at the newest key unit.
func TestLanePause(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		_, media := c.divert()
		c.play()
		media.want("HCU", units...)
		c.say("p")
		c.reply('p')
		c.say("q") // what was asked for later is answered: the pause has been noticed
		c.reply('q')
		units = r.write(24) // 1 to 24
		c.say("q")
		c.reply('q')
		c.say("r")
		c.reply('r')
		media.want("UUUUU", units[19:]...) // from 20
		units = r.write(3)
		media.want("UUU", units...)
	})
}

// A pause is no stall, and what it interrupted is not held against the lane.
func TestLaneFullBeforePause(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRigOf(t, Options{StallTimeout: 3 * time.Second}, keeping(), pictures(), 0)
		units := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		c.play()
		media.want("HCU", units...)
		lane.set(func() { lane.frozen = true })
		units = r.write(1)
		time.Sleep(2 * time.Second)
		c.say("p")
		c.reply('p')
		time.Sleep(10 * time.Second)
		c.say("r")
		c.reply('r')
		time.Sleep(2 * time.Second)
		if c.isOver() {
			t.Fatal(c.end())
		}
		lane.set(func() { lane.frozen = false })
		media.want("U", units...)
	})
}

// The peer closes the connection: the lane is closed, once.
func TestLanePeerCloses(t *testing.T) {
	each(t, func(t *testing.T, g engine) {
		for _, full := range []bool{false, true} {
			r := newRig(t, Options{})
			units := r.write(1)
			c := g.client(r)
			lane, media := c.divert()
			c.play()
			media.want("HCU", units...)
			lane.set(func() { lane.frozen = full })
			r.write(2)
			_ = c.peer.Close()
			if err := c.end(); !errors.Is(err, ErrLeft) {
				t.Errorf("%v, want ErrLeft", err)
			}
			lane.closedOnce()
			if len(c.asked) > 0 {
				t.Error("a farewell for one that is gone")
			}
		}
	})
}

// One that is ended in the middle of a packet gets the last words at once: nothing has to be finished.
func TestLaneKick(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		lane, media := c.divert()
		c.play()
		media.want("HCU", units...)
		lane.set(func() { lane.room = 1000 })
		r.put(r.big(20_000))
		time.Sleep(time.Second)
		c.cancel(errOver)
		begin := time.Now()
		c.over(errOver)
		if err := c.end(); !errors.Is(err, errOver) || time.Since(begin) > sweepEvery+retryLast {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		lane.closedOnce()
	})
}

// A link that comes when the Egress has ended closes its lane.
func TestLaneComesTooLate(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		r.stop(errStop)
		<-r.ran
		c := g.client(r)
		lane, _ := c.divert()
		c.play()
		if err := c.end(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		lane.closedOnce()
	})
}

// The end of the Egress ends links with lanes, full or not.
func TestLaneShutdown(t *testing.T) {
	inBubbles(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		r.write(1)
		var lanes []*fakeLane
		var all []*client
		for i := range 10 {
			c := g.client(r)
			lane, _ := c.divert()
			lane.room = 100 * (i % 2)
			lanes, all = append(lanes, lane), append(all, c.play())
			go func() { _, _ = io.Copy(io.Discard, c.peer) }()
		}
		synctest.Wait()
		begin := time.Now()
		r.stop(errStop)
		for i, c := range all {
			if err := c.end(); !errors.Is(err, errStop) {
				t.Error(err)
			}
			lanes[i].closedOnce()
		}
		if <-r.ran; time.Since(begin) > 2*time.Second {
			t.Errorf("after %v", time.Since(begin))
		}
	})
}

// gatedLane is a lane that hangs.
type gatedLane struct {
	*fakeLane
	g *gate
}

func (l gatedLane) Send(b []byte) (int, error) { l.g.pass("lane"); return l.fakeLane.Send(b) }

func (l gatedLane) Close() { l.g.pass("laneClose"); l.fakeLane.Close() }

// detoured gives the client a lane that passes the gate.
func (c *client) detoured(g *gate) *client {
	lane, _ := c.divert()
	c.link.Divert(gatedLane{lane, g})
	return c
}

// A common link must not pay for what few have: there are tens of thousands.
func TestLinkIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Link{}); size > 224 { // a size class of the allocator
		t.Errorf("a link has %d bytes", size)
	}
	if at := unsafe.Offsetof(Link{}.viewer); at > 128 {
		t.Errorf("what a walk looks at spans %d bytes", at)
	}
}

// What a lane takes costs no memory.
func TestLaneAllocations(t *testing.T) {
	l := &Link{}
	l.Divert(&countingLane{})
	b := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { _, _ = l.divert(b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

type countingLane struct{ n int }

func (l *countingLane) Send(b []byte) (int, error) { l.n += len(b); return len(b), nil }
func (l *countingLane) Close()                     {}
