package egress

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shard sends to the viewers whose sockets it owns. Its goroutine, the pilot's, is the only one that touches them. Whenever the pilot
// is away, all is such that another can go on from there (forsake).
type shard struct {
	egress *Egress
	number int
	wake   chan struct{} // of one poke
	load   atomic.Int64  // links, those that are on their way included

	mu     sync.Mutex // guards what follows; memory only
	due    []*group   // that have something which should not wait
	taken  []*Link    // that are new
	lulled bool       // it lets some time pass and looks by itself then: it is woken for newcomers only
	closed bool

	// The goroutine's.
	now       instant
	boarding  []*Link  // of taken, those that have yet to be served
	swept     int      // of links, how many this sweep has looked at
	links     []*Link  // all
	groups    []*group // all
	full      []*Link  // whose sockets are, or who have had enough for one turn
	dues      []*group // what due was, to be filled again
	interval  time.Duration
	scanAt    instant // when to look at all groups again
	retryAt   instant // when to try full sockets again
	sweepAt   instant // when to listen to peers again
	pilot     *pilot
	served    int           // in this turn
	began     instant       // when this turn did, or the last
	busy      time.Duration // in turns since busyFrom
	busyFrom  instant
	busyShare float64 // of the span before

	gauge
}

func newShard(e *Egress, number int) *shard {
	s := &shard{egress: e, number: number, wake: make(chan struct{}, 1)}
	s.pilot = newPilot(s)
	return s
}

// poke has the shard look for work. It never waits.
func (s *shard) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wake implements stream.Waker.
func (g *group) Wake(at time.Time, prompt bool) {
	s := g.shard
	now := s.egress.instant(at)
	if !g.pace.note(now, prompt || s.egress.opt.AudioHold == 0) {
		return // the shard knows, or it is nothing that cannot wait until it looks by itself
	}
	s.mu.Lock()
	s.asked(now)
	s.due = append(s.due, g)
	lulled := s.lulled
	s.mu.Unlock()
	if !lulled {
		s.poke()
	}
}

// take makes a link the shard's.
func (s *shard) take(l *Link) {
	l.index, l.place = -1, -1
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.taken = append(s.taken, l)
	}
	s.mu.Unlock()
	if closed {
		s.refuse(l)
		return
	}
	s.poke()
}

// refuse ends a link that comes too late. The shard has no goroutine any more.
func (s *shard) refuse(l *Link) {
	if cancel := s.forget(l, playing); cancel != nil {
		cancel()
	}
	l.phase = over
	s.egress.release(l, ErrClosed, false)
}

// run has p serve until ctx ends.
func (s *shard) run(ctx context.Context, p *pilot) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer s.shut(ctx, p)
	s.busy, s.busyFrom = 0, s.egress.now()
	for ctx.Err() == nil {
		pause := s.turn()
		var tick <-chan time.Time
		switch {
		case pause == 0:
			runtime.Gosched()
			continue
		case len(s.links)+len(s.full) > 0: // else it needs no clock
			timer.Reset(pause)
			tick = timer.C
		}
		select {
		case <-s.wake:
		case <-tick:
			continue
		case <-ctx.Done():
			continue
		}
		s.gather(ctx, timer)
	}
	return nil
}

// gather has a shard that is busy, and went round a moment ago, wait a little for more to go round with. To go round for each
// of many streams by itself costs half as much again: what the kernel needs for a send has left the processor's caches by
// then. The fewer streams, the less there is to gain. Newcomers do not wait.
func (s *shard) gather(ctx context.Context, timer *time.Timer) {
	least := min(time.Duration(s.busyShare*float64(gatherShare)), gatherMost)
	if n := time.Duration(len(s.groups)); n > 0 {
		least -= least / n
	}
	pause := s.began.add(least).until(s.egress.now())
	if pause == 0 {
		return
	}
	s.lull(true)
	timer.Reset(pause)
	s.greet(ctx, timer)
	s.lull(false)
}

