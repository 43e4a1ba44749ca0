package conf_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

var update = flag.Bool("update", false, "write golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func load(t *testing.T, src conf.Source) *conf.Config {
	t.Helper()
	c, err := conf.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrecedence(t *testing.T) {
	c := load(t, conf.Source{
		Known: sample(),
		Data:  []byte("rtmp:\n  listen: :1\n  name: file\n  chunk_size: 1000\n  tls: {listen: ':443'}\n"),
		Env: []string{
			"HOME=/", "VIGIL_RTMP_NAME=env", "VIGIL_RTMP_CHUNK_SIZE=2000", "VIGIL_CONFIG=x",
			"VIGIL_PORT=tcp://10.0.0.1:80", "VIGIL_SERVICE_HOST=10.0.0.1", "VIGIL_PORT_80_TCP_ADDR=10.0.0.1",
		},
		Set: []string{"rtmp.chunk_size=2999", "rtmp.chunk_size=3000", "data=/srv/x=y"},
	})
	got := defaultListen()
	s := c.Section("rtmp")
	if err := s.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := defaultListen()
	want.Listen, want.Name, want.ChunkSize, want.TLS.Listen = ":1", "env", 3000, ":443"
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	data := "default"
	if err := c.Section("data").Decode(&data); err != nil || data != "/srv/x=y" {
		t.Errorf("data = %q, %v", data, err)
	}
	for key, where := range map[string]string{
		"listen": "vigil.yaml:2:3", "name": "environment VIGIL_RTMP_NAME", "chunk_size": "--set rtmp.chunk_size=…",
		"tls.listen": "vigil.yaml:5:9", "buffer": "",
	} {
		if got := s.Where(key).String(); got != where || s.Has(key) != (where != "") {
			t.Errorf("%s: set at %q, want %q", key, got, where)
		}
	}
}

func TestScalarsOfEnvironmentAndSet(t *testing.T) {
	c := load(t, conf.Source{
		Known: sample(),
		Env: []string{
			"VIGIL_RTMP_LISTEN=", "VIGIL_PUBLISH_RESUME_WINDOW=1m30s", "VIGIL_HOOKS_URL_ON_PUBLISH=http://x/?a=b",
		},
		Set: []string{
			"rtmp.tls.listen=[::1]:1935", "rtmp.name=1e3", "publish.hosts=[a, 'b c', :1]", "publish.ports=[]",
			"publish.strict=true", "publish.on_conflict=[x]", "api.secret=a: #b", "hooks.header.key=v",
		},
	})
	l, p, h, a := defaultListen(), defaultPublish(), hooksConf{URL: map[string]string{"k": "v"}}, apiConf{}
	for name, dst := range map[string]any{"rtmp": &l, "publish": &p, "hooks": &h, "api": &a} {
		if err := c.Section(name).Decode(dst); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Listen.Off() || l.TLS.Listen != "[::1]:1935" || l.Name != "1e3" {
		t.Errorf("rtmp: %+v", l)
	}
	want := defaultPublish()
	want.ResumeWindow, want.Strict, want.OnConflict = 90*time.Second, true, "[x]"
	want.Hosts, want.Ports = []string{"a", "b c", ":1"}, []uint16{}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("publish: %+v, want %+v", p, want)
	}
	if !reflect.DeepEqual(h.URL, map[string]string{"k": "v", "on_publish": "http://x/?a=b"}) {
		t.Errorf("hooks: %+v", h.URL)
	}
	if a.Secret.Reveal() != "a: #b" || h.Header["key"].Reveal() != "v" {
		t.Error("secrets differ")
	}
}

func TestYAMLScalarsAsText(t *testing.T) {
	for text, want := range map[string]string{
		"1e3": "1e3", "0x10": "0x10", "true": "true", "'it''s'": "it's", `"\u00e9"`: "é", "2020-01-01": "2020-01-01",
		`""`: "", "plain text # comment": "plain text", "http://a/b?c=d": "http://a/b?c=d", "|\n    a\n    b": "a\nb\n",
	} {
		c := load(t, conf.Source{Data: []byte("rtmp:\n  name: " + text + "\n")})
		got := defaultListen()
		if err := c.Section("rtmp").Decode(&got); err != nil || got.Name != want {
			t.Errorf("%s: got %q, %v; want %q", text, got.Name, err, want)
		}
	}
}

func TestAbsentSectionKeepsDefaults(t *testing.T) {
	for _, data := range []string{
		"", "# nothing\n", "rtmp:\n", "rtmp: {}\n", "rtmp:\n  tls:\n", "---\n", "\ufeffrtmp: {}\n",
	} {
		c := load(t, conf.Source{Known: sample(), Data: []byte(data)})
		got := defaultListen()
		if err := c.Section("rtmp").Decode(&got); err != nil || got != defaultListen() {
			t.Errorf("%q: %+v, %v", data, got, err)
		}
	}
	got := defaultListen()
	if err := (conf.Section{}).Decode(&got); err != nil || got != defaultListen() {
		t.Errorf("zero section: %+v, %v", got, err)
	}
}

func TestFailedDecodeLeavesDefaults(t *testing.T) {
	c := load(t, conf.Source{Data: []byte("rtmp: {name: x, chunk_size: 1}\npublish: {hosts: [c], retries: 300}\n")})
	l, p := defaultListen(), defaultPublish()
	if c.Section("rtmp").Decode(&l) == nil || c.Section("publish").Decode(&p) == nil {
		t.Fatal("accepted")
	}
	if l != defaultListen() || !reflect.DeepEqual(p, defaultPublish()) {
		t.Errorf("changed: %+v %+v", l, p)
	}
	if err := c.Section("rtmp").Decode(l); err == nil {
		t.Error("decoded onto what is no pointer")
	}
}

func TestDefaultsAreNotShared(t *testing.T) {
	known := sample()
	load(t, conf.Source{Known: known, Set: []string{"hooks.url.on_play=changed"}})
	if h, ok := known[3].Defaults.(*hooksConf); !ok || h.URL["on_play"] != "http://a/b?c=d" {
		t.Errorf("defaults changed: %+v", known[3].Defaults)
	}
}

func TestEqual(t *testing.T) {
	a := load(t, conf.Source{Data: []byte("a: {x: 1, l: [1, 2]}\nb: {}\n")})
	b := load(t, conf.Source{Data: []byte("# moved\na:\n  l: [1, 2]\n  x: '1'\nb: {y: 2}\n")})
	if !a.Section("a").Equal(b.Section("a")) || a.Section("b").Equal(b.Section("b")) {
		t.Error("sections compare wrongly")
	}
	if !a.Section("none").Equal(b.Section("none")) || a.Section("a").Equal(a.Section("none")) {
		t.Error("absent sections compare wrongly")
	}
}

func TestReference(t *testing.T) {
	ref := conf.Reference(sample())
	golden(t, "reference.yaml", ref)
	if strings.Contains(ref, "hush") {
		t.Error("shows a secret")
	}
	c := load(t, conf.Source{Known: sample(), Data: []byte(ref)})
	l, p, h := listenConf{NoSetting: 7, hidden: 7}, publishConf{}, hooksConf{}
	for name, dst := range map[string]any{"rtmp": &l, "publish": &p, "hooks": &h} {
		if err := c.Section(name).Decode(dst); err != nil {
			t.Fatal(err)
		}
	}
	if l != defaultListen() || !reflect.DeepEqual(p, defaultPublish()) || h.Timeout != time.Minute ||
		h.URL["on_play"] != "http://a/b?c=d" {
		t.Errorf("the reference does not give the defaults: %+v %+v %+v", l, p, h)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.yaml")
	if _, err := conf.Load(conf.Source{File: path, Known: sample()}); err == nil ||
		err.Error() != path+": cannot be read: no such file or directory" {
		t.Errorf("absent file: %v", err)
	}
	if err := os.WriteFile(path, []byte("rtmp: {name: x}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !load(t, conf.Source{File: path, Known: sample()}).Section("rtmp").Has("name") {
		t.Error("not read")
	}
}
