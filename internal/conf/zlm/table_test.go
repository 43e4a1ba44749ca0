package zlm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/conf/zlm"
)

// flat gives the settings of a YAML file as conf writes them: each in a line of its own, by its dotted key, in the order of the file.
func flat(yaml string) (keys []string, settings map[string]string) {
	settings = map[string]string{}
	var path []string
	for line := range strings.Lines(yaml) {
		text := strings.TrimLeft(line, " ")
		depth := (len(line) - len(text)) / 2
		name, value, ok := strings.Cut(strings.TrimSpace(text), ":")
		if !ok || strings.HasPrefix(text, "#") {
			continue
		}
		path = append(path[:depth], name)
		if value = strings.TrimSpace(value); value != "" {
			key := strings.Join(path, ".")
			keys, settings[key] = append(keys, key), value
		}
	}
	return keys, settings
}

// defaults are our settings when nothing is configured.
func defaults() map[string]string {
	_, settings := flat(conf.Reference(known()))
	return settings
}

// TestTable holds the table against the list of all keys, which was written from the reference and not from the table.
func TestTable(t *testing.T) {
	want := strings.Fields(read(t, "keys.txt"))
	ours := defaults()
	var got []string
	for _, k := range zlm.Keys() {
		got = append(got, k.Name)
		if (len(k.Ours) == 0) == (k.Why == "") {
			t.Errorf("%s: either it maps to a key of ours, or a sentence says why not", k.Name)
		}
		if strings.HasSuffix(k.Why, ".") || strings.Contains(k.Why, "\n") {
			t.Errorf("%s: want a sentence without its end: %q", k.Name, k.Why)
		}
		for _, key := range k.Ours {
			if _, known := ours[key]; !known {
				t.Errorf("%s: there is no key %s", k.Name, key)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s is missing", name)
			}
		}
		for i, name := range got {
			if !slices.Contains(want, name) || i > 0 && got[i-1] == name {
				t.Errorf("%s is too much", name)
			}
		}
	}
}

// TestDefaults checks that each default means something: no default of a file, compiled or sample, is refused or clamped.
func TestDefaults(t *testing.T) {
	for _, k := range zlm.Keys() {
		for _, text := range []string{k.Default, k.Sample} {
			_, _, notes, err := zlm.Changes(map[string]string{k.Name: text}, nil)
			if err != nil {
				t.Errorf("%s = %q: %v", k.Name, text, err)
			}
			for _, n := range notes {
				if text != "" && n.Kind == zlm.Differs && k.Name != "api.secret" {
					t.Errorf("%s = %q: %v", k.Name, text, n)
				}
			}
		}
	}
}

// TestOrder checks that a converted file has the order of our reference, and every setting that a key maps to.
func TestOrder(t *testing.T) {
	yaml, _, err := zlm.Convert("x.ini", []byte(strings.Replace(read(t, "sample.ini"), "secret=035c73f7", "secret=x", 1)))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := flat(string(yaml))
	got = slices.DeleteFunc(got, func(key string) bool { return strings.HasPrefix(key, "zlm.") })
	all, _ := flat(conf.Reference(known()))
	mapped := map[string]bool{}
	for _, k := range zlm.Keys() {
		for _, key := range k.Ours {
			mapped[key] = key != "http.tls.listen" // of which there is no certificate
		}
	}
	want := slices.DeleteFunc(all, func(key string) bool { return !mapped[key] })
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestNotes(t *testing.T) {
	for _, tc := range []struct {
		note zlm.Note
		want string
	}{
		{zlm.Note{Key: "hls.segNum", Line: 7, Text: "why", Kind: zlm.Differs}, "line 7: hls.segNum: honoured differently: why"},
		{zlm.Note{Key: "a\x1b[2J", Text: "why", Kind: zlm.Unknown}, `a\x1b[2J: unknown: why`},
		{zlm.Note{Key: "a.b", Text: "why", Kind: zlm.NoEffect}, "a.b: no effect: why"},
		{zlm.Note{Key: "a.b", Text: "why", Kind: zlm.Doubtful}, "a.b: doubtful: why"},
	} {
		if got := tc.note.String(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
