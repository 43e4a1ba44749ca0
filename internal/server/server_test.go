package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/server"
)

// TestMain wants no goroutine to be left. The one of net/http that gives a peer half a second to read why its request was refused is nobody's.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// load returns a configuration for a server on free ports of the loopback, with its data in a new folder.
func load(t testing.TB, set ...string) *conf.Config {
	t.Helper()
	set = append([]string{
		"data=" + filepath.Join(t.TempDir(), "data"), "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0",
	}, set...)
	c, err := conf.Load(conf.Source{Set: set, Known: server.Known()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is a server that runs until stop is called, which returns what Run returned.
type running struct {
	*server.Server
	screen bytes.Buffer
	stop   func() error
}

func run(t testing.TB, set ...string) *running {
	t.Helper()
	return runWith(t, load(t, set...))
}

func runWith(t testing.TB, c *conf.Config) *running {
	t.Helper()
	r := &running{}
	s, err := server.New(server.Options{Config: c, Version: "test", Console: io.Discard, Screen: &r.screen})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var result error
	stopped := false
	r.stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-done
		}
		return result
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *running) get(t *testing.T, path, secret string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr("HTTP").String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestWindows(t *testing.T) {
	const secret = "correct horse"
	r := run(t, "api.secret="+secret)
	for _, c := range []struct {
		path, secret string
		status       int
		has          string
	}{
		{"/livez", "", 200, `"ok"`},
		{"/readyz", "", 200, `"ok"`},
		{"/api/v1/streams", "", 401, "secret"},
		{"/api/v1/streams", "wrong horse", 401, "secret"},
		{"/api/v1/streams", secret, 200, `"streams": []`},
		{"/api/v1/streams?secret=correct%20horse", "", 200, `"streams": []`},
		{"/api/v1/streams/live/none", secret, 404, "not-found"},
		{"/api/v1/streams/live/..%2fnone", secret, 400, "bad-name"},
		{"/api/v2", secret, 404, "not-found"},
		{"/metrics", "", 401, "secret"},
		{"/metrics", secret, 200, "vigil_streams 0"},
		{"/", "", 404, "not-found"},
	} {
		status, body := r.get(t, c.path, c.secret)
		if status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("GET %s: %d %s, want %d with %q", c.path, status, body, c.status, c.has)
		}
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	r := run(t, "data="+dir)
	b, err := os.ReadFile(filepath.Join(dir, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	secret := strings.TrimSpace(string(b))
	if status, _ := r.get(t, "/api/v1/streams", secret); status != 200 {
		t.Errorf("the secret of the file is not accepted: %d", status)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := run(t, "data="+dir)
	if status, _ := again.get(t, "/api/v1/streams", secret); status != 200 {
		t.Errorf("the second run has another secret: %d", status)
	}
}

func TestBusyPort(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, key := range []string{"rtmp.listen", "http.listen"} {
		_, err := server.New(server.Options{Config: load(t, key+"="+l.Addr().String()), Console: io.Discard})
		var listen *server.ListenError
		if !errors.As(err, &listen) || listen.Address != l.Addr().String() {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestListenersOff(t *testing.T) {
	r := run(t, "rtmp.listen=")
	if r.Addr("RTMP") != nil {
		t.Error("RTMP listens although it is off")
	}
	if status, _ := r.get(t, "/readyz", ""); status != 200 {
		t.Errorf("not ready: %d", status)
	}
}

func TestTLSNeedsCertificate(t *testing.T) {
	for _, key := range []string{"rtmp.tls.listen", "http.tls.listen"} {
		_, err := server.New(server.Options{Config: load(t, key+"=127.0.0.1:0"), Console: io.Discard})
		if err == nil || !strings.Contains(err.Error(), key+": needs tls.cert and tls.key") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestStopDrains publishes, plays, stops the server, and sees both sides end soon and without an error of the server.
func TestStopDrains(t *testing.T) {
	r := run(t)
	u := &url.URL{Scheme: "rtmp", Host: r.Addr("RTMP").String(), Path: "/live/a"}
	publisher := dial(t, u)
	if err := publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 60 { // G.711: needs no sequence header; after a second without video the stream is ready
		err := publisher.WriteTag(flv.Tag{Type: flv.AudioTag, Time: uint32(i * 20), Body: []byte{0x72, byte(i)}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 58 { // real time must pass too
			<-time.After(1100 * time.Millisecond)
		}
	}
	player := dial(t, u)
	if err := player.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the stop took %v", d)
	}
	for {
		if _, err := player.ReadTag(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the player ends with %v, want the end of the stream", err)
			}
			break
		}
	}
}

func dial(t *testing.T, u *url.URL) *rtmp.Client {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtmp.NewClient(t.Context(), conn, u, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
