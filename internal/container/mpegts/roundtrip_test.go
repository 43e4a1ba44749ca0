package mpegts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestRoundTrip: every codec that has a form comes out as it went in, byte by byte and to a tick.
func TestRoundTrip(t *testing.T) {
	for _, o := range []sim.Options{
		{Video: av.H264, Audio: av.AAC, BFrames: 2},
		{Video: av.H265, Audio: av.AC3, BFrames: 3, Slices: 4},
		{Video: av.H264, Audio: av.MP3, Slices: 7, KeySize: 200_000, Size: 66_000},
		{Video: av.H264, Audio: av.Opus, FPS: 3, GOP: 5},
		{Video: av.H265, Audio: av.PCMA, FPS: 60, Start: 1000 * time.Hour},
		{Audio: av.PCMU},
		{Audio: av.AAC, Start: 26*time.Hour + 30*time.Minute + 30*time.Second}, // the stamps wrap: 2^33 ticks less 10 s and some
		{Video: av.H264},
		{Video: av.H265, FPS: 4, GOP: 8},
		{Audio: av.Opus},
	} {
		t.Run(fmt.Sprintf("%v+%v", o.Video, o.Audio), func(t *testing.T) {
			tracks, units := take(o, 400)
			b := mux(new(Muxer), tracks, units)
			r := check(t, b)
			if r.pcrGap > pcrMost {
				t.Errorf("PCRs %d ticks apart", r.pcrGap)
			}
			for _, size := range []int{1, 188, 1316, 1 << 20} {
				got := must(t, b, size)
				c := sim.Checker{PerTrack: true}
				for _, u := range got {
					if err := c.Unit(u); err != nil {
						t.Fatal(err)
					}
					if u.Held < u.Size() || u.Held > u.Size()+24*max(len(u.Data), 4)+2*unitOverhead+trackSize(u.Track) {
						t.Fatalf("unit of %d bytes holds %d", u.Size(), u.Held)
					}
				}
				if c.Gaps > 0 {
					t.Fatalf("%d gaps", c.Gaps)
				}
				if o.Start < time.Hour {
					compare(t, got, units)
				}
			}
			if got := must(t, b, 1000); o.Start > time.Hour { // the clock began somewhere, but goes on over the wrap
				first := got[0].DTS - units[0].DTS
				for i, u := range got {
					if len(tracks) == 1 && u.DTS-units[i].DTS-first > time.Second/Rate {
						t.Fatalf("unit %d: %v after %v", i, u.DTS-got[0].DTS, units[i].DTS-units[0].DTS)
					}
				}
			}
		})
	}
}

// TestWrap: stamps go on over the end of their 33 bits.
func TestWrap(t *testing.T) {
	start := av.Duration(1<<stampBits-Origin-Rate, Rate)
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC, BFrames: 2, Start: start}, 400)
	b := mux(new(Muxer), tracks, units)
	if r := check(t, b); r.pcrGap > pcrMost {
		t.Errorf("PCRs %d ticks apart", r.pcrGap)
	}
	got := must(t, b, 1316)
	compare(t, got, units)
	if last := got[len(got)-1].DTS; last < av.Duration(1<<stampBits, Rate) {
		t.Errorf("only %v", last)
	}
}

