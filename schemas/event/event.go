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
	// ID identifies the occurrence; source and id together are unique.
	ID string `json:"id"`
	// Source is bellbuoy://<site>/<runtime>/<node>, or an ARN for events that AWS sent.
	Source string `json:"source"`
	// Type is io.bellbuoy.<kind>.<past-tense event>.v1.
	Type Type `json:"type"`
	// Subject is <scope>/<workload>/<task id>.
	Subject string `json:"subject,omitzero"`
	// Time is when it happened, in UTC.
	Time time.Time `json:"time"`
	// Recorded is when the collector saw it, in UTC.
	Recorded time.Time `json:"recordedtime,omitzero"`
	// PartitionKey is the task key: events with one key are in order.
	PartitionKey string `json:"partitionkey,omitzero"`
	// Sequence counts the events of one source: <epoch ms, 14 digits>-<counter, 10 digits>.
	Sequence string `json:"sequence,omitzero"`
	// Severity is an OpenTelemetry severity number: 9 info, 13 warn, 17 error, 21 fatal.
	Severity Severity `json:"severitynumber,omitzero"`
	// CausationID is the id of the event that led to this one; empty for collected events.
	CausationID string `json:"causationid,omitzero"`
	// TraceParent is the W3C trace context of the origin; usually empty.
	TraceParent string `json:"traceparent,omitzero"`
	// Data is the payload.
	Data Data `json:"data"`
}

// Data is the payload. The first block says where; of the sections below it those are set that belong
// to the kind of the event.
type Data struct {
	// Site is the environment, such as prod-eu.
	Site string `json:"site"`
	// Runtime is what runs the task.
	Runtime Runtime `json:"runtime"`
	// Scope is the compose project, containerd namespace, ECS cluster or Kubernetes namespace.
	Scope string `json:"scope,omitzero"`
	// Node is the host.
	Node string `json:"node,omitzero"`
	// Account is the AWS account; empty elsewhere.
	Account string `json:"account,omitzero"`
	// Region is the AWS region; empty elsewhere.
	Region string `json:"region,omitzero"`
	// Workload is what the task is a replica of: a compose or swarm service, an ECS service or task
	// family, a Deployment; a lone container's own name.
	Workload string `json:"workload,omitzero"`
	// Revision makes two runs of a workload different: an image digest, a task definition revision, a
	// compose config hash.
	Revision string `json:"revision,omitzero"`
	// Observed says how the collector learned of the occurrence.
	Observed Observed `json:"observed"`
	// Owner is the bellbuoy.owner label: who is told.
	Owner string `json:"owner,omitzero"`
	// Labels are the container labels, redacted.
	Labels map[string]string `json:"labels,omitzero"`
	// Message is one plain sentence for people.
	Message string `json:"message,omitzero"`
	// Supersedes is the id of the event that this one amends with better evidence.
	Supersedes string `json:"supersedes,omitzero"`
	// Changed is what differs from the previous revision of the workload, where both are known.
	Changed []Change `json:"changed,omitzero"`
	// Truncated names what was cut to keep the event within 64 KiB, such as "task.log" or "labels".
	Truncated []string `json:"truncated,omitzero"`

	// Task is the task that the event is about.
	Task *Task `json:"task,omitzero"`
	// Cause says why the task stopped.
	Cause *Cause `json:"cause,omitzero"`
	// Service is the section of service events.
	Service *Service `json:"service,omitzero"`
	// Deployment is the section of deployment events.
	Deployment *Deployment `json:"deployment,omitzero"`
	// Host is the section of node events.
	Host *Host `json:"host,omitzero"`
	// Image is the section of image events.
	Image *Image `json:"image,omitzero"`
	// Collector is the section of collector events.
	Collector *Collector `json:"collector,omitzero"`
	// Action is the section of action events.
	Action *Action `json:"action,omitzero"`
	// Incident is the section of incident events.
	Incident *Incident `json:"incident,omitzero"`
	// Native keeps the runtime's own words.
	Native *Native `json:"native,omitzero"`
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
