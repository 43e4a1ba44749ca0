//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// yard holds what measurements need: the tools, the clips, the server's program.
type yard struct {
	settings
	root, dir string // of the repository; of scratch

	referee, refereeTLS, reference, crowd string
	nginx                                 string // nothing, if there is none
	note                                  string // what was left out

	program []string // the server's command line, with {…} for what differs between runs
}

// newYard builds what is not there yet, and finds out early what would fail later.
func newYard(ctx context.Context, s settings, targets []target) (*yard, error) {
	if err := fits(targets); err != nil {
		return nil, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	w := &yard{settings: s, root: root, dir: filepath.Join(root, ".cache", "bench")}
	if err = os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, err
	}
	if w.out == "" {
		w.out = filepath.Join(w.dir, "results.jsonl")
	}
	if w.referee, err = w.compile(ctx, "referee.c", "referee"); err != nil {
		return nil, err
	}
	if w.reference, err = w.compile(ctx, "reference.c", "reference", "-lpthread"); err != nil {
		return nil, err
	}
	if w.crowd, err = w.compile(ctx, "crowd.c", "crowd"); err != nil {
		return nil, err
	}
	w.nginx = findNginx()
	if slices.ContainsFunc(targets, target.tls) {
		if w.refereeTLS, err = w.compile(ctx, "referee.c", "referee-tls", "-DTLS", "-lssl", "-lcrypto"); err != nil {
			return nil, fmt.Errorf("measuring TLS needs OpenSSL and its headers (Debian: apt install libssl-dev): %w", err)
		}
	}
	if err = w.makeCertificate(); err != nil {
		return nil, err
	}
	if s.server != "" {
		w.program = strings.Fields(s.server)
		return w, nil
	}
	if err = w.buildServer(ctx); err != nil {
		return nil, err
	}
	return w, w.checkSettings(ctx, targets)
}

// compile makes one of the tools in C when it is older than its source, or what the tools share.
func (w *yard) compile(ctx context.Context, from, name string, flags ...string) (string, error) {
	source, program := filepath.Join(w.root, "bench", "referee", from), filepath.Join(w.dir, name)
	written, err := os.Stat(source)
	if err != nil {
		return "", err
	}
	shared, err := os.Stat(filepath.Join(filepath.Dir(source), "common.h"))
	if err != nil {
		return "", err
	}
	if made, err := os.Stat(program); err == nil && made.ModTime().After(written.ModTime()) && made.ModTime().After(shared.ModTime()) {
		return program, nil
	}
	return program, command(ctx, w.root, "gcc", append([]string{"-O2", "-Wall", "-Wextra", "-o", program, source}, flags...)...)
}

// buildServer builds vigil, or the program that looks into it.
func (w *yard) buildServer(ctx context.Context) error {
	program, source := filepath.Join(w.dir, "vigil"), "./cmd/vigil"
	args := []string{"serve"}
	if w.inside() {
		program, source, args = filepath.Join(w.dir, "profile"), "./bench/profile", nil
	}
	if w.profile != "" {
		args = append(args, "-delay", "{delay}", "-duration", strconv.Itoa(max(w.duration-1, 1))+"s", "-dir", "{profile}")
	}
	if w.memory {
		args = append(args, "-memory", "{memory}")
	}
	if !w.inside() {
		args = append(args, "--no-supervisor") // what is measured is the process that serves
	}
	if err := command(ctx, w.root, "go", "build", "-trimpath", "-o", program, source); err != nil {
		return err
	}
	set := append([]string{"rtmp.listen=127.0.0.1:{rtmp}", "http.listen=127.0.0.1:{http}", "rtsp.listen=127.0.0.1:{rtsp}", "data={data}"}, w.set...)
	for _, s := range set {
		args = append(args, "--set", s)
	}
	w.program = append([]string{program}, args...)
	return nil
}

// inside says whether the server runs inside the program that looks into it.
func (w *yard) inside() bool { return w.profile != "" || w.memory }

func (w *yard) memoryFile() string { return filepath.Join(w.dir, "memory.txt") }

// checkSettings asks vigil whether it knows all settings, so that a wrong one does not end a run in its middle.
func (w *yard) checkSettings(ctx context.Context, targets []target) error {
	for _, t := range targets {
		if t.reference() || w.inside() {
			continue
		}
		line, _, err := w.commandLine(ctx, t)
		if err != nil {
			return err
		}
		line[1] = "check" // it was "serve"
		if err = command(ctx, w.root, line[0], line[1:]...); err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
	}
	return nil
}

// clip returns the FLV file with the given bit rate: H.264 of 25 pictures a second with a key picture every 2 s, at a constant
// rate, without B-frames, and AAC.
func (w *yard) clip(ctx context.Context, kbits int) (string, error) {
	const audio = 96
	file := filepath.Join(w.dir, fmt.Sprintf("clip-%dk.flv", kbits))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	rate, half, size := fmt.Sprintf("%dk", kbits-audio), file+".part", "1280x720"
	if kbits < 1500 {
		size = "640x360"
	}
	err := command(ctx, w.root, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=rate=25:size="+size,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-t", "20",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate,
		"-nal-hrd", "cbr", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "0", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-b:a", fmt.Sprintf("%dk", audio), "-f", "flv", half)
	if err != nil {
		return "", err
	}
	return file, os.Rename(half, file)
}

// command runs a program that is expected to say nothing.
func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if b, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(b))
	}
	return nil
}

// freePorts returns ports on loopback that nobody listens on.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // nothing can be done about it
		a, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("a TCP listener without a TCP address")
		}
		ports = append(ports, a.Port)
	}
	return ports, nil
}

// machine says in a line what was measured on.
func (w *yard) machine(ctx context.Context) string {
	model, kernel := "unknown processor", runtime.GOOS
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = "Linux " + strings.TrimSpace(string(b))
	}
	server := w.server
	if server == "" {
		server = "vigil"
		c := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
		c.Dir = w.root
		if b, err := c.Output(); err == nil {
			server += " " + strings.TrimSpace(string(b))
		}
		server = strings.Join(append([]string{server}, w.set...), " --set ")
	}
	return fmt.Sprintf("%d x %s, %s, %s, loopback; server: %s", runtime.NumCPU(), model, kernel, runtime.Version(), server)
}
