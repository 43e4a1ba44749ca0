package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

func shelf(t *testing.T) (*Shelf, *disk.Store) {
	t.Helper()
	store, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return NewShelf(store), store
}

func TestShelfRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := shelf(t)
		if all, err := s.List(); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		if err := store.WriteFile("bundles/readme", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.WriteFile("bundles/.vigil-x.tar.gz.ABC.tmp", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for i := range 13 {
			path, err := s.Put(fmt.Sprintf("Shard %d/Stuck!", i), []byte("data"))
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
			time.Sleep(shelfEvery)
		}
		all, err := s.List()
		if err != nil || fmt.Sprint(all) != fmt.Sprint(paths[3:]) {
			t.Errorf("%v: %v", err, all)
		}
		if name := filepath.Base(all[9]); !strings.HasPrefix(name, "vigil-20") || !strings.HasSuffix(name, "Z-shard-12-stuck.tar.gz") {
			t.Error(name)
		}
		info, err := os.Stat(all[0])
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 4 {
			t.Error(info, err)
		}
		names, _ := store.List("bundles")
		if len(names) != 11 || names[0] != "readme" {
			t.Error(names)
		}
	})
}

func TestShelfRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := shelf(t)
		put := func(want error) {
			t.Helper()
			if _, err := s.Put("a", nil); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		put(nil)
		put(ErrTooSoon)
		time.Sleep(shelfEvery - 1)
		put(ErrTooSoon)
		time.Sleep(time.Nanosecond)
		put(nil)
		seen := map[string]bool{}
		for range 3 { // at the same moment
			path, err := s.Force("a", nil)
			if err != nil {
				t.Fatal(err)
			}
			seen[path] = true
		}
		if all, _ := s.List(); len(seen) != 3 || len(all) != 5 {
			t.Error(seen, all)
		}
		put(ErrTooSoon)
	})
}

// While the disk hangs, nobody else waits for it.
func TestShelfBusy(t *testing.T) {
	s, _ := shelf(t)
	if _, err := s.reserve(true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Force("a", nil); !errors.Is(err, ErrShelfBusy) {
		t.Error(err)
	}
	s.release()
	if _, err := s.Force("a", nil); err != nil {
		t.Error(err)
	}
}

func TestShelfThatFails(t *testing.T) {
	s, store := shelf(t)
	if err := store.WriteFile("bundles", nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	if _, err := s.Put("a", nil); err == nil {
		t.Error("no error")
	}
	if _, err := s.List(); err == nil {
		t.Error("no error")
	}
	if _, err := s.Put("a", nil); !errors.Is(err, ErrTooSoon) {
		t.Error(err)
	}
	if _, err := s.Force("a", make([]byte, disk.FileBytesMax+1)); err == nil {
		t.Error("no error")
	}
}

func TestSlug(t *testing.T) {
	for reason, want := range map[string]string{
		"": "no-reason", "…": "no-reason", "Shard 1: stuck": "shard-1-stuck", "../../x": "x",
		strings.Repeat("ab ", 30): "ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-a",
	} {
		if got := slug(reason); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
}
