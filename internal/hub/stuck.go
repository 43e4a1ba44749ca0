package hub

import (
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
	"github.com/vigil-media/vigil/internal/wedge"
)

// What is done about a publisher whose unit does not get through its stream, because something that is given the unit hangs: the key is
// freed, with a new stream for who comes next. Whoever is in the old one stays there, and nobody is sent after it.

// A key whose stream hangs for the second time within strikeSpan is refused to publishers for quarantine: what hangs on what they send
// would do so again, and each time keeps a goroutine.
const (
	strikeSpan = time.Minute
	quarantine = 30 * time.Second
	strikesMax = 1024 // keys that are remembered; beyond that, the one that hung longest ago is forgotten
)

// strike is when the stream of a key hung last, and until when the key is refused, on the hub's clock.
type strike struct{ at, until int64 }

// pen is what an owner writes with.
type pen struct {
	*stream.Publisher
	live *broadcast
}

// declare is Declare, which takes the stream's lock.
func (p *pen) declare(video, audio bool) {
	p.live.enter()
	defer p.live.exit()
	p.Declare(video, audio)
}

// ending is added to the number of those who are in a stream when it is to end.
const ending = 1 << 40

// enter notes that somebody is in the stream, who may hang there and have its lock. It costs one atomic operation.
func (b *broadcast) enter() { b.inside.Add(1) }

// exit notes that somebody has come out: who does what others have left undone. The last one ends the stream, if it is to end.
func (b *broadcast) exit() {
	if b.inside.Add(-1) == ending {
		b.stream.End(b.why)
	}
	b.closeLate()
}

// closeLate closes the viewers that were left to those who were in the stream. As a rule there are none, and nothing is written.
func (b *broadcast) closeLate() {
	if b.late.Load() == nil {
		return
	}
	for late := b.late.Swap(nil); late != nil; late = late.next {
		late.viewer.Close()
	}
}

// latecomer is a viewer that is to be closed by whoever comes out of its stream next.
type latecomer struct {
	viewer *stream.Viewer
	next   *latecomer
}

// end ends the stream, or leaves that to those who are in it: it takes the stream's lock, and nobody who ends streams may wait for one that
// hangs. It is called once.
func (b *broadcast) end(cause error) {
	b.why = cause
	if b.inside.Add(ending) == ending {
		b.stream.End(cause)
	}
}

// watch is the stream's Watch. A muxer that hangs in it hangs the stream.
func (b *broadcast) watch(key any, mux func() stream.Muxer) (*stream.Viewer, error) {
	if b.stuck.Load() || b.hangs() {
		return nil, ErrStuck
	}
	b.enter()
	defer b.exit()
	return b.stream.Watch(key, mux)
}

// close closes a viewer of the broadcast. It takes the stream's lock, so that it is left to those who are in the stream, if there are any:
// who sends to viewers of many streams calls it.
func (b *broadcast) close(w *stream.Viewer) {
	if b.inside.Load()%ending == 0 {
		w.Close()
		return
	}
	n := &latecomer{viewer: w, next: b.late.Load()}
	for !b.late.CompareAndSwap(n.next, n) {
		n.next = b.late.Load()
	}
	if b.inside.Load()%ending == 0 { // they have come out meanwhile, perhaps before they could see it
		b.closeLate()
	}
}

// hangs says whether the broadcast's newest publisher seems to hang in the stream. It is known of those who are watched.
func (b *broadcast) hangs() bool {
	l := b.writer.Load()
	return l != nil && l.hangs() >= stalledFor
}

// hangs returns for how long the lease's writer has been in the stream.
func (l *Lease) hangs() time.Duration {
	if l.cell == nil || l.step.Load()%2 == 0 {
		return 0
	}
	busy := l.cell.Busy()
	if l.step.Load()%2 == 0 { // it was another lease's by then
		return 0
	}
	return busy
}

// What the writer of a lease is doing. It decides who gives the lease's cell back.
const (
	resting  int32 = 0
	writing  int32 = 1 // a unit
	returned int32 = 2 // the cell was given back
	left     int32 = 3 // writing, though the lease has been left: it gives the cell back when it has written
)

// hand gives a unit to the stream.
func (l *Lease) hand(p *pen, u *av.AccessUnit) error {
	if l.cell != nil && l.step.CompareAndSwap(resting, writing) {
		l.cell.Begin()
		defer l.handed()
	}
	p.live.enter()
	defer p.live.exit()
	wedge.At(wedge.Fanout)
	return p.Write(u)
}

func (l *Lease) handed() {
	l.cell.End()
	if !l.step.CompareAndSwap(writing, resting) {
		l.step.Store(returned)
		l.cell.Free()
	}
}

// unwatch gives the lease's cell back, or leaves that to the writer if it is just writing. Any goroutine may call it, any number of times.
func (l *Lease) unwatch() {
	if l.cell == nil || l.dropped.Swap(true) {
		return
	}
	for {
		if l.step.CompareAndSwap(resting, returned) {
			l.cell.Free()
			return
		}
		l.cell.Abandon() // before the writer may free it
		if l.step.CompareAndSwap(writing, left) {
			return
		}
	}
}

