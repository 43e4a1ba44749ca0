//go:build linux

// Command profile runs the server in its own process and profiles a span of its life: it is cmd/vigil for measurements. The
// driver in bench starts it (go run ./bench -profile DIR rtmp:1000); by hand:
//
//	go run ./bench/profile -delay 10s -duration 10s -dir /tmp/p --set rtmp.listen=127.0.0.1:19350
//	go tool pprof -top /tmp/p/cpu.pprof
//	go tool pprof -top -sample_index=alloc_objects -diff_base /tmp/p/allocs-before.pprof /tmp/p/allocs.pprof
//
// The folder also gets the heap, the goroutines, mutex and block profiles, and summary.txt with counts for each second.
//
// With -memory FILE it writes there, at each SIGUSR1, how many bytes are in use after a collection: live objects of the heap, and
// stacks. That is for the driver's -memory; without -dir nothing is profiled.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func main() {
	var set list
	flag.Var(&set, "set", "a setting, KEY=VALUE; may be repeated")
	delay := flag.Duration("delay", 10*time.Second, "from the start to the span")
	duration := flag.Duration("duration", 10*time.Second, "length of the span")
	dir := flag.String("dir", "", "folder for the profiles; empty: none")
	memory := flag.String("memory", "", "file that gets a line with the bytes in use at each SIGUSR1")
	waits := flag.Bool("waits", false, "mutex and block profiles too: they cost much by themselves")
	flag.Parse()
	if err := run(set, *delay, *duration, *dir, *memory, *waits); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func run(set []string, delay, duration time.Duration, dir, memory string, waits bool) error {
	cfg, err := conf.Load(conf.Source{Set: set, Known: server.Known()})
	if err != nil {
		return err
	}
	s, err := server.New(server.Options{Config: cfg, Version: "profile", Console: os.Stderr, Screen: os.Stdout})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	recorded, measured := make(chan error, 1), make(chan error, 1)
	go func() { recorded <- record(ctx, delay, duration, dir, waits) }()
	go func() { measured <- measure(ctx, memory) }()
	return errors.Join(s.Run(ctx), <-recorded, <-measured)
}

// measure writes a line at each SIGUSR1, until ctx ends: the bytes that are in use.
func measure(ctx context.Context, file string) error {
	if file == "" {
		return nil
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return f.Close()
		case <-asked:
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what sync.Pool keeps goes with the second
		runtime.ReadMemStats(&m)
		if _, err := fmt.Fprintln(f, m.HeapAlloc+m.StackInuse); err != nil {
			return errors.Join(err, f.Close())
		}
	}
}

// record profiles the span, if there is a folder. It ends early when ctx does.
func record(ctx context.Context, delay, duration time.Duration, dir string, waits bool) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !wait(ctx, delay) {
		return errors.New("ended before the span began")
	}
	if waits {
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(10_000)
	}
	f, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := write(dir, "allocs", "allocs-before.pprof"); err != nil {
		return err
	}
	from := time.Now()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	wait(ctx, duration)
	pprof.StopCPUProfile()
	span, goroutines := time.Since(from), runtime.NumGoroutine()
	runtime.ReadMemStats(&after)
	if err := errors.Join(f.Close(), summary(dir, span, goroutines, before, after)); err != nil {
		return err
	}
	names := []string{"allocs", "heap", "goroutine"}
	if waits {
		names = append(names, "mutex", "block")
	}
	for _, name := range names {
		if err := write(dir, name, name+".pprof"); err != nil {
			return err
		}
	}
	return nil
}

// wait says whether d has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func write(dir, profile, file string) error {
	f, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(profile).WriteTo(f, 0), f.Close())
}

func summary(dir string, span time.Duration, goroutines int, before, after runtime.MemStats) error {
	s := span.Seconds()
	text := fmt.Sprintf("span %.1f s\nallocations %.0f a second, %.2f MB a second\ncollections %.1f a second\n"+
		"heap %.1f MB in use, %.1f MB from the system, stacks %.1f MB\ngoroutines %d\n",
		s, float64(after.Mallocs-before.Mallocs)/s, float64(after.TotalAlloc-before.TotalAlloc)/s/1e6,
		float64(after.NumGC-before.NumGC)/s, float64(after.HeapInuse)/1e6, float64(after.Sys)/1e6, float64(after.StackInuse)/1e6,
		goroutines)
	return os.WriteFile(filepath.Join(dir, "summary.txt"), []byte(text), 0o644)
}
