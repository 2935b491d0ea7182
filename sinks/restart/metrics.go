package restart

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

type metrics struct{ actions *prometheus.CounterVec }

// newMetrics registers the counter under the handler's name; a second handler of that name, as after a
// reload, counts on.
func newMetrics(sink string, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{actions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "bellbuoy_restart_actions_total", ConstLabels: prometheus.Labels{"sink": sink},
		Help: "Action events that were published, by what they say; one that was published again counts again.",
	}, []string{"event"})}
	if reg != nil {
		if err := metric.Share(reg, &m.actions); err != nil {
			return nil, fmt.Errorf("register metrics of sink %s: %w", sink, err)
		}
	}
	for _, t := range [...]event.Type{
		event.ActionRequested, event.ActionDenied, event.ActionStarted, event.ActionSucceeded, event.ActionFailed, event.ActionGaveUp,
	} {
		m.actions.WithLabelValues(t.Event())
	}
	return m, nil
}
