package restart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
)

// account is ECS in one account and region, over its API.
type account struct{ client *ecs.Client }

var _ platform = (*account)(nil)

// newAccount dials nothing.
func newAccount(a ECSAccount, loader *awsclient.Loader) (*account, error) {
	if loader == nil {
		return nil, errors.New("a restart handler for ECS needs the AWS configuration")
	}
	target := a.AWS
	target.Region = cmp.Or(target.Region, a.Region)
	cfg, err := loader.Load(target)
	if err != nil {
		return nil, fmt.Errorf("make ECS client for account %s in %s: %w", a.Account, a.Region, err)
	}
	return &account{ecs.NewFromConfig(cfg)}, nil
}

// look describes the task and its service, or the service.
func (a *account) look(ctx context.Context, s subject) (onECS, error) {
	var state onECS
	if s.task != "" {
		out, err := a.client.DescribeTasks(ctx, &ecs.DescribeTasksInput{
			Cluster: &s.cluster, Tasks: []string{s.task}, Include: []types.TaskField{types.TaskFieldTags},
		})
		if err != nil {
			return onECS{}, fmt.Errorf("describe task: %w", err)
		}
		if len(out.Tasks) == 0 {
			return onECS{}, nil
		}
		state.task = &out.Tasks[0]
		s.service = serviceOf(state.task)
	}
	if s.service == "" {
		return state, nil
	}
	out, err := a.client.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: &s.cluster, Services: []string{s.service}, Include: []types.ServiceField{types.ServiceFieldTags},
	})
	if err != nil {
		return onECS{}, fmt.Errorf("describe service: %w", err)
	}
	if len(out.Services) > 0 {
		state.service = &out.Services[0]
	}
	return state, nil
}

// call makes the call. A stop may be repeated, and a run has its token, so the client repeats both after a
// failure; each forced deployment is a new one.
func (a *account) call(ctx context.Context, c *callToECS) (began string, err error) {
	switch c.kind {
	case Stop:
		_, err := a.client.StopTask(ctx, &ecs.StopTaskInput{Cluster: &c.cluster, Task: &c.task, Reason: &c.reason})
		return "", said("StopTask", err)
	case Run:
		return a.run(ctx, c)
	}
	out, err := a.client.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &c.cluster, Service: &c.service, ForceNewDeployment: true},
		func(o *ecs.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", said("UpdateService", err)
	}
	return primary(out.Service), nil
}

func (a *account) run(ctx context.Context, c *callToECS) (string, error) {
	out, err := a.client.RunTask(ctx, runInput(c))
	switch {
	case err != nil:
		return "", said("RunTask", err)
	case len(out.Tasks) > 0:
		return path.Base(aws.ToString(out.Tasks[0].TaskArn)), nil
	case len(out.Failures) > 0:
		f := out.Failures[0]
		return "", fmt.Errorf("RunTask %w: %s", errRefused, strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail)))
	}
	return "", fmt.Errorf("RunTask %w: no task and no reason", errRefused)
}

// said is the error of a call, by its code: the text of a refused RunTask may repeat overrides, which hold
// the environment. A refusal is what the server blames on the request, or a throttle.
func said(call string, err error) error {
	var api smithy.APIError
	var answer *awshttp.ResponseError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &api):
		return fmt.Errorf("%s without an answer: %w", call, err)
	case errors.As(err, &answer) && answer.HTTPStatusCode() < http.StatusInternalServerError:
		if call == "RunTask" {
			return fmt.Errorf("RunTask %w: %s", errRefused, api.ErrorCode())
		}
		return fmt.Errorf("%s %w: %s: %s", call, errRefused, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%s failed at ECS: %s", call, api.ErrorCode())
}
