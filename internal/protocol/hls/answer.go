package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/stream"
)

// How the paths of playlists end.
const (
	playlistTS    = "/hls.m3u8"
	playlistFMP4  = "/hls.fmp4.m3u8"
	playlistIndex = "/index.m3u8"
)

// MIME types.
const (
	typePlaylist = "application/vnd.apple.mpegurl"
	typeTS       = "video/mp2t"
	typeVideo    = "video/mp4"
	typeAudio    = "audio/mp4"
)

// Errors of requests.
var (
	errQuery = errors.New("the query makes no sense")
	errAhead = errors.New("that is too far ahead to wait for")
	errFile  = errors.New("there is no such file, or not any more")
)

// answer answers GET and HEAD. It says whether this was one who comes again and again.
func (s *server) answer(w http.ResponseWriter, r *http.Request) (again bool) {
	var err error
	path := r.URL.Path
	switch {
	case strings.HasSuffix(path, playlistFMP4):
		again, err = s.playlist(w, r, strings.TrimSuffix(path, playlistFMP4), segment.FMP4)
	case strings.HasSuffix(path, playlistTS):
		again, err = s.playlist(w, r, strings.TrimSuffix(path, playlistTS), segment.TS)
	case strings.HasSuffix(path, playlistIndex):
		err = s.index(w, r, strings.TrimSuffix(path, playlistIndex))
	case strings.HasSuffix(path, segment.SuffixInit):
		err = s.init(w, r)
	case strings.HasSuffix(path, segment.SuffixTS):
		err = s.piece(w, r, segment.SuffixTS)
	default:
		err = s.piece(w, r, segment.SuffixPart)
	}
	if err != nil && r.Context().Err() == nil {
		refuse(w, err)
	}
	return again && err == nil
}

// refuse answers with what an error means.
func refuse(w http.ResponseWriter, err error) {
	f := protocol.RefusalOf(err)
	switch {
	case errors.Is(err, errQuery):
		f.Code, f.Error = http.StatusBadRequest, "query"
	case errors.Is(err, errAhead):
		f.Code, f.Error = http.StatusBadRequest, "ahead"
	case errors.Is(err, errFile):
		f.Code, f.Error = http.StatusNotFound, "file"
	case errors.Is(err, hub.ErrKicked):
		f.Code = http.StatusForbidden
	case errors.Is(err, errLate):
		f.Code, f.Error = http.StatusServiceUnavailable, "late"
	case errors.Is(err, errBroken), errors.Is(err, errIdle), errors.Is(err, stream.ErrNoKey), errors.Is(err, stream.ErrTooSlow): // who asks again gets another
		f.Code, f.Error = http.StatusServiceUnavailable, "late"
	case errors.Is(err, io.EOF), errors.Is(err, hub.ErrUnpublished), errors.Is(err, hub.ErrSilent):
		f.Code, f.Error = http.StatusNotFound, "ended"
	}
	if f.Code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	f.Answer(w)
}

// playlist answers a request for a media playlist. It says whether the viewer was known.
func (s *server) playlist(w http.ResponseWriter, r *http.Request, path string, format segment.Format) (again bool, err error) {
	a, err := parseAsk(path, r.URL.RawQuery, format)
	if err != nil {
		return false, err
	}
	v, fresh, err := s.visitor(r, a)
	if err != nil {
		return false, err
	}
	done := v.waits()
	e, err := v.awaitPlaylist(r.Context(), a)
	done()
	if err != nil && (e == nil || !e.Playable()) {
		return false, err // else what there is: a publisher that is lost may come back, and players give up after a few errors
	}
	if fresh && s.cfg.Cookies {
		http.SetCookie(w, &http.Cookie{ // without a path it is for the folder as the player writes it (RFC 6265, 5.1.4), whatever is in its name
			Name: cookieOf(format), Value: v.id, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
		})
	}
	d := e.Playlist
	if a.skip {
		d = e.Delta
	}
	n := send(w, r, d(), fresh && s.cfg.Cookies)
	v.viewing.Count(n)
	return !fresh, nil
}

