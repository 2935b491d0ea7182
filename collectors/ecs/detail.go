package ecs

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	jsonv2 "github.com/go-json-experiment/json"
)

func asSemantic(err error, to **jsonv2.SemanticError) bool { return errors.As(err, to) }

// moment is a time as ECS and its tools write it: RFC 3339 with 0 to 9 digits of a fraction, the same with a blank
// for the T, or seconds since 1970. What can't be read is the zero time: it is never worth an event.
type moment time.Time

// UnmarshalJSON never fails.
func (m *moment) UnmarshalJSON(b []byte) error {
	*m = moment{}
	s := strings.Trim(string(b), `"`)
	if date := len(time.DateOnly); len(s) > date && s[date] == ' ' {
		s = s[:date] + "T" + s[date+1:]
	}
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		*m = moment(at.UTC())
		return nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && strings.ContainsAny(s, "eE") {
		s = strconv.FormatFloat(f, 'f', 3, 64)
	}
	seconds, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n <= 0 || n > 1<<43 {
		return nil //nolint:nilerr // see above
	}
	if n > 1<<36 { // milliseconds
		*m = moment(time.UnixMilli(n).UTC())
		return nil
	}
	nanos, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err == nil {
		*m = moment(time.Unix(n, nanos).UTC())
	}
	return nil
}

func (m moment) time() time.Time { return time.Time(m) }

// number is a whole number that may be written as a text, or with a fraction, which is left out. What is none, such
// as "null", is 0.
type number int64

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	whole, _, _ := strings.Cut(strings.Trim(string(b), `"`), ".")
	v, _ := strconv.ParseInt(whole, 10, 64)
	*n = number(v)
	return nil
}

// exitCode is a number that may be unknown, which is not 0.
type exitCode struct{ known *int64 }

// UnmarshalJSON never fails.
func (c *exitCode) UnmarshalJSON(b []byte) error {
	c.known = nil
	if v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64); err == nil {
		c.known = &v
	}
	return nil
}

// taskDetail is the detail of an ECS Task State Change, and a task as tools print what DescribeTasks answers. See
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html.
type taskDetail struct {
	ARN              string `json:"taskArn"`
	Cluster          string `json:"clusterArn"`
	Definition       string `json:"taskDefinitionArn"`
	Instance         string `json:"containerInstanceArn"`
	Group            string `json:"group"`
	StartedBy        string `json:"startedBy"`
	LaunchType       string `json:"launchType"`
	CapacityProvider string `json:"capacityProviderName"`
	Zone             string `json:"availabilityZone"`
	PlatformVersion  string `json:"platformVersion"`
	PlatformFamily   string `json:"platformFamily"`
	LastStatus       string `json:"lastStatus"`
	DesiredStatus    string `json:"desiredStatus"`
	StopCode         string `json:"stopCode"`
	StoppedReason    string `json:"stoppedReason"`
	Connectivity     string `json:"connectivity"`
	Health           string `json:"healthStatus"`
	CPU              number `json:"cpu"`
	Memory           number `json:"memory"`
	Version          number `json:"version"`

	Created          moment `json:"createdAt"`
	PullStarted      moment `json:"pullStartedAt"`
	PullStopped      moment `json:"pullStoppedAt"`
	Started          moment `json:"startedAt"`
	Stopping         moment `json:"stoppingAt"`
	ExecutionStopped moment `json:"executionStoppedAt"`
	Stopped          moment `json:"stoppedAt"`
	Updated          moment `json:"updatedAt"`

	Containers  []containerDetail  `json:"containers"`
	Attachments []attachmentDetail `json:"attachments"`
	Tags        []tagDetail        `json:"tags"`
}

type containerDetail struct {
	ARN       string   `json:"containerArn"`
	Name      string   `json:"name"`
	Image     string   `json:"image"`
	Digest    string   `json:"imageDigest"`
	RuntimeID string   `json:"runtimeId"`
	Status    string   `json:"lastStatus"`
	Reason    string   `json:"reason"`
	Health    string   `json:"healthStatus"`
	ExitCode  exitCode `json:"exitCode"`
}

