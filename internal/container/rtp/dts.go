package rtp

import (
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

const (
	depthMax     = 16 // pictures (H.264, A.3.1: max_dec_frame_buffering is at most 16)
	pictureStep  = 40 * time.Millisecond
	decodingStep = time.Millisecond // at least, between two pictures: the finest clock of other formats
	leapForward  = 10 * time.Second
	leapBackward = 2 * time.Second
)

// decoder finds the decoding times of pictures, of which RTP tells the presentation times only, in decoding order.
//
// Where pictures are reordered by at most d places, the picture n is decoded at the time at which the one n-d in order of
// presentation is shown: that is, of all presentation times up to now, the d+1st from the end. Nothing waits for it. The first d
// pictures count back from the first. Where d is not known, it is what has been seen so far.
type decoder struct {
	depth  int
	step   time.Duration
	newest []time.Duration // the greatest presentation times, in order
	first  time.Duration
	last   time.Duration // the newest decoding time
}

// configure takes what a track's parameter sets say. What was seen to be deeper stays.
func (d *decoder) configure(t *av.Track) {
	d.step = pictureStep
	if t.FrameRate > 1 {
		d.step = time.Duration(float64(time.Second) / t.FrameRate)
	}
	d.depth = max(d.depth, reorderDepth(t))
}

// reorderDepth is how many pictures may precede one in decoding order and follow it in presentation, as far as the SPS tells.
func reorderDepth(t *av.Track) int {
	for _, set := range t.Sets {
		switch sps := nal.KindOf(t.Codec, set) == nal.SPS; {
		case sps && t.Codec == av.H264:
			var s h264.SPS
			if s.Unmarshal(set) != nil || s.ProfileIdc == 66 || s.PicOrderCntType == 2 ||
				s.VUI == nil || s.VUI.BitstreamRestriction == nil {
				return 0
			}
			return int(min(s.VUI.BitstreamRestriction.MaxNumReorderFrames, depthMax))
		case sps && t.Codec == av.H265:
			var s h265.SPS
			if s.Unmarshal(set) != nil || len(s.MaxNumReorderPics) == 0 {
				return 0
			}
			return int(min(s.MaxNumReorderPics[len(s.MaxNumReorderPics)-1], depthMax))
		}
	}
	return 0
}

// next returns the decoding time of a picture, and its presentation time, which is put right in the rare case that it is before
// what was decoded already.
func (d *decoder) next(pts time.Duration) (dts, shown time.Duration) {
	if n := len(d.newest); n > 0 && (pts-d.newest[n-1] > leapForward || d.newest[n-1]-pts > leapBackward) {
		d.newest = d.newest[:0]
	}
	before := len(d.newest) // pictures, up to the limit
	if before == 0 {
		d.first = pts
	}
	at, _ := slices.BinarySearch(d.newest, pts)
	for at < len(d.newest) && d.newest[at] == pts {
		at++
	}
	if above := len(d.newest) - at; above > d.depth && d.depth < depthMax {
		d.depth = min(above, depthMax)
	}
	d.newest = slices.Insert(d.newest, at, pts)
	if len(d.newest) > depthMax+1 {
		d.newest = slices.Delete(d.newest, 0, 1)
	}
	if before < d.depth {
		dts = d.first - time.Duration(d.depth-before)*d.step
	} else {
		dts = d.newest[len(d.newest)-1-d.depth]
	}
	if before > 0 {
		dts = max(dts, d.last+decodingStep)
	}
	d.last = dts
	return dts, max(pts, dts)
}
