package docker

import (
	"errors"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

type metrics struct {
	events, reconnects, rejected, garbled prometheus.Counter
	inspects                              *prometheus.CounterVec
	calls                                 *prometheus.CounterVec
	queued                                prometheus.Gauge
	snapshot                              prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "bellbuoy_docker_" + name, Help: help})
	}
	m := &metrics{
		events:     counter("stream_events_total", "Events that the daemon's stream delivered, repeated ones left out."),
		reconnects: counter("reconnects_total", "How often the stream broke."),
		rejected:   counter("rejected_events_total", "Events that could not be published and were left out."),
		garbled:    counter("garbled_records_total", "Records of the event stream that could not be read."),
		inspects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_docker_inspects_total", Help: "Questions about one container, by answer.",
		}, []string{"result"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_docker_calls_total", Help: "Questions to the daemon, by what was asked for.",
		}, []string{"question"}),
		queued: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bellbuoy_docker_queued_events", Help: "Received events that wait to be published."}),
		snapshot: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellbuoy_docker_snapshot_seconds", Help: "How long it took to look at all containers.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 8),
		}),
	}
	for _, result := range []string{"ok", "missing", "failed"} {
		m.inspects.WithLabelValues(result)
	}
	for _, q := range append(slices.Collect(maps.Values(questions)), "inspect") {
		m.calls.WithLabelValues(q)
	}
	if r == nil {
		return m, nil
	}
	// Collectors of several daemons share the series.
	return m, errors.Join(
		metric.Share(r, &m.events), metric.Share(r, &m.reconnects), metric.Share(r, &m.rejected), metric.Share(r, &m.garbled), metric.Share(r, &m.calls), metric.Share(r, &m.inspects), metric.Share(r, &m.queued), metric.Share(r, &m.snapshot))
}
