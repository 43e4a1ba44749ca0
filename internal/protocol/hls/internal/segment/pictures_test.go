package segment

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestFewPictures: that pictures are seconds apart does not make gaps between them.
func TestFewPictures(t *testing.T) {
	for _, fps := range []float64{0.3, 0.5, 1, 1.5, 2} {
		for _, gop := range []int{1, 3, 60} {
			t.Run(fmt.Sprint(fps, "/", gop), func(t *testing.T) {
				o := usual(FMP4)
				o.Frame = time.Duration(float64(time.Second) / fps)
				o.GOP = time.Duration(gop) * o.Frame
				p := record(sim.Options{Video: av.H264, Audio: av.AAC, FPS: fps, GOP: gop, KeySize: 200, Size: 64}, 40*time.Second)
				play(t, o, p, true)
			})
		}
	}
}
