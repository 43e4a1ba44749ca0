package m3u8

import "time"

// change holds a version of a playlist against the one before. Both are whole.
func (f *findings) change(old, now *Media) {
	f.changeTags(old, now)
	if !f.sequence(old, now) {
		return
	}
	f.common(old, now)
	f.removal(old, now)
	f.hinted(old, now)
}

// changeTags looks at what must stay as it is (6.2.1).
func (f *findings) changeTags(old, now *Media) {
	if old.TargetDuration != now.TargetDuration {
		f.add("target-changed", 0, "a target duration of %v, then %v", old.TargetDuration, now.TargetDuration)
	}
	if old.PartTarget != now.PartTarget && !now.Ended {
		f.add("part-target-changed", 0, "a part target of %v, then %v", old.PartTarget, now.PartTarget)
	}
	if a, b := old.Control, now.Control; !now.Ended && ((a == nil) != (b == nil) || a != nil && !sameControl(*a, *b)) {
		f.add("control-changed", 0, "EXT-X-SERVER-CONTROL is another")
	}
	if old.Type != now.Type {
		f.add("type-changed", 0, "EXT-X-PLAYLIST-TYPE %q, then %q", old.Type, now.Type)
	}
	switch {
	case old.Ended && !now.Ended:
		f.add("ended-changed", 0, "EXT-X-ENDLIST is gone")
	case old.Ended && now.Last() > old.Last():
		f.add("ended-changed", 0, "%d segments were added behind EXT-X-ENDLIST", now.Last()-old.Last())
	}
}

func sameControl(a, b ServerControl) bool {
	a.Line, b.Line = 0, 0
	return a == b
}

// sequence looks at the numbers (6.2.2). It returns false where nothing else can be compared.
func (f *findings) sequence(old, now *Media) bool {
	if now.MediaSequence < old.MediaSequence {
		f.add("msn-back", 0, "EXT-X-MEDIA-SEQUENCE %d, then %d", old.MediaSequence, now.MediaSequence)
		return false
	}
	places := make(map[string]int64, len(old.Segments))
	for i := range old.Segments {
		if s := &old.Segments[i]; s.Range == nil {
			places[s.URI] = s.MSN
		}
	}
	for i := range now.Segments {
		s := &now.Segments[i]
		if was, ok := places[s.URI]; ok && s.Range == nil && was != s.MSN {
			if !now.HasMediaSequence {
				f.add("msn-missing", 0, "segments were removed, and there is no EXT-X-MEDIA-SEQUENCE")
			} else {
				f.add("msn-shifted", s.Line, "%s was segment %d, now it is %d", s.URI, was, s.MSN)
			}
			return false
		}
	}
	if now.Last() < old.Last() {
		f.add("end-removed", 0, "the newest segment was %d, then %d", old.Last(), now.Last())
	}
	if now.DiscontinuitySequence < old.DiscontinuitySequence {
		f.add("break-sequence-back", 0, "EXT-X-DISCONTINUITY-SEQUENCE %d, then %d", old.DiscontinuitySequence, now.DiscontinuitySequence)
		return false
	}
	return true
}

// common compares the segments that both versions have.
func (f *findings) common(old, now *Media) {
	dates, nowDates := old.dates(), now.dates()
	shared := false
	each(now, func(s *Segment) {
		o := old.Segment(s.MSN)
		if o == nil {
			return
		}
		shared = true
		switch text := o.differs(s); {
		case o.DiscontinuitySequence != s.DiscontinuitySequence:
			f.add("break-sequence", s.Line, "segment %d had the discontinuity sequence number %d, now %d",
				s.MSN, o.DiscontinuitySequence, s.DiscontinuitySequence)
		case text != "":
			f.add("segment-changed", s.Line, "segment %d: %s", s.MSN, text)
		default:
			a, b := dates[s.MSN-old.MediaSequence], nowDates[s.MSN-now.MediaSequence]
			if off := b.Sub(a); !a.IsZero() && !b.IsZero() && off.Abs() >= ambiguous {
				f.add("segment-changed", s.Line, "the date of segment %d moved by %v", s.MSN, off)
			}
		}
		f.commonParts(o, s, now)
	})
	if last := old.Last(); !shared && len(now.Segments) > 0 && len(old.Segments) > 0 {
		if was, is := old.Segments[len(old.Segments)-1].DiscontinuitySequence, now.Segments[0].DiscontinuitySequence; is < was {
			f.add("break-sequence", now.Segments[0].Line, "segment %d had the discontinuity sequence number %d, %d has %d",
				last, was, now.Segments[0].MSN, is)
		}
	}
}

