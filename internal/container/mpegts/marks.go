package mpegts

import "sync/atomic"

const (
	marksMost   = 64
	markValid   = 1 << 63
	markCounter = stampBits
	markVersion = stampBits + 8
)

// marks remember the tables that were written lately: when, their version, and their counters. So newcomers, who begin anywhere in
// what is kept for them, get tables which the next ones continue. One goroutine adds, any may look.
type marks struct {
	all  [marksMost]atomic.Uint64 // 33 bits of time, 4 of either counter, 5 of the version
	next atomic.Uint32
}

// mark is one emission of tables.
type mark struct {
	at       int64 // ticks, 33 bits
	pat, pmt byte  // counters of the first packets
	version  byte
}

func (m *marks) add(k mark) {
	v := markValid | uint64(k.at)&(1<<stampBits-1) | uint64(k.pat&15)<<markCounter | uint64(k.pmt&15)<<(markCounter+4) | //nolint:gosec // low bits
		uint64(k.version)<<markVersion
	n := m.next.Load()
	m.all[n%marksMost].Store(v)
	m.next.Store(n + 1)
}

// find returns the newest tables at or before at. ok is false if there are none any more.
func (m *marks) find(at int64) (k mark, ok bool) {
	n := m.next.Load()
	for i := range uint32(marksMost) {
		v := m.all[(n-1-i)%marksMost].Load()
		if v == 0 {
			break
		}
		// Serial arithmetic: by how much the mark is later than at.
		if later := int64(v-uint64(at)) << (64 - stampBits); later > 0 { //nolint:gosec // extends the sign of the difference
			continue
		}
		return mark{
			at: int64(v & (1<<stampBits - 1)), pat: byte(v >> markCounter & 15), pmt: byte(v >> (markCounter + 4) & 15),
			version: byte(v >> markVersion & 31),
		}, true
	}
	return k, false
}
