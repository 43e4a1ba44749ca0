package fmp4

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

const ms = time.Millisecond

func picture(track *av.Track, dts, pts time.Duration, key bool) *av.AccessUnit {
	return &av.AccessUnit{Track: track, DTS: dts, PTS: pts, Key: key, Data: [][]byte{{0x65, 0x88}}}
}

// TestPart: durations are differences of DTS, the newest picture lasts until the end, sound as its codec says.
func TestPart(t *testing.T) {
	video, audio := sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0)
	f := Fragment{Origin: time.Second, Sequence: 41}
	for _, u := range []*av.AccessUnit{
		picture(video, 1000*ms, 1080*ms, true),
		{Track: audio, DTS: 1005 * ms, PTS: 1005 * ms, Key: true, Data: [][]byte{{1, 2, 3}}},
		picture(video, 1040*ms, 1160*ms, false),
		{Track: audio, DTS: 1026 * ms, PTS: 1026 * ms, Key: true, Data: [][]byte{{4}}},
		picture(video, 1050*ms, 1050*ms, false),
		picture(video, 1045*ms, 1130*ms, false), // back: no time passes
		{Track: sim.NewTrack(3, av.G722, 0), Data: [][]byte{{1}}},
	} {
		if err := f.Add(u); err != nil {
			t.Fatal(err)
		}
	}
	if f.Len() != 6 || f.Size() != 4*6+4 {
		t.Errorf("%d units of %d bytes", f.Len(), f.Size())
	}
	m := readMoofOf(t, f.Append(nil, 1100*ms))
	if m.sequence != 42 || !slices.Equal(m.time, []uint64{0, 240}) {
		t.Errorf("fragment %d at %d", m.sequence, m.time)
	}
	if !slices.Equal(m.durations[0], []uint32{3600, 900, 0, 4500}) || !slices.Equal(m.durations[1], []uint32{1008, 1024}) {
		t.Errorf("durations %d", m.durations)
	}
	if !slices.Equal(m.shifts[0], []int32{7200, 10800, 0, 7200}) {
		t.Errorf("composition offsets %d", m.shifts)
	}
	if !slices.Equal(m.flags[0], []uint32{flagsSync, flagsNonSync, flagsNonSync, flagsNonSync}) {
		t.Errorf("flags %x", m.flags)
	}
	if b := f.Append(nil, 0); f.Len() != 0 || len(b) != 0 {
		t.Errorf("%d units, %d bytes after the end", f.Len(), len(b))
	}
}

// TestUnitDuration: of the newest picture as of the one before, of the first as the parameter sets say, or 25 Hz.
func TestUnitDuration(t *testing.T) {
	for _, tc := range []struct {
		track *av.Track
		data  []byte
		first uint32
		next  uint32 // 20 ms later
	}{
		{sim.NewTrack(1, av.H264, 1), []byte{0x65}, 3000, 1800},
		{sim.NewTrack(1, av.VP9, 0), []byte{1}, 3600, 1800},
		{sim.NewTrack(1, av.AAC, 0), []byte{1}, 1024, 1024},
		{aac(t, 0x2b, 0x11, 0x88, 0x00), []byte{1}, 2048, 2048}, // SBR, 24 and 48 kHz
		{aac(t, 0x11, 0x94), []byte{1}, 960, 960},
		{sim.NewTrack(1, av.MP3, 0), []byte{1}, 1152, 1152},
		{mp3(t, 0xff, 0xf3, 0x90, 0x64), []byte{1}, 576, 576},
		{sim.NewTrack(1, av.AC3, 0), []byte{1}, 1536, 1536},
		{sim.NewTrack(1, av.Opus, 0), []byte{0xfc}, 960, 960},
		{sim.NewTrack(1, av.PCMA, 0), make([]byte, 160), 160, 160},
		{sim.NewTrack(1, av.FLAC, 0), []byte{0xff, 0xf8, 0xc9, 0x18}, 4096, 4096},
		{sim.NewTrack(1, av.FLAC, 0), []byte{0xff, 0xf8, 0x19, 0x18}, 192, 192},
		{sim.NewTrack(1, av.FLAC, 0), []byte{0xff, 0xf8, 0x39, 0x18}, 1152, 1152},
		{sim.NewTrack(1, av.FLAC, 0), []byte{0xff, 0xf8, 0x79, 0x18}, 4096, 4096},
	} {
		var f Fragment
		a := readMoofOf(t, f.Unit(nil, &av.AccessUnit{Track: tc.track, Key: true, Data: [][]byte{tc.data}}))
		b := readMoofOf(t, f.Unit(nil, &av.AccessUnit{Track: tc.track, DTS: 20 * ms, PTS: 20 * ms, Key: true, Data: [][]byte{tc.data}}))
		if a.durations[0][0] != tc.first || b.durations[0][0] != tc.next {
			t.Errorf("%v: lasts %d, %d, want %d, %d", tc.track, a.durations[0][0], b.durations[0][0], tc.first, tc.next)
		}
		if a.sequence != 1 || b.sequence != 2 {
			t.Errorf("fragments %d, %d", a.sequence, b.sequence)
		}
	}
}

