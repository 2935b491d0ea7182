package restart

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var noonOnECS = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func tags(want string) []types.Tag {
	return []types.Tag{{Key: aws.String(tagRestart), Value: aws.String(want)}}
}

// eventOnECS is what a collector tells of pay, a service or a family, in cluster shop.
func eventOnECS(t event.Type, at time.Time) event.Event {
	e := event.Event{
		ID: event.NewID("test", string(t), at.String()), Type: t, Source: "arn:aws:ecs:eu-west-1:123456789012:cluster/shop", Time: at, Recorded: at,
		Subject: "shop/pay/t1", PartitionKey: "shop/pay/t1", Severity: event.Info,
		Data: event.Data{
			Site: "local", Runtime: event.ECS, Scope: "shop", Account: "123456789012", Region: "eu-west-1", Workload: "pay", Node: "i-1",
			Observed: event.ObservedStream,
		},
	}
	switch t {
	case event.ServiceUpdated:
		e.Data.Service = &event.Service{Name: "pay", Event: serviceBelow, Counts: &event.Counts{Desired: 3, Running: 1}}
	case event.TaskStopped:
		e.Data.Task = &event.Task{ID: "t1", Name: "pay", Run: "t1", State: event.StateStopped}
		e.Data.Cause = &event.Cause{Class: "spot.interruption", Confidence: event.Fact, Initiator: "platform", Expected: true, Say: "interrupted"}
	default:
		e.Data.Task = &event.Task{ID: "t1", Name: "pay", Run: "t1", State: event.StateUnhealthy}
	}
	return e
}

// hungTask is an unhealthy task of service pay, of which all run.
func hungTask() onECS {
	return onECS{
		task: &types.Task{
			TaskArn: aws.String("arn:aws:ecs:eu-west-1:123456789012:task/shop/t1"), Group: aws.String("service:pay"), LastStatus: aws.String("RUNNING"),
			DesiredStatus: aws.String("RUNNING"), HealthStatus: types.HealthStatusUnhealthy,
		},
		service: &types.Service{
			ServiceName: aws.String("pay"), Status: aws.String("ACTIVE"), DesiredCount: 3, RunningCount: 3, Tags: tags(wantEnabled),
			Deployments: []types.Deployment{{Id: aws.String("ecs-svc/1"), Status: aws.String("PRIMARY"), RolloutState: types.DeploymentRolloutStateCompleted}},
		},
	}
}

// lostTask is a stopped standalone task of family pay.
func lostTask() onECS {
	return onECS{task: &types.Task{
		TaskArn: aws.String("arn:aws:ecs:eu-west-1:123456789012:task/shop/t1"), Group: aws.String("family:pay"), LastStatus: aws.String("STOPPED"),
		DesiredStatus: aws.String("STOPPED"), TaskDefinitionArn: aws.String("arn:aws:ecs:eu-west-1:123456789012:task-definition/pay:7"),
		LaunchType: types.LaunchTypeEc2, Tags: tags(wantEnabled),
	}}
}

func caseFor(t event.Type) *caseOnECS {
	e := eventOnECS(t, noonOnECS)
	c := &caseOnECS{
		e: &e, kind: kindOnECS(&e), now: noonOnECS.Add(time.Second), affordable: true, maxAge: 10 * time.Minute,
		cfg: ECS{Families: []string{"pay"}, Redeploy: true},
	}
	switch c.kind {
	case Run:
		c.state = lostTask()
	case Redeploy:
		c.state = hungTask()
		c.state.task, c.state.service.RunningCount = nil, 1
	default:
		c.state = hungTask()
	}
	return c
}

