package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/task"
)

// folderAt returns a folder of a server that runs only that.
func folderAt(t *testing.T, path string) (*Server, *folder) {
	t.Helper()
	s := &Server{logger: slog.New(slog.DiscardHandler), watch: &watcher{}, volume: disk.NewVolume(disk.VolumeOptions{Name: "data"})}
	if _, err := s.folder("hls", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if store := s.folders[0].store; store != nil {
			_ = store.Close()
		}
	})
	return s, s.folders[0]
}

// outcome is that of an operation.
func outcome(begin func(done func(error)) error) error {
	told := make(chan error, 1)
	if err := begin(func(err error) { told <- err }); err != nil {
		return err
	}
	return <-told
}

func (f *folder) writes(name, body string) error {
	return outcome(func(done func(error)) error { return f.Write(name, [][]byte{[]byte(body)}, done) })
}

func filesIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		all = append(all, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copies")
	_, f := folderAt(t, dir)
	for _, name := range []string{"live/a/x", "live/a/y", "live/a/b/x"} {
		if err := f.writes(name, name); err != nil {
			t.Fatal(err)
		}
	}
	leftover := filepath.Join(dir, "live/a/.x.ABCDEFGHIJKLMNOPQRSTUVWX23.tmp")
	for _, name := range []string{leftover, leftover + "x"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var removed int
	sweep := func() error {
		return outcome(func(done func(error)) error {
			return f.Sweep("live/a", func(name string, temporary bool) bool {
				return name == "x" && temporary || name == "y"
			}, func(n int, err error) { removed = n; done(err) })
		})
	}
	if err := sweep(); err != nil || removed != 2 {
		t.Error(removed, err)
	}
	if err := sweep(); err != nil || removed != 0 {
		t.Error(removed, err)
	}
	if err := outcome(func(done func(error)) error {
		return f.Remove([]string{"live/a/none", "live/a", "live/a/b/x", "live/a/b"}, done)
	}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(filesIn(t, dir), " "); got != "live live/a live/a/"+filepath.Base(leftover)+"x live/a/x" {
		t.Error(got)
	}
	for _, name := range []string{"../x", "/x", "live/../../x"} {
		if err := f.writes(name, ""); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// A folder that somebody removes, replaces, or puts something else in the place of, is opened again; what was put there by mistake is told of as a
// disk that fails.
func TestFolderIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copies")
	synctest.Test(t, func(t *testing.T) {
		_, f := folderAt(t, dir)
		for i, trouble := range []func() error{
			func() error { return nil },
			func() error { return os.RemoveAll(dir) },
			func() error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)) },
			func() error { return os.Rename(dir, dir+".old") },
		} {
			if err := trouble(); err != nil {
				t.Fatal(err)
			}
			if err := f.writes("live/a/x", "x"); err != nil {
				t.Error(i, err)
			}
			if got := filesIn(t, dir); !slices.Contains(got, "live/a/x") {
				t.Error(i, got)
			}
		}
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := f.writes("live/a/x", "x"); err == nil {
				t.Error("a file is no folder")
			}
		}
		if s := f.volume.Figures().State; s != disk.Failing {
			t.Error(s)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if err := f.writes("live/a/x", "x"); err != nil || f.volume.Figures().State != disk.Healthy {
			t.Error(err)
		}
	})
}

// A disk that hangs makes nobody wait, and is told of by the volume's state; it does not matter to that of the data.
func TestFolderFrozen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copies")
	synctest.Test(t, func(t *testing.T) {
		s, f := folderAt(t, dir)
		g, _ := task.NewGroup(t.Context())
		g.Go("folder", func(ctx context.Context) error { return f.run(ctx, s) })
		synctest.Wait()
		thaw := make(chan struct{})
		for range 4 {
			if err := f.volume.Go(0, "hangs", func() error { <-thaw; return nil }, nil); err != nil {
				t.Fatal(err)
			}
		}
		began, queued, refused := time.Now(), 0, 0
		for range 60 {
			for range 10 {
				err := f.Write("live/a/x", [][]byte{make([]byte, 1<<20)}, func(error) {})
				if err == nil {
					queued++
				} else {
					refused++
				}
			}
			<-time.After(time.Second)
		}
		if took := time.Since(began); took != time.Minute || queued > 70 || refused < 500 {
			t.Errorf("in %v %d were queued and %d refused", took, queued, refused)
		}
		states := map[string]disk.VolumeState{}
		for _, v := range s.volumes() {
			states[v.Figures().Name] = v.Figures().State
		}
		if len(states) != 2 || states["hls"] != disk.Degraded || states["data"] != disk.Healthy {
			t.Error(states)
		}
		close(thaw)
		synctest.Wait()
		if err := f.writes("live/a/y", "y"); err != nil || f.volume.Figures().State != disk.Healthy {
			t.Error(err, f.volume.Figures().State)
		}
		g.Stop(nil)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if f.store != nil {
			t.Error("it is open")
		}
	})
}
