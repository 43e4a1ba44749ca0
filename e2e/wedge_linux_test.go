package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-media/vigil/e2e/faults"
)

// TestWedge makes a part of the program hang and sees that it is noticed, healed where that is possible, and told of, at nobody else's
// cost (issue 5). Those that take long, or need the right to freeze a volume, run
// with VIGIL_ROUNDS only.
func TestWedge(t *testing.T) {
	built(t, buildWedge)
	const always, faultsOnly, asRoot = "make test", "make faults", "make faults, as root"
	const together = 4 // they wait for most of the time, and processors are few
	var all sync.WaitGroup
	places := make(chan struct{}, together)
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
		when string
	}{
		{"livelock", wedgeLivelock, always},
		{"hub", wedgeHub, always},
		{"hub-lock", wedgeHubLock, always},
		{"volume", wedgeVolume, always},
		{"request", wedgeRequest, always},
		{"sink", wedgeSink, always},
		{"fanout", wedgeFanout, always},
		{"shard", wedgeShard, always},
		{"accept", wedgeAccept, always},
		{"requests", wedgeRequests, faultsOnly},
		{"freeze", wedgeFreeze, asRoot},
		{"frozen-lock", wedgeFrozenLock, asRoot},
	} {
		switch {
		case c.when != always && os.Getenv("VIGIL_ROUNDS") == "":
			continue
		case c.when == asRoot && os.Getuid() != 0:
			t.Log("not run without root: " + c.name)
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(c.name, c.run)
		})
	}
	all.Wait()
}

// wedgeRequest has a handler of the API hang.
func wedgeRequest(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	lists := feel(t, "http://"+w.http+"/api/v1/streams", w.secret)
	answered := make(chan answer, 1)
	w.armed = time.Now()
	go func() {
		answered <- w.request(t, http.MethodPost, "/api/v1/wedge/request", w.authorized())
	}()
	w.find(t, 5*time.Second, "request", "POST /api/v1/wedge/request", "stuck")
	w.detected = time.Now()
	a := <-answered
	if took := time.Since(w.armed); a.status != http.StatusServiceUnavailable || took > 5*time.Second {
		t.Errorf("the request is answered with %d after %v: %s", a.status, took, a.body)
	}
	w.find(t, 10*time.Second, "abandoned", "POST /api/v1/wedge/request", "")
	w.healed = time.Now()
	w.evidence(t, 10*time.Second, "verdict.txt", "POST /api/v1/wedge/request")
	w.unhurt(t)
	w.figures(t)
	_, fails, worst := lists.seen()
	t.Logf("lists of streams: 99 of 100 within %v, the slowest after %v", lists.percentile(99), worst)
	if len(fails) > 0 || lists.percentile(99) > 200*time.Millisecond {
		t.Errorf("lists of streams: 99 of 100 within %v; %v", lists.percentile(99), fails)
	}
	w.release(t, "request")
	within(t, 5*time.Second, "nothing is left of it", func() bool { return len(w.class("abandoned").Loops) == 0 })
}

// wedgeRequests has as many handlers hang as there are places, twice.
func wedgeRequests(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	const each = 70
	w.armed = time.Now()
	for range 2 {
		for range each {
			go func() {
				req, err := http.NewRequest(http.MethodPost, "http://"+w.http+"/api/v1/wedge/request", nil)
				if err != nil {
					return
				}
				req.Header.Set("Authorization", "Bearer "+w.secret)
				if res, err := web.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}()
		}
		w.find(t, 6*time.Second, "request", "POST /api/v1/wedge/request", "stuck")
		w.detected = time.Now()
		within(t, 10*time.Second, "all are given up", func() bool {
			all := w.class("request")
			return all.Class != "" && len(all.Loops) == 1
		})
		w.healed = time.Now()
	}
	if n := len(w.class("abandoned").Loops); n < 100 {
		t.Errorf("only %d were given up", n)
	}
	w.unhurt(t)
	w.figures(t)
	w.release(t, "request")
	within(t, 5*time.Second, "nothing is left of them", func() bool { return len(w.class("abandoned").Loops) == 0 })
}

