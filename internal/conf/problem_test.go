package conf_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

func TestProblems(t *testing.T) {
	src := conf.Source{
		Known: sample(),
		Data: []byte(`data: [a]
rtmp:
  lisen: :1935
  tls:
    listen: 1935
    listn: x
  chunk_size: -1
  buffer: 64M
  name:
  port: 1
  name: twice
  tls.listen: x
rtpm: {}
publish:
  resume_window: 15
  ratio: .nan
  strict: yes
  retries: 128
  hosts: a
  ports: [1, 70000, {a: b}]
  on_conflict: {a: b}
hooks: text
api:
  secret: [a]
strange: 1
`),
		Env: []string{"VIGIL_RTMP_LISEN=x", "VIGIL_RTMP_CHUNK_SIZE=many", "VIGIL_NO_SUCH_THING=", "VIGIL_RTMP=1"},
		Set: []string{
			"rtmp.lisen=secret", "rtmp", "=x", "a..b=c", "publish.ports=1", "rtmp=x", "publish.hosts=[a", "api=s3cr3t",
		},
	}
	_, err := conf.Load(src)
	if err == nil {
		t.Fatal("accepted")
	}
	golden(t, "problems.txt", err.Error()+"\n")
}

func TestValidateProblemsHaveAPlace(t *testing.T) {
	_, err := conf.Load(conf.Source{
		Known: sample(),
		Data:  []byte("rtmp:\n  name: nobody\n  chunk_size: 5\n"),
		Set:   []string{"rtmp.buffer=3"},
	})
	want := "vigil.yaml:1:1: rtmp: nobody is not served\n" +
		"vigil.yaml:3:3: rtmp.chunk_size: must be at least 128, is 5\n" +
		"--set rtmp.buffer=…: rtmp.buffer: must be at least 1KiB"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestRefusedYAML(t *testing.T) {
	deepBlock := &strings.Builder{}
	for i := range 40 {
		fmt.Fprintf(deepBlock, "%sa:\n", strings.Repeat(" ", i))
	}
	many := strings.Repeat("x,", 5000)
	for _, c := range []struct{ name, data, want string }{
		{"anchor", "rtmp:\n  name: &x 1\n", "vigil.yaml:2:9: YAML anchors (&name) are not supported"},
		{"alias", "rtmp:\n  name: *x\n", "vigil.yaml:2:9: YAML aliases (*name) are not supported; put a text"},
		{"merge", "rtmp:\n  <<: {}\n", "vigil.yaml:2:3: YAML merge keys (<<) are not supported"},
		{"tag", "rtmp: !!map {}\n", "vigil.yaml:1:7: YAML tags (!name)"},
		{"complex key", "? a\n: b\n", "vigil.yaml:1:1: YAML complex keys"},
		{"documents", "rtmp: {}\n---\nrtmp: {}\n", "vigil.yaml:3:5: a second document"},
		{"no mapping", "- a\n", "vigil.yaml:1:1: the configuration must be a mapping"},
		{"syntax", "rtmp: {\n", "vigil.yaml:1:7: "},
		{"tab", "rtmp:\n\tname: x\n", "vigil.yaml:2:1: "},
		{"not UTF-8", "rtmp:\n  name: \xff\n", "vigil.yaml:2:9: not UTF-8 text"},
		{"deep flow", "a: " + strings.Repeat("[", 40), "vigil.yaml:1:35: nested deeper than 32 levels"},
		{"deep block", deepBlock.String(), "vigil.yaml:33:34: nested deeper than 32 levels"},
		{"many", "rtmp: {name: [" + many + "]}", "more than 4096 keys and list items"},
		{"tokens", strings.Repeat("a: b\n", 1<<14), "more than 20480 YAML tokens"},
		{"large", strings.Repeat("#", 1<<20+1), "vigil.yaml:1:1: larger than 1MiB"},
	} {
		_, err := conf.Load(conf.Source{Known: sample(), Data: []byte(c.data)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestHostileFilesAreCheap(t *testing.T) {
	for _, unit := range []string{
		"[", "{", "- ", "? ", "a: ", "a: [", "\"", "'", "&a ", "*a ", "!a ", "\n", "#\n", "a: b\n", "|\n", "a\n ", "[a,",
		"{a: ", "\t", "%\n", "---\n", "- a\n", "x: |\n  y\n", "'a': [b, c]\n",
	} {
		for _, size := range []int{16 << 10, 100 << 10, 256 << 10} { // some pass the limits, some do not
			start := time.Now()
			_, _ = conf.Load(conf.Source{Known: sample(), Data: []byte(strings.Repeat(unit, size/len(unit)))})
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("%s of %q took %v", conf.Size(size), unit, d)
			} else {
				t.Logf("%s of %q: %v", conf.Size(size), unit, d)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"", "rtmp: {listen: :1935}\n", "rtmp:\n  tls:\n    listen: ''\n", "a: [1, {b: c}]\n", "x: |\n  y\n",
		"a: &b *b\n", "- - - -", "[[[[", "? a\n: b", "data: x\ndata: y", "hooks: {url: {a: b}}", "%YAML 1.2\n---\n",
		"publish: {hosts: [a, b], resume_window: 15s, ratio: 1e3}",
	} {
		f.Add([]byte(s), "rtmp.name=x", "VIGIL_PUBLISH_HOSTS=[a]")
	}
	f.Fuzz(func(t *testing.T, data []byte, set, env string) {
		w := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("SLOW %q %q %q", data, set, env)) })
		defer w.Stop()
		c, err := conf.Load(conf.Source{Data: data, Known: sample(), Set: []string{set}, Env: []string{env}})
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.ContainsAny(line, "\x1b\r") {
					t.Fatalf("control bytes in %q", line)
				}
			}
			return
		}
		l := defaultListen()
		if err := c.Section("rtmp").Decode(&l); err != nil {
			t.Fatalf("Load accepted what Decode refuses: %v", err)
		}
	})
}