// greet takes newcomers in until the timer fires.
func (s *shard) greet(ctx context.Context, timer *time.Timer) {
	for {
		s.now = s.egress.now()
		s.pilot.begin(s.now)
		s.adopt()
		s.pilot.end()
		select {
		case <-s.wake:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lull says whether only newcomers are to wake the shard. To be woken for every stream costs more than to go round for it.
func (s *shard) lull(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lulled = on
}

// turn does what is to be done now, and returns after how long there will be something else if nobody pokes. What is not
// sending, to listen and to take newcomers in, has stepTime in each turn, and goes on in the next.
func (s *shard) turn() time.Duration {
	begin := s.egress.now()
	s.excuse(begin)
	s.now, s.served, s.began = begin, 0, begin
	s.pilot.begin(begin)
	s.adopt()
	s.serveDue()
	if s.now >= s.scanAt || len(s.groups) <= lookAhead { // of a few streams, it spares the timer
		s.scan()
	}
	if len(s.full) > 0 && s.now >= s.retryAt {
		s.retry()
	}
	if s.now >= s.sweepAt {
		s.sweep()
	}
	if len(s.links) == 0 {
		s.interval, s.busyShare = 0, 0 // whatever it was busy with is gone
		s.spread.Store(0)
	}
	end := s.egress.now()
	s.busy += time.Duration(end - begin)
	s.turned(time.Duration(end-begin), len(s.full))
	s.pilot.end()
	s.now = end
	next := min(s.scanAt, s.sweepAt)
	if len(s.full) > 0 {
		next = min(next, s.retryAt)
	}
	if len(s.boarding) > 0 {
		next = s.now
	}
	return next.until(s.now)
}

// excuse grants all peers the time in which the process itself did not run: it is no proof that they take nothing.
func (s *shard) excuse(now instant) {
	away := time.Duration(now - s.now)
	if len(s.links) > 0 && away >= awayLeast {
		s.grant(away)
	}
}

// grant gives all peers so much more time.
func (s *shard) grant(away time.Duration) {
	for _, l := range s.links {
		if l.fullSince != 0 {
			l.fullSince = l.fullSince.add(away)
		}
		l.limit = l.limit.add(away)
	}
}

// adopt begins to serve links that are new.
func (s *shard) adopt() {
	s.mu.Lock()
	s.boarding = append(s.boarding, s.taken...)
	s.taken = nil
	s.mu.Unlock()
	for end := s.now.add(stepTime); len(s.boarding) > 0 && s.now < end; s.now = s.egress.now() {
		s.board(s.first())
	}
}

// first takes the first from those who wait to be served.
func (s *shard) first() *Link {
	l := s.boarding[0]
	s.boarding[0] = nil
	s.boarding = s.boarding[1:]
	return l
}

func (s *shard) board(l *Link) {
	g := l.group
	l.index = int32(len(s.links)) //nolint:gosec // bounded by the descriptors
	s.links = append(s.links, l)
	if g.cancel == nil && l.ctx.Err() == nil { // what it was ended for may be what a subscription would wait for
		s.subscribe(l)
	}
	l.place = int32(len(g.links)) //nolint:gosec // the same
	g.links = append(g.links, l)
	if s.look(l); l.phase == playing && l.retryAt == 0 {
		s.serve(l)
	}
}

// subscribe has the share of a group's first viewer wake the group.
func (s *shard) subscribe(l *Link) {
	g, p := l.group, s.pilot
	p.away(l) // the stream's lock may be held by a muxer that hangs
	p.undo = l.viewer.Subscribe(&bell{g})
	p.back(l)
	g.cancel, p.undo = p.undo, nil
	s.groups = append(s.groups, g)
}

// serveDue goes round the groups that have something which should not wait.
func (s *shard) serveDue() {
	s.mu.Lock()
	s.due, s.dues = s.dues[:0], s.due
	s.answered()
	s.mu.Unlock()
	for _, g := range s.dues {
		switch at := g.pace.due(s.pause(), s.egress.opt.AudioHold); {
		case at == 0: // it has been sent already
		case at <= s.now:
			s.walk(g)
		default:
			s.scanAt = min(s.scanAt, at)
		}
	}
	clear(s.dues)
}

// pause is how long the shard waits between two sends to a group.
func (s *shard) pause() time.Duration { return max(s.interval, s.egress.opt.MergeWindow) }

// scan goes round the groups whose time has come, and notes when the next one's will. A unit that comes after this is
// held at least until then, or pokes.
func (s *shard) scan() {
	s.scanAt = s.now.add(scanEvery)
	if hold := s.egress.opt.AudioHold; hold > 0 {
		s.scanAt = s.now.add(min(scanEvery, hold))
	}
	for i := 0; i < len(s.groups); i++ {
		g := s.groups[i]
		if len(g.links) == g.left && g.cancel == nil {
			s.groups = slices.Delete(s.groups, i, i+1)
			i--
			continue
		}
		switch at := g.pace.due(s.pause(), s.egress.opt.AudioHold); {
		case at == 0:
		case at <= s.now:
			s.walk(g)
		default:
			s.scanAt = min(s.scanAt, max(at, s.now.add(holdGrain)))
		}
	}
}

// walk serves the viewers of a group, another one first each time.
func (s *shard) walk(g *group) {
	g.pace.sent(s.now)
	g.compact()
	n := len(g.links)
	if n == 0 {
		return
	}
	g.first = (g.first + yieldEvery) % n
	s.round(g.links[g.first:])
	s.round(g.links[:g.first])
}

// round serves those links that want to be. It looks at some before it serves them: then the processor fetches them from
// memory side by side, while between two system calls it would wait for each.
func (s *shard) round(links []*Link) {
	var want [lookAhead]*Link
	for some := range slices.Chunk(links, lookAhead) {
		n := 0
		for _, l := range some {
			if l != nil && l.retryAt == 0 {
				want[n] = l
				n++
			}
		}
		behind := 0
		for _, l := range want[:n] {
			if l.viewer.Behind() {
				want[behind] = l
				behind++
			}
		}
		for _, l := range want[:behind] {
			s.serve(l)
			s.breathe()
		}
	}
}

const lookAhead = 16

// compact closes the gaps that those who left have left.
func (g *group) compact() {
	if g.left == 0 {
		return
	}
	g.links = slices.DeleteFunc(g.links, func(l *Link) bool { return l == nil })
	g.left = 0
	for i, l := range g.links {
		l.place = int32(i) //nolint:gosec // bounded by the descriptors
	}
}

// breathe lets others run now and then.
func (s *shard) breathe() {
	if s.served++; s.served%yieldEvery != 0 {
		return
	}
	s.now = s.egress.now()
	if s.now >= instant(s.beat.Load()).add(yieldAfter) {
		s.pilot.end() // one that has others run does not hang, however many they are
		runtime.Gosched()
		back := s.egress.now()
		s.busy -= time.Duration(back - s.now)
		s.now = back
		s.pilot.begin(back)
	}
}

// retry serves the links whose sockets were full, as far as their time has come.
func (s *shard) retry() {
	s.retryAt = s.now.add(retryLast)
	full := s.full
	s.full = s.full[:0]
	for i, l := range full {
		switch {
		case l.retryAt == 0: // it was ended, or is served again
			l.waiting = false
		case l.retryAt > s.now:
			s.full = append(s.full, l)
			s.retryAt = min(s.retryAt, l.retryAt)
		default:
			full[i] = nil
			l.waiting = false
			s.again(l)
			s.breathe()
		}
	}
	clear(full[len(s.full):])
}

// sweep listens to the peers, and looks which links are to end.
func (s *shard) sweep() {
	for end := s.now.add(stepTime); s.swept < len(s.links); s.now = s.egress.now() {
		if s.now >= end {
			return // the next turn goes on
		}
		l := s.links[s.swept]
		s.look(l)
		if s.swept < len(s.links) && s.links[s.swept] == l {
			s.swept++ // else another has taken its place
		}
	}
	s.swept, s.sweepAt = 0, s.now.add(sweepEvery)
	s.judge()
}

// judge lengthens the interval when the shard is too busy, and shortens it again when it is not.
func (s *shard) judge() {
	span := time.Duration(s.now - s.busyFrom)
	if span < busySpan {
		return
	}
	share := float64(s.busy) / float64(span)
	s.busy, s.busyFrom, s.busyShare = 0, s.now, share
	s.share.Store(math.Float64bits(share))
	before := s.interval
	switch {
	case share > busyHigh && before < intervalMax:
		s.interval = max(intervalMin, 2*before)
		s.egress.log.Warn("overloaded: viewers are sent more at a time, less often", "shard", s.number, "interval", s.interval)
	case share < busyLow && before > 0:
		if s.interval /= 2; s.interval < intervalMin {
			s.interval = 0
			s.egress.log.Info("no longer overloaded: viewers are sent pictures at once", "shard", s.number)
		}
	}
	s.spread.Store(int64(s.interval))
}

// shut ends all links, unless p was deposed: then that is another's business.
func (s *shard) shut(ctx context.Context, p *pilot) {
	if p.deposed() {
		return
	}
	p.begin(s.egress.now())
	cause := context.Cause(ctx)
	for s.enough() {
		for len(s.boarding) > 0 {
			s.close(s.first(), cause)
			s.breathe()
		}
		for len(s.links) > 0 {
			l := s.links[len(s.links)-1]
			s.dismiss(l, cause)
			s.close(l, cause)
			s.breathe()
		}
	}
	p.end()
	p.cell.Free()
}

// enough takes the last newcomers, and says whether there is any link to be ended. If not, no more are taken.
func (s *shard) enough() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boarding = append(s.boarding, s.taken...)
	s.taken = nil
	s.closed = len(s.boarding)+len(s.links) == 0
	return !s.closed
}
