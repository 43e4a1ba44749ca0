package m3u8

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"
)

// Options of a Player. Client or Do is needed; the zero value of all else means its default.
type Options struct {
	// Client does the requests. One without a Jar gets one of its own; the client itself is not changed.
	Client *http.Client
	// Do does the requests instead. Cookies are seen to. It must heed the request's context.
	Do func(*http.Request) (*http.Response, error)

	LowLatency bool // parts, where there are some, and blocking reloads for them; else whole segments
	FromStart  bool // begin with the oldest segment; else at the hold-back from the end (6.3.3)
	Preload    bool // with LowLatency: ask for the part of EXT-X-PRELOAD-HINT before the reload that announces it
	Check      bool // hold the media against the playlist
	Parents    bool // with Check and LowLatency: fetch closed segments too, and hold them against their parts
	NoBlock    bool // reload by the clock even if blocking reloads are offered
	NoDelta    bool // never ask for delta updates
	NoGzip     bool // do not accept gzip

	// Variant chooses one of a Multivariant Playlist; nil: the first.
	Variant func(*Multivariant) int
	// Header is added to each request.
	Header http.Header
	// Timeout of a request; 0: 30 s. A blocking one may take 4 target durations, if that is more.
	Timeout time.Duration
	// Drift and Slack are those of History.
	Drift, Slack time.Duration
	// OnProblem is told each problem when it is found, repeated ones too.
	OnProblem func(Problem)
}

const (
	timeoutUsual = 30 * time.Second
	problemsMax  = 1000 // kept, and so many misses
	refusalsMax  = 3    // answers of 503 in a row
)

// Piece is one segment or part, in the order of the playlist.
type Piece struct {
	MSN           int64         // Media Sequence Number
	Part          int           // from 0; -1: a whole segment
	Discontinuity bool          // EXT-X-DISCONTINUITY stands between it and the piece before
	Independent   bool          // INDEPENDENT=YES, or it begins a segment under EXT-X-INDEPENDENT-SEGMENTS
	Missed        int           // how many were missed since the piece before: see Player.Missed
	Init          []byte        // the Media Initialization Section, where it is another than that of the piece before
	Data          []byte        // all of it
	Duration      time.Duration // as the playlist says
	PDT           time.Time     // of its beginning, as the playlist says or its durations tell; zero: not known
	URI           string        // absolute, as requested
	At            time.Time     // when it was complete
}

// Miss is a segment or part that was not fetched.
type Miss struct {
	MSN  int64
	Part int // -1: the whole segment, or what remained of it
	Why  string
}

// Stats counts what a player did.
type Stats struct {
	Playlists, Deltas, Media int   // answers: playlists, delta updates among them, segments and parts
	Bytes                    int64 // of bodies
}

// StatusError is an answer other than the one that was needed.
type StatusError struct {
	URL  string
	Code int
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("m3u8: status %d for %s", e.Code, e.URL) }

// Player follows one Media Playlist and fetches what it lists, in order and each thing once. It holds all that it gets against the
// specification. One goroutine uses it; it starts none and keeps no more than the newest playlist, and one segment.
type Player struct {
	o       Options
	do      func(*http.Request) (*http.Response, error)
	jar     http.CookieJar // with Do
	root    string         // what was asked for
	address string         // of the Media Playlist; "": not known yet
	multi   *Playlist

	history History
	now     *Playlist
	base    *url.URL  // what its URIs are relative to
	asked   time.Time // when the newest version was
	at      time.Time // when it came
	changed bool      // it had something new

	begun     bool
	msn       int64 // what comes next
	part      int
	breaks    int64 // discontinuity sequence number of the last piece
	delivered bool  // there was one
	pending   int   // missed since
	initKey   string
	init      []byte
	initTold  bool    // a piece had it
	ready     fetched // the part that was hinted
	refused   string  // the hint that there was a 404 for
	refusals  int

	check    checker
	problems []Problem
	known    map[string]bool
	missed   []Miss
	stats    Stats
}

