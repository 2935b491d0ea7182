package docker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// machine turns native events and inspects into our events. It does no I/O and reads no clock, so that
// live, reconciled and recorded streams take the same way. It belongs to one goroutine.
type machine struct {
	origin
	source string // of every event
	table  cause.Table
	seen   event.Observed            // how events of the stream are marked
	acting func(id, run string) bool // whether a restart handler ends this run; nil: never
	holds  func(*task, *stop) time.Duration
	guess  bool   // whether it is a guess that the daemon went down
	near   bool   // whether the rows that nearly matched are told
	peers  *peers // what happened to others of a workload; nil: nobody knows
	// from is when watching began, in ns: an unknown container's life before it is not told.
	from int64
	// begun is when this collector began, in ns: what is older was not seen by it.
	begun int64
	// first says that nobody watched before from, so that no event before it is told. The stream begins a
	// little earlier; what it says there of signals is evidence for an end that comes later.
	first bool
	tasks map[string]*task
	held  map[string]*task // those with a pending end
	gone  map[string]int64 // when containers were removed; ids are never used again
}

func newMachine(o origin, table cause.Table, from int64) *machine {
	return &machine{
		origin: o, source: event.SourceOf(o.site, event.Docker, o.node), table: table, seen: event.ObservedStream, holds: hold, from: from,
		tasks: map[string]*task{}, held: map[string]*task{}, gone: map[string]int64{},
	}
}

// out is an event to publish. done, if set, is called after the stream has acknowledged it.
type out struct {
	event event.Event
	near  []cause.Near
	tail  *tail // the log to attach; nil for none
	line  int   // of the record it came from, in a recording
	done  func()
	// unseen counts the runs before that of a start which only the daemon's counter tells.
	unseen int64
}

// input is one native event, with the inspect that was made for it.
type input struct {
	msg   *events.Message
	facts *facts // nil if there was none or the container is gone
	now   int64  // ns of the daemon's clock
	line  int
	done  func()
}

// step is what one input led to.
type step struct {
	outs    []out
	ignored string // why there is no event
	held    bool   // the input's event comes later, by due or with another input
}

func (s *step) add(in input, e event.Event, message string) {
	finish(&e, message)
	e.Data.Native = &event.Native{Action: plainAction(in.msg.Action), TimeNano: decimal(in.msg.TimeNano)}
	s.outs = append(s.outs, out{event: e, line: in.line})
}

// plainAction is the action without the command line that exec events carry.
func plainAction(a events.Action) string {
	if name, _, found := strings.Cut(string(a), ":"); found && strings.HasPrefix(name, "exec") {
		return redact.Clean(name)
	}
	return redact.Clean(string(a))
}

// handlers is what is done on each action; others are no transitions.
var handlers = map[string]func(*machine, *task, input, *step){
	"create": (*machine).created, "start": (*machine).started, "die": (*machine).died, "destroy": (*machine).destroyed,
	"kill": (*machine).killed, "oom": (*machine).outOfMemory, "stop": (*machine).stopped,
	"pause": (*machine).paused, "unpause": (*machine).resumed, "rename": (*machine).renamed, "update": (*machine).updated,
	"health_status": (*machine).health, "cleanup": (*machine).cleanedUp,
}

// renamed are Podman's own words for actions, which its Docker API does not translate all.
var renamed = map[string]string{"died": "die", "remove": "destroy"}

// actionOf returns the name of an action, without what follows it.
func actionOf(a events.Action) string {
	name, _, _ := strings.Cut(string(a), ":")
	return cmp.Or(renamed[name], name)
}

