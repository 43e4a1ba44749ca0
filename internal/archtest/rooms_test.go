package archtest

import (
	"path"
	"slices"
	"strings"
)

// row says what a room may import of this module. The row with the longest matching room holds, for the rooms below it too.
//
// In patterns, * stands for one name, $1 for what the first * of the room stood for, and /... for all that is below.
type row struct{ room, may string }

// importTable is the one of ARCHITECTURE.md.
var importTable = []row{
	// The ground: everything may stand on it, it stands on nothing.
	{"av", ""},
	{"task", ""},
	{"watch", ""},
	{"wedge", "task"},
	{"watch/bundle", "watch disk task"},
	{"conf", ""},
	{"conf/zlm", "conf"},
	{"log", "conf task watch"},
	{"disk", "conf task watch"},
	{"governor", "task"},

	// The left wing knows bytes.
	{"container/*", "av container/nal"},
	{"container/amf", ""},
	{"container/nal", "av"},
	{"container/flv", "av container/amf container/nal"},

	// The right wing knows streams.
	{"stream", "av"},
	{"egress", "stream task watch wedge"},
	{"hub", "av stream conf task watch wedge"},

	// The bridge: only protocols know both, and they do not know each other.
	{"protocol", "av stream egress hub conf task watch"},
	{"protocol/*", "protocol av container/* stream egress hub conf task watch protocol/$1/internal/..."},
	{"protocol/*/internal/*", "av container/* protocol/$1/internal/..."},
	{"protocol/all", "protocol protocol/*"},
	{"protocol/conformance", "protocol av stream egress hub conf task sim"},
	{"record", "av container/* stream hub conf task"},

	// The windows look at snapshots.
	{"auth", "av hub conf"},
	{"zlm", "av stream hub"},
	{"hook", "av stream hub conf task watch zlm"},
	{"control", "av stream hub conf"},
	{"api", "av container/fmp4 hub stream control conf watch"},
	{"api/zlm", "api zlm control av hub stream conf"},
	{"metrics", "av hub stream egress conf watch"},
	{"page", "web"},
	{"files", "disk hub protocol"},
	{"web", ""},

	// Outside the house.
	{"probe", ""},
	{"supervise", "probe watch task"},

	// Those who put it together.
	{"server", "..."},
	{"cmd/vigil", "server supervise conf conf/zlm log disk watch watch/bundle task"},

	// Only for tests.
	{"sim", "av"},
	{"m3u8", "av container/*"},
	{"e2e", "..."},
	{"bench", "..."},
	{"archtest", ""},
}

// testsMay is what test files of any room may import besides their room's row.
const testsMay = "av conf task stream container/* sim m3u8 protocol/conformance server"

// closedTable names rooms that only a few may import, whatever else their rows say. Test files are not bound by it.
var closedTable = []row{
	{"server", "cmd/* e2e/... bench/..."},
	{"protocol/all", "server e2e/... bench/..."},
	{"protocol/conformance", ""},
	{"sim", "protocol/conformance e2e/... bench/..."},
	{"m3u8", "protocol/hls e2e/... bench/..."},
	{"archtest", ""},
	{"e2e", "e2e/..."},
	{"bench", "bench/..."},
}

// emptyNames say nothing about what is in a room.
var emptyNames = []string{"common", "util", "base", "defs", "types"}

// importRule holds every import of ours against the tables.
func importRule(s source) []finding {
	r, ok := rowOf(s.room)
	if !ok {
		return []finding{s.at(s.ast.Package, "room %q has no rule: add its row to importTable in internal/archtest/rooms_test.go "+
			"and to ARCHITECTURE.md", s.room)}
	}
	var out []finding
	for imp, pos := range s.imports() {
		if imp != module && !strings.HasPrefix(imp, module+"/") {
			continue
		}
		target := roomOf(strings.TrimPrefix(strings.TrimPrefix(imp, module), "/"))
		switch {
		case target == s.room: // the external test of the package
		case s.test && matchAny(testsMay, target):
		case !matchAny(bind(r, s.room), target):
			out = append(out, s.at(pos, "room %q may not import %q (it may: %s): pass the thing in from a room that may know both, "+
				"or find the noun that is missing", s.room, target, orNothing(bind(r, s.room))))
		case !s.test && !openTo(target, s.room):
			out = append(out, s.at(pos, "room %q may not import %q, which is closed to it: see closedTable in "+
				"internal/archtest/rooms_test.go", s.room, target))
		}
	}
	return out
}

// nameRule refuses rooms that are named after nothing.
func nameRule(s source) []finding {
	for part := range strings.SplitSeq(s.room, "/") {
		if slices.Contains(emptyNames, part) {
			return []finding{s.at(s.ast.Package, "a room called %q is where design went unfinished: name it after the noun that it holds", part)}
		}
	}
	return nil
}

func rowOf(room string) (best row, ok bool) {
	score := -1
	for _, r := range importTable {
		n := len(strings.Split(r.room, "/"))
		if parts := strings.Split(room, "/"); len(parts) < n || !match(r.room, strings.Join(parts[:n], "/")) {
			continue
		}
		if s := 2 * n; s-strings.Count(r.room, "*") > score { // a longer row first, then the one with fewer stars
			best, score, ok = r, s-strings.Count(r.room, "*"), true
		}
	}
	return best, ok
}

// bind puts the room's own name for $1.
func bind(r row, room string) string {
	pattern, parts := strings.Split(r.room, "/"), strings.Split(room, "/")
	if i := slices.Index(pattern, "*"); i >= 0 {
		return strings.ReplaceAll(r.may, "$1", parts[i])
	}
	return r.may
}

func openTo(target, room string) bool {
	for _, c := range closedTable {
		if match(c.room+"/...", target) {
			return matchAny(c.may, room)
		}
	}
	return true
}

func matchAny(patterns, room string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(p string) bool { return match(p, room) })
}

// match tells whether the room fits a pattern. "a/..." fits a and all below it, "..." fits all.
func match(pattern, room string) bool {
	if pattern == "..." {
		return true
	}
	if head, ok := strings.CutSuffix(pattern, "/..."); ok {
		n := len(strings.Split(head, "/"))
		parts := strings.Split(room, "/")
		return len(parts) >= n && match(head, strings.Join(parts[:n], "/"))
	}
	ok, err := path.Match(pattern, room)
	return err == nil && ok
}

func orNothing(may string) string {
	if may == "" {
		return "nothing of ours"
	}
	return may
}
