package m3u8

import (
	"strings"
	"time"
)

// form is what stands behind the name of a tag.
type form uint8

const (
	bare  form = iota // nothing
	value             // one value
	title             // a value, and a text with spaces
	list              // an attribute list
)

// knownTag is a tag of the specification. read is called once the form was found right.
type knownTag struct {
	kind    kind
	form    form
	section string
	once    bool // at most one in a playlist
	read    func(*reader, *Tag)
}

// knownTags are all tags. Those without a read function are looked at by the linter only.
//
//nolint:gochecknoglobals // a constant table
var knownTags = map[string]knownTag{
	"EXTM3U":        {anyKind, bare, "4.4.1.1", true, nil},
	"EXT-X-VERSION": {anyKind, value, "4.4.1.2", true, (*reader).version},
	"EXT-X-INDEPENDENT-SEGMENTS": {anyKind, bare, "4.4.2.1", true, func(r *reader, _ *Tag) {
		r.p.IndependentSegments = true
	}},
	"EXT-X-START":  {anyKind, list, "4.4.2.2", true, (*reader).start},
	"EXT-X-DEFINE": {anyKind, list, "4.4.2.3", false, nil},

	"EXT-X-TARGETDURATION":         {mediaKind, value, "4.4.3.1", true, (*reader).target},
	"EXT-X-MEDIA-SEQUENCE":         {mediaKind, value, "4.4.3.2", true, (*reader).sequence},
	"EXT-X-DISCONTINUITY-SEQUENCE": {mediaKind, value, "4.4.3.3", true, (*reader).breakSequence},
	"EXT-X-ENDLIST":                {mediaKind, bare, "4.4.3.4", true, func(r *reader, _ *Tag) { r.media.Ended = true }},
	"EXT-X-PLAYLIST-TYPE":          {mediaKind, value, "4.4.3.5", true, (*reader).playlistType},
	"EXT-X-I-FRAMES-ONLY":          {mediaKind, bare, "4.4.3.6", true, func(r *reader, _ *Tag) { r.media.IFramesOnly = true }},
	"EXT-X-PART-INF":               {mediaKind, list, "4.4.3.7", true, (*reader).partInf},
	"EXT-X-SERVER-CONTROL":         {mediaKind, list, "4.4.3.8", true, (*reader).control},

	"EXTINF":                  {mediaKind, title, "4.4.4.1", false, (*reader).inf},
	"EXT-X-BYTERANGE":         {mediaKind, value, "4.4.4.2", false, (*reader).byteRange},
	"EXT-X-DISCONTINUITY":     {mediaKind, bare, "4.4.4.3", false, (*reader).discontinuity},
	"EXT-X-KEY":               {mediaKind, list, "4.4.4.4", false, (*reader).key},
	"EXT-X-MAP":               {mediaKind, list, "4.4.4.5", false, (*reader).mapTag},
	"EXT-X-PROGRAM-DATE-TIME": {mediaKind, value, "4.4.4.6", false, (*reader).date},
	"EXT-X-GAP":               {mediaKind, bare, "4.4.4.7", false, (*reader).gap},
	"EXT-X-BITRATE":           {mediaKind, value, "4.4.4.8", false, (*reader).bitrate},
	"EXT-X-PART":              {mediaKind, list, "4.4.4.9", false, (*reader).part},

	"EXT-X-DATERANGE":        {mediaKind, list, "4.4.5.1", false, (*reader).dateRange},
	"EXT-X-SKIP":             {mediaKind, list, "4.4.5.2", true, (*reader).skip},
	"EXT-X-PRELOAD-HINT":     {mediaKind, list, "4.4.5.3", false, (*reader).hint},
	"EXT-X-RENDITION-REPORT": {mediaKind, list, "4.4.5.4", false, (*reader).report},

	"EXT-X-MEDIA":              {multiKind, list, "4.4.6.1", false, (*reader).rendition},
	"EXT-X-STREAM-INF":         {multiKind, list, "4.4.6.2", false, (*reader).streamInf},
	"EXT-X-I-FRAME-STREAM-INF": {multiKind, list, "4.4.6.3", false, (*reader).iframeInf},
	"EXT-X-SESSION-DATA":       {multiKind, list, "4.4.6.4", false, nil},
	"EXT-X-SESSION-KEY":        {multiKind, list, "4.4.6.5", false, nil},
	"EXT-X-CONTENT-STEERING":   {multiKind, list, "4.4.6.6", true, nil},
}

