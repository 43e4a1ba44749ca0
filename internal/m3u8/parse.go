package m3u8

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what is read.
const (
	PlaylistMax = 1 << 20  // bytes of a playlist
	SegmentMax  = 64 << 20 // bytes of a segment, part or initialization section
)

// SyntaxError says which line is not as the grammar has it, so that a client must not play the playlist.
type SyntaxError struct {
	Line    int    // from 1
	Section string // of the specification
	Text    string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("m3u8: line %d: %s (section %s)", e.Line, e.Text, e.Section)
}

// Parse reads a playlist, which it does not keep. It is strict about the grammar (4.1, 4.2) and about what clients must refuse; the error is a
// [*SyntaxError]. What is well formed but not allowed is for [Lint]. Tags, attributes and enumerated values that are not known are kept in
// Playlist.Tags and have no effect.
func Parse(b []byte) (*Playlist, error) {
	if bad := checkText(b); bad != nil {
		return nil, bad
	}
	r := reader{p: &Playlist{Version: 1}, media: &Media{}, multi: &Multivariant{}}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		r.line++
		r.take(strings.TrimSuffix(line, "\r"))
		if r.bad != nil {
			return nil, r.bad
		}
	}
	r.finish()
	if r.bad != nil {
		return nil, r.bad
	}
	return r.p, nil
}

// checkText holds the bytes against 4.1.
func checkText(b []byte) *SyntaxError {
	refuse := func(at int, text string) *SyntaxError {
		return &SyntaxError{Line: 1 + strings.Count(string(b[:at]), "\n"), Section: "4.1", Text: text}
	}
	if len(b) > PlaylistMax {
		return refuse(0, fmt.Sprintf("playlist of %d bytes, at most %d are read", len(b), PlaylistMax))
	}
	if strings.HasPrefix(string(b), "\xef\xbb\xbf") {
		return refuse(0, "begins with a byte order mark")
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return refuse(i, "not UTF-8")
		case r == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
			return refuse(i, "carriage return without line feed")
		case r != '\r' && r != '\n' && r != '\t' && r < 0x20, r >= 0x7f && r <= 0x9f:
			return refuse(i, fmt.Sprintf("control character %U", r))
		}
		i += n
	}
	return nil
}

// reader is a playlist half read.
type reader struct {
	p     *Playlist
	media *Media
	multi *Multivariant
	line  int
	bad   *SyntaxError

	kind  kind // of the first tag that tells
	which string

	seg     Segment // tags before the next URI line
	begun   bool    // there are some
	extinf  bool
	keyed   bool // the last segment tag was a key: several may stand together
	count   int64
	breaks  int64 // discontinuities so far
	lastMap *Map
	keys    []Key
	before  *ByteRange // of the segment before, and its URI
	uri     string
	variant *Variant // waits for its URI line
}

// kind is where a tag may stand.
type kind uint8

const (
	anyKind kind = iota
	mediaKind
	multiKind
)

func (r *reader) fail(section, format string, args ...any) {
	if r.bad == nil {
		r.bad = &SyntaxError{Line: r.line, Section: section, Text: fmt.Sprintf(format, args...)}
	}
}

// take reads one line.
func (r *reader) take(line string) {
	if r.line == 1 {
		if line != "#EXTM3U" {
			r.fail("4.4.1.1", "the first line is not #EXTM3U")
		}
		r.p.Tags = append(r.p.Tags, Tag{Line: 1, Name: "EXTM3U"})
		return
	}
	switch {
	case line == "":
	case strings.HasPrefix(line, "#EXT"):
		r.tag(line[1:])
	case line[0] == '#':
	default:
		r.uriLine(line)
	}
}

func (r *reader) tag(line string) {
	t := Tag{Line: r.line}
	var colon bool
	t.Name, t.Value, colon = strings.Cut(line, ":")
	if strings.TrimRight(t.Name, " \t") != t.Name {
		r.fail("4.1", "white space behind the name of a tag")
	}
	k, ok := knownTags[t.Name]
	if !ok {
		r.p.Tags = append(r.p.Tags, t)
		return
	}
	t.where = k.section
	if k.kind != anyKind {
		r.only(k.kind, t.Name)
	}
	switch {
	case k.form == bare && (colon || t.Value != ""):
		r.fail(k.section, "%s has no value", t.Name)
	case k.form != bare && t.Value == "":
		r.fail(k.section, "%s without a value", t.Name)
	case k.form != bare && k.form != title && strings.TrimSpace(t.Value) != t.Value:
		r.fail("4.1", "%s: white space around the value", t.Name)
	case k.form == list:
		var bad string
		if t.Attrs, bad = parseAttrs(t.Value); bad != "" {
			r.fail("4.2", "%s: %s", t.Name, bad)
		}
	}
	r.p.Tags = append(r.p.Tags, t)
	if r.bad == nil && k.read != nil {
		k.read(r, &t)
	}
}

// only notes of which kind the playlist is, and refuses tags of both kinds (4.1).
func (r *reader) only(k kind, name string) {
	if r.kind == anyKind {
		r.kind, r.which = k, name
	}
	if r.kind != k {
		r.fail("4.1", "%s and %s cannot be in the same playlist", r.which, name)
	}
}

func (r *reader) uriLine(line string) {
	r.checkURI("4.1", line)
	if r.variant != nil {
		r.variant.URI = line
		r.multi.Variants = append(r.multi.Variants, *r.variant)
		r.variant = nil
		return
	}
	if r.kind == multiKind {
		r.fail("4.4.6.2", "URI line without EXT-X-STREAM-INF before it")
		return
	}
	r.only(mediaKind, "a segment")
	if !r.extinf {
		r.fail("4.4.4.1", "segment without EXTINF")
		return
	}
	r.closeSegment(line)
}

// checkURI refuses what is no URI reference (RFC 3986).
func (r *reader) checkURI(section, s string) {
	if s == "" {
		r.fail(section, "empty URI")
	} else if strings.ContainsAny(s, " \t\"<>\\^`|") {
		r.fail(section, "URI with a character that has no place there: %s", strconv.Quote(short(s)))
	} else if _, err := url.Parse(s); err != nil {
		r.fail(section, "not a URI: %s", strconv.Quote(short(s)))
	}
}

func (r *reader) finish() {
	if r.line == 0 || len(r.p.Tags) == 0 {
		r.line = 1
		r.fail("4.4.1.1", "empty")
		return
	}
	if r.variant != nil {
		r.line = r.variant.Line
		r.fail("4.4.6.2", "EXT-X-STREAM-INF without a URI line behind it")
		return
	}
	if r.kind == multiKind {
		r.p.Multivariant = r.multi
		return
	}
	if r.extinf {
		r.fail("4.4.4.1", "EXTINF without a URI line behind it")
		return
	}
	r.number()
	r.p.Media = r.media
}
