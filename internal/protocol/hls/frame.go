package hls

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/stream"
)

// options say how to cut a stream whose first units are these.
func (c *cut) options(first []stream.Entry, o segment.Options) segment.Options {
	cfg := c.server.cfg
	o.Format, o.Token, o.Segment, o.Part, o.Window, o.Bytes = c.format, c.token, cfg.Segment, cfg.Part, cfg.Segments, int64(cfg.Memory)
	if len(first) == 0 {
		return o
	}
	picked := c.format.Select(first[0].Tracks)
	if what := protocol.LeftOut(c.format.String(), c.format.Carries, first[0].Tracks, picked); what != "" {
		c.server.env.Log.Warn("tracks are left out", "protocol", nameOf(c.format), "stream", c.name, "left_out", what)
	}
	lead := segment.Leader(picked)
	if lead == nil {
		return o
	}
	rate := 0.
	for _, t := range c.stream.Stats().Tracks {
		if t.Track.ID == lead.ID {
			o.GOP, rate = t.GOP, t.Rate
		}
	}
	o.Frame = frameOf(lead, first, rate)
	return o
}

// frameOf is how long a unit of the leading track lasts: what most of the first ones lasted, on average, as stamps may be rounded; where there are
// few, what the track says, unless that is less than half of what those few lasted, or than what the units of the last second did, of which rate is
// the number: cameras that are told to send less do not always say so; 0: nobody knows.
func frameOf(lead *av.Track, first []stream.Entry, rate float64) time.Duration {
	var steps []time.Duration
	last := time.Duration(-1)
	for _, e := range first {
		if e.Track != lead {
			continue
		}
		if last >= 0 && e.DTS > last {
			steps = append(steps, e.DTS-last)
		}
		last = e.DTS
	}
	slices.Sort(steps)
	usual := frame(rate)
	if len(steps) > 0 {
		usual = steps[len(steps)/2]
	}
	if len(steps) < 5 {
		if said := frame(lead.FrameRate); usual <= 2*said {
			return said
		}
		return usual
	}
	steps = slices.DeleteFunc(steps, func(d time.Duration) bool { return d < usual/2 || d > usual*3/2 })
	sum := time.Duration(0)
	for _, d := range steps {
		sum += d
	}
	return sum / time.Duration(len(steps))
}

// frame is how long a unit lasts at a rate; 0: it is not known.
func frame(rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(min(float64(time.Second)/rate, float64(time.Minute)))
}
