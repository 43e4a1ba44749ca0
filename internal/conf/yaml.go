package conf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a configuration may hold.
const (
	fileBytesMax = 1 << 20
	depthMax     = 32
	itemsMax     = 4096         // keys and list items
	tokensMax    = 5 * itemsMax // without comments; the parser's time grows with their square
)

// leafKind says how a value that is not a mapping was written.
type leafKind int

const (
	leafText leafKind = iota // a YAML scalar, quoted or not
	leafNull                 // nothing, ~ or null
	leafList
	leafRaw // text from the environment or --set, where a list is still text
)

// leaf is a value that is not a mapping. A mapping is a map[string]any of leaves and mappings, which is what koanf
// merges; the fields are exported because koanf copies by reflection.
type leaf struct {
	Kind  leafKind
	Text  string
	Items []any // of a list
	At    Position
}

// layer is what one source says: a tree, and where each key of it stands ("rtmp.tls.cert").
type layer struct {
	key   string // the only one, of a variable or a flag
	tree  map[string]any
	where map[string]Position
}

// reader turns YAML into a layer.
type reader struct {
	source   string
	where    map[string]Position
	items    int
	problems Problems
}

// parseYAML reads a document whose top is a mapping. What it returns holds everything that could be read; problems
// say what could not.
func parseYAML(source string, data []byte) (layer, Problems) {
	r := &reader{source: source, where: map[string]Position{}}
	tree := map[string]any{}
	if body := r.document(data); body != nil {
		if m, ok := r.value("", body, 1).(map[string]any); ok {
			tree = m
		} else {
			r.complain(body.GetToken(), "", "the configuration must be a mapping of sections, such as rtmp: {listen: :1935}")
		}
	}
	return layer{tree: tree, where: r.where}, r.problems
}

// parseList reads a list in brackets, as it may stand in an environment variable; ok is false when text is not one.
func parseList(text string) (items []any, ok bool) {
	if !strings.HasPrefix(text, "[") || len(text) > fileBytesMax {
		return nil, false
	}
	r := &reader{where: map[string]Position{}}
	body := r.document([]byte(text))
	if body == nil {
		return nil, false
	}
	list, ok := r.value("", body, 1).(*leaf)
	return list.items(), ok && list.Kind == leafList && len(r.problems) == 0
}

// items is the list's items; nil for nil.
func (l *leaf) items() []any {
	if l == nil {
		return nil
	}
	return l.Items
}

func (r *reader) complain(tk *token.Token, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{At: r.at(tk), Key: key, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) at(tk *token.Token) Position {
	if tk == nil || tk.Position == nil {
		return Position{Source: r.source, Line: 1, Column: 1}
	}
	return Position{Source: r.source, Line: tk.Position.Line, Column: tk.Position.Column}
}

// document gives the body of the only document, or nil when there is none or it cannot be read. The parser recurses
// and is not ours, so it is given only what the limits let through, and a panic of it is a problem of the file.
func (r *reader) document(data []byte) (body ast.Node) {
	defer func() {
		if v := recover(); v != nil {
			body = nil
			r.complain(nil, "", "cannot be parsed as YAML: %v", v)
		}
	}()
	if len(data) > fileBytesMax {
		r.complain(nil, "", "larger than %s", Size(fileBytesMax))
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !r.utf8(data) {
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !r.within(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if se, ok := errors.AsType[yaml.Error](err); ok {
			r.complain(se.GetToken(), "", "%s", printable(se.GetMessage()))
		} else {
			r.complain(nil, "", "%s", printable(err.Error()))
		}
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			r.complain(doc.Body.GetToken(), "", "a second document; one is allowed")
			return nil
		}
		body = doc.Body
	}
	return body
}

// utf8 complains of the first byte that is not UTF-8.
func (r *reader) utf8(data []byte) bool {
	if utf8.Valid(data) {
		return true
	}
	line, column := 1, 1
	for len(data) > 0 {
		c, n := utf8.DecodeRune(data)
		if c == utf8.RuneError && n == 1 {
			break
		}
		if column++; c == '\n' {
			line, column = line+1, 1
		}
		data = data[n:]
	}
	r.problems = append(r.problems, Problem{
		At:      Position{Source: r.source, Line: line, Column: column},
		Message: "not UTF-8 text",
	})
	return false
}
