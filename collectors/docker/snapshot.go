package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/redact"
)

const (
	inspectors = 8
	// batch is how many containers are held in memory at a time.
	batch       = 256
	markerPoll  = 5 * time.Millisecond
	markerWait  = 10 * time.Second
	ringLookout = int64(time.Second) // how much further than needed a replay looks back
)

// tally counts what the shards make of a part of a snapshot.
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

func (t *tally) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
		return nil
	}
}

// snapshots looks at all containers after the connect and now and then.
func (w *watch) snapshots(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.SnapshotEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := w.snapshot(ctx, first); err != nil {
			return fmt.Errorf("take a snapshot: %w", err)
		}
		w.reader.garbled.Store(0) // what the stream could not tell is told
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// snapshot looks at the containers that may be other than they are known to be, tells what no event
// told, and tells a gap if there was one.
func (w *watch) snapshot(ctx context.Context, first bool) error {
	begun, listed, proven := time.Now(), w.daemon.now(), w.reader.proven.Load()
	list, err := w.list(ctx)
	if err != nil {
		return err
	}
	var all ring
	if first {
		if all, err = w.logged(ctx, 1, true); err != nil {
			return err
		}
	}
	w.report(list)
	if err := w.settleAll(ctx, w.listing.suspects(list, listed), listed, first); err != nil {
		return err
	}
	present := make(map[string]bool, len(list))
	for _, c := range list {
		present[c.ID] = true
	}
	if first {
		w.reached(all)
	}
	t := newTally(len(w.shards))
	for _, s := range w.shards {
		s.push(item{present: present, listed: listed, tally: t})
	}
	w.metrics.snapshot.Observe(time.Since(begun).Seconds())
	if err := t.wait(ctx); err != nil {
		return err
	}
	w.ledger.settled(w.reader.anchor.Load())
	return w.account(ctx, first, proven)
}

func (w *watch) list(ctx context.Context) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := w.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, w.describe(err)
	}
	return r.Items, nil
}

// settleAll settles the containers in batches, and at least one of none: whether the stream goes on is to be
// found out even if nothing seems to have changed.
func (w *watch) settleAll(ctx context.Context, ids []string, listed int64, first bool) error {
	for {
		part := ids[:min(len(ids), batch)]
		ids = ids[len(part):]
		reached, err := w.settle(ctx, part, listed, first)
		switch {
		case err != nil:
			return err
		case len(ids) == 0:
			if reached {
				w.reader.proven.Store(listed)
			}
			return nil
		}
	}
}

// settle queues what some containers are behind the events that led there, and waits until the shards have
// worked it off. It reports whether the stream had told all that the daemon's log holds.
func (w *watch) settle(ctx context.Context, ids []string, listed int64, first bool) (reached bool, err error) {
	found, err := w.look(ctx, ids)
	if err != nil {
		return false, err
	}
	// The daemon logs a start or an end while it holds the container's lock, and inspect takes that
	// lock: whatever the snapshot shows is logged. The log up to now says when it has all been read.
	since := listed
	if proven := w.reader.proven.Load(); proven > 0 {
		since = min(since, proven) // an event that the stream lost can be as old
	}
	log, err := w.logged(ctx, since-ringLookout, false)
	if err != nil {
		return false, err
	}
	if reached = w.awaitEvents(ctx, log.marker); !reached && !first {
		return false, errStalled // after a connect the events may be on their way for long
	}
	if reached {
		// Stamps may be a little out of order; the youngest are looked at the next time.
		if at := w.reader.lost(log.transitions, listed-ringLookout); at > 0 {
			w.reader.again.Store(at)
			return false, errLost
		}
		w.reader.anchor.Store(max(w.reader.anchor.Load(), log.newest))
	}
	t := newTally(len(found) + 1)
	for _, f := range found {
		w.shard(f.id).push(item{snap: f, tally: t})
	}
	t.finish()
	return reached, t.wait(ctx)
}

// look inspects containers. One that went away meanwhile, or that the daemon can't tell about, is left
// out; it is asked for again next time.
func (w *watch) look(ctx context.Context, ids []string) ([]*facts, error) {
	found, failures := make([]*facts, len(ids)), make([]error, len(ids))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectors)
	for i, id := range ids {
		group.Go(func() error {
			found[i], failures[i] = w.inspect(gctx, id)
			return gctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	failed := 0
	for i, f := range found {
		if w.listing.looked(ids[i], f); failures[i] != nil {
			failed++
			w.deps.Logger.Debug("container not inspected", "container_id", ids[i], "err", failures[i])
		}
	}
	if failed == len(ids) && failed >= inspectors {
		return nil, fmt.Errorf("none of %d containers can be inspected: %w", failed, failures[0])
	}
	return slices.DeleteFunc(found, func(f *facts) bool { return f == nil }), nil
}

// awaitEvents waits until the stream has delivered the event at marker, and reports whether it has.
func (w *watch) awaitEvents(ctx context.Context, marker int64) bool {
	tick := time.NewTicker(markerPoll)
	defer tick.Stop()
	enough := time.NewTimer(min(markerWait, 2*w.cfg.SnapshotEvery))
	defer enough.Stop()
	for w.reader.newest.Load() < marker {
		select {
		case <-ctx.Done():
			return false
		case <-enough.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

func (w *watch) report(list []container.Summary) {
	workloads := map[[2]string]bool{}
	for i := range list {
		t := task{id: list[i].ID}
		t.Labels = list[i].Labels
		if names := list[i].Names; len(names) > 0 {
			t.Name = redact.Clean(strings.TrimPrefix(names[0], "/"))
		}
		p := t.place()
		workloads[[2]string{p.Scope, p.Workload}] = true
	}
	w.deps.Reporter.Report(collectors.Report{
		Connected: true, Engine: w.daemon.engine(), Version: w.version, Containers: len(list), Workloads: len(workloads),
	})
}
