package awsfake

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// started is what a client token has led to.
type started struct {
	request string // what it was used for
	tasks   []string
}

func checkRun(in *ecs.RunTaskInput) error {
	printable := func(r rune) bool { return r < 33 || r > 126 }
	switch count := cmp.Or(aws.ToInt32(in.Count), 1); {
	case in.TaskDefinition == nil:
		return invalid("TaskDefinition can not be blank.")
	case count < 1 || count > 10:
		return invalid("count should be between 1 and 10")
	case len(text(in.StartedBy)) > 36: // The SDK's documentation says 128 by now; the older limit holds anywhere.
		return invalid("startedBy must be at most 36 characters")
	case len(text(in.ClientToken)) > 64 || strings.ContainsFunc(text(in.ClientToken), printable):
		return invalid("clientToken must be at most 64 printable characters")
	case in.LaunchType != "" && in.CapacityProviderStrategy != nil:
		return invalid("Specifying both a launch type and capacity provider strategy is not supported.")
	case in.LaunchType == types.LaunchTypeFargate && (in.NetworkConfiguration == nil || in.NetworkConfiguration.AwsvpcConfiguration == nil):
		return invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	return nil
}

// ecsRunTask starts tasks at PROVISIONING. The same token with the same request gives the tasks of the
// first time; with another request it is a conflict.
func (a *AWS) ecsRunTask(_ context.Context, in *ecs.RunTaskInput) (smithy.Serializable, error) {
	if err := checkRun(in); err != nil {
		return nil, err
	}
	body, err := encode(answer{output: in})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	c, err := a.known(in.Cluster)
	d, ok := a.definition(*in.TaskDefinition)
	before, again := a.tokens[text(in.ClientToken)]
	if err == nil && in.LaunchType == types.LaunchTypeFargate {
		err = a.spend(onFargate)
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case !ok || d.Status != types.TaskDefinitionStatusActive:
		return nil, refuse("ClientException", "TaskDefinition not found.")
	case again && before.request != string(body):
		return nil, refuse("ConflictException", "A task with the same client token and other parameters exists already.")
	}
	a.pass(d.TaskRoleArn, d.ExecutionRoleArn)
	out := &ecs.RunTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	if !again {
		before = started{request: string(body), tasks: a.start(c, d, in)}
	}
	for _, arn := range before.tasks {
		t, _ := a.Task(arn)
		out.Tasks = append(out.Tasks, t)
	}
	if in.ClientToken != nil {
		a.mu.Lock()
		a.tokens[*in.ClientToken] = before
		a.mu.Unlock()
	}
	return out, nil
}

// pass notes the roles that the caller of a RunTask hands to the tasks.
func (a *AWS) pass(roles ...*string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, role := range roles {
		if role != nil && !slices.Contains(a.passed, *role) {
			a.passed = append(a.passed, *role)
		}
	}
}

// PassedRoles returns the ARNs of the roles that RunTask needed iam:PassRole for, which is no call of its own.
func (a *AWS) PassedRoles() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.passed)
}

// start makes the tasks that a RunTask asks for.
func (a *AWS) start(c *cluster, d definition, in *ecs.RunTaskInput) []string {
	var arns []string
	for range max(aws.ToInt32(in.Count), 1) {
		t := a.NewTask(*c.ClusterName, d.TaskDefinition, NewTask{
			Group: text(in.Group), StartedBy: text(in.StartedBy), LaunchType: in.LaunchType, Tags: in.Tags,
		})
		arns = append(arns, *t.TaskArn)
	}
	return arns
}

// ecsUpdateService changes what was given. A forced deployment, and another task definition, make a new
// primary deployment, each time.
func (a *AWS) ecsUpdateService(_ context.Context, in *ecs.UpdateServiceInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.Service == nil {
		return nil, invalid("Service can not be blank.")
	}
	k := c.service(*in.Service)
	if k == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	now, s := a.Now(), *k.now()
	if *s.Status != "ACTIVE" {
		return nil, refuse("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	redeploy := in.ForceNewDeployment
	if in.TaskDefinition != nil {
		d, ok := a.definition(*in.TaskDefinition)
		if !ok {
			return nil, refuse("ClientException", "TaskDefinition not found.")
		}
		redeploy = redeploy || text(s.TaskDefinition) != *d.TaskDefinitionArn
		s.TaskDefinition = d.TaskDefinitionArn
	}
	if in.DesiredCount != nil {
		s.DesiredCount = *in.DesiredCount
	}
	s.Deployments = slices.Clone(s.Deployments)
	if redeploy {
		for i := range s.Deployments {
			s.Deployments[i].Status = aws.String("ACTIVE")
		}
		s.Deployments = slices.Insert(s.Deployments, 0, a.deployment(&s))
	}
	if len(s.Deployments) > 0 {
		s.Deployments[0].DesiredCount = s.DesiredCount
		s.Deployments[0].UpdatedAt = &now
	}
	k.put(now, s)
	return &ecs.UpdateServiceOutput{Service: &s}, nil
}
