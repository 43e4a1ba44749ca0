package log

import (
	"strings"
	"sync"
)

// Bounds of what is kept in memory.
const (
	recentLines = 2000
	recentBytes = 1 << 20
)

// recent is the newest lines, in memory, whatever becomes of the sinks: a ring of bytes, and where in it each line ends. mu is a
// leaf and guards memory only.
type recent struct {
	mu    sync.Mutex
	bytes []byte   // the line that ends at e is bytes[e-len:e], both modulo the size of the ring
	ends  []uint64 // of the lines, a ring too; in bytes since the start
	first uint64   // number of the oldest line that is kept
	next  uint64   // number of the next line
	tail  uint64   // where the oldest begins, in bytes since the start
	head  uint64   // where the next begins
}

func newRecent(lines, bytes int) *recent {
	return &recent{bytes: make([]byte, bytes), ends: make([]uint64, lines)}
}

// push keeps a copy of line, which ends with its only newline, and forgets the oldest, as far as there is no room. It allocates nothing.
func (r *recent) push(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := len(r.bytes)
	if len(line) > most {
		line = line[len(line)-most:] // the newline stays
	}
	size := uint64(len(line))
	for r.first < r.next && (r.next-r.first == uint64(len(r.ends)) || r.head+size-r.tail > uint64(most)) {
		r.tail = r.ends[r.first%uint64(len(r.ends))]
		r.first++
	}
	at := int(r.head % uint64(most)) //nolint:gosec // less than most
	copy(r.bytes, line[copy(r.bytes[at:], line):])
	r.head += size
	r.ends[r.next%uint64(len(r.ends))] = r.head
	r.next++
}

// last gives the newest lines, at most n, the oldest of them first, without their newlines. Memory is allocated before the lock is
// taken, because those who log wait for it.
func (r *recent) last(n int) []string {
	if n = min(n, len(r.ends)); n <= 0 {
		return nil
	}
	r.mu.Lock()
	size := int(r.head - r.begin(n)) //nolint:gosec // at most the size of the ring
	r.mu.Unlock()
	b := make([]byte, size)

	r.mu.Lock()
	for size = len(b) + 1; size > len(b); n-- { // lines that have come meanwhile may be longer: then fewer
		size = int(r.head - r.begin(n)) //nolint:gosec // at most the size of the ring
	}
	at := int((r.head - uint64(size)) % uint64(len(r.bytes))) //nolint:gosec // less than the size of the ring
	b = b[:size]
	copy(b[copy(b, r.bytes[at:]):], r.bytes)
	r.mu.Unlock()
	if size == 0 {
		return nil
	}
	return strings.Split(string(b[:size-1]), "\n")
}

// begin is where the newest n lines begin, in bytes since the start.
func (r *recent) begin(n int) uint64 {
	if n <= 0 {
		return r.head
	}
	if uint64(n) >= r.next-r.first {
		return r.tail
	}
	return r.ends[(r.next-uint64(n)-1)%uint64(len(r.ends))]
}