type fetched struct {
	url  string
	data []byte
	at   time.Time
}

// NewPlayer returns a player of the playlist at an absolute URL, Media or Multivariant.
func NewPlayer(address string, o Options) (*Player, error) {
	if u, err := url.Parse(address); err != nil || !u.IsAbs() {
		return nil, fmt.Errorf("m3u8: %q is no absolute URL", address)
	}
	p := &Player{o: o, root: address, known: map[string]bool{}, history: History{Drift: o.Drift, Slack: o.Slack}}
	if p.o.Timeout == 0 {
		p.o.Timeout = timeoutUsual
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Do != nil:
		p.do, p.jar = o.Do, jar
	case o.Client != nil:
		c := *o.Client
		if c.Jar == nil {
			c.Jar = jar
		}
		p.do = c.Do
	default:
		return nil, errors.New("m3u8: a player without Client and Do")
	}
	return p, nil
}

// Next returns the next piece; it waits for it as long as ctx allows. The error is io.EOF behind the last piece of a playlist with
// EXT-X-ENDLIST, and a [*StatusError] if there is no playlist. After any other error it may be called again and goes on where
// it was; a piece that cannot be fetched is missed, which is a problem and no error.
func (p *Player) Next(ctx context.Context) (*Piece, error) {
	for {
		if p.now == nil || !p.begun && !p.start() {
			if p.now != nil && p.now.Media.Ended {
				return nil, io.EOF
			}
			if err := p.reload(ctx); err != nil {
				return nil, err
			}
			continue
		}
		t, ok := p.pick()
		if ok {
			piece, err := p.take(ctx, t)
			if piece != nil || err != nil {
				return piece, err
			}
			continue
		}
		if !p.begun {
			continue // the playlist went back
		}
		if p.now.Media.Ended {
			return nil, p.end(ctx)
		}
		if err := p.preload(ctx); err != nil {
			return nil, err
		}
		if err := p.reload(ctx); err != nil {
			return nil, err
		}
	}
}

func (p *Player) end(ctx context.Context) error {
	if err := p.parents(ctx); err != nil {
		return err
	}
	return io.EOF
}

// Problems returns what was found so far, each once, up to 1000.
func (p *Player) Problems() []Problem { return append([]Problem(nil), p.problems...) }

// Missed returns what was not fetched, up to 1000.
func (p *Player) Missed() []Miss { return append([]Miss(nil), p.missed...) }

// Playlist is the newest Media Playlist, whole; nil before the first.
func (p *Player) Playlist() *Playlist { return p.now }

// Multivariant is the Multivariant Playlist that led there; nil if there was none.
func (p *Player) Multivariant() *Playlist { return p.multi }

// Stats returns what the player did so far.
func (p *Player) Stats() Stats { return p.stats }

// report keeps problems, those that differ in the figures only once a line of text.
func (p *Player) report(all []Problem) {
	for _, problem := range all {
		if p.o.OnProblem != nil {
			p.o.OnProblem(problem)
		}
		key := problem.Name + problem.Text
		if p.known[key] || len(p.problems) >= problemsMax {
			continue
		}
		p.known[key] = true
		p.problems = append(p.problems, problem)
	}
}

func (p *Player) problem(rule, format string, args ...any) {
	var f findings
	f.add(rule, 0, format, args...)
	p.report(f)
}

// miss notes that something was not fetched.
func (p *Player) miss(msn int64, part int, why string) {
	p.pending++
	if len(p.missed) < problemsMax {
		p.missed = append(p.missed, Miss{msn, part, why})
	}
	name := fmt.Sprintf("segment %d", msn)
	if part >= 0 {
		name = fmt.Sprintf("part %d.%d", msn, part)
	}
	p.problem("missed", "%s: %s", name, why)
}
