package event

import (
	"errors"
	"time"
)

// MaxSize is the largest encoded event in bytes. CloudEvents intermediaries must forward events up to
// this size; a larger one is cut by Append.
const MaxSize = 64 << 10

// ErrInvalid is wrapped by every error about an event that breaks the contract.
var ErrInvalid = errors.New("invalid event")

// Event is one CloudEvent 1.0: the context attributes and the data.
type Event struct {
	// ID identifies the occurrence; see NewID.
	ID string
	// Source is bellbuoy://<site>/<runtime>/<node>, or an ARN for events that AWS sent.
	Source string
	Type   Type
	// Subject is <scope>/<workload>/<task id>; see SubjectOf.
	Subject string
	// Time is when it happened, Recorded when the collector saw it. Both in UTC.
	Time     time.Time
	Recorded time.Time
	Severity Severity
	// PartitionKey is the task key: events with one key are in order.
	PartitionKey string
	// Sequence counts the events of one source: <epoch ms, 14 digits>-<counter, 10 digits>.
	Sequence string
	// CausationID is the id of the event that led to this one; empty for collected events.
	CausationID string
	// TraceParent is the W3C trace context of the origin; usually empty.
	TraceParent string
	Data        Data
}

// Data is the payload. The first block says where; of the sections below it those are set that belong
// to the kind of the event.
type Data struct {
	Site     string   `json:"site"`
	Runtime  Runtime  `json:"runtime"`
	Scope    string   `json:"scope,omitzero"`
	Node     string   `json:"node,omitzero"`
	Workload string   `json:"workload,omitzero"`
	Revision string   `json:"revision,omitzero"`
	Observed Observed `json:"observed"`
	// Owner is the bellbuoy.owner label: who is told.
	Owner string `json:"owner,omitzero"`
	// Labels are the container labels, redacted.
	Labels map[string]string `json:"labels,omitzero"`
	// Message is one plain sentence for people.
	Message string `json:"message,omitzero"`
	// Supersedes is the id of the event that this one amends with better evidence.
	Supersedes string `json:"supersedes,omitzero"`
	// Truncated names what was cut to keep the event within MaxSize, such as "task.log" or "labels".
	Truncated []string `json:"truncated,omitzero"`

	Task      *Task      `json:"task,omitzero"`
	Cause     *Cause     `json:"cause,omitzero"`
	Collector *Collector `json:"collector,omitzero"`
	Action    *Action    `json:"action,omitzero"`
	Incident  *Incident  `json:"incident,omitzero"`
	Native    *Native    `json:"native,omitzero"`
}

// Runtime is what runs the task.
type Runtime string

// The runtimes of the contract.
const (
	Docker     Runtime = "docker"
	Containerd Runtime = "containerd"
	ECS        Runtime = "ecs"
	Kubernetes Runtime = "kubernetes"
)

// Observed says how the collector learned of the occurrence.
type Observed string

// The ways of observation: live on the runtime's stream, inferred from a snapshot after a gap, played
// again from a recording, or caused by a drill.
const (
	ObservedStream    Observed = "stream"
	ObservedReconcile Observed = "reconcile"
	ObservedReplay    Observed = "replay"
	ObservedDrill     Observed = "drill"
)

// State is where a task is in its life.
type State string

// The states of a task.
const (
	StateCreated   State = "created"
	StateRunning   State = "running"
	StatePaused    State = "paused"
	StateUnhealthy State = "unhealthy"
	StateStopping  State = "stopping"
	StateStopped   State = "stopped"
	StateRemoved   State = "removed"
)

// Task is what a runtime starts and stops as one unit.
type Task struct {
	// ID is the runtime's own: a container id, an ECS task id.
	ID   string `json:"id"`
	Name string `json:"name,omitzero"`
	// Run identifies one life of the task from start to stop; empty before the first start.
	Run           string      `json:"run,omitzero"`
	State         State       `json:"state"`
	PreviousState State       `json:"previous_state,omitzero"`
	DesiredState  State       `json:"desired_state,omitzero"`
	Containers    []Container `json:"containers,omitzero"`
	Times         Times       `json:"times,omitzero"`
	Placement     Placement   `json:"placement,omitzero"`
	Log           *Log        `json:"log,omitzero"`
}

// Container is one container of a task.
type Container struct {
	ID          string `json:"id,omitzero"`
	Name        string `json:"name,omitzero"`
	Image       string `json:"image,omitzero"`
	ImageDigest string `json:"image_digest,omitzero"`
	// ExitCode is absent while the container runs and when the code can't be known.
	ExitCode *int64 `json:"exit_code,omitzero"`
	// Signal is the name of the signal that ended it, such as SIGKILL.
	Signal    string `json:"signal,omitzero"`
	OOMKilled bool   `json:"oom_killed,omitzero"`
	// Health is healthy, unhealthy or starting; empty without a probe.
	Health string `json:"health,omitzero"`
	// HealthOutput is the redacted output of the last failed probe.
	HealthOutput string `json:"health_output,omitzero"`
	// Reason is the runtime's own words, such as State.Error.
	Reason string `json:"reason,omitzero"`
	// Restarts counts the restarts that the runtime's own policy made.
	Restarts int64 `json:"restarts,omitzero"`
	// RestartPolicy is the runtime's own policy, such as on-failure:3.
	RestartPolicy string `json:"restart_policy,omitzero"`
}