// Each guard refuses with its rule. The guards stand in the order of the table, and an earlier one wins.
func TestGuardsOnECS(t *testing.T) {
	const sick, lost, below = event.TaskUnhealthy, event.TaskStopped, event.ServiceUpdated
	for _, g := range []struct {
		name   string
		on     event.Type
		rule   string
		silent bool
		change func(c *caseOnECS)
	}{
		{"allowed", sick, RuleAllowed, false, func(*caseOnECS) {}},
		{"allowed", lost, RuleAllowed, false, func(*caseOnECS) {}},
		{"allowed", below, RuleAllowed, false, func(*caseOnECS) {}},

		{"task unknown, nobody asked", sick, RuleGone, true, func(c *caseOnECS) { c.state = onECS{} }},
		{"task unknown, the event knows the tag", sick, RuleGone, false, func(c *caseOnECS) {
			c.state, c.e.Data.Labels = onECS{}, map[string]string{tagRestart: wantEnabled}
		}},
		{"standalone and hung", sick, RuleStandalone, false, func(c *caseOnECS) {
			c.state.task.Group, c.state.task.Tags = aws.String("family:pay"), tags(wantEnabled)
		}},
		{"service unknown", below, RuleGone, true, func(c *caseOnECS) { c.state = onECS{} }},
		{"service draining", sick, RuleInactive, false, func(c *caseOnECS) { c.state.service.Status = aws.String("DRAINING") }},
		{"service draining", below, RuleInactive, false, func(c *caseOnECS) { c.state.service.Status = aws.String("INACTIVE") }},

		{"no tag", sick, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.service.Tags = nil }},
		{"off", sick, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.service.Tags = tags(wantOff) }},
		{"disabled", below, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.service.Tags = tags(wantDisabled) }},
		{"failures only", sick, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.service.Tags = tags(wantOnFailure) }},
		{"probes only", lost, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.task.Tags = tags(wantUnhealthy) }},
		{"the task says no", sick, RuleNotOptedIn, true, func(c *caseOnECS) { c.state.task.Tags = tags(wantOff) }},
		{"probes only", sick, RuleAllowed, false, func(c *caseOnECS) { c.state.service.Tags = tags(wantUnhealthy) }},
		{"always", sick, RuleAllowed, false, func(c *caseOnECS) { c.state.service.Tags = tags(wantAlways) }},
		{"the form of a label", sick, RuleAllowed, false, func(c *caseOnECS) {
			c.state.service.Tags = []types.Tag{{Key: aws.String(labelRestart), Value: aws.String(wantEnabled)}}
		}},
		{"tags gone, the event knew them", lost, RuleAllowed, false, func(c *caseOnECS) {
			c.state.task.Tags, c.e.Data.Labels = nil, map[string]string{labelRestart: wantEnabled}
		}},
		{"a slip", sick, RuleBadLabel, false, func(c *caseOnECS) { c.state.service.Tags = tags("yes") }},

		{"a stopped task of a service", lost, RuleOwner, true, func(c *caseOnECS) { c.state.task.Group = aws.String("service:pay") }},
		{"started by a deployment", lost, RuleOwner, true, func(c *caseOnECS) { c.e.Data.Task.StartedBy = "ecs-svc/1" }},
		{"Batch", lost, RuleOwner, false, func(c *caseOnECS) { c.e.Data.Scope = "AWSBatch-jobs-1" }},
		{"Step Functions", lost, RuleOwner, false, func(c *caseOnECS) { c.state.task.StartedBy = aws.String("AWS Step Functions") }},
		{"a rule", lost, RuleOwner, false, func(c *caseOnECS) { c.state.task.StartedBy = aws.String("events-rule/nightly") }},
		{"a schedule", lost, RuleOwner, false, func(c *caseOnECS) { c.state.task.StartedBy = aws.String("chronos-schedule/nightly") }},
		{"a person", lost, RuleAllowed, false, func(c *caseOnECS) { c.state.task.StartedBy = aws.String("ci-17") }},
		{"a handler", lost, RuleAllowed, false, func(c *caseOnECS) { c.state.task.StartedBy = aws.String("bellbuoy/healer") }},
		{"family not allowed", lost, RuleFamily, false, func(c *caseOnECS) { c.cfg.Families = nil }},
		{"volume", lost, RuleSetup, false, func(c *caseOnECS) {
			c.state.task.Attachments = []types.Attachment{{Type: aws.String("AmazonElasticBlockStorage")}}
		}},
		{"security groups unknown", lost, RuleNetwork, false, func(c *caseOnECS) { c.state.task.LaunchType = types.LaunchTypeFargate }},
		{"security groups known", lost, RuleAllowed, false, func(c *caseOnECS) {
			c.state.task.LaunchType = types.LaunchTypeFargate
			c.cfg.Networks = map[string]Network{"pay": {SecurityGroups: []string{"sg-1"}}}
		}},

		{"own stop", lost, RuleOwnAction, true, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "handler.restart", Initiator: "handler", Expected: true, Say: "stopped by healer"}
		}},
		{"by a user", lost, RuleOperator, false, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "user.stop", Initiator: "user", Expected: true, Say: "stopped by alice"}
		}},
		{"cause unknown", lost, RuleExpected, false, func(c *caseOnECS) { c.e.Data.Cause = nil }},
		{"done", lost, RuleExpected, false, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "exit.zero.standalone", Initiator: "app", Expected: true, Say: "completed"}
		}},
		{"no image", lost, RuleClass, false, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "start.image.notfound", Initiator: "runtime", Say: "it ended"}
		}},
		{"rate limit", lost, RuleAllowed, false, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "start.image.ratelimit", Initiator: "runtime", Say: "it ended"}
		}},
		{"failed", lost, RuleClass, false, func(c *caseOnECS) {
			c.e.Data.Cause = &event.Cause{Class: "exit.error", Initiator: "app", Say: "it ended"}
		}},
		{"failed, asked for", lost, RuleAllowed, false, func(c *caseOnECS) {
			c.e.Data.Cause, c.state.task.Tags = &event.Cause{Class: "exit.error", Initiator: "app", Say: "it ended"}, tags(wantOnFailure)
		}},
		{"out of memory, asked for", lost, RuleAllowed, false, func(c *caseOnECS) {
			c.e.Data.Cause, c.state.task.Tags = &event.Cause{Class: "oom", Initiator: "host", Say: "it ended"}, tags(wantAlways)
		}},

		{"old", sick, RuleTooOld, false, func(c *caseOnECS) { c.now = c.e.Time.Add(11 * time.Minute) }},
		{"recorded", below, RuleReplay, false, func(c *caseOnECS) { c.e.Data.Observed = event.ObservedReplay }},
		{"told twice", sick, RuleDuplicate, true, func(c *caseOnECS) { c.attempts = []Attempt{{Key: keyOf(c.e), Trigger: "another"}} }},

		{"scaled to zero", below, RuleScaledToZero, false, func(c *caseOnECS) { c.state.service.DesiredCount = 0 }},
		{"CodeDeploy", sick, RuleController, false, func(c *caseOnECS) {
			c.state.service.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		}},
		{"controller ECS", sick, RuleAllowed, false, func(c *caseOnECS) {
			c.state.service.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeEcs}
		}},
		{"two deployments", below, RuleDeployment, false, func(c *caseOnECS) {
			c.state.service.Deployments = append(c.state.service.Deployments, types.Deployment{})
		}},
		{"no deployment", below, RuleDeployment, false, func(c *caseOnECS) { c.state.service.Deployments = nil }},
		{"deployment in progress", sick, RuleDeployment, false, func(c *caseOnECS) {
			c.state.service.Deployments[0].RolloutState = types.DeploymentRolloutStateInProgress
		}},
		{"deployment failed", below, RuleDeployment, false, func(c *caseOnECS) {
			c.state.service.Deployments[0].RolloutState = types.DeploymentRolloutStateFailed
		}},

		{"healthy again", sick, RuleRecovered, false, func(c *caseOnECS) { c.state.task.HealthStatus = types.HealthStatusHealthy }},
		{"stopped meanwhile", sick, RuleMovedOn, false, func(c *caseOnECS) { c.state.task.DesiredStatus = aws.String("STOPPED") }},
		{"starting", sick, RuleMovedOn, false, func(c *caseOnECS) { c.state.task.LastStatus = aws.String("PENDING") }},
		{"all run", below, RuleRecovered, false, func(c *caseOnECS) { c.state.service.RunningCount = 3 }},
		{"runs", lost, RuleMovedOn, false, func(c *caseOnECS) {
			c.state.task.LastStatus, c.state.task.DesiredStatus = aws.String("RUNNING"), aws.String("RUNNING")
		}},
		{"still stopping", lost, RuleStopping, false, func(c *caseOnECS) { c.state.task.LastStatus = aws.String("DEPROVISIONING") }},

		{"one is missing already", sick, RuleCapacity, false, func(c *caseOnECS) { c.state.service.RunningCount = 2 }},
		{"one may be missing", sick, RuleAllowed, false, func(c *caseOnECS) {
			c.state.service.RunningCount = 2
			c.state.service.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(33)}
		}},
		{"the only one", sick, RuleAllowed, false, func(c *caseOnECS) { c.state.service.DesiredCount, c.state.service.RunningCount = 1, 1 }},

		{"account's budget", sick, RuleAccountBudget, false, func(c *caseOnECS) { c.affordable = false }},
		{"account's budget", lost, RuleAccountBudget, false, func(c *caseOnECS) { c.affordable = false }},
	} {
		t.Run(g.on.Kind()+" "+g.name, func(t *testing.T) {
			c := caseFor(g.on)
			g.change(c)
			d := decideOnECS(c)
			require.Equal(t, g.rule, d.Rule, d.Reason)
			require.NotEmpty(t, d.Reason)
			require.Equal(t, g.silent, d.Silent)
			require.Equal(t, g.rule == RuleAllowed, d.Kind != "")
			require.Equal(t, g.rule == RuleStopping, d.Wait > 0)
		})
	}
}

