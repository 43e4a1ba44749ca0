//go:build linux

// Command bench measures a live streaming server on this machine and prints one report: a table of what viewers and
// publishers cost, beside a reference in C in the same sitting, and the micro-benchmarks of the hot packages. README.md tells
// what the figures mean.
//
//	go run ./bench                              the standard set, once: about 3 minutes
//	BENCH_RUNS=5 go run ./bench                 five rounds, and their medians: about 16 minutes
//	go run ./bench ref:1000 rtmp:100 rtmps:100  single measurements
//	go run ./bench segmented                    HTTP Live Streaming, beside nginx
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// standard is what is measured when nothing is named.
const standard = "ref:1000 rtmp:100 rtmp:1000 flv:1000 ws:1000 rtmps:1000 rtmp:1000+" + mergeWindow + "=300ms " +
	"rtmp:5000 rtmp:2000 rtmp:20x100 pub:100@2050"

// hot are the packages whose micro-benchmarks are part of the report.
const hot = "./internal/stream ./internal/container/flv ./internal/protocol/rtmp/internal/chunk"

// settings are the flags.
type settings struct {
	runs     int
	duration int // seconds
	server   string
	set      list
	profile  string
	memory   bool
	out      string
	micro    bool
	verbose  bool
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

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
	w, err := newYard(ctx, s, targets)
	if err != nil {
		return err
	}
	if targets, w.note = withoutNginx(targets, w.nginx); w.note != "" {
		fmt.Fprintln(os.Stderr, "bench:", w.note)
	}
	all, err := w.rounds(ctx, targets)
	if len(all) == 0 {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	report{machine: w.machine(ctx), note: w.note, duration: s.duration, memory: s.memory, targets: targets, results: all}.write(out)
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if s.micro {
		return w.micro(ctx)
	}
	return nil
}

// rounds measures everything, again and again. With an error it returns what there was before.
func (w *yard) rounds(ctx context.Context, targets []target) ([]result, error) {
	var all []result
	for round := range w.runs {
		for _, t := range targets {
			r, err := w.measure(ctx, t)
			if ctx.Err() != nil {
				return all, context.Cause(ctx)
			}
			if err != nil {
				return all, fmt.Errorf("%v: %w", t, err)
			}
			r.Round, r.Date = round+1, time.Now().UTC().Format(time.RFC3339)
			fmt.Fprintf(os.Stderr, "%d/%d  %v\n", r.Round, w.runs, r)
			if err := keep(w.out, r); err != nil {
				return all, err
			}
			all = append(all, r)
		}
	}
	return all, nil
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
		fmt.Fprintf(f.Output(), `bench [flags] [KIND:COUNT[xSTREAMS][@KBITS][+KEY=VALUE...]...]

KIND is ref (the reference in C), ref-packet (the same, with a send for each packet), pub (publishers without viewers), or a way
to play: rtmp, flv, ws, the same over TLS: rtmps, flvs, wss; ts, fmp4, rtsp. Of HTTP Live Streaming: hls (TS), llhls (parts of
fMP4), nginx (the files of hls, served by nginx from memory), and for requests for playlists only: m3u8 and llm3u8, each also with
-gzip or -stranger (without cookie); m3u8-nginx. The word "segmented" stands for: `+segmented+`.

rtmp:20x100 is 20 viewers on each of 100 streams, @KBITS the rate of each stream, +KEY=VALUE a setting of the server for this
measurement only; ref takes +flush=DURATION. The default is:

%s

`, standard)
		f.PrintDefaults()
	}
	f.IntVar(&s.runs, "runs", runs, "rounds; the report has their medians (default from BENCH_RUNS)")
	f.IntVar(&s.duration, "duration", 8, "seconds of each window")
	f.StringVar(&s.server, "server", "", "command line of another server, with {rtmp} {rtmps} {http} {https} {rtsp} for the ports on 127.0.0.1, "+
		"{cert} and {key} for TLS, and {data} for a folder")
	f.Var(&s.set, "set", "a setting for vigil in all measurements, KEY=VALUE; may be repeated")
	f.StringVar(&s.profile, "profile", "", "folder for Go profiles of each window; the server then runs inside bench/profile")
	f.BoolVar(&s.memory, "memory", false, "ask the server what it keeps in memory for each viewer; it then runs inside bench/profile")
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
	if s.runs < 1 || s.duration < 1 {
		return s, nil, errors.New("-runs and -duration are at least 1")
	}
	if s.server != "" && (s.profile != "" || s.memory || len(s.set) > 0) {
		return s, nil, errors.New("-profile, -memory and -set are for vigil: they do not go with -server")
	}
	targets := make([]target, 0, len(names))
	if i := slices.Index(names, "segmented"); i >= 0 {
		names = slices.Replace(slices.Clone(names), i, i+1, strings.Fields(segmented)...)
	}
	for _, name := range names {
		t, err := parseTarget(name)
		if err != nil {
			return s, nil, err
		}
		if s.server != "" && t.set != "" && !t.reference() {
			return s, nil, fmt.Errorf("%v: settings are for vigil: they do not go with -server", t)
		}
		targets = append(targets, t)
	}
	return s, withPublishers(targets), nil
}

// withPublishers adds what the publishers of many streams cost without viewers, where it is not asked for anyway.
func withPublishers(targets []target) []target {
	all := slices.Clone(targets)
	for _, t := range targets {
		if pub, many := t.publishers(); many && !slices.Contains(all, pub) {
			all = append(all, pub)
		}
	}
	return all
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
