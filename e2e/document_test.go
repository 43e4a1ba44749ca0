package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named are the names in a row of docs/faults.md.
var named = regexp.MustCompile("`([^`]+)`")

// playing are where the tests and conformance cases stand that the document names.
var playing = []string{
	"../internal/hub/*_test.go", "../internal/server/*_test.go", "../internal/protocol/rtsp/*_test.go", "../internal/container/rtp/*_test.go",
	"*_test.go", "../internal/protocol/conformance/run.go", "../internal/protocol/rtmp/*_test.go", "../internal/stream/*_test.go", "../internal/hook/*_test.go",
}

// TestFaultsDocument holds docs/faults.md to what there is: each test and each conformance case that it names exists.
func TestFaultsDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	source := ""
	for _, pattern := range playing {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source += string(b)
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || cells[1] == "---" || cells[1] == " card " {
			continue
		}
		rows++
		names := named.FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 {
			t.Errorf("%s: played by nobody", cells[1])
		}
		for _, n := range names {
			if !strings.Contains(source, "func "+n[1]+"(t ") && !strings.Contains(source, `{name: "`+n[1]+`"`) {
				t.Errorf("%s: there is no %s", cells[1], n[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows", rows)
	}
}