// event takes one event of the stream.
func (m *machine) event(in input) step {
	name := actionOf(in.msg.Action)
	handle := handlers[name]
	id := in.msg.Actor.ID
	switch {
	case in.msg.Type != events.ContainerEventType:
		return step{ignored: string(in.msg.Type) + " " + plainAction(in.msg.Action) + " is not about a container"}
	case name == "restart":
		return step{ignored: "a restart is told by its stop and its start"}
	case handle == nil:
		return step{ignored: plainAction(in.msg.Action) + " is no transition"}
	case m.gone[id] != 0:
		return step{ignored: "the container was removed before"}
	}
	// The stream began so much earlier; what is older still was stamped after the clock was set back.
	early := m.first && in.msg.TimeNano < m.from && in.msg.TimeNano >= m.from-2*overlap
	if early && name != "kill" && name != "oom" {
		return step{ignored: "nobody watched yet"}
	}
	var s step
	t := m.tasks[id]
	fresh := t == nil
	if fresh {
		t = &task{id: id}
		m.tasks[id] = t
	}
	if in.facts != nil {
		t.adopt(in.facts)
	}
	t.learn(in.msg)
	t.Last = max(t.Last, in.msg.TimeNano)
	if fresh && name != "create" {
		s.outs = m.bornUnseen(t, in.facts)
	}
	if t.before(name, in.msg.TimeNano) {
		return step{ignored: "it belongs to a run before, and was told then"}
	}
	handle(m, t, in, &s)
	if early {
		return step{ignored: "nobody watched yet"}
	}
	return s
}

func (m *machine) created(t *task, in input, s *step) {
	if t.State != "" {
		s.ignored = "the container is known"
		return
	}
	t.State, t.Created = event.StateCreated, cmp.Or(t.Created, in.msg.TimeNano)
	s.add(in, m.make(t, event.TaskCreated, "", in.msg.TimeNano, m.seen), fmt.Sprintf("%s was created from %s", t.title(), t.Image))
}

const slack = int64(time.Minute) // StartedAt precedes its start event by less

func (m *machine) started(t *task, in input, s *step) {
	at, f := in.msg.TimeNano, in.facts
	fits := f != nil && f.started > 0 && f.started <= at && at-f.started < slack
	if t.known(at, f, fits) {
		t.Start = at
		if t.Untold {
			s.add(in, m.make(t, event.TaskStarted, t.Run, t.since(), m.seen), t.title()+" started")
			return
		}
		s.ignored = "this run is known"
		return
	}
	if at < t.Started {
		s.ignored = "older than the run that is known"
		return
	}
	s.outs = append(s.outs, m.settle(t)...)
	if t.Run != "" && !t.Exited {
		policy := f != nil && f.made() > t.Restarts
		s.outs = append(s.outs, m.lose(t, at, lost{restarted: true, policy: policy})...)
	}
	previous, known, unseen := t.State, t.Run != "", int64(0)
	if fits {
		unseen = m.unseen(t, f)
	}
	t.begin("t"+decimal(at), 0, at)
	if fits {
		t.begin(decimal(f.started), f.started, at)
	}
	if f != nil {
		made := f.made()
		switch {
		case fits:
		case known: // the inspect shows a later run
			made = min(made, t.Restarts+1)
		case f.created >= m.from:
			made = 0
		}
		t.waited(made)
		t.Restarts, t.Health = made, f.health
	}
	e := m.make(t, event.TaskStarted, t.Run, t.since(), m.seen)
	e.Data.Task.PreviousState = previous
	s.add(in, e, t.title()+" started")
	s.outs[len(s.outs)-1].unseen = unseen
}

// known reports whether a start event is of the run that was told already, by a snapshot or before.
func (t *task) known(at int64, f *facts, fits bool) bool {
	switch {
	case t.Run == "":
		return false
	case t.Start == at:
		return true
	case fits && t.Started != 0:
		return f.started == t.Started
	}
	return t.Start == 0 && t.Started != 0 && at >= t.Started && at-t.Started < slack
}

