package restart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// How long ECS may take.
const (
	replaceTimeout  = 10 * time.Minute // for a task that stops, and one that starts
	redeployTimeout = 30 * time.Minute
	// consistentAfter is how long ECS may not show yet what it has answered.
	consistentAfter = time.Minute
)

// verdict is how an action turned out; pending as long as that is not known.
type verdict struct {
	outcome event.Type
	says    string
}

func pending() verdict            { return verdict{} }
func worked(says string) verdict  { return verdict{event.ActionSucceeded, says} }
func failed(says string) verdict  { return verdict{event.ActionFailed, says} }
func (v verdict) isPending() bool { return v.outcome == "" }

// verifyOnECS ends the attempt when its effect is there, or has been waited for long enough.
func (h *Handler) verifyOnECS(ctx context.Context, e *event.Event, r *record, a *Attempt, p platform) error {
	s := subjectOnECS(e)
	if a.Kind == Run {
		s.task = a.NewRun
	}
	state, err := lookAt(ctx, p, s)
	if err != nil {
		return err
	}
	age := time.Since(a.Begun)
	var v verdict
	switch a.Kind {
	case Stop:
		v = h.replaced(ctx, e, p, &state, age)
	case Run:
		v = runs(state.task, age, h.cfg.VerifyAfter)
	default:
		v = deployed(state.service, a.NewRun, age)
	}
	if v.isPending() {
		return again(pollECS, "ECS is at it")
	}
	return h.end(ctx, e, r, a, v.outcome, "", v.says)
}

// replaced judges the stop of a task of a service. ECS forgets a stopped task after a while, and with it
// which service it was of; the event knows that.
func (h *Handler) replaced(ctx context.Context, e *event.Event, p platform, s *onECS, age time.Duration) verdict {
	if s.service == nil && s.task == nil {
		if state, err := lookAt(ctx, p, subject{cluster: e.Data.Scope, service: e.Data.Workload}); err == nil {
			s.service = state.service
		}
	}
	return full(s, age, h.cfg.VerifyAfter)
}

// full judges a service of which a task was stopped: the task has to be gone, and as many to run as wanted.
func full(s *onECS, age, after time.Duration) verdict {
	gone := s.task == nil || hasStopped(s.task)
	switch {
	case s.service == nil || aws.ToString(s.service.Status) != "ACTIVE":
		return failed("its service is gone")
	case gone && age >= after && s.service.RunningCount >= s.service.DesiredCount:
		return worked(fmt.Sprintf("it was replaced: %d of %d tasks of its service run", s.service.RunningCount, s.service.DesiredCount))
	case age < replaceTimeout:
		return pending()
	case !gone:
		return failed(fmt.Sprintf("it has not stopped within %s", shortDuration(replaceTimeout)))
	}
	return failed(fmt.Sprintf("%d of %d tasks of its service run, %s after the stop", s.service.RunningCount, s.service.DesiredCount, shortDuration(replaceTimeout)))
}

// runs judges a new standalone task: it has to live for a while, or to have done its work.
func runs(t *types.Task, age, after time.Duration) verdict {
	switch {
	case t == nil && age < consistentAfter:
		return pending()
	case t == nil:
		return failed("ECS does not know the new task")
	case hasStopped(t) && completed(t):
		return worked("the new task has run to its end with exit code 0")
	case stopping(t):
		return failed("the new task ended: " + saidBy(t))
	case aws.ToString(t.LastStatus) == "RUNNING" && t.HealthStatus == types.HealthStatusUnhealthy:
		return failed("the health check of the new task fails")
	case aws.ToString(t.LastStatus) == "RUNNING" && t.StartedAt != nil && time.Since(*t.StartedAt) >= after:
		return worked("the new task runs")
	case age < replaceTimeout:
		return pending()
	}
	return failed(fmt.Sprintf("the new task is %s, %s after it was asked for", strings.ToLower(aws.ToString(t.LastStatus)), shortDuration(replaceTimeout)))
}

func completed(t *types.Task) bool {
	return t.StopCode == types.TaskStopCodeEssentialContainerExited && !slices.ContainsFunc(t.Containers, func(c types.Container) bool {
		return aws.ToInt32(c.ExitCode) != 0
	})
}

// saidBy is what ECS says of a stop, without what nobody may read.
func saidBy(t *types.Task) string {
	return brief(fmt.Errorf("%s: %s", t.StopCode, redact.Clean(aws.ToString(t.StoppedReason))))
}

// deployed judges a deployment.
func deployed(s *types.Service, id string, age time.Duration) verdict {
	if s == nil {
		return failed("the service is gone")
	}
	at := slices.IndexFunc(s.Deployments, func(d types.Deployment) bool { return aws.ToString(d.Id) == id })
	if at < 0 {
		if age < consistentAfter {
			return pending()
		}
		return failed("another deployment has taken the place of the new one")
	}
	d := &s.Deployments[at]
	switch {
	case d.RolloutState == types.DeploymentRolloutStateFailed:
		return failed("the new deployment failed: " + brief(fmt.Errorf("%s", redact.Clean(aws.ToString(d.RolloutStateReason)))))
	case d.RolloutState == types.DeploymentRolloutStateCompleted, d.RolloutState == "" && len(s.Deployments) == 1 && d.RunningCount >= d.DesiredCount:
		return worked(fmt.Sprintf("the new deployment is complete: %d of %d tasks run", s.RunningCount, s.DesiredCount))
	case age < redeployTimeout:
		return pending()
	}
	return failed(fmt.Sprintf("the new deployment is not complete after %s: %d of %d tasks run", shortDuration(redeployTimeout), d.RunningCount, d.DesiredCount))
}
