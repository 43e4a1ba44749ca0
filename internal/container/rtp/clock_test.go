package rtp

import (
	"math"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const second = time.Second

func ntpOf(d time.Duration) uint64 { return ntpTime(time.Unix(1_700_000_000, 0).Add(d)) }

func TestNTP(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	n := ntpTime(at)
	if n>>32 != uint64(at.Unix())+2_208_988_800 || uint32(n) != 1<<31 {
		t.Errorf("%x", n)
	}
	if d := ntpDuration(n) - ntpDuration(ntpTime(at.Add(-1500*time.Millisecond))); (d - 1500*time.Millisecond).Abs() > 2 {
		t.Errorf("%v", d)
	}
}

// TestClock: medias are apart by arrival, then by what reports say.
func TestClock(t *testing.T) {
	for _, tc := range []struct {
		name  string
		apart time.Duration // by the reports, of sound against pictures, which came at once
		want  time.Duration
	}{
		{"agree", 0, 0},
		{"a little", 9 * time.Millisecond, 0},
		{"later", 150 * time.Millisecond, 150 * time.Millisecond},
		{"earlier", -800 * time.Millisecond, -800 * time.Millisecond},
		{"nonsense", 11 * second, 0},
		{"nonsense, earlier", -time.Hour, 0},
	} {
		for _, soundFirst := range []bool{false, true} {
			var c Clock
			v, a := c.join(90_000), c.join(8000)
			v.start(1000, 7*second)
			a.start(5000, 7*second)
			v0, a0 := v.time(1000), a.time(5000)
			report := []func(){func() { v.report(ntpOf(0), 1000) }, func() { a.report(ntpOf(tc.apart), 5000) }}
			if soundFirst {
				report[0], report[1] = report[1], report[0]
			}
			for range 3 {
				report[0]()
				report[1]()
			}
			v1, a1 := v.time(1000), a.time(5000)
			if d := (a1 - v1) - tc.want; d.Abs() > time.Microsecond {
				t.Errorf("%s: apart by %v", tc.name, a1-v1)
			}
			if v1 < v0 || a1 < a0 {
				t.Errorf("%s: a media went back: %v to %v, %v to %v", tc.name, v0, v1, a0, a1)
			}
			if v0 != 0 || a0 != 0 || v.time(91_000)-v1 != second || a.time(13_000)-a1 != second {
				t.Errorf("%s: %v %v %v %v", tc.name, v0, a0, v.time(91_000), a.time(13_000))
			}
		}
	}
}

// TestClockArrival: a media that comes later is later.
func TestClockArrival(t *testing.T) {
	var c Clock
	v, a := c.join(90_000), c.join(48_000)
	v.start(0, 3*second)
	a.start(0, 3200*time.Millisecond)
	if v.time(0) != 0 || a.time(0) != 200*time.Millisecond {
		t.Errorf("%v, %v", v.time(0), a.time(0))
	}
	v.report(0, 0) // no time at all
	a.report(ntpOf(0), 0)
	if a.time(0) != 200*time.Millisecond {
		t.Errorf("a report without time moved it to %v", a.time(0))
	}
}

// TestClockToAndFro: a sender whose reports move its medias to and fro is not believed.
func TestClockToAndFro(t *testing.T) {
	var c Clock
	v, a := c.join(90_000), c.join(8000)
	v.start(0, 0)
	a.start(0, 50*time.Millisecond)
	for i := range 50 {
		v.report(ntpOf(0), 0)
		a.report(ntpOf(time.Duration(i%2)*second), 0)
	}
	if d := a.time(0) - v.time(0); d != 50*time.Millisecond {
		t.Errorf("apart by %v", d)
	}
	if v.time(0) > 10*second {
		t.Errorf("time went to %v", v.time(0))
	}
}

// TestClockEnds: no count of ticks makes time go wild.
func TestClockEnds(t *testing.T) {
	var c Clock
	l := c.join(1000)
	l.start(0, 0)
	for _, ticks := range []int64{math.MaxInt64, math.MinInt64, 1 << 60, -1 << 60, 0} {
		if d := l.time(ticks); d > timeMax || d < -timeMax {
			t.Errorf("%d ticks are %v", ticks, d)
		}
		l.report(math.MaxUint64, ticks)
	}
}

// TestDecodingTimes: of pictures whose reordering is known from the beginning.
func TestDecodingTimes(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tc := range []struct {
		name     string
		depth    int
		pts, dts []int
		shown    []int // nil: as pts
	}{
		{"none", 0, []int{0, 40, 80, 120}, []int{0, 40, 80, 120}, nil},
		{"one", 1, []int{0, 120, 40, 80, 240, 160, 200}, []int{-40, 0, 40, 80, 120, 160, 200}, nil},
		{"pyramid", 2, []int{0, 160, 80, 40, 120, 320, 240, 200, 280}, []int{-80, -40, 0, 40, 80, 120, 160, 200, 240}, nil},
		{"not told", 0, []int{0, 120, 40, 80, 240, 160, 200, 360}, []int{0, 120, 121, 122, 123, 160, 200, 240}, []int{0, 120, 121, 122, 240, 160, 200, 360}},
		{"constant", 0, []int{5, 5, 5}, []int{5, 6, 7}, []int{5, 6, 7}},
		{"forward", 1, []int{0, 40, 20_000, 20_040, 20_080}, []int{-40, 0, 19_960, 20_000, 20_040}, nil},
		{"backward", 1, []int{10_000, 10_040, 10_080, 3000, 3040}, []int{9960, 10_000, 10_040, 2960, 3000}, nil},
	} {
		d := decoder{depth: tc.depth, step: pictureStep}
		for i, pts := range tc.pts {
			want := pts
			if tc.shown != nil {
				want = tc.shown[i]
			}
			if dts, shown := d.next(ms(pts)); dts != ms(tc.dts[i]) || shown != ms(want) {
				t.Errorf("%s, picture %d: DTS %v PTS %v, want %d and %d", tc.name, i, dts, shown, tc.dts[i], want)
			}
		}
	}
}

// TestReorderDepth reads it from parameter sets of libx264 and libx265.
func TestReorderDepth(t *testing.T) {
	for _, tc := range []struct {
		codec av.Codec
		sets  []string
		want  int
	}{
		{av.H264, []string{"6764000aacb208f60220000003002000000641e244c9", "68ebc3cb22c0"}, 0}, // no B pictures
		{av.H264, []string{"6764001facd9405005bb016c80000003008000001e078c18cb", "68ebc3cb22c0"}, 2},
		{av.H264, []string{"6742c00ad9047b011000000300100000030320f1226480", "68ebc3cb22c0"}, 0},
		{av.H265, []string{"42010101600000030090000003000003001ea02083165959ae4caf016808000003000800000300c840", "4401c173d089"}, 2},
	} {
		tr := &av.Track{Codec: tc.codec, Sets: [][]byte{unhex(tc.sets[0]), unhex(tc.sets[1])}}
		if got := reorderDepth(tr); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.codec, got, tc.want)
		}
	}
}
