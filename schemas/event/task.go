package event

import "time"

// Task is what a runtime starts and stops as one unit.
type Task struct {
	// ID is the runtime's own: a container id, an ECS task id.
	ID string `json:"id"`
	// Name is for people, such as shop-web-1.
	Name string `json:"name,omitzero"`
	// Run identifies one life of the task from start to stop; empty before the first start.
	Run string `json:"run,omitzero"`
	// State is where the task is in its life.
	State State `json:"state"`
	// PreviousState is where it was before.
	PreviousState State `json:"previous_state,omitzero"`
	// DesiredState is where the platform wants it.
	DesiredState State `json:"desired_state,omitzero"`
	// Containers are the containers of the task; the one that the event is about comes first.
	Containers []Container `json:"containers,omitzero"`
	// Times are the phases of the task's life.
	Times Times `json:"times,omitzero"`
	// ColdStart is how long the phases of the start took, on a task that ran; absent where the platform does
	// not tell them.
	ColdStart *ColdStart `json:"cold_start,omitzero"`
	// Placement is where the platform put the task.
	Placement Placement `json:"placement,omitzero"`
	// Version counts the changes of the task at the platform; ECS has it.
	Version int64 `json:"version,omitzero"`
	// StartedBy is who asked the platform to start it: an ECS deployment such as ecs-svc/123, or free text.
	StartedBy string `json:"started_by,omitzero"`
	// StopCode is the platform's word for the kind of stop, such as EssentialContainerExited.
	StopCode string `json:"stop_code,omitzero"`
	// StopReason is the platform's text about the stop, as it was.
	StopReason string `json:"stop_reason,omitzero"`
	// CPUUnits is the processor share of the task in units of 1/1024 of a core.
	CPUUnits int64 `json:"cpu_units,omitzero"`
	// MemoryMiB is the memory of the task in MiB.
	MemoryMiB int64 `json:"memory_mib,omitzero"`
	// NextStart is when the runtime's own restart policy is going to start it again, on a stop; absent if
	// it will not, or if that can't be known.
	NextStart time.Time `json:"next_start,omitzero"`
	// Log is the redacted tail of the log, on a stop.
	Log *Log `json:"log,omitzero"`
}

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

// Container is one container of a task.
type Container struct {
	// ID is the runtime's own.
	ID string `json:"id,omitzero"`
	// Name is the container's name within its task or host.
	Name string `json:"name,omitzero"`
	// Image is the image reference that it was started from.
	Image string `json:"image,omitzero"`
	// ImageDigest is the content that the reference meant, such as sha256:….
	ImageDigest string `json:"image_digest,omitzero"`
	// ExitCode is absent while the container runs and when the code can't be known.
	ExitCode *int64 `json:"exit_code,omitzero"`
	// Signal is the name of the signal that ended it, such as SIGKILL.
	Signal string `json:"signal,omitzero"`
	// OOMKilled says that the kernel killed a process of it for memory.
	OOMKilled bool `json:"oom_killed,omitzero"`
	// Health is healthy, unhealthy or starting; empty without a probe.
	Health string `json:"health,omitzero"`
	// HealthOutput is the redacted output of the last failed probe.
	HealthOutput string `json:"health_output,omitzero"`
	// HealthFailures is how many probes in a row have failed.
	HealthFailures int64 `json:"health_failures,omitzero"`
	// HealthLog tells the last failed probes, oldest first: time, exit code and the first line of the
	// redacted output, such as "2026-11-03T02:13:00Z exit code 22: curl: (22) …".
	HealthLog []string `json:"health_log,omitzero"`
	// Reason is the runtime's own words, such as State.Error.
	Reason string `json:"reason,omitzero"`
	// Restarts counts the restarts that the runtime's own policy made.
	Restarts int64 `json:"restarts,omitzero"`
	// RestartPolicy is the runtime's own policy, such as on-failure:3.
	RestartPolicy string `json:"restart_policy,omitzero"`
	// Essential says whether the task ends with this container; absent if that is not known.
	Essential *bool `json:"essential,omitzero"`
}

