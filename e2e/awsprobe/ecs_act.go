package awsprobe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func ecsActChecks() []Check {
	return []Check{
		{"ecs: a task that is run can be described and listed", taskRuns},
		{"ecs: the same client token gives the same task", tokenAgain},
		{"ecs: the same client token for another request is a conflict", tokenConflict},
		{"ecs: more than ten tasks at once are refused", runLimit},
		{"ecs: stopping a task keeps the reason, and stopping again changes nothing", stoppedAgain},
		{"ecs: a stopped task is listed as stopped only, pending lists nothing", stoppedListed},
		{"ecs: stopping an unknown task is refused", stopUnknown},
		{"ecs: each forced deployment is a new one", forced},
		{"ecs: updating an unknown service is refused", updateUnknown},
	}
}

// running is a cluster and what runs a task in it; needs capacity in an account.
func (s *Session) running(ctx context.Context, token string) (in *ecs.RunTaskInput, out *ecs.RunTaskOutput, err error) {
	name := s.name()
	cluster, err := s.cluster(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	definition, err := s.definition(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	in = &ecs.RunTaskInput{Cluster: cluster, TaskDefinition: definition, LaunchType: types.LaunchTypeEc2, StartedBy: aws.String("bellbuoy-probe")}
	if token != "" {
		in.ClientToken = &token
	}
	if out, err = s.ECS.RunTask(ctx, in); err != nil {
		return nil, nil, fmt.Errorf("run task: %w", err)
	}
	for _, t := range out.Tasks {
		s.later(func(ctx context.Context) {
			_, _ = s.ECS.StopTask(ctx, &ecs.StopTaskInput{Cluster: cluster, Task: t.TaskArn})
		})
	}
	return in, out, same("tasks", len(out.Tasks), 1)
}

func taskRuns(ctx context.Context, s *Session) error {
	in, out, err := s.running(ctx, "")
	if err != nil {
		return err
	}
	described, err := s.ECS.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: in.Cluster, Tasks: []string{*out.Tasks[0].TaskArn}})
	if err != nil {
		return err
	}
	if err := same("described", len(described.Tasks), 1); err != nil {
		return err
	}
	listed, err := s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: in.Cluster, StartedBy: in.StartedBy})
	if err != nil {
		return err
	}
	return same("listed", len(listed.TaskArns), 1)
}

func tokenAgain(ctx context.Context, s *Session) error {
	in, out, err := s.running(ctx, s.name())
	if err != nil {
		return err
	}
	again, err := s.ECS.RunTask(ctx, in)
	if err != nil {
		return err
	}
	return same("task", *again.Tasks[0].TaskArn, *out.Tasks[0].TaskArn)
}

func tokenConflict(ctx context.Context, s *Session) error {
	in, _, err := s.running(ctx, s.name())
	if err != nil {
		return err
	}
	in.StartedBy = aws.String("bellbuoy-other")
	_, err = s.ECS.RunTask(ctx, in)
	return refused(err, "ConflictException")
}

func runLimit(ctx context.Context, s *Session) error {
	name := s.name()
	cluster, err := s.cluster(ctx, name)
	if err != nil {
		return err
	}
	definition, err := s.definition(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.ECS.RunTask(ctx, &ecs.RunTaskInput{Cluster: cluster, TaskDefinition: definition, Count: aws.Int32(11), LaunchType: types.LaunchTypeEc2})
	return refused(err, "InvalidParameterException")
}

func stoppedAgain(ctx context.Context, s *Session) error {
	in, out, err := s.running(ctx, "")
	if err != nil {
		return err
	}
	stop := &ecs.StopTaskInput{Cluster: in.Cluster, Task: out.Tasks[0].TaskArn, Reason: aws.String("bellbuoy/probe")}
	first, err := s.ECS.StopTask(ctx, stop)
	if err != nil {
		return err
	}
	second, err := s.ECS.StopTask(ctx, stop)
	if err != nil {
		return err
	}
	return errors.Join(same("desired", *first.Task.DesiredStatus, "STOPPED"), same("reason", aws.ToString(second.Task.StoppedReason), "bellbuoy/probe"))
}

func stoppedListed(ctx context.Context, s *Session) error {
	in, out, err := s.running(ctx, "")
	if err != nil {
		return err
	}
	if _, err := s.ECS.StopTask(ctx, &ecs.StopTaskInput{Cluster: in.Cluster, Task: out.Tasks[0].TaskArn}); err != nil {
		return err
	}
	var faults []error
	for status, want := range map[types.DesiredStatus]int{"": 0, types.DesiredStatusPending: 0, types.DesiredStatusStopped: 1} {
		listed, err := s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: in.Cluster, DesiredStatus: status})
		if err != nil {
			return err
		}
		faults = append(faults, same("listed as "+string(status), len(listed.TaskArns), want))
	}
	return errors.Join(faults...)
}

func stopUnknown(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	_, err = s.ECS.StopTask(ctx, &ecs.StopTaskInput{Cluster: cluster, Task: aws.String(strings.Repeat("0", 32))})
	return refused(err, "InvalidParameterException")
}

func forced(ctx context.Context, s *Session) error {
	cluster, arns, err := s.services(ctx, 1)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for range 2 {
		out, err := s.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: cluster, Service: &arns[0], ForceNewDeployment: true})
		if err != nil {
			return err
		}
		seen[*out.Service.Deployments[0].Id] = true
	}
	return same("deployments", len(seen), 2)
}

func updateUnknown(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	_, err = s.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: cluster, Service: aws.String("none"), ForceNewDeployment: true})
	return refused(err, "ServiceNotFoundException")
}
