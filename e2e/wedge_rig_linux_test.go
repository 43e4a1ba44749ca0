package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
)

// wedged is a program with its supervisor that can be made to hang (see internal/wedge), with a stream that has nothing to do with what
// hangs, and somebody who looks all the time whether it lives.
type wedged struct {
	*family
	worker   int // the first one's process id
	canary   []*watcher
	pulses   []*pulse
	refused  atomic.Int64 // connections
	armed    time.Time
	detected time.Time
	healed   time.Time
}

// serveWedged starts one and stops it with the test.
func serveWedged(t *testing.T, settings ...string) *wedged {
	t.Helper()
	w := serveWedgedOn(t, t.TempDir(), nil, settings...)
	t.Cleanup(func() { w.stop(t) })
	return w
}

// serveWedgedOn is serveWedged with a folder for the data, and more of an environment. The test stops it.
func serveWedgedOn(t *testing.T, data string, env []string, settings ...string) *wedged {
	t.Helper()
	w := bear(t, data, settings...)
	cmd := commandFrom(t, built(t, buildWedge), w.flags...)
	prepareFamily(cmd)
	cmd.Env = append(cmd.Env, env...)
	w.process = launch(t, cmd)
	w.watchOver(t)
	w.sing(t)
	return w
}

// bear makes one that has yet to be started.
func bear(t *testing.T, data string, settings ...string) *wedged {
	t.Helper()
	w := &wedged{family: &family{server: &server{data: data}}}
	for _, kv := range append([]string{
		"rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0", "watch.listen=127.0.0.1:0", "data=" + w.data,
	}, settings...) {
		w.flags = append(w.flags, "--set", kv)
	}
	return w
}

// watchOver waits until the program serves, and begins to look whether it lives.
func (w *wedged) watchOver(t *testing.T) {
	t.Helper()
	w.awaitFamily(t)
	within(t, 20*time.Second, "the probe is well", func() bool { return w.status(t).Probe == "ok" })
	w.worker = w.status(t).PID
	for _, address := range []string{w.health, w.http} {
		w.pulses = append(w.pulses, feel(t, "http://"+address+"/livez", ""))
	}
}

// knock connects to the worker's ports twenty times a second, and counts how often nobody listens.
func (w *wedged) knock(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(50 * time.Millisecond); t.Context().Err() == nil; <-tick.C {
			for _, address := range []string{w.rtmp, w.rtsp, w.http} {
				conn, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					w.refused.Add(1)
					continue
				}
				_ = conn.Close()
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

// sing begins to publish the canary, and to watch it.
func (w *wedged) sing(t *testing.T) {
	t.Helper()
	to := w.target("canary")
	publishSim(t, to, faults.RTMP, both(1))
	w.canary = w.attend(t, "canary", 1)
}

// attend has a number of watchers watch a stream over RTMP and over HTTP-FLV.
func (w *wedged) attend(t *testing.T, name string, each int) (all []*watcher) {
	t.Helper()
	for range each {
		for _, way := range []faults.Way{faults.RTMP, faults.HTTP} {
			v := watch(t.Context(), w.target(name), way)
			t.Cleanup(v.close)
			all = append(all, v)
		}
	}
	within(t, 20*time.Second, "all watch "+name, func() bool {
		return !slices.ContainsFunc(all, func(v *watcher) bool { return v.units() == 0 && !v.over() })
	})
	return all
}

// bundle has the command vigil bundle run, and returns what it prints.
func (w *wedged) bundle(t testing.TB, more ...string) string {
	t.Helper()
	args := []string{"bundle"}
	for _, kv := range append([]string{"http.listen=" + w.http, "watch.listen=" + w.health, "data=" + w.data}, more...) {
		args = append(args, "--set", kv)
	}
	b := launch(t, commandFrom(t, built(t, buildWedge), args...))
	b.succeed(t, 30*time.Second)
	return strings.TrimSpace(b.out.String() + b.errors.String())
}

// arm makes a point hang, and notes when.
func (w *wedged) arm(t testing.TB, point string) {
	t.Helper()
	w.armed = time.Now()
	if a := w.request(t, http.MethodPost, "/api/v1/wedge/"+point, w.authorized()); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", a.request, a.status, a.body)
	}
}

// release lets go on what hangs at a point.
func (w *wedged) release(t testing.TB, point string) {
	t.Helper()
	if a := w.request(t, http.MethodDelete, "/api/v1/wedge/"+point, w.authorized()); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", a.request, a.status, a.body)
	}
}

// watchedLoop and watchedClass are what these tests read of /api/v1/watch.
type (
	watchedLoop struct {
		Name, Session, State string
		Busy                 float64 `json:"busy_s"`
	}
	watchedClass struct {
		Class  string
		Healed int
		Loops  []watchedLoop
	}
)

