package zlm

import (
	"fmt"
	"strconv"
)

// Kind says what a [Note] is about.
type Kind int

// The kinds.
const (
	Differs  Kind = iota // the key is honoured, but not to the letter
	NoEffect             // the key has no effect here
	Unknown              // ZLMediaKit has no such key
	Doubtful             // what is said may not be what is meant
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case Differs:
		return "honoured differently"
	case NoEffect:
		return "no effect"
	case Unknown:
		return "unknown"
	case Doubtful:
		return "doubtful"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Note is something about a key of ZLMediaKit's that its user should know. It never shows a secret, nor the value of a URL.
type Note struct {
	Key  string // section.key
	Line int    // of the file, from 1; 0: it is not in the file, or there is none
	Text string
	Kind Kind
}

// String gives "line 12: hls.segNum: honoured differently: …", without the line if there is none.
func (n Note) String() string {
	text := printable(n.Key) + ": " + n.Kind.String() + ": " + n.Text
	if n.Line > 0 {
		return fmt.Sprintf("line %d: %s", n.Line, text)
	}
	return text
}

// printable is s as it may stand in a message: short, and without anything that moves a terminal's cursor.
func printable(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