// The guards in the order that is documented: whatever else is wrong, the first one is told.
func TestGuardsOnECSStandInOrder(t *testing.T) {
	c := caseFor(event.TaskUnhealthy)
	s := c.state.service
	rule := func() string { return decideOnECS(c).Rule }
	c.attempts = acted(noonOnECS, -30*time.Minute, -20*time.Minute, -15*time.Minute)
	require.Equal(t, RuleBreaker, rule())
	c.affordable = false
	require.Equal(t, RuleAccountBudget, rule())
	c.attempts = acted(noonOnECS, -5*time.Minute)
	require.Equal(t, RuleCooldown, rule())
	s.Deployments = nil
	require.Equal(t, RuleDeployment, rule())
	s.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeExternal}
	require.Equal(t, RuleController, rule())
	s.DesiredCount = 0
	require.Equal(t, RuleScaledToZero, rule())
	s.Tags = nil
	require.Equal(t, RuleNotOptedIn, rule())
	s.Status = aws.String("DRAINING")
	require.Equal(t, RuleInactive, rule())
}

// acted are actions on the service that did not help, at times before now.
func acted(now time.Time, at ...time.Duration) []Attempt {
	var all []Attempt
	for _, d := range at {
		all = append(all, Attempt{
			Key: d.String(), Kind: Stop, Task: "t0", Trigger: d.String(), Phase: ended, Outcome: event.ActionFailed, Claimed: now.Add(d), Tried: now.Add(d), Ended: now.Add(d),
		})
	}
	return all
}

