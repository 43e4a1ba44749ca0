package m3u8

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is one of a playlist, a segment or an initialization section.
type request struct {
	url     string
	span    *ByteRange
	limit   int // bytes of the body
	gzip    bool
	timeout time.Duration
}

// answer is what came.
type answer struct {
	url    *url.URL // after redirects
	code   int
	header http.Header
	body   []byte // without its Content-Encoding
}

// get does a request. Only what kept it from being answered is an error.
func (p *Player) get(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("m3u8: no answer in %v: %w", r.timeout, context.DeadlineExceeded))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, p.o.Header)
	req.Header.Set("Accept-Encoding", "identity") // or the transport asks for gzip, and hides it
	if r.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if r.span != nil {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.span.Start, r.span.Start+r.span.Length-1))
	}
	if p.jar != nil {
		for _, c := range p.jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
	}
	resp, err := p.do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return nil, fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	a := &answer{url: req.URL, code: resp.StatusCode, header: resp.Header}
	if resp.Request != nil && resp.Request.URL != nil {
		a.url = resp.Request.URL
	}
	if p.jar != nil {
		p.jar.SetCookies(a.url, resp.Cookies())
	}
	a.body, err = readBody(resp, r)
	p.stats.Bytes += int64(len(a.body))
	return a, err
}

// readBody reads up to the limit, and undoes gzip.
func readBody(resp *http.Response, r request) ([]byte, error) {
	body := io.Reader(resp.Body)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		body = io.LimitReader(body, 1<<10) // what it says is for nobody
	}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("m3u8: %s: %w", r.url, err)
		}
		body = z
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(body, int64(r.limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("m3u8: %s: %w", r.url, err)
	case n > int64(r.limit):
		return nil, fmt.Errorf("m3u8: %s has more than %d bytes", r.url, r.limit)
	}
	return b.Bytes(), nil
}

// resource fetches media. ok is false if they are not there.
func (p *Player) resource(ctx context.Context, uri string, span *ByteRange) (f fetched, code int, err error) {
	if f.url, err = p.resolve(uri); err != nil {
		return f, 0, err
	}
	a, err := p.get(ctx, request{url: f.url, span: span, limit: SegmentMax, timeout: p.o.Timeout})
	if err != nil {
		return f, 0, err
	}
	f.data, f.at = a.body, time.Now()
	if span != nil && a.code == http.StatusOK { // the server does not know ranges
		if end := span.Start + span.Length; end <= int64(len(f.data)) {
			f.data = f.data[span.Start:end]
		}
		return f, http.StatusOK, nil
	}
	if span != nil && a.code == http.StatusPartialContent {
		return f, http.StatusOK, nil
	}
	return f, a.code, nil
}

// take fetches a piece, and moves on. Neither a piece nor an error means that it was missed.
func (p *Player) take(ctx context.Context, t target) (*Piece, error) {
	s := t.segment
	piece := &Piece{
		MSN: s.MSN, Part: t.part, Duration: s.Duration, Discontinuity: p.delivered && s.DiscontinuitySequence != p.breaks,
		Independent: p.now.IndependentSegments && t.part <= 0, PDT: p.now.Media.dates()[s.MSN-p.now.Media.MediaSequence],
	}
	uri, span, gap := s.URI, s.Range, s.Gap
	if t.part >= 0 {
		part := &s.Parts[t.part]
		uri, span, gap = part.URI, part.Range, gap || part.Gap
		piece.Duration, piece.Independent = part.Duration, piece.Independent || part.Independent
		if !piece.PDT.IsZero() {
			for _, earlier := range s.Parts[:t.part] {
				piece.PDT = piece.PDT.Add(earlier.Duration)
			}
		}
	}
	if gap {
		p.skipOver(t, "a gap")
		return nil, nil //nolint:nilnil // missed
	}
	for _, k := range s.Keys {
		if k.Method != "NONE" {
			return nil, fmt.Errorf("m3u8: segment %d is encrypted, which is not supported", s.MSN)
		}
	}
	if ok, err := p.fetchInit(ctx, s, piece); err != nil || !ok {
		if err == nil {
			p.skipOver(t, "its initialization section is not there")
		}
		return nil, err
	}
	got, code, err := p.media(ctx, uri, span)
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		p.problem("unavailable", "status %d for %s, which is in the playlist", code, got.url)
		p.skipOver(t, fmt.Sprintf("status %d", code))
		return nil, nil //nolint:nilnil // missed
	}
	piece.Data, piece.URI, piece.At = got.data, got.url, got.at
	return p.deliver(ctx, t, piece)
}

