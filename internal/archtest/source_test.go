package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"unicode"
)

// placeTable says where things may be done that are forbidden elsewhere. Test files may do them anywhere.
var placeTable = struct{ goroutines, files, rotation string }{
	goroutines: "task sim protocol/conformance e2e/... bench/...",
	files:      "disk cmd/* e2e/... bench/...",
	rotation:   "log",
}

// fileWriters are the functions of package os that change what is on a disk, or give the means to.
var fileWriters = strings.Fields(`Create CreateTemp WriteFile OpenFile OpenRoot Mkdir MkdirAll MkdirTemp Rename Remove RemoveAll
	Truncate Link Symlink Chmod Chown Lchown Chtimes CopyFS`)

// rotationLibrary writes and deletes log files by itself.
const rotationLibrary = "github.com/DeRuina/timberjack"

// wordTable says in which rooms the name of a protocol may stand in identifiers and imports.
// RTMP carries FLV tag bodies; httplive serves FLV over HTTP. container/rtp stands on the payload formats of gortsplib.
var wordTable = []struct{ word, rooms string }{
	{"rtmp", "protocol/rtmp/... probe supervise"},
	{"rtsp", "protocol/rtsp/... container/rtp"},
	{"flv", "container/flv protocol/rtmp/... protocol/httplive/..."},
	{"hls", "protocol/hls/..."},
	{"webrtc", "protocol/webrtc/..."},
	{"srt", "protocol/srt/..."},
	{"gb28181", "protocol/gb28181/..."},
}

// anyWord are the rooms that may name every protocol: the list, the dialect of ZLMediaKit, and tests.
const anyWord = "protocol/all zlm hook api/zlm conf/zlm e2e/... bench/..."

// goRule finds goroutines that start outside task.
func goRule(s source) []finding {
	if s.test || matchAny(placeTable.goroutines, s.room) {
		return nil
	}
	const cure = "start it with a task.Group or task.Pool, so that somebody owns it, names it, joins it and survives its panic"
	var out []finding
	if pos, ok := s.imports()["golang.org/x/sync/errgroup"]; ok {
		out = append(out, s.at(pos, "errgroup starts goroutines outside task: %s", cure))
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			out = append(out, s.at(n.Pos(), "a bare go statement outside task: %s", cure))
		case *ast.CallExpr: // sync.WaitGroup.Go(func): those of task take a name too
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(n.Args) == 1 {
				out = append(out, s.at(n.Pos(), "WaitGroup.Go starts a goroutine outside task: %s", cure))
			}
		}
		return true
	})
	return out
}

// fileRule finds writing to the disk outside disk.
func fileRule(s source) []finding {
	if s.test {
		return nil
	}
	var out []finding
	if pos, ok := s.imports()[rotationLibrary]; ok && !matchAny(placeTable.rotation, s.room) {
		out = append(out, s.at(pos, "only room log rotates files: write through a logger, or keep the file with a disk.Store"))
	}
	name := s.importedAs("os")
	if name == "" || matchAny(placeTable.files, s.room) {
		return out
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == name && slices.Contains(fileWriters, sel.Sel.Name) {
			out = append(out, s.at(sel.Pos(), "os.%s outside room disk: take a disk.Store, or what to write to, as an argument", sel.Sel.Name))
		}
		return true
	})
	return out
}

// sleepRule finds tests that wait for time to pass. In a bubble of synctest it passes by itself, so a file that makes bubbles
// may sleep.
func sleepRule(s source) []finding {
	name := s.importedAs("time")
	if _, bubble := s.imports()["testing/synctest"]; bubble || name == "" || !s.test {
		return nil
	}
	var out []finding
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
				out = append(out, s.at(sel.Pos(), "time.Sleep in a test is too short on a busy machine and too long on others: "+
					"wait for the event itself, or run inside synctest.Test"))
			}
		}
		return true
	})
	return out
}

// wordRule finds protocols named outside their rooms, once for each identifier of a file.
func wordRule(s source) []finding {
	if s.test || matchAny(anyWord, s.room) {
		return nil
	}
	var out []finding
	for imp, pos := range s.imports() {
		for part := range strings.SplitSeq(imp, "/") {
			if w := strayWord(part, s.room); w != "" {
				out = append(out, s.at(pos, "import of %q in room %q: only %s may know it", imp, s.room, w))
				break
			}
		}
	}
	seen := map[string]bool{}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || seen[id.Name] {
			return true
		}
		seen[id.Name] = true
		if w := strayWord(id.Name, s.room); w != "" {
			out = append(out, s.at(id.Pos(), "the identifier %s names a protocol in room %q: only %s may; "+
				"say what the thing is for all protocols, or move it there", id.Name, s.room, w))
		}
		return true
	})
	return out
}

// strayWord gives the rooms in which the name would be at home, or "" if it may stay where it is.
func strayWord(name, room string) string {
	words := splitName(name)
	for _, w := range wordTable {
		// Long words are found anywhere ("gortsplib"); hls and srt are parts of others ("lengthLSB").
		found := slices.Contains(words, w.word)
		if w.word != "hls" && w.word != "srt" {
			found = found || strings.Contains(strings.ToLower(name), w.word)
		}
		if found && !matchAny(w.rooms, room) {
			return w.rooms
		}
	}
	return ""
}

// splitName takes a name apart at its capitals and marks: "newHLSServer" is new, hls, server.
func splitName(name string) []string {
	var words []string
	runes := []rune(name)
	start := 0
	cut := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(string(runes[start:end])))
		}
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			cut(i)
			start = i + 1
		case i > start && unicode.IsUpper(r) &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			cut(i)
			start = i
		}
	}
	cut(len(runes))
	return words
}

// docRule finds packages without a package comment. A package of tests alone has it in one of those.
func docRule(all []source) []finding {
	type pkg struct {
		first      source
		code       bool
		documented bool
	}
	pkgs := map[string]*pkg{}
	slices.SortStableFunc(all, func(a, b source) int { return strings.Compare(a.path, b.path) })
	for _, s := range all {
		dir := path.Dir(s.path)
		p := pkgs[dir]
		if p == nil {
			p = &pkg{first: s}
			pkgs[dir] = p
		}
		if !s.test && !p.code { // code counts for more than tests: what they said does not
			p.first, p.code, p.documented = s, true, false
		}
		if s.test && p.code {
			continue
		}
		text := s.ast.Doc.Text()
		p.documented = p.documented || strings.HasPrefix(text, "Package "+s.ast.Name.Name+" ") || strings.HasPrefix(text, "Command ")
	}
	var out []finding
	for dir, p := range pkgs {
		if !p.documented {
			out = append(out, p.first.at(p.first.ast.Package, "package %s has no package comment: write %s/doc.go "+
				"(what it is for, what it must not know, its promise about concurrency), beginning with \"Package %s \" or \"Command \"",
				p.first.ast.Name.Name, dir, p.first.ast.Name.Name))
		}
	}
	return out
}
