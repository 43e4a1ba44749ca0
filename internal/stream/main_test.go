package stream

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// h264 is an encoder of 25 pictures a second without sound.
func h264(gop int) *sim.Encoder { return sim.New(sim.Options{Video: av.H264, GOP: gop}) }

// av264 is one with sound.
func av264(gop int) *sim.Encoder {
	return sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: gop})
}

func write(t testing.TB, p *Publisher, units ...*av.AccessUnit) {
	t.Helper()
	for _, u := range units {
		if err := p.Write(u); err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads what is there without waiting, and judges it with c.
func drain(t testing.TB, r *Reader, c *sim.Checker) (units []*av.AccessUnit) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var dst [7]Entry
	for {
		n, err := r.Read(ctx, dst[:])
		for _, u := range dst[:n] {
			if c != nil {
				if err := c.Unit(u.AccessUnit); err != nil {
					t.Fatal(err)
				}
			}
			units = append(units, u.AccessUnit)
		}
		if err != nil {
			return units
		}
	}
}

// seqs are the encoder's numbers of units.
func seqs(t testing.TB, units []*av.AccessUnit) []uint64 {
	t.Helper()
	out := make([]uint64, 0, len(units))
	for _, u := range units {
		tag, err := sim.Read(u)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tag.Seq)
	}
	return out
}
