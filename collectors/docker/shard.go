package docker

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// item is one piece of work of a shard; one of its parts is set.
type item struct {
	msg  *events.Message // an event, done after the stream has acknowledged what came of it
	done func()

	check string // the id of a container whose start may have failed,
	tried int64  // at this time

	snap    *facts          // what a container is
	present map[string]bool // all containers of the list that was taken at listed
	listed  int64
	tally   *tally // of the snapshot that the two belong to

	replaced string // the id of a container whose place another one has taken

	shutdown map[string]bool // the containers that a daemon stopped before it went down
}

// shard does the work of its containers in order. The queue has no bound of its own: the reader must
// not wait; it stops reading when the backlog of all queues is too long.
type shard struct {
	w       *watch
	machine *machine
	checks  map[string]check // by container: created, but not seen to start

	followers map[string]*follower // by container
	reading   sync.WaitGroup       // of them

	queue *collectors.Queue[item]
}

// check is when to ask whether a start failed.
type check struct {
	at    int64
	tries int
}

const (
	firstCheck = time.Second
	nextCheck  = 5 * time.Second
	maxChecks  = 2

	inspectTries = 3
	inspectRetry = 50 * time.Millisecond
	// inspectPatience is how long a daemon may be away until the identity of a run is made of its event.
	inspectPatience = 15 * time.Second
)

func newShard(w *watch, from int64) *shard {
	m := newMachine(origin{w.deps.Site, w.deps.Node, w.daemon.engine()}, w.table, from)
	m.acting, m.peers, m.begun = w.deps.Acting, &w.reader.kills.peers, w.daemon.now()
	return &shard{w: w, machine: m, checks: map[string]check{}, followers: map[string]*follower{}, queue: collectors.NewQueue[item](w.backlog)}
}

func (s *shard) push(it item) { s.queue.Push(it) }

func (s *shard) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer s.reading.Wait()
	defer stop()
	for ctx.Err() == nil {
		if it, ok := s.queue.Pop(); ok {
			s.handle(ctx, it)
			s.queue.Done()
		} else if !s.idle(ctx) {
			return
		}
		s.overdue(ctx)
	}
}

// idle waits for work or for something that is due.
func (s *shard) idle(ctx context.Context) bool {
	next := s.machine.next()
	for _, c := range s.checks {
		if next == 0 || c.at < next {
			next = c.at
		}
	}
	var due <-chan time.Time
	if next != 0 {
		timer := time.NewTimer(time.Duration(next - s.w.daemon.now()))
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
	case it.msg != nil:
		s.event(ctx, it)
	case it.check != "":
		s.networkGone(ctx, it.check, it.tried)
	case it.snap != nil:
		s.reconcile(ctx, it, s.machine.snapshot(it.snap))
		s.keep(it.snap.id)
		s.follow(ctx, it.snap.id)
	case it.tally != nil:
		s.reconcile(ctx, it, s.machine.vanished(it.present, it.listed))
		for id := range s.followers {
			if s.machine.tasks[id] == nil {
				s.unfollow(id)
			}
		}
	case it.replaced != "":
		s.publish(ctx, s.machine.replaced(it.replaced))
	case it.shutdown != nil:
		s.publish(ctx, s.machine.shutdown(it.shutdown))
	}
}

func (s *shard) event(ctx context.Context, it item) {
	id := it.msg.Actor.ID
	in := input{msg: it.msg, done: it.done}
	action := actionOf(it.msg.Action)
	_, detail, _ := strings.Cut(string(it.msg.Action), ": ")
	switch action {
	case "create":
		s.checks[id] = check{at: s.w.daemon.now() + int64(firstCheck)}
		for _, old := range s.w.reader.kills.peers.replacedBy(it.msg) {
			s.w.shard(old).push(item{replaced: old})
		}
	case "start", "destroy":
		delete(s.checks, id)
	}
	t := s.machine.tasks[id]
	ends := action == "die" && (t == nil || t.needsInspect(it.msg))
	if ends || action == "start" || action == "update" || detail == "unhealthy" {
		in.facts = s.facts(ctx, id, action == "start" || action == "die" && (t == nil || t.Started == 0))
		if ctx.Err() != nil {
			return // told by the next run, with all there is to know
		}
	}
	in.now = s.w.daemon.now()
	step := s.machine.event(in)
	if action == "start" {
		s.follow(ctx, id) // before all else: it may be over in a moment
	}
	outs, ok := s.begin(ctx, id, step.outs)
	if !ok || !s.publish(ctx, outs) {
		return
	}
	s.keep(id) // before the cursor moves: what is saved together must agree
	if !step.held {
		it.done()
	}
	if action == "destroy" {
		s.unfollow(id)
	}
}

