package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

// grove returns a tree with some files, in a folder that has a secret beside it.
func grove(t *testing.T) (tree *disk.Tree, content []byte) {
	t.Helper()
	top := t.TempDir()
	www := filepath.Join(top, "www")
	content = bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(www, "record", ".hidden"), 0o700),
		os.WriteFile(filepath.Join(www, "record", "a.mp4"), content, 0o600),
		os.WriteFile(filepath.Join(www, "record", ".hidden", "b"), nil, 0o600),
		os.WriteFile(filepath.Join(www, ".a"), nil, 0o600),
		os.WriteFile(filepath.Join(www, "empty"), nil, 0o600),
		os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600),
		os.Symlink("../secret", filepath.Join(www, "out")),
		os.Symlink("/", filepath.Join(www, "top")),
		os.Symlink("record/a.mp4", filepath.Join(www, "in")),
		os.Symlink("loop", filepath.Join(www, "loop")),
		syscall.Mkfifo(filepath.Join(www, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := disk.NewTree(www, disk.NewVolume(disk.VolumeOptions{Name: "files"}))
	if err != nil {
		t.Fatal(err)
	}
	return tree, content
}

func TestTree(t *testing.T) {
	tree, content := grove(t)
	for _, name := range []string{
		"", "none", "record/none", "record/a.mp4/x", "../secret", "/etc/passwd", "out", "top/etc/passwd", "loop", "pipe", ".a", "record/.hidden/b",
		"record//a.mp4", "record/../record/a.mp4", "record/", "a\x00b", `record\a.mp4`, strings.Repeat("x", 300), strings.Repeat("x/", 5000) + "x", "..", "./record",
	} {
		f, err := tree.Open(t.Context(), name)
		if !errors.Is(err, disk.ErrNoFile) || !errors.Is(err, fs.ErrNotExist) || f != nil {
			t.Errorf("%.40q: %v, %v", name, f, err)
		}
	}
	if f := tree.Volume().Figures(); f.State != disk.Healthy || f.Errors != 0 {
		t.Errorf("names were taken for failures of the disk: %+v", f)
	}
	for _, name := range []string{"record/a.mp4", "in"} {
		f, err := tree.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		for _, at := range []int64{100_000, 5, int64(len(content)), 65_536} {
			if n, err := f.Seek(at, io.SeekStart); n != at || err != nil {
				t.Fatal(n, err)
			}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, content[at:]) {
				t.Errorf("%s from %d: %d bytes, %v", name, at, len(got), err)
			}
		}
		if n, err := f.Seek(-10, io.SeekEnd); n != int64(len(content))-10 || err != nil {
			t.Error(n, err)
		}
		if _, err := f.Seek(-1, io.SeekStart); err == nil {
			t.Error("went before the beginning")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if f, err := tree.Open(t.Context(), "record"); err != nil || !f.Info.IsDir() {
		t.Error("the folder:", err)
	} else if _, err := f.Read(make([]byte, 1)); !errors.Is(err, syscall.EISDIR) {
		t.Error(err)
	}
	if f, err := tree.Open(t.Context(), "empty"); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(f); len(got) > 0 || err != nil {
		t.Error(got, err)
	}
}

// A file may be closed while it is read: who serves several ranges does so. The disk is not blamed.
func TestTreeClosedWhileRead(t *testing.T) {
	tree, _ := grove(t)
	for range 300 {
		f, err := tree.Open(t.Context(), "record/a.mp4")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			var err error
			for at := int64(0); err == nil; at = (at + 65_536) % 131_072 {
				if _, err = f.Seek(at, io.SeekStart); err == nil {
					_, err = f.Read(make([]byte, 1))
				}
			}
			done <- err
		}()
		if err = errors.Join(f.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, fs.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if f := tree.Volume().Figures(); f.State != disk.Healthy || f.Errors != 0 {
		t.Errorf("%+v", f)
	}
}

// A folder that is one of those that nobody may read is not read, whatever its name; others are, and it is when it is another one.
func TestTreeNever(t *testing.T) {
	top := t.TempDir()
	secret, link := filepath.Join(top, "secret"), filepath.Join(top, "link")
	if err := errors.Join(os.Mkdir(secret, 0o700), os.WriteFile(filepath.Join(secret, "a"), nil, 0o600), os.Symlink("secret", link)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(secret)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := disk.NewTree(link, disk.NewVolume(disk.VolumeOptions{Name: "files"}), info)
	if err != nil {
		t.Fatal(err)
	}
	looked := make(chan error, 1)
	tree.Look(func(err error) { looked <- err })
	if err = <-looked; err == nil || !strings.Contains(err.Error(), "nobody may read") {
		t.Error(err)
	}
	for range 5 {
		_, err := tree.Open(t.Context(), "a")
		_, _, err2 := tree.List(t.Context(), ".", 10)
		if !errors.Is(err, disk.ErrNoFile) || !errors.Is(err2, disk.ErrNoFile) || tree.Volume().Figures().State != disk.Healthy {
			t.Error(err, err2, tree.Volume().Figures())
		}
	}
	if err = errors.Join(os.Remove(link), os.Mkdir(link, 0o700), os.WriteFile(filepath.Join(link, "a"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := tree.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err = f.Close(); err != nil {
		t.Error(err)
	}
}

// A file that becomes shorter while it is read ends with an error, and one that becomes longer where it ended.
func TestTreeFileChanges(t *testing.T) {
	tree, content := grove(t)
	f, err := tree.Open(t.Context(), "record/a.mp4")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(tree.PathOf("record/a.mp4"), 65_536+10); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, content[:65_536+10]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestTreeList(t *testing.T) {
	tree, content := grove(t)
	names := func(all []disk.Entry) (out []string) {
		for _, e := range all {
			out = append(out, fmt.Sprint(e.Name, " ", e.Dir, " ", e.Bytes > 0))
		}
		return out
	}
	all, more, err := tree.List(t.Context(), ".", 10)
	if got := names(all); err != nil || more || len(got) != 2 || !strings.HasPrefix(got[0], "record true") || got[1] != "empty false false" {
		t.Errorf("%v, %v, %v", got, more, err)
	}
	if all, _, err = tree.List(t.Context(), "record", 10); err != nil || len(all) != 1 || all[0].Bytes != int64(len(content)) || all[0].Change.IsZero() {
		t.Errorf("%v, %v", all, err)
	}
	if all, more, err = tree.List(t.Context(), ".", 1); err != nil || !more || len(all) != 1 {
		t.Errorf("%v, %v, %v", all, more, err)
	}
	for _, name := range []string{"none", ".", "../", "record/.hidden", "top", "out", "pipe", "empty"} {
		if name == "." {
			continue
		}
		if all, _, err := tree.List(t.Context(), name, 10); !errors.Is(err, disk.ErrNoFile) {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// TestTreeNames: what belongs to a tree by its name.
func TestTreeNames(t *testing.T) {
	tree, err := disk.NewTree("/srv/www", disk.NewVolume(disk.VolumeOptions{Name: "files"}))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/srv/www/a/b": "a/b", "/srv/www": ".", "/srv/www2/a": "", "/srv/a": "", "www/a": "", "": "", "/srv/www/../x": ""} {
		if got, ok := tree.Name(path); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
}

// hang has all workers of a tree's volume hang until free is closed.
func hang(t *testing.T, tree *disk.Tree, free chan struct{}) {
	t.Helper()
	for range 4 {
		if err := tree.Volume().Go(0, "hang", func() error { <-free; return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// While the disk hangs, nobody waits longer than promised, to open, to read, to list or to close; when it comes back, files that were left are
// closed.
func TestTreeHangs(t *testing.T) {
	tree, _ := grove(t)
	synctest.Test(t, func(t *testing.T) {
		var open []*disk.File
		for range 3 {
			f, err := tree.Open(t.Context(), "record/a.mp4")
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, f)
		}
		if n := held(t, tree); n != 3 {
			t.Fatalf("%d files are open", n)
		}
		free := make(chan struct{})
		hang(t, tree, free)
		synctest.Wait()
		for what, op := range map[string]func(context.Context) error{
			"open": func(ctx context.Context) error { _, err := tree.Open(ctx, "record/a.mp4"); return err },
			"list": func(ctx context.Context) error { _, _, err := tree.List(ctx, ".", 1); return err },
			"read": func(context.Context) error { _, err := open[0].Read(make([]byte, 1)); return err },
		} {
			begun := time.Now()
			if err := op(t.Context()); err == nil || time.Since(begun) > 10*time.Second {
				t.Errorf("%s: %v after %v", what, err, time.Since(begun))
			}
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := tree.Open(gone, "record/a.mp4"); err == nil || time.Since(begun) > time.Second {
			t.Errorf("who has gone: %v after %v", err, time.Since(begun))
		}
		for _, f := range open {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		close(free)
		synctest.Wait()
		time.Sleep(2 * time.Second) // a volume that was found not to answer is tried once a second
		for range 2 {
			if f, err := tree.Open(t.Context(), "empty"); err != nil {
				t.Error(err)
			} else if err = f.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if n := held(t, tree); n != 0 {
			t.Errorf("%d files are still open", n)
		}
	})
}

// held is how many descriptors of this process are files of the tree.
func held(t *testing.T, tree *disk.Tree) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, tree.Path()+"/") {
			n++
		}
	}
	return n
}

// Operations that come to an end after they were given up on leave no file open, whoever is faster.
func TestTreeGivenUp(t *testing.T) {
	tree, _ := grove(t)
	for i := range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
		if f, err := tree.Open(ctx, "record/a.mp4"); err == nil {
			_ = f.Close()
		}
		cancel()
	}
	for end := time.Now().Add(10 * time.Second); held(t, tree) > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files are still open", held(t, tree))
		}
	}
	if f := tree.Volume().Figures(); f.Errors > 0 {
		t.Errorf("%+v", f)
	}
}

// TestTreeAbsent: a folder that comes later is read from then on.
func TestTreeAbsent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	tree, err := disk.NewTree(dir, disk.NewVolume(disk.VolumeOptions{Name: "files"}))
	if err != nil {
		t.Fatal(err)
	}
	looked := make(chan error, 1)
	tree.Look(func(err error) { looked <- err })
	if err := <-looked; !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := tree.Open(t.Context(), "a"); !errors.Is(err, disk.ErrNoFile) {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if all, _, err := tree.List(t.Context(), ".", 5); err != nil || !slices.ContainsFunc(all, func(e disk.Entry) bool { return e.Name == "a" }) {
		t.Errorf("%v, %v", all, err)
	}
}
