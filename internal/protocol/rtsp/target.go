package rtsp

import (
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// target is what the URL of a request names: a stream.
type target struct{ path, query string }

// targetOf reads a URL. The path may end with a slash: it is the base of the URLs of medias then.
func targetOf(raw string) (target, error) {
	u, err := wire.ParseURL(raw)
	if err != nil || u == nil {
		return target{}, err
	}
	t := target{path: strings.Trim(u.Path, "/"), query: strings.TrimRight(u.RawQuery, "/")}
	return t, nil
}

// trackMark begins what is appended to the URL of a stream for one of its medias.
const trackMark = "trackID="

// control is the a=control of media i of what is played.
func control(i int) string { return trackMark + strconv.Itoa(i+1) }

// splitTrack takes the number of a media off the URL of a stream, wherever in it the peer has put it: many put it behind the query. It
// is 0 when there is none.
func splitTrack(raw string) (stream string, track int) {
	i := len(raw) - len(trackMark)
	for i >= 0 && !strings.EqualFold(raw[i:i+len(trackMark)], trackMark) {
		i--
	}
	if i < 0 {
		return raw, 0
	}
	digits := raw[i+len(trackMark):]
	n := 0
	for n < len(digits) && n < 4 && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	track, err := strconv.Atoi(digits[:n])
	if err != nil {
		return raw, 0
	}
	before, after := raw[:i], digits[n:]
	if strings.HasSuffix(before, "?") && strings.HasPrefix(after, "&") { // the query begins behind it
		after = "?" + after[1:]
	}
	return strings.TrimRight(before, "/&?") + after, track
}

// fits says whether a URL is that of a media whose description says control, of a stream that was announced with the URL base.
func fits(raw, base, control string) bool {
	if control == "" {
		return false
	}
	raw, base = strings.TrimRight(raw, "/"), strings.TrimRight(base, "/")
	if rest, ok := strings.CutPrefix(raw, base); ok && strings.Trim(rest, "/?&") == strings.Trim(control, "/") {
		return true
	}
	if strings.Contains(control, "://") { // absolute: hosts may be called this or that
		return afterHost(raw) == afterHost(control)
	}
	end := "/" + strings.TrimLeft(control, "/")
	path, _, _ := strings.Cut(raw, "?") // some put it before the query
	return strings.HasSuffix(raw, end) || strings.HasSuffix(path, end)
}

// afterHost is the path and query of a URL.
func afterHost(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	_, path, _ := strings.Cut(rest, "/")
	return strings.TrimRight(path, "/")
}

// contentBase is what controls are relative to (C.1.1).
func contentBase(raw string) string { return strings.TrimRight(raw, "/") + "/" }

// name is the key for the log; what is no key stands as it is.
func (t target) name() any {
	if k, err := hub.ParseKey(t.path); err == nil {
		return k
	}
	return t.path
}