// TestTracks: parameters that the form does not hold, and those that it does.
func TestTracks(t *testing.T) {
	aac := func(config string) *av.Track {
		tr, err := av.NewAAC(2, unhex(config))
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	opus := func(channels, family byte, table ...byte) *av.Track {
		tr, err := av.NewOpus(2, append(append([]byte("OpusHead\x01"), channels, 0, 0, 0, 0, 0, 0, 0, 0, family), table...))
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	g711, err := av.NewG711(2, av.PCMA, 16_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	far := *sim.NewTrack(1, av.H264, 0)
	far.ID = trackMost + 1
	for _, tc := range []struct {
		name  string
		track *av.Track
		want  bool
	}{
		{"AAC-LC", aac("1190"), true},
		{"AAC, HE with core rate", aac("2b118800"), true},
		{"AAC, 7.1", aac("11b8"), true},
		{"AAC, 960 samples", aac("1194"), false},
		{"AAC, a rate without number", aac("17801f4090"), false},
		{"Opus, stereo", opus(2, 0), true},
		{"Opus, 5.1", opus(6, 1, 4, 2, 0, 4, 1, 2, 3, 5), true},
		{"Opus, 5.1 in another order", opus(6, 1, 4, 2, 0, 1, 2, 3, 4, 5), false},
		{"Opus, ambisonics", opus(4, 2, 4, 0, 0, 1, 2, 3), false},
		{"PCMA, 16 kHz", g711, false},
		{"PCMA", sim.NewTrack(2, av.PCMA, 0), true},
		{"VP9", sim.NewTrack(1, av.VP9, 0), false},
		{"AV1", sim.NewTrack(1, av.AV1, 0), false},
		{"FLAC", sim.NewTrack(1, av.FLAC, 0), false},
		{"KLV", av.NewKLV(3), true},
		{"an ID without PID", &far, false},
	} {
		if got := Carries(tc.track); got != tc.want {
			t.Errorf("%s: carried %v", tc.name, got)
		}
		if !tc.want {
			continue
		}
		if tc.track.Codec == av.Opus || tc.track.Codec == av.KLV || tc.track.Codec == av.AAC {
			u := &av.AccessUnit{Track: tc.track, Key: true, Data: [][]byte{bytes.Repeat([]byte{0xfc}, 600)}}
			got := must(t, mux(new(Muxer), []*av.Track{tc.track}, []*av.AccessUnit{u}), 188)
			if len(got) != 1 || same(got[0], u) != nil || got[0].Track.Channels != tc.track.Channels {
				t.Errorf("%s: %v", tc.name, got)
			}
			if tc.track.Codec == av.Opus && !bytes.Equal(got[0].Track.Config[opusFamily:], tc.track.Config[opusFamily:]) {
				t.Errorf("%s: % x", tc.name, got[0].Track.Config)
			}
		}
	}
}

// TestKLV: metadata beside pictures; what does not fit into a PES packet is left out.
func TestKLV(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264}, 50)
	want := slices.Clone(units)
	data := klv(time.Second, 60_000)
	want = slices.Insert(want, 25, data)
	large := klv(time.Second, 70_000)
	large.Track = data.Track
	b := mux(new(Muxer), append(tracks, data.Track), slices.Insert(slices.Clone(want), 26, large))
	check(t, b)
	compare(t, must(t, b, 500), want)
}

// TestDelimiter: a unit's own access unit delimiter and parameter sets are not doubled.
func TestDelimiter(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, KeySize: 100}, 1)
	u := *units[0]
	u.Data = append([][]byte{{0x09, 0x10}, tracks[0].Sets[0], {}, tracks[0].Sets[1]}, u.Data...)
	b := mux(new(Muxer), tracks, []*av.AccessUnit{&u})
	for part, want := range map[string]int{"\x00\x00\x01\x09": 1, "\x00\x00\x01\x67": 1, "\x00\x00\x01\x68": 1} {
		if n := bytes.Count(b, []byte(part)); n != want {
			t.Errorf("% x: %d times, want %d", part, n, want)
		}
	}
	compare(t, must(t, b, 188), units)
}

// TestChange: new parameter sets leave the version alone, another set of tracks raises it.
func TestChange(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10})
	var m Muxer
	var b []byte
	var want []*av.AccessUnit
	for i := range 120 {
		if i == 60 {
			e.ChangeVideo()
		}
		u := e.Next()
		tracks := e.Tracks()
		if i < 30 {
			tracks = tracks[:1] // the sound joins later
		}
		b = m.Unit(b, tracks, u)
		if slices.Contains(tracks, u.Track) {
			want = append(want, u)
		}
	}
	r := check(t, b)
	if !slices.Equal(r.versions, []byte{0, 1}) || r.splices != 0 {
		t.Errorf("%+v", r)
	}
	got := must(t, b, 1316)
	compare(t, got, want)
	var seen []*av.Track
	for _, u := range got {
		if !slices.Contains(seen, u.Track) {
			seen = append(seen, u.Track)
		}
	}
	if len(seen) != 3 {
		t.Errorf("tracks: %v", seen)
	}
}

// TestSplice: another publisher goes on. The PCR and the counters may leap there, and say so.
func TestSplice(t *testing.T) {
	var m Muxer
	var b []byte
	var want []*av.AccessUnit
	for i := range byte(2) {
		o := sim.Options{Video: av.H264, Audio: av.AAC, Origin: i, Start: 2 * time.Second * time.Duration(i)}
		tracks, units := take(o, 60)
		for _, u := range units {
			b = m.Unit(b, tracks, u)
		}
		want = append(want, units...)
	}
	r := check(t, b)
	if r.splices != 2 || !slices.Equal(r.versions, []byte{0}) {
		t.Errorf("%+v", r)
	}
	compare(t, must(t, b, 1316), want)
}
