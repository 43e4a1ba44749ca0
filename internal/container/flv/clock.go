package flv

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	near      = 10_000  // ms: steps of up to this are sought by narrower counters
	millisMax = 1 << 42 // ms, 139 years: beyond, a publisher only means to make the count overflow
)

// Milliseconds returns d as a tag's time, rounded; it wraps after 49.7 days.
func Milliseconds(d time.Duration) uint32 {
	return uint32(av.Ticks(d, 1000)) //nolint:gosec // to wrap is meant
}

// clock continues the 32 bits of the tags' times to a count without end. Audio and video share one.
//
// Some encoders count in 31 bits (FFmpeg: the FLV time stamp is signed) or 24 (no extended time stamp). Where 32 bits
// make a leap and so few bits make a small step, the small step is right; should it be wrong after all, then a leap
// that the stream would have smoothed anyway has become a step.
type clock struct {
	last    int64
	started bool
}

func (c *clock) millis(v uint32) int64 {
	n := av.Unwrap(c.last, uint64(v), 32)
	if c.started && !c.near(n) {
		for _, bits := range [...]uint{31, 24} {
			if m := av.Unwrap(c.last, uint64(v), bits); v < 1<<bits && c.near(m) {
				n = m
				break
			}
		}
	}
	if n > millisMax || n < -millisMax {
		n = int64(v)
	}
	c.last, c.started = n, true
	return n
}

func (c *clock) near(n int64) bool { return n-c.last <= near && c.last-n <= near }
