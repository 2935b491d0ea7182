package restart

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// unfit refuses a service that wants no task, or that another controller deploys.
func (c *caseOnECS) unfit() (rule, reason string) {
	s := c.state.service
	switch {
	case c.kind == Run:
		return "", ""
	case s.DesiredCount == 0:
		return RuleScaledToZero, "its service wants no task"
	case s.DeploymentController != nil && s.DeploymentController.Type != "" && s.DeploymentController.Type != types.DeploymentControllerTypeEcs:
		return RuleController, fmt.Sprintf("the deployments of its service are controlled by %s", s.DeploymentController.Type)
	}
	return "", ""
}

// deploying refuses while a deployment is under way or has failed: one task less could end it, and a new
// deployment would take its place.
func (c *caseOnECS) deploying() (rule, reason string) {
	if c.kind == Run {
		return "", ""
	}
	switch all := c.state.service.Deployments; {
	case len(all) != 1:
		return RuleDeployment, fmt.Sprintf("its service has %d deployments", len(all))
	case all[0].RolloutState == types.DeploymentRolloutStateInProgress:
		return RuleDeployment, "a deployment of its service is in progress"
	case all[0].RolloutState == types.DeploymentRolloutStateFailed:
		return RuleDeployment, "the last deployment of its service failed"
	}
	return "", ""
}

// movedOn refuses if the task or service is not any more what the event says.
func (c *caseOnECS) movedOn() (rule, reason string) {
	t, s := c.state.task, c.state.service
	switch c.kind {
	case Redeploy:
		if s.RunningCount >= s.DesiredCount {
			return RuleRecovered, fmt.Sprintf("%d of %d tasks run", s.RunningCount, s.DesiredCount)
		}
	case Stop:
		switch {
		case stopping(t):
			return RuleMovedOn, "it is stopped already"
		case aws.ToString(t.LastStatus) != "RUNNING":
			return RuleMovedOn, "it is " + strings.ToLower(aws.ToString(t.LastStatus))
		case t.HealthStatus != types.HealthStatusUnhealthy:
			return RuleRecovered, "its health check does not fail any more"
		}
	case Run:
		switch {
		case !stopping(t):
			return RuleMovedOn, "it runs"
		case !hasStopped(t):
			return RuleStopping, "it is still stopping"
		}
	}
	return "", ""
}

func stopping(t *types.Task) bool   { return aws.ToString(t.DesiredStatus) == "STOPPED" || hasStopped(t) }
func hasStopped(t *types.Task) bool { return aws.ToString(t.LastStatus) == "STOPPED" }

// short refuses to stop a hung task if too few of its service run. StopTask does not respect the minimum
// of the service. A task that hangs serves nobody, so one may be taken where the minimum is all of them.
func (c *caseOnECS) short() (rule, reason string) {
	s := c.state.service
	if c.kind != Stop {
		return "", ""
	}
	percent := int32(100)
	if d := s.DeploymentConfiguration; d != nil && d.MinimumHealthyPercent != nil {
		percent = *d.MinimumHealthyPercent
	}
	least := min((s.DesiredCount*percent+99)/100, s.DesiredCount-1)
	if s.RunningCount > least {
		return "", ""
	}
	return RuleCapacity, fmt.Sprintf("only %d of %d tasks of its service run, and %d must be left", s.RunningCount, s.DesiredCount, least)
}

// primary is the id of a service's newest deployment.
func primary(s *types.Service) string {
	if s == nil {
		return ""
	}
	for i := range s.Deployments {
		if aws.ToString(s.Deployments[i].Status) == "PRIMARY" {
			return aws.ToString(s.Deployments[i].Id)
		}
	}
	return ""
}
