package fmp4

import (
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestGoldenInit: the init segment of each codec, box by box.
func TestGoldenInit(t *testing.T) {
	for _, c := range carried() {
		t.Run(c.String(), func(t *testing.T) {
			golden(t, "init_"+c.String(), dump(AppendInit(nil, []*av.Track{sim.NewTrack(1, c, 0)})))
		})
	}
	golden(t, "init_two", dump(AppendInit(nil, []*av.Track{
		sim.NewTrack(1, av.H264, 0), sim.NewTrack(7, av.Opus, 0), sim.NewTrack(9, av.G722, 0),
	})))
	if b := AppendInit(nil, []*av.Track{sim.NewTrack(1, av.VP8, 0)}); len(b) != 0 {
		t.Error(dump(b))
	}
}

// TestGoldenFragment: a fragment of a unit, and one of several units of two tracks.
func TestGoldenFragment(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, BFrames: 1, KeySize: 60, Size: 40, Start: time.Hour})
	var f Fragment
	golden(t, "fragment_unit", dump(f.Unit(nil, e.Next())))
	var end time.Duration
	for range 8 {
		u := e.Next()
		if err := f.Add(u); err != nil {
			t.Fatal(err)
		}
		end = u.DTS
	}
	golden(t, "fragment_part", dump(f.Append(nil, end+33*time.Millisecond)))
}
