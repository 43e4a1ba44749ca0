package conf

import (
	"encoding"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// hintsMax bounds the search for near keys in a file that is not a configuration at all.
const hintsMax = 100

// wantedGroup is what a struct or a map wants.
const wantedGroup = "a mapping of settings"

// decoder writes a tree of leaves onto a Go value and collects what does not fit.
type decoder struct {
	where    map[string]Position
	known    []string // full dotted keys, for hints
	problems Problems
}

func (d *decoder) complain(at Position, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{At: at, Key: path, Message: fmt.Sprintf(format, args...)})
}

// mismatch complains that src is not what dst wants.
func (d *decoder) mismatch(path string, src any, wanted string) {
	at, found := d.where[path], "a mapping"
	if l, ok := src.(*leaf); ok {
		at = l.At
		switch l.Kind {
		case leafNull:
			found = "nothing"
		case leafList:
			found = "a list"
		case leafText, leafRaw:
			found = `"` + printable(l.Text) + `"`
			if wanted == wantedGroup { // what stands in the place of a group may be a secret of it
				found = "a single value"
			}
		}
	}
	d.complain(at, path, "found %s, wanted %s", found, wanted)
}

// value decodes src, a map[string]any or a *leaf, onto dst.
func (d *decoder) value(path string, src any, dst reflect.Value) {
	t := dst.Type()
	switch {
	case isText(t), isDuration(t):
		d.scalar(path, src, dst)
	case t.Kind() == reflect.Struct:
		d.group(path, src, dst)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		d.table(path, src, dst)
	case t.Kind() == reflect.Slice:
		d.list(path, src, dst)
	default:
		d.scalar(path, src, dst)
	}
}

// entries gives src as a mapping; an empty value (rtmp: and nothing more) is an empty one.
func (d *decoder) entries(path string, src any) map[string]any {
	switch s := src.(type) {
	case map[string]any:
		return s
	case *leaf:
		if s.Kind == leafNull {
			return nil
		}
	}
	d.mismatch(path, src, wantedGroup)
	return nil
}

func (d *decoder) group(path string, src any, dst reflect.Value) {
	entries, fs := d.entries(path, src), fields(dst.Type())
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		i := slices.IndexFunc(fs, func(f field) bool { return f.name == name })
		if i < 0 {
			d.unknown(join(path, name), names(fs))
			continue
		}
		d.value(join(path, name), entries[name], dst.Field(fs[i].index))
	}
}

// unknown complains of a key that nobody reads.
func (d *decoder) unknown(path string, level []string) {
	hint := ""
	if len(d.problems) < hintsMax {
		hint = didYouMean(path, d.known, level)
	}
	d.complain(d.where[path], path, "unknown key%s", hint)
}

// table decodes onto a map: its present entries stay, those of src are added or replaced.
func (d *decoder) table(path string, src any, dst reflect.Value) {
	entries := d.entries(path, src)
	if len(entries) == 0 {
		return
	}
	m := reflect.MakeMap(dst.Type())
	for it := dst.MapRange(); it.Next(); {
		m.SetMapIndex(it.Key(), it.Value())
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		v := reflect.New(dst.Type().Elem()).Elem()
		d.value(join(path, name), entries[name], v)
		m.SetMapIndex(reflect.ValueOf(name).Convert(dst.Type().Key()), v)
	}
	dst.Set(m)
}

// list decodes onto a slice, whose present items go.
func (d *decoder) list(path string, src any, dst reflect.Value) {
	l, ok := src.(*leaf)
	items := l.items()
	if ok && l.Kind == leafRaw {
		items, ok = parseList(l.Text)
	} else if ok {
		ok = l.Kind == leafList
	}
	if !ok {
		d.mismatch(path, src, "a list such as [a, b]")
		return
	}
	s := reflect.MakeSlice(dst.Type(), len(items), len(items))
	for i, item := range items {
		if r, isLeaf := item.(*leaf); isLeaf && l.Kind == leafRaw {
			r.At = l.At // it was read out of a text of its own, where it has no line
		}
		d.value(fmt.Sprintf("%s[%d]", path, i), item, s.Index(i))
	}
	dst.Set(s)
}

// scalar decodes one text.
func (d *decoder) scalar(path string, src any, dst reflect.Value) {
	l, ok := src.(*leaf)
	if !ok || l.Kind == leafNull || l.Kind == leafList {
		d.mismatch(path, src, wanted(dst.Type()))
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](dst.Addr()); ok {
		if err := u.UnmarshalText([]byte(l.Text)); err != nil {
			d.complain(l.At, path, "%s", err)
		}
		return
	}
	if !setScalar(dst, l.Text) {
		d.mismatch(path, src, wanted(dst.Type()))
	}
}

// setScalar parses text as dst's kind wants it; false means that it is none.
func setScalar(dst reflect.Value, text string) bool {
	t := dst.Type()
	switch t.Kind() { //nolint:exhaustive // the others are no settings
	case reflect.String:
		dst.SetString(text)
		return true
	case reflect.Bool:
		dst.SetBool(text == "true")
		return text == "true" || text == "false"
	case reflect.Int64, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		if isDuration(t) {
			v, err := time.ParseDuration(text)
			dst.SetInt(int64(v))
			return err == nil && v >= 0
		}
		v, err := strconv.ParseInt(text, 10, t.Bits())
		dst.SetInt(v)
		return err == nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v, err := strconv.ParseUint(text, 10, t.Bits())
		dst.SetUint(v)
		return err == nil
	case reflect.Float32, reflect.Float64:
		v, err := strconv.ParseFloat(text, t.Bits())
		dst.SetFloat(v)
		return err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return false
}

// wanted says what a value of type t looks like.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Size]():
		return "a size such as 64MiB"
	case t == reflect.TypeFor[Address]():
		return `an address such as :1935, or "" for off`
	case isDuration(t):
		return "a duration such as 15s or 1m30s"
	case isText(t):
		return "one value"
	}
	switch t.Kind() { //nolint:exhaustive // the others are no settings
	case reflect.String:
		return `a text ("" for none)`
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		most := int64(1)<<(t.Bits()-1) - 1
		return fmt.Sprintf("a whole number from %d to %d", -most-1, most)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint64:
		return "a whole number, 0 or more"
	}
	return "a setting of a type that conf can read, which " + t.String() + " is not"
}
