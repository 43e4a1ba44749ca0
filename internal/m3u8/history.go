package m3u8

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Response is one answer to a request for a playlist.
type Response struct {
	Asked  time.Time   // when the request was sent; zero: not known
	At     time.Time   // when the answer was complete
	URL    string      // of the request, with the Delivery Directives (6.2.5); "": not known, and without any
	Gzip   bool        // the request accepted gzip
	Header http.Header // of the answer, Content-Encoding included; nil: not looked at
	Body   []byte      // without its Content-Encoding
}

// History is fed the successive answers for one playlist, whole ones and delta updates, and says what the specification forbids in and between
// them. The zero value is ready for use. One goroutine uses it. It keeps one version.
type History struct {
	// Drift is how far EXT-X-PROGRAM-DATE-TIME may be from the one before and the durations; 0: 250 ms.
	Drift time.Duration
	// Slack is what network and machine may add to the time of an update; 0: 500 ms; negative: times are not looked at.
	Slack time.Duration

	last      *Playlist // whole
	segmentAt time.Time // when the newest segment was seen first
	partAt    time.Time // when the newest part was
	overdue   bool      // said so already
	partLate  bool
}

// Add takes the next answer. It returns the whole playlist, put together with the version before if the answer is a delta update, and what
// is wrong: with the answer alone, with its headers, and with the change. The playlist is nil if it cannot be read, or not
// be put together: a player then asks for the whole one.
func (h *History) Add(r Response) (*Playlist, []Problem) {
	var f findings
	p, err := Parse(r.Body)
	if r.Header != nil {
		f.headers(&r, p)
	}
	if err != nil {
		f.syntax(err)
		return nil, f
	}
	f = append(f, LintWith(p, LintOptions{Drift: h.Drift})...)
	if p.Media == nil {
		return p, f
	}
	d := directives(r.URL)
	f.skipped(d, p.Media)
	whole, err := Merge(h.last, p)
	if err != nil {
		f.add("skip-unresolved", p.Media.Skip.Line, "%v", err)
		return nil, f
	}
	if p.Media.Skip != nil {
		f.merged(whole, LintOptions{Drift: h.Drift})
	}
	f.reload(d, whole.Media)
	if h.last != nil {
		f.change(h.last.Media, whole.Media)
	}
	h.times(&f, &r, whole.Media)
	h.last = whole
	return whole, f
}

// Playlist is the newest version, whole; nil before the first.
func (h *History) Playlist() *Playlist { return h.last }

// merged looks at what a delta update alone could not be held against.
func (f *findings) merged(p *Playlist, o LintOptions) {
	if o.Drift == 0 {
		o.Drift = driftUsual
	}
	var g findings
	g.segments(p.Media)
	g.dates(p.Media, o.Drift)
	g.profile(p.Media)
	for _, problem := range g {
		if !(*f).has(problem.Name) {
			*f = append(*f, problem)
		}
	}
}

func (f *findings) profile(m *Media) {
	if msn, part := m.Edge(); part >= 0 && msn >= 0 {
		f.partProfile(m)
	}
}

func (f *findings) has(name string) bool {
	for _, p := range *f {
		if p.Name == name {
			return true
		}
	}
	return false
}

// directive is what a request asked for.
type directive struct {
	skip      string // the value of _HLS_skip
	msn, part int64  // -1: none
}

func directives(address string) directive {
	d := directive{msn: -1, part: -1}
	u, err := url.Parse(address)
	if err != nil {
		return d
	}
	q := u.Query()
	d.skip = q.Get("_HLS_skip")
	if n, ok := parseInteger(q.Get("_HLS_msn")); ok {
		d.msn = n
		if n, ok = parseInteger(q.Get("_HLS_part")); ok {
			d.part = n
		}
	}
	return d
}

// skipped compares what was skipped with what was asked for (6.2.5.1).
func (f *findings) skipped(d directive, m *Media) {
	asked := d.skip == "YES" || d.skip == "v2"
	if m.Skip != nil && !asked {
		f.add("skip-unasked", m.Skip.Line, "a delta update that was not asked for")
	}
	c := m.Control
	if !asked || m.Ended || c == nil || c.CanSkipUntil == 0 {
		return
	}
	after, beyond := time.Duration(0), 0
	for _, s := range slices.Backward(m.Segments) {
		if after > c.CanSkipUntil+rounding {
			beyond++
		}
		after += s.Duration
	}
	switch {
	case beyond > 0 && m.Skip == nil:
		f.add("skip-ignored", 0, "the whole playlist, and a delta update was asked for that could skip %d segments", beyond)
	case beyond > 0:
		f.add("skip-too-little", m.Skip.Line, "%d segments are further from the end than CAN-SKIP-UNTIL and were not skipped", beyond)
	}
}

// reload sees whether an answer came before there was what it was to wait for (6.2.5.2).
func (f *findings) reload(d directive, m *Media) {
	if d.msn < 0 || m.Ended || m.Control == nil || !m.Control.CanBlockReload {
		return
	}
	last := m.Last()
	if last > d.msn || last == d.msn && d.part < 0 {
		return
	}
	if s := m.Segment(d.msn); last == d.msn {
		if s == nil || len(s.Parts) == 0 || int64(len(s.Parts)) > d.part || !m.closedEdge() {
			return
		}
		d.msn, d.part = d.msn+1, 0 // more than that segment turned out to have: the next is meant
	}
	if d.part >= 0 && m.Open != nil && m.Open.MSN == d.msn && int64(len(m.Open.Parts)) > d.part {
		return
	}
	if d.part >= 0 {
		f.add("reload-early", 0, "an answer without part %d.%d, which it was to wait for", d.msn, d.part)
	} else {
		f.add("reload-early", 0, "an answer without segment %d, which it was to wait for", d.msn)
	}
}
