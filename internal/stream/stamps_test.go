package stream

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/av"
)

var modes = []StampMode{Relative, Absolute, Receive}

func TestStampModeValidate(t *testing.T) {
	for _, m := range modes {
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, m := range []StampMode{"", "2", "Relative"} {
		if m.Validate() == nil {
			t.Errorf("%q is a mode", m)
		}
	}
}

// judge looks at what a timeline makes of units: no track goes back, tracks stay near each other, PTS follows DTS within bounds.
type judge struct {
	timeline
	made time.Time
	last map[int]time.Duration
	all  time.Duration // the greatest DTS so far
}

// place is timeline's, judged.
func (j *judge) place(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, u *av.AccessUnit, now time.Time,
) (corrected bool) {
	t.Helper()
	if j.last == nil {
		j.made, j.last = now, map[int]time.Duration{}
	}
	in, forward := *u, maxForward
	if j.started {
		forward = j.forward(now.Sub(j.made))
	}
	corrected = j.timeline.place(u, now.Sub(j.made))
	before, known := j.last[u.Track.ID]
	switch {
	case u.DTS < 0:
		t.Fatalf("DTS %v becomes %v", in.DTS, u.DTS)
	case known && (u.DTS < before || u.DTS == before && u.Track.Kind() != av.Data):
		t.Fatalf("%v: DTS %v becomes %v after %v", u.Track.Kind(), in.DTS, u.DTS, before)
	case j.mode == Receive && u.DTS%ms != 0:
		t.Fatalf("%v becomes %v", in.DTS, u.DTS)
	case u.PTS < u.DTS || u.PTS-u.DTS > maxReorder:
		t.Fatalf("PTS %v, DTS %v", u.PTS, u.DTS)
	case len(j.last) > 0 && j.mode != Receive && u.DTS > j.all+forward+minStep:
		t.Fatalf("%v: DTS %v becomes %v, the newest was %v", u.Track.Kind(), in.DTS, u.DTS, j.all)
	case len(j.last) > 0 && u.DTS < j.all-maxForward-maxDrift && j.mode != Receive:
		t.Fatalf("%v: DTS %v becomes %v, far behind the others at %v", u.Track.Kind(), in.DTS, u.DTS, j.all)
	}
	j.last[u.Track.ID], j.all = u.DTS, max(j.all, u.DTS)
	return corrected
}

// take is a unit of a scene: what was captured at a time, with the stamp that a broken encoder gives it.
type take struct {
	track   *av.Track
	at, dts time.Duration
}

// scene makes what an encoder with the given pictures a second and sound captures in a span, with stamps as clock makes them.
func scene(fps int, from, to time.Duration, clock func(tr *av.Track, at time.Duration) time.Duration) (takes []take) {
	picture, frame := from, from
	step := second / time.Duration(fps)
	for n := 0; picture < to || frame < to; {
		tr, at := videoTrack, picture
		if frame < picture {
			n++
			tr, at = audioTrack, frame
			frame = from + time.Duration(n)*1024*second/48000
		} else {
			picture += step
		}
		takes = append(takes, take{tr, at, clock(tr, at).Truncate(ms)})
	}
	return takes
}

// later gives sound its share of a jump some units after the pictures got theirs.
func later(tr *av.Track, at time.Duration) time.Duration {
	if tr == audioTrack {
		return at - 70*ms
	}
	return at
}

// jumps is a clock that begins at start and is moved by what the function says.
func jumps(start time.Duration, by func(at time.Duration) time.Duration) func(*av.Track, time.Duration) time.Duration {
	return func(tr *av.Track, at time.Duration) time.Duration { return start + at + by(later(tr, at)) }
}

func once(by time.Duration) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		if at > 5*second {
			return by
		}
		return 0
	}
}

func toAndFro(by time.Duration) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		if at/second%2 == 0 {
			return 0
		}
		return by
	}
}

// wraps is a clock that wraps after 5 seconds.
func wraps(span time.Duration) func(*av.Track, time.Duration) time.Duration {
	return func(_ *av.Track, at time.Duration) time.Duration { return (span - 5*second + at) % span }
}

