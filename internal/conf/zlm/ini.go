package zlm

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/conf"
)

// Limits of a file.
const (
	fileBytesMax = 128 << 10 // ZLMediaKit's sample file has 20 KiB, and quoting may make eight bytes of one
	lineBytesMax = 16 << 10
	keysMax      = 1024
	problemsMax  = 100
)

// entry is a key with its value, as it stands in a file.
type entry struct {
	key  string // section.key
	text string
	line int // from 1; 0: it stands in no file

	times int // that it stands there
}

// reader takes a file apart by the rules of ZLMediaKit's own reader: a line is trimmed; one that begins with ; or # is a comment; [section];
// or key=value, where all that follows the first = is the value. There are neither quotes nor continued lines.
type reader struct {
	source   string
	section  string
	entries  []entry
	seen     map[string]int // where in entries
	notes    []Note
	problems conf.Problems
}

// readINI gives the keys in their order, each once: of a key that is given again the last holds.
func readINI(source string, data []byte) ([]entry, []Note, conf.Problems) {
	r := &reader{source: source, seen: map[string]int{}}
	if len(data) > fileBytesMax {
		r.complain(0, "larger than "+conf.Size(fileBytesMax).String())
		return nil, nil, r.problems
	}
	n := 0
	for line := range bytes.SplitSeq(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), []byte("\n")) {
		n++
		r.line(n, strings.Trim(string(line), " \t\r"))
		if len(r.problems) >= problemsMax {
			r.complain(n, "too many errors")
			break
		}
	}
	r.review()
	return r.entries, r.notes, r.problems
}

// review looks at what holds, when all is read: so there are few notes, however often a key is given.
func (r *reader) review() {
	for i := range r.entries {
		e := &r.entries[i]
		if e.times > 1 {
			r.note(*e, Doubtful, fmt.Sprintf("is given %d times: the last holds", e.times))
		}
		if !utf8.ValidString(e.text) {
			r.note(*e, Doubtful, "is not UTF-8: what cannot be read is replaced")
			e.text = strings.ToValidUTF8(e.text, "\uFFFD")
		}
	}
}

func (r *reader) complain(line int, message string) {
	r.problems = append(r.problems, conf.Problem{At: position(r.source, line), Message: message})
}

// position is a line of a file; without one, the file, or nowhere.
func position(source string, line int) conf.Position {
	if line == 0 {
		return conf.Position{Source: source}
	}
	return conf.Position{Source: source, Line: line, Column: 1}
}

func (r *reader) line(n int, line string) {
	key, text, isPair := strings.Cut(line, "=")
	switch {
	case line == "" || line[0] == ';' || line[0] == '#': // in whatever charset
	case len(line) > lineBytesMax:
		r.complain(n, "longer than "+conf.Size(lineBytesMax).String())
	case !sound(strings.ToValidUTF8(line, "")):
		r.complain(n, "has a character of control: this is not a text file")
	case line[0] == '[' && line[len(line)-1] == ']' && len(line) > 2:
		r.section = strings.Trim(line[1:len(line)-1], " \t")
	case line[0] == '[':
		r.complain(n, "want a section [name] that ends the line")
	case !isPair || strings.Trim(key, " \t") == "":
		r.complain(n, "is neither [section], nor key=value, nor a comment that begins with ; or #")
	default:
		r.pair(entry{key: r.section + "." + strings.Trim(key, " \t"), text: strings.Trim(text, " \t"), line: n, times: 1})
	}
}

func (r *reader) pair(e entry) {
	if !isName(e.key) {
		r.note(e, Unknown, "cannot be kept: names have letters, digits, - and _, and stand in a section")
		return
	}
	if at, twice := r.seen[e.key]; twice {
		e.times = r.entries[at].times + 1
		r.entries[at] = e
		return
	}
	if len(r.entries) == keysMax {
		r.complain(e.line, "more keys than anybody has")
		return
	}
	r.seen[e.key] = len(r.entries)
	r.entries = append(r.entries, e)
}

func (r *reader) note(e entry, k Kind, text string) {
	r.notes = append(r.notes, Note{Key: strings.ToValidUTF8(e.key, "\uFFFD"), Line: e.line, Text: text, Kind: k})
}

// isName says whether a key is section.key, of words that our configuration can keep.
func isName(key string) bool {
	const longest = 128
	section, name, ok := strings.Cut(key, ".")
	return ok && len(key) <= longest && isWord(section) && isWord(name)
}

func isWord(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}
