package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unpack reads an archive: the files by name, and the names in their order.
func unpack(t testing.TB, data []byte) (map[string][]byte, []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files, names := map[string][]byte{}, []string(nil)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, names
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		names = append(names, h.Name)
	}
}

// eventually polls for 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// patient is a collector that gives parts long enough for any machine.
func patient() *Collector {
	c := NewCollector()
	c.within = 30 * time.Second
	return c
}

func collect(t *testing.T, c *Collector, s Sources) *Bundle {
	t.Helper()
	b, err := c.Collect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAllParts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := NewRecorder()
	if err = r.Start(); err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	board := watch.NewBoard()
	board.Claim(watch.Label{Class: watch.Shard, Name: "shard 1"}).Begin()
	g, _ := task.NewGroup(t.Context())
	sits := make(chan struct{}) // it has its name once it runs
	g.Go("sits about", func(ctx context.Context) error { close(sits); <-ctx.Done(); return nil })
	<-sits
	b := collect(t, patient(), Sources{
		Reason: "a test", Board: board, Recorder: r,
		Log:      func() []byte { return []byte("a line\n") },
		Sessions: func(context.Context) any { return map[string]string{"id": "7f3a"} },
		Peers:    func(context.Context) []Peer { return []Peer{{ID: "7f3a"}} },
		Config:   func() []byte { return []byte("rtmp: {}\n") },
	})
	g.Stop(nil)
	_ = g.Wait()
	files, names := unpack(t, b.Data)
	if names[0] != "verdict.txt" || names[len(names)-1] != manifestName {
		t.Errorf("the order is %v", names)
	}
	wants := map[string]string{
		"verdict.txt": "Made because: a test.", "cells.txt": "shard 1", "goroutines.txt": "goroutine ",
		"goroutines-grouped.txt": "sits about", "runtime.txt": "/sched/goroutines:goroutines", "config.yaml": "rtmp",
		"log.txt": "a line", "sessions.json": `"7f3a"`, manifestName: "trace.out", "trace.out": "go 1.2",
		"sockets.txt": l.Addr().String(), "process.txt": "VmRSS",
	}
	if runtime.GOOS != "linux" {
		wants["sockets.txt"], wants["process.txt"] = "Linux only", "Linux only"
	}
	for name, want := range wants {
		if !strings.Contains(string(files[name]), want) {
			t.Errorf("%s does not say %q: %.300q", name, want, files[name])
		}
	}
	for _, name := range []string{"heap", "goroutine", "mutex", "block"} {
		z, err := gzip.NewReader(bytes.NewReader(files[name+".pb.gz"]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err = io.ReadAll(z); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(string(files[manifestName]), "left out") {
		t.Errorf("something is left out: %s", files[manifestName])
	}
}

// What the callers give may be of any size: the bundle is not.
func TestSizeIsBounded(t *testing.T) {
	noise := make([]byte, 24<<20) // which cannot be compressed
	src := rand.NewChaCha8([32]byte{})
	_, _ = src.Read(noise)
	copy(noise[len(noise)-7:], "newest\n")
	b := collect(t, patient(), Sources{
		Log:      func() []byte { return noise },
		Config:   func() []byte { return noise },
		Sessions: func(context.Context) any { return noise[:3<<20] },
	})
	files, _ := unpack(t, b.Data)
	total := 0
	for _, data := range files {
		total += len(data)
	}
	if total > bytesMax || len(b.Data) > archiveMax {
		t.Errorf("%d bytes, packed %d", total, len(b.Data))
	}
	if !bytes.HasSuffix(files["log.txt"], []byte("newest\n")) {
		t.Error("the newest lines are missing")
	}
	for _, want := range []string{"cut: the last 2097152 of 25165824 bytes", "cut: the first 2097152 of 25165824 bytes"} {
		if !strings.Contains(string(files[manifestName]), want) {
			t.Errorf("the manifest does not say %q: %s", want, files[manifestName])
		}
	}
}

// A source that hangs is left out and named, costs the others nothing, and is not called again before it comes back.
func TestSourceThatHangs(t *testing.T) {
	c := NewCollector()
	gate, calls := make(chan struct{}), make(chan struct{}, 10)
	s := Sources{
		Log:      func() []byte { calls <- struct{}{}; <-gate; return []byte("late") },
		Config:   func() []byte { return []byte("here") },
		Sessions: func(context.Context) any { panic("oops") },
	}
	begun := time.Now()
	b := collect(t, c, s)
	took := time.Since(begun)
	files, _ := unpack(t, b.Data)
	says := string(files[manifestName])
	if took > 10*time.Second || files["log.txt"] != nil || string(files["config.yaml"]) != "here" {
		t.Errorf("took %v, log %q, config %q", took, files["log.txt"], files["config.yaml"])
	}
	for _, want := range []string{"left out: it has not come in time", "left out: task sessions.json: panic: oops"} {
		if !strings.Contains(says, want) {
			t.Errorf("the manifest does not say %q: %s", want, says)
		}
	}
	files, _ = unpack(t, collect(t, c, s).Data)
	if n := len(calls); n != 1 || !strings.Contains(string(files[manifestName]), "it hangs since 20") {
		t.Errorf("called %d times; %s", n, files[manifestName])
	}
	close(gate)
	eventually(t, "the part comes back", func() bool { return c.tasks.Len() == 0 })
	files, _ = unpack(t, collect(t, c, s).Data)
	if string(files["log.txt"]) != "late" {
		t.Errorf("log %q", files["log.txt"])
	}
}

func TestCollectHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gate := make(chan struct{})
	c := patient()
	begun := time.Now()
	b, err := c.Collect(ctx, Sources{Log: func() []byte { cancel(); <-gate; return nil }})
	if took := time.Since(begun); err != nil || len(b.Data) == 0 || took > c.within/2 {
		t.Error(err, took)
	}
	close(gate)
	c.tasks.Wait()
}

func TestOneAtATime(t *testing.T) {
	c := patient()
	begun, gate, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, err := c.Collect(t.Context(), Sources{Log: func() []byte { close(begun); <-gate; return nil }})
		done <- err
	}()
	<-begun
	if _, err := c.Collect(t.Context(), Sources{}); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	collect(t, c, Sources{})
}

// No secret of the configuration is anywhere, in whatever form.
func TestNoSecrets(t *testing.T) {
	const secret = `s3cr&t"va/lue`
	board := watch.NewBoard()
	board.Claim(watch.Label{Class: watch.Session, Name: "live/cam?key=" + secret}).Begin()
	r := NewRecorder()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	g, _ := task.NewGroup(t.Context())
	g.Go("with "+secret, func(ctx context.Context) error { <-ctx.Done(); return nil })
	b := collect(t, patient(), Sources{
		Reason: "because of " + secret, Board: board, Recorder: r,
		Found: []Found{{Finding: watch.Finding{
			Label: &watch.Label{Class: watch.Session, Session: secret}, Age: time.Minute, Stage: watch.Acted,
		}}},
		Config:   func() []byte { return []byte("api:\n  secret: " + secret + "\n") },
		Log:      func() []byte { return []byte("GET /live?key=s3cr%26t%22va%2Flue " + secret) },
		Sessions: func(context.Context) any { return []string{secret, "http://h/?k=" + secret} },
		Secrets:  []string{secret, "abc"},
	})
	g.Stop(nil)
	_ = g.Wait()
	files, names := unpack(t, b.Data)
	if !slices.Contains(names, "trace.out") || !slices.Contains(names, "goroutine.pb.gz") {
		t.Fatalf("only %v", names)
	}
	for name, data := range files {
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(name, err)
			}
			if data, err = io.ReadAll(z); err != nil {
				t.Fatal(name, err)
			}
		}
		for _, form := range []string{"s3cr", "va/lue", "va%2Flue"} {
			if i := bytes.Index(data, []byte(form)); i >= 0 {
				t.Errorf("%s tells %q: %q", name, form, data[max(0, i-50):min(len(data), i+50)])
			}
		}
	}
	if s := fmt.Sprint(b.Verdict, b.Reason); strings.Contains(s, "s3cr") {
		t.Error(s)
	}
	if !strings.Contains(string(files["config.yaml"]), "secret: *************\n") {
		t.Errorf("%q", files["config.yaml"])
	}
}

