package containerd

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

const (
	// settle is how long after it asked for events a collector takes it that they come, and how long after
	// a list it waits for events that are older than the list.
	settle = 200 * time.Millisecond
	// again is when a second look decides about what the first one missed.
	again = time.Second
	// soon is when the look after a connect is checked, should containerd have begun to send later.
	soon = 5 * time.Second
)

// tally counts what the shards make of one snapshot.
type tally struct {
	left   atomic.Int64
	unsure atomic.Int64 // absences that another look must confirm
	done   chan struct{}
}

func newTally(items int) *tally {
	t := &tally{done: make(chan struct{})}
	t.left.Store(int64(items))
	return t
}

func (t *tally) finish(unsure int) {
	t.unsure.Add(int64(unsure))
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
	if err := backoff.Sleep(ctx, settle); err != nil {
		return err
	}
	sighted := time.Now()
	for first := true; ; first = false {
		if err := w.snapshot(ctx, first, sighted); err != nil {
			return err
		}
		next := w.cfg.SnapshotEvery
		if first {
			next = min(next, soon)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		case <-w.look:
			timer.Stop()
		}
	}
}

// snapshot takes a look, and another one if something is missing, and tells a gap if there was one.
func (w *watch) snapshot(ctx context.Context, first bool, sighted time.Time) error {
	begun := time.Now()
	for range 2 {
		t, err := w.lookAround(ctx)
		if err != nil {
			return err
		}
		if t.unsure.Load() == 0 {
			break
		}
		if err := backoff.Sleep(ctx, again); err != nil {
			return err
		}
	}
	return w.account(ctx, first, sighted, begun)
}

// lookAround queues what every container is behind the events that led there, and waits until the shards
// have worked it off.
func (w *watch) lookAround(ctx context.Context) (*tally, error) {
	begun := time.Now()
	present, all, err := w.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := backoff.Sleep(ctx, settle); err != nil {
		return nil, err
	}
	w.report(all)
	t := newTally(len(all) + len(w.shards))
	for _, f := range all {
		w.shard(f.key()).push(item{snap: f, tally: t})
	}
	for _, s := range w.shards {
		s.push(item{present: present, listed: begun.UnixNano(), tally: t})
	}
	w.metrics.snapshot.Observe(time.Since(begun).Seconds())
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.done:
	}
	return t, nil
}

// list returns all containers of all namespaces that are watched: which there are, and of those that are
// told what is known.
func (w *watch) list(ctx context.Context) (present map[string]bool, all []*facts, err error) {
	spaces, err := w.api.spaces(ctx)
	if err != nil {
		return nil, nil, err
	}
	present = map[string]bool{}
	for _, namespace := range spaces {
		if !w.cfg.watches(namespace) {
			continue
		}
		at := time.Now().UnixNano()
		processes, err := w.api.processes(ctx, namespace)
		if err != nil {
			return nil, nil, err
		}
		err = w.api.each(ctx, namespace, func(c *containers.Container) {
			present[key(namespace, c.ID)] = true
			f := factsOf(namespace, c, processes[c.ID], at)
			w.owned.note(namespace, f.owner)
			if f.owner == "" {
				all = append(all, w.complete(f))
			}
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, f := range all {
		f.digest = w.images.digest(ctx, f.namespace, f.image)
	}
	return present, all, nil
}

// complete adds what the kernel knows of a task.
func (w *watch) complete(f *facts) *facts {
	group, ok := w.host.cgroup(f.pid, f.id)
	f.cgroup = groupOf(f.cgroup)
	if ok {
		f.cgroup = group
		f.began = w.host.began(f.pid)
	}
	if w.blind.down {
		f.down = w.blind.since.UnixNano()
	}
	return f
}

// inspect asks about the container of an event. One that does not exist has no facts and no error.
func (w *watch) inspect(ctx context.Context, r *record) (*facts, error) {
	at := time.Now().UnixNano()
	c, err := w.api.container(ctx, r.namespace, r.id)
	switch {
	case err != nil:
		w.metrics.inspects.WithLabelValues("failed").Inc()
		return nil, err
	case c == nil:
		w.metrics.inspects.WithLabelValues("missing").Inc()
		return nil, nil //nolint:nilnil // missing is an answer
	}
	w.metrics.inspects.WithLabelValues("ok").Inc()
	f := factsOf(r.namespace, c, nil, at)
	if r.topic == topicStarted && f.log.None == noLog {
		f.log = f.log.orOf(w.api.process(ctx, r.namespace, r.id))
	}
	f.digest = w.images.digest(ctx, r.namespace, c.Image)
	f.cgroup = groupOf(f.cgroup)
	if group, ok := w.host.cgroup(r.pid, r.id); ok {
		f.cgroup = group
	}
	return f, nil
}

func (w *watch) report(all []*facts) {
	workloads := map[[2]string]bool{}
	for _, f := range all {
		t := task{namespace: f.namespace, id: f.id}
		t.adopt(f)
		p := t.place()
		workloads[[2]string{p.Scope, p.Workload}] = true
	}
	w.deps.Reporter.Report(collectors.Report{
		Connected: true, Engine: w.server.id, Version: w.server.version, Containers: len(all), Workloads: len(workloads),
	})
}

// account tells a gap: sight was lost, and containerd replays nothing; or a snapshot found what no event
// had told.
func (w *watch) account(ctx context.Context, first bool, sighted, begun time.Time) error {
	gap := collectors.Gap{
		From: w.blind.since, To: sighted, Reason: w.blind.reason,
		Reconciled: int(w.found.Swap(0)), UnknownCodes: int(w.codeless.Swap(0)),
	}
	tell := true
	switch {
	case !w.blind.since.IsZero():
		gap.Unknown = unknowable(w.blind.down)
	case first: // the very first look: nothing was promised before
		tell = false
	default:
		gap.From, gap.To, gap.Reason = w.watched, begun, "containerd's event stream lost events"
		tell = gap.Reconciled > 0
	}
	if tell {
		if err := w.deps.Reporter.Gap(ctx, gap); err != nil {
			return err
		}
	}
	w.blind, w.watched = blindness{}, begun
	w.delivered(begun.Add(-onItsWay)) // or it was found now
	return nil
}

// unknowable is what no snapshot brings back.
func unknowable(down bool) []string {
	list := []string{
		"tasks that were started and deleted within this time",
		"exit codes of tasks that ended and were deleted within this time",
		"out-of-memory kills of this time",
	}
	if down {
		list = append(list, "exit codes of tasks that ended while containerd was down, unless it is 1.6: later ones delete such tasks when they start")
	}
	return list
}
