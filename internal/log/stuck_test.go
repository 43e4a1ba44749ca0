package log_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// watched runs a guard and a healer over l, which is not running yet.
func watched(t *testing.T, l *log.Log) *watch.Board {
	t.Helper()
	b := watch.NewBoard()
	l.Watch(b)
	guard, healer := watch.NewGuard(watch.GuardOptions{Board: b}), watch.NewHealer(watch.HealerOptions{})
	g, _ := task.NewGroup(t.Context())
	g.Go("guard", guard.Run)
	g.Go("healer", func(ctx context.Context) error { return healer.Run(ctx, guard.Findings()) })
	t.Cleanup(func() {
		g.Stop(context.Canceled)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A sink that hangs for more than 2 s is given up until it returns, and told what it missed. The other, and what is in memory, have all.
func TestStuckSinkIsGivenUpAndTold(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			out := sinkhole{block: make(chan struct{})}
			cfg := log.Default()
			cfg.Format, cfg.File = format, t.TempDir()+"/v.log"
			l := log.New(log.Options{Config: cfg, Console: &out, KindLines: -1})
			board := watched(t, l)
			stop := running(t, l)
			l.Logger().Info("first")
			synctest.Wait() // now the console hangs with it
			for range 10 {
				l.Logger().Info("queued")
			}
			sleep(1900 * time.Millisecond)
			if s := l.Stats()[0]; s.Stuck || s.Lines != 11 {
				t.Errorf("after 1.9 s: %+v", s)
			}
			sleep(900 * time.Millisecond)
			if s := l.Stats()[0]; !s.Stuck || s.Lines != 1 || s.Dropped != 10 || s.Bytes == 0 || s.Bytes > 200 {
				t.Errorf("after 2.8 s: %+v", s)
			}
			for range 3446 {
				l.Logger().Info("missed")
			}
			sleep(9200 * time.Millisecond)
			if s := l.Stats(); s[0].Lines != 1 || s[0].Dropped != 3456 || s[1].Stuck || s[1].Lines != 0 || s[1].Dropped != 0 {
				t.Errorf("after 12 s: %+v", s)
			}
			if n := len(l.Recent(1 << 30)); n != 2000 {
				t.Errorf("%d lines in memory", n)
			}
			close(out.block)
			synctest.Wait() // and no second later
			got := out.lines()
			if len(got) != 2 || !strings.Contains(got[1], "the console took nothing for 12 s: 3456 log messages dropped") {
				t.Errorf("%d lines, the last: %s", len(got), got[len(got)-1])
			}
			l.Logger().Info("again")
			sleep(time.Second)
			if s := l.Stats()[0]; s.Stuck || s.Dropped != 3456 || s.Lines != 0 || s.Bytes != 0 {
				t.Errorf("afterwards: %+v", s)
			}
			if got := out.lines(); len(got) != 3 || !strings.Contains(got[2], "again") {
				t.Errorf("%d lines, the last: %s", len(got), got[len(got)-1])
			}
			if n := len(board.States()); n != 2 {
				t.Errorf("%d cells while it runs", n)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if left := board.States(); len(left) != 0 {
				t.Errorf("cells are left: %+v", left)
			}
		})
	}
}

// A sink that is slow, but never for 2 s at a time, loses nothing.
func TestSlowSinkIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{}
		l := log.New(log.Options{Config: log.Default(), Console: out})
		watched(t, l)
		stop := running(t, l)
		for range 20 {
			l.Logger().Info("line")
			sleep(time.Second)
		}
		sleep(10 * time.Second)
		if s := l.Stats()[0]; s.Dropped != 0 || out.lines != 20 {
			t.Errorf("%d lines, %+v", out.lines, s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// slow takes 1.5 s for what it is given.
type slow struct{ lines int }

func (s *slow) Write(b []byte) (int, error) {
	sleep(1500 * time.Millisecond)
	s.lines += strings.Count(string(b), "\n")
	return len(b), nil
}

// Run ends in time while a sink is given up, and its cell tells nobody any more.
func TestRunReturnsThoughTheSinkIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := sinkhole{block: make(chan struct{})}
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		board := watched(t, l)
		stop := running(t, l)
		l.Logger().Info("one")
		sleep(5 * time.Second)
		l.Logger().Info("two")
		start := time.Now()
		if err := stop(); fmt.Sprint(err) != "log: console is blocked, 1 messages lost" || time.Since(start) != log.DrainTime {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if s := board.States(); len(s) != 1 || s[0].Class != watch.Abandoned {
			t.Errorf("cells: %+v", s)
		}
		close(out.block)
		synctest.Wait()
		if s := board.States(); len(s) != 0 {
			t.Errorf("cells: %+v", s)
		}
	})
}

// Nothing of the file is touched before it is written to: a frozen volume hangs the file's writer only.
func TestNewTouchesNoFile(t *testing.T) {
	cfg := log.Default()
	cfg.File = t.TempDir() + "/folder/v.log"
	l := log.New(log.Options{Config: cfg})
	l.Logger().Info("queued")
	if _, err := os.Stat(cfg.File); err == nil {
		t.Error("the file is there already")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.File); err != nil {
		t.Error(err)
	}
}

// What nobody logged before the sink was given up is told at once too, and in vain if the sink fails then.
func TestSinkIsToldAtOnceWhatItMissed(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			out := sinkhole{block: make(chan struct{})}
			l := log.New(log.Options{Config: log.Default(), Console: &out})
			watched(t, l)
			stop := running(t, l)
			l.Logger().Info("first")
			sleep(3100 * time.Millisecond)
			l.Logger().Info("missed")
			if fails {
				out.set(errors.New("broken pipe"))
				close(out.block)
				sleep(5 * time.Second)
				out.set(nil)
				sleep(time.Second)
			} else {
				close(out.block)
				synctest.Wait()
			}
			if got := out.lines(); !strings.HasSuffix(got[len(got)-1], "the console took nothing for 3 s: 1 log messages dropped") {
				t.Errorf("fails %v: %q", fails, got)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A healer that comes late does nothing about a sink that works again.
func TestSinkThatWorksAgainIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := sinkhole{block: make(chan struct{})}
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		b := watch.NewBoard()
		l.Watch(b)
		late := make(chan func(), 10)
		guard := watch.NewGuard(watch.GuardOptions{Board: b})
		healer := watch.NewHealer(watch.HealerOptions{Go: func(_ string, heal func()) error { late <- heal; return nil }})
		g, _ := task.NewGroup(t.Context())
		g.Go("guard", guard.Run)
		g.Go("healer", func(ctx context.Context) error { return healer.Run(ctx, guard.Findings()) })
		stop := running(t, l)
		l.Logger().Info("first")
		heal := <-late
		close(out.block)
		synctest.Wait()
		heal() // nothing is being written
		out.mu.Lock()
		out.block = make(chan struct{})
		out.mu.Unlock()
		l.Logger().Info("second")
		sleep(time.Second)
		l.Logger().Info("third")
		heal() // something else is, and not for long
		if s := l.Stats()[0]; s.Stuck || s.Lines != 2 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		close(out.block)
		g.Stop(context.Canceled)
		if err := errors.Join(stop(), g.Wait()); err != nil {
			t.Error(err)
		}
	})
}
