package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// work is a folder for what the tests of a run share: the program, the clips.
var work string

func TestMain(m *testing.M) {
	var err error
	if work, err = os.MkdirTemp("", "vigil-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(work); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// raced says whether these tests run under the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// build builds the program once, as the tests are built; buildPlain without the race detector, for tests of many or of time; buildWedge so that
// it can be made to hang.
var (
	build      = sync.OnceValues(func() (string, error) { return compile("vigil", raced()) })
	buildPlain = sync.OnceValues(func() (string, error) { return compile("vigil-plain", false) })
	buildWedge = sync.OnceValues(func() (string, error) { return compile("vigil-wedge", false, "wedge") })
)

func compile(name string, race bool, tags ...string) (string, error) {
	path := filepath.Join(work, name)
	args, cgo := []string{"build", "-o", path}, "CGO_ENABLED=0"
	if race {
		args, cgo, tags = append(args, "-race"), "CGO_ENABLED=1", append(tags, "netgo")
	}
	args = append(args, "-tags", strings.Join(tags, ","))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(args, "../cmd/vigil")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// program returns the path of the program under test.
func program(t testing.TB) string {
	t.Helper()
	return built(t, build)
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// within waits until ok says so, and fails the test after limit.
func within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !eventually(limit, ok) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// eventually waits until ok says so. It returns false after limit.
func eventually(limit time.Duration, ok func() bool) bool {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-poll.C
	}
	return true
}

// hold lets time pass that is itself the matter of a test.
func hold(d time.Duration) { <-time.After(d) }