// wedgeHub has the loop that judges leases hang.
func wedgeHub(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t, "publish.resume_window=0s")
	w.arm(t, "hub")
	w.find(t, 5*time.Second, "registry", "hub leases", "stuck")
	w.detected = time.Now()
	w.find(t, 12*time.Second, "abandoned", "hub leases", "")
	w.healed = time.Now()
	if c := w.class("registry"); c.Healed != 1 {
		t.Errorf("healed %d times", c.Healed)
	}
	gone, err := faults.Publish(t.Context(), w.target("vanished"), faults.RTMP, both(2))
	if err != nil {
		t.Fatal(err)
	}
	defer encode(t, gone)()
	within(t, 5*time.Second, "it publishes", func() bool {
		st, ok := w.stream(t, "vanished")
		return ok && st.Publisher != nil
	})
	if err = gone.Vanish(); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the name of one that has vanished is free again", func() bool {
		st, ok := w.stream(t, "vanished")
		return !ok || st.Publisher == nil
	})
	w.evidence(t, 10*time.Second, "verdict.txt", "hub leases")
	w.unhurt(t)
	w.figures(t)
	w.release(t, "hub")
	within(t, 5*time.Second, "the first judge is gone", func() bool { return len(w.class("abandoned").Loops) == 0 })
}

// serves waits until somebody can publish to a stream and watch it.
func (w *wedged) serves(t testing.TB, limit time.Duration, name string) {
	t.Helper()
	within(t, limit, "new connections are served", func() bool {
		p, err := faults.Publish(t.Context(), w.target(name), faults.RTMP, both(3))
		if err != nil {
			return false
		}
		defer encode(t, p)()
		v := watch(t.Context(), w.target(name), faults.HTTP)
		defer v.close()
		return eventually(2*time.Second, func() bool { return v.units() > 0 || v.over() }) && v.units() > 0
	})
}

// replaced waits for the verdict, sees that another worker serves within 3 s of it, that nobody was refused a connection meanwhile, and
// that the last words of the old one are kept.
func (w *wedged) replaced(t testing.TB, limit time.Duration, culprit, words string) {
	t.Helper()
	w.says(t, limit, "the worker is wedged")
	w.detected = time.Now()
	w.serves(t, 3*time.Second, "after")
	w.healed = time.Now()
	w.evidence(t, 10*time.Second, "last-words.txt", words)
	w.evidence(t, 5*time.Second, "verdict.txt", culprit)
	if s := w.status(t); s.PID == w.worker || s.Replacements != 1 || !strings.Contains(s.Why, culprit) {
		t.Errorf("%+v", s)
	}
	if n := w.refused.Load(); n > 0 {
		t.Errorf("%d connections were refused", n)
	}
	_, fails, worst := w.pulses[0].seen()
	if len(fails) > 0 || worst > time.Second {
		t.Errorf("the supervisor's /livez: the slowest after %v; %v", worst, fails)
	}
	w.figures(t)
}

// wedgeHubLock has somebody keep the hub's lock: only another process helps.
func wedgeHubLock(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	w.knock(t)
	w.arm(t, "hub-lock")
	w.replaced(t, 30*time.Second, "registry hub leases", "sync.(*Mutex).Lock")
}

// wedgeLivelock has nothing of the process run any more.
func wedgeLivelock(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	w.knock(t)
	w.arm(t, "livelock")
	w.replaced(t, 40*time.Second, "no heartbeat", "goroutine ")
}

