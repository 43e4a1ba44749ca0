package zlm_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/conf/zlm"
	"github.com/vigil-media/vigil/internal/server"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, name); got != want {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// known is the configuration of the server, with the section that keeps what has no effect.
func known() []conf.Known {
	for _, k := range server.Known() {
		if k.Name == "zlm" {
			return server.Known()
		}
	}
	return append(server.Known(), conf.Known{Name: "zlm", Doc: "Kept.", Defaults: map[string]map[string]string{}})
}

// loads checks that the server takes a configuration, and gives what is kept by it.
func loads(t testing.TB, yaml []byte) (*conf.Config, map[string]map[string]string) {
	t.Helper()
	c, err := conf.Load(conf.Source{Data: yaml, Known: known()})
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	kept := map[string]map[string]string{}
	if err := c.Section("zlm").Decode(&kept); err != nil {
		t.Fatal(err)
	}
	return c, kept
}

// noted is a conversion as a golden file shows it.
func noted(yaml []byte, notes []zlm.Note) string {
	var b strings.Builder
	b.Write(yaml)
	b.WriteString("\n# notes\n")
	for _, n := range notes {
		b.WriteString("# " + n.String() + "\n")
	}
	return b.String()
}

func TestConvert(t *testing.T) {
	for _, name := range []string{"sample", "wvp", "odd", "empty"} {
		t.Run(name, func(t *testing.T) {
			ini := read(t, name+".ini")
			yaml, notes, err := zlm.Convert("config.ini", []byte(ini))
			if err != nil {
				t.Fatal(err)
			}
			loads(t, yaml)
			golden(t, name+".yaml", noted(yaml, notes))

			windows := "\xef\xbb\xbf" + strings.ReplaceAll(ini, "\n", "\r\n")
			again, notes, err := zlm.Convert("config.ini", []byte(windows))
			if err != nil {
				t.Fatal(err)
			}
			if noted(again, notes) != noted(yaml, notes) {
				t.Error("CRLF and a byte order mark make a difference")
			}
		})
	}
}

func TestConvertErrors(t *testing.T) {
	for name, tc := range map[string]struct{ ini, want string }{
		"no pair":          {"[http]\n\nport\n", "x.ini:3:1: is neither"},
		"no key":           {"[http]\n = 5\n", "x.ini:2:1: is neither"},
		"open section":     {"[http\nport=1\n", "x.ini:1:1: want a section"},
		"section and more": {"[http] ; web\n", "x.ini:1:1: want a section"},
		"empty section":    {"[]\n", "x.ini:1:1: want a section"},
		"not text":         {"[http]\nrootPath=\x00\n", "x.ini:2:1: has a character of control"},
		"UTF-16":           {"\xff\xfe[\x00h\x00]\x00", "x.ini:1:1: has a character of control"},
		"long line":        {"; " + strings.Repeat("x", 20000) + "\n[a]\nb=" + strings.Repeat("x", 20000), "x.ini:3:1: longer than 16KiB"},
		"large":            {strings.Repeat("; comment\n", 20000), "x.ini: larger than 128KiB"},
		"many keys":        {"[a]\n" + strings.Repeat("k=1\n", 5) + manyKeys(1100), "x.ini:1030:1: more keys"},
		"port":             {"[http]\nport=eighty\n", `x.ini:2:1: http.port: "eighty" is not a number`},
		"address":          {"[general]\nlisten_ip=\x41 b\n", `x.ini:2:1: general.listen_ip: "A b" is no IP address`},
		"number":           {"[hook]\ntimeoutSec=10s\n", `x.ini:2:1: hook.timeoutSec: "10s" is not a number`},
		"URL":              {"[hook]\non_play=10.0.0.1/hidden\n", "x.ini:2:1: hook.on_play: is no URL"},
		"secret":           {"[api]\nsecret=hidden\n", "x.ini:2:1: api.secret: has 6 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			yaml, notes, err := zlm.Convert("x.ini", []byte(tc.ini))
			if err == nil || yaml != nil || notes != nil {
				t.Fatalf("got %s, %v", yaml, notes)
			}
			if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(first, tc.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %q, want %q", first, tc.want)
			}
		})
	}
	_, _, err := zlm.Convert("x.ini", []byte(strings.Repeat("x\n", 1000)))
	if problems, ok := errors.AsType[conf.Problems](err); !ok || len(problems) > 101 {
		t.Errorf("%d errors", len(problems))
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d=1\n", i)
	}
	return b.String()
}

