package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
)

// server is the program under test, running.
type server struct {
	*process
	rtmp, http, rtsp    string // addresses
	rtmps, https, rtsps string // the same with TLS, if it has that
	trust               *tls.Config
	data                string
	secret              string
}

var listening = regexp.MustCompile(`(?m)^  (RTMPS?|RTSPS?|HTTPS?) +(127\.0\.0\.1:\d+)$`)

// serve starts the program on free ports with settings KEY=VALUE, waits until it is ready, and stops it when the test ends:
// in order, without a race or a panic.
func serve(t testing.TB, settings ...string) *server {
	t.Helper()
	return serveFrom(t, program(t), settings...)
}

// serveFrom is serve with the program at path.
func serveFrom(t testing.TB, path string, settings ...string) *server {
	t.Helper()
	s := bootFrom(t, path, append([]string{"rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0", "data=" + t.TempDir()}, settings...)...)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// serveTLS is serve with RTMPS and HTTPS too.
func serveTLS(t testing.TB, settings ...string) *server {
	t.Helper()
	cert, key, trust := certify(t)
	s := serve(t, append([]string{
		"rtmp.tls.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0", "rtsp.tls.listen=127.0.0.1:0", "tls.cert=" + cert, "tls.key=" + key,
	}, settings...)...)
	s.trust = trust
	if s.rtmps == "" || s.https == "" || s.rtsps == "" {
		t.Fatalf("the program does not tell where it listens with TLS:\n%s", s.out.String())
	}
	return s
}

// certify makes a certificate for 127.0.0.1, and the configuration of clients that trust it.
func certify(t testing.TB) (cert, key string, trust *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public})
	for file, b := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	trust.RootCAs.AppendCertsFromPEM(chain)
	return cert, key, trust
}

// target is the stream live/name for players of our own.
func (s *server) target(name string) faults.Target {
	return faults.Target{
		RTMP: s.rtmp, HTTP: s.http, RTSP: s.rtsp, RTMPS: s.rtmps, HTTPS: s.https, RTSPS: s.rtsps, TLS: s.trust, Live: "live/" + name,
	}
}

// environment is this process's, without what the program would take for settings of its own.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "VIGIL_") })
}

// command is a run of the program with arguments, not started yet.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return commandFrom(t, program(t), args...)
}

// commandFrom is command with the program at path.
func commandFrom(t testing.TB, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(environment(), "GORACE=halt_on_error=0 exitcode=66")
	return cmd
}

// boot starts the program with settings and waits until it is ready.
func boot(t testing.TB, settings ...string) *server {
	t.Helper()
	return bootFrom(t, program(t), settings...)
}

// bootFrom is boot with the program at path.
func bootFrom(t testing.TB, path string, settings ...string) *server {
	t.Helper()
	args := []string{"--no-supervisor"} // these tests look at the process that serves; see family_test.go
	s := &server{}
	for _, kv := range settings {
		args = append(args, "--set", kv)
		if v, ok := strings.CutPrefix(kv, "data="); ok {
			s.data = v
		}
	}
	s.process = launch(t, commandFrom(t, path, args...))
	s.awaitBoot(t)
	return s
}

