package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// browser is Chromium without a window, and the program that drives it. See browser/driver.mjs.
type browser struct {
	driver *process
	url    string
	client *http.Client
}

// browserMost is how long a test may have its browser; driverMost is more than the driver gives a question.
const (
	browserMost = 5 * time.Minute
	driverMost  = 90 * time.Second
)

// chromiumFlags make Chromium what a viewer has, but for what it does in the background, and hold it to this machine. The sandbox wants more
// rights than a container has; all pages are ours.
var chromiumFlags = strings.Fields(`--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio --no-first-run --no-default-browser-check
	--remote-debugging-port=0 --no-proxy-server --disable-background-networking --disable-component-update --disable-sync --disable-default-apps
	--disable-extensions --disable-breakpad --disable-crash-reporter --disable-background-timer-throttling --disable-renderer-backgrounding
	--disable-backgrounding-occluded-windows --password-store=basic --use-mock-keychain`)

var devTools = regexp.MustCompile(`(?m)^DevTools listening on (ws://\S+)$`)

// browse starts Chromium, and ends it with the test.
func browse(t testing.TB) *browser {
	t.Helper()
	dir := browserDir(t)
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run scripts/deps.sh (as `make deps` does), or install Debian's chromium")
	}
	home := t.TempDir()
	cmd := exec.Command(path, append(chromiumFlags,
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+filepath.Join(home, "profile"), "about:blank")...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "DBUS_SESSION_BUS_ADDRESS=disabled:")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	chromium := launch(t, cmd)
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with all its children
	t.Cleanup(kill)
	deadline := time.AfterFunc(browserMost, kill)
	t.Cleanup(func() { deadline.Stop() })
	within(t, 60*time.Second, "Chromium tells where its DevTools listen", func() bool {
		return devTools.MatchString(chromium.errors.String()) || chromium.ended()
	})
	found := devTools.FindStringSubmatch(chromium.errors.String())
	if found == nil {
		t.Fatalf("chromium has ended: %v\n%s", chromium.err, chromium.errors.tail(20))
	}
	drive := exec.Command(client(t, "node"), "driver.mjs", found[1])
	drive.Dir = dir
	b := &browser{driver: launch(t, drive), client: &http.Client{Timeout: driverMost, Transport: &http.Transport{}}}
	within(t, 60*time.Second, "the driver of Chromium is ready", func() bool {
		return strings.HasSuffix(b.driver.out.String(), "\n") || b.driver.ended()
	})
	if b.driver.ended() {
		t.Fatalf("the driver of Chromium has ended: %v\n%s\n%s", b.driver.err, b.driver.errors.tail(20), chromium.errors.tail(20))
	}
	b.url = "http://127.0.0.1:" + strings.TrimSpace(b.driver.out.String())
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// browserDir is where the driver lives.
func browserDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("browser")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"playwright-core", "hls.js", "mpegts.js"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err != nil {
			t.Fatalf("%s is missing: run scripts/npm.sh e2e/browser (as `make deps` does)", name)
		}
	}
	return dir
}

// ask has the driver do something, and reads what it says into value.
func (b *browser) ask(t testing.TB, question map[string]string, value any) {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatalf("the driver of Chromium: %v\n%s", err, b.driver.errors.tail(20))
	}
	defer func() { _ = res.Body.Close() }()
	said := struct {
		Value json.RawMessage
		Error string
	}{}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		t.Fatalf("the driver of Chromium: %v", err)
	}
	if said.Error != "" {
		t.Fatalf("%s %s: %s", question["do"], question["page"], said.Error)
	}
	if value == nil {
		return
	}
	if err := json.Unmarshal(said.Value, value); err != nil {
		t.Fatalf("%s %s: %v in %.500s", question["do"], question["page"], err, said.Value)
	}
}

// webPage is a page that is open, with an element that plays.
type webPage struct {
	*browser
	name   string // of the page, for the driver and for people
	url    string
	opened time.Time
}

// open opens a page.
func (b *browser) open(t testing.TB, name, url string) *webPage {
	t.Helper()
	p := &webPage{b, name, url, time.Now()}
	b.ask(t, map[string]string{"do": "open", "page": name, "url": url}, nil)
	return p
}

// told is what the playback page tells of itself: see web/README.md.
type told struct {
	Stream, State, Via, Player string
	Error                      struct{ Kind, Word, Message string }
	Codecs                     []string
	Latency                    float64
	CurrentTime                float64
	Muted                      bool
	Autoplay                   string
	Reconnects                 int
}

// vigil is what the page tells now.
func (p *webPage) vigil(t testing.TB) told {
	t.Helper()
	var now *told
	p.eval(t, "window.vigil", &now)
	if now == nil {
		return told{}
	}
	return *now
}

// eval runs a script in the page.
func (p *webPage) eval(t testing.TB, script string, value any) {
	t.Helper()
	p.ask(t, map[string]string{"do": "eval", "page": p.name, "script": script}, value)
}

// text is what an element says.
func (p *webPage) text(t testing.TB, id string) string {
	t.Helper()
	var s string
	p.eval(t, fmt.Sprintf("document.getElementById(%q).innerText", id), &s)
	return s
}

// click presses an element.
func (p *webPage) click(t testing.TB, selector string) {
	t.Helper()
	p.ask(t, map[string]string{"do": "click", "page": p.name, "selector": selector}, nil)
}

// close closes the page.
func (p *webPage) close(t testing.TB) {
	t.Helper()
	p.ask(t, map[string]string{"do": "close", "page": p.name}, nil)
}

// deeds are what a page has done since it was opened; samples: since they were last taken.
type deeds struct {
	Samples    []glance
	Requests   []string // addresses
	Messages   []string // errors and warnings of the console
	Violations []string // of the page's policy
	Dialogs    []string
	Odd        []string // requests that took long, or failed
}

// take asks what the page has done.
func (p *webPage) take(t testing.TB) deeds {
	t.Helper()
	var d deeds
	p.ask(t, map[string]string{"do": "take", "page": p.name}, &d)
	return d
}

// await waits until the page is in a state.
func (p *webPage) await(t testing.TB, limit time.Duration, state string) {
	t.Helper()
	var now told
	if eventually(limit, func() bool { now = p.vigil(t); return now.State == state }) {
		return
	}
	t.Fatalf("%s is not %s within %v: %+v\n%v", p.name, state, limit, now, p.take(t))
}

// String is for people.
func (d deeds) String() string {
	return fmt.Sprintf("the console said:\n%s\nrequests that took long, or failed:\n%s\n%s",
		strings.Join(d.Messages, "\n"), strings.Join(d.Odd, "\n"), table(d.Samples))
}
