package conf

import (
	"fmt"
	"reflect"
)

// Section is what the configuration says under one name of its top level. The zero Section is one that nobody
// wrote: decoding it keeps the defaults. A Section never changes.
type Section struct {
	name  string
	value any // map[string]any, *leaf or nil
	where map[string]Position
	known []string
}

// Name is the section's name.
func (s Section) Name() string { return s.name }

// Has reports whether the key, dotted and relative to the section ("tls.listen"), was set in any layer, so that it
// is not a default. The empty key asks for the section itself.
func (s Section) Has(key string) bool {
	if s.value == nil {
		return false
	}
	_, ok := s.where[s.path(key)]
	return ok
}

// Where says where the key, dotted and relative to the section, was set; the zero Position means that it was not.
func (s Section) Where(key string) Position {
	if !s.Has(key) {
		return Position{}
	}
	return s.where[s.path(key)]
}

func (s Section) path(key string) string {
	if key == "" {
		return s.name
	}
	return join(s.name, key)
}

// Decode writes the section onto dst, a non-nil pointer that holds the defaults: usually to a struct whose fields
// have `yaml:"key"` tags, else to a single value (for a top-level key such as data). A field without a tag is no
// setting. Supported are text, bool, whole numbers and floats of any width, time.Duration ("15s", never negative),
// [Size], [Secret], [Address], every encoding.TextUnmarshaler, slices and maps with text keys of those, and structs
// within structs. A slice that is set replaces the default; a map that is set is added to it.
//
// When dst has a method Validate() error and everything fitted, Decode calls it (it does not call those of nested
// structs). The errors it returns, several by errors.Join, gain the place; a [KeyError] that of its key.
//
// The error is [Problems]. On error dst is as it was.
func (s Section) Decode(dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("conf: section %s: Decode wants a pointer, got %T", s.name, dst)
	}
	tmp := reflect.New(v.Type().Elem())
	tmp.Elem().Set(v.Elem())
	d := &decoder{where: s.where, known: s.known}
	if d.known == nil {
		d.known = keysOf(s.name, v.Type().Elem())
	}
	if s.value != nil {
		d.value(s.name, s.value, tmp.Elem())
	}
	if len(d.problems) == 0 {
		if c, ok := reflect.TypeAssert[interface{ Validate() error }](tmp); ok {
			if err := c.Validate(); err != nil {
				d.problems = invalid(s.name, s.where, err)
			}
		}
	}
	if err := d.problems.err(); err != nil {
		return err
	}
	v.Elem().Set(tmp.Elem())
	return nil
}

// Equal reports whether both sections say the same, wherever they say it. A reload rebuilds the rooms whose section
// is not equal to the former one.
func (s Section) Equal(other Section) bool { return equal(s.value, other.value) }

func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case *leaf:
		b, ok := b.(*leaf)
		if !ok || a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !equal(a.Items[i], b.Items[i]) {
				return false
			}
		}
		return true
	}
	return a == nil && b == nil
}
