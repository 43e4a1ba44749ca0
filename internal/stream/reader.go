package stream

import (
	"context"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Reader takes units from a stream at its own pace. One goroutine uses it; Skips may be called by any.
type Reader struct {
	cursor[*av.AccessUnit]
	stream *Stream
	begun  bool   // a unit has been taken
	jumps  uint64 // skips, when the newest was taken
}

// Entry is a unit as it stands in its stream.
type Entry struct {
	*av.AccessUnit
	Tracks []*av.Track // of the stream as of the unit, sorted by ID. Shared: do not change them
	Came   time.Time   // when the stream got it
	Jumped bool        // the reader missed what came between this unit and the one before
}

// Read waits for at least one unit, takes as many as are there and fit into dst, and returns their number. The
// first unit ever, and the first after a skip, is a key unit; its tracks are told with those that have joined the stream since. It returns
// ErrTooSlow, ErrNoKey, the stream's end cause after the last unit, or the context's cause.
func (r *Reader) Read(ctx context.Context, dst []Entry) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	it, _, err := r.wait(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for it != nil && n < len(dst) {
		dst[n] = r.entry(it)
		n++
		r.next++
		if it, _, err = r.peek(); err != nil {
			return n, nil //nolint:nilerr // the units come first; the next Read fails with the same error
		}
	}
	return n, nil
}

// entry tells of an item. Who begins there is told of the tracks that are to come soon.
func (r *Reader) entry(it *item[*av.AccessUnit]) Entry {
	e := Entry{it.value, it.tracks, it.at, r.skips.Load() != r.jumps}
	if !r.begun || e.Jumped {
		e.Tracks = r.stream.outlook(it.tracks, it.dts)
	}
	r.begun, r.jumps = true, r.skips.Load()
	return e
}

// Skips is how often the reader had to jump forward.
func (r *Reader) Skips() uint64 { return r.skips.Load() }

// outlook returns the tracks at a moment, and those that have joined the stream since and are of a kind that was not there: a
// newcomer is told at once of all kinds that it will meet, because players decide by the head which decoders they need.
// Another track of a kind may be the one that a format carries from there on, but is not yet at this moment. Those of another publisher
// come with the splice.
func (s *Stream) outlook(tracks []*av.Track, dts time.Duration) []*av.Track {
	known, present := tracks, s.Tracks()
	if dts < time.Duration(s.since.Load()) {
		return tracks
	}
	for _, t := range present {
		i, found := slices.BinarySearchFunc(tracks, t.ID, byID)
		if !found && !hasKind(known, t.Kind()) {
			tracks = slices.Insert(slices.Clone(tracks), i, t)
		}
	}
	return tracks
}
