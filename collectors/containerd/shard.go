package containerd

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// item is one piece of work of a shard; one of its parts is set.
type item struct {
	record *record // an event

	snap    *facts          // what a container is
	present map[string]bool // all containers, by key, of the lists that were taken at listed
	listed  int64
	tally   *tally // of the snapshot that the two belong to

	resend []event.Event // what an earlier run of the collector had not sent for sure,
	key    string        // of this container
}

// shard does the work of its containers in order. The queue has no bound of its own: the reader must
// not wait; it stops reading when the backlog of all queues is too long.
type shard struct {
	w       *watch
	machine *machine
	ledger  *ledger
	others  map[string]bool // containers that somebody else tells of, by key

	queue *collectors.Queue[item]
}

const (
	inspectTries = 3
	inspectRetry = 50 * time.Millisecond
)

func newShard(w *watch, l *ledger) *shard {
	m := newMachine(origin{w.deps.Site, w.deps.Node, w.server.id, w.boot}, w.table, time.Now().UnixNano())
	m.acting = w.deps.Acting
	return &shard{w: w, machine: m, ledger: l, others: map[string]bool{}, queue: collectors.NewQueue[item](w.backlog)}
}

func (s *shard) push(it item) { s.queue.Push(it) }

func (s *shard) run(ctx context.Context) {
	for ctx.Err() == nil {
		if it, ok := s.queue.Pop(); ok {
			s.handle(ctx, it)
			s.queue.Done()
		} else if !s.idle(ctx) {
			return
		}
		s.publish(ctx, s.machine.due(time.Now().UnixNano()))
	}
}

