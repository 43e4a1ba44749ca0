package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestOnlyRegularFilesAreRead(t *testing.T) {
	s := open(t, t.TempDir())
	if err := syscall.Mkfifo(s.PathOf("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadFile("fifo"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.WriteFile("old", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	restore := asNobody(t)
	if err := s.WriteFile("new", []byte("x"), 0o600); !errors.Is(err, fs.ErrPermission) ||
		!strings.HasPrefix(err.Error(), "write "+dir+"/new: ") {
		t.Error(err)
	}
	if _, _, err := s.ReadOrCreate("new", 0o600, constant("x")); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if data, created, err := s.ReadOrCreate("old", 0o644, constant("y")); string(data) != "x" || created || err != nil {
		t.Errorf("%q, %v, %v", data, created, err)
	}
	restore()
	onlyFiles(t, dir, "old")
}

// asNobody makes this thread, until restore, nobody to the file system when it is root, who may write everywhere.
func asNobody(t *testing.T) (restore func()) {
	t.Helper()
	if os.Getuid() != 0 {
		return func() {}
	}
	runtime.LockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = syscall.Setfsuid(0)
		runtime.UnlockOSThread()
	}
}
