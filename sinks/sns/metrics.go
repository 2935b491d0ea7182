package sns

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

// Why an event was accepted without a message of its own.
const (
	skipExpected = "expected"
	skipMuted    = "muted"
	skipSent     = "already_sent"
	skipAmended  = "amended"
)

type metrics struct {
	skipped    *prometheus.CounterVec
	truncated  prometheus.Counter
	markErrors *prometheus.CounterVec
}

// newMetrics registers the counters under the sink's name; a second sink of that name, as after a
// reload, counts on.
func newMetrics(sink string, reg prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"sink": sink}
	m := &metrics{
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_sns_skipped_total", ConstLabels: labels,
			Help: "Events that were accepted and not sent, by reason.",
		}, []string{"reason"}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bellbuoy_sns_truncated_total", ConstLabels: labels,
			Help: "Messages that had to be cut to the topic's size limit.",
		}),
		markErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_sns_mark_errors_total", ConstLabels: labels,
			Help: "Sent marks that could not be read or written; an alert may repeat.",
		}, []string{"op"}),
	}
	if reg != nil {
		if err := errors.Join(metric.Share(reg, &m.skipped), metric.Share(reg, &m.truncated), metric.Share(reg, &m.markErrors)); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	for _, reason := range []string{skipExpected, skipMuted, skipSent, skipAmended} {
		m.skipped.WithLabelValues(reason)
	}
	for _, op := range []string{"read", "write"} {
		m.markErrors.WithLabelValues(op)
	}
	return m, nil
}
