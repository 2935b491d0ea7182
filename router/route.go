package router

import (
	"context"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Route is one rule: the events that pass When go to Sink.
type Route struct {
	// Name is unique; the durable consumers and the dead letters carry it.
	Name string
	// To is the sink's name in the config.
	To   string
	When *Filter
	Sink sinks.Sink
	Plan Plan
}

// Plan is how a route delivers; it follows from the kind of its sink.
type Plan struct {
	// From is where a route that never ran before starts in the stream.
	From bus.Start
	// Batch is the most events of one Send; Linger is how long a batch waits to fill.
	Batch  int
	Linger time.Duration
	// Workers is how many batches may be on their way at once. With more than one, order per task holds
	// only for sinks that do not need it.
	Workers int
	// AckWait is how long the stream waits for a verdict before it delivers again; the router extends it
	// while a Send runs.
	AckWait time.Duration
	// Deliveries is after how many an event that still fails goes to the dead letters.
	Deliveries int
}

// Source is one of the route's two durable consumers; *bus.Consumer is one.
type Source interface {
	Fetch(ctx context.Context, most int, linger time.Duration) ([]*bus.Delivery, error)
	// Drain returns what was on its way when the last Fetch ended.
	Drain() []*bus.Delivery
	Close() error
}

// DeadLetters keeps what can't be delivered; *bus.DeadLetters is one.
type DeadLetters interface {
	Put(ctx context.Context, d *bus.Delivery, letter bus.DeadLetter) error
}
