package conf

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Values returns every setting as it holds, by its dotted key, as --set takes it. Secrets are shown: mind who sees them.
func (c *Config) Values() map[string]string { return c.values(raw) }

// Masked is Values with *** in place of every secret.
func (c *Config) Masked() map[string]string {
	return c.values(func(v reflect.Value) string {
		switch x := v.Interface().(type) {
		case Secret:
			return x.String()
		case Masker:
			return x.Mask()
		}
		return raw(v)
	})
}

func (c *Config) values(text func(reflect.Value) string) map[string]string {
	out := map[string]string{}
	for _, k := range c.known {
		v := k.value()
		if err := c.Section(k.Name).Decode(v.Addr().Interface()); err != nil {
			continue // Load has refused it
		}
		flatten(out, k.Name, v, text)
	}
	return out
}

// flatten notes the settings beneath path, as text gives them.
func flatten(out map[string]string, path string, v reflect.Value, text func(reflect.Value) string) {
	switch {
	case isGroup(v.Type()):
		for _, f := range fields(v.Type()) {
			flatten(out, join(path, f.name), v.Field(f.index), text)
		}
	case v.Kind() == reflect.Map:
		for it := v.MapRange(); it.Next(); {
			flatten(out, join(path, it.Key().String()), it.Value(), text)
		}
	default:
		out[path] = text(v)
	}
}

// raw is a value as it is written in an environment variable.
func raw(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return duration(x)
	case Secret:
		return x.Reveal()
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() { //nolint:exhaustive // the others print as they are
	case reflect.String:
		return v.String()
	case reflect.Slice:
		return written(v)
	}
	return fmt.Sprint(v.Interface())
}

// Fixed says by what a key is set that wins over [Source].Kept: an environment variable or a flag; "": by none.
func (c *Config) Fixed(key string) string {
	at := c.where[key].Source
	if strings.HasPrefix(at, fromEnv) || strings.HasPrefix(at, fromSet) {
		return at
	}
	return ""
}

// File is the configuration file's name; "": there is none.
func (c *Config) File() string { return c.source.File }

// keptName is what messages call what was changed while the server ran.
const keptName = "overrides.yaml"

// kept reads what was changed while the server ran: under the key set, a list of texts as --set takes them.
func (s *Source) kept() (all []layer, problems Problems) {
	set, problems := readKept(s.Kept)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if path := strings.Split(key, "."); slices.Contains(path, "") || len(path) > depthMax {
			problems = append(problems, Problem{At: set[key].At, Message: "wanted key=value"})
			continue
		}
		all = append(all, single(key, set[key].Text, set[key].At))
	}
	return all, problems
}

// readKept returns the values by their dotted keys.
func readKept(text []byte) (map[string]*leaf, Problems) {
	l, problems := parseYAML(keptName, text)
	list, _ := l.tree["set"].(*leaf)
	set := map[string]*leaf{}
	for _, item := range list.items() {
		one, ok := item.(*leaf)
		if !ok {
			problems = append(problems, Problem{At: list.At, Message: "wanted a list of key=value"})
			break
		}
		key, value, ok := strings.Cut(one.Text, "=")
		if !ok {
			problems = append(problems, Problem{At: one.At, Message: "wanted key=value"})
			continue
		}
		set[key] = &leaf{Kind: leafText, Text: value, At: one.At}
	}
	return set, problems
}

// WriteKept is the text of [Source].Kept for some settings.
func WriteKept(set map[string]string) []byte {
	var b strings.Builder
	b.WriteString("# What was changed while the server ran. It wins over the configuration file; environment and command line win over it.\nset:\n")
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "  - %q\n", key+"="+set[key])
	}
	return []byte(b.String())
}

// ReadKept reads what WriteKept wrote. The error is [Problems].
func ReadKept(text []byte) (map[string]string, error) {
	leaves, problems := readKept(text)
	set := map[string]string{}
	for key, value := range leaves {
		set[key] = value.Text
	}
	return set, problems.err()
}