type attachmentDetail struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Status string `json:"status"`
}

type tagDetail struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (d *taskDetail) task() task {
	t := task{
		ARN: d.ARN, Cluster: d.Cluster, Definition: d.Definition, Instance: d.Instance, Group: d.Group, StartedBy: d.StartedBy,
		LaunchType: d.LaunchType, CapacityProvider: d.CapacityProvider, Zone: d.Zone,
		PlatformVersion: d.PlatformVersion, PlatformFamily: d.PlatformFamily,
		LastStatus: d.LastStatus, DesiredStatus: d.DesiredStatus, StopCode: d.StopCode, StoppedReason: d.StoppedReason,
		Connectivity: d.Connectivity, Health: d.Health, CPU: int64(d.CPU), Memory: int64(d.Memory), Version: int64(d.Version),
		Created: d.Created.time(), PullStarted: d.PullStarted.time(), PullStopped: d.PullStopped.time(), Started: d.Started.time(),
		Stopping: d.Stopping.time(), ExecutionStopped: d.ExecutionStopped.time(), Stopped: d.Stopped.time(), Updated: d.Updated.time(),
	}
	for i := range d.Containers {
		c := &d.Containers[i]
		t.Containers = append(t.Containers, container{
			ARN: c.ARN, Name: c.Name, Image: c.Image, Digest: c.Digest, RuntimeID: c.RuntimeID,
			Status: c.Status, Reason: c.Reason, Health: c.Health, ExitCode: c.ExitCode.known,
		})
	}
	for _, a := range d.Attachments {
		t.Attachments = append(t.Attachments, attachment(a))
	}
	for _, tag := range d.Tags {
		if t.Tags == nil {
			t.Tags = map[string]string{}
		}
		t.Tags[tag.Key] = tag.Value
	}
	return t
}

// taskOf is a task that DescribeTasks has told.
func taskOf(d *types.Task) task {
	text, at := aws.ToString, func(t *time.Time) time.Time { return aws.ToTime(t).UTC() }
	t := task{
		ARN: text(d.TaskArn), Cluster: text(d.ClusterArn), Definition: text(d.TaskDefinitionArn), Instance: text(d.ContainerInstanceArn),
		Group: text(d.Group), StartedBy: text(d.StartedBy), LaunchType: string(d.LaunchType), CapacityProvider: text(d.CapacityProviderName),
		Zone: text(d.AvailabilityZone), PlatformVersion: text(d.PlatformVersion), PlatformFamily: text(d.PlatformFamily),
		LastStatus: text(d.LastStatus), DesiredStatus: text(d.DesiredStatus), StopCode: string(d.StopCode), StoppedReason: text(d.StoppedReason),
		Connectivity: string(d.Connectivity), Health: string(d.HealthStatus), Version: d.Version,
		Created: at(d.CreatedAt), PullStarted: at(d.PullStartedAt), PullStopped: at(d.PullStoppedAt), Started: at(d.StartedAt),
		Stopping: at(d.StoppingAt), ExecutionStopped: at(d.ExecutionStoppedAt), Stopped: at(d.StoppedAt),
	}
	t.CPU, _ = strconv.ParseInt(text(d.Cpu), 10, 64)
	t.Memory, _ = strconv.ParseInt(text(d.Memory), 10, 64)
	for i := range d.Containers {
		c := &d.Containers[i]
		one := container{
			ARN: text(c.ContainerArn), Name: text(c.Name), Image: text(c.Image), Digest: text(c.ImageDigest), RuntimeID: text(c.RuntimeId),
			Status: text(c.LastStatus), Reason: text(c.Reason), Health: string(c.HealthStatus),
		}
		if c.ExitCode != nil {
			one.ExitCode = aws.Int64(int64(*c.ExitCode))
		}
		t.Containers = append(t.Containers, one)
	}
	for _, a := range d.Attachments {
		t.Attachments = append(t.Attachments, attachment{ID: text(a.Id), Type: text(a.Type), Status: text(a.Status)})
	}
	t.Tags = tagsOf(d.Tags)
	return t
}
