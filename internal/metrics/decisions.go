package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigil-media/vigil/internal/hub"
)

// decisions is a prometheus.Collector of what the hub has decided.
type decisions struct {
	hub     *hub.Hub
	figures []figure
	refused *prometheus.Desc
}

// figure is one of hub.Figures.
type figure struct {
	desc *prometheus.Desc
	of   func(hub.Figures) uint64
}

func newDecisions(h *hub.Hub) *decisions {
	d := &decisions{hub: h, refused: prometheus.NewDesc("vigil_refused_total", "Requests that were refused, by reason.",
		[]string{"action", "reason"}, nil)}
	add := func(name, help string, of func(hub.Figures) uint64) {
		d.figures = append(d.figures, figure{prometheus.NewDesc(name, help, nil, nil), of})
	}
	add("vigil_takeovers_total", "Publishers that lost their stream to another.", func(f hub.Figures) uint64 { return f.Takeovers })
	add("vigil_challenges_total", "Newcomers for whom a publisher was asked whether it lives.",
		func(f hub.Figures) uint64 { return f.Challenges })
	add("vigil_lapses_total", "Publishers that were lost while viewers stayed.", func(f hub.Figures) uint64 { return f.Lapses })
	add("vigil_resumes_total", "Streams that another publisher went on with.", func(f hub.Figures) uint64 { return f.Resumes })
	add("vigil_fenced_writes_total", "Writes of publishers that had lost their stream.", func(f hub.Figures) uint64 { return f.Fenced })
	add("vigil_duels_total", "Times that two publishers took a stream from each other too often.",
		func(f hub.Figures) uint64 { return f.Duels })
	add("vigil_ghosts_total", "Publishers that were refused because of one that made no progress.",
		func(f hub.Figures) uint64 { return f.Ghosts })
	add("vigil_orphans_total", "Sessions that the audit had to release: anything but 0 is a fault of the server.",
		func(f hub.Figures) uint64 { return f.Orphans })
	return d
}

// Describe implements prometheus.Collector.
func (d *decisions) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range d.figures {
		ch <- f.desc
	}
	ch <- d.refused
}

// Collect implements prometheus.Collector.
func (d *decisions) Collect(ch chan<- prometheus.Metric) {
	figures := d.hub.Snapshot().Figures
	for _, f := range d.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(f.of(figures)))
	}
	for r, n := range figures.Refused {
		ch <- prometheus.MustNewConstMetric(d.refused, prometheus.CounterValue, float64(n), string(r.Action), r.Reason)
	}
}
