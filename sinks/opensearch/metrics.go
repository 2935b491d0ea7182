package opensearch

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

// The verdicts on a document, as the metric tells them.
const (
	verdictCreated   = "created"
	verdictDuplicate = "duplicate"
	verdictRejected  = "rejected"
	verdictThrottled = "throttled"
	verdictRetry     = "retry"
)

type metrics struct {
	documents *prometheus.CounterVec
	bytes     prometheus.Counter
}

// newMetrics registers the counters under the sink's name; a second sink of that name, as after a
// reload, counts on.
func newMetrics(sink string, reg prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"sink": sink}
	m := &metrics{
		documents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_opensearch_documents_total", ConstLabels: labels,
			Help: "Documents by the target's verdict; duplicate is a redelivery that was already there.",
		}, []string{"verdict"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bellbuoy_opensearch_request_bytes_total", ConstLabels: labels,
			Help: "Bytes of bulk requests before compression.",
		}),
	}
	if reg != nil {
		if err := errors.Join(metric.Share(reg, &m.documents), metric.Share(reg, &m.bytes)); err != nil {
			return nil, fmt.Errorf("register metrics of sink %s: %w", sink, err)
		}
	}
	for _, v := range [...]string{verdictCreated, verdictDuplicate, verdictRejected, verdictThrottled, verdictRetry} {
		m.documents.WithLabelValues(v)
	}
	return m, nil
}
