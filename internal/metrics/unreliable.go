package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Unreliable is how the log and the disks are, and what somebody should look at.
type Unreliable struct {
	Lines   []Lines
	Sinks   []Sink
	Volumes []Volume
	Alarms  map[string]uint64 // since the start, by kind
}

// Lines is how often something was logged.
type Lines struct {
	Level, Kind  string // the kind is the message without its particulars
	Logged, Held uint64 // held: there were too many of the kind
}

// Sink is a place that the log goes to.
type Sink struct {
	Name    string
	Dropped uint64 // lines
	Waiting int    // lines
	Stuck   bool
	Writing time.Duration // that the write under way has taken; 0: none is
}

// Volume is a disk.
type Volume struct {
	Name                 string
	State                int // 0 healthy, 1 slow, 2 failing, 3 degraded
	Ops, Errors, Refused uint64
	Waiting, Running     int
	Oldest               time.Duration // that the operation that runs longest has taken
}

// unreliable is a prometheus.Collector.
type unreliable struct {
	figures func() Unreliable

	logged, held, dropped, waiting, stuck, writing               *prometheus.Desc
	state, ops, errors, refused, queued, running, oldest, alarms *prometheus.Desc
}

// NewUnreliable returns the metrics of the log, the disks and the alarms.
func NewUnreliable(figures func() Unreliable) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &unreliable{
		figures: figures,
		logged:  desc("vigil_log_lines_total", "Lines that were logged.", "level", "kind"),
		held:    desc("vigil_log_held_total", "Lines that were not logged because there were too many of their kind.", "level", "kind"),
		dropped: desc("vigil_log_dropped_total", "Lines that a sink had no room for.", "sink"),
		waiting: desc("vigil_log_waiting", "Lines that a sink has yet to write.", "sink"),
		stuck:   desc("vigil_log_stuck", "1: the sink takes nothing, and lines are dropped.", "sink"),
		writing: desc("vigil_log_writing_seconds", "How long the write under way has taken.", "sink"),
		state:   desc("vigil_volume_state", "0 healthy, 1 slow, 2 failing, 3 degraded.", "volume"),
		ops:     desc("vigil_volume_operations_total", "Operations on files that have ended.", "volume"),
		errors:  desc("vigil_volume_errors_total", "Operations that the disk has failed.", "volume"),
		refused: desc("vigil_volume_refused_total", "Operations that were not done because of the state of the disk.", "volume"),
		queued:  desc("vigil_volume_waiting", "Operations that wait.", "volume"),
		running: desc("vigil_volume_running", "Operations that are under way.", "volume"),
		oldest:  desc("vigil_volume_oldest_seconds", "How long the operation that runs longest has taken.", "volume"),
		alarms:  desc("vigil_alarms_total", "What somebody should look at: see /api/v1/alarms.", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (u *unreliable) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(u, ch) }

// Collect implements prometheus.Collector.
func (u *unreliable) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	f := u.figures()
	for _, l := range f.Lines {
		counter(u.logged, l.Logged, l.Level, l.Kind)
		if l.Held > 0 {
			counter(u.held, l.Held, l.Level, l.Kind)
		}
	}
	for _, s := range f.Sinks {
		counter(u.dropped, s.Dropped, s.Name)
		gauge(u.waiting, float64(s.Waiting), s.Name)
		gauge(u.stuck, truth(s.Stuck), s.Name)
		gauge(u.writing, s.Writing.Seconds(), s.Name)
	}
	for _, v := range f.Volumes {
		gauge(u.state, float64(v.State), v.Name)
		counter(u.ops, v.Ops, v.Name)
		counter(u.errors, v.Errors, v.Name)
		counter(u.refused, v.Refused, v.Name)
		gauge(u.queued, float64(v.Waiting), v.Name)
		gauge(u.running, float64(v.Running), v.Name)
		gauge(u.oldest, v.Oldest.Seconds(), v.Name)
	}
	for kind, n := range f.Alarms {
		counter(u.alarms, n, kind)
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
