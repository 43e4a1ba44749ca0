package m3u8

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"
)

// LintOptions are the tolerances of Lint. The zero value means the defaults.
type LintOptions struct {
	Drift time.Duration // of EXT-X-PROGRAM-DATE-TIME against the durations; 0: 250 ms
	Part  time.Duration // for each part, of the sum of parts against EXTINF, and 1 ms more; 0: 1 ms
}

const (
	driftUsual = 250 * time.Millisecond
	ambiguous  = time.Second // overlaps of dates shorter than that are allowed (6.2.1)
	rounding   = time.Microsecond
)

// Lint holds one playlist against what the specification says about one alone. A delta update is looked at as far as it goes:
// what it inherits is for [History].
func Lint(p *Playlist) []Problem { return LintWith(p, LintOptions{}) }

// LintWith is Lint with other tolerances.
func LintWith(p *Playlist, o LintOptions) []Problem {
	if o.Drift == 0 {
		o.Drift = driftUsual
	}
	if o.Part == 0 {
		o.Part = time.Millisecond
	}
	var f findings
	f.once(p)
	f.version(p)
	if p.Multivariant != nil {
		f.multivariant(p.Multivariant)
	}
	if m := p.Media; m != nil {
		f.start(p)
		f.media(m)
		f.segments(m)
		f.dates(m, o.Drift)
		f.ranges(m)
		f.skip(m)
		f.control(m)
		f.parts(m, o.Part)
		f.hints(m)
	}
	return f
}

// LintBytes is Parse and Lint. What cannot be parsed is the problem "syntax".
func LintBytes(b []byte) (*Playlist, []Problem) {
	p, err := Parse(b)
	if err != nil {
		var f findings
		f.syntax(err)
		return nil, f
	}
	return p, Lint(p)
}

func (f *findings) syntax(err error) {
	p := Problem{Rule: ruleOf("syntax"), Text: err.Error()}
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		p.Section, p.Line, p.Text = e.Section, e.Line, e.Text
	}
	*f = append(*f, p)
}

func (f *findings) once(p *Playlist) {
	seen := map[string]bool{}
	for _, t := range p.Tags {
		if knownTags[t.Name].once && seen[t.Name] {
			f.add("once", t.Line, "%s twice", t.Name)
		}
		seen[t.Name] = true
	}
}

// version holds EXT-X-VERSION against section 8.
func (f *findings) version(p *Playlist) {
	need, why := 1, ""
	at := func(n int, what string) {
		if n > need {
			need, why = n, what
		}
	}
	for i := range p.Tags {
		tagVersion(&p.Tags[i], at)
	}
	var floor int
	if m := p.Media; m != nil {
		for i := range m.Segments {
			if m.Segments[i].Decimal {
				at(3, "a duration with a point")
			}
		}
		hasMap := slices.ContainsFunc(p.Tags, func(t Tag) bool { return t.Name == "EXT-X-MAP" })
		if hasMap && m.IFramesOnly {
			at(5, "EXT-X-MAP")
		} else if hasMap {
			at(6, "EXT-X-MAP")
		}
		if c := m.Control; c != nil && c.CanSkipUntil > 0 {
			floor = 9 // what its delta updates need, they may say throughout
			if c.CanSkipDateRanges {
				floor = 10
			}
		}
	}
	if p.Version < need {
		f.add("version-low", 0, "version %d, but %s needs %d", p.Version, why, need)
	}
	if p.Version > max(need, floor) && p.Version > 1 {
		f.add("version-high", 0, "version %d, but %d is enough", p.Version, max(need, floor))
	}
}

// tagVersion tells at which version a tag needs.
func tagVersion(t *Tag, at func(int, string)) {
	for _, a := range t.Attrs {
		if strings.HasPrefix(a.Name, "REQ-") {
			at(12, a.Name)
		}
	}
	switch t.Name {
	case "EXT-X-KEY", "EXT-X-SESSION-KEY":
		if t.Attrs.Has("IV") {
			at(2, "the IV of "+t.Name)
		}
		if method, _ := t.Attrs.Get("METHOD"); t.Attrs.Has("KEYFORMAT") || t.Attrs.Has("KEYFORMATVERSIONS") || method == "SAMPLE-AES" {
			at(5, t.Name+" with METHOD=SAMPLE-AES, KEYFORMAT or KEYFORMATVERSIONS")
		}
	case "EXT-X-BYTERANGE", "EXT-X-I-FRAMES-ONLY":
		at(4, t.Name)
	case "EXT-X-DEFINE":
		at(8, t.Name)
		if t.Attrs.Has("QUERYPARAM") {
			at(11, "QUERYPARAM")
		}
	case "EXT-X-SKIP":
		at(9, t.Name)
		if t.Attrs.Has("RECENTLY-REMOVED-DATERANGES") {
			at(10, "RECENTLY-REMOVED-DATERANGES")
		}
	case "EXT-X-MEDIA":
		if id, _ := t.Attrs.Get("INSTREAM-ID"); strings.HasPrefix(id, "SERVICE") {
			at(7, "an INSTREAM-ID of a SERVICE")
		}
	}
}

func (f *findings) start(p *Playlist) {
	if p.Start != nil && p.Media.Skip == nil && p.Start.Offset.Abs() > p.Media.Duration() {
		f.add("start-offset", 0, "EXT-X-START of %v in a playlist of %v", p.Start.Offset, p.Media.Duration())
	}
}

