package cause

import (
	"slices"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Who can be the initiator.
const (
	byApp       = "app"
	byRuntime   = "runtime"
	byUser      = "user"
	byHost      = "host"
	byPlatform  = "platform"
	byScheduler = "scheduler"
	byHandler   = "handler"
	byUnknown   = "unknown"
)

// Docker returns the table for Docker containers.
func Docker() Table {
	return slices.Concat(own(), failedStarts(), daemonShutdown(), shutdowns(), deploys(), services(), health(), requests(), stops(), traces(), ends())
}

// Containerd returns the table for containerd tasks. containerd does not record who sends a signal, so
// set Evidence.NoKillRecord; a mark of whoever stopped the task is the only proof of a request.
func Containerd() Table {
	return slices.Concat(own(), failedStarts(), shutdowns(), deploys(), stops(), traces(), ends())
}

func own() Table {
	return Table{{
		Name: "own-action", When: when(ownAction()),
		Class: "handler.restart", Confidence: event.Fact, Initiator: byHandler, Expected: true,
		Say: "stopped by Bellbuoy's restart handler",
	}}
}

func failedStarts() Table {
	return Table{
		{
			Name: "start-failed-command", When: when(startFailed(), exitCode(126, 127)),
			Class: "start.error", Confidence: event.Fact, Initiator: byRuntime,
			Say:  "could not start: the command is missing or can't be executed ({code}): {error}",
			Next: "check the entrypoint, the command, its permissions and the architecture of the image",
		},
		{
			Name: "start-failed", When: when(startFailed()),
			Class: "start.error", Confidence: event.Fact, Initiator: byRuntime,
			Say:  "could not start: {error}",
			Next: "read the error; then check the mounts, networks, ports and devices that it asks for",
		},
	}
}

func daemonShutdown() Table {
	return Table{{
		Name: "daemon-shutdown", When: when(shutdown(), requested()),
		Class: "host.shutdown", Confidence: event.Likely, Initiator: byHost, Expected: true,
		Say: "stopped because the Docker daemon or the host shut down",
	}}
}

func shutdowns() Table {
	return Table{{
		Name: "shutdown-unseen", When: when(shutdown(), unseen()),
		Class: "host.shutdown", Confidence: event.Guess, Initiator: byHost, Expected: true,
		Say: "ended when the host or its runtime went down",
	}}
}

// deploys are the ends that make room for a new task of the workload. They go before bad health, because a deploy
// is often the answer to it.
func deploys() Table {
	return Table{
		{
			Name: "replaced-by-service", When: when(replaced(), ofService(), requestedOrUnclaimed()),
			Class: "deploy.replaced", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
			Say: "replaced in a deploy of its service",
		},
		{
			Name: "replaced", When: when(replaced(), requestedOrUnclaimed()),
			Class: "deploy.replaced", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "replaced in a deploy",
		},
	}
}

// services are the ends that an orchestrator wants.
func services() Table {
	return Table{{
		Name: "scaled-in", When: when(scaledIn(), requestedOrUnclaimed()),
		Class: "scheduler.scaling", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
		Say: "stopped because its service needs fewer tasks",
	}}
}

func health() Table {
	return Table{{
		Name: "health-kill", When: when(probed(), requested()),
		Class: "health.container", Confidence: event.Likely, Initiator: byUnknown,
		Say:  "stopped by request right after its health probe failed",
		Next: "read the output of the health probe, and find who stops unhealthy tasks",
	}}
}

// requests are the ends of which the signals are recorded.
func requests() Table {
	return Table{
		{
			Name: "service-stop", When: when(ofService(), requested(), gently()),
			Class: "scheduler.other", Confidence: event.Likely, Initiator: byScheduler, Expected: true,
			Say: "stopped by the scheduler of its service{sent}, {code}",
		},
		{
			Name: "removed-by-force", When: when(killed(), removed(), noStopEvent(), notAutoRemoved()),
			Class: "user.remove", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "removed by force{after}",
		},
		{
			Name: "stop-forced", When: when(requested(), killed(), gently()),
			Class: "user.stop", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "stopped by request; it did not obey in time and was killed{sent}",
		},
		{
			Name: "killed-by-request", When: when(requested(), killed()),
			Class: "user.kill", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "killed by request{sent}",
		},
	}
}

func stops() Table {
	return Table{{
		Name: "stop-obeyed", When: when(requested()),
		Class: "user.stop", Confidence: event.Likely, Initiator: byUser, Expected: true,
		Say: "stopped by request{sent}, {code}",
	}}
}

// traces are the ends of which only traces are left.
func traces() Table {
	return Table{
		{
			Name: "removed-unseen", When: when(unseen(), noCode(), removed(), notAutoRemoved()),
			Class: "user.remove", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "was removed while Bellbuoy could not see it; its exit code is not known",
		},
		{
			Name: "restarted-unseen", When: when(unseen(), noCode(), restarted(), notByPolicy()),
			Class: "user.stop", Confidence: event.Guess, Initiator: byUser, Expected: true,
			Say: "was restarted by hand or with the daemon while Bellbuoy could not see it",
		},
		{
			Name: "oom-unseen", When: when(noCode(), outOfMemory()),
			Class: "oom", Confidence: event.Guess, Initiator: byHost,
			Say:  "ended{after} with an out-of-memory kill in it; its exit code is not known",
			Next: "give it more memory, or find what grows",
		},
		{
			Name: "lost", When: when(unseen(), noCode()),
			Class: "unknown.lost", Confidence: event.Guess, Initiator: byUnknown,
			Say:  "ended while Bellbuoy could not see it; its exit code is not known",
			Next: "look at the log of the runtime and of the host for that time",
		},
	}
}

// ends are those that nobody is known to have asked for.
func ends() Table {
	return Table{
		{
			Name: "oom", When: when(exitCode(137), outOfMemory()),
			Class: "oom", Confidence: event.Fact, Initiator: byHost,
			Say:  "out of memory: killed by the kernel{after}",
			Next: "give it more memory, or find what grows",
		},
		{
			Name: "killed-unseen", When: when(exitCode(137)),
			Class: "exit.sigkill", Confidence: event.Guess, Initiator: byUnknown,
			Say:  "killed by SIGKILL{after}; no record says by whom, or whether its memory ran out",
			Next: "look at the kernel log for an out-of-memory kill, and for somebody who sends signals on the host",
		},
		{
			Name: "crash-signal", When: when(exitCode(132, 133, 134, 135, 136, 139, 159)),
			Class: "exit.signal", Confidence: event.Likely, Initiator: byApp,
			Say:  "crashed with {signal} ({code}){after}",
			Next: "read its log, look for a core dump, and for a change of the base image or the processor",
		},
		{
			Name: "signalled", When: when(signalCode()),
			Class: "exit.signal", Confidence: event.Guess, Initiator: byUnknown,
			Say:  "ended by {signal} ({code}){after}; no record says who sent it",
			Next: "find who sends the signal: a script or a supervisor on the host, or the task itself",
		},
		{
			Name: "service-ended", When: when(exitCode(0), forEver()),
			Class: "exit.ok", Confidence: event.Likely, Initiator: byApp,
			Say:  "ended by itself with {code}{after}, though it is meant to run for ever",
			Next: "check its command: a service must not end; give a job the restart policy no or on-failure",
		},
		{
			Name: "completed", When: when(exitCode(0)),
			Class: "exit.ok", Confidence: event.Fact, Initiator: byApp, Expected: true,
			Say: "completed with {code}{after}",
		},
		{
			Name: "failed-after-oom", When: when(anyCode(), outOfMemory()),
			Class: "exit.error", Confidence: event.Likely, Initiator: byApp,
			Say:  "{code}{after}; a child process was killed for memory",
			Next: "give it more memory, or find the child that grows; then read its log",
		},
		{
			Name: "failed", When: when(anyCode()),
			Class: "exit.error", Confidence: event.Fact, Initiator: byApp,
			Say:  "{code}{after}",
			Next: "read its log",
		},
	}
}
