package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestCompose(t *testing.T) {
	data, err := Compose([]File{
		{Name: "verdict.txt", Data: []byte("dead")},
		{Name: "../../etc/crash.txt", Data: []byte("panic: oops"), Took: 3 * time.Millisecond},
		{Name: "head.txt", Data: []byte("0123456789"), Most: 4},
		{Name: "tail.txt", Data: []byte("0123456789"), Most: 4, Tail: true},
		{Name: "trace.out", Data: []byte("0123456789"), Most: 4, Whole: true},
		{Name: "none.txt", Data: []byte("x"), Err: errors.New("no\nluck")},
		{Name: "empty.txt"},
	})
	if err != nil {
		t.Fatal(err)
	}
	files, names := unpack(t, data)
	if got := fmt.Sprint(names); got != "[verdict.txt crash.txt head.txt tail.txt empty.txt manifest.txt]" {
		t.Error(got)
	}
	if string(files["head.txt"]) != "0123" || string(files["tail.txt"]) != "6789" {
		t.Errorf("%q, %q", files["head.txt"], files["tail.txt"])
	}
	for _, want := range []string{
		"cut: the first 4 of 10 bytes", "cut: the last 4 of 10 bytes", "left out: it has 10 bytes, and 4 are allowed", "left out: no luck", "3ms",
	} {
		if !strings.Contains(string(files[manifestName]), want) {
			t.Errorf("the manifest does not say %q: %s", want, files[manifestName])
		}
	}
	if _, err = Compose(make([]File, filesMax+1)); err == nil {
		t.Error("any number of files")
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		most  int
		want  string
	}{
		{[]int{5, 5}, 10, "[5 5]"},
		{[]int{5, 6}, 10, "[5 5]"},
		{[]int{1, 20, 3, 20}, 20, "[1 8 3 8]"},
		{[]int{100}, 7, "[7]"},
		{nil, 7, "[]"},
	} {
		entries := make([]entry, len(c.sizes))
		for i, n := range c.sizes {
			entries[i].Data = make([]byte, n)
		}
		fit(entries, c.most)
		got := make([]int, len(entries))
		for i := range entries {
			got[i] = len(entries[i].Data)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v in %d: %v, want %s", c.sizes, c.most, got, c.want)
		}
	}
}

// What does not become smaller by packing costs the largest file.
func TestArchiveIsBounded(t *testing.T) {
	noise := make([]byte, 10<<20)
	src := rand.NewChaCha8([32]byte{})
	_, _ = src.Read(noise)
	data, err := Compose([]File{
		{Name: "verdict.txt", Data: []byte("dead")}, {Name: "a", Data: noise}, {Name: "b", Data: noise[:9<<20]},
	})
	if err != nil || len(data) > archiveMax {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	files, _ := unpack(t, data)
	if files["a"] != nil || !bytes.Equal(files["b"], noise[:9<<20]) ||
		!strings.Contains(string(files[manifestName]), "left out: the archive would be too large with it") {
		t.Errorf("%d, %d: %s", len(files["a"]), len(files["b"]), files[manifestName])
	}
}

// However well the contents can be packed, whoever unpacks them gets 20 MiB at the most.
func TestContentsAreBounded(t *testing.T) {
	zeros := make([]byte, 15<<20)
	data, err := Compose([]File{{Name: "verdict.txt", Data: []byte("dead")}, {Name: "a", Data: zeros}, {Name: "b", Data: zeros}})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := unpack(t, data)
	total := 0
	for _, d := range files {
		total += len(d)
	}
	if total > bytesMax || total < bytesMax*9/10 || string(files["verdict.txt"]) != "dead" || len(files["a"]) != len(files["b"]) {
		t.Errorf("%d bytes: %s", total, files[manifestName])
	}
}
