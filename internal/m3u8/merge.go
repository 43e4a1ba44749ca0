package m3u8

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrSkipped says that a delta update leaves out what the version before does not have: the whole playlist is needed (6.3.7).
var ErrSkipped = errors.New("the delta update skips segments that are not known")

// Merge puts a delta update together with the version before it, which is whole (6.3.7). Neither is changed. Of a playlist that is no delta
// update it returns the playlist itself. Parts of the segments that were skipped are left out: they are tags of those.
func Merge(prev, delta *Playlist) (*Playlist, error) {
	d := delta.Media
	if d == nil || d.Skip == nil {
		return delta, nil
	}
	if prev == nil || prev.Media == nil {
		return nil, ErrSkipped
	}
	old := prev.Media
	m := *d
	m.Skip = nil
	m.Segments = make([]Segment, 0, len(old.Segments)+len(d.Segments))
	for msn := d.MediaSequence; msn < d.MediaSequence+d.Skip.Segments; msn++ {
		s := old.Segment(msn)
		if s == nil || s.URI == "" {
			return nil, fmt.Errorf("%w: %d", ErrSkipped, msn)
		}
		c := *s
		c.Parts = nil
		m.Segments = append(m.Segments, c)
	}
	m.Segments = append(m.Segments, d.Segments...)
	if d.Open != nil {
		o := *d.Open
		m.Open = &o
	}
	m.inherit(int(d.Skip.Segments), old)
	m.DateRanges = mergeRanges(old, d)
	p := *delta
	p.Media = &m
	return &p, nil
}

// inherit gives the segments behind those skipped what is in force there: maps, keys, the start of a range, discontinuities.
func (m *Media) inherit(skipped int, old *Media) {
	if skipped > 0 {
		last := m.Segments[skipped-1]
		pending := true // the first range may go on where the last one skipped ended
		for i := skipped; i < len(m.Segments); i++ {
			s := &m.Segments[i]
			if s.Map == nil || sameMap(s.Map, last.Map) {
				s.Map = last.Map // repeated in the delta update, where it may be
			}
			if s.Keys == nil {
				s.Keys = last.Keys
			}
			if s.Range == nil || !s.Range.Implicit {
				pending = false
			} else if before := m.Segments[i-1]; pending && before.Range != nil && before.URI == s.URI {
				r := *s.Range
				r.Start = before.Range.Start + before.Range.Length
				s.Range = &r
			}
		}
		if m.Open != nil && (m.Open.Map == nil || sameMap(m.Open.Map, last.Map)) {
			m.Open.Map = last.Map
		}
		if m.Open != nil && m.Open.Keys == nil {
			m.Open.Keys = last.Keys
		}
	}
	m.countBreaks(old)
}

// countBreaks numbers the discontinuities anew. The first segment may have lost its tag together with those removed before it.
func (m *Media) countBreaks(old *Media) {
	n := m.DiscontinuitySequence
	first := true
	each(m, func(s *Segment) {
		if o := old.Segment(s.MSN); first && o != nil && s.Discontinuity && o.DiscontinuitySequence == n {
			s.Discontinuity = false // the tag was removed, and counted
		}
		if s.Discontinuity {
			n++
		}
		s.DiscontinuitySequence = n
		first = false
	})
}

func mergeRanges(old, d *Media) []DateRange {
	gone := map[string]bool{}
	for _, id := range d.Skip.Removed {
		gone[id] = true
	}
	for i := range d.DateRanges {
		gone[d.DateRanges[i].ID] = true
	}
	all := slices.DeleteFunc(slices.Clone(old.DateRanges), func(r DateRange) bool { return gone[r.ID] })
	return append(all, d.DateRanges...)
}

// Diff says in which segments and parts two versions of the same instant differ, such as a whole playlist and one put together of a delta
// update. Parts that one of them no longer has are no difference.
func Diff(a, b *Playlist) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	x, y := a.Media, b.Media
	if x == nil || y == nil {
		return []string{"not two Media Playlists"}
	}
	if x.MediaSequence != y.MediaSequence || len(x.Segments) != len(y.Segments) || x.DiscontinuitySequence != y.DiscontinuitySequence {
		say("%d segments from %d, discontinuity sequence %d; and %d from %d, %d", len(x.Segments), x.MediaSequence, x.DiscontinuitySequence,
			len(y.Segments), y.MediaSequence, y.DiscontinuitySequence)
	}
	if x.TargetDuration != y.TargetDuration || x.PartTarget != y.PartTarget || x.Ended != y.Ended || (x.Open == nil) != (y.Open == nil) {
		say("the target durations, the end, or an open segment differ")
	}
	each(x, func(s *Segment) {
		if o := y.Segment(s.MSN); o != nil {
			if text := s.differs(o); text != "" {
				say("segment %d: %s", s.MSN, text)
			}
			if len(s.Parts) > 0 && len(o.Parts) > 0 {
				if len(s.Parts) != len(o.Parts) {
					say("segment %d: %d parts and %d", s.MSN, len(s.Parts), len(o.Parts))
				}
				for i := range min(len(s.Parts), len(o.Parts)) {
					if text := s.Parts[i].differs(&o.Parts[i]); text != "" {
						say("part %d.%d: %s", s.MSN, i, text)
					}
				}
			}
		}
	})
	return out
}

// differs tells what is not the same in two versions of one segment, apart from parts and dates that are derived; "" for nothing. The end of
// an open segment may come later.
func (s *Segment) differs(o *Segment) string {
	closed := s.URI != "" && o.URI != ""
	switch {
	case closed && s.URI != o.URI:
		return "URI " + s.URI + ", then " + o.URI
	case closed && s.Duration != o.Duration:
		return fmt.Sprintf("duration %v, then %v", s.Duration, o.Duration)
	case s.DiscontinuitySequence != o.DiscontinuitySequence:
		return fmt.Sprintf("discontinuity sequence number %d, then %d", s.DiscontinuitySequence, o.DiscontinuitySequence)
	case closed && s.Gap != o.Gap:
		return fmt.Sprintf("gap %v, then %v", s.Gap, o.Gap)
	case closed && !sameRange(s.Range, o.Range):
		return "another byte range"
	case !sameMap(s.Map, o.Map):
		return "another EXT-X-MAP"
	case !slices.EqualFunc(s.Keys, o.Keys, sameKey):
		return "another EXT-X-KEY"
	case !s.PDT.IsZero() && !o.PDT.IsZero() && s.PDT.Sub(o.PDT).Abs() >= time.Millisecond:
		return fmt.Sprintf("date %v, then %v", s.PDT, o.PDT)
	}
	return ""
}

func sameMap(a, b *Map) bool {
	return a == b || a != nil && b != nil && a.URI == b.URI && sameRange(a.Range, b.Range)
}

func sameKey(a, b Key) bool {
	a.Line, b.Line = 0, 0
	return a == b
}

// differs tells what is not the same in two versions of one part; "" for nothing.
func (p *Part) differs(o *Part) string {
	switch {
	case p.URI != o.URI:
		return "URI " + p.URI + ", then " + o.URI
	case p.Duration != o.Duration:
		return fmt.Sprintf("duration %v, then %v", p.Duration, o.Duration)
	case p.Independent != o.Independent:
		return fmt.Sprintf("independent %v, then %v", p.Independent, o.Independent)
	case p.Gap != o.Gap:
		return fmt.Sprintf("gap %v, then %v", p.Gap, o.Gap)
	case !sameRange(p.Range, o.Range):
		return "another byte range"
	}
	return ""
}
