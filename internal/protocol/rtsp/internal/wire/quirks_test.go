package wire

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

var update = flag.Bool("update", false, "write what the quirks' fixtures give now")

// TestQuirks plays a fixture for each quirk: lines with "> " are what is sent, quoted; those with "< " what comes of it.
func TestQuirks(t *testing.T) {
	var names []string
	for _, q := range Quirks() {
		names = append(names, q.Name)
		if q.What == "" || q.How == "" {
			t.Errorf("%s does not say what it is or how it is dealt with", q.Name)
		}
		t.Run(q.Name, func(t *testing.T) { playFixture(t, q.Name) })
	}
	files, err := filepath.Glob("testdata/quirks/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".txt"); !slices.Contains(names, name) {
			t.Errorf("%s belongs to no quirk", f)
		}
	}
}

func playFixture(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", "quirks", name+".txt")
	sent, want := readFixture(t, path)
	var got []string
	if strings.HasPrefix(name, "transport-") {
		for _, s := range sent {
			all, err := ParseTransports(base.HeaderValue{s})
			if err != nil {
				got = append(got, err.Error())
			}
			for _, tr := range all {
				got = append(got, fmt.Sprintf("%+v", tr))
			}
		}
	} else {
		b := []byte(strings.Join(sent, ""))
		got = parseAll(b, len(b))
		for size := 1; size <= 17; size++ {
			if cut := parseAll(b, size); !slices.Equal(got, cut) {
				t.Errorf("in pieces of %d:\n%s\nin one:\n%s", size, strings.Join(cut, "\n"), strings.Join(got, "\n"))
			}
		}
	}
	if *update {
		var b bytes.Buffer
		for _, s := range sent {
			fmt.Fprintf(&b, "> %s\n", strconv.QuoteToASCII(s))
		}
		for _, s := range got {
			fmt.Fprintf(&b, "< %s\n", s)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func readFixture(t testing.TB, path string) (sent, want []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if s, ok := strings.CutPrefix(line, "< "); ok {
			want = append(want, s)
			continue
		}
		s, err := strconv.Unquote(strings.TrimPrefix(line, "> "))
		if err != nil {
			t.Fatalf("%s: %s: %v", path, line, err)
		}
		sent = append(sent, s)
	}
	return sent, want
}

// parseAll returns what b holds as text, if it comes in pieces of a size.
func parseAll(b []byte, size int) []string {
	return parsePieces(b, Limits{}, func() int { return size })
}

func parsePieces(b []byte, l Limits, size func() int) (all []string) {
	p := NewParser(l)
	for len(b) > 0 {
		piece := bytes.Clone(b[:min(max(1, size()), len(b))])
		b = b[len(piece):]
		for {
			it, n, ok, err := p.Parse(piece)
			if err != nil {
				return append(all, "error: "+err.Error())
			}
			if !ok {
				break
			}
			all = append(all, describe(it))
			piece = piece[n:]
		}
	}
	return append(all, fmt.Sprintf("end: %d taken, %d skipped, idle %v", p.Bytes(), p.Skipped(), p.idle()))
}

// describe says all about an item.
func describe(it Item) string {
	var b strings.Builder
	switch {
	case it.Request != nil:
		r := it.Request
		fmt.Fprintf(&b, "%s %q %s", r.Method, r.URL, r.Proto)
		u, err := r.ParseURL()
		switch {
		case err != nil:
			fmt.Fprintf(&b, " (%v)", err)
		case u != nil:
			fmt.Fprintf(&b, " (%s)", u)
		}
		if s := r.Session(); s != "" {
			fmt.Fprintf(&b, " session %s", s)
		}
		fmt.Fprintf(&b, " %q %q", r.Header, r.Body)
	case it.Response != nil:
		r := it.Response
		fmt.Fprintf(&b, "%d %q %q %q", r.StatusCode, r.StatusMessage, r.Header, r.Body)
	case it.Frame != nil:
		fmt.Fprintf(&b, "frame on %d: %q", it.Channel, it.Frame)
	default:
		b.WriteString("nothing")
	}
	return b.String()
}