// heal gives up the stream that the lease's writer hangs in. The healer calls it.
func (l *Lease) heal(watch.Finding) {
	busy := l.hangs()
	if busy < watch.Fanout.Limits().Act {
		return // it goes on
	}
	h, cause := l.hub, stuckFor(busy)
	h.change(func(then *aftermath) {
		refused := h.condemn(l, cause, then)
		if p := h.paths[l.session.Key]; p != nil && p.live == l.publisher.Load().live {
			p.giveUp(cause, refused, then)
		}
	})
	l.unwatch()
}

// condemn ends the publisher of l, whose writer hangs, and all who watch what it hangs in. It returns why publishers are to be refused, or
// nil. Under mu.
func (h *Hub) condemn(l *Lease, cause error, then *aftermath) (refused error) {
	b := l.publisher.Load().live
	if !b.stuck.Swap(true) { // or else another one hangs in it, who was found before
		if k := l.session.Key; !k.ofProbe() {
			refused = h.strike(k)
		}
		h.events.add(Event{Kind: Stuck, Session: l.session.info(), Epoch: l.epoch.Load(), Cause: cause, Viewers: b.viewers})
		h.endViewers(l.session.Key, b, cause, then)
	}
	h.leave(l.session) // its goroutine hangs, and is not to count against who comes next
	then.add(func() { l.session.end(cause) })
	return refused
}

// stuckFor is the cause with which all end who have to do with a stream that hangs.
func stuckFor(d time.Duration) error {
	return fmt.Errorf("%w: a unit has not got through for %v", ErrStuck, d.Round(time.Second))
}

// endViewers ends those who watch a broadcast that hangs, or are about to: its own end may never come. Under mu.
func (h *Hub) endViewers(k Key, b *broadcast, cause error, then *aftermath) {
	if b.viewers == 0 {
		return
	}
	p := h.paths[k]
	for s := range h.sessions {
		if s.action == ActionPlay && s.Key == k && (p != nil && p.live == b || s.viewing != nil && s.viewing.live == b) {
			end := s.end
			then.add(func() { end(cause) })
		}
	}
}

// giveUp ends the broadcast, which hangs. Whoever challenges the owner or stands by goes on with another, unless publishers are to be
// refused.
func (p *path) giveUp(cause, refused error, then *aftermath) {
	p.clear(cause, then)
	p.dropGone(then)
	switch {
	case refused != nil:
		p.refuseRivals(refused, then)
		if p.standby != nil {
			p.standby.free(refused, true, then)
		}
	case len(p.rivals) > 0:
		p.crown(then)
	}
	p.forget()
}

// clear takes the owner and the broadcast, which hangs, out of the way of who comes next.
func (p *path) clear(cause error, then *aftermath) {
	p.live.stream.Publish()     // nobody: who is in it is fenced
	if o := p.lease; o != nil { // perhaps one that has displaced the one that hangs, and hangs behind it
		o.unpublished(cause)
		o.lostAt, p.lease = p.hub.now.Load(), nil
		then.add(func() { o.session.end(cause) })
	}
	p.cut(cause, then)
}

// avoid is for one who is about to go on with a broadcast: if that hangs, it gets another.
func (p *path) avoid(then *aftermath) {
	if p.live == nil || !p.live.hangs() {
		return
	}
	l := p.live.writer.Load()
	cause := stuckFor(l.hangs())
	_ = p.hub.condemn(l, cause, then) // who is let in already is not refused
	p.clear(cause, then)
}

// strike notes that the stream of a key hangs, and returns why the key is refused from now on, or nil if it is not. Under mu.
func (h *Hub) strike(k Key) error {
	now := h.now.Load()
	s, known := h.strikes[k]
	if known && now-s.at <= int64(strikeSpan) {
		s.until = h.after(quarantine)
	}
	if !known && len(h.strikes) >= strikesMax {
		oldest := k
		for other, o := range h.strikes {
			if oldest == k || o.at < h.strikes[oldest].at {
				oldest = other
			}
		}
		delete(h.strikes, oldest)
	}
	s.at = now
	h.strikes[k] = s
	return h.quarantined(k)
}

// quarantined returns why publishers are refused a key whose streams hang, or nil. Under mu.
func (h *Hub) quarantined(k Key) error {
	if h.now.Load() < h.strikes[k].until {
		return fmt.Errorf("%w: for %v, since its streams hang", ErrQuarantined, quarantine)
	}
	return nil
}

// pardon forgets the strikes that mean nothing any more. Under mu.
func (h *Hub) pardon() {
	for k, s := range h.strikes {
		if now := h.now.Load(); now >= s.until && now-s.at > int64(strikeSpan) {
			delete(h.strikes, k)
		}
	}
}

// stalls says whether somebody has been in the stream for so long that it may hang. Under mu.
func (p *path) stalls() bool {
	return p.live.inside.Load() > 0 && (p.lease == nil || !p.lease.well())
}

// silence is the cause with which an owner ends that has completed no unit for too long.
func (l *Lease) silence() error {
	if d := l.hangs(); d >= stalledFor {
		return stuckFor(d)
	}
	return l.hub.silence()
}
