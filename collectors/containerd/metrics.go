package containerd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

type metrics struct {
	events, reconnects, rejected prometheus.Counter
	inspects                     *prometheus.CounterVec
	ignored                      *prometheus.CounterVec
	queued                       prometheus.Gauge
	snapshot                     prometheus.Histogram
}

// Why an event of the stream was left out.
const (
	ignoredUnknown = "unknown"
	ignoredExec    = "exec"
	ignoredOwned   = "owned"
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "bellbuoy_containerd_" + name, Help: help})
	}
	m := &metrics{
		events:     counter("stream_events_total", "Events that containerd's stream delivered."),
		reconnects: counter("reconnects_total", "How often the stream broke."),
		rejected:   counter("rejected_events_total", "Events that could not be published and were left out."),
		inspects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_containerd_inspects_total", Help: "Questions about one container, by answer.",
		}, []string{"result"}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_containerd_ignored_events_total", Help: "Events that are not told, by reason: ends of execs, containers of Docker and sandboxes, unknown ones.",
		}, []string{"reason"}),
		queued: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bellbuoy_containerd_queued_events", Help: "Received events that wait to be published."}),
		snapshot: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellbuoy_containerd_snapshot_seconds", Help: "How long it took to look at all containers.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 8),
		}),
	}
	for _, result := range []string{"ok", "missing", "failed"} {
		m.inspects.WithLabelValues(result).Add(0)
	}
	for _, reason := range []string{ignoredUnknown, ignoredExec, ignoredOwned} {
		m.ignored.WithLabelValues(reason).Add(0)
	}
	if r == nil {
		return m, nil
	}
	// Collectors of several daemons share the series.
	return m, errors.Join(
		metric.Share(r, &m.events), metric.Share(r, &m.reconnects), metric.Share(r, &m.rejected), metric.Share(r, &m.inspects),
		metric.Share(r, &m.ignored), metric.Share(r, &m.queued), metric.Share(r, &m.snapshot))
}