// commonParts compares the parts of one segment.
func (f *findings) commonParts(o, s *Segment, now *Media) {
	if len(o.Parts) == 0 {
		if len(s.Parts) > 0 && o.URI != "" {
			f.add("part-changed", s.Line, "closed segment %d had no parts, now it has %d", s.MSN, len(s.Parts))
		}
		return
	}
	if len(s.Parts) == 0 {
		if after := now.after(s.MSN); s.URI == "" || after < 3*now.TargetDuration-time.Millisecond && !now.Ended {
			f.add("part-removed", s.Line, "the parts of segment %d are gone, %v from the end", s.MSN, after)
		}
		return
	}
	if len(s.Parts) < len(o.Parts) {
		f.add("part-changed", s.Line, "segment %d had %d parts, now %d", s.MSN, len(o.Parts), len(s.Parts))
		return
	}
	if o.URI != "" && len(s.Parts) > len(o.Parts) {
		f.add("part-changed", s.Line, "closed segment %d had %d parts, now %d", s.MSN, len(o.Parts), len(s.Parts))
	}
	for i := range o.Parts {
		if text := o.Parts[i].differs(&s.Parts[i]); text != "" {
			f.add("part-changed", s.Parts[i].Line, "part %d.%d: %s", s.MSN, i, text)
			return
		}
	}
}

// after is how far the end of a segment is from the end of the playlist.
func (m *Media) after(msn int64) time.Duration {
	var d time.Duration
	each(m, func(s *Segment) {
		if s.MSN > msn {
			d += max(s.Duration, s.sum())
		}
	})
	return d
}

// removal looks at what was taken away (6.2.2).
func (f *findings) removal(old, now *Media) {
	if now.MediaSequence == old.MediaSequence {
		return
	}
	if now.Type != "" {
		f.add("type-changed", 0, "segments were removed from a playlist of type %s", now.Type)
	}
	if !now.Ended && now.Duration() < 3*now.TargetDuration {
		f.add("window", 0, "segments were removed and %v are left, less than 3 target durations of %v", now.Duration(), now.TargetDuration)
	}
	breaks := false
	for i := range old.Segments {
		breaks = breaks || old.Segments[i].Discontinuity
	}
	if breaks && !now.HasDiscontinuitySequence {
		f.add("break-sequence-missing", 0, "segments were removed from a playlist with EXT-X-DISCONTINUITY, and there is no EXT-X-DISCONTINUITY-SEQUENCE")
	}
}

// hinted sees whether the part that was hinted is the next one (4.4.5.3). A segment that closes without it may be a change of plan
// (6.2.6), and so may the end.
func (f *findings) hinted(old, now *Media) {
	h := old.Hint("PART")
	if h == nil || now.Ended {
		return
	}
	msn, part := old.Edge()
	for ; msn <= now.Last()+1; msn, part = msn+1, -1 {
		s := now.Segment(msn)
		if s == nil {
			return
		}
		if len(s.Parts) <= part+1 {
			if s.URI == "" {
				return // nothing new
			}
			continue
		}
		next := &s.Parts[part+1]
		was, _ := old.Edge()
		if !h.is(next) && (msn == was || old.closedEdge()) {
			f.add("hint-broken", next.Line, "%s was hinted, the next part is %s", h.URI, next.URI)
		}
		return
	}
}

// closedEdge says whether the newest thing is a segment that is closed, so that the hinted part is the first of the next.
func (m *Media) closedEdge() bool { return m.Open == nil || len(m.Open.Parts) == 0 }

// times sees whether there is something new in time (6.2.1).
func (h *History) times(f *findings, r *Response, now *Media) {
	slack := h.Slack
	if slack == 0 {
		slack = 500 * time.Millisecond
	}
	fresh, freshPart := true, true
	if h.last != nil {
		old := h.last.Media
		msn, part := old.Edge()
		nowMSN, nowPart := now.Edge()
		fresh = now.Last() > old.Last()
		freshPart = fresh || nowMSN > msn || nowMSN == msn && nowPart > part
		waited := !r.Asked.IsZero() && r.At.Sub(r.Asked) > slack/4 && directives(r.URL).msn >= 0
		if slack > 0 && !old.Ended && !now.Ended {
			late := r.At.Sub(h.segmentAt)
			if !h.overdue && late > now.TargetDuration*3/2+slack && (!fresh || waited) {
				f.add("segment-overdue", 0, "no new segment for %v, the target duration is %v", late, now.TargetDuration)
				h.overdue = true
			}
			late = r.At.Sub(h.partAt)
			if !h.partLate && part >= 0 && now.PartTarget > 0 && late > now.PartTarget+slack && (!freshPart || waited) {
				f.add("part-overdue", 0, "no new part for %v, the part target is %v", late, now.PartTarget)
				h.partLate = true
			}
		}
	}
	if fresh {
		h.segmentAt, h.overdue = r.At, false
	}
	if freshPart {
		h.partAt, h.partLate = r.At, false
	}
}
