package fmp4

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestDemuxerOrder: units of a part come in the order of their DTS, whatever their tracks.
func TestDemuxerOrder(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	b := AppendInit(nil, e.Tracks())
	var f Fragment
	for _, u := range e.Take(100) {
		if err := f.Add(u); err != nil {
			t.Fatal(err)
		}
	}
	var d Demuxer
	units := demux(t, &d, f.Append(b, 0), 1000)
	tracks := map[*av.Track]bool{}
	for i, u := range units {
		tracks[u.Track] = true
		if i > 0 && u.DTS < units[i-1].DTS {
			t.Fatalf("%v after %v", u.DTS, units[i-1].DTS)
		}
	}
	if len(units) != 100 || len(tracks) != 2 {
		t.Error(len(units), tracks)
	}
}

// TestDemuxerNoTime: a fragment without tfdt goes on where the one before ended.
func TestDemuxerNoTime(t *testing.T) {
	b := bytes.ReplaceAll(written(sim.Options{Audio: av.AAC}), []byte("tfdt"), []byte("free"))
	var d Demuxer
	units := demux(t, &d, b, 100)
	for i, u := range units {
		if want := av.Duration(int64(i)*1024, 48_000); (u.DTS - want).Abs() > time.Millisecond {
			t.Errorf("unit %d at %v, want %v", i, u.DTS, want)
		}
	}
	if len(units) != 20 {
		t.Errorf("%d units", len(units))
	}
}

// TestDemuxerGreedy: samples that are of the same bytes, to be given out many times.
func TestDemuxerGreedy(t *testing.T) {
	track := sim.NewTrack(1, av.AAC, 0)
	b := AppendInit(nil, []*av.Track{track})
	b = box(b, "moof", func(b []byte) []byte {
		return box(b, "traf", func(b []byte) []byte {
			b = box(b, "tfhd", bytesOf(0, 2, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 80))
			for range 2 {
				b = box(b, "trun", bytesOf(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 16+20+2*20+8))
			}
			return b
		})
	})
	b = box(b, "mdat", bytesOf(make([]byte, 100)...))
	var d Demuxer
	if units, err := d.Demux(b); len(units) != 0 || err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("%d units, error %v", len(units), err)
	}
}

// TestDemuxerInBand: parameter sets in samples, as in avc3, are another track; a sample without a picture is none.
func TestDemuxerInBand(t *testing.T) {
	a, b := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H264, 1)
	start := bytes.Replace(AppendInit(nil, []*av.Track{a}), []byte("avc1"), []byte("avc3"), 1)
	sample := func(nals ...[]byte) []byte {
		var media []byte
		for _, n := range nals {
			media = append(appendUint32(media, uint32(len(n))), n...)
		}
		var f Fragment
		// What the fragment takes for a frame of sound it leaves as it is.
		return f.Unit(nil, &av.AccessUnit{Track: sim.NewTrack(1, av.AAC, 0), Data: [][]byte{media}})
	}
	picture := []byte{0x65, 0x88, 1}
	var d Demuxer
	for i, tc := range []struct {
		in   []byte
		want *av.Track // nil: no unit
		n    int
		err  string
	}{
		{start, nil, 0, ""},
		{sample(picture), a, 1, ""},
		{sample(a.Sets[0], a.Sets[1], picture), a, 3, ""},
		{sample([]byte{0x06, 5, 1, 0x80}), nil, 0, ""},
		{sample(b.Sets[0], picture), b, 2, ""},
		{sample(picture), b, 1, ""},
		{sample([]byte{0x67}, picture), nil, 0, "cannot be read"},
		{sample(picture), b, 1, ""},
	} {
		units, err := d.Demux(tc.in)
		if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Fatalf("%d: error %v", i, err)
		}
		if tc.want == nil != (len(units) == 0) {
			t.Fatalf("%d: %d units", i, len(units))
		}
		if tc.want != nil && (!units[0].Track.Equal(tc.want) || len(units[0].Data) != tc.n || !units[0].Key) {
			t.Errorf("%d: %v with %d NAL units, want %v with %d", i, units[0].Track, len(units[0].Data), tc.want, tc.n)
		}
	}
}

// TestDemuxerInitAgain: an init segment that says what is known changes nothing, one that differs does.
func TestDemuxerInitAgain(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265, av.AV1, av.VP9} {
		first, second := sim.NewTrack(1, c, 0), sim.NewTrack(1, c, 1)
		u := sim.New(sim.Options{Video: c}).Next()
		var f Fragment
		var d Demuxer
		units := demux(t, &d, f.Unit(AppendInit(nil, []*av.Track{first}), u), 1000)
		was := units[0].Track
		demux(t, &d, AppendInit(nil, []*av.Track{first}), 1000)
		if now := d.Tracks(); !slices.Equal(now, []*av.Track{was}) {
			t.Errorf("%v: tracks %v", c, now)
		}
		demux(t, &d, AppendInit(nil, []*av.Track{second}), 1000)
		if now := d.Tracks(); c != av.VP9 && (len(now) != 1 || !now[0].Equal(second)) {
			t.Errorf("%v: tracks %v, want %v", c, now, second)
		}
	}
}

// TestDemuxerLate: the times of a long recording.
func TestDemuxerLate(t *testing.T) {
	u := sim.New(sim.Options{Video: av.H264, BFrames: 2, Start: 40 * 365 * 24 * time.Hour}).Next()
	var f Fragment
	var d Demuxer
	units := demux(t, &d, f.Unit(AppendInit(nil, []*av.Track{u.Track}), u), 1000)
	same(t, units[0], u)
}