// TestConvertKeeps checks what is kept, and comments of other charsets.
func TestConvertKeeps(t *testing.T) {
	yaml, notes, err := zlm.Convert("x.ini", []byte("; \xc5\xe4\xd6\xc3\n[on]\n1=\xc5x\n_a-b= \"q\" ; # \\ \n[hls]\nsegKeep=1\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, kept := loads(t, yaml)
	want := map[string]map[string]string{"on": {"1": "\uFFFDx", "_a-b": `"q" ; # \`}, "hls": {"segKeep": "1"}}
	if !strings.Contains(string(yaml), "\n  \"on\":\n") { // other readers of YAML take it for true
		t.Errorf("%s", yaml)
	}
	if !reflect.DeepEqual(kept, want) {
		t.Errorf("got %v, want %v", kept, want)
	}
	if !slices.ContainsFunc(notes, func(n zlm.Note) bool { return n.Line == 3 && n.Kind == zlm.Doubtful }) {
		t.Errorf("nothing is said of the text that is not UTF-8: %v", notes)
	}
}

// TestConvertExtremes holds the ranges of the table against those of the rooms.
func TestConvertExtremes(t *testing.T) {
	for _, extreme := range []string{"-99999999999999", "0", "1", "0.0001", "99999999999999"} {
		var b strings.Builder
		for _, k := range zlm.Keys() {
			section, name, _ := strings.Cut(k.Name, ".")
			_, _, _, err := zlm.Changes(map[string]string{k.Name: extreme}, nil)
			if len(k.Ours) > 0 && err == nil {
				fmt.Fprintf(&b, "[%s]\n%s=%s\n", section, name, extreme)
			}
		}
		yaml, _, err := zlm.Convert("x.ini", []byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		loads(t, yaml)
	}
}

// TestConvertMuch converts files as large as may be, of what grows most.
func TestConvertMuch(t *testing.T) {
	for name, part := range map[string]string{
		"escapes": "k=" + strings.Repeat("\u00ad", 8000) + "\n", "quotes": "k=" + strings.Repeat(`"`, 16000) + "\n",
		"no UTF-8": "k=" + strings.Repeat("\xff.", 8000) + "\n", "again": "k=\xff\n", "again, of the table": "[http]\nport=80\n",
		"names": "[s%d]\nk=1\n", "keys": "k%d=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("[s]\n")
			for i := 0; b.Len()+len(part) < 128<<10 && (!strings.Contains(part, "%d") || i < 1000); i++ {
				b.WriteString(strings.ReplaceAll(part, "%d", strconv.Itoa(i)))
				if part[0] == 'k' && len(part) > 1000 {
					fmt.Fprintf(&b, "[s%d]\n", i)
				}
			}
			yaml, notes, err := zlm.Convert("x.ini", []byte(b.String()))
			if err != nil || len(notes) > 2100 {
				t.Fatal(len(notes), err)
			}
			loads(t, yaml)
		})
	}
}

func FuzzConvert(f *testing.F) {
	for _, name := range []string{"sample.ini", "wvp.ini", "odd.ini"} {
		f.Add([]byte(read(f, name)))
	}
	for _, text := range []string{"1", "-1e99", "\u2028\u00ad\ufeff\U0010ffff", "a: b", "*x", "~", "[", "::1"} {
		f.Add([]byte("[general]\nmediaServerId=" + text + "\n[http]\nrootPath=" + text + "\n[none]\nx=" + text + "\n"))
	}
	f.Add([]byte("\xe7=0"))
	f.Add([]byte("[null]\nnull=null\n[true]\n0x1=1e5\n[1]\n2=~\n"))
	f.Fuzz(func(t *testing.T, ini []byte) {
		yaml, notes, err := zlm.Convert("fuzz.ini", ini)
		if err != nil {
			return
		}
		loads(t, yaml)
		for _, n := range notes {
			if text := n.String(); !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("%q cannot be printed", n.String())
			}
		}
	})
}
