package ecs

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

// intakeMetrics counts what happens to the messages of one queue. The label is the collector's name in the
// config, so that the collectors of several queues share the series.
type intakeMetrics struct {
	name string

	received, published, duplicates, refusals, undeleted prometheus.Counter
	released, extended, failures                         prometheus.Counter
	gate, oldest, held                                   prometheus.Gauge
	poison, errors                                       *prometheus.CounterVec // by class, by reason
}

func newIntakeMetrics(name string, r prometheus.Registerer) (*intakeMetrics, error) {
	var faults []error
	label := prometheus.Labels{"collector": name}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_ecs_" + name, Help: help}, append([]string{"collector"}, labels...))
		if r != nil {
			faults = append(faults, metric.Share(r, &c))
		}
		return c
	}
	counter := func(name, help string) prometheus.Counter { return counters(name, help).With(label) }
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_ecs_" + name, Help: help}, []string{"collector"})
		if r != nil {
			faults = append(faults, metric.Share(r, &g))
		}
		return g.With(label)
	}
	m := &intakeMetrics{
		name:       name,
		received:   counter("received_messages_total", "Messages that were received from the queue, repeated ones too."),
		published:  counter("published_events_total", "Events that the stream acknowledged, of messages of the queue."),
		duplicates: counter("duplicate_messages_total", "Messages that told nothing new: another copy came before."),
		refusals:   counter("publish_refusals_total", "How often the stream took no event in time, so that receiving stopped."),
		undeleted:  counter("delete_failures_total", "Settled messages that could not be deleted; they come again as duplicates."),
		released:   counter("released_messages_total", "Messages that were given back to the queue unsettled."),
		extended:   counter("extended_messages_total", "Messages that were kept invisible longer, because settling them took long."),
		failures:   counter("message_failures_total", "How often a message could not be settled although the stream and the bucket answer; it comes again."),
		gate:       gauge("gate_closed", "1 while nothing is received because the stream takes no events."),
		oldest:     gauge("oldest_message_seconds", "Age of the oldest message in hand, by the collector's clock; 0 if there is none."),
		held:       gauge("held_messages", "Messages that were received and are not settled yet."),
		poison:     counters("poison_messages_total", "Messages that can never become an event, by what is wrong with them.", "class"),
		errors:     counters("receive_errors_total", "Receives that failed, by reason.", "reason"),
	}
	for _, class := range poisonClasses {
		m.poison.WithLabelValues(name, class)
	}
	for _, reason := range refusalReasons {
		m.errors.WithLabelValues(name, reason)
	}
	return m, errors.Join(faults...)
}

func (m *intakeMetrics) poisoned(class string) { m.poison.WithLabelValues(m.name, class).Inc() }

func (m *intakeMetrics) receiveFailed(reason string) { m.errors.WithLabelValues(m.name, reason).Inc() }

// apiMetrics counts the calls of the ECS API, and what a comparison with it found.
type apiMetrics struct {
	name string

	calls, refusals *prometheus.CounterVec // by action, by action and reason
	found, compared prometheus.Counter
	tasks, services prometheus.Gauge
}

func newAPIMetrics(name string, r prometheus.Registerer) (*apiMetrics, error) {
	var faults []error
	share := func(c *prometheus.CounterVec) *prometheus.CounterVec {
		if r != nil {
			faults = append(faults, metric.Share(r, &c))
		}
		return c
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return share(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellbuoy_ecs_" + name, Help: help}, append([]string{"collector"}, labels...)))
	}
	gauge := func(metricName, help string) prometheus.Gauge {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bellbuoy_ecs_" + metricName, Help: help}, []string{"collector"})
		if r != nil {
			faults = append(faults, metric.Share(r, &g))
		}
		return g.WithLabelValues(name)
	}
	m := &apiMetrics{
		name:     name,
		calls:    counter("api_calls_total", "Calls of the ECS API, repeated ones too, by action.", "action"),
		refusals: counter("api_refusals_total", "Calls of the ECS API without an answer, by action and reason.", "action", "reason"),
		found:    counter("reconciled_events_total", "Events that only a comparison with the ECS API told.").WithLabelValues(name),
		compared: counter("reconciles_total", "Comparisons with the ECS API that came to their end.").WithLabelValues(name),
		tasks:    gauge("tasks", "Tasks that the last comparison saw running."),
		services: gauge("services_below_desired", "Services that the last comparison saw with fewer tasks than they want."),
	}
	return m, errors.Join(faults...)
}

func (m *apiMetrics) failed(action, reason string) {
	m.refusals.WithLabelValues(m.name, action, reason).Inc()
}