// Whatever an encoder's clock does, sound and pictures go on, each without going back, and are together again afterwards (cards C04,
// N05, T03).
func TestStampsOfBrokenClocks(t *testing.T) {
	const length = 20 * second
	const tooFast = "pictures ten times too fast" // nothing tells which of the two is right
	const unix = 1_760_000_000 * second
	onlyVideo := func(by func(time.Duration) time.Duration) func(*av.Track, time.Duration) time.Duration {
		return func(tr *av.Track, at time.Duration) time.Duration {
			if tr == videoTrack {
				return at + by(at)
			}
			return at
		}
	}
	for _, tc := range []struct {
		name    string
		fps     int
		clock   func(*av.Track, time.Duration) time.Duration
		apart   time.Duration // sound and pictures, at the end
		correct int           // corrections, in all; -1: some
	}{
		{"right", 25, jumps(0, once(0)), ms, 0},
		{"wall clock", 25, jumps(unix, once(0)), ms, 0},
		{"1 fps", 1, jumps(0, once(0)), ms, 0},
		{"1000 fps", 1000, jumps(0, once(0)), ms, 0},
		{"+1 s", 25, jumps(hour, once(second)), ms, 0},
		{"-1 s", 25, jumps(hour, once(-second)), 20 * ms, 2},
		{"+1 h", 25, jumps(hour, once(hour)), 20 * ms, 2},
		{"-1 h", 25, jumps(2*hour, once(-hour)), 20 * ms, 2},
		{"+24 h", 25, jumps(hour, once(24*hour)), 20 * ms, 2},
		{"-24 h", 25, jumps(25*hour, once(-24*hour)), 20 * ms, 2},
		{"+24 h at 1 fps", 1, jumps(hour, once(24*hour)), 20 * ms, 2},
		{"+24 h at 1000 fps", 1000, jumps(hour, once(24*hour)), 20 * ms, 2},
		{"wall clock back by a year", 25, jumps(unix, once(-365*24*hour)), 20 * ms, 2},
		{"+-10 s", 25, jumps(hour, toAndFro(10*second)), 250 * ms, -1},
		{"+-1 h", 25, jumps(hour, toAndFro(hour)), 250 * ms, -1},
		{"wrap of 32 bits of milliseconds", 25, wraps(1 << 32 * ms), 20 * ms, 2},
		{"wrap of 33 bits at 90 kHz", 25, wraps(av.Duration(1<<33, 90_000)), 20 * ms, 2},
		{"constant", 25, func(*av.Track, time.Duration) time.Duration { return hour }, second, -1},
		{"constant sound", 25, func(tr *av.Track, at time.Duration) time.Duration {
			if tr == audioTrack {
				return hour
			}
			return hour + at
		}, maxForward + second, -1},
		{"pictures to and fro, sound not", 25, onlyVideo(toAndFro(9 * second)), maxForward + second, -1},
		{tooFast, 25, onlyVideo(func(at time.Duration) time.Duration { return 9 * at }), maxForward + second, -1},
		{"pictures ahead once more each second", 25, onlyVideo(func(at time.Duration) time.Duration {
			return 9 * at.Truncate(second)
		}), maxForward + 2*second, -1},
	} {
		for _, mode := range modes {
			t.Run(tc.name+" "+string(mode), func(t *testing.T) {
				j, began, fixed := judge{timeline: timeline{mode: mode}}, time.Now(), 0
				skew, worst := map[int]time.Duration{}, time.Duration(0)
				for _, u := range scene(tc.fps, 0, length, tc.clock) {
					unit := &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.dts}
					if j.place(t, unit, began.Add(u.at)) {
						fixed++
						if u.track == audioTrack && u.dts == u.at.Truncate(ms) && tc.name != tooFast {
							t.Fatalf("sound, which is right, is corrected at %v", u.at)
						}
					}
					skew[u.track.ID] = unit.DTS - u.at
					if len(skew) == 2 {
						worst = max(worst, (skew[videoTrack.ID] - skew[audioTrack.ID]).Abs())
					}
					if late := skew[u.track.ID]; mode == Receive && late.Abs() > maxDrift+second {
						t.Fatalf("a unit of %v becomes %v", u.at, unit.DTS)
					}
				}
				if apart := (skew[videoTrack.ID] - skew[audioTrack.ID]).Abs(); apart > tc.apart {
					t.Errorf("sound and pictures are %v apart", apart)
				}
				if most := 2*maxForward + second; worst > most {
					t.Errorf("sound and pictures were %v apart", worst)
				}
				if tc.correct >= 0 && fixed != tc.correct || tc.correct < 0 && fixed == 0 {
					t.Errorf("%d corrections, want %d", fixed, tc.correct)
				}
			})
		}
	}
}