// The distance doubles, three actions within an hour are all, and ten good minutes are a new beginning.
func TestSpendingOnECS(t *testing.T) {
	for name, g := range map[string]struct {
		attempts []Attempt
		gaveUp   *gaveUp
		rule     string
		number   int64
	}{
		"first":                    {nil, nil, RuleAllowed, 1},
		"too soon":                 {acted(noonOnECS, -9*time.Minute), nil, RuleCooldown, 0},
		"second":                   {acted(noonOnECS, -11*time.Minute), nil, RuleAllowed, 2},
		"too soon for a third":     {acted(noonOnECS, -31*time.Minute, -19*time.Minute), nil, RuleCooldown, 0},
		"third":                    {acted(noonOnECS, -41*time.Minute, -21*time.Minute), nil, RuleAllowed, 3},
		"broken":                   {acted(noonOnECS, -51*time.Minute, -41*time.Minute, -21*time.Minute), nil, RuleBreaker, 3},
		"an hour later":            {acted(noonOnECS, -3*time.Hour, -2*time.Hour, -61*time.Minute), nil, RuleAllowed, 1},
		"given up and no rest":     {acted(noonOnECS, -3*time.Hour), &gaveUp{At: noonOnECS.Add(-2 * time.Hour), Seen: noonOnECS.Add(-50 * time.Minute)}, RuleBreaker, 0},
		"given up, an hour's rest": {acted(noonOnECS, -3*time.Hour), &gaveUp{At: noonOnECS.Add(-2 * time.Hour)}, RuleAllowed, 1},
		"taken back":               {taken(acted(noonOnECS, -time.Minute)), nil, RuleAllowed, 1},
		"helped":                   {helping(acted(noonOnECS, -50*time.Minute, -40*time.Minute, -20*time.Minute), 0), nil, RuleAllowed, 1},
		"helped for a while":       {helping(acted(noonOnECS, -50*time.Minute, -40*time.Minute, -21*time.Minute), 9*time.Minute), nil, RuleBreaker, 3},
		"a run of the family":      {[]Attempt{{Kind: Run, Claimed: noonOnECS, Tried: noonOnECS, Phase: ended}}, nil, RuleAllowed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := caseFor(event.TaskUnhealthy)
			c.now, c.e.Time, c.attempts, c.gaveUp = noonOnECS, noonOnECS, g.attempts, g.gaveUp
			d := decideOnECS(c)
			require.Equal(t, g.rule, d.Rule, d.Reason)
			require.Equal(t, g.number, d.Attempt)
		})
	}
}