// begin saves the identity of a run before anybody is told of its start, which is the last of outs. A
// crash reads the start again, and by then the container may be gone, and with it what the identity is
// made of. It returns what is left to publish.
func (s *shard) begin(ctx context.Context, id string, outs []out) (rest []out, ok bool) {
	last, t := len(outs)-1, s.machine.tasks[id]
	if last < 0 || outs[last].event.Type != event.TaskStarted || t.pending != nil {
		return outs, true
	}
	t.Untold = true
	if !s.publish(ctx, outs[:last]) { // the end of the run before
		return nil, false
	}
	s.w.ledger.keep(id, t.remembered())
	return outs[last:], s.w.ledger.flush(ctx, id) == nil
}

// facts asks for a container, again if the answer is lost. It returns nil for one that is gone, and when
// the daemon does not answer, which must not hold up its events: unless patient, for the identity of a run
// hangs on the answer, and while the daemon is away it has no other events.
func (s *shard) facts(ctx context.Context, id string, patient bool) *facts {
	begun, delay := time.Now(), backoff.New(inspectRetry, time.Second)
	for tries := 0; ; {
		f, err := s.w.inspect(ctx, id)
		if err == nil {
			return f
		}
		if !patient || !client.IsErrConnectionFailed(err) || time.Since(begun) > inspectPatience {
			tries++
		}
		if tries == inspectTries || delay.Wait(ctx) != nil {
			s.w.deps.Logger.Debug("container not inspected", "container_id", id, "err", err)
			return nil
		}
	}
}

// reconcile publishes what a snapshot showed.
func (s *shard) reconcile(ctx context.Context, it item, outs []out) {
	if s.publish(ctx, outs) {
		it.tally.finish()
	}
}

// networkGone follows a container that gave its network back. One that was not running tried to start
// in vain, or ended a moment ago and will be started by its restart policy, if by anybody.
func (s *shard) networkGone(ctx context.Context, id string, tried int64) {
	t := s.machine.tasks[id]
	if t == nil || t.Run != "" && (!t.Exited || !t.hasPolicy() && tried-t.Ended < soon) {
		return
	}
	s.ask(ctx, id, tried)
}

// ask inspects a container that should have started, and tells a failure. tried is when that was, in ns, 0
// if nothing told. It returns false when there is nothing to tell yet.
func (s *shard) ask(ctx context.Context, id string, tried int64) bool {
	f, err := s.w.inspect(ctx, id)
	if err != nil || f == nil {
		return err == nil
	}
	if !f.stopped() || f.failure == "" {
		return f.status != string(event.StateCreated)
	}
	delete(s.checks, id)
	f.tried = tried
	s.publish(ctx, s.machine.snapshot(f))
	s.keep(id)
	return true
}

// overdue does what its time has come for.
func (s *shard) overdue(ctx context.Context) {
	now := s.w.daemon.now()
	s.publish(ctx, s.machine.due(now))
	for id, c := range s.checks {
		if c.at > now {
			continue
		}
		if c.tries++; s.ask(ctx, id, 0) || c.tries == maxChecks {
			delete(s.checks, id)
			continue
		}
		s.checks[id] = check{at: now + int64(nextCheck), tries: c.tries}
	}
}

// publish hands events to the stream in order and reports whether all were taken. Only an event that
// can't be published is left out; a stream that refuses is waited for. What is remembered changes after
// all of them: the machine is ahead of the first, and a crash in between must tell the others again.
func (s *shard) publish(ctx context.Context, outs []out) bool {
	for i := range outs {
		o := &outs[i]
		if o.tail != nil {
			o.event.Data.Task.Log = s.tail(ctx, o.tail)
		}
		if err := s.w.deps.Publisher.Publish(ctx, o.event); err != nil {
			if ctx.Err() != nil {
				return false
			}
			s.w.metrics.rejected.Inc()
			s.w.deps.Logger.Error("event not published", "event_id", o.event.ID, "container_id", o.event.Data.Task.ID, "err", err)
		}
		s.w.found.note(o)
		id := o.event.Data.Task.ID
		if t := s.machine.tasks[id]; t != nil && o.event.Type == event.TaskStarted {
			t.Untold = false
		}
	}
	for i := range outs {
		s.keep(outs[i].event.Data.Task.ID)
	}
	for i := range outs {
		if outs[i].done != nil {
			outs[i].done()
		}
	}
	return true
}

// keep notes what a restart must remember about a container. While its end is held back, the older
// memory stays, so that a crash tells the end again.
func (s *shard) keep(id string) {
	t := s.machine.tasks[id]
	switch {
	case t == nil:
		s.w.ledger.forget(id, s.machine.gone[id])
	case t.pending == nil:
		s.w.ledger.keep(id, t.remembered())
	}
}
