package stream

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

const (
	ms     = time.Millisecond
	hour   = time.Hour
	second = time.Second
)

var audioTrack, dataTrack = sim.NewTrack(sim.AudioID, av.AAC, 0), av.NewKLV(3)

// stamp is a unit at a publisher's time, and where it has to be on the stream's clock.
type stamp struct {
	track *av.Track
	dts   time.Duration
	want  time.Duration
}

func v(dts, want time.Duration) stamp { return stamp{videoTrack, dts, want} }
func a(dts, want time.Duration) stamp { return stamp{audioTrack, dts, want} }
func d(dts, want time.Duration) stamp { return stamp{dataTrack, dts, want} }

func TestTimeline(t *testing.T) {
	restart := stamp{}
	for _, tc := range []struct {
		name   string
		stamps []stamp
	}{
		{"starts at 0", []stamp{v(5*hour, 0), v(5*hour+40*ms, 40*ms), a(5*hour+30*ms, 30*ms)}},
		{"a track that lies a little before the first", []stamp{v(second, 0), a(980*ms, 0), a(1001*ms, ms), a(1022*ms, 22*ms)}},
		{"from a negative time", []stamp{v(-second, 0), v(-960*ms, 40*ms)}},
		{"duplicate", []stamp{v(0, 0), v(40*ms, 40*ms), v(40*ms, 41*ms), v(80*ms, 80*ms)}},
		{"a little back", []stamp{v(0, 0), v(200*ms, 200*ms), v(150*ms, 201*ms), v(240*ms, 240*ms)}},
		{"data may share a stamp", []stamp{v(0, 0), d(40*ms, 40*ms), d(40*ms, 40*ms), d(40*ms, 40*ms)}},
		{"pause of 9 s stays a pause", []stamp{v(0, 0), v(40*ms, 40*ms), v(9*second, 9*second), a(9*second, 9*second)}},
		{
			"forward by an hour, at different units",
			[]stamp{
				v(0, 0), a(0, 0), v(40*ms, 40*ms), a(20*ms, 20*ms),
				v(hour+80*ms, 80*ms), a(40*ms, 40*ms), a(60*ms, 60*ms), // sound still has the old clock
				a(hour+80*ms, 80*ms), v(hour+120*ms, 120*ms), a(hour+100*ms, 100*ms),
			},
		},
		{
			"back by an hour, at different units",
			[]stamp{
				v(hour, 0), a(hour, 0), v(hour+40*ms, 40*ms), a(hour+20*ms, 20*ms), a(hour+40*ms, 40*ms),
				a(60*ms, 60*ms), v(hour+80*ms, 80*ms), v(120*ms, 120*ms), a(80*ms, 80*ms),
			},
		},
		{
			"wrap of a 32-bit millisecond clock that nobody unwrapped",
			[]stamp{
				v((1<<32-40)*ms, 0), a((1<<32-40)*ms, 0), v(0, 40*ms), a((1<<32-20)*ms, 20*ms), a(0, 40*ms),
				v(40*ms, 80*ms), a(20*ms, 60*ms),
			},
		},
		{
			"another publisher",
			[]stamp{
				v(0, 0), a(0, 0), v(40*ms, 40*ms), a(60*ms, 60*ms), restart,
				a(hour, 100*ms), v(hour+10*ms, 110*ms), a(hour+20*ms, 120*ms), v(hour+50*ms, 150*ms),
			},
		},
		{
			"another publisher whose video lies before its sound",
			[]stamp{
				v(0, 0), a(0, 0), v(400*ms, 400*ms), a(60*ms, 60*ms), restart,
				a(100*ms, 440*ms), v(80*ms, 420*ms), v(120*ms, 460*ms),
			},
		},
		{
			"late track with its own zero clock",
			[]stamp{v(0, 0), v(4*second, 4*second), a(0, 4*second), a(20*ms, 4020*ms), v(4040*ms, 4040*ms)},
		},
		{
			"late track with the common clock",
			[]stamp{v(0, 0), v(4*second, 4*second), a(4*second-20*ms, 4*second-20*ms), a(4*second, 4*second)},
		},
		{
			"a late track with its own clock does not pull a third one along",
			[]stamp{
				v(0, 0), v(5*second, 5*second), a(0, 5*second), v(5040*ms, 5040*ms), d(5040*ms, 5040*ms),
				a(20*ms, 5020*ms),
			},
		},
		{
			"a jump little larger than a pause may be, at different units",
			[]stamp{
				a(0, 0), v(0, 0), v(800*ms, 800*ms), a(20*ms, 20*ms),
				v(11300*ms, 1600*ms), a(10500*ms, 800*ms), v(11340*ms, 1640*ms), a(10520*ms, 820*ms),
			},
		},
		{
			"back by less than tracks may be apart",
			[]stamp{v(0, 0), v(3*second, 3*second), v(2*second, 4*second), v(2040*ms, 4040*ms)},
		},
		{"two restarts in a row", []stamp{v(0, 0), restart, restart, v(hour, 40*ms)}},
		{"a restart before the first unit", []stamp{restart, v(hour, 0)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tl timeline
			for i, s := range tc.stamps {
				if s.track == nil {
					tl.restart()
					continue
				}
				u := &av.AccessUnit{Track: s.track, DTS: s.dts, PTS: s.dts + 80*ms}
				if tl.place(u, 0); u.DTS != s.want {
					t.Errorf("stamp %d, %v: %v at %v, want %v", i, s.dts, s.track.Kind(), u.DTS, s.want)
				}
				if u.PTS != u.DTS+80*ms {
					t.Errorf("stamp %d: the picture is shown %v later, want 80 ms", i, u.PTS-u.DTS)
				}
			}
		})
	}
}

