package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/knadh/koanf/v2"
)

// Source says where the configuration is read from. Set wins over Env, Env over Kept, that over the file, the file over
// Known's defaults.
type Source struct {
	File string   // path; "" for no file
	Data []byte   // when not nil: the file's text, and File is only its name in messages
	Kept []byte   // what was changed while the server ran, as WriteKept writes it
	Env  []string // as os.Environ gives it; only VIGIL_… is looked at
	Set  []string // key=value, from --set; of the same key the last wins

	// Known lists what may stand at the top level. Without it (in a room's test) any section may, Check has
	// nothing to do, and no variable can be told.
	Known []Known
}

// Config is a configuration that was read and merged.
type Config struct {
	source Source // its file is read
	known  schema
	keys   []string // full dotted keys, for hints
	tree   map[string]any
	where  map[string]Position
}

// Load reads all layers and checks each, every key and value of it, against Known; then it merges them and checks
// the outcome, Validate methods included. The error is [Problems], with all that was found. A Config that Load gave
// without error decodes without error onto the defaults that Known named.
func Load(src Source) (*Config, error) {
	c := &Config{known: src.Known, where: map[string]Position{}}
	c.keys = c.known.keys()
	layers, problems := src.layers(c.keys)
	c.source = src
	k := koanf.New(".")
	for _, l := range layers {
		problems = append(problems, c.fits(l)...)
		if err := k.Load(l, nil); err != nil {
			return nil, fmt.Errorf("conf: merge: %w", err)
		}
		c.place(l)
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	c.tree = k.Raw()
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// With returns the configuration that there would be with another Kept, all else being as it was when c was loaded. The error is [Problems].
func (c *Config) With(kept []byte) (*Config, error) {
	src := c.source
	src.Kept = kept
	return Load(src)
}

// Section gives what stands under name; it may be absent, which is no error.
func (c *Config) Section(name string) Section {
	s := Section{name: name, value: c.tree[name], where: c.where}
	if len(c.known) > 0 {
		s.known = c.keys
	}
	return s
}

// Check decodes every known section onto a copy of its defaults, and runs their Validate methods. The error is
// [Problems]. Load has done so already.
func (c *Config) Check() error {
	var problems Problems
	for _, k := range c.known {
		err := c.Section(k.Name).Decode(k.value().Addr().Interface())
		if ps, ok := errors.AsType[Problems](err); ok {
			problems = append(problems, ps...)
		} else if err != nil {
			problems = append(problems, Problem{Key: k.Name, Message: err.Error()})
		}
	}
	return problems.err()
}

// place notes where the keys of a layer stand. A variable or flag that sets a key of a section that is in the file
// leaves the section where it is.
func (c *Config) place(l layer) {
	for key, at := range l.where {
		if _, there := c.where[key]; !there || l.key == "" || l.key == key {
			c.where[key] = at
		}
	}
}

// fits checks one layer's keys and types.
func (c *Config) fits(l layer) Problems {
	if len(c.known) == 0 {
		return nil
	}
	d := &decoder{where: l.where, known: c.keys}
	for name, value := range l.tree {
		known, ok := c.known.find(name)
		if !ok {
			d.unknown(name, c.known.names())
			continue
		}
		d.value(name, value, known.value())
	}
	return d.problems
}

// Read implements koanf.Provider: a layer is a tree already.
func (l layer) Read() (map[string]any, error) { return l.tree, nil }

// ReadBytes implements koanf.Provider.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// readFile gives at most one byte more than a configuration may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, fileBytesMax+1))
}

// unreadable says why the file cannot be read, without naming it twice.
func unreadable(path string, err error) Problem {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return Problem{At: Position{Source: path}, Message: "cannot be read: " + err.Error()}
}
