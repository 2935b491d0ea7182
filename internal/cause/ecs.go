package cause

import (
	"slices"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// ECS returns the table for ECS tasks. It reads the words of ECS and of its agent, in Evidence.StopCode,
// StopReason and the Parts; on EC2 the reason of the stop mostly says nothing and the cause is in a container's.
// Stop requests come before failed starts, these before exit codes: with a stop request 137, 143 and 0 are
// by-products. Rows are called like their class, with a word more where a class has several. Tasks of AWS
// Batch get the same classes, but their stops are expected: Batch judges and repeats them itself.
func ECS() Table {
	t := slices.Concat(ecsOwn(), ecsPlatform(), ecsHealth(), ecsScheduler(), ecsUser(),
		ecsImages(), ecsSecrets(), ecsResources(), ecsRuntime(), ecsEnds())
	for i := range t {
		t[i].ecs = true
	}
	return t
}

// The kinds of stop that ECS tells, in lower case.
const (
	codeSpot        = "spotinterruption"
	codeNotice      = "terminationnotice"
	codeHealth      = "infrastructurehealth"
	codeScheduler   = "serviceschedulerinitiated"
	codeUser        = "userinitiated"
	codeFailedStart = "taskfailedtostart"
	codeExited      = "essentialcontainerexited"
)

func stopCode(words ...string) Test {
	lowered := make([]string, len(words))
	for i, w := range words {
		lowered[i] = lower(w)
	}
	return Test{"the stop code is " + oneOf(words), func(e *Evidence) bool { return e.stopCodeIs(lowered...) }}
}

func (e *Evidence) stopCodeIs(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(e.StopCode, w) })
}

// either holds if one of two tests does.
func either(a, b Test) Test {
	return Test{a.Text + ", or " + b.Text, func(e *Evidence) bool { return a.Holds(e) || b.Holds(e) }}
}

func takenBack() Test {
	return Test{"its host was taken back as Spot capacity", func(e *Evidence) bool { return e.Spot }}
}

func draining() Test {
	return Test{"its host was being drained or scaled in", func(e *Evidence) bool { return e.Draining }}
}

func ecsOwn() Table {
	t := own()
	t[0].Next = "nothing: the handler verifies that a new task runs"
	return t
}

// ecsPlatform are the stops that the platform or a host makes.
func ecsPlatform() Table {
	return Table{
		{
			Name: "spot.interruption", When: when(either(stopCode("SpotInterruption"), says(spotWords)[0])),
			Class: "spot.interruption", Confidence: event.Fact, Initiator: byPlatform, Expected: true,
			Say:  "interrupted, because its Spot capacity was taken back{ending}",
			Next: "a service replaces it; run a standalone task again, and see that it ends within 2 minutes of SIGTERM",
		},
		{
			Name: "host.lost.spot", When: when(stopSays(hostWords), takenBack()),
			Class: "host.lost", Confidence: event.Fact, Initiator: byHost, Expected: true,
			Say:  "stopped with {host}, which EC2 took back as Spot capacity{ending}",
			Next: "a service replaces it; run a standalone task again",
		},
		{
			Name: "host.lost.draining", When: when(stopSays(hostWords), draining()),
			Class: "host.lost", Confidence: event.Fact, Initiator: byHost, Expected: true,
			Say:  "stopped with {host}, which was being drained{ending}",
			Next: "nothing, if the drain was meant; a standalone task has to be run again",
		},
		{
			Name: "host.lost", When: when(stopSays(hostWords)),
			Class: "host.lost", Confidence: event.Fact, Initiator: byHost,
			Say:  "lost with {host}, which was stopped or terminated",
			Next: "look at the instance, its auto scaling group and EC2's Spot and status events",
		},
		{
			Name: "host.deregistered", When: when(stopSays(deregisterWords)),
			Class: "host.deregistered", Confidence: event.Fact, Initiator: byUser, Expected: true,
			Say:  "stopped, because {host} was deregistered by force{by}",
			Next: "ask CloudTrail for DeregisterContainerInstance to see who did it",
		},
		{
			Name: "infra.maintenance", When: when(stopSays(maintenanceWords)),
			Class: "infra.maintenance", Confidence: event.Fact, Initiator: byPlatform, Expected: true,
			Say:  "stopped for maintenance of the infrastructure below it{ending}",
			Next: "a service replaces it; run a standalone task again, and read the notice in AWS Health",
		},
		{
			Name: "infra.health", When: when(stopCode("InfrastructureHealth")),
			Class: "infra.health", Confidence: event.Fact, Initiator: byPlatform,
			Say:  "stopped, because the infrastructure below it was not healthy: {reason}",
			Next: "look at the health of the container instance; managed instances are repaired by AWS",
		},
		{
			Name: "infra.health.notice", When: when(stopCode("TerminationNotice")),
			Class: "infra.health", Confidence: event.Likely, Initiator: byPlatform,
			Say:  "stopped, because the infrastructure below it gave notice: {reason}",
			Next: "read the reason, and look at the container instance and at AWS Health",
		},
	}
}

// ecsHealth are the stops that the scheduler makes because of a check.
func ecsHealth() Table {
	return Table{
		{
			Name: "health.loadbalancer", When: when(stopSays(elbWords)),
			Class: "health.loadbalancer", Confidence: event.Fact, Initiator: byScheduler,
			Say:  "failed the health checks of {group}{after}{ending}",
			Next: "check the path, port and security group of the health check, the grace period of the service, then the app's log",
		},
		{
			Name: "health.container", When: when(stopSays(containerWords)),
			Class: "health.container", Confidence: event.Fact, Initiator: byScheduler,
			Say:  "failed its container health check{after}{ending}",
			Next: "check that the image has the command of the health check, its startPeriod and retries, then the app's log",
		},
	}
}

func ecsScheduler() Table {
	byScheduling := either(stopSays(scalingWords), stopCode("ServiceSchedulerInitiated"))
	return Table{
		{
			Name: "deploy.replaced", When: when(byScheduling, replaced()),
			Class: "deploy.replaced", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
			Say:  "replaced in a deploy of its service{ending}",
			Next: "nothing, while the deployment goes on; 137 means that it ignores SIGTERM",
		},
		{
			Name: "scheduler.scaling", When: when(stopSays(scalingWords)),
			Class: "scheduler.scaling", Confidence: event.Fact, Initiator: byScheduler, Expected: true,
			Say:  "stopped, because its service needs fewer tasks{ending}",
			Next: "nothing; 137 means that it ignores SIGTERM",
		},
		{
			Name: "scheduler.other.drain", When: when(stopCode("ServiceSchedulerInitiated"), draining()),
			Class: "scheduler.other", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
			Say:  "stopped, because its host is being drained{ending}",
			Next: "nothing: the service runs it elsewhere",
		},
		{
			Name: "scheduler.other", When: when(stopCode("ServiceSchedulerInitiated")),
			Class: "scheduler.other", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
			Say:  "stopped by the scheduler of its service: {reason}{ending}",
			Next: "read the reason and the events of the service",
		},
	}
}

func ecsUser() Table {
	return Table{{
		Name: "user.stop", When: when(either(stopCode("UserInitiated"), stopSays(byUserWords))),
		Class: "user.stop", Confidence: event.Fact, Initiator: byUser, Expected: true,
		Say:  "stopped by {requester}{asked}{ending}",
		Next: "ask CloudTrail for StopTask to see who did it, if that is not known",
	}}
}
