package sim_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

var (
	videoCodecs = []av.Codec{0, av.H264, av.H265, av.AV1, av.VP8, av.VP9}
	audioCodecs = []av.Codec{
		0, av.AAC, av.Opus, av.PCMA, av.PCMU, av.G722, av.MP3, av.AC3, av.FLAC, av.L16,
	}
)

// What the encoder makes pleases the checker, for every codec, and has no start code in it.
func TestEncoderChecks(t *testing.T) {
	for _, video := range videoCodecs {
		for _, audio := range audioCodecs {
			if video == 0 && audio == 0 {
				continue
			}
			e := sim.New(sim.Options{Video: video, Audio: audio, GOP: 10, BFrames: 2, Slices: 3})
			var c sim.Checker
			last := time.Duration(-1)
			for i := range 60 {
				u := e.Next()
				if err := c.Unit(u); err != nil {
					t.Fatalf("%v + %v: %v", video, audio, err)
				}
				if u.DTS < last {
					t.Fatalf("%v + %v: unit %d: DTS %v after %v", video, audio, i, u.DTS, last)
				}
				last = u.DTS
				if u.Track.Codec == av.H264 || u.Track.Codec == av.H265 {
					for _, nal := range u.Data {
						if bytes.Contains(nal, []byte{0, 0}) {
							t.Fatalf("%v: two zeros in % x", video, nal)
						}
					}
				}
			}
			if c.Gaps != 0 || c.Units != 60 {
				t.Errorf("%v + %v: %d gaps in %d units", video, audio, c.Gaps, c.Units)
			}
		}
	}
}

func TestEncoderNALTypes(t *testing.T) {
	h264, h265 := sim.New(sim.Options{Video: av.H264, GOP: 3}), sim.New(sim.Options{Video: av.H265, GOP: 3})
	for i := range 9 {
		want4, want5 := byte(1), byte(1)
		if i%3 == 0 {
			want4, want5 = 5, 19
		}
		if got := h264.Next().Data[0][0] & 31; got != want4 {
			t.Errorf("H264 picture %d: NAL type %d, want %d", i, got, want4)
		}
		if got := h265.Next().Data[0][0] >> 1; got != want5 {
			t.Errorf("H265 picture %d: NAL type %d, want %d", i, got, want5)
		}
	}
}

// Pictures are shown in an order of their own, each at a time of its own, without holes.
func TestEncoderBFrames(t *testing.T) {
	for b := range 4 {
		e := sim.New(sim.Options{Video: av.H264, GOP: 9, BFrames: b})
		shown := map[time.Duration]bool{}
		reordered := false
		for range 90 {
			u := e.Next()
			if u.PTS < u.DTS || shown[u.PTS] {
				t.Fatalf("%d B pictures: PTS %v at DTS %v", b, u.PTS, u.DTS)
			}
			reordered = reordered || u.PTS != u.DTS
			shown[u.PTS] = true
		}
		delay := time.Duration(min(b, 1)) * 40 * time.Millisecond
		for i := range 90 {
			if !shown[delay+time.Duration(i)*40*time.Millisecond] {
				t.Errorf("%d B pictures: nothing shown at %d", b, i)
			}
		}
		if reordered != (b > 0) {
			t.Errorf("%d B pictures: reordered %v", b, reordered)
		}
	}
}

func TestEncoderDeterministic(t *testing.T) {
	o := sim.Options{Video: av.H264, Audio: av.AAC, FPS: 29.97, BFrames: 1}
	a, b := sim.New(o).Take(300), sim.New(o).Take(300)
	for i := range a {
		if a[i].DTS != b[i].DTS || a[i].PTS != b[i].PTS || a[i].Key != b[i].Key || !bytes.Equal(a[i].Data[0], b[i].Data[0]) {
			t.Fatalf("unit %d differs", i)
		}
	}
}

func TestEncoderChangeVideo(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, GOP: 5})
	before := e.Next().Track
	e.ChangeVideo()
	for range 4 {
		if e.Next().Track != before {
			t.Fatal("changed within the GOP")
		}
	}
	if u := e.Next(); u.Track == before || u.Track.Equal(before) || !u.Key {
		t.Error("not changed with the key picture")
	}
}

func TestCheckerFinds(t *testing.T) {
	units := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}).Take(100)
	key := func(from int) int {
		for i := from; ; i++ {
			if units[i].Key && units[i].Track.Kind() == av.Video {
				return i
			}
		}
	}
	changed := func(f func(u *av.AccessUnit)) *av.AccessUnit {
		u := *units[0]
		u.Data = [][]byte{bytes.Clone(u.Data[0])}
		f(&u)
		return &u
	}
	for _, tc := range []struct {
		name  string
		units []*av.AccessUnit
		ok    bool
	}{
		{"all", units, true},
		{"from a later key", units[key(1):], true},
		{"skip to a key", append(units[:5:5], units[key(6):]...), true},
		{"first no key", units[1:], false},
		{"twice", []*av.AccessUnit{units[0], units[0]}, false},
		{"swapped", []*av.AccessUnit{units[0], units[2], units[1]}, false},
		{"hole", append(units[:5:5], units[6:]...), false},
		{"byte changed", []*av.AccessUnit{changed(func(u *av.AccessUnit) { u.Data[0][100]++ })}, false},
		{"NAL type changed", []*av.AccessUnit{changed(func(u *av.AccessUnit) { u.Data[0][0] = 0x41 })}, false},
		{"cut", []*av.AccessUnit{changed(func(u *av.AccessUnit) { u.Data[0] = u.Data[0][:50] })}, false},
		{"byte added", []*av.AccessUnit{changed(func(u *av.AccessUnit) { u.Data[0] = append(u.Data[0], 0) })}, false},
		{"PTS before DTS", []*av.AccessUnit{changed(func(u *av.AccessUnit) { u.PTS = u.DTS - 1 })}, false},
	} {
		var c sim.Checker
		var err error
		for _, u := range tc.units {
			if err = c.Unit(u); err != nil {
				break
			}
		}
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
