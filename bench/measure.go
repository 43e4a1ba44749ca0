package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The rhythm of a measurement.
const (
	lead      = 3   // seconds from the publishers' start to the first viewer: more than a group of pictures
	warmUp    = 2   // seconds from the last join to the window
	ramp      = 400 // viewers that join a second
	pubRamp   = 100 // publishers that start a second: the referee's own
	kbitsPlay = 2050
	kbitsPub  = 1000
)

// result is a measurement: what the referee said, and which one it is.
type result struct {
	Date   string `json:"date"`
	Kind   string `json:"kind"`
	Count  int    `json:"count"`
	Round  int    `json:"round"`
	Server string `json:"server,omitempty"`

	Seconds    float64 `json:"secs"`
	Bytes      float64 `json:"bytes"`
	Ratio      float64 `json:"ratio"`       // bytes delivered to a viewer, of those published
	FrameRatio float64 `json:"frame_ratio"` // pictures that a probe got, of those published
	Live       int     `json:"live"`        // viewers when the window began
	Died       int     `json:"died"`
	Failed     int     `json:"failed_joins"`
	Late       int     `json:"late"` // messages that could not be published in time
	MinMB      float64 `json:"min_mb"`
	MaxMB      float64 `json:"max_mb"`
	Error      string  `json:"error,omitempty"`

	CPU       float64 `json:"cpu"`
	CPUUser   float64 `json:"cpu_user"`
	CPUSys    float64 `json:"cpu_sys"`
	PerGB     float64 `json:"cpu_per_gb"`
	PerPub    float64 `json:"ms_per_pub"` // CPU milliseconds a second
	RSSBefore float64 `json:"rss0_kb"`
	RSSLead   float64 `json:"rss_lead_kb"`
	RSSEnd    float64 `json:"rss_end_kb"`
	Peak      float64 `json:"peak_kb"`
	KBViewer  float64 `json:"kb_per_viewer"`
	KBPub     float64 `json:"kb_per_pub"`
	Threads   int     `json:"threads"`
	Others    float64 `json:"others_cpu"` // CPU seconds of all other processes

	JoinP50 float64 `json:"join_key_p50"` // milliseconds from connect to the first whole key picture
	JoinP99 float64 `json:"join_key_p99"`
	LatP50  float64 `json:"lat_p50"`
	LatP99  float64 `json:"lat_p99"`
	LatMax  float64 `json:"lat_max"`
}

// String is a line for the impatient.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10v", target{r.Kind, r.Count})
	if r.Kind != "pub" {
		fmt.Fprintf(&b, " %5.1f %% delivered, %.3f CPU-s/GB", r.Ratio*100, r.PerGB)
	} else {
		fmt.Fprintf(&b, " %.2f CPU ms/s each", r.PerPub)
	}
	if r.Kind != "pub" && !reference(r.Kind) {
		fmt.Fprintf(&b, ", join %.1f/%.1f ms, latency %.1f/%.1f ms, %.1f KB each", r.JoinP50, r.JoinP99, r.LatP50, r.LatP99, r.KBViewer)
	}
	fmt.Fprintf(&b, "; others took %.2f cores", others(r))
	if r.Error != "" {
		fmt.Fprintf(&b, "; %d failed, %d died: %s", r.Failed, r.Died, r.Error)
	}
	return b.String()
}

// plays are the ways to play: the URL's scheme, whose port, and the suffix of the path.
func plays(kind string) (scheme, port, suffix string, ok bool) {
	switch kind {
	case "rtmp":
		return "rtmp", "rtmp", "", true
	case "flv":
		return "http", "http", ".live.flv", true
	case "ws":
		return "ws", "http", ".live.flv", true
	case "ts":
		return "http", "http", ".live.ts", true
	case "fmp4":
		return "http", "http", ".live.mp4", true
	case "rtsp":
		return "rtsp", "rtsp", "", true
	}
	return "", "", "", false
}

func known(kind string) bool {
	_, _, _, ok := plays(kind)
	return ok || reference(kind) || kind == "pub"
}

// reference says whether a kind is one of the sender in C.
func reference(kind string) bool { return kind == "ref" || kind == "ref-packet" }

// measure takes one figure, in bounded time.
func (w *yard) measure(ctx context.Context, t target) (result, error) {
	r := result{Kind: t.kind, Count: t.count, Server: w.server}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(90+w.duration+t.count/50)*time.Second)
	defer cancel()
	if reference(t.kind) {
		args := []string{"--count", strconv.Itoa(t.count), "--duration", strconv.Itoa(w.duration)}
		if t.kind == "ref-packet" {
			args = append(args, "--flush", "0")
		}
		b, err := exec.CommandContext(ctx, w.reference, args...).Output()
		if err != nil {
			return r, withOutput(err, nil)
		}
		return r, json.Unmarshal(b, &r)
	}
	s, err := w.start(ctx, t)
	if err != nil {
		return r, err
	}
	err = w.referees(ctx, t, s, &r)
	return r, errors.Join(err, s.stop())
}

