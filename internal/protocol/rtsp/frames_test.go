package rtsp

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/sim"
)

// frames makes interleaved frames of what an encoder makes.
type frames struct {
	enc    *sim.Encoder
	packer *rtp.Packer
	tracks []*av.Track
}

func newFrames() *frames {
	f := &frames{enc: encoder()}
	f.tracks = f.enc.Tracks()
	var all []rtp.Lane
	for _, m := range lanes(f.tracks) {
		all = append(all, m.lane)
	}
	f.packer = rtp.NewPacker(all, rtp.PackerOptions{Start: time.Now()})
	return f
}

// next returns the frames of the next unit.
func (f *frames) next() []byte {
	u := f.enc.Next()
	return f.packer.Unit(nil, f.tracks, u)
}
