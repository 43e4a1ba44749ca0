package m3u8

import (
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// headers holds those of an answer against section 4 (what identifies a playlist), 6.2.1 (gzip) and appendix B.1 (caches). p is nil if the
// body could not be read.
func (f *findings) headers(r *Response, p *Playlist) {
	f.contentType(r)
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	switch {
	case encoding == "gzip" && !r.Gzip:
		f.add("gzip-unasked", 0, "Content-Encoding: gzip, which the request did not accept")
	case encoding != "gzip" && r.Gzip:
		f.add("gzip", 0, "Content-Encoding is %q, the request accepted gzip", encoding)
	}
	if p != nil && p.Media != nil && !p.Media.Ended && p.Media.Type != "VOD" {
		f.cache(r, p.Media)
	}
}

func (f *findings) contentType(r *Response) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	ours := err == nil && slices.Contains([]string{"application/vnd.apple.mpegurl", "audio/mpegurl"}, kind)
	named := false
	if u, bad := url.Parse(r.URL); bad == nil && r.URL != "" {
		named = slices.Contains([]string{".m3u8", ".m3u"}, path.Ext(u.Path))
	}
	switch {
	case !ours && !named:
		f.add("content-type", 0, "Content-Type %q, and the path does not end with .m3u8", r.Header.Get("Content-Type"))
	case !ours:
		f.add("content-type-other", 0, "Content-Type %q", r.Header.Get("Content-Type"))
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") {
		f.add("charset", 0, "Content-Type with charset %q, playlists are UTF-8", set)
	}
}

// cache: a live playlist is to be kept for half a target duration, at least one second since caches count in those, and one that was waited for
// up to six.
func (f *findings) cache(r *Response, m *Media) {
	age, kept := maxAge(r.Header)
	most := max(m.TargetDuration/2, time.Second)
	if directives(r.URL).msn >= 0 {
		most = 6 * m.TargetDuration
	}
	switch {
	case !kept:
	case age < 0:
		f.add("cache", 0, "no Cache-Control: caches may keep a live playlist as long as they like")
	case age > most:
		f.add("cache", 0, "a live playlist may be kept for %v, %v are enough", age, most)
	}
}

// maxAge is for how long a cache may keep an answer; negative: nobody says. kept is false if it must not, or must ask each time.
func maxAge(h http.Header) (age time.Duration, kept bool) {
	age = -1
	for _, line := range h.Values("Cache-Control") {
		for word := range strings.SplitSeq(strings.ToLower(line), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(word), "=")
			switch name {
			case "no-store", "no-cache":
				return 0, false
			case "max-age", "s-maxage":
				if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
					age = max(age, time.Duration(n)*time.Second) //nolint:gosec // 31 bits
				}
			}
		}
	}
	return age, true
}