// Times are the phases of a task's life; a zero time is a phase that was not reached or not told.
type Times struct {
	Created     time.Time `json:"created,omitzero"`
	PullStarted time.Time `json:"pull_started,omitzero"`
	PullStopped time.Time `json:"pull_stopped,omitzero"`
	Started     time.Time `json:"started,omitzero"`
	Stopping    time.Time `json:"stopping,omitzero"`
	Stopped     time.Time `json:"stopped,omitzero"`
}

// Placement is where the platform put the task.
type Placement struct {
	LaunchType       string `json:"launch_type,omitzero"`
	CapacityProvider string `json:"capacity_provider,omitzero"`
	Zone             string `json:"zone,omitzero"`
}

// Log is the redacted tail of a container's log.
type Log struct {
	Lines []string `json:"lines,omitzero"`
	// Cut says that older lines or parts of lines were left out.
	Cut bool `json:"cut,omitzero"`
	// None says why there is no log, such as "logging driver none does not keep logs".
	None string `json:"none,omitzero"`
}

// Confidence grades a cause.
type Confidence string

// The grades: proven by the runtime, following from strong evidence, or one of several explanations.
const (
	Fact   Confidence = "fact"
	Likely Confidence = "likely"
	Guess  Confidence = "guess"
)

// Cause is why a task stopped.
type Cause struct {
	// Class is a path in the tree of causes, such as oom, exit.error or user.stop.
	Class      string     `json:"class"`
	Confidence Confidence `json:"confidence"`
	// Initiator is who made it stop: app, runtime, user, host, platform, scheduler, handler or unknown.
	Initiator string `json:"initiator"`
	// Expected stops are indexed and counted, never alerted.
	Expected bool `json:"expected"`
	// Say is the cause in one plain sentence.
	Say string `json:"say"`
	// Evidence lists the observations that led here, most telling first.
	Evidence []string `json:"evidence,omitzero"`
	// Rule is the row of the cause table that matched.
	Rule string `json:"rule,omitzero"`
}

// Collector is the section of collector events.
type Collector struct {
	// Name is the collector's name in the config, such as docker.
	Name   string `json:"name"`
	Engine string `json:"engine,omitzero"`
	// Version is the runtime's version.
	Version string `json:"version,omitzero"`
	// From and To bound a gap; a zero From means unknown.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Reason says why it stopped, was blind or conflicts.
	Reason string `json:"reason,omitzero"`
	// Reconciled counts the transitions that a snapshot told after a gap.
	Reconciled int64 `json:"reconciled,omitzero"`
	// Unknown lists what can't be known about a gap.
	Unknown []string `json:"unknown,omitzero"`
	// Containers and Workloads count what the collector watches.
	Containers int64 `json:"containers,omitzero"`
	Workloads  int64 `json:"workloads,omitzero"`
	// Peer names the other collector of a conflict.
	Peer string `json:"peer,omitzero"`
}

// Action is the section of action events: something a restart handler did, refused or would have done.
type Action struct {
	// ID is the same for every event of one action.
	ID string `json:"id"`
	// Handler is the sink's name; Mode is off, dry-run or act.
	Handler string `json:"handler"`
	Mode    string `json:"mode,omitzero"`
	// Kind is start or restart.
	Kind string `json:"kind"`
	// Reason is why it was done, refused or failed, in one sentence.
	Reason string `json:"reason"`
	// Rule is the short name of the decision, such as not_opted_in or budget.
	Rule string `json:"rule,omitzero"`
	// Attempt counts within the budget's window, from 1; Budget is the policy, such as 4/10m.
	Attempt int64  `json:"attempt,omitzero"`
	Budget  string `json:"budget,omitzero"`
	// Run is the run that the action started.
	Run string `json:"run,omitzero"`
}

// Incident is the section of incident events: one open problem of one workload revision.
type Incident struct {
	ID string `json:"id"`
	// State is open or resolved; Transition numbers the changes from 1.
	State      string `json:"state"`
	Transition int64  `json:"transition"`
	// Family is the cause family that the incident is keyed by.
	Family string `json:"family"`
	Title  string `json:"title"`
	// Stops counts the stops so far; Tasks lists the affected task ids.
	Stops  int64     `json:"stops,omitzero"`
	Tasks  []string  `json:"tasks,omitzero"`
	Opened time.Time `json:"opened,omitzero"`
	// Resolved is zero while the incident is open; DowntimeMS is the time between them.
	Resolved   time.Time `json:"resolved,omitzero"`
	DowntimeMS int64     `json:"downtime_ms,omitzero"`
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
