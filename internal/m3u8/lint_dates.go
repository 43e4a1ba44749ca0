package m3u8

import "time"

// dates holds each EXT-X-PROGRAM-DATE-TIME against the one before and the durations between them.
func (f *findings) dates(m *Media, drift time.Duration) {
	var next time.Time // of the segment to come, by those before
	any := false
	each(m, func(s *Segment) {
		any = any || !s.PDT.IsZero()
		if s.Discontinuity && s.PDT.IsZero() && any {
			f.add("date-after-break", s.Line, "segment %d has EXT-X-DISCONTINUITY and no date, others have one", s.MSN)
		}
		if !s.PDT.IsZero() {
			off := s.PDT.Sub(next)
			switch {
			case next.IsZero():
			case off <= -ambiguous:
				f.add("date-ambiguous", s.Line, "segment %d is dated %v before the end of the one before it", s.MSN, -off)
			case off.Abs() > drift && (!s.Discontinuity || off < 0):
				f.add("date-drift", s.Line, "the date of segment %d is off by %v from the one before it and its duration", s.MSN, off)
			}
			next = s.PDT
		}
		if !next.IsZero() {
			next = next.Add(s.Duration)
		}
	})
}

// ranges looks at EXT-X-DATERANGE.
func (f *findings) ranges(m *Media) {
	dated := m.Skip != nil || len(m.DateRanges) == 0
	each(m, func(s *Segment) { dated = dated || !s.PDT.IsZero() })
	if !dated {
		f.add("date-range", m.DateRanges[0].Line, "EXT-X-DATERANGE without any EXT-X-PROGRAM-DATE-TIME")
	}
	seen := map[string]bool{}
	for _, d := range m.DateRanges {
		switch {
		case d.ID == "":
			f.add("date-range", d.Line, "EXT-X-DATERANGE without ID")
		case d.Start.IsZero() && !seen[d.ID] && m.Skip == nil:
			f.add("date-range", d.Line, "EXT-X-DATERANGE %q without START-DATE", d.ID)
		case !d.End.IsZero() && d.End.Before(d.Start):
			f.add("date-range", d.Line, "EXT-X-DATERANGE %q ends before it starts", d.ID)
		case d.Attrs.yes("END-ON-NEXT") && (d.Class == "" || d.Duration >= 0 || !d.End.IsZero()):
			f.add("date-range", d.Line, "EXT-X-DATERANGE %q with END-ON-NEXT has no CLASS, or has DURATION or END-DATE", d.ID)
		}
		seen[d.ID] = true
	}
}
