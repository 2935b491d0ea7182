package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
)

const (
	inspectors  = 8
	markerWait  = time.Second
	markerPoll  = 5 * time.Millisecond
	ringLookout = int64(time.Second) // how far a repeated snapshot's replay looks back
)

// tally counts the items of one snapshot that the shards have not worked off.
type tally struct {
	left atomic.Int64
	done chan struct{}
}

func newTally(items int) *tally {
	t := &tally{done: make(chan struct{})}
	t.left.Store(int64(items))
	return t
}

func (t *tally) finish() {
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// snapshots looks at all containers after the connect and now and then.
func (w *watch) snapshots(ctx context.Context, open <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-open:
	}
	tick := time.NewTicker(w.cfg.SnapshotEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := w.snapshot(ctx, first); err != nil {
			return fmt.Errorf("take a snapshot of the Docker daemon at %s: %w", w.cfg.Host, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// snapshot queues what every container is behind the events that led there, waits until the shards
// have worked it off, and tells a gap if there was one.
func (w *watch) snapshot(ctx context.Context, first bool) error {
	begun := time.Now()
	listed := w.daemon.now()
	present, all, err := w.look(ctx)
	if err != nil {
		return err
	}
	since := listed - ringLookout
	if first {
		since = 1 // all that the daemon remembers
	}
	// The daemon logs a start or an end while it holds the container's lock, and inspect takes that
	// lock: whatever the snapshot shows is logged. The log up to now says when it has all been read.
	marker, oldest, err := w.logged(ctx, since, first)
	if err != nil {
		return err
	}
	w.awaitEvents(ctx, marker)
	if first && !w.blind.since.IsZero() {
		w.blind.hole = w.blind.hole || oldest > w.blind.reach.Add(w.daemon.skew).UnixNano()
		w.whole = !w.blind.hole && w.reader.newest.Load() >= marker
	}
	w.report(all)
	t := newTally(len(all) + len(w.shards))
	for _, f := range all {
		w.shard(f.id).push(item{snap: f, tally: t})
	}
	for _, s := range w.shards {
		s.push(item{present: present, listed: listed, tally: t})
	}
	w.metrics.snapshot.Observe(time.Since(begun).Seconds())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
	}
	return w.account(ctx, first, listed)
}

// look lists and inspects. The list may lag behind, so it gives ids only. A container that went away
// meanwhile is present without facts.
func (w *watch) look(ctx context.Context) (present map[string]bool, all []*facts, err error) {
	once, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list, err := w.cli.ContainerList(once, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, nil, err
	}
	found := make([]*facts, len(list.Items))
	present = make(map[string]bool, len(list.Items))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectors)
	for i, item := range list.Items {
		present[item.ID] = true
		group.Go(func() (err error) {
			found[i], err = w.inspect(gctx, item.ID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	for _, f := range found {
		if f != nil {
			all = append(all, f)
		}
	}
	return present, all, nil
}

// logged replays the daemon's log up to now: marker is the time of the newest transition, oldest that
// of the oldest event of any kind.
func (w *watch) logged(ctx context.Context, since int64, whole bool) (marker, oldest int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	o := client.EventsListOptions{Since: stamp(max(since, 1)), Until: stamp(w.daemon.now())}
	if !whole {
		o.Filters = filters()
	}
	oldest = math.MaxInt64
	stream := w.cli.Events(ctx, o)
	for {
		select {
		case m := <-stream.Messages:
			oldest = min(oldest, m.TimeNano)
			if transition(&m) {
				marker = max(marker, m.TimeNano)
			}
		case err := <-stream.Err:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return marker, oldest, err
		}
	}
}

// awaitEvents waits a moment until the stream has delivered the event at marker.
func (w *watch) awaitEvents(ctx context.Context, marker int64) {
	tick := time.NewTicker(markerPoll)
	defer tick.Stop()
	enough := time.NewTimer(markerWait)
	defer enough.Stop()
	for w.reader.newest.Load() < marker {
		select {
		case <-ctx.Done():
			return
		case <-enough.C:
			return
		case <-tick.C:
		}
	}
}

func (w *watch) report(all []*facts) {
	workloads := map[[2]string]bool{}
	for _, f := range all {
		t := task{id: f.id}
		t.adopt(f)
		p := t.place()
		workloads[[2]string{p.Scope, p.Workload}] = true
	}
	w.deps.Reporter.Report(collectors.Report{
		Connected: true, Engine: w.daemon.id, Version: w.version, Containers: len(all), Workloads: len(workloads),
	})
}

// account tells a gap: sight was lost long enough, or the daemon's log does not reach back to then, or
// a snapshot or what came later showed what no event had told.
func (w *watch) account(ctx context.Context, first bool, listed int64) error {
	gap := collectors.Gap{From: w.blind.since, To: time.Now(), Reason: w.blind.reason}
	w.found.move(&gap)
	tell := w.blind.always || gap.Reconciled > 0
	switch {
	case !w.blind.since.IsZero():
		if w.blind.hole {
			gap.Unknown = []string{
				"containers that were created and removed within this time",
				"signals, stop requests and out-of-memory kills of this time",
			}
		}
		tell = tell || w.blind.hole || gap.To.Sub(w.blind.noticed) >= tellBlind
	case first: // the very first look: nothing was promised before
		tell = false
	default:
		gap.From, gap.Reason = utc(w.watched).Add(-w.daemon.skew), "the daemon's event stream lost events"
	}
	if tell {
		if err := w.deps.Reporter.Gap(ctx, gap); err != nil {
			w.found.back(&gap)
			return err
		}
	}
	w.blind, w.watched = blindness{}, listed
	return nil
}
