package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigil-media/vigil/internal/watch"
)

// Watch is what the metrics of the watch are made of.
type Watch struct {
	Board  *watch.Board
	Guard  *watch.Guard
	Healer *watch.Healer

	// Supervisor is what the supervisor says: how often the worker was replaced, how many probes have failed in a row, how long the last one that
	// did not took and how long ago it was, in seconds. ok is false if there is none, or it has not said anything yet.
	Supervisor func() (replaced, misses int, latency, age float64, ok bool)
}

// watchWindow is a prometheus.Collector.
type watchWindow struct {
	Watch

	loops, longest, stuck, healed, scans, late, lost, replaced, misses, latency, age *prometheus.Desc
}

// NewWatch returns the metrics of the watch.
func NewWatch(w Watch) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &watchWindow{
		Watch:    w,
		loops:    desc("vigil_watch_loops", "Loops that are watched.", "class"),
		longest:  desc("vigil_watch_busy_seconds", "How long the longest step under way has taken.", "class"),
		stuck:    desc("vigil_watch_stuck", "Loops whose step takes longer than their class is warned of.", "class"),
		healed:   desc("vigil_watch_healed_total", "How often something was done about a loop that was stuck.", "class"),
		scans:    desc("vigil_watch_scans_total", "How often the guard has looked at all loops."),
		late:     desc("vigil_watch_scan_age_seconds", "Time since the guard last looked."),
		lost:     desc("vigil_watch_findings_lost_total", "Findings of the guard that nobody could take."),
		replaced: desc("vigil_worker_replacements_total", "Workers that have died or were replaced by the watch."),
		misses:   desc("vigil_probe_misses", "Probes that have failed in a row."),
		latency:  desc("vigil_probe_latency_seconds", "From publishing to playing, of the last probe that succeeded."),
		age:      desc("vigil_probe_age_seconds", "Time since a probe succeeded, when the supervisor last told."),
	}
}

// Describe implements prometheus.Collector.
func (w *watchWindow) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(w, ch) }

// Collect implements prometheus.Collector.
func (w *watchWindow) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	var loops, stuck [256]int
	var longest [256]float64
	for _, s := range w.Board.States() {
		loops[s.Class]++
		longest[s.Class] = max(longest[s.Class], s.Busy.Seconds())
		if warn := s.Class.Limits().Warn; warn > 0 && s.Busy >= warn {
			stuck[s.Class]++
		}
	}
	for _, c := range watch.Classes() {
		name := c.Name()
		gauge(w.loops, float64(loops[c]), name)
		gauge(w.longest, longest[c], name)
		gauge(w.stuck, float64(stuck[c]), name)
		counter(w.healed, float64(w.Healer.Count(c)), name)
	}
	counter(w.scans, float64(w.Guard.Scans()))
	gauge(w.late, w.Guard.Looked().Seconds())
	counter(w.lost, float64(w.Guard.Lost()))
	if replaced, misses, latency, age, ok := w.Supervisor(); ok {
		counter(w.replaced, float64(replaced))
		gauge(w.misses, float64(misses))
		gauge(w.latency, latency)
		gauge(w.age, age)
	}
}