// media fetches a segment or part, unless it is the one that was fetched by its hint.
func (p *Player) media(ctx context.Context, uri string, span *ByteRange) (fetched, int, error) {
	address, err := p.resolve(uri)
	if err != nil {
		return fetched{}, 0, err
	}
	if span == nil && address == p.ready.url {
		got := p.ready
		p.ready = fetched{}
		return got, http.StatusOK, nil
	}
	if address == p.refused {
		p.problem("hint-unavailable", "%s was hinted and not there, now it is in the playlist", address)
		p.refused = ""
	}
	got, code, err := p.resource(ctx, uri, span)
	if err == nil {
		p.stats.Media++
	}
	return got, code, err
}

// deliver notes what was fetched.
func (p *Player) deliver(ctx context.Context, t target, piece *Piece) (*Piece, error) {
	piece.Missed, p.pending = p.pending, 0
	p.breaks, p.delivered, p.initTold = t.segment.DiscontinuitySequence, true, true
	if p.o.Check {
		var f findings
		p.check.piece(&f, piece)
		p.report(f)
	}
	p.advance(t)
	if p.o.Check && p.o.Parents && t.part >= 0 {
		p.check.keep(piece)
	}
	return piece, p.parents(ctx)
}

// advance goes to what comes behind a piece. Whether a part was the last of its segment, pick finds out.
func (p *Player) advance(t target) {
	if t.part < 0 {
		p.msn, p.part = t.segment.MSN+1, 0
	} else {
		p.part = t.part + 1
	}
}

func (p *Player) skipOver(t target, why string) {
	p.miss(t.segment.MSN, t.part, why)
	p.advance(t)
}

// fetchInit fetches the Media Initialization Section, if it is another one.
func (p *Player) fetchInit(ctx context.Context, s *Segment, piece *Piece) (ok bool, err error) {
	if s.Map == nil {
		return true, nil
	}
	address, err := p.resolve(s.Map.URI)
	if err != nil {
		return false, err
	}
	key := address
	if r := s.Map.Range; r != nil {
		key = fmt.Sprintf("%s %d@%d", address, r.Length, r.Start)
	}
	if key == p.initKey {
		if !p.initTold {
			piece.Init = p.init
		}
		return true, nil
	}
	got, code, err := p.resource(ctx, s.Map.URI, s.Map.Range)
	if err != nil {
		return false, err
	}
	if code != http.StatusOK {
		p.problem("unavailable", "status %d for %s, which is an EXT-X-MAP of the playlist", code, got.url)
		return false, nil
	}
	p.init, p.initKey, p.initTold = got.data, key, false
	piece.Init = got.data
	return true, nil
}

// preload asks for the part that is hinted, which the server answers once it has it (6.3.8).
func (p *Player) preload(ctx context.Context) error {
	h := p.now.Media.Hint("PART")
	if !p.o.Preload || !p.o.LowLatency || h == nil || h.Start != 0 || h.Length >= 0 {
		return nil
	}
	address, err := p.resolve(h.URI)
	if err != nil {
		return err
	}
	if address == p.ready.url || address == p.refused {
		return nil
	}
	got, code, err := p.resource(ctx, h.URI, nil)
	switch {
	case err != nil:
		return err
	case code == http.StatusOK:
		p.ready = got
		p.stats.Media++
	case code == http.StatusNotFound || code == http.StatusGone:
		p.refused = got.url
	}
	return nil
}

// parents fetches the segment whose parts are all there, and holds it against them.
func (p *Player) parents(ctx context.Context) error {
	s := p.check.complete(p.now.Media)
	if s == nil {
		return nil
	}
	got, code, err := p.resource(ctx, s.URI, s.Range)
	if err != nil || code != http.StatusOK {
		p.problem("unavailable", "status %d, error %v for %s, whose parts were there", code, err, got.url)
		p.check.forget()
		return ctx.Err()
	}
	var f findings
	p.check.parent(&f, s, got.data)
	p.report(f)
	return nil
}
