package metrics

import "github.com/prometheus/client_golang/prometheus"

// Connections are the figures of all listeners together.
type Connections struct {
	Open            int               // connections
	Refused         map[string]uint64 // since the start, by cause
	Descriptors     int               // in use, about
	DescriptorsMost int               // that the process may have
}

// connections is a prometheus.Collector over them.
type connections struct {
	figures func() Connections

	open, refused, used, most *prometheus.Desc
}

// NewConnections returns a collector of what figures returns at each scrape.
func NewConnections(figures func() Connections) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &connections{
		figures: figures,
		open:    desc("vigil_connections", "Connections of all listeners."),
		refused: desc("vigil_connections_refused_total", "Connections that were closed at once, and requests for media over HTTP that "+
			"were refused for want of room, by cause.", "cause"),
		used: desc("vigil_descriptors", "Descriptors in use: media are refused when 85 % are."),
		most: desc("vigil_descriptors_limit", "Descriptors that the process may have."),
	}
}

// Describe implements prometheus.Collector.
func (c *connections) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{c.open, c.refused, c.used, c.most} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *connections) Collect(ch chan<- prometheus.Metric) {
	f := c.figures()
	gauge := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	gauge(c.open, f.Open)
	gauge(c.used, f.Descriptors)
	gauge(c.most, f.DescriptorsMost)
	for cause, n := range f.Refused {
		ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(n), cause)
	}
}
