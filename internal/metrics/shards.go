package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigil-media/vigil/internal/egress"
)

// shards is a prometheus.Collector over the progress of the egress. It takes no lock of the data plane.
type shards struct {
	progress func() []egress.Progress

	links, full, walks, pending, longest, interval, deposed *prometheus.Desc
}

func newShards(progress func() []egress.Progress) *shards {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"shard"}, nil)
	}
	return &shards{
		progress: progress,
		links:    desc("vigil_egress_links", "Connections of viewers that the shard sends to."),
		full:     desc("vigil_egress_links_full", "Of them, those whose sockets accept nothing at the moment."),
		walks:    desc("vigil_egress_walks_total", "Turns of the shard's loop, in which it goes round its viewers."),
		pending:  desc("vigil_egress_pending_seconds", "Age of the oldest call that the shard has not answered; 0: none."),
		longest:  desc("vigil_egress_longest_walk_seconds", "Longest turn of the shard's loop since the start."),
		interval: desc("vigil_egress_interval_seconds", "Time between two sends to a viewer under overload; 0: at once."),
		deposed:  desc("vigil_egress_shards_deposed", "Goroutines that hang about a viewer each, and that the shard goes on without."),
	}
}

// Describe implements prometheus.Collector.
func (s *shards) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *shards) Collect(ch chan<- prometheus.Metric) {
	for _, p := range s.progress() {
		shard := strconv.Itoa(p.Shard)
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, shard)
		}
		gauge(s.links, float64(p.Links))
		gauge(s.full, float64(p.Full))
		gauge(s.pending, p.Pending.Seconds())
		gauge(s.longest, p.Longest.Seconds())
		gauge(s.interval, p.Interval.Seconds())
		gauge(s.deposed, float64(p.Deposed))
		ch <- prometheus.MustNewConstMetric(s.walks, prometheus.CounterValue, float64(p.Walks), shard)
	}
}
