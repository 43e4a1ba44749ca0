package hls

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// index answers a request for the multivariant playlist: one variant, of fMP4, or of TS if that is what has a place for the stream, or if the stream is
// not served as fMP4.
func (s *server) index(w http.ResponseWriter, r *http.Request, path string) error {
	a, err := parseAsk(path, r.URL.RawQuery, segment.FMP4)
	if err != nil {
		return err
	}
	if live := s.env.Hub.Stream(a.key); live != nil && live.Ready() && len(segment.FMP4.Select(live.Tracks())) == 0 ||
		!s.env.Hub.Serves(a.key, protocolFMP4) {
		a.format = segment.TS
	}
	v, _, err := s.visitor(r, a)
	if err != nil {
		return err
	}
	done := v.waits()
	e, err := v.awaitPlaylist(r.Context(), ask{})
	done()
	if err != nil && (e == nil || !e.Playable()) {
		return err
	}
	variant := playlistFMP4[1:]
	if a.format == segment.TS {
		variant = playlistTS[1:]
	}
	variant += "?" + parameterSession + "=" + v.id
	if a.query != "" {
		variant += "&" + a.query
	}
	body := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-STREAM-INF:%s\n%s\n", attributes(e), variant)
	v.viewing.Count(send(w, r, segment.NewDocument(body), true))
	return nil
}

// attributes describes a variant (RFC 8216bis, 4.4.6.2).
func attributes(e *edition) string {
	peak, average := rates(e)
	b := &strings.Builder{}
	fmt.Fprintf(b, "BANDWIDTH=%.0f,AVERAGE-BANDWIDTH=%.0f", peak, average)
	var codecs []string
	for _, t := range e.Tracks {
		if c := fmp4.CodecString(t); c != "" {
			codecs = append(codecs, c)
		}
	}
	if len(codecs) > 0 && len(codecs) == len(e.Tracks) { // all or nothing: what is missing would be taken for absent
		fmt.Fprintf(b, ",CODECS=%q", strings.Join(codecs, ","))
	}
	for _, t := range e.Tracks {
		if t.Kind() != av.Video {
			continue
		}
		if t.Width > 0 && t.Height > 0 {
			fmt.Fprintf(b, ",RESOLUTION=%dx%d", t.Width, t.Height)
		}
		if t.FrameRate > 0 {
			fmt.Fprintf(b, ",FRAME-RATE=%.3f", t.FrameRate)
		}
		break
	}
	return b.String()
}

// rates are the highest bit rate of a segment, and that of all, in bits a second. There is one at least, which lasts.
func rates(e *edition) (peak, average float64) {
	var size int
	var d time.Duration
	for _, s := range e.Segments {
		peak = max(peak, float64(s.Size)*8/s.Duration.Seconds())
		size, d = size+s.Size, d+s.Duration
	}
	return peak, float64(size) * 8 / d.Seconds()
}
