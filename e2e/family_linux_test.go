package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// family is a supervisor and its worker, running: the program as people start it.
type family struct {
	*server
	health string // the supervisor's address
	flags  []string
}

var familyHealth = regexp.MustCompile(`(?m)^  health +(127\.0\.0\.1:\d+)$`)

// familyRounds is how often workers are killed, with the load and the pauses of the full version: VIGIL_FAMILY, or 0 for the short one.
func familyRounds(t testing.TB) int {
	t.Helper()
	text := os.Getenv("VIGIL_FAMILY")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("VIGIL_FAMILY=%q is no number of rounds", text)
	}
	return n
}

// inFull is full in the full version, and short otherwise.
func inFull[T any](t testing.TB, full, short T) T {
	t.Helper()
	if familyRounds(t) > 0 {
		return full
	}
	return short
}

// raise starts a family with settings KEY=VALUE, waits until it is ready, and stops it when the test ends.
func raise(t testing.TB, settings ...string) *family {
	t.Helper()
	f := rear(t, settings...)
	f.awaitFamily(t)
	t.Cleanup(func() { f.stop(t) })
	return f
}

// rear starts a family, and leaves the rest to the test. A setting that begins with -- is a flag.
func rear(t testing.TB, settings ...string) *family {
	t.Helper()
	return rearAs(t, func(*exec.Cmd) {}, settings...)
}

// rearAs is rear with a command that has been changed by how.
func rearAs(t testing.TB, how func(*exec.Cmd), settings ...string) *family {
	t.Helper()
	f := &family{server: &server{}}
	all := append([]string{
		"rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "rtsp.listen=127.0.0.1:0", "watch.listen=127.0.0.1:0", "data=" + t.TempDir(),
	}, settings...)
	for _, kv := range all {
		if strings.HasPrefix(kv, "--") {
			f.flags = append(f.flags, kv)
			continue
		}
		f.flags = append(f.flags, "--set", kv)
		if v, ok := strings.CutPrefix(kv, "data="); ok {
			f.data = v
		}
	}
	cmd := command(t, f.flags...)
	prepareFamily(cmd)
	how(cmd)
	f.process = launch(t, cmd)
	return f
}

// prepareFamily gives a family a group of processes of its own, as a shell does, and has the race detector not wait at its end.
func prepareFamily(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, "GORACE=halt_on_error=0 exitcode=66 atexit_sleep_ms=0")
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// awaitFamily waits until the family is ready.
func (f *family) awaitFamily(t testing.TB) {
	t.Helper()
	f.awaitBoot(t)
	if m := familyHealth.FindStringSubmatch(f.out.String()); m != nil {
		f.health = m[1]
	}
}

// familyStatus is what the supervisor says of itself.
type familyStatus struct {
	Live, Ready  struct{ OK bool }
	Worker, PID  int
	Replacements int
	SafeMode     bool   `json:"safe_mode"`
	Why          string `json:"last_replacement"`
	Probe        string
}

// ask asks the supervisor for a path.
func (f *family) ask(t testing.TB, method, path string) (status int, body []byte) {
	t.Helper()
	s := &server{http: f.health, secret: f.secret}
	a := s.request(t, method, path, s.authorized())
	return a.status, []byte(a.body)
}

func (f *family) status(t testing.TB) (s familyStatus) {
	t.Helper()
	code, body := f.ask(t, http.MethodGet, "/status")
	if err := json.Unmarshal(body, &s); err != nil || code != http.StatusOK {
		t.Fatalf("the supervisor answers %d: %v\n%s", code, err, body)
	}
	return s
}

// awaitWorker waits until the worker after number serves, and has been seen to by a probe.
func (f *family) awaitWorker(t testing.TB, number int, limit time.Duration) (s familyStatus) {
	t.Helper()
	within(t, limit, fmt.Sprintf("another worker than %d serves", number), func() bool {
		s = f.status(t)
		return s.Worker > number && s.PID > 0
	})
	return s
}

// signalWorker sends the worker a signal, and returns what it was.
func (f *family) signalWorker(t testing.TB, sig syscall.Signal) familyStatus {
	t.Helper()
	s := f.status(t)
	if err := syscall.Kill(s.PID, sig); err != nil {
		t.Fatalf("worker %d, process %d: %v", s.Worker, s.PID, err)
	}
	return s
}

// unharmed fails unless the same worker serves as before, and nothing was done about it.
func (f *family) unharmed(t testing.TB, before familyStatus) {
	t.Helper()
	if now := f.status(t); now.PID != before.PID || now.Replacements != before.Replacements {
		t.Errorf("the worker was %d, process %d, and is %d, process %d: %s\n%s",
			before.Worker, before.PID, now.Worker, now.PID, now.Why, f.errors.tail(20))
	}
}

// command is a run of the program with the family's flags.
func (f *family) command(t testing.TB, args ...string) *process {
	t.Helper()
	cmd := command(t, append(args, f.flags...)...)
	cmd.Env = append(cmd.Env, "GORACE=exitcode=66 atexit_sleep_ms=0")
	return launch(t, cmd)
}

// alive says whether there is a process with that id.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// logged waits until the log holds words.
func (f *family) logged(t testing.TB, words string, limit time.Duration) {
	t.Helper()
	within(t, limit, fmt.Sprintf("the log holds %q", words), func() bool { return strings.Contains(f.errors.String(), words) })
}

// bundles lists the files of evidence.
func (f *family) bundles(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(f.data, "bundles", "*.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// verdict is what a bundle says in plain language.
func verdict(t testing.TB, file string) string {
	t.Helper()
	return run(t, "tar", "-xzOf", file, "--wildcards", "*verdict*")
}

// fixedPorts are settings with ports that commands can find.
func fixedPorts(t testing.TB) []string {
	t.Helper()
	p := freePorts(t, 3)
	return []string{"rtmp.listen=" + p[0], "http.listen=" + p[1], "watch.listen=" + p[2]}
}
