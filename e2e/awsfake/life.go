package awsfake

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// NewTask says how a task is started.
type NewTask struct {
	Service    string // its group and the deployment it was started by; empty: standalone
	Group      string // empty: of the service or the family
	StartedBy  string // empty: the primary deployment of the service
	LaunchType types.LaunchType
	Capacity   string // capacity provider, in the place of a launch type
	Instance   string // ARN of a container instance
	Tags       []types.Tag
}

// NewTask makes a task at PROVISIONING, version 1, with the containers of a definition.
func (a *AWS) NewTask(cluster string, d types.TaskDefinition, n NewTask) types.Task {
	a.mu.Lock()
	c := a.cluster(cluster)
	name := text(c.ClusterName)
	startedBy := n.StartedBy
	if k := c.service(n.Service); k != nil && startedBy == "" && len(k.now().Deployments) > 0 {
		startedBy = text(k.now().Deployments[0].Id)
	}
	a.mu.Unlock()
	group := cmp.Or(n.Group, "family:"+text(d.Family))
	if n.Service != "" {
		group = cmp.Or(n.Group, "service:"+n.Service)
	}
	launch := n.LaunchType
	if launch == "" && n.Capacity == "" {
		launch = types.LaunchTypeFargate
	}
	t := types.Task{
		TaskArn: aws.String(a.arn("task/" + name + "/" + a.hex())), ClusterArn: aws.String(name), TaskDefinitionArn: d.TaskDefinitionArn,
		Group: &group, LaunchType: launch, LastStatus: aws.String("PROVISIONING"), DesiredStatus: aws.String("RUNNING"),
		Cpu: cmp.Or(d.Cpu, aws.String("256")), Memory: cmp.Or(d.Memory, aws.String("512")), AvailabilityZone: aws.String(a.o.Region + "a"), Tags: n.Tags, Version: 1,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{}},
	}
	if startedBy != "" {
		t.StartedBy = &startedBy
	}
	if n.Capacity != "" {
		t.CapacityProviderName = &n.Capacity
	}
	if n.Instance != "" {
		t.ContainerInstanceArn = &n.Instance
	}
	if strings.HasPrefix(string(launch)+n.Capacity, "FARGATE") {
		t.PlatformVersion, t.PlatformFamily = aws.String("1.4.0"), aws.String("Linux")
		t.Attachments = []types.Attachment{{Id: aws.String(a.uuid()), Type: aws.String("ElasticNetworkInterface"), Status: aws.String("PRECREATED"), Details: []types.KeyValuePair{
			{Name: aws.String("subnetId"), Value: aws.String("subnet-0a1b2c3d")},
		}}}
	}
	for _, defined := range d.ContainerDefinitions {
		t.Containers = append(t.Containers, types.Container{
			ContainerArn: aws.String(a.arn("container/" + name + "/" + short(*t.TaskArn) + "/" + a.uuid())),
			Name:         defined.Name, Image: defined.Image, LastStatus: aws.String("PENDING"), Cpu: aws.String("0"),
		})
	}
	return a.PutTask(t)
}

// Move takes a task one state further along PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING,
// STOPPING, DEPROVISIONING, STOPPED, or straight to any: what is true from there on is set with the clock's
// time, and the version rises.
func (a *AWS) Move(arn, to string) types.Task {
	t, ok := a.Task(arn)
	if !ok {
		return types.Task{}
	}
	now := a.Now()
	was := text(t.LastStatus)
	t.Containers, t.Attachments = slices.Clone(t.Containers), slices.Clone(t.Attachments)
	t.LastStatus, t.Version = &to, t.Version+1
	container, attachment := "", ""
	switch to {
	case "PENDING":
		t.ConnectivityAt, t.Connectivity = &now, types.ConnectivityConnected
		attachment = "ATTACHED"
	case "RUNNING":
		t.PullStartedAt = cmp.Or(t.PullStartedAt, t.ConnectivityAt, &now)
		t.PullStoppedAt, t.StartedAt = cmp.Or(t.PullStoppedAt, &now), cmp.Or(t.StartedAt, &now)
		container = "RUNNING"
	case "STOPPING", "DEPROVISIONING", "STOPPED":
		t.DesiredStatus = aws.String("STOPPED")
		t.StoppingAt = cmp.Or(t.StoppingAt, &now)
		if to != "STOPPING" {
			container, attachment = "STOPPED", "DELETED"
			if was != "PROVISIONING" {
				t.ExecutionStoppedAt = cmp.Or(t.ExecutionStoppedAt, &now)
			}
		}
		if to == "STOPPED" {
			t.StoppedAt = &now
		}
	}
	for i := range t.Containers {
		t.Containers[i].LastStatus = cmp.Or(optional(container), t.Containers[i].LastStatus)
	}
	for i := range t.Attachments {
		t.Attachments[i].Status = cmp.Or(optional(attachment), t.Attachments[i].Status)
	}
	return a.PutTask(t)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Start takes a new task to RUNNING, d for each of its states, and returns what it was at each.
func (a *AWS) Start(arn string, d time.Duration) []types.Task {
	var told []types.Task
	for _, to := range []string{"PENDING", "RUNNING"} {
		a.Advance(d)
		told = append(told, a.Move(arn, to))
	}
	return told
}