func (r *reader) integer(section, what, s string) int64 {
	n, ok := parseInteger(s)
	if !ok {
		r.fail(section, "%s: %q is no decimal integer", what, short(s))
	}
	return n
}

// attrInteger reads an attribute, or gives what stands for its absence.
func (r *reader) attrInteger(t *Tag, name string, missing int64) int64 {
	v, ok := t.Attrs.Get(name)
	if !ok {
		return missing
	}
	return r.integer("4.2", t.Name+" "+name, v)
}

func (r *reader) attrSeconds(t *Tag, name string) time.Duration {
	v, ok := t.Attrs.Get(name)
	if !ok {
		return 0
	}
	d, ok := parseSeconds(v, false)
	if !ok {
		r.fail("4.2", "%s %s: %q is no decimal number", t.Name, name, short(v))
	}
	return d
}

// attrText reads a quoted string.
func (r *reader) attrText(t *Tag, name string) string {
	for _, a := range t.Attrs {
		if a.Name == name && !a.Quoted {
			r.fail("4.2", "%s %s is not quoted", t.Name, name)
		} else if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func (r *reader) attrURI(t *Tag) string {
	s := r.attrText(t, "URI")
	if t.Attrs.Has("URI") {
		r.checkURI("4.2", s)
	}
	return s
}

// attrWord reads an enumerated string, which is not quoted.
func (r *reader) attrWord(t *Tag, name string) string {
	for _, a := range t.Attrs {
		if a.Name == name && a.Quoted {
			r.fail("4.2", "%s %s is quoted", t.Name, name)
		} else if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func (r *reader) attrYes(t *Tag, name string) bool { return r.attrWord(t, name) == "YES" }

func (r *reader) attrRange(t *Tag) *ByteRange {
	s := r.attrText(t, "BYTERANGE")
	if !t.Attrs.Has("BYTERANGE") {
		return nil
	}
	b, ok := parseRange(s)
	if !ok {
		r.fail("4.4.4.2", "%s: %q is no byte range", t.Name, short(s))
	}
	return b
}

func (r *reader) version(t *Tag) {
	n := r.integer("4.4.1.2", t.Name, t.Value)
	if n < 1 || n > 1<<20 {
		r.fail("4.4.1.2", "version %d", n)
	}
	r.p.Version = int(n)
}

func (r *reader) start(t *Tag) {
	v, ok := t.Attrs.Get("TIME-OFFSET")
	if !ok {
		r.fail("4.4.2.2", "EXT-X-START without TIME-OFFSET")
		return
	}
	d, ok := parseSeconds(v, true)
	if !ok {
		r.fail("4.4.2.2", "TIME-OFFSET: %q is no decimal number", short(v))
	}
	r.p.Start = &Start{d, r.attrYes(t, "PRECISE")}
}

func (r *reader) target(t *Tag) {
	n := r.integer(t.section(), t.Name, t.Value)
	if n > 1<<20 {
		r.fail(t.section(), "target duration of %d s", n)
		return
	}
	r.media.TargetDuration = time.Duration(n) * time.Second
}

func (t *Tag) section() string { return t.where }

func (r *reader) sequence(t *Tag) {
	if r.media.HasMediaSequence = true; r.count > 0 || r.begunSegments() {
		r.fail(t.section(), "EXT-X-MEDIA-SEQUENCE behind a segment")
	}
	r.media.MediaSequence = r.number64(t)
}

func (r *reader) breakSequence(t *Tag) {
	if r.media.HasDiscontinuitySequence = true; r.count > 0 || r.breaks > 0 || r.begunSegments() {
		r.fail(t.section(), "EXT-X-DISCONTINUITY-SEQUENCE behind a segment or EXT-X-DISCONTINUITY")
	}
	r.media.DiscontinuitySequence = r.number64(t)
}

func (r *reader) number64(t *Tag) int64 {
	n := r.integer(t.section(), t.Name, t.Value)
	if n > 1<<62 {
		r.fail(t.section(), "%s: %d", t.Name, n)
	}
	return n
}

func (r *reader) begunSegments() bool { return len(r.seg.Parts) > 0 || r.extinf }

func (r *reader) playlistType(t *Tag) {
	if t.Value != "EVENT" && t.Value != "VOD" {
		r.fail(t.section(), "EXT-X-PLAYLIST-TYPE: %q", short(t.Value))
	}
	r.media.Type = t.Value
}

func (r *reader) partInf(t *Tag) {
	r.media.PartTarget, r.media.partInf = r.attrSeconds(t, "PART-TARGET"), true
}

func (r *reader) control(t *Tag) {
	r.media.Control = &ServerControl{
		Line: t.Line, CanSkipUntil: r.attrSeconds(t, "CAN-SKIP-UNTIL"), CanSkipDateRanges: r.attrYes(t, "CAN-SKIP-DATERANGES"),
		HoldBack: r.attrSeconds(t, "HOLD-BACK"), PartHoldBack: r.attrSeconds(t, "PART-HOLD-BACK"),
		CanBlockReload: r.attrYes(t, "CAN-BLOCK-RELOAD"),
	}
}

func (r *reader) skip(t *Tag) {
	if !t.Attrs.Has("SKIPPED-SEGMENTS") {
		r.fail(t.section(), "EXT-X-SKIP without SKIPPED-SEGMENTS")
		return
	}
	if r.count > 0 {
		r.fail(t.section(), "EXT-X-SKIP behind a segment")
	}
	s := &Skip{Line: t.Line, Segments: r.attrInteger(t, "SKIPPED-SEGMENTS", 0)}
	if s.Segments > 1<<32 {
		r.fail(t.section(), "EXT-X-SKIP of %d segments", s.Segments)
	}
	if v := r.attrText(t, "RECENTLY-REMOVED-DATERANGES"); v != "" {
		s.Removed = strings.Split(v, "\t")
	}
	r.media.Skip = s
}

func (r *reader) hint(t *Tag) {
	r.media.Hints = append(r.media.Hints, Hint{
		Line: t.Line, Type: r.attrWord(t, "TYPE"), URI: r.attrURI(t),
		Start: r.attrInteger(t, "BYTERANGE-START", 0), Length: r.attrInteger(t, "BYTERANGE-LENGTH", -1),
	})
}

func (r *reader) report(t *Tag) {
	r.media.Reports = append(r.media.Reports, Report{
		Line: t.Line, URI: r.attrURI(t), LastMSN: r.attrInteger(t, "LAST-MSN", -1), LastPart: r.attrInteger(t, "LAST-PART", -1),
	})
}

func (r *reader) dateRange(t *Tag) {
	d := DateRange{Line: t.Line, ID: r.attrText(t, "ID"), Class: r.attrText(t, "CLASS"), Duration: -1, Attrs: t.Attrs}
	for name, to := range map[string]*time.Time{"START-DATE": &d.Start, "END-DATE": &d.End} {
		if s := r.attrText(t, name); t.Attrs.Has(name) {
			var ok bool
			if *to, ok = parseDate(s); !ok {
				r.fail(t.section(), "%s: %q is no date", name, short(s))
			}
		}
	}
	if t.Attrs.Has("DURATION") {
		d.Duration = r.attrSeconds(t, "DURATION")
	}
	r.media.DateRanges = append(r.media.DateRanges, d)
}
