package server_test

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// doubted loads a configuration and returns what is doubtful about it, a line each.
func doubted(t *testing.T, yaml string) []string {
	t.Helper()
	c, err := conf.Load(conf.Source{File: "vigil.yaml", Data: []byte(yaml), Known: server.Known()})
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	var lines []string
	for _, d := range server.Doubts(c) {
		lines = append(lines, d.String())
	}
	return lines
}

// doubtCase is a configuration with one doubt, and one beside it that has none.
type doubtCase struct{ name, has, says, beside string }

const hookURL = "http://127.0.0.1:9000/hook"

var doubtCases = slices.Concat([]doubtCase{
	{
		"hooks off", "hooks: {enabled: false, on_play: " + hookURL + "}", "hooks.enabled: doubtful: hooks are off, but there are URLs",
		"hooks: {enabled: false}",
	},
	{
		"a realm without passwords", "hooks: {on_rtsp_realm: " + hookURL + "}", "hooks.on_rtsp_realm: doubtful: there is no hooks.on_rtsp_auth",
		"hooks: {on_rtsp_realm: " + hookURL + ", on_rtsp_auth: " + hookURL + "}",
	},
	{
		"passwords without a realm", "hooks: {on_rtsp_auth: " + hookURL + "}", "hooks.on_rtsp_auth: doubtful: is never asked: without hooks.on_rtsp_realm",
		"hooks: {enabled: false}",
	},
	{
		"a realm, and users", "hooks: {on_rtsp_realm: " + hookURL + ", on_rtsp_auth: " + hookURL + "}\nrtsp: {users: {a: secret}}",
		"hooks.on_rtsp_realm: doubtful: is never asked: there are rtsp.users", "rtsp: {users: {a: secret}}",
	},
	{
		"fail open", "hooks: {on_publish: " + hookURL + ", fail_open: [on_publish, on_play]}", "hooks.fail_open: doubtful: names on_play",
		"hooks: {on_play: " + hookURL + ", fail_open: [on_play]}",
	},
	{
		"nobody waits", "hooks: {on_stream_not_found: " + hookURL + "}\nplay: {wait: 0s}", "hooks.on_stream_not_found: doubtful: viewers do not wait",
		"hooks: {on_stream_not_found: " + hookURL + "}\nplay: {wait: 1s}",
	},
	{
		"closed anyway", "hooks: {on_stream_none_reader: " + hookURL + "}\npublish: {close_idle: true}", "hooks.on_stream_none_reader: doubtful: its answer comes too late",
		"publish: {close_idle: true}",
	},
	{
		"no repetition", "hooks: {on_play: " + hookURL + ", retry_delay: 6.25s}", "hooks.retry_delay: doubtful: questions such as hooks.on_play are never repeated: hooks.timeout, 5s",
		"hooks: {on_play: " + hookURL + ", retry_delay: 6s}",
	},
	{
		"no API for hooks", "http: {listen: ''}\nhooks: {on_play: " + hookURL + "}", "http.listen: doubtful: is off, and so is http.tls.listen: there is no API, though hooks.on_play is set",
		"http: {listen: ''}",
	},
	{
		"no API for a secret", "http: {listen: ''}\napi: {secret: a-secret-word}", "though api.secret is set",
		"http: {listen: '', tls: {listen: ':8443'}}\napi: {secret: a-secret-word}\ntls: {cert: a, key: b}",
	},
	{
		"no TLS", "tls: {cert: a, key: b}", "tls.cert: doubtful: no listener uses it",
		"tls: {cert: a, key: b}\nrtsp: {tls: {listen: ':322'}}",
	},
	{
		"a long challenge", "publish: {challenge_timeout: 5001ms}", "publish.challenge_timeout: doubtful: is longer than publish.max_silence, 5s",
		"publish: {max_silence: 1s}",
	},
	{
		"names of conflicts", "publish: {conflicts: {cam1: reject}}", `publish.conflicts: doubtful: no stream fits "cam1"`,
		"publish: {conflicts: {'*': reject, 'live/cam*': standby, live/cam1: takeover}}",
	},
	{
		"cut for nobody", "hls: {enabled: false, always: true}", "hls.always: doubtful: every stream is cut for nobody: hls.enabled is off",
		"hls: {enabled: false, always: true, dir: /srv/hls}",
	},
	{
		"cut without HTTP", "hls: {always: true}\nhttp: {listen: ''}", "hls.always: doubtful: every stream is cut for nobody: HTTP is off",
		"hls: {always: true}",
	},
	{
		"secrets are served", "hls: {dir: /srv/hls}\ndata: /srv/hls/data", "hls.dir: doubtful: data lies in it",
		"hls: {dir: /srv/hls}\ndata: /srv/hls-data",
	},
	{
		"the log is served", "hls: {dir: segments}\nlog: {file: segments/vigil.log}", "hls.dir: doubtful: log.file lies in it",
		"hls: {dir: segments}\nlog: {file: segments/../vigil.log}",
	},
	{
		"nobody can enter", "hls: {dir: vigil-data/segments}", "hls.dir: doubtful: lies in the data folder",
		"hls: {dir: segments}",
	},
}, limitCases, ruleCases)

