package metrics

import "github.com/prometheus/client_golang/prometheus"

// memory is a prometheus.Collector over what the process needs of its memory.
type memory struct {
	read func() (pressure int, used, limit int64)

	pressure, used, limit *prometheus.Desc
}

// NewMemory returns a collector of the pressure (0 to 2), and of the bytes that are in use and may be.
func NewMemory(read func() (pressure int, used, limit int64)) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &memory{
		read:     read,
		pressure: desc("vigil_memory_pressure", "Shortage of memory: 0 none, 1 new viewers are refused, 2 new publishers too."),
		used:     desc("vigil_memory_used_bytes", "Memory that is needed: live at the newest garbage collection, stacks, the runtime's books."),
		limit:    desc("vigil_memory_limit_bytes", "Memory that may be needed (limits.memory); 0: not known."),
	}
}

// Describe implements prometheus.Collector.
func (m *memory) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *memory) Collect(ch chan<- prometheus.Metric) {
	pressure, used, limit := m.read()
	ch <- prometheus.MustNewConstMetric(m.pressure, prometheus.GaugeValue, float64(pressure))
	ch <- prometheus.MustNewConstMetric(m.used, prometheus.GaugeValue, float64(used))
	ch <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(limit))
}
