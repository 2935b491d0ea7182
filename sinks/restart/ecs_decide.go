package restart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// tagRestart is what a service or task on ECS opts in with; labelRestart as a tag is the same.
const tagRestart = "bellbuoy:restart"

// More values that the tag may have: enabled asks for what is safe, disabled is off. With on-failure and
// always, a standalone task that failed by itself is run once more, too.
const (
	wantEnabled  = "enabled"
	wantDisabled = "disabled"
)

// The rules that refuse on ECS besides those of other runtimes. They are asked in the order of the guards
// in allowedOnECS, and then RuleCooldown, RuleAccountBudget and RuleBreaker.
const (
	RuleInactive      = "inactive"
	RuleStandalone    = "standalone"
	RuleFamily        = "family"
	RuleClass         = "class"
	RuleNetwork       = "network"
	RuleScaledToZero  = "scaled_to_zero"
	RuleController    = "controller"
	RuleDeployment    = "deployment"
	RuleCapacity      = "capacity"
	RuleStopping      = "stopping"
	RuleCooldown      = "cooldown"
	RuleAccountBudget = "account_budget"
	RuleBreaker       = "breaker"
)

// onECS is what ECS tells of the subject of an event now.
type onECS struct {
	// task is nil if ECS does not know it, or the event is about a service.
	task *types.Task
	// service is nil for a standalone task and if ECS does not know it.
	service *types.Service
}

// caseOnECS is an event with all that is known when it is decided on.
type caseOnECS struct {
	e        *event.Event
	kind     Kind
	now      time.Time
	state    onECS
	attempts []Attempt
	gaveUp   *gaveUp
	// affordable says that the budget of the account has room, or that the event has its share already.
	affordable bool
	cfg        ECS
	maxAge     time.Duration
}

// kindOnECS returns what an event of ECS can lead to, or nothing.
func kindOnECS(e *event.Event) Kind {
	switch s := e.Data.Service; {
	case e.Type == event.TaskUnhealthy && e.Data.Task != nil:
		return Stop
	case e.Type == event.TaskStopped && e.Data.Task != nil:
		return Run
	case e.Type == event.ServiceUpdated && s != nil && (s.Event == serviceBelow || s.Event == serviceImpaired):
		return Redeploy
	}
	return ""
}

// The events of a service that doesn't get its tasks to run.
const (
	serviceBelow    = "below_desired"
	serviceImpaired = "SERVICE_TASK_START_IMPAIRED"
)

func troubleOf(s *event.Service) string {
	if s.Event == serviceImpaired {
		return "its tasks do not start"
	}
	if s.Counts == nil {
		return "fewer tasks run than wanted"
	}
	return fmt.Sprintf("%d of %d tasks run", s.Counts.Running, s.Counts.Desired)
}

// decideOnECS says what to do about an event of ECS. It is pure; the first guard that refuses wins.
func decideOnECS(c *caseOnECS) Decision {
	if rule, reason := c.allowed(); rule != "" {
		return c.refused(rule, reason)
	}
	return c.spend()
}

// allowed asks everything but what actions before this one have spent.
func (c *caseOnECS) allowed() (rule, reason string) {
	for _, refuse := range []func() (rule, reason string){
		c.missing,
		c.optedOut,
		c.foreign,
		c.unwanted,
		func() (string, string) { return outdated(c.e, c.now, c.maxAge) },
		func() (string, string) { return repeated(c.e, c.attempts) },
		c.unfit,
		c.deploying,
		c.movedOn,
		c.short,
	} {
		if rule, reason := refuse(); rule != "" {
			return rule, reason
		}
	}
	return "", ""
}

// refused tells a refusal, unless nobody asked for anything, or ECS itself does what is needed.
func (c *caseOnECS) refused(rule, reason string) Decision {
	d := Decision{Rule: rule, Reason: reason}
	switch rule {
	case RuleStopping:
		d.Wait = pollECS
	case RuleOwnAction, RuleDuplicate, RuleNotOptedIn:
		d.Silent = true
	default:
		d.Silent = !c.asked() || c.kind == Run && c.ofService()
	}
	return d
}

// want is what the tag says: that of the task, of its service, or, where a stopped task has lost its tags,
// what the event knew of them.
func (c *caseOnECS) want() string {
	if t := c.state.task; t != nil {
		if want := wantOf(t.Tags); want != "" {
			return want
		}
	}
	if s := c.state.service; s != nil {
		return wantOf(s.Tags)
	}
	for _, key := range [...]string{tagRestart, labelRestart} {
		if want := c.e.Data.Labels[key]; want != "" {
			return want
		}
	}
	return ""
}

func wantOf(tags []types.Tag) string {
	for _, key := range [...]string{tagRestart, labelRestart} {
		for _, tag := range tags {
			if aws.ToString(tag.Key) == key {
				return aws.ToString(tag.Value)
			}
		}
	}
	return ""
}