func (f *findings) media(m *Media) {
	if m.TargetDuration == 0 {
		f.add("target-missing", 0, "no EXT-X-TARGETDURATION")
		return
	}
	for i := range m.Segments {
		if s := &m.Segments[i]; s.Duration.Round(time.Second) > m.TargetDuration {
			f.add("target-exceeded", s.Line, "segment %d lasts %v, the target duration is %v", s.MSN, s.Duration, m.TargetDuration)
		}
	}
	if len(m.Segments) == 0 && m.Open == nil && !m.Ended {
		f.add("empty", 0, "no segment")
	}
}

// fragmented says whether a URI looks like fragmented MP4.
func fragmented(uri string) bool {
	uri, _, _ = strings.Cut(uri, "?")
	return slices.Contains([]string{".m4s", ".mp4", ".m4v", ".m4a", ".cmfv", ".cmfa", ".cmft", ".fmp4"}, path.Ext(uri))
}

// segments looks at what applies to each.
func (f *findings) segments(m *Media) {
	var before *Segment
	missing := false
	each(m, func(s *Segment) {
		inherits := m.Skip != nil && s.Map == nil
		if needs := fragmented(s.URI) || s.URI == "" && len(s.Parts) > 0 && fragmented(s.Parts[0].URI); needs && s.Map == nil && !inherits && !missing {
			f.add("map-missing", s.Line, "segment %d is fragmented MP4 without EXT-X-MAP", s.MSN)
			missing = true
		}
		if before != nil && before.Map != nil && s.Map != nil && before.Map != s.Map {
			same := before.Map.URI == s.Map.URI && sameRange(before.Map.Range, s.Map.Range)
			switch {
			case same && !s.Discontinuity:
				f.add("map-repeated", s.Map.Line, "EXT-X-MAP of segment %d is the one before", s.MSN)
			case !same && !s.Discontinuity:
				f.add("map-without-break", s.Map.Line, "segment %d has another EXT-X-MAP and no EXT-X-DISCONTINUITY", s.MSN)
			}
		}
		follows := before != nil && before.Range != nil && before.URI == s.URI
		if s.Range != nil && s.Range.Implicit && !follows && m.Skip == nil {
			f.add("range-start", s.Line, "EXT-X-BYTERANGE without a start, and no range of the same resource before it")
		}
		before = s
	})
	f.keys(m)
}

func sameRange(a, b *ByteRange) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Length == b.Length && a.Start == b.Start
}

// each goes through the segments, the open one last.
func each(m *Media, do func(*Segment)) {
	for i := range m.Segments {
		do(&m.Segments[i])
	}
	if m.Open != nil {
		do(m.Open)
	}
}

func (f *findings) keys(m *Media) {
	seen := map[int]bool{}
	each(m, func(s *Segment) {
		for _, k := range s.Keys {
			if seen[k.Line] {
				continue
			}
			seen[k.Line] = true
			hex := strings.TrimPrefix(strings.TrimPrefix(k.IV, "0x"), "0X")
			switch {
			case k.Method == "":
				f.add("key-attributes", k.Line, "EXT-X-KEY without METHOD")
			case k.Method == "NONE" && (k.URI != "" || k.IV != "" || k.Format != "" || k.Versions != ""):
				f.add("key-attributes", k.Line, "EXT-X-KEY with METHOD=NONE and other attributes")
			case k.Method != "NONE" && k.URI == "":
				f.add("key-attributes", k.Line, "EXT-X-KEY with METHOD=%s and no URI", k.Method)
			case k.IV != "" && (len(hex) != 32 || hex == k.IV || strings.Trim(hex, "0123456789abcdefABCDEF") != ""):
				f.add("key-attributes", k.Line, "IV %s is no number of 128 bits", short(k.IV))
			}
		}
	})
}

func (f *findings) skip(m *Media) {
	if m.Skip == nil {
		return
	}
	switch {
	case m.Ended:
		f.add("skip-ended", m.Skip.Line, "EXT-X-SKIP in a playlist with EXT-X-ENDLIST")
	case m.Control == nil || m.Control.CanSkipUntil == 0:
		f.add("skip-unoffered", m.Skip.Line, "EXT-X-SKIP without CAN-SKIP-UNTIL")
	case m.Duration() < m.Control.CanSkipUntil-rounding && m.Skip.Segments > 0:
		f.add("skip-too-much", m.Skip.Line, "%d segments were skipped and %v are left, CAN-SKIP-UNTIL is %v",
			m.Skip.Segments, m.Duration(), m.Control.CanSkipUntil)
	}
}

func (f *findings) control(m *Media) {
	c := m.Control
	if c == nil {
		return
	}
	if c.CanSkipUntil > 0 && c.CanSkipUntil < 6*m.TargetDuration {
		f.add("skip-boundary", c.Line, "CAN-SKIP-UNTIL of %v, less than 6 target durations of %v", c.CanSkipUntil, m.TargetDuration)
	}
	if c.CanSkipDateRanges && c.CanSkipUntil == 0 {
		f.add("skip-dates", c.Line, "CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL")
	}
	if c.HoldBack > 0 && c.HoldBack < 3*m.TargetDuration {
		f.add("hold-back", c.Line, "HOLD-BACK of %v, less than 3 target durations of %v", c.HoldBack, m.TargetDuration)
	}
}
