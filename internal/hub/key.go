package hub

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultVHost is the virtual host of every stream while virtual hosts are off.
const DefaultVHost = "__defaultVhost__"

// keyBytesMax bounds a key: virtual host, application and name together.
const keyBytesMax = 512

// Key names a stream.
type Key struct{ VHost, App, Name string }

// ErrBadName is returned for a stream name that breaks the grammar.
var ErrBadName = errors.New("bad stream name")

// ParseKey makes a key of a path: the first level is the application, all that follows is the name, which may have levels
// too. A leading slash is ignored. The grammar: at most 512 bytes of UTF-8; no control characters; no level that is
// empty, "." or "..".
func ParseKey(path string) (Key, error) {
	path = strings.TrimPrefix(path, "/")
	app, name, ok := strings.Cut(path, "/")
	if !ok {
		return Key{}, fmt.Errorf("%w %q: want app/name", ErrBadName, clip(path))
	}
	if len(path)+len(DefaultVHost) > keyBytesMax {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d", ErrBadName, len(path), keyBytesMax-len(DefaultVHost))
	}
	if !utf8.ValidString(path) {
		return Key{}, fmt.Errorf("%w %q: not UTF-8", ErrBadName, clip(path))
	}
	if strings.ContainsFunc(path, func(r rune) bool { return unicode.IsControl(r) }) {
		return Key{}, fmt.Errorf("%w %q: control character", ErrBadName, clip(path))
	}
	for level := range strings.SplitSeq(path, "/") {
		if level == "" || level == "." || level == ".." {
			return Key{}, fmt.Errorf("%w %q: level %q", ErrBadName, clip(path), level)
		}
	}
	return Key{VHost: DefaultVHost, App: app, Name: name}, nil
}

// clip shortens what is shown of a hostile name.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// compare orders keys by virtual host, application and name.
func (k Key) compare(o Key) int {
	return cmp.Or(strings.Compare(k.VHost, o.VHost), strings.Compare(k.App, o.App), strings.Compare(k.Name, o.Name))
}

// String is "app/name", with the virtual host before it unless it is the default.
func (k Key) String() string {
	if k.VHost == DefaultVHost || k.VHost == "" {
		return k.App + "/" + k.Name
	}
	return k.VHost + "/" + k.App + "/" + k.Name
}
