package hook

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/zlm"
)

// verdictMost is the longest that an answer of on_http_access holds, whatever it says.
const verdictMost = 24 * time.Hour

// Reading is the wish to read a file, or a folder, by HTTP.
type Reading struct {
	Remote netip.AddrPort
	ID     string // of the request
	Path   string // of its URL
	File   string // the absolute path of what is asked for
	Dir    bool
	Alone  bool // other files have the same path: an answer is about this one
	Query  string
	Header http.Header
	Cookie string // that a verdict came with; "": the request has none
}

// Cookie is what a peer is to be known by for whom a verdict holds.
type Cookie struct {
	Value string
	Path  string // of URLs for which it holds, with all that is below
	Lasts time.Duration
}

// reader is whom a verdict is for: who has the cookie, or, without one, who comes from the address with the query.
type reader struct {
	cookie, query string
	from          netip.Addr
}

// verdict is an answer of on_http_access.
type verdict struct {
	path string // for which it holds, with all that is below
	file string // for which it holds; "": for all
	err  error  // nil: yes
}

// covers says whether the verdict is about what somebody wants to read.
func (v *verdict) covers(q *Reading) bool {
	below, ok := strings.CutPrefix(q.Path, v.path)
	return ok && (below == "" || below[0] == '/' || strings.HasSuffix(v.path, "/")) && (v.file == "" && !q.Alone || v.file == q.File)
}

// access is the body of on_http_access.
func (q *Reading) access() map[string]any {
	b := map[string]any{
		"ip": zlm.IP(q.Remote), "port": int(q.Remote.Port()), "id": q.ID, "path": q.Path, "file_path": q.File, "is_dir": q.Dir, "params": q.Query,
	}
	for name, values := range q.Header {
		b["header."+name] = strings.Join(values, ", ")
	}
	return b
}

// AsksFiles says whether the platform is asked who may read files.
func (h *Hooks) AsksFiles() bool { return h.target(HTTPAccess) != nil }

// MayRead asks on_http_access, or remembers what it said. Where nobody is asked, everybody may. The cookie, or nil, is for the answer to the peer; it may
// come with a refusal too. The error wraps hub.ErrDenied if the answer is no.
func (h *Hooks) MayRead(ctx context.Context, q *Reading) (*Cookie, error) {
	t := h.target(HTTPAccess)
	if t == nil {
		return nil, nil
	}
	byCookie, byQuery := reader{cookie: q.Cookie}, reader{query: q.Query, from: q.Remote.Addr().Unmap()}
	for _, who := range []reader{byCookie, byQuery} { // there is no verdict of an empty cookie, or an empty query
		if v, ok := t.verdicts.get(who, verdictMost); ok && v.covers(q) {
			return nil, v.err
		}
	}
	a, err := h.decide(ctx, t, "", q.access())
	if err != nil {
		return nil, h.without(ctx, t, err)
	}
	v := verdict{path: scope(&a, q)}
	if q.Alone {
		v.file = q.File
	}
	if a.code != 0 {
		v.err = a.refusal()
	} else if msg, ok := a.text("err"); ok && msg != "" {
		v.err = fmt.Errorf("%w: %s", hub.ErrDenied, plain(msg))
	}
	if v.err != nil && a.code == 0 {
		t.refusals.Add(1)
	}
	seconds, _ := a.number("second")
	lasts := time.Duration(min(max(seconds, 0), verdictMost.Seconds())) * time.Second
	if lasts == 0 {
		return nil, v.err
	}
	c := &Cookie{rand.Text(), v.path, lasts}
	t.verdicts.put(reader{cookie: c.Value}, v, lasts)
	if q.Query != "" && len(q.Query) <= queryMost {
		t.verdicts.put(byQuery, v, lasts)
	}
	return c, v.err
}

// scope is the path for which an answer holds: what it says, if that can stand in a cookie, or else the folder.
func scope(a *answer, q *Reading) string {
	if at, ok := a.text("path"); ok && strings.HasPrefix(at, "/") && plain(at) == at && !strings.ContainsAny(at, ";, ") {
		return at
	}
	if q.Dir {
		return path.Clean("/" + q.Path)
	}
	return path.Dir(path.Clean("/" + q.Path))
}
