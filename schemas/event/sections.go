package event

import "time"

// Collector is the section of collector events.
type Collector struct {
	// Name is the collector's name in the config, such as docker.
	Name string `json:"name"`
	// Engine identifies the daemon that it watches.
	Engine string `json:"engine,omitzero"`
	// Version is the runtime's version.
	Version string `json:"version,omitzero"`
	// From is the begin of a gap or a conflict; absent means unknown.
	From time.Time `json:"from,omitzero"`
	// To is the end of a gap or a conflict; absent while it goes on.
	To time.Time `json:"to,omitzero"`
	// Reason says why it stopped, was blind or conflicts.
	Reason string `json:"reason,omitzero"`
	// Reconciled counts the transitions that a snapshot told after a gap.
	Reconciled int64 `json:"reconciled,omitzero"`
	// UnknownCodes counts the ends among them whose exit code can't be known.
	UnknownCodes int64 `json:"unknown_codes,omitzero"`
	// UnseenRuns counts the runs within a gap that the runtime's restart counter knows of and nothing tells.
	UnseenRuns int64 `json:"unseen_runs,omitzero"`
	// Unknown lists what can't be known about a gap.
	Unknown []string `json:"unknown,omitzero"`
	// Containers counts the containers that the collector watches.
	Containers int64 `json:"containers,omitzero"`
	// Workloads counts the workloads that the collector watches.
	Workloads int64 `json:"workloads,omitzero"`
	// Peer names the other collector of a conflict, such as docker on web-7.
	Peer string `json:"peer,omitzero"`
}

// Action is the section of action events: something a restart handler did, refused or would have done.
type Action struct {
	// ID is the same for every event of one action.
	ID string `json:"id"`
	// Handler is the sink's name in the config.
	Handler string `json:"handler"`
	// Mode is off, dry-run or act.
	Mode string `json:"mode,omitzero"`
	// Kind is start or restart; on ECS stop (of a hung task, which its service replaces), run (of a standalone
	// task once more) or redeploy (a new deployment of a service as it is).
	Kind string `json:"kind"`
	// Reason is why it was done, refused or failed, in one sentence.
	Reason string `json:"reason"`
	// Rule is the short name of the decision, such as not_opted_in or budget.
	Rule string `json:"rule,omitzero"`
	// Attempt counts within the budget's window, from 1.
	Attempt int64 `json:"attempt,omitzero"`
	// Budget is the policy, such as 4/10m.
	Budget string `json:"budget,omitzero"`
	// Run is the run that the action started; on ECS the id of the new task or deployment.
	Run string `json:"run,omitzero"`
}

// Change is one difference between two revisions of a workload.
type Change struct {
	// What differs: revision, image or digest, with the container's name behind a blank where there are several.
	What string `json:"what"`
	// From is the old value; absent if there was none.
	From string `json:"from,omitzero"`
	// To is the new value; absent if there is none any more.
	To string `json:"to,omitzero"`
}

// Service is the section of service events: how a service is doing.
type Service struct {
	// Name is the service's name.
	Name string `json:"name"`
	// Event is the platform's word, such as SERVICE_STEADY_STATE, or below_desired where a reconcile found
	// fewer tasks than wanted, and at_desired where it then found all of them.
	Event string `json:"event"`
	// Level is the platform's own severity: INFO, WARN or ERROR.
	Level string `json:"level,omitzero"`
	// Reason is the platform's text, such as RESOURCE:CPU.
	Reason string `json:"reason,omitzero"`
	// Counts are the tasks of the service; absent if the event does not tell them.
	Counts *Counts `json:"counts,omitzero"`
}

// Counts are numbers of tasks of a service.
type Counts struct {
	// Desired is how many are wanted.
	Desired int64 `json:"desired"`
	// Running is how many run.
	Running int64 `json:"running"`
	// Pending is how many are being started.
	Pending int64 `json:"pending"`
}

// Deployment is the section of deployment events.
type Deployment struct {
	// ID is the platform's own, such as ecs-svc/123.
	ID string `json:"id"`
	// State is in_progress, completed, failed, stopped, rolling_back or waiting.
	State string `json:"state"`
	// Event is the platform's word, such as SERVICE_DEPLOYMENT_FAILED.
	Event string `json:"event"`
	// Level is the platform's own severity: INFO, WARN or ERROR.
	Level string `json:"level,omitzero"`
	// Reason is the platform's text.
	Reason string `json:"reason,omitzero"`
}

