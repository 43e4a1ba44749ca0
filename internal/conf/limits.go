package conf

import "github.com/goccy/go-yaml/token"

// within checks the tokens, before anything recurses over them: no reference of any kind, not too many, not too deep.
// It is linear in the number of tokens. The depth is an upper bound from brackets and columns.
func (r *reader) within(tokens token.Tokens) bool {
	meaning := 0 // tokens that are no comments
	for _, tk := range tokens {
		if tk.Type != token.CommentType {
			meaning++
		}
	}
	if meaning > tokensMax {
		r.complain(nil, "", "more than %d YAML tokens", tokensMax)
		return false
	}
	var columns []int // of the open block keys and list dashes
	var flow int      // open brackets
	before := len(r.problems)
	for i, tk := range tokens {
		if what := refused(tk); what != "" {
			r.complain(tk, "", "%s", what)
			return false
		}
		switch tk.Type { //nolint:exhaustive // the others open nothing
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if flow > 0 {
				break
			}
			column := tk.Position.Column
			if tk.Type == token.MappingValueType && i > 0 {
				column = tokens[i-1].Position.Column
			}
			for len(columns) > 0 && columns[len(columns)-1] >= column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, column)
		}
		if flow+len(columns) > depthMax {
			r.complain(tk, "", "nested deeper than %d levels", depthMax)
			return false
		}
	}
	return len(r.problems) == before
}

// refused names what a configuration has no use for and an attacker has.
func refused(tk *token.Token) string {
	switch tk.Type { //nolint:exhaustive // the others are welcome
	case token.AnchorType:
		return "YAML anchors (&name) are not supported"
	case token.AliasType:
		return "YAML aliases (*name) are not supported; put a text that begins with * in quotes"
	case token.MergeKeyType:
		return "YAML merge keys (<<) are not supported"
	case token.TagType:
		return "YAML tags (!name) are not supported; put a text that begins with ! in quotes"
	case token.DirectiveType:
		return "YAML directives (%name) are not supported"
	case token.MappingKeyType:
		return "YAML complex keys (?) are not supported"
	}
	return ""
}
