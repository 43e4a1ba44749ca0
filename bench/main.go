// Command bench measures a live streaming server on this machine and prints one report: a table of what viewers and
// publishers cost, beside a reference in C in the same sitting, and the micro-benchmarks of the hot packages. README.md tells
// what the figures mean.
//
//	go run ./bench                       the standard set, once: about 2 minutes
//	BENCH_RUNS=5 go run ./bench          five rounds, and their medians: about 9 minutes
//	go run ./bench ref:1000 rtmp:100     single measurements
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// standard is what is measured when nothing is named.
const standard = "ref:1000 ref-packet:1000 rtmp:100 rtmp:1000 flv:1000 ws:1000 pub:500"

// hot are the packages whose micro-benchmarks are part of the report.
const hot = "./internal/stream ./internal/container/flv ./internal/protocol/rtmp/internal/chunk"

// settings are the flags.
type settings struct {
	runs     int
	duration int // seconds
	streams  int
	server   string
	set      list
	profile  string
	out      string
	micro    bool
	verbose  bool
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// target is one thing to measure: a kind and how many of it.
type target struct {
	kind  string // ref, ref-packet, pub, or a way to play
	count int
}

func (t target) String() string { return t.kind + ":" + strconv.Itoa(t.count) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, targets, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	w, err := newYard(ctx, s)
	if err != nil {
		return err
	}
	var all []result
	for round := range s.runs {
		for _, t := range targets {
			r, err := w.measure(ctx, t)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return fmt.Errorf("%v: %w", t, err)
			}
			r.Round, r.Date = round+1, time.Now().UTC().Format(time.RFC3339)
			fmt.Fprintf(os.Stderr, "%d/%d  %v\n", r.Round, s.runs, r)
			if err := keep(w.out, r); err != nil {
				return err
			}
			all = append(all, r)
		}
	}
	out := bufio.NewWriter(os.Stdout)
	report{machine: w.machine(ctx), duration: s.duration, targets: targets, results: all}.write(out)
	if err := out.Flush(); err != nil {
		return err
	}
	if s.micro {
		return w.micro(ctx)
	}
	return nil
}

func parse(args []string) (settings, []target, error) {
	s := settings{}
	runs := 1
	if v, ok := os.LookupEnv("BENCH_RUNS"); ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			return s, nil, fmt.Errorf("BENCH_RUNS: %w", err)
		}
		runs = n
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "bench [flags] [KIND:COUNT...]\n\nKIND is ref (the reference in C), ref-packet (the same, with a send for each packet), "+
			"pub (publishers without viewers), or a way to play: rtmp, flv, ws, ts, fmp4, rtsp.\nThe default is: %s\n\n", standard)
		f.PrintDefaults()
	}
	f.IntVar(&s.runs, "runs", runs, "rounds; the report has their medians (default from BENCH_RUNS)")
	f.IntVar(&s.duration, "duration", 8, "seconds of each window")
	f.IntVar(&s.streams, "streams", 1, "streams that the viewers are spread over")
	f.StringVar(&s.server, "server", "", "command line of another server, with {rtmp} {http} {rtsp} for the ports on 127.0.0.1 and {data} for a folder")
	f.Var(&s.set, "set", "a setting for vigil, KEY=VALUE; may be repeated")
	f.StringVar(&s.profile, "profile", "", "folder for Go profiles of each window; the server then runs inside bench/profile")
	f.StringVar(&s.out, "out", "", "file that gets a JSON line for each measurement (default .cache/bench/results.jsonl)")
	f.BoolVar(&s.micro, "micro", false, "run the micro-benchmarks too, even when measurements are named")
	f.BoolVar(&s.verbose, "v", false, "show the referee's own report")
	if err := f.Parse(args); err != nil {
		return s, nil, err
	}
	names := f.Args()
	if len(names) == 0 {
		names, s.micro = strings.Fields(standard), true
	}
	if s.runs < 1 || s.duration < 1 || s.streams < 1 {
		return s, nil, errors.New("-runs, -duration and -streams are at least 1")
	}
	if s.server != "" && (s.profile != "" || len(s.set) > 0) {
		return s, nil, errors.New("-profile and -set are for vigil: they do not go with -server")
	}
	targets := make([]target, 0, len(names))
	for _, name := range names {
		kind, count, _ := strings.Cut(name, ":")
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || !known(kind) {
			return s, nil, fmt.Errorf("%q is no KIND:COUNT such as rtmp:1000; see -help", name)
		}
		targets = append(targets, target{kind, n})
	}
	return s, targets, nil
}

// keep appends a result to the file of all results.
func keep(file string, r result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// micro runs the micro-benchmarks and prints what Go says.
func (w *yard) micro(ctx context.Context) error {
	fmt.Print("\n## Micro-benchmarks\n\n```\n")
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", "200ms", "-timeout", "5m"}, strings.Fields(hot)...)
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir, c.Env = w.root, append(os.Environ(), "CGO_ENABLED=0")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	err := c.Run()
	fmt.Print("```\n")
	return err
}

// moduleRoot is the folder with go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(strings.TrimSpace(string(b)))
	if _, err := os.Stat(filepath.Join(dir, "bench", "referee", "referee.c")); err != nil {
		return "", fmt.Errorf("run it inside the repository: %w", err)
	}
	return dir, nil
}