// idle waits for work or for something that is due.
func (s *shard) idle(ctx context.Context) bool {
	var due <-chan time.Time
	if next := s.machine.next(); next != 0 {
		timer := time.NewTimer(time.Until(utc(next)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.queue.Pushed():
	case <-due:
	}
	return true
}

func (s *shard) handle(ctx context.Context, it item) {
	switch {
	case it.record != nil:
		s.event(ctx, it.record)
	case it.snap != nil:
		if f := it.snap; f.running() {
			s.w.waits.begin(ctx, f.namespace, f.id, f.pid, false)
		}
		s.reconcile(ctx, it, s.machine.snapshot(it.snap), it.snap.key())
	case it.tally != nil:
		s.reconcile(ctx, it, s.machine.vanished(it.present, it.listed))
		s.forgetOthers(it.present)
	case it.resend != nil:
		s.resend(ctx, it)
	}
}

func (s *shard) event(ctx context.Context, r *record) {
	key := r.key()
	s.missedEnd(ctx, r)
	if s.others[key] && r.topic != topicCreated {
		s.w.metrics.ignored.WithLabelValues(ignoredOwned).Inc()
		return
	}
	in := input{record: r}
	if s.asks(r) {
		if in.facts = s.facts(ctx, r); ctx.Err() != nil {
			return // told by the next run, with what is left of it
		}
		if owner := s.owner(in.facts, r); owner != "" {
			s.others[key] = true
			s.w.metrics.ignored.WithLabelValues(ignoredOwned).Inc()
			return
		}
		delete(s.others, key)
	}
	if r.topic == topicStarted {
		s.w.waits.begin(ctx, r.namespace, r.id, r.pid, true)
	}
	if t := s.machine.tasks[key]; t != nil && t.running() && r.process == r.id && r.code != 0 && !t.OOM {
		in.witness = s.w.host.kills(t.Cgroup)
	}
	in.now = time.Now().UnixNano()
	outs := s.machine.event(in).outs
	if t := s.machine.tasks[key]; t == nil || t.Exited {
		s.w.waits.forget(key)
	}
	s.publish(ctx, outs, key)
}

// asks reports whether containerd must be asked about a container before its event is understood: for
// what it is, and at a start and an update for what has changed.
func (s *shard) asks(r *record) bool {
	t := s.machine.tasks[r.key()]
	switch r.topic {
	case topicCreated, topicStarted, topicUpdated:
		return true
	}
	return (t == nil || !t.asked && r.topic != topicRemoved) && r.topic != topicWaited
}

// owner returns who tells of a container, if not we. Of one that is gone already its namespace decides.
func (s *shard) owner(f *facts, r *record) string {
	switch {
	case f != nil:
		s.w.owned.note(r.namespace, f.owner)
		return f.owner
	case s.machine.tasks[r.key()] == nil && s.w.owned.docker(r.namespace):
		return ownedByDocker
	}
	return ""
}

// facts asks for a container, again if the answer is lost. It returns nil for one that is gone, and when
// containerd does not answer, which must not hold up its events.
func (s *shard) facts(ctx context.Context, r *record) *facts {
	delay := backoff.New(inspectRetry, time.Second)
	for try := 1; ; try++ {
		f, err := s.w.inspect(ctx, r)
		if err == nil {
			return f
		}
		if try == inspectTries || delay.Wait(ctx) != nil {
			s.w.deps.Logger.Debug("container not inspected", "container_id", r.id, "err", err)
			return nil
		}
	}
}

// reconcile publishes what a snapshot showed.
func (s *shard) reconcile(ctx context.Context, it item, d diff, keys ...string) {
	if s.publish(ctx, d.outs, keys...) {
		it.tally.finish(d.unsure)
	}
}

// count notes what an event should have told.
func (w *watch) count(e *event.Event) {
	if e.Data.Observed != event.ObservedReconcile || e.Data.Supersedes != "" {
		return
	}
	w.found.Add(1)
	if e.Type == event.TaskStopped && e.Data.Task.Containers[0].ExitCode == nil {
		w.codeless.Add(1)
	}
}

func (s *shard) forgetOthers(present map[string]bool) {
	for key := range s.others {
		if !present[key] {
			delete(s.others, key)
		}
	}
}

// publish hands events to the stream in order and reports whether all were taken. What begins and ends is
// saved before, because containerd can't be asked for it again. Only an event that can't be published
// is left out; a stream that refuses is waited for. What is known of the containers and of keys is kept.
func (s *shard) publish(ctx context.Context, outs []out, keys ...string) bool {
	for i := range outs {
		if o := &outs[i]; o.tail != nil {
			o.event.Data.Task.Log = s.w.host.readTail(ctx, o.tail, s.w.cfg.Logs)
		}
	}
	if !s.save(ctx, outs) {
		return false
	}
	for i := range outs {
		if !s.send(ctx, &outs[i].event) {
			return false
		}
		s.w.count(&outs[i].event)
	}
	for i := range outs {
		keys = append(keys, outs[i].key)
	}
	for _, key := range keys {
		s.keep(key)
	}
	return true
}

// save keeps what is about to be published, and returns whether that is done.
func (s *shard) save(ctx context.Context, outs []out) bool {
	must := false
	unsent := map[string][]json.RawMessage{}
	for i := range outs {
		typ := outs[i].event.Type
		must = must || typ == event.TaskCreated || typ == event.TaskStarted || typ == event.TaskStopped
		if b, err := event.Append(nil, &outs[i].event); err == nil {
			unsent[outs[i].key] = append(unsent[outs[i].key], b)
		}
	}
	if !must {
		return true
	}
	for key, events := range unsent {
		m := memory{}
		if t := s.machine.tasks[key]; t != nil {
			m = t.remembered()
		}
		m.Unsent = events
		s.ledger.keep(key, m)
	}
	return s.ledger.flush(ctx) == nil
}

func (s *shard) send(ctx context.Context, e *event.Event) bool {
	if err := s.w.deps.Publisher.Publish(ctx, *e); err != nil {
		if ctx.Err() != nil {
			return false
		}
		s.w.metrics.rejected.Inc()
		s.w.deps.Logger.Error("event not published", "event_id", e.ID, "container_id", e.Data.Task.ID, "err", err)
	}
	return true
}

// keep notes what a restart must remember about a container.
func (s *shard) keep(key string) {
	if t := s.machine.tasks[key]; t != nil {
		s.ledger.keep(key, t.remembered())
		return
	}
	s.ledger.forget(key)
}