// awaitPlaylist returns the edition that answers a request. If it comes with an error, no other follows that one.
func (n *rendition) awaitPlaylist(ctx context.Context, a ask) (*edition, error) {
	e := n.current.Load()
	if !e.Playable() {
		limit := firstFactor * max(2*n.server.cfg.Segment, e.Target)
		var err error
		if e, err = n.await(ctx, limit, func(e *edition) bool { return e.Playable() }); err != nil {
			return e, err
		}
	}
	if !a.waits || e.Ended {
		return e, nil
	}
	if e.Ahead(a.msn) {
		return nil, fmt.Errorf("%w: %s=%d", errAhead, parameterMSN, a.msn)
	}
	return n.await(ctx, waitFactor*e.Target, func(e *edition) bool { return e.Ended || e.Has(a.msn, a.part) })
}

// find returns the rendition that a file is of.
func (s *server) find(f file) *rendition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.tokens[f.token]
	if n == nil || n.path != f.folder {
		return nil
	}
	return n
}

// init answers a request for a media initialization section.
func (s *server) init(w http.ResponseWriter, r *http.Request) error {
	f, ok := parseFile(r.URL.Path, segment.SuffixInit)
	n := s.find(f)
	if !ok || n == nil || f.part >= 0 {
		return errFile
	}
	e := n.current.Load()
	in := e.Init(int(min(f.number, partMost))) //nolint:gosec // small
	if in == nil {
		return errFile
	}
	s.serve(w, r, n, f, typeOf(e), [][]byte{in.Data})
	return nil
}

func typeOf(e *edition) string {
	if e.Format == segment.TS {
		return typeTS
	}
	if mime, _, _ := strings.Cut(fmp4.MIME(e.Tracks), ";"); mime == typeAudio {
		return typeAudio
	}
	return typeVideo
}

// piece answers a request for a segment or a part. One for the part that is coming waits for it.
func (s *server) piece(w http.ResponseWriter, r *http.Request, suffix string) error {
	f, ok := parseFile(r.URL.Path, suffix)
	n := s.find(f)
	if !ok || n == nil || (n.format == segment.TS) != (suffix == segment.SuffixTS) {
		return errFile
	}
	e := n.current.Load()
	if f.part >= 0 && e.Hinted(f.number, f.part) {
		v := s.loader(r, n)
		if v != nil {
			if errors.Is(v.viewing.Ended(), hub.ErrKicked) {
				return hub.ErrKicked
			}
			defer v.waits()()
		}
		var err error
		e, err = n.await(r.Context(), waitFactor*e.Target, func(e *edition) bool { return !e.Hinted(f.number, f.part) })
		if err != nil && r.Context().Err() != nil {
			return err
		}
	}
	var body [][]byte
	if f.part >= 0 {
		if p := e.Part(f.number, f.part); p != nil {
			body = [][]byte{p.Data}
		}
	} else if g := e.Segment(f.number); g != nil {
		for _, p := range g.Parts {
			body = append(body, p.Data)
		}
	}
	if body == nil {
		return errFile
	}
	s.serve(w, r, n, f, typeOf(e), body)
	return nil
}

// serve answers with a file, which never changes.
func (s *server) serve(w http.ResponseWriter, r *http.Request, n *rendition, f file, mime string, body [][]byte) {
	h := w.Header()
	age := cacheFactor * n.current.Load().Span() / time.Second
	h.Set("Cache-Control", "max-age="+strconv.Itoa(int(max(age, 1)))+", immutable")
	h.Set("Content-Type", mime)
	h.Set("ETag", `"`+f.token+"-"+strconv.FormatUint(f.number, 36)+"."+strconv.Itoa(f.part)+`"`)
	var sent int
	if strings.Contains(r.Header.Get("Range"), ",") { // many small ranges would be more than the whole
		r.Header.Del("Range")
	}
	if r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" {
		h.Set("Accept-Ranges", "bytes")
		sent = write(w, r, body)
	} else {
		p := &pieces{body: body, before: begin(w).next}
		p.before(1)
		http.ServeContent(w, r, "", time.Time{}, p)
		sent = p.read
	}
	if v := s.loader(r, n); v != nil {
		v.viewing.Count(sent)
	}
}
