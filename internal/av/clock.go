package av

import "time"

// Duration converts a count of ticks of a clock with rate ticks per second to media time, rounded to the nearest
// nanosecond. Ticks undoes it exactly for every rate of up to 500 MHz. rate must be positive.
func Duration(ticks, rate int64) time.Duration {
	s, rest := ticks/rate, ticks%rate
	return time.Duration(s)*time.Second + time.Duration(roundDiv(rest*int64(time.Second), rate))
}

// Ticks converts media time to ticks of a clock with rate ticks per second, rounded to the nearest tick.
func Ticks(d time.Duration, rate int64) int64 {
	s, rest := int64(d/time.Second), int64(d%time.Second)
	return s*rate + roundDiv(rest*rate, int64(time.Second))
}

// roundDiv divides and rounds half away from zero. b is positive.
func roundDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b/2) / b)
	}
	return (a + b/2) / b
}

// Unwrap continues prev, a count without bounds, with v, the low bits of the next count, by serial arithmetic
// (RFC 1982): of the counts with these low bits it returns the one nearest to prev. bits is 1 to 63.
func Unwrap(prev int64, v uint64, bits uint) int64 {
	unused := 64 - bits
	return prev + int64(v-uint64(prev))<<unused>>unused //nolint:gosec // extends the sign of the difference
}
