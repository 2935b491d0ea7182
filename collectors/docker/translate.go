package docker

import (
	"cmp"
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// origin is where events come from; it is the same for all of one daemon.
type origin struct {
	site, node, engine string
}

// Labels that users set.
const (
	labelOwner = "bellbuoy.owner"
	// labelDrill is on the containers of bellbuoy drill.
	labelDrill = "bellbuoy.drill"
	labelLogs  = "bellbuoy.logs"
)

// naming says which labels tell a workload's name, scope and revision; the first row with a workload counts.
type naming struct{ workload, scope, revision string }

var namings = []naming{
	{"com.docker.compose.service", "com.docker.compose.project", "com.docker.compose.config-hash"},
	{"com.docker.swarm.service.name", "com.docker.stack.namespace", ""},
	{"com.amazonaws.ecs.task-definition-family", "com.amazonaws.ecs.cluster", "com.amazonaws.ecs.task-definition-version"},
}

func named(label string) bool {
	for _, n := range namings {
		if label == n.workload || label == n.scope || label == n.revision {
			return true
		}
	}
	return false
}

// placeOf returns scope, workload and revision. A lone container is its own workload.
func placeOf(t *task) (scope, workload, revision string) {
	for _, n := range namings {
		if workload = t.Labels[n.workload]; workload != "" {
			scope, revision = t.Labels[n.scope], t.Labels[n.revision]
			break
		}
	}
	return scope, cmp.Or(workload, t.Name, short(t.id)), short(cmp.Or(revision, t.Digest))
}

// short keeps as much of a hash as people read.
func short(hash string) string {
	const enough = 12
	if _, hex, found := strings.Cut(hash, ":"); found {
		hash = hex
	}
	return hash[:min(len(hash), enough)]
}

func isService(t *task) bool { return t.Labels["com.docker.swarm.service.name"] != "" }

// make returns an event about the task as it is now. key is the occurrence's identity within its type
// and container, at its time in ns.
func (o *origin) make(t *task, typ event.Type, key string, at int64, seen event.Observed) event.Event {
	if t.Labels[labelDrill] != "" {
		seen = event.ObservedDrill
	}
	scope, workload, revision := placeOf(t)
	subject := event.SubjectOf(scope, workload, t.id)
	return event.Event{
		ID:     event.NewID(string(event.Docker), o.node, o.engine, t.id, typ.Event(), key),
		Source: event.SourceOf(o.site, event.Docker, o.node), Type: typ, Subject: subject, PartitionKey: subject, Time: utc(at),
		Data: event.Data{
			Site: o.site, Runtime: event.Docker, Scope: scope, Node: o.node, Workload: workload, Revision: revision,
			Observed: seen, Owner: redact.Text(t.Labels[labelOwner]), Labels: t.Labels,
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
func (t *task) title() string { return cmp.Or(t.Name, short(t.id)) }