var limitCases = []doubtCase{
	{
		"a part beyond the whole", "limits: {viewers: 500, viewers_per_stream: 600}", "limits.viewers_per_stream: doubtful: 600 are never reached: limits.viewers is 500",
		"limits: {viewers: 500, viewers_per_stream: 500}",
	},
	{
		"addresses", "limits: {handshakes: 10, handshakes_per_address: 20}", "limits.handshakes_per_address: doubtful: 20 are never reached",
		"limits: {handshakes_per_address: 20}",
	},
	{
		"bandwidth", "limits: {bandwidth: 10, bandwidth_per_app: 20}", "limits.bandwidth_per_app: doubtful: 20 are never reached",
		"limits: {bandwidth_per_app: 20}",
	},
	{
		"viewers", "limits: {viewers: 100001}", "limits.viewers: doubtful: 100001 are never reached: viewers may take 93750 of limits.connections, 100000",
		"limits: {connections: 1000}",
	},
	{
		"publishers", "limits: {publishers: 2000, connections: 1000}", "limits.publishers: doubtful: 2000 are never reached: limits.connections is 1000",
		"limits: {publishers: 1000, connections: 1000}",
	},
	{
		"a listener", "limits: {connections: 1000}\nrtmp: {connections: 2000}", "rtmp.connections: doubtful: 2000 are never reached",
		"limits: {connections: 1000}\nrtmp: {connections: 1000}",
	},
	{
		"rings", "limits: {memory: 64MiB, ring_bytes: 17MiB}", "limits.ring_bytes: doubtful: 17MiB is more than a quarter of limits.memory, 64MiB",
		"limits: {memory: 64MiB, ring_bytes: 16MiB}",
	},
}

const twoUsers = "auth:\n  users: {a: secret, b: secret}\n  rules:\n"

var ruleCases = []doubtCase{
	{
		"a rule for each user", twoUsers + "    - {action: play, users: [a]}\n    - {action: play, users: [b]}", "auth.rules: doubtful: rule 2 is never reached: rule 1",
		twoUsers + "    - {action: play, users: [a]}\n    - {action: publish, users: [b]}",
	},
	{
		"a narrower rule behind", twoUsers + "    - {users: [a], streams: ['live/*']}\n    - {action: play, users: [b], streams: ['live/cam*', live/x]}", "rule 2 is never reached",
		twoUsers + "    - {users: [a], streams: ['live/cam*']}\n    - {action: play, users: [b], streams: ['live/*']}",
	},
	{
		"every stream", twoUsers + "    - {users: [a], streams: ['*']}\n    - {users: [b]}", "rule 2 is never reached",
		twoUsers + "    - {users: [a], streams: ['*/a']}\n    - {users: [b]}",
	},
	{
		"addresses of rules", twoUsers + "    - {users: [a], from: [10.0.0.0/8, 192.168.0.0/16]}\n    - {users: [b], from: [192.168.0.0/16, 10.0.0.7]}", "rule 2 is never reached",
		twoUsers + "    - {users: [a], from: [10.0.0.0/8]}\n    - {users: [b], from: [10.0.0.0/8, 11.0.0.1]}",
	},
	{
		"all addresses", twoUsers + "    - {users: [a], streams: ['live/*']}\n    - {users: [b], streams: ['live/*'], from: [10.0.0.7]}", "rule 2 is never reached",
		twoUsers + "    - {users: [a], from: [10.0.0.7]}\n    - {users: [b]}",
	},
	{
		"a name in a rule", "auth: {rules: [{streams: [/live/cam1], deny: true}]}", `auth.rules: doubtful: rule 1: no stream fits "/live/cam1"`,
		"auth: {rules: [{streams: [live/cam1], deny: true}]}",
	},
	{
		"a name of a token", "auth: {tokens: {x: {secret: long enough, streams: [lobby]}}, rules: [{tokens: [x]}]}", `auth.tokens: doubtful: "x": no stream fits "lobby": names are app/name; "*/lobby" is`,
		"auth: {tokens: {x: {secret: long enough, streams: ['*lobby']}}, rules: [{tokens: [x]}]}",
	},
	{
		"users for nothing", "auth: {users: {a: secret}}", "auth.users: doubtful: no rule of auth.rules names one",
		twoUsers + "    - {users: [a]}",
	},
	{
		"tokens for nothing", "auth: {tokens: {x: {secret: long enough}}, rules: [{from: [10.0.0.1]}]}", "auth.tokens: doubtful: no rule of auth.rules names one",
		"auth: {tokens: {x: {secret: long enough}}, rules: [{tokens: [x]}]}",
	},
	{
		"signatures for nothing", "auth: {sign_key: long enough a secret}", "auth.sign_key: doubtful: no rule of auth.rules says signed",
		"auth: {sign_key: long enough a secret, rules: [{signed: true}]}",
	},
	{
		"all are trusted", "auth: {rules: [{action: publish, from: [10.0.0.1], trusted: true}, {action: publish, deny: true}]}\nhooks: {on_publish: " + hookURL + ", on_play: " + hookURL + "}",
		"hooks.on_publish: doubtful: is never asked: everybody whom auth.rules let publish is trusted",
		"auth: {rules: [{action: publish, from: [10.0.0.1], trusted: true}, {action: publish}]}\nhooks: {on_publish: " + hookURL + "}",
	},
}

