package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
)

// Metrics collects the hub's figures. Give it to the hub as an observer, then call Handler.
type Metrics struct {
	ended *prometheus.CounterVec
	began *prometheus.CounterVec
}

// New returns metrics that have counted nothing.
func New() *Metrics {
	return &Metrics{
		began: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vigil_sessions_started_total", Help: "Sessions that began to publish or play.",
		}, []string{"protocol", "action"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vigil_sessions_ended_total", Help: "Sessions that ended, by reason.",
		}, []string{"protocol", "action", "reason"}),
	}
}

// Observe implements hub.Observer.
func (m *Metrics) Observe(e hub.Event) {
	protocol, action := e.Session.Protocol, string(e.Session.Action)
	switch e.Kind {
	case hub.Published, hub.Played:
		m.began.WithLabelValues(protocol, action).Inc()
	case hub.Unpublished, hub.Stopped:
		m.ended.WithLabelValues(protocol, action, hub.Reason(e.Cause)).Inc()
	case hub.Opened, hub.Closed, hub.Lapsed, hub.Resumed, hub.Wanted, hub.Unwatched, hub.Duel, hub.Ghost, hub.Mute, hub.Stuck: // the hub counts what is worth it
	}
}

// Handler answers scrapes with the figures of h and e, the Go runtime and the process, and with more. version labels vigil_info.
func (m *Metrics) Handler(h *hub.Hub, e *egress.Egress, version string, more ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vigil_info", Help: "1, with the version as a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r.MustRegister(m.began, m.ended, newWindow(h), newDecisions(h), newShards(e.Progress), info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(more...)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// window is a prometheus.Collector over snapshots.
type window struct {
	hub *hub.Hub

	streams, sessions, waiting, received, sent, skips, missed, lost, dropped, stalled *prometheus.Desc
}

func newWindow(h *hub.Hub) *window {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &window{
		hub:      h,
		streams:  desc("vigil_streams", "Streams that are being published."),
		sessions: desc("vigil_sessions", "Sessions that publish or play.", "protocol", "action"),
		waiting:  desc("vigil_viewers_waiting", "Viewers of streams that nobody publishes."),
		received: desc("vigil_received_bytes_total", "Bytes of media from publishers."),
		sent:     desc("vigil_sent_bytes_total", "Bytes handed to viewers' sockets."),
		skips:    desc("vigil_viewer_skips_total", "How often a viewer had to jump to the newest key unit."),
		missed:   desc("vigil_publisher_lost_packets_total", "Packets that were lost on the way from publishers, of protocols that count them."),
		lost:     desc("vigil_viewer_lost_packets_total", "Packets that were lost on the way to viewers, as viewers report."),
		dropped:  desc("vigil_events_dropped_total", "Events that observers were too slow for."),
		stalled:  desc("vigil_hub_stalled_seconds", "Time since the control loop last turned."),
	}
}

// Describe implements prometheus.Collector.
func (w *window) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(w, ch) }

// Collect implements prometheus.Collector.
func (w *window) Collect(ch chan<- prometheus.Metric) {
	s := w.hub.Snapshot()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(w.streams, float64(len(s.Streams)))
	gauge(w.waiting, float64(len(s.Waiting)))
	gauge(w.stalled, w.hub.Stalled().Seconds())
	counter(w.received, s.Totals.Received)
	counter(w.sent, s.Totals.Sent)
	counter(w.skips, s.Totals.Skips)
	counter(w.missed, s.Totals.Missed)
	counter(w.lost, s.Totals.Lost)
	counter(w.dropped, s.DroppedEvents)
	for l, n := range count(s) {
		gauge(w.sessions, float64(n), l.protocol, string(l.action))
	}
}

// label is what sessions are counted by.
type label struct {
	protocol string
	action   hub.Action
}

func count(s *hub.Snapshot) map[label]int {
	n := map[label]int{}
	for i := range s.Streams {
		for _, p := range [...]*hub.SessionInfo{s.Streams[i].Publisher, s.Streams[i].Standby} {
			if p != nil {
				n[label{p.Protocol, hub.ActionPublish}]++
			}
		}
		for _, v := range s.Streams[i].Viewers {
			n[label{v.Protocol, hub.ActionPlay}]++
		}
	}
	return n
}
