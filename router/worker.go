package router

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// probeTime bounds how long a probe waits for an event.
const probeTime = 500 * time.Millisecond

// sendGrace is how long a Send may go on after the router was told to stop.
const sendGrace = 5 * time.Second

// route is a Route at work.
type route struct {
	Route
	breaker *breaker
	letters DeadLetters
	logger  *slog.Logger
	metrics routeMetrics
	intakes []*intake // the stream's events and what is redriven
}

// intake is a consumer that the workers of a route share.
type intake struct {
	mu     sync.Mutex // the source serves one Fetch at a time
	source Source
}

func (in *intake) fetch(ctx context.Context, most int, linger time.Duration) ([]*bus.Delivery, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return in.source.Fetch(ctx, most, linger)
}

// batch is what one worker has in hand: deliveries[i] carries events[i].
type batch struct {
	deliveries []*bus.Delivery
	events     []event.Event
}

// run works with as many workers as the plan says, and one for what is redriven, until ctx ends.
func (rt *route) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, in := range rt.intakes {
		workers := rt.Plan.Workers
		if i > 0 {
			workers = 1
		}
		for range workers {
			g.Go(func() error { return rt.work(ctx, in) })
		}
	}
	err := g.Wait()
	for _, in := range rt.intakes {
		rt.deliver(ctx, in.source.Drain())
		if closeErr := in.source.Close(); closeErr != nil {
			rt.logger.Warn("consumer not closed", "err", closeErr)
		}
	}
	return err
}

// work fetches, sends and settles batches until ctx ends.
func (rt *route) work(ctx context.Context, in *intake) error {
	for {
		probe, err := rt.breaker.enter(ctx)
		if err != nil {
			return err
		}
		fetched, err := rt.fetch(ctx, in, probe)
		if err != nil {
			return err
		}
		rt.deliver(ctx, fetched)
	}
}

// deliver takes what was fetched to its end, also when ctx has ended meanwhile.
func (rt *route) deliver(ctx context.Context, fetched []*bus.Delivery) {
	b := rt.match(ctx, fetched)
	if len(b.events) == 0 {
		rt.breaker.release()
		return
	}
	rt.settle(ctx, b, rt.send(ctx, b))
}

// fetch gets the next batch. A probe is one event, and its wait is bounded: another worker may have what
// this one waits for. It then returns nothing.
func (rt *route) fetch(ctx context.Context, in *intake, probe bool) ([]*bus.Delivery, error) {
	if !probe {
		return in.fetch(ctx, rt.Plan.Batch, rt.Plan.Linger)
	}
	bounded, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	fetched, err := in.fetch(bounded, 1, 0)
	if err != nil {
		rt.breaker.release()
		if ctx.Err() == nil && bounded.Err() != nil {
			return nil, nil
		}
	}
	return fetched, err
}

// match keeps what the sink is to get and settles the rest.
func (rt *route) match(ctx context.Context, fetched []*bus.Delivery) batch {
	b := batch{make([]*bus.Delivery, 0, len(fetched)), make([]event.Event, 0, len(fetched))}
	for _, d := range fetched {
		if rt.givenUp(ctx, d) {
			continue
		}
		matched, err := rt.When.Match(&d.Event)
		if err != nil {
			rt.conditionFailed(d, err)
			continue
		}
		if !matched {
			rt.skip(d)
			continue
		}
		b.deliveries = append(b.deliveries, d)
		b.events = append(b.events, d.Event)
	}
	return b
}

// hand gives the batch to whoever takes it.
func (rt *route) hand(ctx context.Context, b batch) error {
	if rt.Stage != nil {
		return rt.Stage.Handle(ctx, b.deliveries)
	}
	return rt.Sink.Send(ctx, b.events)
}

// send hands the batch to the sink and keeps the stream from delivering it again meanwhile. A stop
// lets a Send that is under way finish, within a bound.
func (rt *route) send(ctx context.Context, b batch) error {
	sendCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(sendGrace, cancel) })
	defer stop()

	done := make(chan error, 1)
	go func() { done <- rt.hand(sendCtx, b) }()
	tick := time.NewTicker(rt.Plan.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			for _, d := range b.deliveries {
				if err := d.InProgress(); err != nil {
					rt.logger.Debug("delivery not extended", "err", err)
				}
			}
		}
	}
}
