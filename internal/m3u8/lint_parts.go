package m3u8

import "time"

// parts looks at EXT-X-PART and what comes with it.
func (f *findings) parts(m *Media, each1 time.Duration) {
	count, line := 0, 0
	each(m, func(s *Segment) {
		if count == 0 && len(s.Parts) > 0 {
			line = s.Parts[0].Line
		}
		count += len(s.Parts)
	})
	if m.PartTarget > 0 {
		f.partControl(m)
	} else if m.partInf {
		f.add("part-target-missing", 0, "EXT-X-PART-INF without PART-TARGET")
		return
	}
	if count == 0 {
		return
	}
	if m.PartTarget == 0 {
		f.add("part-inf-missing", line, "EXT-X-PART without EXT-X-PART-INF and its PART-TARGET")
		return
	}
	if m.IFramesOnly {
		f.add("part-iframes", line, "parts in a playlist with EXT-X-I-FRAMES-ONLY")
	}
	f.partProfile(m)
	f.partDurations(m)
	f.partSums(m, each1)
	f.partsLate(m)
}

// partControl looks at what EXT-X-PART-INF demands (4.4.3.8).
func (f *findings) partControl(m *Media) {
	c := m.Control
	switch {
	case c == nil || c.PartHoldBack == 0:
		f.add("part-hold-back-missing", 0, "EXT-X-PART-INF without PART-HOLD-BACK")
	case c.PartHoldBack < 2*m.PartTarget:
		f.add("part-hold-back", c.Line, "PART-HOLD-BACK of %v, less than 2 part targets of %v", c.PartHoldBack, m.PartTarget)
	case c.PartHoldBack < 3*m.PartTarget-rounding:
		f.add("part-hold-back-short", c.Line, "PART-HOLD-BACK of %v, less than 3 part targets of %v", c.PartHoldBack, m.PartTarget)
	}
}

// partProfile looks at what low latency demands of a live playlist (appendix B.1).
func (f *findings) partProfile(m *Media) {
	if m.Ended {
		return
	}
	if m.Control == nil || !m.Control.CanBlockReload {
		f.add("part-reload", 0, "parts without CAN-BLOCK-RELOAD")
	}
	dated := m.Skip != nil
	each(m, func(s *Segment) { dated = dated || !s.PDT.IsZero() })
	if !dated {
		f.add("part-dates-missing", 0, "parts without any EXT-X-PROGRAM-DATE-TIME")
	}
}

// partDurations holds each part against PART-TARGET (4.4.4.9). The newest part of the open segment may turn out to be its last.
func (f *findings) partDurations(m *Media) {
	each(m, func(s *Segment) {
		for i := range s.Parts {
			p := &s.Parts[i]
			if p.Duration > m.PartTarget {
				f.add("part-long", p.Line, "part %d.%d lasts %v, the part target is %v", s.MSN, i, p.Duration, m.PartTarget)
			}
			last := i == len(s.Parts)-1
			if last || p.Independent || p.Gap || s.Parts[i+1].Gap {
				continue
			}
			if p.Duration < m.PartTarget*85/100-rounding {
				f.add("part-short", p.Line, "part %d.%d lasts %v, less than 85 %% of the part target of %v", s.MSN, i, p.Duration, m.PartTarget)
			}
		}
	})
}

// partSums holds the parts of closed segments against EXTINF. Of the first that has some, the older ones may have been removed.
func (f *findings) partSums(m *Media, tolerance time.Duration) {
	first := true
	for i := range m.Segments {
		s := &m.Segments[i]
		if len(s.Parts) == 0 {
			if !first {
				f.add("part-order", s.Line, "segment %d has no parts, those before it have", s.MSN)
			}
			continue
		}
		allowed := time.Duration(len(s.Parts))*tolerance + time.Millisecond
		if off := s.sum() - s.Duration; off > allowed || off < -allowed && !first {
			f.add("part-sum", s.Line, "the parts of segment %d last %v, the segment %v", s.MSN, s.sum(), s.Duration)
		}
		first = false
	}
	f.partTags(m)
}

// partTags looks for tags of a segment behind its first part (4.4.4.9).
func (f *findings) partTags(m *Media) {
	each(m, func(s *Segment) {
		if len(s.Parts) == 0 {
			return
		}
		from := s.Parts[0].Line
		if s.Map != nil && s.Map.Line > from {
			f.add("part-order", s.Map.Line, "EXT-X-MAP behind the first part of segment %d", s.MSN)
		}
		for _, k := range s.Keys {
			if k.Line > from {
				f.add("part-order", k.Line, "EXT-X-KEY behind the first part of segment %d", s.MSN)
			}
		}
		if s.breakLine > from || s.dateLine > from {
			f.add("part-order", max(s.breakLine, s.dateLine), "EXT-X-DISCONTINUITY or the date of segment %d behind its first part", s.MSN)
		}
	})
}

// partsLate looks for parts that ought to be gone (6.2.2). The end is taken to be that of the last closed segment: servers clear away when
// one closes.
func (f *findings) partsLate(m *Media) {
	var after time.Duration
	for i := len(m.Segments) - 1; i >= 0; i-- {
		s := &m.Segments[i]
		if len(s.Parts) > 0 && after > 3*m.TargetDuration {
			f.add("part-late", s.Parts[0].Line, "the parts of segment %d are %v from the end, more than 3 target durations of %v",
				s.MSN, after, m.TargetDuration)
			return
		}
		after += s.Duration
	}
}

func (f *findings) hints(m *Media) {
	seen := map[string]bool{}
	for i := range m.Hints {
		h := &m.Hints[i]
		switch {
		case h.Type == "" || h.URI == "":
			f.add("hint-attributes", h.Line, "EXT-X-PRELOAD-HINT without TYPE or URI")
		case m.Ended:
			f.add("hint-ended", h.Line, "EXT-X-PRELOAD-HINT in a playlist with EXT-X-ENDLIST")
		case seen[h.Type]:
			f.add("hint-twice", h.Line, "a second EXT-X-PRELOAD-HINT of type %s", h.Type)
		case h.Type == "PART" && m.published(h):
			f.add("hint-published", h.Line, "the part that is hinted, %s, is in the playlist", h.URI)
		}
		seen[h.Type] = true
	}
	for _, r := range m.Reports {
		switch {
		case r.URI == "":
			f.add("report-attributes", r.Line, "EXT-X-RENDITION-REPORT without URI")
		case len(r.URI) > 8 && (r.URI[:7] == "http://" || r.URI[:8] == "https://"):
			f.add("report-attributes", r.Line, "the URI of EXT-X-RENDITION-REPORT is not relative")
		}
	}
}

// published says whether a hinted part is there.
func (m *Media) published(h *Hint) bool {
	found := false
	each(m, func(s *Segment) {
		for i := range s.Parts {
			found = found || h.is(&s.Parts[i])
		}
	})
	return found
}

// is says whether a part is the one that was hinted.
func (h *Hint) is(p *Part) bool {
	if h.URI != p.URI {
		return false
	}
	return p.Range == nil && h.Start == 0 || p.Range != nil && p.Range.Start == h.Start
}
