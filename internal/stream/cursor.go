package stream

import (
	"context"
	"sync/atomic"
	"time"
)

// cursor is a reader's position in a ring. One goroutine may use it; its counters may be read by any.
type cursor[T any] struct {
	ring    *ring[T]
	next    uint64 // number of the next item to take
	live    uint64 // head when the reader joined: what is before it is backlog that it may take late
	failed  error  // ErrTooSlow or ErrNoKey, for good
	needKey bool   // skip until a key item

	recent int32 // jumps in the minute since window
	window time.Time
	since  time.Time     // when needKey was set
	skips  atomic.Uint64 // jumps in all
	missed atomic.Uint64 // items that were jumped over
}

// keyWait is how long a reader waits for a key item while others come, before it gets ErrNoKey.
const keyWait = 30 * time.Second

// join places the cursor on the newest key item, or makes it wait for the next.
func (c *cursor[T]) join() {
	r := c.ring
	c.live = r.head.Load()
	if key := r.key.Load(); key > r.tail.Load() {
		c.next = key - 1
		return
	}
	c.awaitKey(c.live)
}

// awaitKey makes the cursor skip what comes from head on, until a key item.
func (c *cursor[T]) awaitKey(head uint64) {
	c.next, c.needKey, c.since = head, true, time.Now()
}

// foundKey moves a cursor that waits for a key item to the newest, and says whether one has come. Else it skips what
// is there, and nothing more: what is appended meanwhile is for the next call to judge.
func (c *cursor[T]) foundKey() bool {
	head := c.ring.head.Load() // before key, lest a key item that is appended in between be passed over
	if key := c.ring.key.Load(); key > c.next {
		c.next, c.needKey = key-1, false
		return true
	}
	if c.next != head && time.Since(c.since) > keyWait {
		c.failed = ErrNoKey
	}
	c.next = head
	return false
}

// peek returns the next item, or nil when there is none yet. It holds the whole policy for readers that cannot keep up:
// one whose item is gone, or who is more than MaxLag behind while a newer key item exists, jumps forward to
// the newest key item (or waits for the next); after MaxSkips jumps within a minute it gets ErrTooSlow, and ErrNoKey when it
// has waited for a key item for keyWait. The flag tells of a jump since the last item.
func (c *cursor[T]) peek() (it *item[T], jumped bool, err error) {
	r := c.ring
	for {
		if c.failed != nil {
			return nil, jumped, c.failed
		}
		if c.needKey && !c.foundKey() {
			return nil, jumped, c.failed
		}
		if c.next == r.head.Load() {
			return nil, jumped, nil
		}
		it = r.at(c.next)
		if it != nil && !c.late(it) {
			return it, jumped, nil
		}
		jumped = true
		c.jump()
	}
}

func (c *cursor[T]) late(it *item[T]) bool {
	return c.next >= c.live && c.ring.key.Load() > c.next+1 && time.Since(it.at) > c.ring.opt.MaxLag
}

func (c *cursor[T]) jump() {
	r, from := c.ring, c.next
	head := r.head.Load() // before key, as in foundKey
	if key := r.key.Load(); key > r.tail.Load() && key > from+1 {
		c.next = key - 1
	} else {
		c.awaitKey(head)
	}
	c.live = c.next
	c.skips.Add(1)
	c.missed.Add(c.next - from)
	now := time.Now()
	if now.Sub(c.window) > time.Minute {
		c.window, c.recent = now, 0
	}
	if c.recent++; int(c.recent) > r.opt.MaxSkips {
		c.failed = ErrTooSlow
	}
}

// wait blocks until an item is there, and returns it like peek. It returns the ring's end cause after the last item, the
// context's cause when that ends.
func (c *cursor[T]) wait(ctx context.Context) (*item[T], bool, error) {
	jumped := false
	for {
		it, j, err := c.peek()
		jumped = jumped || j
		if it != nil || err != nil {
			return it, jumped, err
		}
		ended, wake := c.ring.ended.Load(), c.ring.waiter()
		if it, j, err = c.peek(); it != nil || err != nil { // appended before we asked to be woken
			return it, jumped || j, err
		}
		jumped = jumped || j
		if ended != nil {
			return nil, jumped, *ended
		}
		if c.ring.ended.Load() != nil {
			continue // ended meanwhile: look once more for last items
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, jumped, context.Cause(ctx)
		}
	}
}
