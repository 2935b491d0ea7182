package router

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/bus"
)

type metrics struct {
	events, retries, dead, conditions *prometheus.CounterVec
	latency                           *prometheus.HistogramVec
}

// routeMetrics are the metrics of one route.
type routeMetrics struct {
	sent, skipped, conditionFailed prometheus.Counter
	retries, dead                  *prometheus.CounterVec
	latency                        prometheus.Observer
}

func newMetrics(r prometheus.Registerer, routes []string) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		events:     counter("bellbuoy_router_events_total", "Events by what the route did with them.", "route", "outcome"),
		retries:    counter("bellbuoy_router_retries_total", "Deliveries that will be repeated, by reason.", "route", "reason"),
		dead:       counter("bellbuoy_router_dead_letters_total", "Events moved to the dead letters, by class.", "route", "class"),
		conditions: counter("bellbuoy_router_condition_failures_total", "Events on which the route's condition failed.", "route"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bellbuoy_router_latency_seconds",
			Help:    "Time from the collector's sight of an event to the sink's acceptance.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600},
		}, []string{"route"}),
	}
	for _, name := range routes {
		m.of(name)
		for _, reason := range []string{"throttled", "failed"} {
			m.retries.WithLabelValues(name, reason)
		}
		for _, class := range []string{classDecode, classPermanent, classExhausted} {
			m.dead.WithLabelValues(name, class)
		}
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.events, m.retries, m.dead, m.conditions, m.latency} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the router's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) of(route string) routeMetrics {
	return routeMetrics{
		sent: m.events.WithLabelValues(route, "sent"), skipped: m.events.WithLabelValues(route, "skipped"),
		conditionFailed: m.conditions.WithLabelValues(route),
		retries:         m.retries, dead: m.dead, latency: m.latency.WithLabelValues(route),
	}
}

func (m routeMetrics) delivered(d *bus.Delivery) {
	m.sent.Inc()
	if !d.Event.Recorded.IsZero() {
		m.latency.Observe(time.Since(d.Event.Recorded).Seconds())
	}
}
