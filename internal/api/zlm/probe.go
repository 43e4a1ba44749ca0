package zlm

import (
	"context"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/stream"
)

// Limits of probes.
const (
	probesMost = 8 // at the same time
	probeTime  = callTime - 500*time.Millisecond
	framesMost = 4096 // that one tells of
)

// frame is a unit that has come.
type frame struct {
	Codec  string `json:"codec"`
	Type   string `json:"track_type"` // "video" or "audio"
	DTS    int64  `json:"dts"`        // ms
	PTS    int64  `json:"pts"`
	Came   int64  `json:"recv_stamp"` // unix ms
	Size   int    `json:"frame_size"`
	Index  int    `json:"index"` // of the track
	Key    bool   `json:"key_frame"`
	Config bool   `json:"config_frame"` // no unit here is nothing but a configuration
}

// probe answers what comes from now on, after a while: at the most probeTime. Probes do not disturb each other, as they do in the original: each
// reads by itself.
func (a *API) probe(ctx context.Context, c *call) reply {
	if a.opt.Reader == nil {
		return failed(codeFailed, notYet("probes"))
	}
	select {
	case a.probes <- struct{}{}:
		defer func() { <-a.probes }()
	default:
		return failed(codeFailed, "too many probes are under way")
	}
	begun := time.Now()
	reader := a.opt.Reader(c.key())
	if reader == nil {
		return failed(codeNotFound, noStream)
	}
	ms := min(max(c.number("probe_ms"), 0), probeTime.Milliseconds())
	ctx, cancel := context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	defer cancel()
	var frames []frame
	const batch = 64
	dst := make([]stream.Entry, batch)
	for len(frames) < framesMost {
		n, err := reader.Read(ctx, dst)
		for i := range dst[:n] {
			if e := &dst[i]; !e.Came.Before(begun) { // the reader began with what was there
				frames = append(frames, frameOf(e))
			}
		}
		if err != nil {
			break // the time is over, or the stream
		}
	}
	if len(frames) == 0 {
		return ok(nil)
	}
	return data(frames)
}

func frameOf(e *stream.Entry) frame {
	kind := "audio"
	if e.Track.Kind() == av.Video {
		kind = "video"
	}
	return frame{
		Codec: e.Track.Codec.String(), Type: kind, DTS: e.DTS.Milliseconds(), PTS: e.PTS.Milliseconds(), Came: e.Came.UnixMilli(),
		Size: e.Size(), Index: e.Track.ID, Key: e.Key && kind == "video",
	}
}