func (m *machine) killed(t *task, in input, s *step) {
	value, ok, _ := t.attribute(in.msg, "signal")
	signal := 0
	if ok {
		signal = cause.ParseSignal(value)
	}
	if t.Exited {
		s.ignored = "the run had ended before the signal"
		return
	}
	if slices.ContainsFunc(t.Kills, func(k cause.Kill) bool { return k.At.UnixNano() == in.msg.TimeNano }) {
		s.ignored = "the signal is known"
		return
	}
	first := !t.asked()
	if len(t.Kills) < maxKills {
		t.Kills = append(t.Kills, cause.Kill{Signal: signal, At: utc(in.msg.TimeNano)})
	}
	name := cmp.Or(cause.SignalName(signal), "an unknown signal")
	switch {
	case ok && !cause.Ends(signal, t.stopSignal):
		s.ignored = name + " alone does not end a task"
	case !first:
		s.ignored = name + " was sent after another signal; it is evidence for the end"
	default:
		previous := t.State
		t.State = event.StateStopping
		e := m.make(t, event.TaskStopping, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen)
		e.Data.Task.PreviousState, e.Data.Task.DesiredState = previous, event.StateStopped
		e.Data.Task.Times.Stopping = utc(in.msg.TimeNano)
		s.add(in, e, fmt.Sprintf("%s was asked to stop (%s)", t.title(), name))
	}
}

// asked reports whether a signal of this run asks it to end.
func (t *task) asked() bool {
	for _, k := range t.Kills {
		if k.Signal == 0 || cause.Ends(k.Signal, t.stopSignal) {
			return true
		}
	}
	return false
}

func (m *machine) outOfMemory(t *task, in input, s *step) {
	late := t.Exited && t.ended() != nil && in.msg.TimeNano-t.ended().at < lateOOM
	t.OOM = t.OOM || !t.Exited || late
	e := m.make(t, event.TaskOOM, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen)
	e.Data.Task.Containers[0].OOMKilled = true
	s.add(in, e, "a process of "+t.title()+" was killed for memory")
	if late {
		s.outs = append(s.outs, m.better(t, in)...)
	}
}

func (m *machine) stopped(t *task, in input, s *step) {
	s.ignored = "evidence for the end of the run"
	switch {
	case !t.Exited:
		t.Stop = true // Docker 29 tells it before the end
	case len(t.Kills) == 0:
		s.ignored = "the task had ended by itself before"
	default:
		t.Stop = true
		s.outs = append(s.outs, m.better(t, in)...)
	}
}

func (m *machine) destroyed(t *task, in input, s *step) {
	at := in.msg.TimeNano
	if end := t.ended(); end != nil && at-end.at < soon {
		end.removed = true
		s.outs = append(s.outs, m.better(t, in)...)
	}
	s.outs = append(s.outs, m.settle(t)...)
	if t.Run != "" && !t.Exited {
		s.outs = append(s.outs, m.lose(t, at, lost{removed: true})...)
	}
	previous := t.State
	t.State = event.StateRemoved
	e := m.make(t, event.TaskRemoved, "", at, m.seen)
	e.Data.Task.PreviousState = previous
	s.add(in, e, t.title()+" was removed")
	m.forget(t.id, at)
}

// cleanedUp is Podman's: the container gave back what it was given to run. One that never ran could not be
// started, and nothing else tells it.
func (m *machine) cleanedUp(t *task, in input, s *step) {
	if t.State != event.StateCreated {
		s.ignored = "evidence for the end of the run"
		return
	}
	at := in.msg.TimeNano
	s.outs = append(s.outs, m.tell(t, &stop{
		at: at, failed: true, codeFrom: "the event", key: "failed " + decimal(at), seen: m.seen, line: in.line,
		native: &event.Native{Action: "cleanup", TimeNano: decimal(at)},
	}))
	t.State, t.told = event.StateStopped, nil
}

func (m *machine) forget(id string, at int64) {
	delete(m.tasks, id)
	delete(m.held, id)
	m.gone[id] = at
}