// referees runs the referee against a server.
func (w *yard) referees(ctx context.Context, t target, s *serving, r *result) error {
	kbits, streams := kbitsPlay, w.streams
	if t.kind == "pub" {
		kbits, streams = kbitsPub, t.count
	}
	clip, err := w.clip(ctx, kbits)
	if err != nil {
		return err
	}
	line := filepath.Join(w.dir, "line.json")
	if err = os.Remove(line); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	args := []string{
		"--pub", s.url("rtmp", "rtmp", ""), "--pub-count", strconv.Itoa(streams), "--file", clip,
		"--pid", strconv.Itoa(s.cmd.Process.Pid), "--label", t.String(), "--json", line,
		"--lead", strconv.Itoa(lead), "--warmup", strconv.Itoa(warmUp), "--ramp", strconv.Itoa(ramp),
		"--duration", strconv.Itoa(w.duration), "--quiet",
	}
	if scheme, port, suffix, ok := plays(t.kind); ok {
		args = append(args, "--play", s.url(scheme, port, suffix), "--count", strconv.Itoa(t.count))
	}
	out, err := exec.CommandContext(ctx, w.referee, args...).CombinedOutput()
	if err != nil {
		return withOutput(err, out)
	}
	if w.verbose {
		fmt.Fprintf(os.Stderr, "%s\n", bytes.TrimSpace(out))
	}
	b, err := os.ReadFile(line)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, r)
}

// withOutput adds the end of what a program said to its error.
func withOutput(err error, out []byte) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(out) == 0 {
		out = exit.Stderr
	}
	out = bytes.TrimSpace(out)
	return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-1000):])
}

// serving is a server that runs.
type serving struct {
	cmd   *exec.Cmd
	ports map[string]int
	ended chan error
	log   string
}

// start starts the server and waits until it listens.
func (w *yard) start(ctx context.Context, t target) (*serving, error) {
	names := []string{"rtmp", "http", "rtsp"}
	ports, err := freePorts(ctx, len(names))
	if err != nil {
		return nil, err
	}
	s := &serving{ports: map[string]int{}, ended: make(chan error, 1), log: filepath.Join(w.dir, "server.log")}
	// The window begins about here; what a profile covers need not be exact.
	delay := float64(lead+warmUp) + float64(t.count)/ramp + 0.3
	if t.kind == "pub" {
		delay = float64(lead+warmUp) + float64(t.count)/pubRamp + 0.3
	}
	replace := []string{
		"{data}", filepath.Join(w.dir, "data"), "{delay}", fmt.Sprintf("%.1fs", delay),
		"{profile}", filepath.Join(w.profile, strings.ReplaceAll(t.String(), ":", "-")),
	}
	for i, name := range names {
		s.ports[name] = ports[i]
		replace = append(replace, "{"+name+"}", strconv.Itoa(ports[i]))
	}
	words := make([]string, len(w.program))
	for i, word := range w.program {
		words[i] = strings.NewReplacer(replace...).Replace(word)
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the server has its own handle
	s.cmd = exec.CommandContext(ctx, words[0], words[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 5 * time.Second
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// ready waits until the RTMP port is open.
func (s *serving) ready(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(limit, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports["rtmp"])))
		if err == nil {
			return conn.Close()
		}
		select {
		case cause := <-s.ended:
			s.ended <- cause
			b, _ := os.ReadFile(s.log) // the error says enough without it
			if cause == nil {
				cause = errors.New("by itself, with exit code 0")
			}
			return withOutput(fmt.Errorf("the server ended: %w", cause), b)
		case <-limit.Done():
			return fmt.Errorf("the server does not listen: %w", err)
		case <-poll.C:
		}
	}
}

func (s *serving) url(scheme, port, suffix string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d/live/s%%d%s", scheme, s.ports[port], suffix)
}

// stop ends the server and waits for it. A server that does not end by itself is killed, which is an error.
func (s *serving) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case err := <-s.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys() != nil && !exit.Exited() {
			return nil // by the signal: a server that does not handle it
		}
		return err
	case <-limit.C:
		return errors.Join(errors.New("the server did not end within 10 s of SIGTERM"), s.cmd.Process.Kill(), <-s.ended)
	}
}
