package segment

import (
	"testing"
	"time"
)

func TestWallclock(t *testing.T) {
	const frame = 40 * time.Millisecond
	for _, c := range []struct {
		name string
		late func(dts time.Duration) time.Duration // that a unit comes
		at   time.Duration                         // when that is looked at
		want time.Duration                         // by which the clock says that units are late
		by   time.Duration                         // that it may be wrong by
	}{
		{"in time", func(time.Duration) time.Duration { return 0 }, time.Hour, 0, 0},
		{"late as ever", func(time.Duration) time.Duration { return time.Second }, time.Minute, time.Second, 0},
		{"now and then late", func(d time.Duration) time.Duration { return d % (5 * frame) * 2 }, time.Minute, 0, 5 * time.Millisecond},
		{"late at first", func(d time.Duration) time.Duration {
			if d < time.Second {
				return 1500 * time.Millisecond
			}
			return 0
		}, 2 * time.Second, 0, 0},
		{"very late at first", func(d time.Duration) time.Duration {
			if d < time.Second {
				return time.Minute
			}
			return 0
		}, 2 * time.Second, 0, 0},
		{"a pause that stamps do not tell", func(d time.Duration) time.Duration {
			if d > 15*time.Second {
				return 4 * time.Second
			}
			return 0
		}, 45 * time.Second, 4 * time.Second, 0},
		{"a burst after a pause", func(d time.Duration) time.Duration {
			if d > 15*time.Second && d < 19*time.Second {
				return 19*time.Second - d
			}
			return 0
		}, 18 * time.Second, 0, 0},
		{"a clock that is slow by 100 ppm", func(d time.Duration) time.Duration { return d / 10_000 }, time.Hour, 360 * time.Millisecond, 20 * time.Millisecond},
		{"a clock that is fast by 100 ppm", func(d time.Duration) time.Duration { return -d / 10_000 }, time.Hour, -360 * time.Millisecond, time.Millisecond},
		{"a clock that is slow by 1 %", func(d time.Duration) time.Duration { return d / 100 }, time.Minute, 600 * time.Millisecond, 500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w wallclock
			for d := time.Duration(0); d <= c.at; d += frame {
				w.note(began.Add(d+c.late(d)), d)
			}
			if got := w.at(c.at).Sub(began.Add(c.at)); (got - c.want).Abs() > c.by {
				t.Errorf("late by %v, want %v", got, c.want)
			}
		})
	}
}
