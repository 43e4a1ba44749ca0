package files

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// nameMost bounds the name that a file is saved under, in bytes.
const nameMost = 200

// saveName is a name as a browser may save a file under: no path, nothing that cannot be seen.
func saveName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == ':':
			return '_'
		case unicode.IsControl(r) || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	for len(name) > nameMost {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return strings.Trim(name, ". ")
}