// wedgeFanout has a publisher hang in its own stream.
func wedgeFanout(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	names := []string{"canary", "a", "b"}
	viewers := map[string][]*watcher{"canary": w.canary}
	for i, name := range names[1:] {
		publishSim(t, w.target(name), faults.RTMP, both(byte(i+4)))
		viewers[name] = w.attend(t, name, 2)
	}
	w.quiet(t)
	w.arm(t, "fanout")
	hung := strings.TrimPrefix(w.find(t, 5*time.Second, "fanout", "live/", "stuck").Name, "live/")
	w.detected = time.Now()
	for _, v := range viewers[hung] {
		within(t, 8*time.Second, "viewers of "+hung+" are ended", v.over)
	}
	w.healed = time.Now()
	w.says(t, 2*time.Second, "gave up a stream that hangs")
	w.says(t, 2*time.Second, "stopped playing live/"+hung+": stuck: a unit has not got through for")
	p, took, attempts, err := faults.Insist(t.Context(), w.target(hung), faults.RTMP, both(9), 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("live/%s hung; another publisher is let in after %v, at attempt %d", hung, took, attempts)
	defer encode(t, p)()
	if took > 500*time.Millisecond {
		t.Errorf("the key is free after %v", took)
	}
	viewers[hung] = w.attend(t, hung, 2)
	w.canary = nil
	for _, name := range names {
		w.canary = append(w.canary, viewers[name]...)
	}
	w.evidence(t, 10*time.Second, "verdict.txt", "live/"+hung)
	hold(2 * time.Second)
	w.unhurt(t)
	w.figures(t)
	w.release(t, "fanout")
	within(t, 5*time.Second, "nothing is left of it", func() bool { return len(w.class("abandoned").Loops) == 0 })
}

// quiet waits until the probe has just been there, so that it is not the probe that passes a point next.
func (w *wedged) quiet(t testing.TB) {
	t.Helper()
	within(t, 10*time.Second, "the probe has been there", func() bool {
		var said struct {
			Age float64 `json:"probe_age_s"`
		}
		_, body := w.ask(t, http.MethodGet, "/status")
		return json.Unmarshal(body, &said) == nil && said.Age < 0.5
	})
}

// wedgeShard has a shard hang while it sends to a viewer. That one viewer is lost, whoever it is.
func wedgeShard(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	publishSim(t, w.target("other"), faults.RTMP, both(4))
	all := append(w.attend(t, "canary", 8), w.attend(t, "other", 8)...)
	all = append(all, w.canary...)
	w.quiet(t)
	w.arm(t, "shard")
	w.says(t, 3*time.Second, "shard shard")
	w.detected = time.Now()
	w.says(t, 3*time.Second, "another goroutine goes on without it")
	w.healed = time.Now()
	ended := 0
	within(t, 5*time.Second, "the viewer is ended", func() bool {
		w.canary, ended = nil, 0
		for _, v := range all {
			if v.over() {
				ended++
			} else {
				w.canary = append(w.canary, v)
			}
		}
		return ended > 0
	})
	w.evidence(t, 10*time.Second, "verdict.txt", "shard")
	hold(2 * time.Second)
	if c := w.class("shard"); ended != 1 || c.Healed != 1 || len(w.class("abandoned").Loops) != 1 {
		t.Errorf("%d viewers are lost; healed %d times, %+v", ended, c.Healed, w.class("abandoned"))
	}
	w.unhurt(t)
	w.figures(t)
	w.release(t, "shard")
	within(t, 5*time.Second, "nothing is left of it", func() bool { return len(w.class("abandoned").Loops) == 0 })
}

// wedgeSink has the reader of the log stopped (D03), and the server ended like that (D06).
func wedgeSink(t *testing.T) { //nolint:thelper // a case of TestWedge
	w, reader := servePiped(t, "log.level=debug")
	stop := func() {
		signal(t, reader, syscall.SIGSTOP)
		w.armed = time.Now()
		within(t, 15*time.Second, "the log's console is stuck", func() bool {
			w.chatter(t)
			return strings.Contains(w.metrics(t), `vigil_log_stuck{sink="console"} 1`)
		})
	}
	stop()
	w.detected = time.Now()
	if l := w.find(t, time.Second, "sink", "console", "stuck"); l.Busy < 2 {
		t.Errorf("%+v", l)
	}
	within(t, 3*time.Second, "there is an alarm", func() bool { return strings.Contains(w.alarms(t), `"log"`) })
	w.serves(t, 3*time.Second, "meanwhile")
	hold(2 * time.Second)
	w.unhurt(t)
	signal(t, reader, syscall.SIGCONT)
	began := time.Now()
	within(t, 2*time.Second, "the log says what is missing", func() bool { return dropped.MatchString(w.errors.String()) })
	w.healed = time.Now()
	t.Logf("%v after SIGCONT: %q", time.Since(began).Round(time.Millisecond), dropped.FindString(w.errors.String()))
	w.unhurt(t)
	w.figures(t)
	stop()
	began = w.shutsQuickly(t)
	if code := w.wait(t, 5*time.Second-time.Since(began)); code != 0 {
		t.Errorf("it ends with code %d", code)
	}
	t.Logf("SIGTERM: ended after %v", time.Since(began).Round(time.Millisecond))
	signal(t, reader, syscall.SIGCONT)
}

var dropped = regexp.MustCompile(`the console took nothing for \d+ s: \d+ log messages dropped`)

// servePiped is serveWedged with a log that another process reads from a pipe.
func servePiped(t *testing.T, settings ...string) (w *wedged, reader *process) {
	t.Helper()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = unix.FcntlInt(out.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	w = bear(t, t.TempDir(), settings...)
	cmd := commandFrom(t, client(t, "sh"), append([]string{"-c", `exec "$0" "$@" >&3 2>&3 3>&-`, built(t, buildWedge)}, w.flags...)...)
	prepareFamily(cmd)
	cmd.ExtraFiles = []*os.File{out}
	w.process = launch(t, cmd)
	cat := exec.Command(client(t, "cat"))
	cat.Stdin = r
	reader = launch(t, cat)
	_, _ = r.Close(), out.Close()
	go func() { // launch has its own ideas of where output goes
		for tick := time.NewTicker(10 * time.Millisecond); !reader.ended(); <-tick.C {
			all := reader.out.String()
			for _, o := range []*output{&w.out, &w.errors} {
				_, _ = o.Write([]byte(all[len(o.String()):]))
			}
		}
	}()
	w.watchOver(t)
	w.sing(t)
	return w, reader
}

// chatter makes the program log.
func (w *wedged) chatter(t testing.TB) {
	t.Helper()
	for range 20 {
		if p, err := faults.Publish(t.Context(), w.target("chatter"), faults.RTMP, both(7)); err == nil {
			_ = p.Close()
		}
	}
}

// metrics is what the program tells to Prometheus.
func (w *wedged) metrics(t testing.TB) string {
	t.Helper()
	return w.request(t, http.MethodGet, "/metrics", w.authorized()).body
}

// alarms is what the API tells of alarms.
func (w *wedged) alarms(t testing.TB) string {
	t.Helper()
	return w.request(t, http.MethodGet, "/api/v1/alarms", w.authorized()).body
}

func signal(t testing.TB, p *process, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// shutsQuickly sends SIGTERM and sees that nobody can connect any more, and that viewers are ended, within 5 s. It returns when that began.
func (w *wedged) shutsQuickly(t testing.TB) (began time.Time) {
	t.Helper()
	began = time.Now()
	signal(t, w.process, syscall.SIGTERM)
	open := ""
	if !eventually(5*time.Second, func() bool {
		open = ""
		for _, address := range []string{w.rtmp, w.rtsp, w.http} {
			if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				_ = conn.Close()
				open += " " + address
			}
		}
		for _, v := range w.canary {
			if !v.over() {
				open += " " + string(v.way)
			}
		}
		return open == ""
	}) {
		t.Errorf("5 s after SIGTERM there are still%s\n%s", open, w.errors.tail(15))
	}
	t.Logf("SIGTERM: sockets closed after %v", time.Since(began).Round(time.Millisecond))
	return began
}

// wedgeVolume has operations on files hang.
func wedgeVolume(t *testing.T) { //nolint:thelper // a case of TestWedge
	w := serveWedged(t)
	w.arm(t, "volume")
	for range 4 {
		w.request(t, http.MethodPost, "/api/v1/wedge/volume", w.authorized())
	}
	w.find(t, 5*time.Second, "volume", "data", "slow")
	w.detected = time.Now()
	within(t, 15*time.Second, "the volume is degraded", func() bool {
		return strings.Contains(w.metrics(t), `vigil_volume_state{volume="data"} 3`)
	})
	w.healed = time.Now()
	within(t, 3*time.Second, "there is an alarm", func() bool { return strings.Contains(w.alarms(t), `"disk"`) })
	w.serves(t, 3*time.Second, "meanwhile")
	if said, err := unpack(w.bundle(t), "verdict.txt"); err != nil || !strings.Contains(said, "volume data") {
		t.Errorf("%v: %s", err, said)
	}
	w.unhurt(t)
	w.figures(t)
	w.release(t, "volume")
	within(t, 5*time.Second, "the volume is well", func() bool {
		return strings.Contains(w.metrics(t), `vigil_volume_state{volume="data"} 0`)
	})
}
