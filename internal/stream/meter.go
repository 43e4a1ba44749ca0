package stream

import (
	"sync/atomic"
	"time"
)

// meter counts units and bytes and keeps their rate over about the last second. One goroutine adds, any may read.
type meter struct {
	units, bytes atomic.Uint64
	rate         atomic.Pointer[rate]

	since              time.Time // the adder's
	lastUnits, lastSum uint64
}

// rate is what a meter measured over a span that ended at.
type rate struct {
	units, bytes float64 // a second
	at           time.Time
}

// staleRate is how long a measured rate stands for the present.
const staleRate = 3 * time.Second

func (m *meter) add(size int, now time.Time) {
	units, sum := m.units.Add(1), m.bytes.Add(uint64(size)) //nolint:gosec // sizes are not negative
	if m.since.IsZero() {
		m.since = now
	}
	if span := now.Sub(m.since); span >= time.Second {
		s := span.Seconds()
		m.rate.Store(&rate{units: float64(units-m.lastUnits) / s, bytes: float64(sum-m.lastSum) / s, at: now})
		m.since, m.lastUnits, m.lastSum = now, units, sum
	}
}

// read returns units and bytes a second, 0 when nothing came for a while.
func (m *meter) read() (units, bytes float64) {
	r := m.rate.Load()
	if r == nil || time.Since(r.at) > staleRate {
		return 0, 0
	}
	return r.units, r.bytes
}
