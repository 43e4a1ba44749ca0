package conf

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// Known is one entry of the configuration's top level, as the composition root knows it.
type Known struct {
	Name     string // the key: "rtmp"
	Doc      string // what it is about, for the reference
	Defaults any    // the room's defaults: a struct with `yaml` tags, a pointer to one, or a single value such as "data"
}

// value is the defaults as an addressable copy, so that nothing that is decoded onto it is seen elsewhere.
func (k Known) value() reflect.Value {
	v := reflect.ValueOf(k.Defaults)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() {
		return reflect.New(reflect.TypeFor[struct{}]()).Elem()
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// field is a setting of a struct: an exported field with a `yaml:"key"` tag. Fields without are not settings.
type field struct {
	name  string
	doc   string
	index int
}

// fields lists the settings of a struct type in the order of the source.
func fields(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.IsExported() && name != "" && name != "-" {
			fs = append(fs, field{name: name, doc: f.Tag.Get("doc"), index: i})
		}
	}
	return fs
}

// names lists the keys of fields.
func names(fs []field) []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// isText reports whether values of type t are written as one text that the type itself reads.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

// isGroup reports whether t is a struct that holds further settings.
func isGroup(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// keysOf lists the full dotted keys beneath path; a map, whose keys are the user's, gives "path.*".
func keysOf(path string, t reflect.Type) []string {
	if t.Kind() == reflect.Map {
		return []string{path + ".*"}
	}
	if !isGroup(t) {
		return []string{path}
	}
	var keys []string
	for _, f := range fields(t) {
		keys = append(keys, keysOf(join(path, f.name), t.Field(f.index).Type)...)
	}
	return keys
}

// schema is the list of what is known.
type schema []Known

func (s schema) find(name string) (Known, bool) {
	for _, k := range s {
		if k.Name == name {
			return k, true
		}
	}
	return Known{}, false
}

// keys lists every full dotted key.
func (s schema) keys() []string {
	var keys []string
	for _, k := range s {
		keys = append(keys, keysOf(k.Name, k.value().Type())...)
	}
	return keys
}

// names lists the keys of the top level.
func (s schema) names() []string {
	names := make([]string, len(s))
	for i, k := range s {
		names[i] = k.Name
	}
	return names
}
