package ecs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

const (
	// firstLook is how long the first look, and one after a time of blindness, waits for the queue to be empty:
	// what waits there is told better by its own event.
	firstLook = 30 * time.Second
	// lateAfter is how long an event may be on its way from ECS to the queue. One that is later is missing.
	lateAfter = 2 * time.Minute
	// listedAfter is how long after a change the ECS API may not know of it yet.
	listedAfter = time.Minute
	// retryLook is the distance to the next look after one that was cut short.
	retryLook = time.Minute
)

// reconciler compares what is known with what the ECS API lists, and hands the machine what the queue did not
// tell. It never keeps the intake waiting.
type reconciler struct {
	api             *ecsAPI
	machine         *machine
	publish         func(context.Context, out) error
	reporter        collectors.Reporter
	origin          origin
	region, account string
	clusters        []string // names or ARNs; none: every one
	every           time.Duration
	logger          *slog.Logger

	trouble complaint // what kept the last look from its end
	silent  complaint // that the queue is silent was told
}

// finding is what a look found.
type finding struct {
	tasks, workloads int
	// told counts the events that only the look told, vanished the stops without a cause among them.
	told, vanished int
	// missing counts what the queue should have told by now, since the time of the oldest.
	missing int
	since   time.Time
}

// run looks at the start, every so often, and each time that blindness is over, until ctx ends.
func (r *reconciler) run(ctx context.Context, s *sight, blind *outages) {
	s.settle(ctx, firstLook)
	var before time.Time // the last whole look
	for ctx.Err() == nil {
		began := time.Now()
		gap, wasBlind := blind.take()
		f, err := r.look(ctx, before)
		if ctx.Err() != nil {
			return
		}
		r.complain(err)
		s.watching(f.tasks, f.workloads)
		switch {
		case wasBlind:
			r.tellGap(ctx, gap, f, err)
		case !before.IsZero():
			r.judgeFeed(ctx, s.lastHeard(), before, f)
		}
		next := r.every
		if err == nil {
			before = began
			r.api.metrics.compared.Inc()
		} else {
			next = min(next, retryLook)
		}
		if r.wait(ctx, backoff.Jitter(next), blind) {
			s.stale()
			s.settle(ctx, firstLook)
		}
	}
}

// wait returns true as soon as blindness is over, or false after a time.
func (r *reconciler) wait(ctx context.Context, d time.Duration, blind *outages) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-blind.wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// complain tells what keeps looks from their end, once.
func (r *reconciler) complain(err error) {
	if !r.trouble.changed(err) {
		return
	}
	if err == nil {
		r.logger.Info("comparison with ECS is whole again")
		return
	}
	r.logger.Warn("comparison with ECS is not whole", "err", err)
}

// tellGap tells of blindness that is over, and what the look after it found.
func (r *reconciler) tellGap(ctx context.Context, gap collectors.Gap, f finding, err error) {
	gap.Reconciled, gap.UnknownCodes = f.told, f.vanished
	if err != nil {
		gap.Unknown = append(gap.Unknown, "what happened to tasks meanwhile: the comparison with ECS was cut short: "+err.Error())
	}
	if err := r.reporter.Gap(ctx, gap); err != nil && ctx.Err() == nil {
		r.logger.Error("gap not published", "err", err)
	}
}

var errSilent = errors.New("the queue is silent while ECS changes: check that the rule is enabled and its pattern matches, that the queue's policy lets events.amazonaws.com send, and that the key of an encrypted queue does, too; the rule's metric FailedInvocations and its dead-letter queue say more")

// judgeFeed tells that events don't come: a look found what the queue should have told, and nothing at all has
// come since. It is told once as long as it lasts.
func (r *reconciler) judgeFeed(ctx context.Context, heard, before time.Time, f finding) {
	if f.missing == 0 || heard.After(f.since) {
		if !heard.IsZero() && heard.After(before) {
			r.silent.changed(nil)
		}
		return
	}
	if !r.silent.changed(errSilent) {
		return
	}
	r.logger.Error("events do not come", "missing", f.missing, "err", errSilent)
	gap := collectors.Gap{From: heard, To: time.Now(), Reason: errSilent.Error(), Reconciled: f.told, UnknownCodes: f.vanished}
	if gap.From.IsZero() {
		gap.From = before
	}
	gap.Unknown = []string{"what tasks did between two looks, and everything that only events tell: deployments, service actions, Spot warnings"}
	if err := r.reporter.Gap(ctx, gap); err != nil && ctx.Err() == nil {
		r.logger.Error("gap not published", "err", err)
	}
}

// look compares once, every cluster even if one of them fails. before is when the last whole look began.
func (r *reconciler) look(ctx context.Context, before time.Time) (finding, error) {
	if err := r.machine.load(ctx); err != nil {
		return finding{}, err
	}
	clusters, err := r.listClusters(ctx)
	faults := []error{err}
	var all finding
	for _, cluster := range clusters {
		l := &look{reconciler: r, cluster: cluster, before: before, workloads: map[string]bool{}}
		if err := l.run(ctx); err != nil {
			faults = append(faults, fmt.Errorf("cluster %s: %w", lastPart(cluster), err))
		}
		if ctx.Err() != nil {
			return finding{}, ctx.Err()
		}
		all.add(l)
	}
	if faults[0] == nil && len(faults) == 1 {
		r.api.metrics.tasks.Set(float64(all.tasks))
	}
	r.api.metrics.found.Add(float64(all.told))
	return all, errors.Join(faults...)
}

func (f *finding) add(l *look) {
	f.tasks, f.workloads = f.tasks+l.running, f.workloads+len(l.workloads)
	f.told, f.vanished, f.missing = f.told+int(l.told.Load()), f.vanished+l.vanished, f.missing+int(l.missing.Load())
	if since := l.since.Load(); since != nil && (f.since.IsZero() || since.Before(f.since)) {
		f.since = *since
	}
}

// look is one comparison of one cluster.
type look struct {
	*reconciler
	cluster string // ARN
	before  time.Time

	running   int
	workloads map[string]bool
	vanished  int

	told, missing atomic.Int64
	since         atomic.Pointer[time.Time]
}

// tell publishes what the look found, and notes whether the queue should have told it.
func (l *look) tell(ctx context.Context, o out) error {
	if err := l.publish(ctx, o); err != nil {
		return err
	}
	l.told.Add(1)
	at := o.event.Time
	if o.event.Data.Service != nil || l.before.IsZero() || at.Before(l.before) || time.Since(at) < lateAfter {
		return nil
	}
	l.missing.Add(1)
	for {
		old := l.since.Load()
		if old != nil && old.Before(at) || l.since.CompareAndSwap(old, &at) {
			return nil
		}
	}
}
