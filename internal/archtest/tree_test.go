package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vigil-media/vigil"

// skipped are folders that hold no source of this module.
var skipped = []string{"node_modules", "testdata", "tools", "bin", "vigil-data"}

// source is one parsed Go file.
type source struct {
	path string // from the module's root, with slashes
	room string // its folder, without internal/: "hub", "protocol/rtmp/internal/chunk", "cmd/vigil"
	test bool
	fset *token.FileSet
	ast  *ast.File
}

// finding is one broken rule, ready to be read by the one who broke it.
type finding string

// at makes a finding for a place in the file.
func (s source) at(pos token.Pos, format string, args ...any) finding {
	return finding(fmt.Sprintf("%s:%d: %s", s.path, s.fset.Position(pos).Line, fmt.Sprintf(format, args...)))
}

// imports gives each import's path and place.
func (s source) imports() map[string]token.Pos {
	m := make(map[string]token.Pos, len(s.ast.Imports))
	for _, i := range s.ast.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			m[p] = i.Pos()
		}
	}
	return m
}

// importedAs gives the name under which the file knows a package, or "".
func (s source) importedAs(pkg string) string {
	for _, i := range s.ast.Imports {
		if i.Path.Value != strconv.Quote(pkg) {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

func roomOf(dir string) string { return strings.TrimPrefix(dir, "internal/") }

func parse(name string, src any) (source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{
		path: name, room: roomOf(path.Dir(name)), test: strings.HasSuffix(name, "_test.go"), fset: fset, ast: f,
	}, nil
}

// moduleRoot is the folder with go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the module's root is not where it was: %v", err)
	}
	return dir
}

// eachFile calls fn for every file of the project that ends in suffix, with its path from the root.
func eachFile(t *testing.T, suffix string, fn func(name string, data []byte)) {
	t.Helper()
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && p != root
		if d.IsDir() && (hidden || slices.Contains(skipped, d.Name())) {
			return filepath.SkipDir
		}
		if d.IsDir() || hidden || !strings.HasSuffix(d.Name(), suffix) {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		fn(filepath.ToSlash(rel), data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// house parses every Go file of the module.
func house(t *testing.T) []source {
	t.Helper()
	var all []source
	eachFile(t, ".go", func(name string, data []byte) {
		s, err := parse(name, data)
		if err != nil {
			t.Errorf("%v: repair the syntax", err)
			return
		}
		all = append(all, s)
	})
	return all
}