// A track that pauses while another goes on, and comes back with right stamps, stays together with that one.
func TestTimelinePauseOfOneTrack(t *testing.T) {
	const start, step = 5 * second, 20 * ms
	for _, paused := range []*av.Track{videoTrack, audioTrack} {
		for _, pause := range []time.Duration{11 * second, 60 * second} {
			t.Run(paused.Kind().String()+" "+pause.String(), func(t *testing.T) {
				var tl timeline
				for dts := time.Duration(0); dts < start+pause+start; dts += step {
					for _, track := range []*av.Track{videoTrack, audioTrack} {
						if track == paused && dts > start && dts < start+pause {
							continue
						}
						u := &av.AccessUnit{Track: track, DTS: hour + dts, PTS: hour + dts}
						if fixed := tl.place(u, 0); u.DTS != dts || fixed {
							t.Fatalf("%v at %v becomes %v", track.Kind(), dts, u.DTS)
						}
					}
				}
			})
		}
	}
}

// A track whose clock jumps while it pauses finds the others again by the offset that they have got meanwhile.
func TestTimelinePauseOverJump(t *testing.T) {
	var tl timeline
	place := func(track *av.Track, dts time.Duration) time.Duration {
		u := &av.AccessUnit{Track: track, DTS: dts, PTS: dts}
		tl.place(u, 0)
		return u.DTS
	}
	place(audioTrack, 0)
	for dts := time.Duration(0); dts <= second; dts += 40 * ms {
		place(videoTrack, dts)
	}
	var newest time.Duration
	for dts := time.Duration(0); dts <= 20*second; dts += 40 * ms {
		newest = place(videoTrack, hour+dts)
	}
	if got := place(audioTrack, hour+20*second); got != newest {
		t.Errorf("sound is at %v, video of the same stamp at %v", got, newest)
	}
}

func TestTimelinePTS(t *testing.T) {
	for _, tc := range []struct{ reorder, want time.Duration }{
		{0, 0}, {80 * ms, 80 * ms}, {10 * second, 10 * second}, {-40 * ms, 0}, {11 * second, 0}, {math.MinInt64, 0},
	} {
		var tl timeline
		u := &av.AccessUnit{Track: videoTrack, DTS: hour, PTS: hour + tc.reorder}
		if tl.place(u, 0); u.PTS-u.DTS != tc.want {
			t.Errorf("%v becomes %v, want %v", tc.reorder, u.PTS-u.DTS, tc.want)
		}
	}
}

// An encoder's stamps pass as they are, but for the start.
func TestTimelineKeepsGoodStamps(t *testing.T) {
	for _, start := range []time.Duration{0, hour, -hour, math.MaxInt64 / 2} {
		e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, FPS: 29.97, BFrames: 2, Start: start.Truncate(ms)})
		var tl timeline
		for range 5000 {
			u := e.Next()
			dts, pts := u.DTS-start.Truncate(ms), u.PTS-start.Truncate(ms)
			if fixed := tl.place(u, 0); u.DTS != dts || u.PTS != pts || fixed {
				t.Fatalf("%v, %v becomes %v, %v", dts, pts, u.DTS, u.PTS)
			}
		}
	}
}

// Whatever the stamps are: no track goes back, steps are bounded, presentation follows decoding within bounds.
func TestTimelineMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tl timeline
		last := map[int]time.Duration{}
		newest := time.Duration(0)
		clock := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "units") {
			if rapid.IntRange(0, 30).Draw(t, "restart") == 0 {
				tl.restart()
			}
			track := rapid.SampledFrom([]*av.Track{videoTrack, audioTrack, dataTrack}).Draw(t, "track")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				clock = time.Duration(rapid.Int64().Draw(t, "anything"))
			case 1:
				clock += time.Duration(rapid.Int64Range(-int64(20*second), int64(20*second)).Draw(t, "jump"))
			case 2: // the same again
			default:
				clock += 20 * ms
			}
			reorder := time.Duration(rapid.Int64().Draw(t, "reorder"))
			u := &av.AccessUnit{Track: track, DTS: clock, PTS: clock + reorder}
			tl.place(u, 0)
			if u.DTS < 0 {
				t.Fatalf("DTS %v", u.DTS)
			}
			if before, ok := last[track.ID]; ok && (u.DTS < before || u.DTS == before && track != dataTrack) {
				t.Fatalf("%v: DTS %v after %v", track.Kind(), u.DTS, before)
			}
			if u.DTS > newest+2*maxForward {
				t.Fatalf("DTS %v, the newest was %v", u.DTS, newest)
			}
			if u.PTS < u.DTS || u.PTS-u.DTS > maxReorder {
				t.Fatalf("PTS %v, DTS %v", u.PTS, u.DTS)
			}
			last[track.ID], newest = u.DTS, max(newest, u.DTS)
		}
	})
}