// awaitBoot reads from the start-up screen where the program listens, waits until it is ready, and reads its secret.
func (s *server) awaitBoot(t testing.TB) {
	t.Helper()
	within(t, 90*time.Second, "the program tells where it listens", func() bool {
		for _, m := range listening.FindAllStringSubmatch(s.out.String(), -1) {
			*map[string]*string{
				"RTMP": &s.rtmp, "HTTP": &s.http, "RTSP": &s.rtsp, "RTMPS": &s.rtmps, "HTTPS": &s.https, "RTSPS": &s.rtsps,
			}[m[1]] = m[2]
		}
		return s.rtmp != "" && s.http != "" && s.rtsp != "" || s.ended()
	})
	if s.ended() {
		t.Fatalf("the program has ended\n%s", s.errors.tail(20))
	}
	s.awaitReady(t)
	b, err := os.ReadFile(filepath.Join(s.data, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	s.secret = strings.TrimSpace(string(b))
}

func (s *server) awaitReady(t testing.TB) {
	t.Helper()
	within(t, 20*time.Second, "/readyz answers 200", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http+"/readyz", nil)
		if err != nil {
			return false
		}
		res, err := web.Do(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// stop ends the program as an operator does, and judges how it went.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if !s.ended() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	if code := s.wait(t, 15*time.Second); code != 0 {
		t.Errorf("the program ended with exit code %d\n%s", code, s.errors.tail(20))
	}
	s.healthy(t)
}

var sickness = regexp.MustCompile(`(?i)DATA RACE|panic|fatal error|unexpected fault`)

// healthy looks for signs of illness in what the program wrote.
func (s *server) healthy(t testing.TB) {
	t.Helper()
	log := s.errors.String()
	if at := sickness.FindStringIndex(log); at != nil {
		t.Errorf("the program is ill:\n%s", log[max(0, at[0]-200):min(len(log), at[0]+6000)])
	}
	if t.Failed() {
		t.Logf("the program's log ended:\n%s", s.errors.tail(25))
	}
}

// web is the HTTP client of the tests. Every request has a connection of its own, so that none is left over.
var web = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// rtmpURL and flvURL are where the stream live/name is.
func (s *server) rtmpURL(name string) string { return "rtmp://" + s.rtmp + "/live/" + name }

// rtspURL is the same for RTSP.
func (s *server) rtspURL(name string) string { return "rtsp://" + s.rtsp + "/live/" + name }

func (s *server) flvURL(name string) string {
	return "http://" + s.http + "/live/" + name + ".live.flv"
}

func (s *server) wsURL(name string) string { return "ws://" + s.http + "/live/" + name + ".live.flv" }

// answer is what an HTTP request has brought.
type answer struct {
	request string // method and path
	status  int
	header  http.Header
	body    string
}

// request asks for a path.
func (s *server) request(t testing.TB, method, path string, header map[string]string) answer {
	t.Helper()
	u := url.URL{Scheme: "http", Host: s.http}
	req, err := http.NewRequestWithContext(t.Context(), method, u.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = res.Body.Close()
	return answer{method + " " + path, res.StatusCode, res.Header, string(body)}
}

// authorized is the header that carries the API's secret.
func (s *server) authorized() map[string]string {
	return map[string]string{"Authorization": "Bearer " + s.secret}
}

// apiSession, apiStream and apiStreams are what these tests read of the API's answer.
type (
	apiSession struct {
		ID, Protocol, Agent string
		Remote              string
		Sent                uint64 `json:"sent_bytes"`
		Received            uint64 `json:"received_bytes"`
		Skips               uint64
	}
	apiStream struct {
		Key, State string
		Epoch      uint64
		Ready      bool
		Tracks     []struct{ Kind, Codec, Description string }
		Viewers    map[string]int
		Publisher  *apiSession
		Sessions   []apiSession
	}
	apiStreams struct {
		Publishers, Viewers int
		Streams             []apiStream
		Waiting             []apiSessionAt
	}
	apiSessionAt struct{ Stream string }
)

// streams asks the API what is going on.
func (s *server) streams(t testing.TB) apiStreams {
	t.Helper()
	return s.list(t, "/api/v1/streams")
}

// counts asks for the sums alone, which costs the server next to nothing.
func (s *server) counts(t testing.TB) apiStreams {
	t.Helper()
	return s.list(t, "/api/v1/streams?brief=true")
}

func (s *server) list(t testing.TB, path string) apiStreams {
	t.Helper()
	a := s.request(t, http.MethodGet, path, s.authorized())
	var list apiStreams
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
		t.Fatalf("the API answers %d: %v\n%s", a.status, err, a.body)
	}
	return list
}

// stream returns the API's view of live/name.
func (s *server) stream(t testing.TB, name string) (apiStream, bool) {
	t.Helper()
	for _, st := range s.streams(t).Streams {
		if st.Key == "live/"+name {
			return st, true
		}
	}
	return apiStream{}, false
}

// waiting is how many viewers wait for live/name to be published.
func (s *server) waiting(t testing.TB, name string) int {
	t.Helper()
	n := 0
	for _, w := range s.streams(t).Waiting {
		if w.Stream == "live/"+name {
			n++
		}
	}
	return n
}

// awaitWaiting waits until n viewers wait for live/name.
func (s *server) awaitWaiting(t testing.TB, name string, n int) {
	t.Helper()
	within(t, 30*time.Second, "the viewers of live/"+name+" have come", func() bool { return s.waiting(t, name) >= n })
}
