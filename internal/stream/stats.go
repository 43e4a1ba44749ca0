package stream

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// trackStats are the running figures of one track: written under the stream's lock, read by anybody.
type trackStats struct {
	meter
	keys    atomic.Uint64
	gop     atomic.Int64 // nanoseconds between the two newest key units
	lastKey time.Duration
	fixed   atomic.Uint64
}

// TrackStats is a copy of a track's figures.
type TrackStats struct {
	Track     *av.Track
	Units     uint64
	Bytes     uint64
	Rate      float64       // units a second, over about the last second
	BitRate   float64       // bits a second
	GOP       time.Duration // between the two newest key units; 0 for audio and before there are two
	Corrected uint64        // units whose stamp was corrected
}

// Stats is a copy of a stream's figures. It is at most about a second old.
type Stats struct {
	Tracks  []TrackStats
	Bytes   uint64
	BitRate float64
	Newest  time.Duration // DTS of the newest unit
	Shares  int           // formats that are being muxed
}

// count notes a unit. Under mu.
func (s *Stream) count(u *av.AccessUnit, size int, now time.Time) {
	s.total.add(size, now)
	st := (*s.stats.Load())[u.Track.ID]
	if st == nil {
		st = &trackStats{}
		next := maps.Clone(*s.stats.Load())
		next[u.Track.ID] = st
		s.stats.Store(&next)
	}
	st.add(size, now)
	st.fixed.Store(s.time.clocks[u.Track.ID].fixed)
	if u.Key && u.Track.Kind() == av.Video {
		if st.keys.Add(1) > 1 {
			st.gop.Store(int64(u.DTS - st.lastKey))
		}
		st.lastKey = u.DTS
	}
}

// Stats returns the stream's figures. It takes no lock.
func (s *Stream) Stats() Stats {
	_, rate := s.total.read()
	out := Stats{Bytes: s.total.bytes.Load(), BitRate: rate * 8, Shares: len(*s.active.Load())}
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
			GOP: time.Duration(st.gop.Load()), Corrected: st.fixed.Load(),
		})
	}
	return out
}
