package docker

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What may change of a run that goes on: paused, resumed, renamed, updated, and what its health probe says.

func (m *machine) paused(t *task, in input, s *step) {
	m.become(t, in, s, event.TaskPaused, event.StatePaused, t.title()+" was paused")
}

func (m *machine) resumed(t *task, in input, s *step) {
	m.become(t, in, s, event.TaskResumed, event.StateRunning, t.title()+" runs on")
}

func (m *machine) become(t *task, in input, s *step, typ event.Type, state event.State, message string) {
	previous := t.State
	t.State = state
	e := m.make(t, typ, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen)
	e.Data.Task.PreviousState = previous
	s.add(in, e, message)
}

func (m *machine) renamed(t *task, in input, s *step) {
	old, ok, _ := t.attribute(in.msg, "oldName")
	message := t.title() + " was renamed"
	if ok {
		message += " from " + redact.Clean(strings.TrimPrefix(old, "/"))
	}
	s.add(in, m.make(t, event.TaskUpdated, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen), message)
}

func (m *machine) updated(t *task, in input, s *step) {
	s.add(in, m.make(t, event.TaskUpdated, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen), t.title()+" was updated")
}

func (m *machine) health(t *task, in input, s *step) {
	_, status, _ := strings.Cut(string(in.msg.Action), ": ")
	if status != "healthy" && status != "unhealthy" {
		s.ignored = "the health probe has no verdict yet"
		return
	}
	if in.facts != nil {
		t.probed = in.facts.probes
	}
	e := m.probe(t, status, decimal(in.msg.TimeNano), in.msg.TimeNano, m.seen)
	s.add(in, e, e.Data.Message)
}

// probe notes a verdict of the health probe and returns its event.
func (m *machine) probe(t *task, status, key string, at int64, seen event.Observed) event.Event {
	previous := t.State
	t.Health, t.Sick = status, 0
	typ, message := event.TaskHealthy, t.title()+" is healthy"
	if t.State != event.StateStopping && t.State != event.StatePaused {
		t.State = event.StateRunning
	}
	if status == "unhealthy" {
		typ, message = event.TaskUnhealthy, t.title()+" is unhealthy: its health probe "+t.probed.say()
		t.Sick = at
		if t.State == event.StateRunning {
			t.State = event.StateUnhealthy
		}
	}
	e := m.make(t, typ, key, at, seen)
	e.Data.Task.PreviousState = previous
	if status == "unhealthy" {
		t.probed.tell(&e.Data.Task.Containers[0])
	}
	finish(&e, message)
	return e
}
