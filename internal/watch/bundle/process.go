package bundle

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const (
	threadsMax  = 20_000
	procFileMax = 64 << 10 // of a file of /proc
	stacksMost  = 20       // of threads in the kernel
)

// Process is what the kernel says of another process: its state, limits, descriptors, threads, and how much all processes wait. It reads
// /proc, which a process that hangs does not make wait. ctx ends the reading of long tables early.
func Process(ctx context.Context, pid int) []byte { return process(ctx, "/proc/"+strconv.Itoa(pid)) }

func process(ctx context.Context, dir string) []byte {
	if runtime.GOOS != "linux" {
		return []byte("This is known on Linux only.\n")
	}
	var b bytes.Buffer
	threads(ctx, &b, dir+"/task")
	descriptors(ctx, &b, dir+"/fd")
	for _, name := range [...]string{
		dir + "/status", dir + "/limits", dir + "/schedstat", dir + "/io", dir + "/wchan",
		"/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/loadavg",
	} {
		text, err := procFile(name)
		if err != nil {
			text = err.Error()
		}
		fmt.Fprintf(&b, "\n== %s\n%s\n", name, strings.TrimRight(text, "\n"))
	}
	return b.Bytes()
}

// procFile reads a small file that the kernel makes.
func procFile(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // beneath /proc
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, procFileMax))
	return string(text), err
}

// thread is what the kernel says of one.
type thread struct{ name, state, where string }

// threads counts threads by what they do, and shows where in the kernel those are that cannot be interrupted.
func threads(ctx context.Context, b *bytes.Buffer, dir string) {
	names, err := procNames(dir, threadsMax)
	if err != nil {
		fmt.Fprintf(b, "threads: %v\n", err)
		return
	}
	counts := map[thread]int{}
	var stuck []string
	for _, id := range names {
		if ctx.Err() != nil {
			break
		}
		t := readThread(dir + "/" + id)
		counts[t]++
		if t.state == "D" && len(stuck) < stacksMost {
			stack, errS := procFile(dir + "/" + id + "/stack") // only for root
			if errS != nil {
				stack = errS.Error()
			}
			stuck = append(stuck, fmt.Sprintf("thread %s cannot be interrupted, in %s:\n%s", id, t.where, stack))
		}
	}
	fmt.Fprintf(b, "== %d threads by name, state, and where in the kernel\n", len(names))
	for _, c := range byCount(counts) {
		fmt.Fprintf(b, "%7d  %-16s %s  %s\n", counts[c], c.name, c.state, c.where)
	}
	for _, s := range stuck {
		fmt.Fprintf(b, "\n%s\n", s)
	}
}

func byCount(counts map[thread]int) []thread {
	all := make([]thread, 0, len(counts))
	for t := range counts {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b thread) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.name, b.name),
			cmp.Compare(a.state, b.state), cmp.Compare(a.where, b.where))
	})
	return all
}

// readThread reads "7 (name) S ...", where the name may have parentheses of its own, and what the kernel waits in.
func readThread(dir string) (t thread) {
	stat, _ := procFile(dir + "/stat")
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open >= 0 && end > open && len(stat) > end+2 {
		t.name, t.state = stat[open+1:end], stat[end+2:end+3]
	}
	where, err := procFile(dir + "/wchan")
	switch {
	case err != nil:
		t.where = "(not readable)"
	case where == "0" || where == "":
		t.where = "-"
	default:
		t.where = where
	}
	return t
}

// procNames lists a folder of /proc.
func procNames(dir string, most int) ([]string, error) {
	d, err := os.Open(dir) //nolint:gosec // beneath /proc
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(most)
	if len(names) > 0 {
		err = nil
	}
	return names, err
}

// descriptors counts a process' open files by kind.
func descriptors(ctx context.Context, b *bytes.Buffer, dir string) {
	kinds, n := map[string]int{}, 0
	err := eachFD(ctx, dir, func(_ int, what string) {
		n++
		kind, _, _ := strings.Cut(what, ":[")
		if strings.HasPrefix(kind, "/") && !strings.HasPrefix(kind, "/dev/") {
			kind = "file"
		}
		kinds[kind]++
	})
	fmt.Fprintf(b, "\n== %d descriptors\n", n)
	if err != nil {
		fmt.Fprintf(b, "%v\n", err)
	}
	for _, c := range counts(kinds) {
		fmt.Fprintf(b, "%7d  %s\n", c.n, c.name)
	}
}