func aac(t *testing.T, config ...byte) *av.Track {
	t.Helper()
	track, err := av.NewAAC(1, config)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

func mp3(t *testing.T, header ...byte) *av.Track {
	t.Helper()
	track, err := av.NewMP3(1, header)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

// TestHole: after a pause of the publisher the step is what it was.
func TestHole(t *testing.T) {
	video := sim.NewTrack(1, av.VP9, 0)
	var f Fragment
	for _, tc := range []struct {
		dts  time.Duration
		want uint32
	}{{0, 3600}, {20 * ms, 1800}, {time.Hour, 1800}, {time.Hour - time.Minute, 1800}, {time.Hour, 1800}} {
		m := readMoofOf(t, f.Unit(nil, picture(video, tc.dts, tc.dts, true)))
		if m.durations[0][0] != tc.want || int64(m.time[0]) != av.Ticks(tc.dts, 90_000) {
			t.Errorf("at %v: lasts %d, want %d; at %d", tc.dts, m.durations[0][0], tc.want, m.time[0])
		}
	}
}

// TestDrift: ten hours of 29.97 pictures a second and sound of 44.1 kHz, a unit at a time and in parts. No fragment is ever more than a
// tick from where it belongs, and in parts the durations of pictures join without a hole.
func TestDrift(t *testing.T) {
	const hours = 10
	video := sim.NewTrack(1, av.H264, 1)
	audio := aac(t, 0x12, 0x10)
	audio.ID = 2
	for _, part := range []int{1, 15} {
		for _, track := range []struct {
			*av.Track
			num, den int64 // seconds of a unit
			n        int64
		}{{video, 1001, 30_000, hours * 3600 * 30_000 / 1001}, {audio, 1024, 44_100, hours * 3600 * 44_100 / 1024}} {
			dts := func(i int64) time.Duration { return av.Duration(i*track.num, track.den) }
			u := &av.AccessUnit{Track: track.Track, Key: true, Data: [][]byte{{0x65, 1}}}
			var f Fragment
			var b []byte
			rate, end := rateOf(track.Track), uint64(0)
			for i := int64(0); i < track.n; i += int64(part) {
				for j := range int64(part) {
					v := *u
					v.DTS = dts(i + j)
					v.PTS = v.DTS
					if err := f.Add(&v); err != nil {
						t.Fatal(err)
					}
				}
				next := dts(i + int64(part))
				if part == 1 {
					next = dts(i)
				}
				b = f.Append(b[:0], next)
				if i%(track.n/500) >= int64(part) && i > 1000 && i < track.n-1000 {
					continue // reading all of them takes long, and between them nothing changes
				}
				m := readMoofOf(t, b)
				exact := float64(i) * float64(track.num) * float64(rate) / float64(track.den)
				if math.Abs(float64(m.time[0])-exact) > 1 {
					t.Fatalf("%v in parts of %d: unit %d at %d, want %.3f", track.Track, part, i, m.time[0], exact)
				}
				if part > 1 && i > 0 && i <= 1000 && math.Abs(float64(m.time[0])-float64(end)) > 1 {
					t.Fatalf("%v: part at %d, the one before ends at %d", track.Track, m.time[0], end)
				}
				end = m.time[0]
				for _, n := range m.durations[0] {
					end += uint64(n)
				}
			}
		}
	}
}

// TestRefused: what does not fit into a fragment.
func TestRefused(t *testing.T) {
	var f Fragment
	a, b := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H264, 1)
	if err := f.Add(picture(a, 0, 0, true)); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(picture(b, ms, ms, true)); !errors.Is(err, ErrTrackChanged) {
		t.Errorf("other track: %v", err)
	}
	f.Append(nil, 0)
	if err := f.Add(picture(b, ms, ms, true)); err != nil {
		t.Errorf("other track in another fragment: %v", err)
	}
	for i := 1; i < samplesMax; i++ {
		if err := f.Add(picture(b, ms, ms, true)); err != nil {
			t.Fatalf("unit %d: %v", i, err)
		}
	}
	if err := f.Add(picture(b, ms, ms, true)); !errors.Is(err, ErrFull) {
		t.Errorf("too many: %v", err)
	}
	f = Fragment{}
	big := &av.AccessUnit{Track: b, Data: slices.Repeat([][]byte{make([]byte, 1<<20)}, 1025)}
	if err := f.Add(big); !errors.Is(err, ErrFull) {
		t.Errorf("too large: %v", err)
	}
	if b := f.Unit(nil, big); len(b) != 0 {
		t.Errorf("fragment of %d bytes", len(b))
	}
	for i := range lanesMax {
		if err := f.Add(picture(sim.NewTrack(i+1, av.H264, 0), 0, 0, true)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Add(picture(sim.NewTrack(lanesMax+1, av.H264, 0), 0, 0, true)); !errors.Is(err, ErrFull) {
		t.Errorf("too many tracks: %v", err)
	}
}

// TestSteady: nothing is allocated, nor kept, once a fragment has seen its tracks.
func TestSteady(t *testing.T) {
	for _, c := range carried() {
		units := sim.New(options(c)).Take(100)
		var f Fragment
		var m Muxer
		tracks := []*av.Track{units[0].Track}
		b := make([]byte, 0, 1<<20)
		if n := testing.AllocsPerRun(10, func() {
			b = b[:0]
			for _, u := range units {
				b = m.Unit(b, tracks, u)
				_ = f.Add(u)
			}
			b = f.Append(b, 0)
		}); n > 0 {
			t.Errorf("%v: %v allocations in 100 units", c, n)
		}
		for _, s := range f.lanes[0].samples[:cap(f.lanes[0].samples)] {
			if s.unit != nil {
				t.Fatalf("%v: a unit is kept", c)
			}
		}
	}
}
