package archtest

import (
	"slices"
	"strings"
	"testing"
)

type rule struct {
	name string
	find func(source) []finding
}

// ruleTable is all rules for single files; docRule looks at packages.
var ruleTable = []rule{
	{"imports", importRule},
	{"names", nameRule},
	{"goroutines", goRule},
	{"files", fileRule},
	{"sleep", sleepRule},
	{"words", wordRule},
	{"docs", func(s source) []finding { return docRule([]source{s}) }},
}

// TestHouse holds the rules against the house as it stands.
func TestHouse(t *testing.T) {
	all := house(t)
	if len(all) < 10 {
		t.Fatalf("only %d files found: the walk is broken", len(all))
	}
	for _, r := range ruleTable {
		t.Run(r.name, func(t *testing.T) {
			var found []finding
			if r.name == "docs" {
				found = docRule(all)
			} else {
				for _, s := range all {
					found = append(found, r.find(s)...)
				}
			}
			slices.Sort(found)
			for _, f := range found {
				t.Error(f)
			}
		})
	}
}

// TestRules proves on small sources that every rule can fail, and does not where it should not.
func TestRules(t *testing.T) {
	const ours = `import _ "` + module + `/internal/`
	cases := []struct {
		rule, path, src string
		want            string // part of the finding, or "" for none
	}{
		{"imports", "internal/stream/a.go", ours + `av"`, ""},
		{"imports", "internal/stream/a.go", ours + `hub"`, `"stream" may not import "hub"`},
		{"imports", "internal/stream/a_test.go", ours + `sim"`, ""},
		{"imports", "internal/stream/a_test.go", ours + `hub"`, `may not import "hub"`},
		{"imports", "internal/hub/a_test.go", ours + `hub"`, ""},
		{"imports", "internal/newroom/a.go", ``, `room "newroom" has no rule`},
		{"imports", "cmd/other/a.go", ``, `room "cmd/other" has no rule`},
		{"imports", "internal/protocol/foo/a.go", ours + `protocol"`, ""},
		{"imports", "internal/protocol/foo/a.go", ours + `protocol/foo/internal/wire"`, ""},
		{"imports", "internal/protocol/foo/a.go", ours + `protocol/bar"`, `may not import "protocol/bar"`},
		{"imports", "internal/protocol/foo/a_test.go", ours + `protocol/bar"`, `may not import "protocol/bar"`},
		{"imports", "internal/protocol/foo/a.go", ours + `protocol/conformance"`, `may not import`},
		{"imports", "internal/protocol/foo/a_test.go", ours + `protocol/conformance"`, ""},
		{"imports", "internal/protocol/foo/internal/wire/a.go", ours + `protocol/foo/internal/bits"`, ""},
		{"imports", "internal/protocol/foo/internal/wire/a.go", ours + `hub"`, `may not import "hub"`},
		{"imports", "internal/protocol/all/a.go", ours + `protocol/foo"`, ""},
		{"imports", "internal/container/flv/a.go", ours + `container/amf"`, ""},
		{"imports", "internal/container/ts/a.go", ours + `container/amf"`, `may not import "container/amf"`},
		{"imports", "internal/server/a.go", ours + `protocol/all"`, ""},
		{"imports", "internal/server/a.go", ours + `sim"`, `closed to it`},
		{"imports", "internal/api/a.go", ours + `server"`, `may not import "server"`},
		{"imports", "internal/api/a_test.go", ours + `server"`, ""},
		{"imports", "cmd/vigil/a.go", ours + `server"`, ""},
		{"imports", "cmd/vigil/a.go", ours + `hub"`, `"cmd/vigil" may not import "hub"`},
		{"imports", "e2e/a_test.go", ours + `hub"`, ""},
		{"imports", "internal/av/a.go", `import _ "` + module + `"`, `"av" may not import ""`},
		{"imports", "internal/av/a.go", `import _ "` + module + `-other/x"`, ""},

		{"names", "internal/hub/a.go", ``, ""},
		{"names", "internal/hub/util/a.go", ``, "design went unfinished"},

		{"goroutines", "internal/hub/a.go", `func f(fn func()) { fn() }`, ""},
		{"goroutines", "internal/hub/a.go", `func f(fn func()) { go fn() }`, "bare go statement"},
		{"goroutines", "internal/hub/a.go", `import "sync"; func f(w *sync.WaitGroup, fn func()) { w.Go(fn) }`, "WaitGroup.Go"},
		{"goroutines", "internal/hub/a.go", `func f(g group, fn func()) { g.Go("name", fn) }`, ""},
		{"goroutines", "internal/hub/a.go", `import _ "golang.org/x/sync/errgroup"`, "errgroup"},
		{"goroutines", "internal/hub/a_test.go", `func f(fn func()) { go fn() }`, ""},
		{"goroutines", "internal/task/a.go", `func f(fn func()) { go fn() }`, ""},

		{"files", "internal/hub/a.go", `import "os"; var _ = os.Args`, ""},
		{"files", "internal/hub/a.go", `import "os"; var _ = os.Rename("a", "b")`, "os.Rename outside"},
		{"files", "internal/hub/a.go", `import disk "os"; var _ = disk.Remove("a")`, "os.Remove outside"},
		{"files", "internal/hub/a_test.go", `import "os"; var _ = os.Remove("a")`, ""},
		{"files", "internal/disk/a.go", `import "os"; var _ = os.Remove("a")`, ""},
		{"files", "internal/hub/a.go", `import _ "` + rotationLibrary + `"`, "only room log"},
		{"files", "internal/log/a.go", `import _ "` + rotationLibrary + `"`, ""},

		{"sleep", "internal/hub/a_test.go", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep in a test"},
		{"sleep", "internal/hub/a_test.go", `import ("time"; _ "testing/synctest"); func f() { time.Sleep(1) }`, ""},
		{"sleep", "internal/hub/a.go", `import "time"; func f() { time.Sleep(1) }`, ""},

		{"words", "internal/hub/a.go", `var shelves, insert, lengthLSB int`, ""},
		{"words", "internal/hub/a.go", `var rtmpPort int`, "identifier rtmpPort"},
		{"words", "internal/hub/a.go", `var newHLSServer int`, "identifier newHLSServer"},
		{"words", "internal/hub/a.go", `var x struct{ SRT int }`, "identifier SRT"},
		{"words", "internal/hub/a_test.go", `var rtmpPort int`, ""},
		{"words", "internal/hub/a.go", `import _ "example.org/gortsplib/v5"`, "import of"},
		{"words", "internal/protocol/rtmp/internal/chunk/a.go", `var rtmpPort, flvTag int`, ""},
		{"words", "internal/protocol/rtmp/a.go", `var rtspPort int`, "identifier rtspPort"},
		{"words", "internal/protocol/all/a.go", `var rtmpPort, srt int`, ""},

		{"docs", "internal/hub/a.go", ``, "no package comment"},
	}
	failed := map[string]bool{}
	for _, c := range cases {
		s, err := parse(c.path, "package p\n"+c.src)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(ruleTable, func(r rule) bool { return r.name == c.rule })
		found := ruleTable[i].find(s)
		failed[c.rule] = failed[c.rule] || len(found) > 0
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %s: %q: finds %q, but all is well", c.rule, c.path, c.src, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(string(found[0]), c.want)):
			t.Errorf("%s: %s: %q: finds %q, want one with %q", c.rule, c.path, c.src, found, c.want)
		}
	}
	for _, r := range ruleTable {
		if !failed[r.name] {
			t.Errorf("no case makes rule %s fail: a rule that cannot fail is none", r.name)
		}
	}
}

