package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/bus"
)

// Router delivers the stream's events by its routes.
type Router struct {
	routes []*route
	deps   Deps
}

// Deps is what a router works with.
type Deps struct {
	// Consumer opens the durable consumer of a route.
	Consumer    func(ctx context.Context, c bus.ConsumerConfig) (Source, error)
	DeadLetters DeadLetters
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// New returns a router for the routes; it opens nothing.
func New(routes []Route, deps Deps) (*Router, error) {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	names := make([]string, len(routes))
	for i := range routes {
		names[i] = routes[i].Name
	}
	m, err := newMetrics(deps.Registerer, names)
	if err != nil {
		return nil, err
	}
	r := &Router{deps: deps}
	for _, c := range routes {
		if (c.Sink == nil) == (c.Stage == nil) || c.When == nil {
			return nil, fmt.Errorf("route %q needs a sink or a stage, and a condition", c.Name)
		}
		r.routes = append(r.routes, &route{
			Route: c, breaker: newBreaker(), letters: deps.DeadLetters,
			logger: deps.Logger.With("route", c.Name, "sink", c.To), metrics: m.of(c.Name),
		})
	}
	return r, nil
}

// Open makes the durable consumers of every route, so that no event published from then on is missed:
// one for the stream's events and one for what is redriven from the dead letters.
func (r *Router) Open(ctx context.Context) error {
	for _, rt := range r.routes {
		events := bus.ConsumerConfig{
			Name: rt.Name, Filters: rt.When.Subjects(), From: rt.Plan.From, AckWait: rt.Plan.AckWait,
			MaxAckPending: max(4*rt.Plan.Batch*rt.Plan.Workers, 256), Pinned: rt.Plan.Pinned,
		}
		redriven := bus.ConsumerConfig{Name: rt.Name, Redriven: true, AckWait: rt.Plan.AckWait, MaxAckPending: events.MaxAckPending}
		for _, c := range []bus.ConsumerConfig{events, redriven} {
			source, err := r.deps.Consumer(ctx, c)
			if err != nil {
				return fmt.Errorf("open the consumer of route %q: %w", rt.Name, err)
			}
			rt.intakes = append(rt.intakes, &intake{source: source})
		}
	}
	return nil
}

// Run delivers until ctx ends; then it finishes the batches on their way, closes the consumers and
// returns nil. Open comes first.
func (r *Router) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, rt := range r.routes {
		g.Go(func() error { return rt.run(ctx) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Status is how one route is doing.
type Status struct {
	Route, Sink string
	// Err is why the target refuses, nil while it accepts; Since is the start of that.
	Err   error
	Since time.Time
}

// Status returns the state of every route, in the order of the config.
func (r *Router) Status() []Status {
	out := make([]Status, len(r.routes))
	for i, rt := range r.routes {
		_, since, why := rt.breaker.state()
		out[i] = Status{rt.Name, rt.To, why, since}
	}
	return out
}
