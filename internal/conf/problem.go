package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Position says where a setting was written. The zero value means nowhere: the setting is a default.
type Position struct {
	Source string // the file's name, "environment VIGIL_…" or "--set key=…"
	Line   int    // from 1; 0 where lines make no sense
	Column int    // from 1; 0 where lines make no sense
}

// String gives "vigil.yaml:7:3", "environment VIGIL_RTMP_LISTEN", "--set rtmp.listen=…" or "".
func (p Position) String() string {
	if p.Line == 0 {
		return p.Source
	}
	return fmt.Sprintf("%s:%d:%d", p.Source, p.Line, p.Column)
}

// rank orders the layers.
func (p Position) rank() int {
	switch {
	case strings.HasPrefix(p.Source, fromEnv):
		return 1
	case strings.HasPrefix(p.Source, fromSet):
		return 2
	}
	return 0
}

// What the sources that are no files begin with.
const (
	fromEnv = "environment "
	fromSet = "--set "
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	At      Position
	Key     string // full dotted key, "" when the problem is not one key's
	Message string
}

// Error gives "vigil.yaml:7:3: rtmp.lisen: unknown key (did you mean rtmp.listen?)".
func (p Problem) Error() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{p.At.String(), printable(p.Key), p.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is everything that is wrong: the file's in the order of its lines, then the environment's, then --set's.
type Problems []Problem

// Error gives one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each Problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// err is ps, sorted and without repeats, or nil when there is nothing to complain of.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.At.rank(), b.At.rank()),
			cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return slices.Compact(ps)
}

// KeyError is an error that a Validate method returns to say which of its keys is wrong.
type KeyError struct {
	Key string // dotted, relative to the section: "tls.cert"
	Err error
}

// KeyErrorf makes a *KeyError for use in Validate methods; several go together with errors.Join.
func KeyErrorf(key, format string, args ...any) error {
	return &KeyError{Key: key, Err: fmt.Errorf(format, args...)}
}

// Error implements error.
func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap gives the error without its key.
func (e *KeyError) Unwrap() error { return e.Err }

// invalid turns what Validate returned into problems that say where the settings stand.
func invalid(section string, where map[string]Position, err error) Problems {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // one layer is taken off, no more
		var ps Problems
		for _, e := range joined.Unwrap() {
			ps = append(ps, invalid(section, where, e)...)
		}
		return ps
	}
	key, msg := section, err.Error()
	if ke, ok := errors.AsType[*KeyError](err); ok {
		key, msg = join(section, ke.Key), ke.Err.Error()
	}
	at := where[key]
	for p := key; at == (Position{}) && p != ""; p = parent(p) {
		at = where[p]
	}
	return Problems{{At: at, Key: key, Message: msg}}
}

// join puts a dot between two keys.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent is path without its last key.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

// printable is s as it may stand in a message: short, and without anything that moves a terminal's cursor.
func printable(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	quoted := fmt.Sprintf("%q", s)
	return quoted[1 : len(quoted)-1]
}