func TestDoubts(t *testing.T) {
	t.Parallel()
	for _, c := range doubtCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := doubted(t, c.has); len(got) != 1 || !strings.Contains(got[0], c.says) || strings.Contains(got[0], "secret-word") || strings.Contains(got[0], hookURL) {
				t.Errorf("%q, want one with %q\n%s", got, c.says, c.has)
			}
			if got := doubted(t, c.beside); len(got) > 0 {
				t.Errorf("there is no doubt, but it says %q\n%s", got, c.beside)
			}
		})
	}
}

// TestNoDoubts: nothing is doubtful about the defaults, written down or not, about the examples of the documents, and about what a platform sets.
func TestNoDoubts(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"nothing": "", "the reference": conf.Reference(server.Known()),
		"slow hooks": "hooks: {on_publish: " + hookURL + ", on_play: " + hookURL + ", timeout: 60s}\nplay: {wait: 60s}", // no connection's time runs out meanwhile
		"long waits": "publish: {resume_window: 10m, max_silence: 1h}",
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, pattern := range []string{"../../README*.md", "../../docs/*.md", "../../docs/operations/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, m := range examples.FindAllStringSubmatch(read(t, file), -1) {
				all[file+": "+m[1]] = m[1]
			}
		}
	}
	seen := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, err := conf.Load(conf.Source{Data: []byte(all[name]), Known: server.Known()}); err != nil {
			t.Logf("another program's: %s", name)
			continue
		}
		seen++
		if got := doubted(t, all[name]); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if seen < 9 {
		t.Errorf("only %d configurations", seen)
	}
}

// logged is a console that remembers.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestDoubtsAreLogged: the log tells of doubts at start, those that what was changed has brought among them, and when settings are changed of the new ones.
func TestDoubtsAreLogged(t *testing.T) {
	t.Parallel()
	const fails, realm = "names on_publish, which has no URL", "there is no hooks.on_rtsp_auth"
	data := filepath.Join(t.TempDir(), "data")
	serve := func(during func(*server.Server)) string {
		out := &logged{}
		s, err := server.New(server.Options{Config: load(t, "data="+data, "hooks.fail_open=[on_publish]"), Version: "test", Console: out})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		during(s)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return out.String()
	}
	said := serve(func(s *server.Server) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		for _, set := range []map[string]string{{"hooks.on_rtsp_realm": hookURL}, {"hooks.cache": "1s"}} {
			if _, err := s.Settings().Change(ctx, set); err != nil {
				t.Error(err)
			}
		}
	})
	for _, want := range []string{fails, realm} {
		if strings.Count(said, want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, said)
		}
	}
	said = serve(func(*server.Server) {})
	if !strings.Contains(said, fails) || !strings.Contains(said, realm) || !strings.Contains(said, "WRN") {
		t.Errorf("after another start:\n%s", said)
	}
}
