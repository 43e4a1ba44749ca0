package conf

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value turns a node into a map[string]any or a *leaf, and notes where its keys stand. A part that cannot be used is
// complained of and left out.
func (r *reader) value(path string, n ast.Node, depth int) any {
	if depth > depthMax {
		r.complain(n.GetToken(), path, "nested deeper than %d levels", depthMax)
		return nil
	}
	at := r.at(n.GetToken())
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(path, n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(path, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		l := &leaf{Kind: leafList, At: at}
		for i, item := range n.Values {
			if !r.count(item) {
				break
			}
			key := fmt.Sprintf("%s[%d]", path, i)
			r.where[key] = r.at(item.GetToken())
			if v := r.value(key, item, depth+1); v != nil {
				l.Items = append(l.Items, v)
			}
		}
		return l
	case *ast.NullNode:
		return &leaf{Kind: leafNull, At: at}
	case *ast.StringNode:
		return &leaf{Text: n.Value, At: at}
	case *ast.LiteralNode:
		return &leaf{Text: n.Value.Value, At: at}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return &leaf{Text: n.GetToken().Value, At: at}
	}
	r.complain(n.GetToken(), path, "YAML %s is not supported", n.Type())
	return nil
}

// mapping turns the pairs into a map.
func (r *reader) mapping(path string, pairs []*ast.MappingValueNode, depth int) map[string]any {
	m := make(map[string]any, len(pairs))
	for _, pair := range pairs {
		if !r.count(pair.Key) {
			break
		}
		tk := pair.Key.GetToken()
		name, ok := keyText(pair.Key)
		key := join(path, name)
		if !ok {
			r.complain(tk, path, "a key must be a plain word")
			continue
		}
		if strings.Contains(name, ".") {
			r.complain(tk, key, "a key has no dot in it; write %s: {%s: …}", dotted(name)...)
			continue
		}
		if first, twice := r.where[key]; twice {
			r.complain(tk, key, "given twice, first in line %d", first.Line)
			continue
		}
		r.where[key] = r.at(tk)
		if v := r.value(key, pair.Value, depth+1); v != nil {
			m[name] = v
		}
	}
	return m
}

// dotted splits name at its first dot, for a message.
func dotted(name string) []any {
	head, tail, _ := strings.Cut(name, ".")
	return []any{printable(head), printable(tail)}
}

// keyText is the text of a mapping's key.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, k.Value != ""
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, true
	}
	return "", false
}

// count takes one from the number of keys and items, and complains once when there is none left.
func (r *reader) count(n ast.Node) bool {
	if r.items++; r.items == itemsMax+1 {
		r.complain(n.GetToken(), "", "more than %d keys and list items", itemsMax)
	}
	return r.items <= itemsMax
}
