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
	// Sink or Stage takes the events.
	Sink  sinks.Sink
	Stage Stage
	Plan  Plan
}

// Stage is a part of the router itself that takes events in the order of the stream and needs to know where they
// stand in it. Handle keeps neither the slice nor the deliveries; its errors have the classes of Sink's.
type Stage interface {
	Handle(ctx context.Context, batch []*bus.Delivery) error
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
	// Pinned gives the events to one of several instances; another takes over when that ends.
	Pinned bool
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