// asked tells whether somebody wants anything, a value with a slip included.
func (c *caseOnECS) asked() bool {
	want := c.want()
	return want != "" && want != wantOff && want != wantDisabled
}

// ofService tells whether a service runs the task.
func (c *caseOnECS) ofService() bool {
	t := c.state.task
	return t != nil && serviceOf(t) != "" || c.e.Data.Task != nil && strings.HasPrefix(c.e.Data.Task.StartedBy, "ecs-svc/")
}

// serviceOf is the name of the service that runs the task; empty for a standalone one.
func serviceOf(t *types.Task) string {
	name, ok := strings.CutPrefix(aws.ToString(t.Group), "service:")
	if !ok {
		return ""
	}
	return name
}

// missing refuses what ECS does not know, or is about to remove.
func (c *caseOnECS) missing() (rule, reason string) {
	s := c.state.service
	switch {
	case c.kind != Redeploy && c.state.task == nil:
		return RuleGone, "ECS does not know the task any more"
	case c.kind == Run:
		return "", ""
	case c.kind == Stop && serviceOf(c.state.task) == "":
		return RuleStandalone, "no service runs it, so nothing would replace it"
	case s == nil:
		return RuleGone, "ECS does not know the service any more"
	case aws.ToString(s.Status) != "ACTIVE":
		return RuleInactive, "its service is " + strings.ToLower(aws.ToString(s.Status))
	}
	return "", ""
}

// optedOut asks whether the tag wants this kind of action.
func (c *caseOnECS) optedOut() (rule, reason string) {
	switch want := c.want(); want {
	case "", wantOff, wantDisabled:
	case wantEnabled, wantAlways:
		return "", ""
	case wantOnFailure:
		if c.kind == Run {
			return "", ""
		}
	case wantUnhealthy:
		if c.kind == Stop {
			return "", ""
		}
	default:
		return RuleBadLabel, fmt.Sprintf("tag %s is %.40q; write enabled, disabled, on-failure, unhealthy or always", tagRestart, want)
	}
	return RuleNotOptedIn, "tag " + tagRestart + " does not ask for it"
}

// foreign refuses a stopped task that somebody else starts again.
func (c *caseOnECS) foreign() (rule, reason string) {
	if c.kind != Run {
		return "", ""
	}
	t := c.state.task
	if c.ofService() {
		return RuleOwner, "its service replaces it"
	}
	if strings.HasPrefix(c.e.Data.Scope, "AWSBatch-") || strings.Contains(c.e.Data.Scope, "_Batch_") {
		return RuleOwner, "AWS Batch judges and repeats its jobs itself"
	}
	if by := orchestrator(aws.ToString(t.StartedBy)); by != "" {
		return RuleOwner, by + " started it and decides whether it runs once more"
	}
	if family := familyOf(t); !slices.Contains(c.cfg.Families, family) {
		return RuleFamily, fmt.Sprintf("family %.80q is not among ecs.families of the handler", family)
	}
	return setupOnECS(t, c.cfg)
}

// orchestrator names who starts tasks by this startedBy and looks after them; empty for a person, a script
// or a restart handler.
func orchestrator(startedBy string) string {
	by := strings.ToLower(startedBy)
	for _, o := range [...]struct{ prefix, name string }{
		{"aws step functions", "AWS Step Functions"},
		{"aws batch", "AWS Batch"},
		{"aws", "another AWS service"},
		{"events-rule/", "a rule of EventBridge"},
		{"chronos-schedule/", "a schedule of EventBridge"},
		{"ecs-svc/", "a service"},
		{"airflow", "Airflow"},
	} {
		if strings.HasPrefix(by, o.prefix) {
			return o.name
		}
	}
	return ""
}

// lostClasses are the causes that another start on the same definition may well not meet.
var lostClasses = [...]string{
	"spot.interruption", "host.lost", "infra.health", "infra.maintenance",
	"start.image.ratelimit", "start.image.network", "start.secrets.network", "start.network",
}

// unwanted refuses to run what somebody stopped, or what would end the same way.
func (c *caseOnECS) unwanted() (rule, reason string) {
	cause := c.e.Data.Cause
	switch {
	case c.kind != Run:
		return "", ""
	case cause == nil:
		return RuleExpected, "it is not known why it stopped"
	case cause.Initiator == "handler":
		return RuleOwnAction, "a restart handler stopped it"
	case cause.Initiator == "user", strings.HasPrefix(cause.Class, "user."):
		return RuleOperator, "an operator stopped it: " + cause.Say
	case slices.Contains(lostClasses[:], cause.Class):
		return "", ""
	case cause.Expected:
		return RuleExpected, "the stop was expected: " + cause.Say
	case cause.Class != "exit.error" && cause.Class != "oom":
		return RuleClass, "a stop of class " + cause.Class + " would most likely come again: " + cause.Say
	}
	if want := c.want(); want != wantOnFailure && want != wantAlways {
		return RuleClass, "it failed by itself, and tag " + tagRestart + " is neither on-failure nor always: " + cause.Say
	}
	return "", ""
}
