package event

import "strings"

// Type is a CloudEvents type: io.bellbuoy.<kind>.<past-tense event>.v1.
type Type string

// The types of the contract.
const (
	TaskCreated   Type = "io.bellbuoy.task.created.v1"
	TaskStarted   Type = "io.bellbuoy.task.started.v1"
	TaskHealthy   Type = "io.bellbuoy.task.healthy.v1"
	TaskUnhealthy Type = "io.bellbuoy.task.unhealthy.v1"
	TaskPaused    Type = "io.bellbuoy.task.paused.v1"
	TaskResumed   Type = "io.bellbuoy.task.resumed.v1"
	TaskOOM       Type = "io.bellbuoy.task.oom.v1"
	TaskStopping  Type = "io.bellbuoy.task.stopping.v1"
	TaskStopped   Type = "io.bellbuoy.task.stopped.v1"
	TaskRemoved   Type = "io.bellbuoy.task.removed.v1"
	TaskUpdated   Type = "io.bellbuoy.task.updated.v1"

	ServiceUpdated    Type = "io.bellbuoy.service.updated.v1"
	DeploymentUpdated Type = "io.bellbuoy.deployment.updated.v1"
	NodeUpdated       Type = "io.bellbuoy.node.updated.v1"
	ImagePushed       Type = "io.bellbuoy.image.pushed.v1"
	ImageScanned      Type = "io.bellbuoy.image.scanned.v1"

	CollectorStarted   Type = "io.bellbuoy.collector.started.v1"
	CollectorStopped   Type = "io.bellbuoy.collector.stopped.v1"
	CollectorGap       Type = "io.bellbuoy.collector.gap.v1"
	CollectorHeartbeat Type = "io.bellbuoy.collector.heartbeat.v1"
	CollectorConflict  Type = "io.bellbuoy.collector.conflict.v1"

	IncidentOpened   Type = "io.bellbuoy.incident.opened.v1"
	IncidentUpdated  Type = "io.bellbuoy.incident.updated.v1"
	IncidentResolved Type = "io.bellbuoy.incident.resolved.v1"

	ActionRequested Type = "io.bellbuoy.action.requested.v1"
	ActionDenied    Type = "io.bellbuoy.action.denied.v1"
	ActionStarted   Type = "io.bellbuoy.action.started.v1"
	ActionSucceeded Type = "io.bellbuoy.action.succeeded.v1"
	ActionFailed    Type = "io.bellbuoy.action.failed.v1"
	ActionGaveUp    Type = "io.bellbuoy.action.gaveup.v1"

	NativePassed Type = "io.bellbuoy.native.passed.v1"
)

// Kind returns the kind of the type, such as task; it is empty for a type that is not of this contract.
func (t Type) Kind() string { kind, _ := t.split(); return kind }

// Event returns the past-tense word of the type, such as stopped.
func (t Type) Event() string { _, name := t.split(); return name }

func (t Type) split() (kind, name string) {
	rest, ok := strings.CutPrefix(string(t), "io.bellbuoy.")
	if !ok {
		return "", ""
	}
	kind, rest, _ = strings.Cut(rest, ".")
	name, _, _ = strings.Cut(rest, ".")
	return kind, name
}