// TestImportTable proves that each row lets in what it lists and nothing above it.
func TestImportTable(t *testing.T) {
	for _, r := range importTable {
		room := strings.ReplaceAll(r.room, "*", "foo")
		if got, ok := rowOf(room); !ok || got != r {
			t.Errorf("row %q is hidden by %q", r.room, got.room)
		}
		if got, _ := rowOf(room + "/below"); len(got.room) < len(r.room) {
			t.Errorf("row %q does not hold for the rooms below it", r.room)
		}
		if r.may != "..." && matchAny(bind(r, room), "server") != (r.room == "cmd/vigil") {
			t.Errorf("row %q: only cmd may import server", r.room)
		}
		for m := range strings.FieldsSeq(r.may) {
			if _, ok := rowOf(strings.NewReplacer("$1", "foo", "*", "foo", "/...", "/foo", "...", "av").Replace(m)); !ok {
				t.Errorf("row %q lets in %q, which is no room", r.room, m)
			}
		}
	}
}

// TestDocRule proves that the comment is looked for where it counts.
func TestDocRule(t *testing.T) {
	const documented, bare = "// Package p is.\npackage p", "package p"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"in doc.go", map[string]string{"internal/p/a.go": bare, "internal/p/doc.go": documented}, 0},
		{"nowhere", map[string]string{"internal/p/a.go": bare, "internal/p/b.go": bare}, 1},
		{"only in the test", map[string]string{"internal/p/z.go": bare, "internal/p/a_test.go": documented}, 1},
		{"tests alone", map[string]string{"e2e/a_test.go": documented, "e2e/b_test.go": bare}, 0},
		{"a command", map[string]string{"cmd/p/main.go": "// Command p does.\npackage main"}, 0},
		{"something else", map[string]string{"internal/p/a.go": "// Copyright.\npackage p"}, 1},
	} {
		var all []source
		for name, src := range c.files {
			s, err := parse(name, src)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if got := docRule(all); len(got) != c.want {
			t.Errorf("%s: finds %q, want %d", c.name, got, c.want)
		}
	}
}
