package ecs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// record is one EventBridge event without what was wrapped around it.
type record struct {
	ID, DetailType, Source, Account, Region string
	Time                                    time.Time
	Resources                               []string
	Detail                                  json.RawMessage
	// Raw is the whole event as it came, for one that is passed on; empty in a test.
	Raw json.RawMessage
}

// fact is what one record or one described task tells.
type fact struct {
	// event is complete except for what only the machine knows of a task: its type, cause and joins.
	event event.Event
	// task is set for a task's state.
	task *task
	// note is what the record tells about other tasks: a deployment, a host, a call; nil if nothing.
	note *note
}

// out is an event that a fact led to.
type out struct {
	event event.Event
	// near are the rows of the table of causes that nearly gave another cause; only a replay asks for them.
	near []cause.Near
}

// task is an ECS task, from the detail of an event or from DescribeTasks.
type task struct {
	ARN, Cluster, Definition, Instance  string // ARNs
	Group, StartedBy                    string
	LaunchType, CapacityProvider, Zone  string
	PlatformVersion, PlatformFamily     string
	LastStatus, DesiredStatus           string
	StopCode, StoppedReason             string
	Connectivity, Health                string // Health only from DescribeTasks
	CPU, Memory                         int64  // units and MiB; 0 if not told
	Version                             int64  // 0 if not told
	Created, PullStarted, PullStopped   time.Time
	Started, Stopping, ExecutionStopped time.Time
	Stopped, Updated                    time.Time
	Containers                          []container
	Attachments                         []attachment
	Tags                                map[string]string // only from DescribeTasks
}

// container is one container of a task.
type container struct {
	ARN, Name, Image, Digest, RuntimeID string
	Status, Reason, Health              string
	ExitCode                            *int64 // nil: never ran, or nobody knows
}

// attachment is a network interface, a volume or the like.
type attachment struct{ ID, Type, Status string }

// note is what a record tells about more than one task. Exactly one group of fields is set, by its first.
type note struct {
	// Deployment of Service in Cluster (ARN) is in State (see event.Deployment) since At.
	Deployment, Cluster, Service, State string
	// Host is a container instance ARN, EC2 its instance id; either may be empty. Draining and Spot say
	// that its tasks are going to be stopped, Lost that it is gone.
	Host, EC2            string
	Draining, Spot, Lost bool
	// Task was asked to stop by Requester, the short name of a principal, with Reason.
	Task, Requester, Reason string

	At time.Time
}

// definition is what of a task definition matters for a stop. It never changes.
type definition struct {
	Containers []definedContainer
	Tags       map[string]string
}

// definedContainer is one container of a task definition.
type definedContainer struct {
	Name, Image string
	Essential   bool
	DependsOn   []string
	// LogGroup and LogPrefix say where awslogs writes; empty for other drivers.
	LogGroup, LogPrefix string
}

// service is what DescribeServices tells.
type service struct {
	Name, ARN, Status, Definition string
	Desired, Running, Pending     int64
	// Deployments are the ids of the current ones, the primary first; InProgress is the id of one under way.
	Deployments []string
	InProgress  string
	Tags        map[string]string
}

// asker answers what an event does not tell, from a cache or from the ECS API within the caller's ctx. A
// nil asker knows nothing.
type asker interface {
	// definition returns a task definition by its ARN.
	definition(ctx context.Context, arn string) (*definition, error)
	// service returns a service by its cluster's ARN and its name, at most a short time old.
	service(ctx context.Context, cluster, name string) (*service, error)
}
