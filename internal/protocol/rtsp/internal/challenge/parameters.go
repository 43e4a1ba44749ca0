package challenge

import "strings"

// parametersMax is how many parameters of a header are looked at: no scheme has more than a dozen.
const parametersMax = 32

// parseParameters parses `name=value, name="value"`: names in lower case, the first of each counts. Commas may be missing,
// blanks may be anywhere, and a quotation mark that is never closed ends with the text.
func parseParameters(s string) map[string]string {
	all := make(map[string]string)
	for range parametersMax {
		s = strings.TrimLeft(s, " \t,;")
		i := strings.IndexAny(s, "=,")
		if i < 0 {
			break
		}
		name := strings.ToLower(strings.TrimSpace(s[:i]))
		if s[i] == ',' { // a name alone
			s = s[i:]
			continue
		}
		var value string
		value, s = cutValue(strings.TrimLeft(s[i+1:], " \t"))
		if _, ok := all[name]; !ok {
			all[name] = value
		}
	}
	return all
}

// cutValue cuts a value off the front of s.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			return s, ""
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
