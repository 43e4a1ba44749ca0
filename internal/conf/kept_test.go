package conf_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/conf"
)

type keptSection struct {
	Wait  time.Duration                `yaml:"wait"`
	Many  []string                     `yaml:"many"`
	Key   conf.Secret                  `yaml:"key"`
	Size  conf.Size                    `yaml:"size"`
	At    conf.Address                 `yaml:"at"`
	On    bool                         `yaml:"on"`
	Text  string                       `yaml:"text"`
	Share float64                      `yaml:"share"`
	Table map[string]string            `yaml:"table"`
	Deep  map[string]map[string]string `yaml:"deep"`
	Group struct {
		N int `yaml:"n"`
	} `yaml:"group"`
}

func keptKnown() []conf.Known {
	return []conf.Known{{Name: "room", Defaults: &keptSection{Wait: 90 * time.Second, Many: []string{"a", "b c"}, Key: "s", At: ":1935", Size: 64 << 20}}}
}

// TestValues: what Values says is what --set takes.
func TestValues(t *testing.T) {
	c, err := conf.Load(conf.Source{Known: keptKnown(), Set: []string{"room.table.x=1 2", "room.deep.a.b=: c", "room.group.n=-3", "room.text=[x"}})
	if err != nil {
		t.Fatal(err)
	}
	values := c.Values()
	for key, want := range map[string]string{
		"room.wait": "1m30s", "room.many": `[a, "b c"]`, "room.key": "s", "room.size": "64MiB", "room.at": ":1935", "room.on": "false",
		"room.text": "[x", "room.share": "0", "room.table.x": "1 2", "room.deep.a.b": ": c", "room.group.n": "-3",
	} {
		if values[key] != want {
			t.Errorf("%s is %q, want %q", key, values[key], want)
		}
	}
	var set []string
	for key, text := range values {
		set = append(set, key+"="+text)
	}
	again, err := conf.Load(conf.Source{Known: keptKnown(), Set: set})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(again.Values(), values) {
		t.Errorf("set again: %v, was %v", again.Values(), values)
	}
}

// TestKept: what was kept wins over the file, and flags and variables over it.
func TestKept(t *testing.T) {
	base, err := conf.Load(conf.Source{
		File: "vigil.yaml", Data: []byte("room: {text: file, wait: 5s}"), Env: []string{"VIGIL_ROOM_ON=true"}, Set: []string{"room.group.n=1"}, Known: keptKnown(),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := base.With(conf.WriteKept(map[string]string{"room.text": "kept", "room.on": "false", "room.group.n": "2", "room.many": "[z]"}))
	if err != nil {
		t.Fatal(err)
	}
	v := c.Values()
	if v["room.text"] != "kept" || v["room.wait"] != "5s" || v["room.on"] != "true" || v["room.group.n"] != "1" || v["room.many"] != "[z]" {
		t.Errorf("%v", v)
	}
	if c.Fixed("room.text") != "" || c.Fixed("room.on") == "" || c.Fixed("room.group.n") == "" {
		t.Errorf("fixed by %q %q %q", c.Fixed("room.text"), c.Fixed("room.on"), c.Fixed("room.group.n"))
	}
	for _, set := range []map[string]string{{"room.wait": "x"}, {"room.no": "1"}, {"room..wait": "1s"}, {"": "1"}} {
		_, err := base.With(conf.WriteKept(set))
		if _, ok := errors.AsType[conf.Problems](err); !ok {
			t.Errorf("%v: %v", set, err)
		}
	}
	for _, text := range []string{"set: [x]", "set: [[a]]", "set: {a: b}", "[]", "set: 'a=b'"} {
		if set, err := conf.ReadKept([]byte(text)); err == nil && len(set) > 0 {
			t.Errorf("%s: %v", text, set)
		}
	}
}

// TestKeptText: whatever the texts are, they come back.
func TestKeptText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.MapOf(rapid.StringMatching(`[a-z]+([.][a-z]+){0,3}`), rapid.String()).Draw(t, "set")
		text := conf.WriteKept(set)
		got, err := conf.ReadKept(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !maps.Equal(got, set) {
			t.Fatalf("%v, want %v: %v", slices.Sorted(maps.Keys(got)), set, text)
		}
	})
}
