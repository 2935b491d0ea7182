package collectors

import (
	"cmp"
	"strings"
)

// Labels that users set, and drills.
const (
	// LabelWorkload and LabelRevision say what the task is a replica of, and of which make, where its
	// orchestrator's own labels don't or say something else.
	LabelWorkload = "bellbuoy.workload"
	LabelRevision = "bellbuoy.revision"
	// LabelOwner is who is told.
	LabelOwner = "bellbuoy.owner"
	// LabelLogs is off or a number of lines.
	LabelLogs = "bellbuoy.logs"
	// LabelDrill is on the containers of bellbuoy drill.
	LabelDrill = "bellbuoy.drill"

	ownPrefix = "bellbuoy."

	// oneOff is True on what compose run made: a task beside the service, not one of its replicas.
	oneOff = "com.docker.compose.oneoff"
)

// Place is where a task belongs: what it is a replica of, in which scope, and what makes two runs of
// that differ.
type Place struct{ Scope, Workload, Revision string }

// naming says which labels tell a place; the first row with a workload counts.
type naming struct{ workload, scope, revision string }

var namings = [...]naming{
	{"com.docker.compose.service", "com.docker.compose.project", "com.docker.compose.config-hash"},
	{"com.docker.swarm.service.name", "com.docker.stack.namespace", ""},
	{"com.amazonaws.ecs.task-definition-family", "com.amazonaws.ecs.cluster", "com.amazonaws.ecs.task-definition-version"},
}

// PlaceOf returns the place that the labels tell; otherwise has what they leave open. Its revision may
// be a digest, of which enough is kept to tell it from others.
func PlaceOf(labels map[string]string, otherwise Place) Place {
	p := otherwise
	for _, n := range namings {
		if w := labels[n.workload]; w != "" {
			p = Place{cmp.Or(labels[n.scope], otherwise.Scope), w, cmp.Or(labels[n.revision], otherwise.Revision)}
			break
		}
	}
	if strings.EqualFold(labels[oneOff], "true") {
		p.Workload += "-run"
	}
	p.Workload = cmp.Or(labels[LabelWorkload], p.Workload)
	p.Revision = Short(cmp.Or(labels[LabelRevision], p.Revision))
	return p
}

// Deciding reports whether a label decides where a task belongs or how its stop is told, so that it must
// outlive a restart of the collector.
func Deciding(label string) bool {
	for _, n := range namings {
		if label == n.workload || label == n.scope || label == n.revision && label != "" {
			return true
		}
	}
	return label == oneOff || strings.HasPrefix(label, ownPrefix)
}

// Short keeps as much of a hash as people read.
func Short(hash string) string {
	const enough = 12
	if _, hex, found := strings.Cut(hash, ":"); found {
		hash = hex
	}
	return hash[:min(len(hash), enough)]
}
