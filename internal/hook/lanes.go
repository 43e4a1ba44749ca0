package hook

import (
	"sync"
	"time"
)

// queueBytes bounds the memory of the notifications of one hook that wait. Peers choose what stands in them.
const queueBytes = 64 << 20

// note is a notification that waits.
type note struct {
	lane  string // notes of a lane are sent one after the other
	body  *body
	until time.Time    // then it is given up
	then  func(answer) // nil: the answer is of no interest. It does not wait
}

func (n *note) size() int {
	const rest = 256 // about what it takes besides
	return len(n.body.text) + len(n.lane) + rest
}

// lanes are the notifications of a hook that wait: a queue for each lane, of which as many are worked on at a time as there are places.
// They outlive configurations, so that the order of what waits does. The methods are safe for concurrent use.
type lanes struct {
	mu      sync.Mutex // guards what follows; memory only
	most    int        // notes
	places  int        // workers
	queues  map[string][]note
	ready   []string // lanes with notes that nobody works on, the first to be ready first
	waiting int      // notes, those that are being sent included
	bytes   int      // of them
	working int      // workers
	dropped uint64
}

func newLanes() *lanes { return &lanes{queues: map[string][]note{}} }

// limit says how many notes may wait, and how many are sent at a time. What waits already stays.
func (l *lanes) limit(most, places int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.places = most, places
}

// add queues a note. It says whether another worker is to be started, who calls next until there is nothing left; and whether the note had to be
// dropped.
func (l *lanes) add(n note) (start, dropped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := n.size()
	if l.waiting >= l.most || l.bytes+size > queueBytes {
		l.dropped++
		return false, true
	}
	l.waiting++
	l.bytes += size
	queue, busy := l.queues[n.lane]
	l.queues[n.lane] = append(queue, n)
	if !busy {
		l.ready = append(l.ready, n.lane)
	}
	if start = l.working < l.places && len(l.ready) > 0; start {
		l.working++
	}
	return start, false
}

// hire says whether another worker is to be started for what has waited while there could be none.
func (l *lanes) hire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working >= min(l.places, len(l.ready)) {
		return false
	}
	l.working++
	return true
}

// leave notes that a worker has ended, or was not started.
func (l *lanes) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working--
}

// next returns the first note of a lane that nobody works on. ok is false if there is none, or no place for the worker any more: then it has
// ended.
func (l *lanes) next() (n note, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) == 0 || l.working > l.places {
		l.working--
		return n, false
	}
	name := l.ready[0]
	l.ready = l.ready[1:]
	return l.queues[name][0], true
}

// done takes the first note of a lane away, which its worker has sent or given up.
func (l *lanes) done(n note, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !sent {
		l.dropped++
	}
	l.waiting--
	l.bytes -= n.size()
	queue := l.queues[n.lane]
	queue[0] = note{} // what it holds is garbage now
	if queue = queue[1:]; len(queue) == 0 {
		delete(l.queues, n.lane)
		return
	}
	l.queues[n.lane] = queue
	l.ready = append(l.ready, n.lane)
}

// has says whether notes of a lane wait.
func (l *lanes) has(lane string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.queues[lane]
	return has
}

// figures are how many notes wait, and how many have been dropped.
func (l *lanes) figures() (waiting int, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting, l.dropped
}
