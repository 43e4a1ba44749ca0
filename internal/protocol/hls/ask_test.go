package hls

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

func TestParseAsk(t *testing.T) {
	for _, c := range []struct {
		query string
		want  ask // but for key and format
		fails bool
	}{
		{"", ask{part: -1}, false},
		{"token=x", ask{part: -1, query: "token=x"}, false},
		{"session=a%2Bb&token=x&y=%41", ask{part: -1, session: "a+b", query: "token=x&y=%41"}, false},
		{"a=1&_HLS_msn=5&b=2", ask{part: -1, waits: true, msn: 5, query: "a=1&b=2"}, false},
		{"_HLS_part=3&_HLS_msn=5", ask{part: 3, waits: true, msn: 5}, false},
		{"_HLS_skip=YES&_HLS_what=9", ask{part: -1, skip: true}, false},
		{"_HLS_skip=v2", ask{part: -1, skip: true}, false},
		{"_HLS_skip=yes", ask{part: -1}, false},
		{"&&", ask{part: -1, query: "&&"}, false},
		{"mysession=1", ask{part: -1, query: "mysession=1"}, false},
		{"_HLS_msn=+5", ask{}, true},
		{"_HLS_msn=5&_HLS_part=+5", ask{}, true},
		{"_HLS_msn=5&_HLS_part=05", ask{}, true},
		{"_HLS_part=5", ask{}, true},
		{"_HLS_msn=5;_HLS_part=5", ask{}, true},
		{"session=%", ask{}, true},
	} {
		got, err := parseAsk("/live/x", c.query, segment.FMP4)
		if (err != nil) != c.fails {
			t.Errorf("%q: %v", c.query, err)
			continue
		}
		if c.fails {
			continue
		}
		if got.key.String() != "live/x" || got.format != segment.FMP4 {
			t.Errorf("%q: %+v", c.query, got)
		}
		got.key, got.format = c.want.key, c.want.format
		if got != c.want {
			t.Errorf("%q: %+v, want %+v", c.query, got, c.want)
		}
	}
}

// FuzzParseAsk: what is ours in a query is taken out of it, numbers have bounds, and nothing panics.
func FuzzParseAsk(f *testing.F) {
	for _, s := range []string{"", "_HLS_msn=5&_HLS_part=3&_HLS_skip=YES", "session=a%2Bb&token=x", "_HLS_msn=99999999999999999999", "&=&%"} {
		f.Add("/live/x", s)
	}
	f.Add("/live/../x", "session")
	f.Fuzz(func(t *testing.T, path, query string) {
		a, err := parseAsk(path, query, segment.TS)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if a.msn >= 1<<63 || a.part < -1 || a.part > partMost || a.part >= 0 && !a.waits || len(a.query) > len(query) {
			t.Errorf("%+v", a)
		}
		again, err := parseAsk(path, a.query, segment.TS)
		if err != nil || again.waits || again.session != "" || again.query != a.query {
			t.Errorf("what is left of %q is %q, and of that %+v, %v", query, a.query, again, err)
		}
	})
}

func TestParseFile(t *testing.T) {
	for _, c := range []struct {
		path string
		want file
		ok   bool
	}{
		{"/live/x/tok-12.hls.m4s", file{"/live/x/", "tok", 12, -1}, true},
		{"/live/x/tok-12.3.hls.m4s", file{"/live/x/", "tok", 12, 3}, true},
		{"/a/b/c/tok-0.0.hls.m4s", file{"/a/b/c/", "tok", 0, 0}, true},
		{"/live/x/tok-1-2.hls.m4s", file{}, false},
		{"/live/x/tok.hls.m4s", file{}, false},
		{"/live/x/tok-.hls.m4s", file{}, false},
		{"/live/x/tok-01.hls.m4s", file{}, false},
		{"/live/x/tok-1.01.hls.m4s", file{}, false},
		{"/live/x/tok-1..hls.m4s", file{}, false},
		{"/live/x/tok-1.65536.hls.m4s", file{}, false},
		{"/live/x/tok-9223372036854775808.hls.m4s", file{}, false},
	} {
		if got, ok := parseFile(c.path, segment.SuffixPart); ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v, %v", c.path, got, ok)
		}
	}
}

// FuzzParseFile: a name is what it was read as, and no other name is read so.
func FuzzParseFile(f *testing.F) {
	for _, s := range []string{"/live/x/tok-12.3.hls.m4s", "/live/x/tok-12.hls.m4s", "-.hls.m4s", "/..-1.+1.hls.m4s", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := parseFile(path, segment.SuffixPart)
		if !ok || !strings.HasSuffix(path, segment.SuffixPart) {
			return
		}
		if again := nameOfFile(got); again != path {
			t.Errorf("%q is read as %q", path, again)
		}
	})
}

func nameOfFile(f file) string {
	s := f.folder + f.token + "-" + strconv.FormatUint(f.number, 10)
	if f.part >= 0 {
		s += "." + strconv.Itoa(f.part)
	}
	return s + segment.SuffixPart
}

// clerk notes what it is asked.
type clerk struct {
	mu      sync.Mutex
	queries []string
}

func (c *clerk) Authorize(_ context.Context, a hub.Action, q hub.Request) (hub.Permit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == hub.ActionPlay {
		c.queries = append(c.queries, q.Query)
	}
	return hub.Permit{}, nil
}

// TestQuery: who decides about a viewer is told of the query what is not ours; there may be anything in that, but not without end.
func TestQuery(t *testing.T) {
	c := &clerk{}
	within(t, conformance.Options{Auth: c}, func(t *testing.T, i *inn) {
		s := streamed(i)
		g := i.guest("192.0.2.1", "a")
		s.first(lowList+"?session=secret&_HLS_msn=0&token=100%&_HLS_part=0", g)
		if len(c.queries) != 1 || c.queries[0] != "token=100%" {
			t.Errorf("asked with %q", c.queries)
		}
		s.first(mainList+"?token=100%", g)
		s.first("/live/x/"+g.list(mainList + "?token=100%").Multivariant.Variants[0].URI, g)
		if w := g.get(lowList + "?" + strings.Repeat("x", 5000)); w.Code != http.StatusBadRequest {
			t.Errorf("a query of 5000 bytes: %d", w.Code)
		}
	})
}
