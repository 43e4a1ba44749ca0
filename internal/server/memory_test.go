package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/governor"
)

// While memory is short, rings may keep a part of it, and each something.
func TestRings(t *testing.T) {
	for _, tc := range []struct {
		level     governor.Level
		all, each int64
	}{{governor.Calm, 0, 0}, {governor.Shed, 16 << 20, 1 << 20}, {governor.Refuse, 4 << 20, 256 << 10}} {
		if all, each := rings(tc.level, 64<<20); all != tc.all || each != tc.each {
			t.Errorf("%v: %d bytes, at least %d each", tc.level, all, each)
		}
	}
}

// The newest heap profiles are kept, a few, and no more.
func TestKeepProfile(t *testing.T) {
	store, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for n := range 2 * profilesMax {
		path, err := keepProfile(store, fmt.Append(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != fmt.Sprint(n) {
			t.Errorf("%s holds %q: %v", path, b, err)
		}
	}
	files, err := os.ReadDir(store.PathOf("profiles"))
	if err != nil || len(files) != profilesMax {
		t.Errorf("%d profiles: %v", len(files), err)
	}
	for i, f := range files {
		b, err := store.ReadFile("profiles/" + f.Name())
		if want := fmt.Sprint(2*profilesMax - 1 - i); err != nil || string(b) != want {
			t.Errorf("%s holds %q, want %q: %v", f.Name(), b, want, err)
		}
	}
	if _, err := keepProfile(store, make([]byte, disk.FileBytesMax+1)); err == nil {
		t.Error("keeps what is too large")
	}
}

// A data folder whose disk hangs does not hold up a server that is out of memory: it learns so before the governor stops waiting.
func TestKeepProfileOnAFrozenDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{volume: disk.NewVolume(disk.VolumeOptions{Name: "data"})}
		ctx, thaw := context.WithCancel(t.Context())
		for range 10 {
			if err := s.volume.Go(0, "hangs", func() error { <-ctx.Done(); return nil }, nil); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		path, err := s.keepProfile([]byte("profile"))
		if d := time.Since(begun); path != "" || !errors.Is(err, disk.ErrSilent) || d != keepFor {
			t.Errorf("after %v: %q, %v", d, path, err)
		}
		thaw()
	})
}
