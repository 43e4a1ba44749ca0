package m3u8

import (
	"slices"
	"strings"
)

// begin notes that the next segment has a tag.
func (r *reader) begin() *Segment {
	if !r.begun {
		r.begun, r.seg.Line = true, r.line
	}
	r.keyed = false
	return &r.seg
}

func (r *reader) inf(t *Tag) {
	seconds, text, comma := strings.Cut(t.Value, ",")
	d, ok := parseSeconds(seconds, false)
	if !ok {
		r.fail(t.section(), "EXTINF: %q is no duration", short(seconds))
		return
	}
	if !comma {
		r.fail(t.section(), "EXTINF without a comma behind the duration")
		return
	}
	if r.extinf {
		r.fail(t.section(), "EXTINF twice for one segment")
		return
	}
	s := r.begin()
	s.Duration, s.Title, s.Decimal = d, text, strings.Contains(seconds, ".")
	r.extinf = true
}

func (r *reader) byteRange(t *Tag) {
	b, ok := parseRange(t.Value)
	if !ok {
		r.fail(t.section(), "EXT-X-BYTERANGE: %q", short(t.Value))
	}
	r.begin().Range = b
}

func (r *reader) discontinuity(*Tag) {
	s := r.begin()
	s.Discontinuity, s.breakLine = true, r.line
	r.breaks++
}

func (r *reader) gap(*Tag) { r.begin().Gap = true }

func (r *reader) date(t *Tag) {
	d, ok := parseDate(t.Value)
	if !ok {
		r.fail(t.section(), "EXT-X-PROGRAM-DATE-TIME: %q is no date with a zone", short(t.Value))
	}
	s := r.begin()
	s.PDT, s.dateLine = d, r.line
}

func (r *reader) bitrate(t *Tag) { r.integer(t.section(), t.Name, t.Value) }

func (r *reader) mapTag(t *Tag) {
	if !t.Attrs.Has("URI") {
		r.fail(t.section(), "EXT-X-MAP without URI")
		return
	}
	r.begin()
	r.lastMap = &Map{Line: t.Line, URI: r.attrURI(t), Range: r.attrRange(t)}
}

const keysMax = 64 // for one segment

// key: several keys that stand together, with other formats, all apply.
func (r *reader) key(t *Tag) {
	k := Key{
		Line: t.Line, Method: r.attrWord(t, "METHOD"), URI: r.attrURI(t), IV: r.attrWord(t, "IV"),
		Format: r.attrText(t, "KEYFORMAT"), Versions: r.attrText(t, "KEYFORMATVERSIONS"),
	}
	same := func(o Key) bool { return o.Format == k.Format }
	if len(r.keys) >= keysMax {
		r.fail(t.section(), "more than %d keys for one segment", keysMax)
	}
	if r.keyed && k.Method != "NONE" && !slices.ContainsFunc(r.keys, same) {
		r.keys = append(slices.Clone(r.keys), k)
	} else {
		r.keys = []Key{k}
	}
	r.begin()
	r.keyed = true
}

func (r *reader) part(t *Tag) {
	s := r.begin()
	p := Part{
		Line: t.Line, URI: r.attrURI(t), Duration: r.attrSeconds(t, "DURATION"), Independent: r.attrYes(t, "INDEPENDENT"),
		Gap: r.attrYes(t, "GAP"), Range: r.attrRange(t),
	}
	if !t.Attrs.Has("URI") || !t.Attrs.Has("DURATION") {
		r.fail(t.section(), "EXT-X-PART without URI or DURATION")
	}
	if p.Range != nil && p.Range.Implicit {
		if n := len(s.Parts); n > 0 && s.Parts[n-1].Range != nil && s.Parts[n-1].URI == p.URI {
			p.Range.Start = s.Parts[n-1].Range.Start + s.Parts[n-1].Range.Length
		}
	}
	s.Map, s.Keys = r.lastMap, r.keys // as long as it is open
	s.Parts = append(s.Parts, p)
}

// closeSegment takes the URI line.
func (r *reader) closeSegment(uri string) {
	s := r.seg
	s.Line, s.URI, s.Map, s.Keys = r.line, uri, r.lastMap, r.keys
	if s.Range != nil && s.Range.Implicit && r.before != nil && r.uri == uri {
		s.Range.Start = r.before.Start + r.before.Length
	}
	r.before, r.uri = s.Range, uri
	s.DiscontinuitySequence = r.breaks
	r.media.Segments = append(r.media.Segments, s)
	r.count++
	r.seg, r.begun, r.extinf, r.keyed = Segment{}, false, false, false
}

// number gives the segments their numbers, once all tags were read: those of the playlist may stand behind tags of the first segment.
func (r *reader) number() {
	m := r.media
	if r.begun {
		s := r.seg
		s.Map, s.Keys, s.DiscontinuitySequence = r.lastMap, r.keys, r.breaks
		m.Open = &s
	}
	first := m.MediaSequence + m.skipped()
	for i := range m.Segments {
		m.Segments[i].MSN = first + int64(i)
		m.Segments[i].DiscontinuitySequence += m.DiscontinuitySequence
	}
	if m.Open != nil {
		m.Open.MSN = first + int64(len(m.Segments))
		m.Open.DiscontinuitySequence += m.DiscontinuitySequence
	}
}