// Stamps of an encoder whose clock is right come out as they went in.
func TestAbsoluteStamps(t *testing.T) {
	for _, tc := range []struct {
		name        string
		first, next time.Duration // clock of a publisher, and, at 10 s, of the one that follows it
		gap         time.Duration // between them
		want        time.Duration // where the second begins
	}{
		{"the clock goes on", hour, hour, 3 * second, hour + 13*second},
		{"the clock goes on, after ten minutes", hour, hour, 600 * second, hour + 610*second},
		{"a wall clock goes on", 1 << 60, 1 << 60, 60 * second, 1<<60 + 70*second},
		{"a clock that starts again", hour, -13 * second, 3 * second, hour + 9960*ms + defaultStep},
		{"another clock, far ahead", hour, 2 * hour, 3 * second, hour + 9960*ms + defaultStep},
		{"the same stamps again", hour, hour - 13*second, 3 * second, hour + 9960*ms + defaultStep},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, began := judge{timeline: timeline{mode: Absolute}}, time.Now()
			for at := time.Duration(0); at < 10*second; at += 40 * ms {
				u := &av.AccessUnit{Track: videoTrack, DTS: tc.first + at, PTS: tc.first + at}
				if j.place(t, u, began.Add(at)) || u.DTS != tc.first+at {
					t.Fatalf("%v becomes %v", tc.first+at, u.DTS)
				}
			}
			j.restart()
			at := 10*second + tc.gap
			for i := range 10 {
				dts := tc.next + at + time.Duration(i)*40*ms
				u := &av.AccessUnit{Track: videoTrack, DTS: dts, PTS: dts}
				if want := tc.want + time.Duration(i)*40*ms; j.place(t, u, began.Add(at)) || u.DTS != want {
					t.Fatalf("%v becomes %v, want %v", dts, u.DTS, want)
				}
			}
		})
	}
	for _, dts := range []time.Duration{math.MaxInt64, -hour} { // neither is a time
		var j judge
		j.mode = Absolute
		if u := (&av.AccessUnit{Track: videoTrack, DTS: dts, PTS: dts}); j.place(t, u, time.Now()) || u.DTS != 0 {
			t.Errorf("%v becomes %v", dts, u.DTS)
		}
	}
}

// An encoder whose clock has jumped goes on by the offset that it got, also when it comes back, unless its clock is right again by then.
func TestAbsoluteStampsAfterJump(t *testing.T) {
	j, now := judge{timeline: timeline{mode: Absolute}}, time.Now()
	place := func(dts, want time.Duration) {
		t.Helper()
		u := &av.AccessUnit{Track: videoTrack, DTS: dts, PTS: dts}
		if j.place(t, u, now); u.DTS != want {
			t.Errorf("%v becomes %v, want %v", dts, u.DTS, want)
		}
		now = now.Add(40 * ms)
	}
	place(hour, hour)
	place(hour+40*ms, hour+40*ms)
	place(80*ms, hour+80*ms)
	j.restart()
	now = now.Add(3 * second)
	place(3*second, hour+3*second)
	j.restart()
	now = now.Add(3 * second)
	place(hour+6*second, hour+6*second)
}

// A track that has paused, and comes back with another clock, is where the others are.
func TestStampsAfterPauseOfOneTrackOverJump(t *testing.T) {
	for _, pause := range []time.Duration{5 * second, 30 * second} {
		var j judge
		began := time.Now()
		for at := time.Duration(0); at <= pause; at += 40 * ms {
			j.place(t, &av.AccessUnit{Track: videoTrack, DTS: at, PTS: at}, began.Add(at))
			if at == 0 {
				j.place(t, &av.AccessUnit{Track: audioTrack}, began)
			}
		}
		u := &av.AccessUnit{Track: audioTrack, DTS: hour, PTS: hour}
		if j.place(t, u, began.Add(pause)); u.DTS != pause {
			t.Errorf("after %v sound is at %v", pause, u.DTS)
		}
	}
}

