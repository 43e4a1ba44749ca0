package log_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vigil-media/vigil/internal/log"
)

// newest gives what l has of the newest n lines, without times.
func newest(l *log.Log, n int) []string {
	got := l.Recent(n)
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], " ")
	}
	return got
}

// The newest lines are in memory although nothing runs and nothing is written.
func TestRecent(t *testing.T) {
	l := log.New(log.Options{Config: log.Default(), KindLines: -1})
	if got := l.Recent(10); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
	for i := range 2005 {
		l.Logger().Info("line", "i", i)
		l.Logger().Debug("below the level")
	}
	for _, c := range []struct{ n, want int }{{-1, 0}, {0, 0}, {1, 1}, {3, 3}, {2000, 2000}, {2001, 2000}, {1 << 62, 2000}} {
		got := newest(l, c.n)
		if len(got) != c.want || c.want > 0 && got[c.want-1] != "INF line i=2004" {
			t.Fatalf("of %d: %d lines", c.n, len(got))
		}
		for i, line := range got {
			if want := fmt.Sprintf("INF line i=%d", 2005-c.want+i); line != want {
				t.Fatalf("of %d: line %d is %q, want %q", c.n, i, line, want)
			}
		}
	}
}

func TestRecentIsBoundedInBytes(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		cfg := log.Default()
		cfg.Format = format
		l := log.New(log.Options{Config: cfg, KindLines: -1})
		for i := range 1500 {
			l.Logger().Info("line", "i", i, "text", strings.Repeat("x", i%8000))
			if i%100 == 99 { // also across the ring's end
				got := l.Recent(3)
				if len(got) != 3 || !strings.Contains(got[2], fmt.Sprint(i)) || !strings.HasSuffix(strings.TrimSuffix(got[2], `"}`), "xx") {
					t.Fatalf("%s: after %d: %.200q", format, i, got)
				}
			}
		}
		all := l.Recent(2000)
		bytes := 0
		for _, line := range all {
			bytes += len(line) + 1
			if !strings.Contains(line, "line") || strings.Count(line, "line") != 1 {
				t.Errorf("%s: mixed up: %.100q", format, line)
			}
		}
		if bytes > 1<<20 || bytes < 1<<20-1<<14 || len(all) < 100 {
			t.Errorf("%s: %d lines of %d bytes", format, len(all), bytes)
		}
	}
}

// Each goroutine's lines stay whole and in order, and reading them hurts nobody.
func TestRecentOfManyGoroutines(t *testing.T) {
	l := log.New(log.Options{Config: log.Default(), Console: io.Discard, KindLines: -1})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 500 {
				l.Logger().Info("line", "w", w, "i", i, "text", strings.Repeat("x", i%300))
			}
		})
	}
	writers.Go(func() {
		for range 50 {
			inOrder(t, l.Recent(700))
		}
	})
	writers.Wait()
	if got := l.Recent(2000); len(got) != 2000 {
		t.Errorf("%d lines", len(got))
	} else {
		inOrder(t, got)
	}
}

func inOrder(t *testing.T, lines []string) {
	t.Helper()
	last := slices.Repeat([]int{-1}, 8)
	for _, line := range lines {
		var w, i int
		_, rest, _ := strings.Cut(line, " INF line ")
		if n, err := fmt.Sscanf(rest, "w=%d i=%d", &w, &i); n != 2 || err != nil {
			t.Errorf("%q: %v", line, err)
			return
		}
		if i <= last[w] || last[w] >= 0 && i != last[w]+1 {
			t.Errorf("of %d, %d comes after %d", w, i, last[w])
		}
		last[w] = i
	}
}
