package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
)

func TestListAndRemove(t *testing.T) {
	s := open(t, t.TempDir())
	if names, err := s.List("kept"); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
	for _, name := range []string{"kept/b", "kept/a", "kept/below/c"} {
		if err := s.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", s.PathOf("kept/link")); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List("kept/"); err != nil || fmt.Sprint(names) != "[a b]" {
		t.Error(names, err)
	}
	if err := s.Remove("kept/a"); err != nil {
		t.Error(err)
	}
	if err := s.Remove("kept/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.Remove("../outside"); err == nil {
		t.Error("the folder can be left")
	}
	if names, err := s.List("kept"); err != nil || fmt.Sprint(names) != "[b]" {
		t.Error(names, err)
	}
	if _, err := s.List("kept/b"); err == nil {
		t.Error("a file has files")
	}
}
