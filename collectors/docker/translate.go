package docker

import (
	"cmp"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// origin is where events come from; it is the same for all of one daemon.
type origin struct {
	site, node, engine string
}

// place is where the task belongs. A lone container is its own workload.
func (t *task) place() collectors.Place {
	if t.subject == "" {
		t.placed = collectors.PlaceOf(t.Labels, collectors.Place{Workload: t.title(), Revision: t.Digest})
		t.subject = event.SubjectOf(t.placed.Scope, t.placed.Workload, t.id)
	}
	return t.placed
}

// identity is the task as the rows of a user see it.
func (t *task) identity() cause.Identity {
	p := t.place()
	return cause.Identity{Scope: p.Scope, Workload: p.Workload, Revision: p.Revision, Name: t.Name, Image: t.Image, Labels: t.Labels}
}

func isService(t *task) bool { return t.Labels[labelService] != "" }

// make returns an event about the task as it is now. key is the occurrence's identity within its type
// and container, at its time in ns.
func (m *machine) make(t *task, typ event.Type, key string, at int64, seen event.Observed) event.Event {
	if t.Labels[collectors.LabelDrill] != "" {
		seen = event.ObservedDrill
	}
	p, subject := t.place(), t.subject
	return event.Event{
		ID:     event.NewID(string(event.Docker), m.engine, t.id, typ.Event(), key),
		Source: m.source, Type: typ, Subject: subject, PartitionKey: subject, Time: utc(at),
		Data: event.Data{
			Site: m.site, Runtime: event.Docker, Scope: p.Scope, Node: m.node, Workload: p.Workload, Revision: p.Revision,
			Observed: seen, Owner: redact.Text(t.Labels[collectors.LabelOwner]), Labels: t.Labels,
			Task: &event.Task{
				ID: t.id, Name: t.Name, Run: t.Run, State: t.State,
				Times: event.Times{Created: utc(t.Created), Started: utc(t.since())},
				Containers: []event.Container{{
					ID: t.id, Name: t.Name, Image: t.Image, ImageDigest: t.Digest, Health: t.Health,
					Restarts: t.Restarts, RestartPolicy: t.Policy,
				}},
			},
		},
	}
}

// finish sets what depends on the rest of the event.
func finish(e *event.Event, message string) {
	e.Data.Message = message
	e.Severity = event.SeverityOf(e)
}

// title is the task's name for sentences.
func (t *task) title() string { return cmp.Or(t.Name, collectors.Short(t.id)) }
