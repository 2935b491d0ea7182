package router

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// This file is the only code that acknowledges. What becomes of a delivery:
//
//	accepted, or left out by the filter    ack
//	*sinks.Permanent, undecodable          dead letter stored, then term
//	*sinks.Throttled                       again after its delay, if it names one
//	any other error                        again after a growing delay
//	as often as the plan allows, while     dead letter stored, then term
//	the target accepts other events
//	the router stops                       nothing: the stream delivers again
//
// A whole batch that fails opens the breaker; a *sinks.Partial does not, because the target answers.

// The classes of dead letters.
const (
	classDecode    = "decode"
	classPermanent = "permanent"
	classExhausted = "exhausted"
)

// settle gives every delivery of a batch its outcome.
func (rt *route) settle(ctx context.Context, b batch, err error) {
	var partial *sinks.Partial
	switch {
	case err == nil:
		rt.breaker.passed()
		for i := range b.deliveries {
			rt.accept(b.deliveries[i])
		}
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		rt.breaker.release()
	case errors.As(err, &partial) && len(partial.Errs) == len(b.deliveries):
		rt.breaker.passed()
		for i, d := range b.deliveries {
			rt.settleOne(ctx, d, partial.Errs[i], 0)
		}
	default:
		rt.settleWhole(ctx, b, err)
	}
}

func (rt *route) settleWhole(ctx context.Context, b batch, err error) {
	var delay time.Duration
	if permanent := (*sinks.Permanent)(nil); errors.As(err, &permanent) {
		rt.breaker.passed() // it answers, and says no
	} else {
		var throttled *sinks.Throttled
		var after time.Duration
		if errors.As(err, &throttled) {
			after = throttled.After
		}
		if open, _, _ := rt.breaker.state(); !open {
			rt.logger.Warn("target refuses, holding events back", "err", err)
		}
		delay = rt.breaker.failed(err, after)
	}
	for _, d := range b.deliveries {
		rt.settleOne(ctx, d, err, delay)
	}
}

// settleOne gives one delivery its outcome. delay is when the breaker tries again, 0 if it is closed.
func (rt *route) settleOne(ctx context.Context, d *bus.Delivery, err error, delay time.Duration) {
	var permanent *sinks.Permanent
	var throttled *sinks.Throttled
	switch {
	case err == nil:
		rt.accept(d)
	case errors.As(err, &permanent):
		rt.bury(ctx, d, classPermanent, permanent.Reason+": "+permanent.Err.Error())
	case errors.As(err, &throttled):
		rt.again(d, max(delay, cmp.Or(throttled.After, delayOf(d.Attempt))), "throttled", err)
	default:
		rt.again(d, max(delay, delayOf(d.Attempt)), "failed", err)
	}
}

// givenUp buries a delivery that must not be tried (again), before anything is done with it: that
// covers an event whose delivery kills the process each time.
func (rt *route) givenUp(ctx context.Context, d *bus.Delivery) bool {
	if d.Err != nil {
		rt.bury(ctx, d, classDecode, d.Err.Error())
		return true
	}
	if open, _, _ := rt.breaker.state(); open || d.Attempt <= rt.Plan.Deliveries {
		return false
	}
	rt.bury(ctx, d, classExhausted, "delivered as often as the route allows")
	return true
}

func (rt *route) accept(d *bus.Delivery) {
	rt.metrics.delivered(d)
	rt.report(d, "ack", d.Ack())
}

func (rt *route) skip(d *bus.Delivery) {
	rt.metrics.skipped.Inc()
	rt.report(d, "ack", d.Ack())
}

// conditionFailed leaves the event out: a condition that can't be evaluated on an event does not match
// it. It is counted and told, because it is a fault of the config.
func (rt *route) conditionFailed(d *bus.Delivery, err error) {
	rt.metrics.conditionFailed.Inc()
	rt.logger.Warn("condition failed on an event, left out", "event_id", d.Event.ID, "err", err)
	rt.report(d, "ack", d.Ack())
}

func (rt *route) again(d *bus.Delivery, delay time.Duration, reason string, err error) {
	rt.metrics.retries.WithLabelValues(rt.Name, reason).Inc()
	rt.logger.Debug("delivery failed, will be repeated", "event_id", d.Event.ID, "delay", delay, "err", err)
	rt.report(d, "nak", d.NakAfter(delay))
}

// bury stores the dead letter before it ends the delivery, so that a crash between the two repeats and
// never loses.
func (rt *route) bury(ctx context.Context, d *bus.Delivery, class, reason string) {
	letter := bus.DeadLetter{Route: rt.Name, Class: class, Reason: reason}
	if err := rt.letters.Put(ctx, d, letter); err != nil {
		rt.logger.Error("dead letter not stored, the event stays on the stream", "event_id", d.Event.ID, "err", err)
		rt.report(d, "nak", d.NakAfter(delayOf(d.Attempt)))
		return
	}
	rt.metrics.dead.WithLabelValues(rt.Name, class).Inc()
	rt.logger.Error("event moved to the dead letters", "event_id", d.Event.ID, "class", class, "reason", reason)
	rt.report(d, "term", d.Term(class))
}

// report tells of a verdict that did not reach the stream: the event will come again.
func (rt *route) report(d *bus.Delivery, verb string, err error) {
	if err != nil {
		rt.logger.Warn("verdict not recorded, the event will come again", "verdict", verb, "event_id", d.Event.ID, "err", err)
	}
}

// delayOf is the distance to the next attempt: 1 s doubling to 5 min.
func delayOf(attempt int) time.Duration {
	return backoff.Jitter(min(time.Second<<min(max(attempt-1, 0), 9), 5*time.Minute))
}
