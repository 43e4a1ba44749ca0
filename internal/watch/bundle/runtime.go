package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"time"
)

const (
	stackBytes    = 2 << 10  // of a goroutine's stack as text, to begin with
	stackBytesMax = 16 << 20 // of all
	profileMax    = 2 << 20
)

// stacks is all goroutines with their stacks. The world stands still while they are written, so the memory for them is made large enough
// before, as a rule.
func stacks() []byte {
	n := min(64<<10+runtime.NumGoroutine()*stackBytes, stackBytesMax)
	for {
		buf := make([]byte, n)
		if got := runtime.Stack(buf, true); got < n || n == stackBytesMax {
			return buf[:got]
		}
		n = min(2*n, stackBytesMax)
	}
}

// dump reads the goroutines out of stacks, with their labels.
func dump(ctx context.Context, text []byte) (Dump, error) {
	d := Goroutines(text)
	if d.named() || ctx.Err() != nil {
		return d, ctx.Err()
	}
	w := &limited{ctx: ctx, most: stackBytesMax}
	if err := pprof.Lookup("goroutine").WriteTo(w, 1); err == nil {
		d.name(w.Bytes())
	}
	return d, ctx.Err()
}

// profile is one of the runtime's profiles, gzipped.
func profile(ctx context.Context, name string) ([]byte, error) {
	p := pprof.Lookup(name)
	if p == nil {
		return nil, errors.New("the runtime has no such profile")
	}
	w := &limited{ctx: ctx, most: profileMax}
	err := p.WriteTo(w, 0)
	return w.Bytes(), err
}

// runtimeText is the figures of the runtime, and what was built how.
func runtimeText() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "at %s\n%s %s/%s\n", time.Now().UTC().Format(time.RFC3339Nano), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "GOMAXPROCS %d of %d processors\n", runtime.GOMAXPROCS(0), runtime.NumCPU())
	if limit := debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
		b.WriteString("GOMEMLIMIT off\n")
	} else {
		fmt.Fprintf(&b, "GOMEMLIMIT %d\n", limit)
	}
	fmt.Fprintf(&b, "goroutines %d\n\n== metrics\n", runtime.NumGoroutine())
	samples := make([]metrics.Sample, 0, 128)
	for _, d := range metrics.All() {
		samples = append(samples, metrics.Sample{Name: d.Name})
	}
	metrics.Read(samples)
	for i := range samples {
		fmt.Fprintf(&b, "%s %s\n", samples[i].Name, value(samples[i].Value))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		fmt.Fprintf(&b, "\n== build\n%s", info)
	}
	return b.Bytes()
}

func value(v metrics.Value) string {
	switch v.Kind() {
	case metrics.KindUint64:
		return strconv.FormatUint(v.Uint64(), 10)
	case metrics.KindFloat64:
		return fmt.Sprint(v.Float64())
	case metrics.KindFloat64Histogram:
		return histogram(v.Float64Histogram())
	case metrics.KindBad:
	}
	return "-"
}

// histogram is how many there are, and what so many of them are below.
func histogram(h *metrics.Float64Histogram) string {
	total := uint64(0)
	for _, n := range h.Counts {
		total += n
	}
	at := func(q float64) float64 { return quantile(h, total, q) }
	return fmt.Sprintf("count %d  p50 %g  p90 %g  p99 %g  p100 %g", total, at(0.5), at(0.9), at(0.99), at(1))
}

// quantile is the upper bound of the bucket that a quantile falls into.
func quantile(h *metrics.Float64Histogram, total uint64, q float64) float64 {
	if total == 0 {
		return 0
	}
	rank, sum := uint64(math.Ceil(q*float64(total))), uint64(0)
	for i, n := range h.Counts {
		if sum += n; sum >= rank {
			if up := h.Buckets[i+1]; !math.IsInf(up, 0) {
				return up
			}
			return h.Buckets[i]
		}
	}
	return 0
}
