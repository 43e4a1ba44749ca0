package log_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/log"
)

// counts gives what became of the records of l, by level and message.
func counts(l *log.Log) map[string]log.Count {
	all := map[string]log.Count{}
	for _, c := range l.Counts() {
		all[c.Level.String()+" "+c.Kind] = c
	}
	return all
}

// A flood of one kind is cut to 1000 lines at once and 100 a second, and told of once a second; the first lines of others are never lost.
func TestFloodOfAKindIsCutAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sinkhole
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		stop := running(t, l)
		sleep(500 * time.Millisecond) // between two turns of the one that tells
		flooded := l.Logger().With("session", "7f3a").WithGroup("g")
		for second := range 10 {
			for range 2000 {
				flooded.Error("boom")
			}
			l.Logger().Info("boom") // another level, another kind
			l.Logger().Warn("rare", "second", second)
			sleep(time.Second)
		}
		sleep(time.Second)
		logged := 0
		var told []string
		for _, line := range out.lines() {
			switch {
			case strings.Contains(line, "ERR 7f3a boom"):
				logged++
			case strings.Contains(line, "more lines like this were not logged"):
				told = append(told, line)
			}
		}
		c := counts(l)
		if logged < 1000+9*100-1 || logged > 1000+9*100+1 {
			t.Errorf("%d lines", logged)
		}
		if want := (log.Count{Level: slog.LevelError, Kind: "boom", N: 20_000, Dropped: uint64(20_000 - logged)}); c["ERROR boom"] != want {
			t.Errorf("%+v, want %+v", c["ERROR boom"], want)
		}
		if c["WARN rare"].N != 10 || c["WARN rare"].Dropped != 0 || c["INFO boom"].N != 10 || c["INFO boom"].Dropped != 0 {
			t.Errorf("%+v", c)
		}
		if len(told) != 10 || !strings.HasSuffix(told[0], "ERR more lines like this were not logged kind=boom count=1000") {
			t.Errorf("told %q", told)
		}
		sleep(12 * time.Second) // what was held back is made up for
		for range 1000 {
			flooded.Error("boom")
		}
		if n := counts(l)["ERROR boom"].Dropped; n != uint64(20_000-logged) {
			t.Errorf("%d dropped after a rest", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// One line a second tells of one kind, that with the most; the others have their turn; and the end tells all that is left.
func TestFloodsTakeTurnsToBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sinkhole
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		stop := running(t, l)
		for i := range 5 {
			for range 1100 + i {
				l.Logger().Info(fmt.Sprint("kind", i)) //nolint:sloglint // many kinds
			}
		}
		told := func() (told []string) {
			for _, line := range out.lines() {
				if _, kind, ok := strings.Cut(line, "not logged "); ok {
					told = append(told, kind)
				}
			}
			return told
		}
		sleep(2500 * time.Millisecond)
		if got := fmt.Sprint(told()); got != "[kind=kind4 count=104 kind=kind3 count=103]" {
			t.Error(got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := told(); len(got) != 5 {
			t.Errorf("at the end: %q", got)
		}
	})
}

// Who has made the log less verbose is not told of what was cut before.
func TestFloodIsNotToldBelowTheLevel(t *testing.T) {
	var out sinkhole
	l := log.New(log.Options{Config: log.Default(), Console: &out})
	for range 1100 {
		l.Logger().Info("line")
	}
	l.Level().Set(slog.LevelWarn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(out.lines()); n != 1000 {
		t.Errorf("%d lines", n)
	}
}

// There are 512 kinds at most, of which debug, where messages may be a peer's, takes no more than half.
func TestKindsAreBounded(t *testing.T) {
	cfg := log.Default()
	cfg.Level = "debug"
	l := log.New(log.Options{Config: cfg, KindLines: -1})
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := range 1000 {
				l.Logger().Debug(fmt.Sprintf("%0200d", i)) //nolint:sloglint // many kinds
			}
			for i := range 300 {
				l.Logger().Log(t.Context(), slog.LevelInfo+slog.Level(i%4), fmt.Sprint("m", i)) //nolint:sloglint // many kinds
			}
			l.Logger().Warn(strings.Repeat("x", 1<<20)) //nolint:sloglint // a long one
		})
	}
	g.Wait()
	all, c := l.Counts(), counts(l)
	if len(all) > 512+3 || c["DEBUG other"].N != 4*(1000-256) || c["WARN other"].N != 4 || c["INFO other"].N != 4*(300-256) {
		t.Errorf("%d kinds, other: %+v, %+v, %+v", len(all), c["DEBUG other"], c["INFO other"], c["WARN other"])
	}
	if c["INFO m0"].N != 4 || c["DEBUG "+fmt.Sprintf("%0200d", 0)].N != 4 || all[0].Level != slog.LevelWarn {
		t.Errorf("%+v, first %+v", c["INFO m0"], all[0])
	}
	l = log.New(log.Options{Config: log.Default()})
	l.Logger().Warn(strings.Repeat("x", 1<<20)) //nolint:sloglint // a long one
	if got := l.Counts(); len(got) != 1 || len(got[0].Kind) != 256 {
		t.Errorf("a long message: %d kinds", len(got))
	}
}
