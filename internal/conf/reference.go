package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reference renders every known key with its default and its documentation (the struct tag `doc:"…"`) as a YAML file
// that Load accepts and that changes nothing. docs/configuration.md is made from it.
func Reference(known []Known) string {
	var b strings.Builder
	for i, k := range known {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeSetting(&b, k.Name, k.Doc, k.value(), "")
	}
	return b.String()
}

// writeSetting writes a key, its documentation above it, and its value or, one level deeper, its own settings.
func writeSetting(b *strings.Builder, name, doc string, v reflect.Value, indent string) {
	for line := range strings.Lines(doc) {
		fmt.Fprintf(b, "%s# %s\n", indent, strings.TrimSpace(line))
	}
	switch {
	case isGroup(v.Type()):
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		for _, f := range fields(v.Type()) {
			writeSetting(b, f.name, f.doc, v.Field(f.index), indent+"  ")
		}
	case v.Kind() == reflect.Map && v.Len() > 0:
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			fmt.Fprintf(b, "%s  %s: %s\n", indent, quoted(key.String()), written(v.MapIndex(key)))
		}
	default:
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, written(v))
	}
}

// written is the value as it is written in a file. A default that is a secret is never shown.
func written(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return duration(x)
	case Secret:
		return `""`
	case Masker:
		return quoted(x.Mask())
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			return quoted(string(text))
		}
	}
	switch v.Kind() { //nolint:exhaustive // the others print as they are
	case reflect.String:
		return quoted(v.String())
	case reflect.Struct:
		var items []string
		for _, f := range fields(v.Type()) {
			items = append(items, f.name+": "+written(v.Field(f.index)))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case reflect.Map:
		return "{}"
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = written(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// duration writes d without the zero units that time.Duration's String ends in: 1m, not 1m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quoted is s as a YAML scalar, in quotes unless it is plain beyond doubt, also within a list.
func quoted(s string) string {
	plain := s != "" && s[0] != '-' && !strings.HasSuffix(s, ":")
	for _, r := range s {
		plain = plain && (!notInHost(r) || strings.ContainsRune("/:+%", r))
	}
	switch s {
	case "null", "true", "false", "yes", "no", "on", "off":
		plain = false
	}
	if plain && s[0] != '%' {
		return s
	}
	return strconv.Quote(s)
}