func TestRecorder(t *testing.T) {
	var none *Recorder
	none.Stop()
	if _, err := none.Snapshot(t.Context()); !errors.Is(err, errTraceOff) {
		t.Error(err)
	}
	r := NewRecorder()
	if _, err := r.Snapshot(t.Context()); !errors.Is(err, errTraceOff) {
		t.Error(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err == nil {
		t.Error("started twice")
	}
	data, err := r.Snapshot(t.Context())
	if err != nil || !bytes.HasPrefix(data, []byte("go 1.2")) {
		t.Errorf("%.20q, %v", data, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = r.Snapshot(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.Stop()
	if _, err = r.Snapshot(t.Context()); !errors.Is(err, errTraceOff) {
		t.Error(err)
	}
	r.tasks.Wait()
}

// Whoever comes while a snapshot hangs waits no longer than he may.
func TestRecorderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder()
		<-r.turn
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := r.Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Error(err, time.Since(begun))
		}
		r.Stop()
		if err := r.Start(); !errors.Is(err, errTraceBusy) || time.Since(begun) != time.Second+2*stopWithin {
			t.Error(err, time.Since(begun))
		}
	})
}

func TestLimited(t *testing.T) {
	w := &limited{ctx: t.Context(), most: 3}
	if _, err := w.Write([]byte("abc")); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("d")); !errors.Is(err, errTraceLarge) || w.String() != "abc" {
		t.Error(err, w.String())
	}
}

// BenchmarkCollect is what a bundle costs in a process with 1000 goroutines.
func BenchmarkCollect(b *testing.B) {
	g, ctx := task.NewGroup(b.Context())
	board := watch.NewBoard()
	for i := range 1000 {
		name := fmt.Sprintf("session %d", i)
		board.Claim(watch.Label{Class: watch.Session, Name: name, Session: name}).Begin()
		g.Go(name, func(context.Context) error { <-ctx.Done(); return nil })
	}
	r := NewRecorder()
	if err := r.Start(); err != nil {
		b.Fatal(err)
	}
	c := patient()
	b.ReportAllocs()
	for b.Loop() {
		got, err := c.Collect(b.Context(), Sources{Board: board, Recorder: r})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(got.Data)), "bytes")
	}
	r.Stop()
	g.Stop(nil)
	_ = g.Wait()
}

// BenchmarkStacks is for how long the world stands still for the stacks of 1000 goroutines, about.
func BenchmarkStacks(b *testing.B) {
	g, ctx := task.NewGroup(b.Context())
	for range 1000 {
		g.Go("sits about", func(context.Context) error { <-ctx.Done(); return nil })
	}
	for b.Loop() {
		b.SetBytes(int64(len(stacks())))
	}
	g.Stop(nil)
	_ = g.Wait()
}
