package segment

import (
	"strings"
	"time"
)

// What a folder gets, from which others serve it, is named as it is here.

// SegmentName is the name of a segment's file.
func (e *Edition) SegmentName(number uint64) string { return string(e.appendSegmentName(nil, number)) }

// InitName is the name of the file of a media initialization section.
func (e *Edition) InitName(number int) string { return string(e.appendInitName(nil, number)) }

// tokenLength is that of the tokens that names of files begin with.
const tokenLength = 16

// Named says whether a name is of the form that files of segments and initialization sections have, whatever their token: 16 characters of base32 in
// lower case, a dash, digits, and the format's suffix.
func (f Format) Named(name string) bool {
	suffixes := []string{SuffixTS}
	if f == FMP4 {
		suffixes = []string{SuffixPart, SuffixInit}
	}
	for _, suffix := range suffixes {
		token, number, ok := strings.Cut(strings.TrimSuffix(name, suffix), "-")
		if ok && strings.HasSuffix(name, suffix) && len(token) == tokenLength && len(number) >= 1 && len(number) <= 20 &&
			strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") == "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

// Range returns those segments of the playlist whose numbers are at least from and less than to.
func (e *Edition) Range(from, to uint64) []*Segment {
	first := e.next - uint64(len(e.Segments)) //nolint:gosec // a length
	from, to = max(from, first), min(to, e.next)
	if from >= to {
		return nil
	}
	return e.Segments[from-first : to-first]
}

// Plain is a playlist of complete segments only, those of [Edition.Range], for servers that know nothing but files: without parts, blocking requests,
// delta updates and hints. It tells of the end when its last segment is the stream's.
func (e *Edition) Plain(from, to uint64) []byte {
	all := e.Range(from, to)
	gone := e.Discontinuity
	for _, s := range e.Segments[:len(e.Segments)-len(e.Range(from, e.next))] {
		if s.Discontinuity {
			gone++
		}
	}
	b := append([]byte(nil), "#EXTM3U\n"...)
	version := int64(versionPlain)
	if e.Format == FMP4 {
		version = versionInit
	}
	b = appendLine(b, "#EXT-X-VERSION:", version)
	b = appendLine(b, "#EXT-X-TARGETDURATION:", int64(e.Target/time.Second))
	first := e.next
	if len(all) > 0 {
		first = all[0].Number
	}
	b = appendLine(b, "#EXT-X-MEDIA-SEQUENCE:", int64(first))        //nolint:gosec // seconds since 2024, and more
	b = appendLine(b, "#EXT-X-DISCONTINUITY-SEQUENCE:", int64(gone)) //nolint:gosec // the same
	var init *Init
	for _, s := range all {
		b = e.appendBegin(b, s, init)
		init = s.Init
		b = append(appendSeconds(append(b, "#EXTINF:"...), s.Duration), ",\n"...)
		b = append(e.appendSegmentName(b, s.Number), '\n')
	}
	if e.Ended && len(all) > 0 && all[len(all)-1].Number+1 == e.next {
		b = append(b, "#EXT-X-ENDLIST\n"...)
	}
	return b
}
