package containerd

import (
	"cmp"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// machine turns native events and what containerd tells into our events. It does no I/O and reads no
// clock, so that live, reconciled and recorded streams take the same way. It belongs to one goroutine.
type machine struct {
	origin
	table  cause.Table
	seen   event.Observed       // how events of the stream are marked
	acting func(id string) bool // whether a restart handler acts on a container now; nil: never
	holds  func(*task, *stop) time.Duration
	near   bool // rows that nearly matched are told
	// from is when watching began, in ns: an unknown container's life before it is not told.
	from  int64
	tasks map[string]*task // by key
	held  map[string]*task // those with a pending end
	gone  map[string]int64 // when containers were removed, as far back as a snapshot may be late
}

func newMachine(o origin, table cause.Table, from int64) *machine {
	return &machine{
		origin: o, table: table, seen: event.ObservedStream, holds: hold, from: from,
		tasks: map[string]*task{}, held: map[string]*task{}, gone: map[string]int64{},
	}
}

// out is an event to publish.
type out struct {
	event event.Event
	key   string // of the container
	tail  *tail  // the log to attach; nil for none
	near  []cause.Near
	line  int // of the record it came from, in a recording
}

// input is one native event, with what was asked for it.
type input struct {
	*record
	facts   *facts  // nil if nobody asked or the container is gone
	witness witness // of an end
	now     int64   // ns
	line    int
}

// step is what one input led to.
type step struct {
	outs    []out
	ignored string // why there is no event
	held    bool   // the input's event comes later, by due or with another input
}

func (s *step) add(t *task, in input, e event.Event, message string) {
	finish(&e, message)
	e.Data.Native = nativeOf(in.record)
	s.outs = append(s.outs, out{event: e, key: t.key(), line: in.line})
}

func nativeOf(r *record) *event.Native {
	return &event.Native{Action: r.topic, TimeNano: decimal(r.at)}
}

// handlers is what is done on each topic; others are no transitions.
var handlers = map[string]func(*machine, *task, input, *step){
	topicCreated: (*machine).created, topicUpdated: (*machine).updated, topicRemoved: (*machine).removed,
	topicPrepared: (*machine).prepared, topicStarted: (*machine).started,
	topicExited: (*machine).exited, topicDeleted: (*machine).deleted, topicOOM: (*machine).outOfMemory,
	topicWaited: (*machine).exited, topicPaused: (*machine).paused, topicResumed: (*machine).resumed,
}

// event takes one event of the stream.
func (m *machine) event(in input) step {
	handle := handlers[in.topic]
	if handle == nil {
		return step{ignored: fmt.Sprintf("%s is no transition", in.topic)}
	}
	if in.process != "" && in.process != in.id {
		return step{ignored: "the end of an exec is not the end of the task"}
	}
	t := m.tasks[in.key()]
	if in.topic == topicWaited && (t == nil || t.Exited || t.Run != m.run(in.pid)) {
		return step{ignored: "the end of this run is known"}
	}
	if t != nil && in.topic == topicCreated && t.State != "" && t.Last < in.at && !t.same(in) {
		s := step{outs: m.remove(t, in.at, event.ObservedReconcile)} // the id is used again, and nobody saw why it could be
		t = nil
		next := m.event(in)
		next.outs = append(s.outs, next.outs...)
		return next
	}
	fresh := t == nil
	if fresh {
		t = &task{namespace: in.namespace, id: in.id}
		m.tasks[in.key()] = t
	}
	before := t.memory
	if in.facts != nil {
		t.adopt(in.facts)
	}
	t.Image = cmp.Or(t.Image, in.image)
	if in.topic != topicWaited { // which says nothing about events that are on their way
		t.Last = max(t.Last, in.at)
	}
	var s step
	if fresh && in.topic != topicCreated {
		s.outs = m.bornUnseen(t, in)
	}
	if in.topic == topicUpdated {
		m.changed(t, &before, in, &s)
		return s
	}
	handle(m, t, in, &s)
	return s
}

// same reports whether a create event is of the container that is known, and not of a later one of the
// same id.
func (t *task) same(in input) bool {
	if in.facts != nil && t.Created != 0 {
		return in.facts.created == t.Created
	}
	return t.Born == in.at || t.Created != 0 && in.at-t.Created < slack
}

// slack is how far the envelope of a create event lies behind CreatedAt at most.
const slack = int64(5 * time.Second)

// birth is the identity of a container within its id, which may be used again.
func (t *task) birth() string { return decimal(cmp.Or(t.Created, t.Born)) }

func (m *machine) created(t *task, in input, s *step) {
	if t.State != "" {
		s.ignored = "the container is known"
		return
	}
	t.State, t.Born = event.StateCreated, in.at
	at := cmp.Or(t.Created, t.Born)
	s.add(t, in, m.make(t, event.TaskCreated, t.birth(), at, m.seen), fmt.Sprintf("%s was created from %s", t.title(), cmp.Or(t.Image, "no image")))
}

// bornUnseen tells that a container was created, of which another event is the first that came.
func (m *machine) bornUnseen(t *task, in input) []out {
	if in.facts == nil || t.Created == 0 || t.Created < m.from {
		return nil
	}
	t.State = event.StateCreated
	e := m.make(t, event.TaskCreated, t.birth(), t.Created, event.ObservedReconcile)
	finish(&e, fmt.Sprintf("%s was created from %s", t.title(), orNone(t.Image)))
	return []out{{event: e, key: t.key(), line: in.line}}
}

func (m *machine) prepared(t *task, in input, s *step) {
	t.prepared = in.pid
	s.ignored = "a task that was created is told when it starts"
}

func (m *machine) started(t *task, in input, s *step) {
	run := m.runOf(in)
	if t.Run == run {
		t.Started = cmp.Or(t.Started, in.at)
		s.ignored = "this run is known"
		return
	}
	s.outs = append(s.outs, m.settle(t)...)
	if t.running() {
		s.outs = append(s.outs, m.lose(t, in.at, true)...)
	}
	previous := t.State
	t.begin(run, in.at)
	e := m.make(t, event.TaskStarted, t.Run, t.Started, m.seen)
	e.Data.Task.PreviousState = previous
	s.add(t, in, e, t.title()+" started")
}

func (m *machine) runOf(in input) string {
	if in.pod != nil {
		return in.pod.run
	}
	return m.run(in.pid)
}

func (m *machine) outOfMemory(t *task, in input, s *step) {
	late := t.Exited && t.ended() != nil && in.at-t.ended().at < lateOOM
	t.OOM = t.OOM || !t.Exited || late
	e := m.make(t, event.TaskOOM, decimal(in.at), in.at, m.seen)
	e.Data.Task.Containers[0].OOMKilled = true
	s.add(t, in, e, "a process of "+t.title()+" was killed for memory")
	if late {
		s.outs = append(s.outs, m.better(t, in)...)
	}
}

func (m *machine) paused(t *task, in input, s *step) {
	m.become(t, in, s, event.TaskPaused, event.StatePaused, t.title()+" was paused")
}

func (m *machine) resumed(t *task, in input, s *step) {
	m.become(t, in, s, event.TaskResumed, event.StateRunning, t.title()+" runs on")
}

func (m *machine) become(t *task, in input, s *step, typ event.Type, state event.State, message string) {
	if t.Exited {
		s.ignored = "the run had ended before"
		return
	}
	previous := t.State
	t.State = state
	e := m.make(t, typ, decimal(in.at), in.at, m.seen)
	e.Data.Task.PreviousState = previous
	s.add(t, in, e, message)
}

func (m *machine) updated(_ *task, _ input, s *step) {
	s.ignored = "what changed can't be known"
}

// changed tells what an update of the container's record changed, if that is told at all: most updates
// are notes that clients keep in its labels.
func (m *machine) changed(t *task, before *memory, in input, s *step) {
	old := task{memory: *before, namespace: t.namespace, id: t.id}
	switch {
	case in.facts == nil:
		s.ignored = "what changed can't be known"
	case in.facts.failure != "" && m.failsFirst(t):
		s.outs = append(s.outs, m.failedStart(t, in.facts.failure, in.at, m.seen, nativeOf(in.record)))
	case t.Purpose && !before.Purpose && t.running():
		previous := t.State
		t.State = event.StateStopping
		e := m.make(t, event.TaskStopping, decimal(in.at), in.at, m.seen)
		e.Data.Task.PreviousState, e.Data.Task.DesiredState = previous, event.StateStopped
		e.Data.Task.Times.Stopping = utc(in.at)
		s.add(t, in, e, t.title()+" was asked to stop")
	case before.State != "" && (old.place() != t.place() || before.Policy != t.Policy || before.Name != t.Name):
		s.add(t, in, m.make(t, event.TaskUpdated, decimal(in.at), in.at, m.seen), t.title()+" was updated")
	default:
		s.ignored = "nothing that is told has changed"
	}
}

// failsFirst reports a container that has not run and whose failure was not told.
func (m *machine) failsFirst(t *task) bool {
	return t.State == event.StateCreated && t.Run == "" && !t.Failed
}

// failedStart tells that the first start failed. Only a client knows, and leaves a note.
func (m *machine) failedStart(t *task, failure string, at int64, seen event.Observed, native *event.Native) out {
	t.Failed = true
	end := &stop{at: at, failed: true, failure: failure, key: "failed " + t.birth(), seen: seen, native: native}
	o := m.tell(t, end)
	t.State, t.told = event.StateStopped, nil
	return o
}

func (m *machine) removed(t *task, in input, s *step) {
	s.outs = append(s.outs, m.settle(t)...)
	if t.running() {
		s.outs = append(s.outs, m.lose(t, in.at, false)...)
	}
	message := t.title() + " was removed"
	if t.State == event.StateCreated {
		message += " without having run"
	}
	previous := t.State
	t.State = event.StateRemoved
	if t.Created == 0 && t.Born == 0 {
		t.Born = in.at // all that is known to tell it from a later one of its id
	}
	e := m.make(t, event.TaskRemoved, t.birth(), in.at, m.seen)
	e.Data.Task.PreviousState = previous
	s.add(t, in, e, message)
	m.forget(t, in.at)
}

// remove tells that a container is gone, without an event of it.
func (m *machine) remove(t *task, at int64, seen event.Observed) []out {
	outs := m.settle(t)
	if t.running() {
		outs = append(outs, m.lose(t, at, false)...)
	}
	previous := t.State
	t.State = event.StateRemoved
	e := m.make(t, event.TaskRemoved, t.birth(), at, seen)
	e.Data.Task.PreviousState = previous
	finish(&e, t.title()+" was removed")
	m.forget(t, at)
	return append(outs, out{event: e, key: t.key()})
}

func (m *machine) forget(t *task, at int64) {
	delete(m.tasks, t.key())
	delete(m.held, t.key())
	m.gone[t.key()] = at
}
