package collectors

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connected *prometheus.GaugeVec
	last      *prometheus.GaugeVec
	events    *prometheus.CounterVec
	restarts  *prometheus.CounterVec
	gaps      *prometheus.CounterVec
	missed    *prometheus.CounterVec
	conflicts *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	by := []string{"collector"}
	m := &metrics{
		connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_collector_connected", Help: "1 while the collector sees its runtime."}, by),
		last:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_collector_last_event_timestamp_seconds", Help: "When the stream last acknowledged an event of the collector."}, by),
		events:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_collector_events_total", Help: "Events that the stream acknowledged."}, by),
		restarts:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_collector_restarts_total", Help: "How often the collector ended with an error and was started again."}, by),
		gaps:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_collector_gaps_total", Help: "Times in which the collector was blind."}, by),
		missed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_collector_gap_losses_total", Help: "What gaps cost: transitions that only a snapshot told, exit codes and runs that can't be known."}, append(by, "kind")),
		conflicts: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_collector_conflict", Help: "1 while another collector watches the same runtime."}, by),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.connected, m.last, m.events, m.restarts, m.gaps, m.missed, m.conflicts} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add creates the series of a collector at zero.
func (m *metrics) add(name string) {
	m.connected.WithLabelValues(name).Set(0)
	for _, c := range []*prometheus.CounterVec{m.events, m.restarts, m.gaps} {
		c.WithLabelValues(name).Add(0)
	}
	m.conflicts.WithLabelValues(name).Set(0)
	m.gapped(name, Gap{})
}

func (m *metrics) gap(name string, g Gap) {
	m.gaps.WithLabelValues(name).Inc()
	m.gapped(name, g)
}

func (m *metrics) gapped(name string, g Gap) {
	m.missed.WithLabelValues(name, "reconciled").Add(float64(g.Reconciled))
	m.missed.WithLabelValues(name, "unknown_code").Add(float64(g.UnknownCodes))
	m.missed.WithLabelValues(name, "unseen_run").Add(float64(g.UnseenRuns))
}

func (m *metrics) connect(name string, connected bool) {
	value := 0.0
	if connected {
		value = 1
	}
	m.connected.WithLabelValues(name).Set(value)
}

func (m *metrics) published(name string, at time.Time) {
	m.events.WithLabelValues(name).Inc()
	m.last.WithLabelValues(name).Set(float64(at.UnixMilli()) / 1e3)
}
