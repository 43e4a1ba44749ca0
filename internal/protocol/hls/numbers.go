package hls

import (
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// seriesKey names what numbers are counted for: all renditions of a stream's name in a format, one after the other.
type seriesKey struct {
	name   hub.Key
	format segment.Format
}

// floorsMost bounds the names whose numbers are ahead of the clock.
const floorsMost = 4096

// clockNumber is the number of seconds since 2024.
func clockNumber(now time.Time) uint64 {
	const year2024 = 1_704_067_200
	return uint64(max(now.Unix()-year2024, 0)) //nolint:gosec // not negative
}

// first is the media sequence number that a rendition begins with: the number of seconds since 2024, so that it does not go back when a stream is
// cut anew, by this process or the next; or more, if the one before was faster than one segment a second. Under mu.
func (s *server) first(k seriesKey, now time.Time) uint64 {
	return max(clockNumber(now), s.floor, s.floors[k])
}

// raise has the next rendition begin with a number at least. It is remembered until the clock is there. That one stream is fast
// is nobody else's business, unless there are too many. Under mu.
func (s *server) raise(k seriesKey, number uint64, now time.Time) {
	switch {
	case number <= clockNumber(now):
	case s.floors[k] == 0 && len(s.floors) >= floorsMost:
		s.floor = max(s.floor, number)
	default:
		s.floors[k] = max(s.floors[k], number)
	}
}