// A track whose stamps are far behind the others' does not pull the clock to and fro.
func TestReceiveStampsOfTracksApart(t *testing.T) {
	j, began := judge{timeline: timeline{mode: Receive}}, time.Now()
	last := -40 * ms
	for _, u := range scene(25, 0, 20*second, func(tr *av.Track, at time.Duration) time.Duration {
		if tr == audioTrack {
			return hour + at - 1800*ms
		}
		return hour + at
	}) {
		unit := &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.dts}
		j.place(t, unit, began.Add(u.at))
		if u.track == videoTrack {
			if step := unit.DTS - last; (step - 40*ms).Abs() > 2*ms {
				t.Fatalf("at %v a step of %v", u.at, step)
			}
			last = unit.DTS
		} else if late := u.at - unit.DTS; late > maxDrift {
			t.Fatalf("sound of %v is at %v", u.at, unit.DTS)
		}
	}
}

// The time of a pause counts: what did not come for a minute may have stamps that are a minute later.
func TestStampsAfterPause(t *testing.T) {
	for _, mode := range modes {
		j, began := judge{timeline: timeline{mode: mode}}, time.Now()
		for _, span := range [][2]time.Duration{{0, second}, {61 * second, 62 * second}} {
			for _, u := range scene(25, span[0], span[1], func(_ *av.Track, at time.Duration) time.Duration { return at }) {
				unit := &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.dts}
				if j.place(t, unit, began.Add(u.at)) || (unit.DTS-u.dts).Abs() > ms || mode != Receive && unit.DTS != u.dts {
					t.Fatalf("%s: %v becomes %v", mode, u.dts, unit.DTS)
				}
			}
		}
	}
}

// A publisher that follows goes on where the one before was, whatever its clock is, with sound and pictures together.
func TestStampsOfSplices(t *testing.T) {
	for _, mode := range modes {
		for _, start := range []time.Duration{0, hour, 2 * hour, -hour, math.MaxInt64 / 2} {
			t.Run(string(mode)+" "+start.String(), func(t *testing.T) {
				j, began := judge{timeline: timeline{mode: mode}}, time.Now()
				skew := map[int]time.Duration{}
				for i, from := range []time.Duration{0, 10 * second, 25 * second} {
					clock := hour
					if i > 0 {
						j.restart()
						clock = start
					}
					before := j.all
					for _, u := range scene(25, from, from+10*second, jumps(clock-from, once(0))) {
						unit := &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.dts}
						if j.place(t, unit, began.Add(u.at)) {
							t.Fatalf("%v is corrected to %v", u.dts, unit.DTS)
						}
						if i > 0 && unit.DTS <= before {
							t.Fatalf("%v: a unit of the next publisher at %v, of the one before at %v", u.track.Kind(), unit.DTS, before)
						}
						skew[u.track.ID] = unit.DTS - u.at
					}
					if apart := (skew[videoTrack.ID] - skew[audioTrack.ID]).Abs(); apart > 10*ms {
						t.Errorf("sound and pictures are %v apart", apart)
					}
				}
			})
		}
	}
}

// By Receive, stamps follow the time of arrival, smoother than that is, and sound and pictures stay together.
func TestReceiveStamps(t *testing.T) {
	const length = 10 * time.Minute
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	jitter := func(at time.Duration) time.Duration { return at + time.Duration(random.Int64N(int64(80*ms))) }
	for _, tc := range []struct {
		name   string
		rate   float64 // of the encoder's clock
		arrive func(at time.Duration) time.Duration
		late   time.Duration // the most, after 10 s
	}{
		{"jitter", 1, jitter, 100 * ms},
		{"bursts", 1, func(at time.Duration) time.Duration { return at.Truncate(400*ms) + 400*ms }, maxDrift},
		{"a clock too fast", 1.01, jitter, 150 * ms},
		{"a clock too slow", 0.99, jitter, 150 * ms},
		{"a clock that stands still now and then", 1, func(at time.Duration) time.Duration {
			return at + at.Truncate(30*second)/10 // three seconds of silence each half minute, that the stamps do not tell of
		}, maxDrift},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, began := judge{timeline: timeline{mode: Receive}}, time.Now()
			var first, last, came time.Duration
			var wander, jolts float64
			skew, apart := map[int]time.Duration{}, 0 // units since sound and pictures were together
			clock := func(_ *av.Track, at time.Duration) time.Duration { return hour + time.Duration(float64(at)*tc.rate) }
			for i, u := range scene(25, 0, length, clock) {
				at := max(came, tc.arrive(u.at))
				if i == 0 {
					first = at
				}
				unit := &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.dts}
				j.place(t, unit, began.Add(at))
				if late := at - first - unit.DTS; u.at > 10*second && late.Abs() > tc.late {
					t.Fatalf("what came at %v is at %v", at-first, unit.DTS)
				}
				if u.track == videoTrack {
					step := (40 * ms).Seconds()
					jolts += math.Abs((at - came).Seconds() - step)
					wander += math.Abs((unit.DTS - last).Seconds() - step)
					came, last = at, unit.DTS
				}
				skew[u.track.ID] = unit.DTS - time.Duration(float64(u.at)*tc.rate)
				apart++
				if d := skew[videoTrack.ID] - skew[audioTrack.ID]; d.Abs() <= 10*ms {
					apart = 0
				} else if apart > 3 {
					t.Fatalf("at %v sound and pictures are %v apart", u.at, d)
				}
			}
			if tc.arrive(0) > 0 && wander > jolts/4 {
				t.Errorf("steps vary by %.1f s in all, those of arrival by %.1f s", wander, jolts)
			}
		})
	}
}

