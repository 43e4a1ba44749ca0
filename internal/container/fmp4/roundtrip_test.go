package fmp4

import (
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestRoundTrip: what is written a unit at a time is read as it was, whatever the pieces.
func TestRoundTrip(t *testing.T) {
	for _, codec := range carried() {
		t.Run(codec.String(), func(t *testing.T) {
			for _, piece := range []int{1, 7, 100, 1 << 20} {
				e := sim.New(options(codec))
				b := AppendInit(nil, e.Tracks())
				units := e.Take(40)
				var f Fragment
				for _, u := range units {
					b = f.Unit(b, u)
				}
				var d Demuxer
				got := demux(t, &d, b, piece)
				if len(got) != len(units) {
					t.Fatalf("%d units of %d", len(got), len(units))
				}
				for i, u := range got {
					same(t, u, units[i])
				}
				if tracks := d.Tracks(); len(tracks) != 1 || tracks[0] != got[0].Track {
					t.Errorf("tracks %v", tracks)
				}
			}
		})
	}
}

// TestRoundTripParts: parts of pictures and sound together, and a video track that changes between two parts.
func TestRoundTripParts(t *testing.T) {
	for _, video := range []av.Codec{av.H264, av.H265, av.AV1, av.VP9} {
		e := sim.New(sim.Options{Video: video, Audio: av.AAC, GOP: 10, BFrames: 1})
		units := append(e.Take(100), nil)
		e.ChangeVideo()
		units = append(units[:100], e.Take(100)...)
		b := AppendInit(nil, e.Tracks())
		var f Fragment
		var d Demuxer
		var got []*av.AccessUnit
		prev := units[0].Track
		b = AppendInit(b[:0], []*av.Track{prev, e.Tracks()[1]})
		for _, u := range units {
			if u.Track.Kind() == av.Video && u.Key {
				b = f.Append(b, u.DTS)
				if u.Track != prev {
					prev = u.Track
					b = AppendInit(b, []*av.Track{prev, e.Tracks()[1]})
				}
			}
			if err := f.Add(u); err != nil {
				t.Fatal(err)
			}
		}
		b = f.Append(b, 0)
		got = demux(t, &d, b, 1000)
		if len(got) != len(units) {
			t.Fatalf("%v: %d units of %d", video, len(got), len(units))
		}
		byKind := map[av.Kind]int{}
		for _, u := range got {
			i := byKind[u.Track.Kind()]
			for units[i].Track.Kind() != u.Track.Kind() {
				i++
			}
			same(t, u, units[i])
			byKind[u.Track.Kind()] = i + 1
		}
	}
}

// TestSimReads: the checker of a player finds nothing, with the tracks interleaved as they were written.
func TestSimReads(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.Opus, GOP: 25, BFrames: 2})
	var f Fragment
	var d Demuxer
	var check sim.Checker
	b := AppendInit(nil, e.Tracks())
	for range 1000 {
		b = f.Unit(b, e.Next())
		got, err := d.Demux(b)
		if err != nil || len(got) != 1 {
			t.Fatal(len(got), err)
		}
		// Ticks of 1/90000 s are not nanoseconds, so that the times are compared elsewhere.
		if err := check.Unit(got[0]); err != nil {
			t.Fatal(err)
		}
		b = b[:0]
	}
	if check.Units != 1000 || check.Gaps != 0 {
		t.Errorf("%d units, %d gaps", check.Units, check.Gaps)
	}
}

// TestSamples: what is left out of samples, and what is put in.
func TestSamples(t *testing.T) {
	h264, h265, av1 := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H265, 0), sim.NewTrack(1, av.AV1, 0)
	long := make([]byte, 300)
	long[0] = 0x32 // OBU_FRAME, with a size flag that the house never sets
	for _, tc := range []struct {
		name string
		unit av.AccessUnit
		want string
	}{
		{"H264 parameter sets, delimiter, empty", av.AccessUnit{Track: h264, Data: [][]byte{
			{0x09, 0xf0}, h264.Sets[0], h264.Sets[1], {}, {0x65, 0x88, 1},
		}}, "\x00\x00\x00\x02\x09\xf0\x00\x00\x00\x03\x65\x88\x01"},
		{"H265 parameter sets", av.AccessUnit{Track: h265, Data: [][]byte{
			h265.Sets[0], h265.Sets[1], h265.Sets[2], {0x26, 0x01, 0xaf},
		}}, "\x00\x00\x00\x03\x26\x01\xaf"},
		{"parameter sets only", av.AccessUnit{Track: h264, Data: h264.Sets}, ""},
		{"AV1 delimiter, extension", av.AccessUnit{Track: av1, Data: [][]byte{
			{0x10}, {0x34, 0x08, 1, 2}, {0x30, 3}, {0x34},
		}}, "\x36\x08\x02\x01\x02\x32\x01\x03"},
		{"AV1 long", av.AccessUnit{Track: av1, Data: [][]byte{long}}, "\x32\xab\x02" + string(long[1:])},
		{
			"AV1 key",
			av.AccessUnit{Track: av1, Key: true, Data: [][]byte{{0x30, 3}}},
			"\x0a\x0b" + string(av1.Config[1:]) + "\x32\x01\x03",
		},
		{
			"AV1 key with its sequence header",
			av.AccessUnit{Track: av1, Key: true, Data: [][]byte{{0x08, 7}, {0x30, 3}}},
			"\x0a\x01\x07\x32\x01\x03",
		},
	} {
		got := appendSample(nil, &tc.unit)
		if string(got) != tc.want {
			t.Errorf("%s: % x, want % x", tc.name, got, tc.want)
		}
		if n := sampleSize(&tc.unit); n != len(tc.want) {
			t.Errorf("%s: size %d of %d", tc.name, n, len(tc.want))
		}
		var f Fragment
		if b := f.Unit(nil, &tc.unit); (len(b) == 0) != (tc.want == "") {
			t.Errorf("%s: fragment of %d bytes", tc.name, len(b))
		}
	}
}

// TestReordered: pictures are shown when the stream says, to the tick.
func TestReordered(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H265, GOP: 12, BFrames: 3, Start: 5 * time.Second})
	var f Fragment
	for range 50 {
		u := e.Next()
		m := readMoofOf(t, f.Unit(nil, u))
		if shown := int64(m.time[0]) + int64(m.shifts[0][0]); shown != av.Ticks(u.PTS, 90_000) {
			t.Fatalf("shown at %d, want %v", shown, u.PTS)
		}
	}
}
