package stream

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// trackStats are the running figures of one track: written under the stream's lock, read by anybody.
type trackStats struct {
	meter
	keys    atomic.Uint64
	gop     atomic.Int64 // nanoseconds between the two newest key units
	picked  atomic.Int64 // units between them, the first of the two included
	lastKey time.Duration
	paired  bool         // a key unit of this publisher's has come
	keyUnit uint64       // the number of the newest key unit
	first   atomic.Int64 // DTS of the first unit, in nanoseconds
	last    atomic.Int64 // DTS of the newest
	fixed   atomic.Uint64
	newest  atomic.Int64 // when the newest unit came: nanoseconds since the stream was made
	gap     atomic.Int64 // nanoseconds that lie between units at times: the longest gap over a second, forgotten as others follow
	quiet   atomic.Bool  // Quiet has told of it
}

// TrackStats is a copy of a track's figures.
type TrackStats struct {
	Track     *av.Track
	Units     uint64
	Bytes     uint64
	Rate      float64       // units a second, over about the last second
	BitRate   float64       // bits a second
	GOP       time.Duration // between the two newest key units; 0 for audio and before there are two
	GOPUnits  int           // that lie in it; 0: the same
	Keys      uint64        // key units of video
	Span      time.Duration // of media, from the first unit to the newest
	Corrected uint64        // units with a stamp that jumped, did not follow the one before, or made no sense
	Idle      time.Duration // since its newest unit
}

// Stats is a copy of a stream's figures. It is at most about a second old.
type Stats struct {
	Tracks  []TrackStats
	Bytes   uint64
	BitRate float64
	Newest  time.Duration // DTS of the newest unit
	Shares  int           // formats that are being muxed
	Splices uint64        // how often another publisher has gone on with the stream
}

// count notes a unit that came at now, which is since after the stream was made, and whether its stamps were corrected. Under mu.
func (s *Stream) count(u *av.AccessUnit, now time.Time, since time.Duration, corrected bool) {
	size, at := u.Size(), int64(since)
	s.total.add(size, now)
	st := (*s.stats.Load())[u.Track.ID]
	if st == nil {
		st = &trackStats{}
		st.newest.Store(at)
		st.first.Store(int64(u.DTS))
		next := maps.Clone(*s.stats.Load())
		next[u.Track.ID] = st
		s.stats.Store(&next)
	}
	st.add(size, now)
	if gap, now := st.gap.Load(), at-st.newest.Load(); max(gap, now) > int64(time.Second) {
		st.gap.Store(max(now, gap-gap/4))
	}
	st.newest.Store(at)
	if st.quiet.Load() {
		st.quiet.Store(false)
	}
	if corrected {
		st.fixed.Add(1)
	}
	if u.Key && u.Track.Kind() == av.Video {
		n := st.units.Load()
		st.keys.Add(1)
		if st.paired {
			st.gop.Store(int64(u.DTS - st.lastKey))
			st.picked.Store(int64(n - st.keyUnit)) //nolint:gosec // a ring's worth
		}
		st.lastKey, st.keyUnit, st.paired = u.DTS, n, true
	}
	st.last.Store(int64(u.DTS))
}

// resetStats forgets the figures of all tracks but those that are gone only now, since the next publisher may have tracks with the same
// IDs: they go on, but what lies between two units begins anew. So there are never more than two publishers' tracks. Under mu.
func (s *Stream) resetStats(gone []*av.Track, now time.Time) {
	old, next := *s.stats.Load(), map[int]*trackStats{}
	for _, t := range gone {
		if st := old[t.ID]; st != nil {
			st.newest.Store(int64(now.Sub(s.made)))
			st.gap.Store(0)
			st.quiet.Store(false)
			st.paired = false
			st.gop.Store(0)
			st.picked.Store(0)
			next[t.ID] = st
		}
	}
	s.stats.Store(&next)
}

// idle is how long ago the track's newest unit came.
func (t *trackStats) idle(s *Stream) time.Duration {
	return time.Since(s.made) - time.Duration(t.newest.Load())
}

// BitRate is about what the stream takes, in bits a second.
func (s *Stream) BitRate() float64 {
	_, rate := s.total.read()
	return rate * 8
}

// Quiet returns the tracks of sound and pictures that have stopped while another of them goes on, each once until it has a unit again.
// A track has stopped when it has had no unit for longer than d, and for more than twice as long as it has let pass before.
func (s *Stream) Quiet(d time.Duration) []*av.Track {
	var quiet []*av.Track
	alive, stats := false, *s.stats.Load()
	for _, t := range s.Tracks() {
		st := stats[t.ID]
		if st == nil || t.Kind() == av.Data {
			continue
		}
		idle := st.idle(s)
		alive = alive || idle <= d
		if idle > max(d, 2*time.Duration(st.gap.Load())) {
			quiet = append(quiet, t)
		}
	}
	if !alive {
		return nil
	}
	return slices.DeleteFunc(quiet, func(t *av.Track) bool { return stats[t.ID].quiet.Swap(true) })
}

// Stats returns the stream's figures. It takes no lock.
func (s *Stream) Stats() Stats {
	out := Stats{Bytes: s.total.bytes.Load(), BitRate: s.BitRate(), Shares: len(*s.active.Load()), Splices: s.splices.Load()}
	if head := s.units.head.Load(); head > 0 {
		if it := s.units.at(head - 1); it != nil {
			out.Newest = it.dts
		}
	}
	stats := *s.stats.Load()
	for _, t := range s.Tracks() {
		st := stats[t.ID]
		if st == nil {
			continue
		}
		units, bytes := st.read()
		out.Tracks = append(out.Tracks, TrackStats{
			Track: t, Units: st.units.Load(), Bytes: st.bytes.Load(), Rate: units, BitRate: bytes * 8,
			GOP: time.Duration(st.gop.Load()), GOPUnits: int(st.picked.Load()), Keys: st.keys.Load(),
			Span: time.Duration(st.last.Load() - st.first.Load()), Corrected: st.fixed.Load(),
			Idle: st.idle(s),
		})
	}
	return out
}