// What is corrected counts once, whatever is wrong with it.
func TestCorrected(t *testing.T) {
	type unit struct {
		track    *av.Track
		dts, pts time.Duration
		want     bool
	}
	video := func(dts time.Duration, want bool) unit { return unit{videoTrack, dts, dts, want} }
	for _, tc := range []struct {
		name  string
		units []unit
	}{
		{"forward", []unit{video(0, false), video(hour, true), video(hour+40*ms, false)}},
		{"back", []unit{video(hour, false), video(0, true), video(40*ms, false)}},
		{"again", []unit{video(0, false), video(0, true)}},
		{"a little back", []unit{video(40*ms, false), video(80*ms, false), video(60*ms, true)}},
		{"another clock of a new track", []unit{video(hour, false), {audioTrack, 0, 0, true}, {audioTrack, 20 * ms, 20 * ms, false}}},
		{"PTS before DTS", []unit{{videoTrack, hour, 0, true}}},
		{"PTS far behind DTS", []unit{{videoTrack, 0, hour, true}}},
		{"data with the same stamp", []unit{{dataTrack, 0, 0, false}, {dataTrack, 0, 0, false}, {dataTrack, 20 * ms, 20 * ms, false}}},
		{"data a little back", []unit{{dataTrack, 20 * ms, 20 * ms, false}, {dataTrack, 0, 0, true}}},
	} {
		for _, mode := range modes {
			j, now := judge{timeline: timeline{mode: mode}}, time.Now()
			for i, u := range tc.units {
				if got := j.place(t, &av.AccessUnit{Track: u.track, DTS: u.dts, PTS: u.pts}, now); got != u.want {
					t.Errorf("%s %s: unit %d is corrected: %v, want %v", tc.name, mode, i, got, u.want)
				}
			}
		}
	}
}

// However far a stamp is from the one before, the unit is one unit, and costs as much as any (card T03).
func TestJumpsCostNothing(t *testing.T) {
	for _, mode := range modes {
		s := New(Options{Stamps: mode, Keep: time.Hour})
		p, e, n := s.Publish(), av264(1000), 0
		v, _ := watch(t, s, &recorder{})
		defer v.Close()
		write(t, p, e.Take(600)...) // the ring has grown by then
		units := func(by time.Duration) func() {
			return func() {
				u := e.Next()
				u.DTS, u.PTS = u.DTS+by*time.Duration(n%2), u.PTS+by*time.Duration(n%2)
				n++
				write(t, p, u)
			}
		}
		calm := testing.AllocsPerRun(200, units(0))
		wild := testing.AllocsPerRun(200, units(24*hour))
		if wild > calm+1 || len(s.items()) != 600+402 {
			t.Errorf("%s: %v allocations, %v without jumps; %d units", mode, wild, calm, len(s.items()))
		}
	}
}

// stepped is now with another reading of the clock on the wall. Its monotonic reading, which differences are made of, stays.
func stepped(now time.Time, by time.Duration) time.Time {
	const secondsAt = 30 // of time.Time's first word: a flag, 33 bits of seconds, 30 of nanoseconds
	word := (*uint64)(unsafe.Pointer(&now))
	*word += uint64(by/second) << secondsAt //nolint:gosec // steps back wrap around, as they should
	return now
}

