package containerd

import (
	"cmp"
	"strconv"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// origin is where events come from; it is the same for all of one containerd in one boot of its host.
type origin struct {
	site, node, engine, boot string
}

// run identifies the run of a process: nothing else is shared by its start event and a list of tasks,
// and another boot uses the same process ids again.
func (o *origin) run(pid uint32) string {
	run := strconv.FormatUint(uint64(pid), 10)
	if o.boot != "" {
		run += "-" + collectors.Short(o.boot)
	}
	return run
}

// place is where the task belongs. The scope is always the containerd namespace, by which clients find
// it. A lone container is its own workload; a project or a Kubernetes namespace goes before the name.
func (t *task) place() collectors.Place {
	p := collectors.PlaceOf(t.Labels, collectors.Place{Scope: t.Labels[labelPodNamespace], Workload: t.title(), Revision: t.Digest})
	if p.Scope != "" {
		p.Workload = p.Scope + "/" + p.Workload
	}
	p.Scope = t.namespace
	return p
}

// make returns an event about the task as it is now. key is the occurrence's identity within its type
// and container, at its time in ns.
func (o *origin) make(t *task, typ event.Type, key string, at int64, seen event.Observed) event.Event {
	if t.Labels[collectors.LabelDrill] != "" {
		seen = event.ObservedDrill
	}
	p := t.place()
	subject := event.SubjectOf(p.Scope, p.Workload, t.id)
	return event.Event{
		ID:     event.NewID(string(event.Containerd), o.node, o.engine, t.namespace, t.id, typ.Event(), key),
		Source: event.SourceOf(o.site, event.Containerd, o.node), Type: typ, Subject: subject, PartitionKey: subject, Time: utc(at),
		Data: event.Data{
			Site: o.site, Runtime: event.Containerd, Scope: p.Scope, Node: o.node, Workload: p.Workload, Revision: p.Revision,
			Observed: seen, Owner: redact.Text(t.Labels[collectors.LabelOwner]), Labels: t.Labels,
			Task: &event.Task{
				ID: t.id, Name: t.title(), Run: t.Run, State: cmp.Or(t.State, event.StateRunning),
				Times: event.Times{Created: utc(t.Created), Started: utc(t.Started)},
				Containers: []event.Container{{
					ID: t.id, Name: t.title(), Image: t.Image, ImageDigest: t.Digest, Restarts: t.Restarts, RestartPolicy: t.Policy,
				}},
			},
		},
	}
}

// identity is the task in the words of its events, for the rows of a user.
func (t *task) identity() cause.Identity {
	p := t.place()
	return cause.Identity{Scope: p.Scope, Workload: p.Workload, Revision: p.Revision, Name: t.title(), Image: t.Image, Labels: t.Labels}
}

// finish sets what depends on the rest of the event.
func finish(e *event.Event, message string) {
	e.Data.Message = message
	e.Severity = event.SeverityOf(e)
}
