package watch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStarvedReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("some avg10=50.00 avg60=0.00 avg300=0.00 total=0\n")
	f := starvedBy(path)
	for range 2 { // from the beginning each time
		if !f() {
			t.Error("not at 50 %")
		}
	}
	write("some avg10=30.00 avg60=0.00 avg300=0.00 total=0\n")
	if f() {
		t.Error("at 30 %")
	}
	if starvedBy(filepath.Join(t.TempDir(), "none"))() {
		t.Error("without a file")
	}
	f = NewStarved()
	if n := testing.AllocsPerRun(100, func() { f() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