// A step of the wall clock changes nothing (card T01).
func TestStampsIgnoreWallClock(t *testing.T) {
	began := time.Now()
	if moved := stepped(began, -365*24*hour); began.Sub(moved) != 0 || moved.Unix() != began.Unix()-365*24*3600 {
		t.Fatalf("%v is not %v with another wall clock", moved, began)
	}
	steps := []time.Duration{0, -hour, hour, -365 * 24 * hour, 10 * 365 * 24 * hour}
	for _, mode := range modes {
		a, b := New(Options{Stamps: mode, Keep: hour}), New(Options{Stamps: mode, Keep: hour})
		p, q := a.Publish(), b.Publish()
		for i, u := range scene(25, 0, 30*second, jumps(hour, once(-second))) {
			if i == 1000 {
				p, q = a.Publish(), b.Publish()
			}
			now := began.Add(u.at)
			one := &av.AccessUnit{Track: u.track, Key: true, DTS: u.dts, PTS: u.dts, Data: [][]byte{{0x65}}}
			two := *one
			if _, err := a.write(p, one, now); err != nil {
				t.Fatal(err)
			}
			if _, err := b.write(q, &two, stepped(now, steps[i/100%len(steps)])); err != nil {
				t.Fatal(err)
			}
			if one.DTS != two.DTS {
				t.Fatalf("%s: %v becomes %v, and %v when the wall clock has been set", mode, u.dts, one.DTS, two.DTS)
			}
		}
		if x, y := a.Stats(), b.Stats(); x.BitRate != y.BitRate || len(a.items()) != len(b.items()) || x.Splices != y.Splices {
			t.Errorf("%s: %+v and %+v", mode, x, y)
		}
	}
}

// Whatever the stamps are, and whenever units come, in every mode.
func TestTimelineOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := judge{timeline: timeline{mode: rapid.SampledFrom(modes).Draw(t, "mode")}}
		now, clock := time.Now(), time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "units") {
			if rapid.IntRange(0, 30).Draw(t, "restart") == 0 {
				j.restart()
			}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				clock = time.Duration(rapid.Int64().Draw(t, "anything"))
			case 1:
				clock += time.Duration(rapid.Int64Range(-int64(20*second), int64(20*second)).Draw(t, "jump"))
			case 2: // the same again
			default:
				clock += 20 * ms
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*second)).Draw(t, "wait")) * time.Duration(rapid.IntRange(0, 1).Draw(t, "waits")))
			track := rapid.SampledFrom([]*av.Track{videoTrack, audioTrack, dataTrack}).Draw(t, "track")
			u := &av.AccessUnit{Track: track, DTS: clock, PTS: clock + time.Duration(rapid.Int64().Draw(t, "reorder"))}
			j.place(t, u, now)
		}
	})
}

// FuzzTimeline reads its input as units of ten bytes: track and kind of step, then a number.
func FuzzTimeline(f *testing.F) {
	step := func(b []byte, kind byte, n int64) []byte {
		return binary.BigEndian.AppendUint64(append(b, kind, 0), uint64(n)) //nolint:gosec // bits
	}
	for mode := range byte(3) {
		b := []byte{mode}
		for _, n := range []int64{0, int64(hour), -int64(hour), 1 << 32 * int64(ms), math.MaxInt64, math.MinInt64, 10_000_000_000} {
			for kind := range byte(16) {
				b = step(b, kind, n)
			}
		}
		f.Add(b)
	}
	tracks := []*av.Track{videoTrack, audioTrack, dataTrack, videoTrack}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		j := judge{timeline: timeline{mode: modes[int(b[0])%len(modes)]}}
		now, clock := time.Now(), time.Duration(0)
		for b = b[1:]; len(b) >= 10; b = b[10:] {
			n := time.Duration(binary.BigEndian.Uint64(b[2:])) //nolint:gosec // bits
			switch b[0] >> 2 & 3 {
			case 0:
				clock += n
			case 1:
				clock = n
			case 2:
				now = now.Add((n % (24 * hour)).Abs())
			case 3:
				j.restart()
			}
			j.place(t, &av.AccessUnit{Track: tracks[b[0]&3], DTS: clock, PTS: clock + time.Duration(b[1])*ms}, now)
		}
	})
}
