package hub

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseKey(t *testing.T) {
	long := strings.Repeat("x", keyBytesMax-len(DefaultVHost)-len("live/"))
	for _, tc := range []struct {
		path, app, name string // app "": refused
	}{
		{"live/cam", "live", "cam"},
		{"/live/cam", "live", "cam"},
		{"live/a/b/c", "live", "a/b/c"},
		{"live/Kamera Süd 1", "live", "Kamera Süd 1"},
		{"live/摄像头", "live", "摄像头"},
		{"live/a.b", "live", "a.b"},
		{"live/...", "live", "..."},
		{"live/a?b=c", "live", "a?b=c"},
		{"live/" + long, "live", long},
		{"live/" + long + "x", "", ""},
		{"", "", ""},
		{"/", "", ""},
		{"live", "", ""},
		{"/live", "", ""},
		{"live/", "", ""},
		{"//cam", "", ""},
		{"live//cam", "", ""},
		{"live/cam/", "", ""},
		{"live/.", "", ""},
		{"live/../etc", "", ""},
		{"../live/cam", "", ""},
		{"live/a\x00b", "", ""},
		{"live/a\nb", "", ""},
		{"live/a\x7f", "", ""},
		{"live/a\u0085b", "", ""},
		{"live/\xff\xfe", "", ""},
		{strings.Repeat("y", 1<<20), "", ""},
	} {
		k, err := ParseKey(tc.path)
		switch {
		case tc.app == "" && !errors.Is(err, ErrBadName):
			t.Errorf("%.40q: %v, %v, want ErrBadName", tc.path, k, err)
		case tc.app != "" && (err != nil || k != Key{DefaultVHost, tc.app, tc.name}):
			t.Errorf("%.40q: %v, %v", tc.path, k, err)
		case err != nil && len(err.Error()) > 4*keyBytesMax:
			t.Errorf("%.40q: an error of %d bytes", tc.path, len(err.Error()))
		}
	}
}

func TestKeyString(t *testing.T) {
	for _, tc := range []struct {
		k    Key
		want string
	}{
		{Key{DefaultVHost, "live", "a/b"}, "live/a/b"},
		{Key{"", "live", "a"}, "live/a"},
		{Key{"example.com", "live", "a"}, "example.com/live/a"},
	} {
		if got := tc.k.String(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"live/cam", "/live/a/b", "live/../x", "a/\xff", "//", "a/b\x00", "a/ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		k, err := ParseKey(path)
		if err != nil {
			if k != (Key{}) || !errors.Is(err, ErrBadName) {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		s := k.String()
		if len(s) > keyBytesMax || !utf8.ValidString(s) || strings.Contains(k.App, "/") || s != strings.TrimPrefix(path, "/") {
			t.Fatalf("%q becomes %q", path, s)
		}
		for level := range strings.SplitSeq(s, "/") {
			if level == "" || level == "." || level == ".." {
				t.Fatalf("%q has level %q", s, level)
			}
		}
		if again, err := ParseKey(s); err != nil || again != k {
			t.Fatalf("%q becomes %v, %v", s, again, err)
		}
	})
}
