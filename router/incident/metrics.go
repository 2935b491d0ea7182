package incident

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

type metrics struct {
	transitions *prometheus.CounterVec
	races       prometheus.Counter
	open        prometheus.Gauge
	records     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellbuoy_incident_transitions_total", Help: "Changes of incidents that were published, by kind.",
		}, []string{"event"}),
		races:   prometheus.NewCounter(prometheus.CounterOpts{Name: "bellbuoy_incident_races_total", Help: "Batches that another instance was faster with."}),
		open:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "bellbuoy_incidents_open", Help: "Incidents that are open."}),
		records: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bellbuoy_incident_records", Help: "Workloads and hosts that are kept track of."}),
	}
	for _, name := range []string{"opened", "updated", "resolved"} {
		m.transitions.WithLabelValues(name)
	}
	if r == nil {
		return m, nil
	}
	for _, err := range []error{metric.Share(r, &m.transitions), metric.Share(r, &m.races), metric.Share(r, &m.open), metric.Share(r, &m.records)} {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(machine *Machine) {
	m.records.Set(float64(len(machine.records)))
	m.open.Set(float64(machine.opened))
}