// Host is the section of node events.
type Host struct {
	// ID is the platform's own: an ECS container instance id.
	ID string `json:"id"`
	// Instance is the EC2 instance id.
	Instance string `json:"instance,omitzero"`
	// Status is the platform's word, such as ACTIVE, DRAINING or IMPAIRED.
	Status string `json:"status,omitzero"`
	// Agent is connected or disconnected; empty if the event does not tell it.
	Agent string `json:"agent,omitzero"`
	// Reason is the platform's text.
	Reason string `json:"reason,omitzero"`
	// Checks are health checks that do not pass, such as "DAEMON IMPAIRED: …".
	Checks []string `json:"checks,omitzero"`
}

// Image is the section of image events.
type Image struct {
	// Repository is the image's name within the registry.
	Repository string `json:"repository"`
	// Tag names the image; several images had it one after the other.
	Tag string `json:"tag,omitzero"`
	// Digest is its content, such as sha256:….
	Digest string `json:"digest,omitzero"`
	// Action is PUSH, DELETE or SCAN.
	Action string `json:"action,omitzero"`
	// Result is the platform's word, such as SUCCESS.
	Result string `json:"result,omitzero"`
	// Critical counts the critical findings of a scan.
	Critical int64 `json:"critical,omitzero"`
	// High counts the findings of high severity.
	High int64 `json:"high,omitzero"`
}

// Incident is the section of incident events: one open problem of one workload revision, of a host or of a
// collector. Task, cause and labels of the event are those of the occurrence that opened it.
type Incident struct {
	// ID is the same from opened to resolved.
	ID string `json:"id"`
	// State is open or resolved.
	State string `json:"state"`
	// Transition numbers the changes from 1; with ID it is the identity of a notification.
	Transition int64 `json:"transition"`
	// Family is the cause family that the incident is keyed by, such as exit, oom, start, health, missing, late,
	// deployment, host, collector, gap or action.
	Family string `json:"family"`
	// Title is the problem in a few words.
	Title string `json:"title"`
	// Reason is why the incident changed: stopped, crash_loop, unhealthy, below_desired, absent, late, deployment,
	// silent, lost, blind, gave_up, again, worse, reminder, escalated or silence_ended; on a resolved one stable,
	// healthy, removed, superseded, completed, at_desired, returned, explained or forgotten.
	Reason string `json:"reason,omitzero"`
	// Stops counts the stops so far.
	Stops int64 `json:"stops,omitzero"`
	// Restarts counts the starts after the first stop.
	Restarts int64 `json:"restarts,omitzero"`
	// Flaps counts how often it came again shortly after it was resolved.
	Flaps int64 `json:"flaps,omitzero"`
	// Tasks lists the affected task ids, the first of them.
	Tasks []string `json:"tasks,omitzero"`
	// TaskCount counts the affected tasks.
	TaskCount int64 `json:"task_count,omitzero"`
	// Nodes lists the hosts of the affected tasks, the first of them.
	Nodes []string `json:"nodes,omitzero"`
	// Running is how many tasks of the workload run.
	Running int64 `json:"running,omitzero"`
	// Desired is how many should; absent if that is not known.
	Desired int64 `json:"desired,omitzero"`
	// Causes are the classes seen, the most frequent first, such as "exit.error (12)".
	Causes []string `json:"causes,omitzero"`
	// Done tells what the platform and Bellbuoy did already, oldest first.
	Done []string `json:"done,omitzero"`
	// Recent tells what changed in the scope shortly before: deploys, scaling, hosts.
	Recent []string `json:"recent,omitzero"`
	// Healthy is when the last healthy run ended or was last known to be well; what differs from it is in changed.
	Healthy time.Time `json:"healthy,omitzero"`
	// Opened is when the problem began.
	Opened time.Time `json:"opened,omitzero"`
	// Last is when it last showed.
	Last time.Time `json:"last,omitzero"`
	// Resolved is when it ended; absent while the incident is open.
	Resolved time.Time `json:"resolved,omitzero"`
	// DowntimeMS is the time between them in ms.
	DowntimeMS int64 `json:"downtime_ms,omitzero"`
	// Recovery says who or what brought it back.
	Recovery string `json:"recovery,omitzero"`
	// Silenced is the id of the silence that holds its notices back.
	Silenced string `json:"silenced,omitzero"`
	// Within is the id of the incident that explains this one, so that nobody is told of both.
	Within string `json:"within,omitzero"`
	// Escalation is after how many seconds without an end this transition tells the next one in line.
	Escalation int64 `json:"escalation_s,omitzero"`
}

// Native keeps the runtime's own words.
type Native struct {
	// Action is the native name of the occurrence, such as die.
	Action string `json:"action,omitzero"`
	// TimeNano is the native time stamp in ns as a string, because it exceeds 2^53.
	TimeNano string `json:"time_nano,omitzero"`
	// Record is the redacted native record as JSON text; empty unless the type passes it through.
	Record string `json:"record,omitzero"`
}
