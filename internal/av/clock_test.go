package av

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The clocks that streams really have: RTP and MPEG-TS video, audio, FLV.
var rates = []int64{1_000, 8_000, 44_100, 48_000, 90_000, 192_000}

// TestTicksUndoesDuration: a count of ticks survives the way through media time, at every rate of up to 500 MHz.
func TestTicksUndoesDuration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.OneOf(rapid.SampledFrom(rates), rapid.Int64Range(1, 500_000_000)).Draw(t, "rate")
		most := int64(math.MaxInt64/time.Second-1) * rate // 292 years, or what 63 bits hold
		if rate > int64(time.Second)/2 {
			most = math.MaxInt64 / 2
		}
		ticks := rapid.Int64Range(-most, most).Draw(t, "ticks")
		if got := Ticks(Duration(ticks, rate), rate); got != ticks {
			t.Fatalf("%d ticks at %d Hz became %d", ticks, rate, got)
		}
	})
}

// TestDurationNearTicks: media time survives the way through ticks up to half a tick, and later stays later.
func TestDurationNearTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom(rates).Draw(t, "rate")
		d := time.Duration(rapid.Int64Range(-1<<52, 1<<52).Draw(t, "d"))
		half := int64(time.Second)/(2*rate) + 1
		if diff := int64(d - Duration(Ticks(d, rate), rate)); diff > half || diff < -half {
			t.Fatalf("%v at %d Hz is off by %d ns", d, rate, diff)
		}
		if more := d + time.Duration(rapid.Int64Range(0, 1<<32).Draw(t, "more")); Ticks(more, rate) < Ticks(d, rate) {
			t.Fatalf("ticks of %v are before those of %v", more, d)
		}
	})
}

func TestRounding(t *testing.T) {
	for _, tc := range []struct {
		ticks, rate int64
		want        time.Duration
	}{
		{0, 90_000, 0},
		{1, 90_000, 11_111},
		{-1, 90_000, -11_111},
		{2, 90_000, 22_222},
		{5, 90_000, 55_556},
		{90_000, 90_000, time.Second},
		{-90_000, 90_000, -time.Second},
		{1_024, 44_100, 23_219_955},
		{1_024, 48_000, 21_333_333},
		{3_003, 90_000, 33_366_667},
		{1, 1_000, time.Millisecond},
		{1 << 33, 90_000, 95_443_717_688_889}, // the end of MPEG-TS time
	} {
		if got := Duration(tc.ticks, tc.rate); got != tc.want {
			t.Errorf("%d ticks at %d Hz: %d ns, want %d", tc.ticks, tc.rate, got, tc.want)
		}
	}
	for _, tc := range []struct {
		d    time.Duration
		want int64
	}{
		{499_999, 0}, {500_000, 1}, {-499_999, 0}, {-500_000, -1}, {33_366_667, 33}, {time.Hour, 3_600_000},
	} {
		if got := Ticks(tc.d, 1_000); got != tc.want {
			t.Errorf("%v: %d ms, want %d", tc.d, got, tc.want)
		}
	}
}

func TestUnwrap(t *testing.T) {
	for _, tc := range []struct {
		name string
		prev int64
		v    uint64
		bits uint
		want int64
	}{
		{"step", 100, 140, 32, 140},
		{"back", 140, 100, 32, 100},
		{"same", 7, 7, 32, 7},
		{"RTP sequence wraps", 65_535, 0, 16, 65_536},
		{"RTP sequence, late packet", 65_536, 65_535, 16, 65_535},
		{"RTP sequence, third round", 2<<16 + 10, 9, 16, 2<<16 + 9},
		{"half a round ahead counts as behind", 0, 32_768, 16, -32_768},
		{"just less than that", 0, 32_767, 16, 32_767},
		{"RTP time wraps", math.MaxUint32 - 1, 3_000, 32, 1<<32 + 3_000},
		{"below zero", 0, math.MaxUint32, 32, -1},
		{"from below zero", -1, 39, 32, 39},
		{"MPEG-TS PTS wraps", 1<<33 - 1, 0, 33, 1 << 33},
		{"MPEG-TS PTS, B frame across the wrap", 1 << 33, 1<<33 - 3_003, 33, 1<<33 - 3_003},
		{"one bit", 4, 1, 1, 3},
		{"63 bits", 5, 6, 63, 6},
	} {
		if got := Unwrap(tc.prev, tc.v, tc.bits); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// TestUnwrapFollows: a count whose steps are less than half a round is followed exactly, whatever its beginning.
func TestUnwrapFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := uint(rapid.IntRange(2, 48).Draw(t, "bits"))
		half := int64(1) << (bits - 1)
		count := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "count")
		for _, step := range rapid.SliceOf(rapid.Int64Range(1-half, half-1)).Draw(t, "steps") {
			prev := count
			count += step
			if got := Unwrap(prev, uint64(count)&(1<<bits-1), bits); got != count {
				t.Fatalf("%d bits, from %d: %d, want %d", bits, prev, got, count)
			}
		}
	})
}
