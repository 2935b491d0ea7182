package awsfake

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

func (a *AWS) ecsListTasks(_ context.Context, in *ecs.ListTasksInput) (smithy.Serializable, error) {
	status := string(cmp.Or(in.DesiredStatus, types.DesiredStatusRunning))
	if !slices.Contains([]string{"RUNNING", "PENDING", "STOPPED"}, status) {
		return nil, invalid("desiredStatus should be one of [RUNNING, PENDING, STOPPED]")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.ServiceName != nil && c.service(*in.ServiceName) == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	now := a.Now()
	c.forget(now)
	var all []paged
	for _, k := range c.tasks {
		if t := k.seen(now, a.o.Consistency); t != nil && *t.DesiredStatus == status && matches(t, in) {
			all = append(all, paged{*t.TaskArn, k.number})
		}
	}
	arns, next, err := page("tasks "+*c.ClusterName+" "+status, all, in.MaxResults, 100, in.NextToken)
	return &ecs.ListTasksOutput{TaskArns: arns, NextToken: next}, err
}

// matches holds a task against the filters of ListTasks.
func matches(t *types.Task, in *ecs.ListTasksInput) bool {
	family, _, _ := strings.Cut(short(text(t.TaskDefinitionArn)), ":")
	switch {
	case in.ServiceName != nil && text(t.Group) != "service:"+short(*in.ServiceName),
		in.Family != nil && family != *in.Family,
		in.StartedBy != nil && text(t.StartedBy) != *in.StartedBy,
		in.LaunchType != "" && t.LaunchType != in.LaunchType,
		in.ContainerInstance != nil && short(text(t.ContainerInstanceArn)) != short(*in.ContainerInstance):
		return false
	}
	return true
}

func (a *AWS) ecsDescribeTasks(_ context.Context, in *ecs.DescribeTasksInput) (smithy.Serializable, error) {
	switch {
	case len(in.Tasks) == 0:
		return nil, invalid("Tasks cannot be empty.")
	case len(in.Tasks) > 100:
		return nil, invalid("Tasks cannot have more than 100 elements")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	c.forget(now)
	out := &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	for _, name := range in.Tasks {
		if err := c.owns("task", name); err != nil {
			return nil, err
		}
		var t *types.Task
		if k := c.task(name); k != nil {
			t = k.seen(now, a.o.Consistency)
		}
		if t == nil {
			out.Failures = append(out.Failures, missing(a.arn("task/"+*c.ClusterName+"/"+short(name))))
			continue
		}
		described := *t
		if !slices.Contains(in.Include, types.TaskFieldTags) {
			described.Tags = nil
		}
		out.Tasks = append(out.Tasks, described)
	}
	return out, nil
}

// owns refuses an ARN of another cluster, as ECS does. The old format has no cluster in it.
func (c *cluster) owns(kind, name string) error {
	if !strings.HasPrefix(name, "arn:") {
		return nil
	}
	_, path, ok := strings.Cut(name, ":"+kind+"/")
	if !ok {
		return invalid("Invalid identifier: Identifier is not a %s", kind)
	}
	if owner, _, long := strings.Cut(path, "/"); long && owner != *c.ClusterName {
		return invalid("Unexpected identifier: Identifier is for cluster %s. Your cluster is %s", owner, *c.ClusterName)
	}
	return nil
}

func (a *AWS) ecsStopTask(_ context.Context, in *ecs.StopTaskInput) (smithy.Serializable, error) {
	if in.Task == nil {
		return nil, invalid("taskId can not be blank.")
	}
	if len(text(in.Reason)) > 1024 {
		return nil, invalid("reason is too long")
	}
	a.mu.Lock()
	c, err := a.known(in.Cluster)
	if err != nil {
		a.mu.Unlock()
		return nil, err
	}
	err = c.owns("task", *in.Task)
	k := c.task(*in.Task)
	a.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, invalid("The referenced task was not found.")
	}
	t, err := a.stop(text(c.ClusterName), k.id, Stop{Code: types.TaskStopCodeUserInitiated, Reason: cmp.Or(text(in.Reason), "Task stopped by user")})
	if err != nil {
		return nil, err
	}
	return &ecs.StopTaskOutput{Task: &t}, nil
}
