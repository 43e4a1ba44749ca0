package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// change changes settings of a server, which is expected to work.
func change(t *testing.T, r *running, set map[string]string) (changed, later []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	done, err := r.Settings().Change(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	return done.Changed, done.Later
}

// TestSettingsChange: settings that are changed hold at once, or from the next start on, and are kept for it.
func TestSettingsChange(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := run(t, "data="+data)
	changed, later := change(t, r, map[string]string{
		"publish.resume_window": "3s", "hooks.on_play": "http://127.0.0.1:1/play", "rtmp.chunk_size": "4096", "zlm.hls.segNum": "7",
	})
	if want := []string{"hooks.on_play", "publish.resume_window", "rtmp.chunk_size", "zlm.hls.segNum"}; !slices.Equal(changed, want) {
		t.Errorf("changed: %v, want %v", changed, want)
	}
	if want := []string{"rtmp.chunk_size"}; !slices.Equal(later, want) {
		t.Errorf("for the next start: %v, want %v", later, want)
	}
	all := r.Settings().All()
	for key, want := range map[string]string{"publish.resume_window": "3s", "zlm.hls.segNum": "***", "rtmp.chunk_size": "4096", "api.secret": "***"} {
		if all[key] != want {
			t.Errorf("%s is %q, want %q", key, all[key], want)
		}
	}
	if changed, _ := change(t, r, map[string]string{"publish.resume_window": "3s"}); len(changed) > 0 {
		t.Errorf("what stays as it is has changed: %v", changed)
	}
	if info, err := os.Stat(filepath.Join(data, "overrides.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what was changed is kept as %v, %v", info, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := run(t, "data="+data)
	if got := again.Settings().All()["publish.resume_window"]; got != "3s" {
		t.Errorf("after another start publish.resume_window is %s", got)
	}
	if got := again.Settings().All()["rtmp.chunk_size"]; got != "4096" {
		t.Errorf("after another start rtmp.chunk_size is %s", got)
	}
}

// TestSettingsRefused: nothing is changed if anything cannot be.
func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	r := run(t, "publish.max_silence=7s")
	for what, set := range map[string]map[string]string{
		"unknown":        {"publish.resume_window": "4s", "publish.resume_windows": "4s"},
		"no duration":    {"publish.resume_window": "4s", "publish.idle_delay": "soon"},
		"out of bounds":  {"publish.resume_window": "4s", "publish.idle_delay": "1ms"},
		"frozen":         {"publish.resume_window": "4s", "data": "/elsewhere"},
		"log":            {"publish.resume_window": "4s", "log.file": "/etc/cron.d/x"},
		"frozen, cut":    {"publish.resume_window": "4s", "data=/elsewhere": ""},
		"secret, cut":    {"publish.resume_window": "4s", "api.secret=longenough": "***"},
		"by a flag":      {"publish.resume_window": "4s", "publish.max_silence": "8s"},
		"two on a port":  {"publish.resume_window": "4s", "rtmp.tls.listen": "127.0.0.1:1", "rtsp.tls.listen": "127.0.0.1:1"},
		"no certificate": {"publish.resume_window": "4s", "rtmp.tls.listen": "127.0.0.1:1"},
		"no secret":      {"publish.resume_window": "4s", "api.secret": ""},
		"short secret":   {"publish.resume_window": "4s", "api.secret": "1"},
		"not a URL":      {"publish.resume_window": "4s", "hooks.on_play": "file:///etc/passwd"},
	} {
		before := r.Settings().All()
		_, err := r.Settings().Change(t.Context(), set)
		problems, ok := errors.AsType[conf.Problems](err)
		if !ok {
			t.Errorf("%s: %v", what, err)
		}
		for _, p := range problems {
			if p.At != (conf.Position{}) {
				t.Errorf("%s: what is in no file is said to be at %v", what, p.At)
			}
		}
		for key, text := range r.Settings().All() {
			if before[key] != text {
				t.Errorf("%s: %s is %q, and was %q", what, key, text, before[key])
			}
		}
	}
}

// TestSecretChanges: another secret holds at once, and the one before no longer.
func TestSecretChanges(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "api-secret"), []byte("first-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "data="+data)
	if status, _ := r.get(t, "/api/v1/streams", "first-secret"); status != http.StatusOK {
		t.Fatalf("with the first secret: %d", status)
	}
	change(t, r, map[string]string{"api.secret": "another-secret"})
	if status, _ := r.get(t, "/api/v1/streams", "another-secret"); status != http.StatusOK {
		t.Errorf("with the new secret: %d", status)
	}
	if status, _ := r.get(t, "/api/v1/streams", "first-secret"); status != http.StatusUnauthorized {
		t.Errorf("with the one before: %d", status)
	}
}

// TestRulesChange: rules of who may publish can be set while the server runs, and secrets of theirs are not shown.
func TestRulesChange(t *testing.T) {
	t.Parallel()
	r := run(t)
	change(t, r, map[string]string{
		"auth.tokens.cam.secret": "a-long-secret", "auth.rules": `[{action: publish, streams: ["live/*"], tokens: [cam]}]`, "rtsp.users.bob": "bobs-secret",
	})
	for key, text := range r.Settings().All() {
		if strings.Contains(text, "-secret") {
			t.Errorf("%s shows %s", key, text)
		}
	}
	if rules := r.Settings().All()["auth.rules"]; !strings.Contains(rules, "tokens: [cam]") {
		t.Errorf("auth.rules: %s", rules)
	}
	if _, err := r.Settings().Change(t.Context(), map[string]string{"auth.rules": `[{tokens: [nobody]}]`}); err == nil {
		t.Error("a rule with a token that does not exist holds")
	}
}

// TestPortsRefused: an address on which nothing could listen with the next start is refused, since there would be none; a free one is not.
func TestPortsRefused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c, err := conf.Load(conf.Source{
		Data:  []byte("rtmp: {listen: '127.0.0.1:0'}\nhttp: {listen: '127.0.0.1:0'}\nrtsp: {listen: ''}\ndata: " + t.TempDir()),
		Known: server.Known(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Config: c, Console: io.Discard, Screen: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"192.0.2.1:1935", taken.Addr().String()} {
		_, err := s.Settings().Change(t.Context(), map[string]string{"rtmp.listen": address})
		if _, ok := errors.AsType[conf.Problems](err); !ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if _, err := s.Settings().Change(t.Context(), map[string]string{"rtmp.listen": "127.0.0.2:0"}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDialectTogether: of two keys of ZLMediaKit's that are one here, both hold though they are changed at the same time.
func TestDialectTogether(t *testing.T) {
	t.Parallel()
	c, err := conf.Load(conf.Source{
		Data:  []byte("rtmp: {listen: '127.0.0.1:0'}\nhttp: {listen: '127.0.0.1:0'}\nrtsp: {listen: ''}\napi: {secret: the-secret}\ndata: " + t.TempDir()),
		Known: server.Known(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Config: c, Console: io.Discard, Screen: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.Settings().Change(ctx, map[string]string{"rtmp.listen": "127.0.0.1:21934"}); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		host, port := "127.0.0."+strconv.Itoa(2+n), strconv.Itoa(21935+n)
		var both sync.WaitGroup
		for _, query := range []string{"general.listen_ip=" + host, "rtmp.port=" + port} {
			both.Go(func() {
				res, err := http.Get("http://" + s.Addr("HTTP").String() + "/index/api/setServerConfig?secret=the-secret&" + query)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
			})
		}
		both.Wait()
		if got, want := s.Settings().All()["rtmp.listen"], host+":"+port; got != want {
			t.Errorf("rtmp.listen is %s, want %s", got, want)
		}
	}
}

// TestSignsAsChanged: URLs are signed with the key that was set while the server ran.
func TestSignsAsChanged(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := load(t, "data="+data)
	until := time.Unix(2_000_000_000, 0)
	if _, err := server.Sign(c, "play", "live/a", until); err == nil {
		t.Error("signed without a key")
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a data folder was made")
	}
	r := run(t, "data="+data)
	change(t, r, map[string]string{"auth.sign_key": "0123456789abcdef"})
	got, err := server.Sign(c, "play", "live/a", until)
	want, _ := server.Sign(load(t, "auth.sign_key=0123456789abcdef"), "play", "live/a", until)
	if err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestHookSecrets: what is secret of a hook's URL is not shown, nor taken from there.
func TestHookSecrets(t *testing.T) {
	t.Parallel()
	r := run(t)
	const at = "http://vigil:hush-1@127.0.0.1:1/play?token=hush-2"
	change(t, r, map[string]string{"hooks.on_play": at})
	shown := r.Settings().All()["hooks.on_play"]
	if want := "http://***@127.0.0.1:1/play?***"; shown != want {
		t.Errorf("shown as %s, want %s", shown, want)
	}
	if _, err := r.Settings().Change(t.Context(), map[string]string{"hooks.on_play": shown, "play.wait": "4s"}); err == nil {
		t.Error("what is shown is taken for the URL")
	}
	path, err := r.Evidence(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("hush-")) {
		t.Error("the bundle shows what is secret of a hook's URL")
	}
	if !bytes.Contains(text, []byte(shown)) {
		t.Error("the bundle does not show what was changed while the server ran")
	}
}

// TestBrokenOverrides: a file of changed settings that cannot be used does not keep the server from starting.
func TestBrokenOverrides(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", "publish.resume_window: 5 minutes", "no.such.key: 1", strings.Repeat("a", 2<<20)} {
		data := filepath.Join(t.TempDir(), "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "overrides.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(t, "data="+data)
		if got := r.Settings().All()["publish.resume_window"]; got != "15s" {
			t.Errorf("publish.resume_window is %s", got)
		}
	}
}

// TestHalfAnOverride: of a file of changed settings, what cannot be used is left out, and the rules that keep strangers out hold.
func TestHalfAnOverride(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	text := conf.WriteKept(map[string]string{
		"auth.rules": `[{action: publish, deny: true}]`, "publish.resume_window": "3s", "no.such.key": "1", "play.wait": "soon", "hooks.timeout": "1ns",
	})
	if err := os.WriteFile(filepath.Join(data, "overrides.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	all := run(t, "data="+data).Settings().All()
	if !strings.Contains(all["auth.rules"], "deny: true") || all["publish.resume_window"] != "3s" || all["play.wait"] != "5s" || all["hooks.timeout"] != "5s" {
		t.Errorf("%s, %s, %s, %s", all["auth.rules"], all["publish.resume_window"], all["play.wait"], all["hooks.timeout"])
	}
}

// TestSettingsOnAFullDisk: what cannot be kept is not changed.
func TestSettingsOnAFullDisk(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := run(t, "data="+data)
	if err := os.Mkdir(filepath.Join(data, "overrides.yaml"), 0o700); err != nil { // where the file is to be
		t.Fatal(err)
	}
	if _, err := r.Settings().Change(t.Context(), map[string]string{"publish.resume_window": "4s"}); err == nil {
		t.Error("changed, though it cannot be kept")
	}
	if got := r.Settings().All()["publish.resume_window"]; got != "15s" {
		t.Errorf("publish.resume_window is %s", got)
	}
}

// heir is the parent of a worker that takes the place of another.
type heir struct{ sayingParent }

func (heir) Why() string { return "asked to" }

// TestSettingsOutliveTheWorker: what is changed while one worker takes over from another holds there, whatever either of them writes, and the one
// that has gone changes nothing more.
func TestSettingsOutliveTheWorker(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	before := run(t, "data="+data)
	s, err := server.New(server.Options{Config: load(t, "data="+data), Version: "test", Console: io.Discard, Parent: heir{}})
	if err != nil {
		t.Fatal(err)
	}
	change(t, before, map[string]string{"publish.resume_window": "3s"}) // the new one has read the file by now
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	after := &running{Server: s}
	if changed, _ := change(t, after, map[string]string{"play.wait": "7s"}); !slices.Equal(changed, []string{"play.wait"}) {
		t.Errorf("changed: %v", changed)
	}
	change(t, before, map[string]string{"publish.resume_window": "4s"})
	for look := time.Tick(10 * time.Millisecond); after.Settings().All()["publish.resume_window"] != "4s"; {
		select {
		case <-look:
		case <-t.Context().Done():
			t.Fatal("what the worker before has changed does not come")
		}
	}
	if got := after.Settings().All()["play.wait"]; got != "7s" {
		t.Errorf("what the new worker has changed: %s", got)
	}
	before.Retire()
	if _, err := before.Settings().Change(t.Context(), map[string]string{"publish.resume_window": "5s"}); err == nil {
		t.Error("the worker that was succeeded has changed something")
	}
	text, err := os.ReadFile(filepath.Join(data, "overrides.yaml"))
	if kept := string(text); err != nil || !strings.Contains(kept, "publish.resume_window=4s") || !strings.Contains(kept, "play.wait=7s") {
		t.Errorf("kept: %s, %v", kept, err)
	}
}
