package metrics

import "github.com/prometheus/client_golang/prometheus"

// Hook is the figures of one hook.
type Hook struct {
	Name     string
	Calls    uint64 // attempts
	Failures uint64 // of them
	Refusals uint64 // answers that say no
	Busy     uint64 // questions for which there was no place in time
	Open     bool   // its breaker is
	Waiting  int    // notifications
	Dropped  uint64 // notifications
}

// hooks is a prometheus.Collector over them.
type hooks struct {
	figures func() []Hook

	calls, failures, refusals, busy, open, waiting, dropped *prometheus.Desc
}

// NewHooks returns a collector of what figures returns at each scrape.
func NewHooks(figures func() []Hook) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, []string{"hook"}, nil) }
	return &hooks{
		figures:  figures,
		calls:    desc("vigil_hook_calls_total", "Calls of hooks, repetitions included."),
		failures: desc("vigil_hook_failures_total", "Calls of hooks that had no answer, or none that could be read."),
		refusals: desc("vigil_hook_refusals_total", "Answers of hooks that say no."),
		busy:     desc("vigil_hook_busy_total", "Questions for which there was no place among the calls of a hook in time."),
		open:     desc("vigil_hook_open", "1 while a hook has failed so often that it is not asked."),
		waiting:  desc("vigil_hook_waiting", "Notifications that wait to be sent."),
		dropped:  desc("vigil_hook_dropped_total", "Notifications that were dropped because too many waited."),
	}
}

// Describe implements prometheus.Collector.
func (h *hooks) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{h.calls, h.failures, h.refusals, h.busy, h.open, h.waiting, h.dropped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (h *hooks) Collect(ch chan<- prometheus.Metric) {
	for _, f := range h.figures() {
		counter := func(d *prometheus.Desc, n uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), f.Name)
		}
		counter(h.calls, f.Calls)
		counter(h.failures, f.Failures)
		counter(h.refusals, f.Refusals)
		counter(h.busy, f.Busy)
		counter(h.dropped, f.Dropped)
		open := 0.0
		if f.Open {
			open = 1
		}
		ch <- prometheus.MustNewConstMetric(h.open, prometheus.GaugeValue, open, f.Name)
		ch <- prometheus.MustNewConstMetric(h.waiting, prometheus.GaugeValue, float64(f.Waiting), f.Name)
	}
}
