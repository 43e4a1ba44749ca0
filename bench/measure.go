//go:build linux

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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The rhythm of a measurement.
const (
	lead    = 3   // seconds from the publishers' start to the first viewer: more than a group of pictures
	warmUp  = 2   // seconds from the last join to the window
	ramp    = 400 // viewers that join a second
	pubRamp = 100 // publishers that start a second: the referee's own
)

// result is a measurement: what the referee said, and which one it is.
type result struct {
	target target
	crowdResult

	Date   string `json:"date"`
	Target string `json:"target"`
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
	LiveKB    float64 `json:"live_kb_per_viewer,omitempty"` // what the server itself says that it keeps
	Threads   int     `json:"threads"`
	Referee   float64 `json:"referee_cpu,omitempty"` // CPU seconds of the referee
	Others    float64 `json:"others_cpu"`            // CPU seconds of all other processes

	JoinP50 float64 `json:"join_key_p50"` // milliseconds from connect to the first whole key picture
	JoinP99 float64 `json:"join_key_p99"`
	LatP50  float64 `json:"lat_p50"`
	LatP99  float64 `json:"lat_p99"`
	LatMax  float64 `json:"lat_max"`
}

// String is a line for the impatient.
func (r result) String() string {
	if c, ok := crowds(r.Kind); ok {
		return r.crowdLine(c)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-14v", r.target)
	if r.Kind != "pub" {
		fmt.Fprintf(&b, " %5.1f %% delivered, %.3f CPU-s/GB", r.Ratio*100, r.PerGB)
	} else {
		fmt.Fprintf(&b, " %.2f CPU ms/s each", r.PerPub)
	}
	if r.Kind != "pub" && !r.target.reference() {
		fmt.Fprintf(&b, ", join %.1f/%.1f ms, latency %.1f/%.1f ms, %.1f KB each", r.JoinP50, r.JoinP99, r.LatP50, r.LatP99, r.KBViewer)
	}
	if r.LiveKB > 0 {
		fmt.Fprintf(&b, ", %.2f KB live", r.LiveKB)
	}
	fmt.Fprintf(&b, "; others took %.2f cores", others(r))
	if r.Error != "" {
		fmt.Fprintf(&b, "; %d failed, %d died: %s", r.Failed, r.Died, r.Error)
	}
	return b.String()
}

// measure takes one figure, in bounded time.
func (w *yard) measure(ctx context.Context, t target) (result, error) {
	r := result{target: t, Target: t.String(), Kind: t.kind, Count: t.count(), Server: w.server}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(90+w.duration+t.count()/50)*time.Second)
	defer cancel()
	if t.reference() {
		return r, w.measureReference(ctx, t, &r)
	}
	s, err := w.start(ctx, t)
	if err != nil {
		return r, err
	}
	c, ok := crowds(t.kind)
	if ok {
		err = w.measureCrowd(ctx, t, c, s, &r)
	} else {
		err = w.referees(ctx, t, s, &r)
	}
	if err = errors.Join(err, s.stop()); err != nil || !w.memory || t.viewers == 0 || c.nginx {
		return r, err
	}
	r.LiveKB, err = w.live(t)
	return r, err
}

func (w *yard) measureReference(ctx context.Context, t target, r *result) error {
	args := []string{"--count", strconv.Itoa(t.viewers), "--streams", strconv.Itoa(t.streams), "--duration", strconv.Itoa(w.duration)}
	if t.kind == "ref-packet" {
		args = append(args, "--flush", "0")
	}
	if d := t.duration("flush"); d > 0 {
		args = append(args, "--flush", strconv.FormatInt(d.Milliseconds(), 10))
	}
	b, err := exec.CommandContext(ctx, w.reference, args...).Output()
	if err != nil {
		return withOutput(err, nil)
	}
	return json.Unmarshal(b, r)
}

// referees runs the referee against a server.
func (w *yard) referees(ctx context.Context, t target, s *serving, r *result) error {
	clip, err := w.clip(ctx, t.kbits)
	if err != nil {
		return err
	}
	line := filepath.Join(w.dir, "line.json")
	if err = os.Remove(line); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	args := []string{
		"--pub", s.url("rtmp", "rtmp", ""), "--pub-count", strconv.Itoa(t.streams), "--file", clip,
		"--pid", strconv.Itoa(s.cmd.Process.Pid), "--label", t.file(), "--json", line,
		"--lead", strconv.Itoa(lead), "--warmup", strconv.Itoa(warmUp), "--ramp", strconv.Itoa(ramp),
		"--duration", strconv.Itoa(w.duration), "--quiet",
	}
	if p, ok := plays(t.kind); ok {
		args = append(args, "--play", s.url(p.scheme, p.port, p.suffix), "--count", strconv.Itoa(t.viewers))
		if w.memory {
			args = append(args, "--mark")
		}
	}
	referee := w.referee
	if t.tls() {
		referee = w.refereeTLS
	}
	out, err := exec.CommandContext(ctx, referee, args...).CombinedOutput()
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

// live reads what the server kept before the first viewer and after the window, and returns the growth in KB a viewer.
func (w *yard) live(t target) (float64, error) {
	b, err := os.ReadFile(w.memoryFile())
	if err != nil {
		return 0, err
	}
	var kept []float64
	for word := range strings.FieldsSeq(string(b)) {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return 0, err
		}
		kept = append(kept, n)
	}
	if len(kept) != 2 {
		return 0, fmt.Errorf("the server told %d times what it keeps in memory, not twice", len(kept))
	}
	return (kept[1] - kept[0]) / 1024 / float64(t.viewers), nil
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

// commandLine returns the server's for one measurement, and the ports that it is to listen on.
func (w *yard) commandLine(ctx context.Context, t target) ([]string, map[string]int, error) {
	names := []string{"rtmp", "rtmps", "http", "https", "rtsp"}
	free, err := freePorts(ctx, len(names))
	if err != nil {
		return nil, nil, err
	}
	// The window begins about here; what a profile covers need not be exact.
	delay := float64(lead+warmUp) + float64(t.streams)/pubRamp + float64(t.viewers)/ramp + 0.3
	if _, ok := crowds(t.kind); ok {
		delay += crowdLead - lead
	}
	replace := []string{
		"{data}", filepath.Join(w.dir, "data"), "{cert}", w.certFile(), "{key}", w.keyFile(), "{memory}", w.memoryFile(),
		"{delay}", fmt.Sprintf("%.1fs", delay), "{profile}", filepath.Join(w.profile, t.file()),
	}
	ports := map[string]int{}
	for i, name := range names {
		ports[name] = free[i]
		replace = append(replace, "{"+name+"}", strconv.Itoa(free[i]))
	}
	line := slices.Clone(w.program)
	if w.server == "" {
		if t.tls() {
			line = append(line, "--set", "tls.cert={cert}", "--set", "tls.key={key}",
				"--set", "rtmp.tls.listen=127.0.0.1:{rtmps}", "--set", "http.tls.listen=127.0.0.1:{https}")
		}
		for _, s := range t.settings() {
			line = append(line, "--set", s)
		}
	}
	r := strings.NewReplacer(replace...)
	for i, word := range line {
		line[i] = r.Replace(word)
	}
	return line, ports, nil
}

// start starts the server and waits until it listens.
func (w *yard) start(ctx context.Context, t target) (*serving, error) {
	words, ports, err := w.commandLine(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &serving{ports: ports, ended: make(chan error, 1), log: filepath.Join(w.dir, "server.log")}
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
