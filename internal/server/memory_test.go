package server

import (
	"fmt"
	"os"
	"testing"

	"github.com/vigil-media/vigil/internal/disk"
)

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
