package governor

import "runtime/metrics"

// Reading is what the runtime says of itself.
type Reading struct {
	Used   int64 // bytes that the process cannot do without, as of the newest garbage collection
	AtMost int64 // bytes that it cannot do without now, or that are garbage

	// Seconds of processors since the start, as of the newest garbage collection: of the collector, without the time that nobody else
	// wanted, and in all.
	Collector, All float64
}

// names lists what is read. Used is live, and all of total that is neither heap nor given back to the system.
func names() [9]string {
	return [...]string{
		live:          "/gc/heap/live:bytes",
		total:         "/memory/classes/total:bytes",
		objects:       "/memory/classes/heap/objects:bytes",
		unused:        "/memory/classes/heap/unused:bytes",
		free:          "/memory/classes/heap/free:bytes",
		released:      "/memory/classes/heap/released:bytes",
		collector:     "/cpu/classes/gc/total:cpu-seconds",
		collectorIdle: "/cpu/classes/gc/mark/idle:cpu-seconds",
		processors:    "/cpu/classes/total:cpu-seconds",
	}
}

const (
	live = iota
	total
	objects
	unused
	free
	released
	collector
	collectorIdle
	processors
)

// newReader returns a function that reads the runtime's figures. It costs some microseconds and stops nothing. One goroutine calls it.
func newReader() func() Reading {
	all := names()
	s := make([]metrics.Sample, len(all))
	for i, name := range all {
		s[i].Name = name
	}
	bytes := func(i int) int64 {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0 // another runtime, that does not know it
		}
		return int64(s[i].Value.Uint64()) //nolint:gosec // memory is not that large
	}
	seconds := func(i int) float64 {
		if s[i].Value.Kind() != metrics.KindFloat64 {
			return 0
		}
		return s[i].Value.Float64()
	}
	return func() Reading {
		metrics.Read(s)
		books := bytes(total) - bytes(objects) - bytes(unused) - bytes(free) - bytes(released)
		return Reading{
			Used:      bytes(live) + books,
			AtMost:    bytes(objects) + books,
			Collector: seconds(collector) - seconds(collectorIdle),
			All:       seconds(processors),
		}
	}
}
