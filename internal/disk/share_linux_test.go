package disk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/vigil-media/vigil/internal/disk"
)

func openShared(t *testing.T, path string) *disk.Store {
	t.Helper()
	s, err := disk.OpenShared(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Others may read what is put into a shared folder, and find it whole.
func TestPut(t *testing.T) {
	old := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := filepath.Join(t.TempDir(), "x", "shared")
	s := openShared(t, dir)
	large := bytes.Repeat([]byte("0123456789abcdef"), disk.FileBytesMax/16+1)
	if err := s.Put("live/a/file", [][]byte{[]byte("one, "), nil, []byte("two")}, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("live/a/large", [][]byte{large[:100], large[100:]}, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "live", "a", "file"))
	if string(b) != "one, two" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "live", "a", "large")); err != nil || !bytes.Equal(b, large) {
		t.Errorf("%d bytes of %d, %v", len(b), len(large), err)
	}
	for name, mode := range map[string]fs.FileMode{"": fs.ModeDir | 0o755, "live": fs.ModeDir | 0o755, "live/a": fs.ModeDir | 0o755, "live/a/file": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	if err = s.Put("live/a/file", nil, 0o644); err != nil {
		t.Error(err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "live", "a", "file")); len(b) != 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	onlyFiles(t, filepath.Join(dir, "live", "a"), "file", "large")
}

// Nothing leads outside, and a file in the way, or a folder, stays.
func TestPutRefuses(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "shared")
	s := openShared(t, dir)
	if err := os.Symlink(top, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../a", "/a", "x/../../a", "out/a", "folder", "file/a", strings.Repeat("x", 300), "a\x00b"} {
		if err := s.Put(name, [][]byte{{1}}, 0o644); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../a", filepath.Join(top, "a"), "folder/../../a", "out/a"} {
		if err := s.Prune([]string{name}); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	onlyFiles(t, top, "a", "shared")
	onlyFiles(t, dir, "file", "folder", "out")
}

// A name that a file system does not take is not the disk's fault, which others would have to suffer for.
func TestNamesAreNoFailures(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openShared(t, dir)
		if err := s.Put("file", nil, 0o644); err != nil {
			t.Fatal(err)
		}
		v := disk.NewVolume(disk.VolumeOptions{Name: "hls"})
		for _, name := range []string{strings.Repeat("x", 300), "file/a", "file/b", "file/c", strings.Repeat("y", 256)} {
			if err := v.Do(t.Context(), 0, "write", func() error { return s.Put(name, nil, 0o644) }); err == nil {
				t.Errorf("%q was written", name)
			}
		}
		if f := v.Figures(); f.State != disk.Healthy || f.Errors != 0 {
			t.Errorf("%+v", f)
		}
	})
}

// Folders that are removed when they are empty do not keep others from writing there just then.
func TestPutAndPrune(t *testing.T) {
	dir := t.TempDir()
	s := openShared(t, dir)
	var g sync.WaitGroup
	failed := 0
	g.Go(func() {
		for range 2000 {
			err := s.Put("live/a/b/file", nil, 0o644)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
				failed++ // three times in a row
			} else if err != nil {
				t.Error(err)
			}
		}
	})
	g.Go(func() {
		for range 2000 {
			if err := s.Prune([]string{"live/a/b/file", "live/a/b", "live/a", "live"}); err != nil {
				t.Error(err)
			}
		}
	})
	g.Wait()
	if failed > 100 {
		t.Errorf("%d of 2000 were not written", failed)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s := openShared(t, dir)
	for _, name := range []string{"a/x", "a/y", "a/b/x"} {
		if err := s.Put(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune([]string{"a/none", "a/x", "a", "none/x"}); err != nil {
		t.Error(err)
	}
	onlyFiles(t, filepath.Join(dir, "a"), "b", "y")
	if err := s.Prune([]string{"../outside", "a/y", "a/b/x", "a/b", "a"}); err == nil || !strings.Contains(err.Error(), "outside") {
		t.Error(err)
	}
	onlyFiles(t, dir)
}

// What an interrupted write has left is known by its name.
func TestTemporary(t *testing.T) {
	for name, of := range map[string]string{
		".x.ABCDEFGHIJKLMNOPQRSTUVWX23.tmp":           "x",
		".hls.m3u8.ABCDEFGHIJKLMNOPQRSTUVWX23.tmp":    "hls.m3u8",
		"x.ABCDEFGHIJKLMNOPQRSTUVWX23.tmp":            "",
		"..ABCDEFGHIJKLMNOPQRSTUVWX23.tmp":            "",
		".x.ABCDEFGHIJKLMNOPQRSTUVWX2.tmp":            "",
		".x.abcdefghijklmnopqrstuvwx23.tmp":           "",
		".x.ABCDEFGHIJKLMNOPQRSTUVWX23":               "",
		".tmp":                                        "",
		"":                                            "",
		".a" + "." + strings.Repeat("B", 26) + ".tmp": "a",
		"..." + strings.Repeat("B", 26) + ".tmp":      ".",
		".." + strings.Repeat("B", 27) + ".tmp":       "",
	} {
		if got, ok := disk.Temporary(name); got != of || ok != (of != "") {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
	}
	dir := t.TempDir()
	s := openShared(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x", "y"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("x", nil, 0o644); err == nil {
		t.Error("a folder was replaced")
	}
	onlyFiles(t, dir, "x") // and nothing else is left
}

// It is noticed when something else is at the folder's path.
func TestCurrent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shared")
	s := openShared(t, dir)
	if !s.Current() {
		t.Error("at once")
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if s.Current() {
		t.Error("it is somewhere else")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if s.Current() {
		t.Error("it is another")
	}
}

func TestOpenSharedRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := disk.OpenShared(path); err == nil || !strings.HasPrefix(err.Error(), "folder: ") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
