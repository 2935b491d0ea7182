package bus

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The reasons of a repeated or refused publish.
const (
	reasonTimeout  = "timeout"
	reasonAway     = "disconnected"
	reasonNoStream = "no_stream"
	reasonFull     = "storage_full"
	reasonBusy     = "busy"
	reasonServer   = "server_error"
	reasonInvalid  = "invalid"
	reasonTooLarge = "too_large"
)

type metrics struct {
	reg        prometheus.Registerer
	all        []prometheus.Collector
	published  *prometheus.CounterVec
	stored     prometheus.Counter
	duplicate  prometheus.Counter
	retries    *prometheus.CounterVec
	refused    *prometheus.CounterVec
	batch      prometheus.Histogram
	ack        prometheus.Histogram
	queued     prometheus.Gauge
	pending    *prometheus.GaugeVec
	ackPending *prometheus.GaugeVec
	oldest     *prometheus.GaugeVec
	recovered  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{reg: reg}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return keep(m, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_bus_" + name, Help: help}, labels))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return keep(m, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_bus_" + name, Help: help}, []string{"route"}))
	}
	m.published = counter("published_events_total", "Events that the stream acknowledged; duplicate: it had them already.", "result")
	m.retries = counter("publish_retries_total", "Publishes that were sent again, by reason.", "reason")
	m.refused = counter("publish_refused_events_total", "Events that can never be published and went back to their maker, by reason.", "reason")
	m.recovered = counter("consumer_recoveries_total", "Consumers that had gone silent or were deleted and were provisioned again.", "route")
	m.pending = gauge("consumer_pending_events", "Events that the route has not been given yet.")
	m.ackPending = gauge("consumer_unacked_events", "Events that the route was given and has not acknowledged.")
	m.oldest = gauge("consumer_oldest_event_seconds", "Age of the oldest event that the route has not acknowledged.")
	m.batch = keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "bellbuoy_bus_publish_batch_events", Help: "Events per commit.", Buckets: prometheus.ExponentialBuckets(1, 4, 8),
	}))
	m.ack = keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "bellbuoy_bus_publish_ack_seconds", Help: "Time from Publish to the stream's acknowledgement.", Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
	}))
	m.queued = keep(m, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bellbuoy_bus_publish_queue_events", Help: "Events that wait for the publisher.",
	}))
	m.stored = m.published.WithLabelValues("stored")
	m.duplicate = m.published.WithLabelValues("duplicate")
	for _, reason := range []string{reasonTimeout, reasonAway, reasonNoStream, reasonFull, reasonBusy, reasonServer} {
		m.retries.WithLabelValues(reason)
	}
	for _, reason := range []string{reasonInvalid, reasonTooLarge} {
		m.refused.WithLabelValues(reason)
	}
	return m, m.register()
}

func keep[C prometheus.Collector](m *metrics, c C) C {
	m.all = append(m.all, c)
	return c
}

func (m *metrics) register() error {
	if m.reg == nil {
		return nil
	}
	for i, c := range m.all {
		if err := m.reg.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return fmt.Errorf("register the metrics of the bus: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.all {
		if m.reg != nil {
			m.reg.Unregister(c)
		}
	}
}

func (m *metrics) acked(since time.Time, duplicate bool) {
	if duplicate {
		m.duplicate.Inc()
	} else {
		m.stored.Inc()
	}
	m.ack.Observe(time.Since(since).Seconds())
}