func taken(all []Attempt) []Attempt {
	all[0].Outcome = event.ActionDenied
	return all
}

// helping makes the actions succeed, with trouble so long after each; 0 is none so far.
func helping(all []Attempt, trouble time.Duration) []Attempt {
	for i := range all {
		all[i].Outcome = event.ActionSucceeded
		if trouble > 0 {
			all[i].Sick = all[i].Ended.Add(trouble)
		}
	}
	return all
}

// What a handler has run and the platform lost again is run again after a while, three times in a row.
func TestRunsInARowOnECS(t *testing.T) {
	ran := func(from, to string) Attempt {
		return Attempt{Key: from, Task: from, NewRun: to, Kind: Run, Phase: ended, Outcome: event.ActionSucceeded, Claimed: noonOnECS, Tried: noonOnECS, Ended: noonOnECS}
	}
	c := caseFor(event.TaskStopped)
	others := []Attempt{ran("x1", "x2"), ran("y1", "y2"), ran("z1", "z2"), ran("z2", "z3")}
	for n, row := range [][]Attempt{{}, {ran("a", "t1")}, {ran("a", "b"), ran("b", "t1")}} {
		c.attempts = append(row, others...)
		d := decideOnECS(c)
		require.Equal(t, RuleAllowed, d.Rule, d.Reason)
		require.EqualValues(t, n+1, d.Attempt)
		require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}[n], d.Delay)
	}
	c.attempts = append([]Attempt{ran("a", "b"), ran("b", "c"), ran("c", "t1")}, others...)
	require.Equal(t, RuleBreaker, decideOnECS(c).Rule)
	c.e.Time, c.now = noonOnECS.Add(20*time.Minute), noonOnECS.Add(20*time.Minute)
	require.Equal(t, RuleAllowed, decideOnECS(c).Rule, "the last one lived for long enough")
}

func TestPurse(t *testing.T) {
	p := purse{Left: accountBurst}
	for i := range accountBurst {
		require.True(t, p.affords(number(i), noonOnECS))
		p.Left, p.At, p.Paid = p.at(noonOnECS)-1, noonOnECS, append(p.Paid, number(i))
	}
	require.False(t, p.affords("one more", noonOnECS.Add(59*time.Second)))
	require.True(t, p.affords("3", noonOnECS), "it has paid")
	require.True(t, p.affords("one more", noonOnECS.Add(time.Minute)))
	require.InDelta(t, accountBurst, p.at(noonOnECS.Add(time.Hour)), 0)
}
