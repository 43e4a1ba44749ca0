package rtp

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Limits of units and of the memory that they keep alive.
const (
	unitMax       = 8 << 20 // bytes (as mediacommon has it for H.264 and H.265)
	elementsMax   = 4096    // NAL units or OBUs in a unit
	unitOverhead  = 160     // bytes: a unit itself, and the place that a ring has for it
	trackOverhead = 256     // bytes: a track, apart from its lists
	elementSize   = 24      // bytes: an element of a list, apart from what lies in it
)

// setTrack makes t the media's track, unless a decoder could not tell it from the present one.
func (r *Receiver) setTrack(t *av.Track) {
	if r.track != nil && r.track.Equal(t) {
		return
	}
	r.track = t
	if t.Kind() == av.Video {
		r.dts.configure(t)
	}
}

// single emits a unit of one element, which is the unit's own memory, at ticks and after.
func (r *Receiver) single(b []byte, ticks int64, after time.Duration, key bool) error {
	u := av.NewUnit(1)
	u.Key, u.Data = key, append(u.Data, b)
	return r.put(u, ticks, after)
}

// put gives u track and times and emits it, unless it is of no use to a decoder.
func (r *Receiver) put(u *av.AccessUnit, ticks int64, after time.Duration) error {
	if r.track == nil || r.need && !u.Key {
		r.stats.dropped.Add(1)
		return nil
	}
	r.need = false
	u.Track = r.track
	u.PTS = r.lane.time(ticks) + after
	u.DTS = u.PTS
	if r.track.Kind() == av.Video {
		u.DTS, u.PTS = r.dts.next(u.PTS)
	}
	held := 0
	for _, b := range u.Data {
		held += cap(b)
	}
	u.Held = held + elementSize*cap(u.Data) + unitOverhead
	if r.held != r.track { // lest a track that changes with every unit be had for nothing
		r.held = r.track
		u.Held += trackSize(r.track)
	}
	r.stats.units.Add(1)
	if err := r.emit(u); err != nil {
		return &emitError{err}
	}
	return nil
}

// trackSize is the memory that a track takes, in bytes.
func trackSize(t *av.Track) int {
	n := trackOverhead + len(t.Config) + elementSize*cap(t.Sets)
	for _, s := range t.Sets {
		n += len(s)
	}
	return n
}
