package e2e

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freezer is a volume that can be frozen: what is done on it then hangs in the kernel, out of reach of any signal. A process of its own
// thaws it, however these tests end.
type freezer struct {
	dir    string
	thawer *exec.Cmd
	leash  io.Closer // as long as it is open, the volume may be frozen
}

// thawTime is how long a volume may be frozen at the most, in seconds.
const thawTime = "60"

// newFreezer mounts one, for which it has to be root.
func newFreezer(t *testing.T) *freezer {
	t.Helper()
	f := &freezer{dir: t.TempDir()}
	image := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, f.dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, bytes.TrimSpace(out))
		}
	}
	f.thawer = exec.Command("bash", "-c", `trap "" TERM INT HUP; read -t `+thawTime+` _; fsfreeze -u "$0"; sleep 1; umount -l "$0"`, f.dir)
	f.thawer.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := f.thawer.StdinPipe()
	if err == nil {
		err = f.thawer.Start()
	}
	if err != nil {
		_ = exec.Command("umount", "-l", f.dir).Run()
		t.Fatal(err)
	}
	f.leash = leash
	t.Cleanup(func() { f.thaw() })
	return f
}

// freeze freezes the volume.
func (f *freezer) freeze(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("fsfreeze", "-f", f.dir).CombinedOutput(); err != nil {
		t.Fatalf("fsfreeze: %v: %s", err, out)
	}
}

// thaw has the volume thawed and unmounted, and waits for that.
func (f *freezer) thaw() {
	_ = f.leash.Close()
	_ = f.thawer.Wait()
}

// wedgeFreeze freezes the volume with all data and the log (D01, D06): it costs neither media nor API, nor does it keep SIGTERM from ending
// what peers can see.
func wedgeFreeze(t *testing.T) { //nolint:thelper // a case of TestWedge
	f := newFreezer(t)
	elsewhere := t.TempDir()
	w := serveWedgedOn(t, f.dir, []string{"TMPDIR=" + elsewhere}, "log.file="+filepath.Join(f.dir, "vigil.log"), "log.level=debug")
	f.freeze(t)
	w.armed = time.Now()
	within(t, 15*time.Second, "the log's file is stuck", func() bool {
		w.chatter(t)
		return strings.Contains(w.metrics(t), `vigil_log_stuck{sink="file"} 1`)
	})
	w.detected, w.healed = time.Now(), time.Now()
	if path := w.bundle(t, "api.secret="+w.secret); !strings.HasPrefix(path, elsewhere) {
		t.Errorf("evidence is kept in %s\n%s", path, evidenceLines(w))
	}
	w.serves(t, 3*time.Second, "meanwhile")
	hold(10 * time.Second)
	w.unhurt(t)
	w.figures(t)
	began := w.shutsQuickly(t)
	within(t, 10*time.Second, "the supervisor has closed its port", func() bool {
		conn, err := net.DialTimeout("tcp", w.health, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	next := serveWedgedOn(t, t.TempDir(), nil, "rtmp.listen="+w.rtmp, "http.listen="+w.http, "watch.listen="+w.health)
	defer next.stop(t) // what hangs in the kernel cannot end, but it has no ports any more
	took := time.Since(began)
	if t.Logf("SIGTERM: another program serves on the same ports after %v", took.Round(time.Millisecond)); took > 10*time.Second {
		t.Error("that is too late")
	}
	f.thaw()
	t.Logf("exit code %d", w.wait(t, 15*time.Second))
}

// wedgeFrozenLock does the same to a server whose worker has to be replaced (D06): though it cannot end, its connections are closed, and
// another serves on its ports.
func wedgeFrozenLock(t *testing.T) { //nolint:thelper // a case of TestWedge
	f := newFreezer(t)
	elsewhere := t.TempDir()
	w := serveWedgedOn(t, f.dir, []string{"TMPDIR=" + elsewhere}, "log.file="+filepath.Join(f.dir, "vigil.log"))
	f.freeze(t)
	w.chatter(t) // so that the log hangs
	w.arm(t, "hub-lock")
	w.says(t, 30*time.Second, "the worker is wedged")
	w.detected = time.Now()
	if !eventually(5*time.Second, func() bool {
		return !slices.ContainsFunc(w.canary, func(v *watcher) bool { return !v.over() })
	}) {
		t.Errorf("5 s after the verdict its connections are open\n%s", w.errors.tail(15))
	}
	t.Logf("its connections are closed %v after the verdict", time.Since(w.detected).Round(time.Millisecond))
	w.serves(t, 10*time.Second, "after")
	w.healed = time.Now()
	w.figures(t)
	f.thaw()
	w.stop(t)
}

// evidenceLines is what the log says of evidence.
func evidenceLines(w *wedged) string {
	var all []string
	for line := range strings.Lines(w.errors.String()) {
		if strings.Contains(line, "evidence") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}
