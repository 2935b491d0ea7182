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

// sendGrace is how long a Send may go on after the router was told to stop.
const sendGrace = 5 * time.Second

// route is a Route at work.
type route struct {
	Route
	breaker *breaker
	letters DeadLetters
	logger  *slog.Logger
	metrics routeMetrics
	source  Source

	fetching sync.Mutex // the source serves one Fetch at a time
}

// batch is what one worker has in hand: deliveries[i] carries events[i].
type batch struct {
	deliveries []*bus.Delivery
	events     []event.Event
}

// run works with as many workers as the plan says, until ctx ends.
func (rt *route) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range rt.Plan.Workers {
		g.Go(func() error { return rt.work(ctx) })
	}
	err := g.Wait()
	if closeErr := rt.source.Close(); closeErr != nil {
		rt.logger.Warn("consumer not closed", "err", closeErr)
	}
	return err
}

// work fetches, sends and settles batches until ctx ends.
func (rt *route) work(ctx context.Context) error {
	for {
		probe, err := rt.breaker.enter(ctx)
		if err != nil {
			return err
		}
		most := rt.Plan.Batch
		if probe {
			most = 1
		}
		fetched, err := rt.fetch(ctx, most)
		if err != nil {
			rt.breaker.release()
			return err
		}
		b := rt.match(ctx, fetched)
		if len(b.events) == 0 {
			rt.breaker.release()
			continue
		}
		rt.settle(ctx, b, rt.send(ctx, b))
	}
}

func (rt *route) fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	rt.fetching.Lock()
	defer rt.fetching.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return rt.source.Fetch(ctx, most, rt.Plan.Linger)
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

// send hands the batch to the sink and keeps the stream from delivering it again meanwhile. A stop
// lets a Send that is under way finish, within a bound.
func (rt *route) send(ctx context.Context, b batch) error {
	sendCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(sendGrace, cancel) })
	defer stop()

	done := make(chan error, 1)
	go func() { done <- rt.Sink.Send(sendCtx, b.events) }()
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