// class is the watch's view of a class of loops; the zero one if it cannot be had.
func (w *wedged) class(name string) watchedClass {
	var tree struct{ Classes []watchedClass }
	if w.get("/api/v1/watch", &tree) != nil {
		return watchedClass{}
	}
	for _, c := range tree.Classes {
		if c.Class == name {
			return c
		}
	}
	return watchedClass{}
}

// get asks the API without failing the test.
func (w *wedged) get(path string, body any) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+w.http+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.secret)
	res, err := web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return json.NewDecoder(res.Body).Decode(body)
}

// find waits until a loop whose name begins so is in a state, and returns it.
func (w *wedged) find(t testing.TB, limit time.Duration, class, name, state string) (found watchedLoop) {
	t.Helper()
	within(t, limit, class+" "+name+" is "+state, func() bool {
		for _, l := range w.class(class).Loops {
			if strings.HasPrefix(l.Name, name) && (state == "" || l.State == state) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// says waits until the program's standard error says something.
func (w *wedged) says(t testing.TB, limit time.Duration, text string) {
	t.Helper()
	within(t, limit, "the log says "+text, func() bool { return strings.Contains(w.errors.String(), text) })
}

// evidence waits until a bundle's file says something.
func (w *wedged) evidence(t testing.TB, limit time.Duration, file, text string) {
	t.Helper()
	var seen []string
	if !eventually(limit, func() bool {
		seen = nil
		paths, _ := filepath.Glob(filepath.Join(w.data, "bundles", "*.tar.gz")) // the pattern is sound
		for _, path := range paths {
			said, err := unpack(path, file)
			if err == nil && strings.Contains(said, text) {
				return true
			}
			seen = append(seen, fmt.Sprintf("%s: %v\n%s", path, err, said[:min(len(said), 3000)]))
		}
		return false
	}) {
		t.Fatalf("no bundle's %s says %q within %v: %s", file, text, limit, strings.Join(seen, "\n"))
	}
}

// unpack reads a file of a bundle.
func unpack(path, file string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return "", err
		}
		if h.Name == file {
			b, err := io.ReadAll(r)
			return string(b), err
		}
	}
}

// unhurt fails the test unless the same worker serves, and the canary has never been without a unit for long, nor missed one.
func (w *wedged) unhurt(t testing.TB) {
	t.Helper()
	if s := w.status(t); s.PID != w.worker || s.Replacements != 0 {
		t.Errorf("the worker was replaced: %+v", s)
	}
	for _, v := range w.canary {
		if err := v.fault(); err != nil {
			t.Errorf("the canary: %v", err)
		}
		if gap := v.gap(); gap > gapMax {
			t.Errorf("the canary over %s was without a unit for %v", v.way, gap)
		}
	}
	for _, p := range w.pulses {
		if n, fails, worst := p.seen(); len(fails) > 0 || worst > time.Second {
			t.Errorf("%s: of %d answers, the slowest took %v; %v", p.url, n, worst, fails)
		}
	}
}

// figures tells what docs/operations.md has.
func (w *wedged) figures(t testing.TB) {
	t.Helper()
	var gap time.Duration
	for _, v := range w.canary {
		gap = max(gap, v.gap())
	}
	t.Logf("detected after %v, healed after %v, the canary's longest gap %v", w.detected.Sub(w.armed).Round(time.Millisecond),
		w.healed.Sub(w.armed).Round(time.Millisecond), gap.Round(time.Millisecond))
	for _, p := range w.pulses {
		n, fails, worst := p.seen()
		t.Logf("%s: %d answers, the slowest after %v; others than 200: %v", p.url, n, worst.Round(time.Millisecond), fails)
	}
}

// pulse asks for a path ten times a second, and notes the answers.
type pulse struct {
	url string

	mu    sync.Mutex
	took  []time.Duration
	fails map[string]int // answers other than 200, and failures
}

// feel begins to ask.
func feel(t testing.TB, url, secret string) *pulse {
	t.Helper()
	p := &pulse{url: url, fails: map[string]int{}}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				p.ask(secret)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return p
}

func (p *pulse) ask(secret string) {
	req, err := http.NewRequest(http.MethodGet, p.url, nil)
	if err != nil {
		return
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	at, what := time.Now(), ""
	res, err := web.Do(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			what = strings.Join(strings.Fields(string(body)), " ")
		}
	}
	if err != nil {
		what = err.Error()[strings.LastIndex(err.Error(), ": ")+1:]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, time.Since(at))
	if what != "" {
		p.fails[what]++
	}
}

// seen is how many answers there were, those that were not 200, and how long the slowest took.
func (p *pulse) seen() (n int, fails map[string]int, worst time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.took), maps.Clone(p.fails), slices.Max(append(p.took, 0))
}

// percentile is how long so many of a hundred answers took at the most.
func (p *pulse) percentile(of int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Sorted(slices.Values(p.took))
	if len(all) == 0 {
		return 0
	}
	return all[len(all)*of/100]
}