// Times are the phases of a task's life; an absent time is a phase that was not reached or not told.
type Times struct {
	// Created is when the task was made.
	Created time.Time `json:"created,omitzero"`
	// PullStarted is when the platform began to pull the images.
	PullStarted time.Time `json:"pull_started,omitzero"`
	// PullStopped is when the images were there.
	PullStopped time.Time `json:"pull_stopped,omitzero"`
	// Started is when the run began.
	Started time.Time `json:"started,omitzero"`
	// Stopping is when the task was asked to stop.
	Stopping time.Time `json:"stopping,omitzero"`
	// Stopped is when the run ended.
	Stopped time.Time `json:"stopped,omitzero"`
}

// ColdStart is how long the phases of a start took, in seconds.
type ColdStart struct {
	// Provision is from the creation to the begin of the pull: capacity and network.
	Provision float64 `json:"provision_s,omitzero"`
	// Pull is how long the images took.
	Pull float64 `json:"pull_s,omitzero"`
	// Start is from the end of the pull to the start: containers, dependencies, probes.
	Start float64 `json:"start_s,omitzero"`
	// Total is from the creation to the start.
	Total float64 `json:"total_s,omitzero"`
}

// Placement is where the platform put the task.
type Placement struct {
	// LaunchType is EC2, FARGATE, EXTERNAL or MANAGED_INSTANCES on ECS.
	LaunchType string `json:"launch_type,omitzero"`
	// CapacityProvider is the ECS capacity provider, such as FARGATE_SPOT.
	CapacityProvider string `json:"capacity_provider,omitzero"`
	// Zone is the availability zone.
	Zone string `json:"zone,omitzero"`
	// Instance is the ECS container instance id; absent on Fargate.
	Instance string `json:"instance,omitzero"`
	// Platform is the Fargate platform, such as Linux 1.4.0.
	Platform string `json:"platform,omitzero"`
}

// Log is the redacted tail of a container's log.
type Log struct {
	// Lines are the last lines, oldest first.
	Lines []string `json:"lines,omitzero"`
	// Cut says that older lines or parts of lines were left out.
	Cut bool `json:"cut,omitzero"`
	// None says why there is no log, such as "logging driver none does not keep logs".
	None string `json:"none,omitzero"`
}

// Cause is why a task stopped.
type Cause struct {
	// Class is a path in the tree of causes, such as oom, exit.error or user.stop.
	Class string `json:"class"`
	// Confidence says how sure the class is.
	Confidence Confidence `json:"confidence"`
	// Initiator is who made it stop: app, runtime, user, host, platform, scheduler, handler or unknown.
	Initiator string `json:"initiator"`
	// InitiatorName is who that was, as far as it is known: a deployment, a user or role, an instance.
	InitiatorName string `json:"initiator_name,omitzero"`
	// Expected stops are indexed and counted, never alerted.
	Expected bool `json:"expected"`
	// Say is the cause in one plain sentence.
	Say string `json:"say"`
	// Evidence lists the observations that led here, most telling first.
	Evidence []string `json:"evidence,omitzero"`
	// Rule is the row of the cause table that matched.
	Rule string `json:"rule,omitzero"`
	// Container is the name of the container that the stop came from; absent if it is the only one, or not known.
	Container string `json:"container,omitzero"`
	// Token is the platform's own name of the error, such as CannotPullContainerError.
	Token string `json:"token,omitzero"`
	// Next is what to look at first, in one sentence.
	Next string `json:"next,omitzero"`
}

// UserRule is how the Rule of a cause begins that a row of the user's config gave.
const UserRule = "config: "

// OwnStop is how the reason begins of each stop that a restart handler asks a platform for, such as
// "bellbuoy/healer: unhealthy"; by it the stop is known to be no operator's. It begins started_by of a task
// that a handler has run, too.
const OwnStop = "bellbuoy/"

// Confidence grades a cause.
type Confidence string

// The grades: proven by the runtime, following from strong evidence, or one of several explanations.
const (
	Fact   Confidence = "fact"
	Likely Confidence = "likely"
	Guess  Confidence = "guess"
)
