package stream

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// item is one entry of a ring. It is immutable.
type item[T any] struct {
	value  T
	seq    uint64
	tracks []*av.Track   // of the stream as of this item
	dts    time.Duration // media time
	at     time.Time     // when it was appended
	size   int           // bytes that it counts for
	key    bool          // a reader may start here
}

// ring is a bounded log with one writer and any number of readers, which take no lock. Sequence numbers count from 0;
// the ring holds those in [tail, head). The writer overwrites; readers notice by the number in the item.
type ring[T any] struct {
	opt   Options
	most  int                                       // slots
	slots atomic.Pointer[[]atomic.Pointer[item[T]]] // a power of two of them; replaced by more when all are taken
	head  atomic.Uint64
	tail  atomic.Uint64
	key   atomic.Uint64 // sequence number of the newest key item plus 1; 0: none yet
	bytes int64         // the writer's, and so is
	bound int64         // how many there may be: as many as the options say, or fewer while memory is short
	read  atomic.Bool   // there may be readers that are late: Keep is for them
	ended atomic.Pointer[error]

	mu   sync.Mutex
	wake chan struct{} // closed by flush; nil while nobody waits
}

// slotsMin is how many slots a ring begins with: most streams never need more.
const slotsMin = 256

func newRing[T any](o Options) *ring[T] {
	r := &ring[T]{opt: o, bound: o.Bytes, most: 1 << bits.Len(uint(max(o.Units, 2)-1))}
	slots := make([]atomic.Pointer[item[T]], min(r.most, slotsMin))
	r.slots.Store(&slots)
	return r
}

// slot returns the place of the item with the given number. A reader that has seen by head that the item is there gets
// the slots that it was put into, or later ones: the slots are replaced before head counts what only the new ones hold.
func (r *ring[T]) slot(seq uint64) *atomic.Pointer[item[T]] {
	return slotOf(*r.slots.Load(), seq)
}

func slotOf[T any](slots []atomic.Pointer[item[T]], seq uint64) *atomic.Pointer[item[T]] {
	return &slots[seq&uint64(len(slots)-1)]
}

// at returns the item with the given number, or nil if the ring does not hold it (any more).
func (r *ring[T]) at(seq uint64) *item[T] {
	if it := r.slot(seq).Load(); it != nil && it.seq == seq {
		return it
	}
	return nil
}

// append adds an item. Readers see it at once but those that wait are only woken by flush. Writer only.
func (r *ring[T]) append(it item[T]) {
	it.seq = r.head.Load()
	r.room()
	r.slot(it.seq).Store(&it)
	if it.key {
		r.key.Store(it.seq + 1)
	}
	r.head.Store(it.seq + 1)
	r.bytes += int64(it.size)
	r.trim(it.seq, it.dts, it.at)
}

// room makes room for one more item: by twice as many slots when all are taken, or, when there may be no more, by forgetting
// the oldest item. Readers that still look at the slots before find there what they held. Writer only.
func (r *ring[T]) room() {
	slots, head, tail := *r.slots.Load(), r.head.Load(), r.tail.Load()
	switch {
	case head-tail < uint64(len(slots)):
	case len(slots) == r.most:
		r.evict()
	default:
		more := make([]atomic.Pointer[item[T]], 2*len(slots))
		for seq := tail; seq < head; seq++ {
			slotOf(more, seq).Store(slotOf(slots, seq).Load())
		}
		r.slots.Store(&more)
	}
}

// trim forgets what is beyond the bounds, and what neither a newcomer nor a reader that is a little late can want:
// items before the newest key item that came longer ago than Keep. Their media time does not count: after a stall of
// its network an encoder sends seconds of media at once, which readers must have a chance to take. While there are none,
// the newest key item is the oldest.
func (r *ring[T]) trim(newest uint64, dts time.Duration, now time.Time) {
	for tail := r.tail.Load(); tail < newest; tail++ {
		oldest := r.at(tail)
		surplus := r.bytes > r.bound || dts-oldest.dts > r.opt.Age
		key := r.key.Load()
		young := now.Sub(oldest.at) <= r.opt.Keep && (r.read.Load() || key <= tail)
		wanted := young || key == tail+1 // where a newcomer starts
		if wanted && !surplus {
			return
		}
		r.evict()
	}
}

// squeeze makes bytes the bound, or what the options say if that is less, or if bytes are 0. What is beyond it is forgotten at once,
// as if the newest item were appended again. Writer only.
func (r *ring[T]) squeeze(bytes int64) {
	r.bound = r.opt.Bytes
	if bytes > 0 {
		r.bound = min(bytes, r.bound)
	}
	if head := r.head.Load(); r.bytes > r.bound {
		newest := r.at(head - 1)
		r.trim(newest.seq, newest.dts, newest.at)
	}
}

func (r *ring[T]) evict() {
	tail := r.tail.Load()
	r.bytes -= int64(r.at(tail).size)
	r.tail.Store(tail + 1)
	r.slot(tail).Store(nil)
}

// flush wakes the readers that wait.
func (r *ring[T]) flush() {
	r.mu.Lock()
	ch := r.wake
	r.wake = nil
	r.mu.Unlock()
	if ch != nil {
		close(ch)
	}
}

// end makes readers that have taken everything return cause. Later calls do nothing.
func (r *ring[T]) end(cause error) {
	if r.ended.CompareAndSwap(nil, &cause) {
		r.flush()
	}
}

// waiter returns a channel that the next flush closes. Look at head and ended after the call, before waiting.
func (r *ring[T]) waiter() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return r.wake
}
