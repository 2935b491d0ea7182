package cause

import "github.com/bellbuoy/bellbuoy/schemas/event"

// Who can be the initiator.
const (
	byApp     = "app"
	byRuntime = "runtime"
	byUser    = "user"
	byHost    = "host"
	byHandler = "handler"
	byUnknown = "unknown"
)

// Docker returns the table for Docker containers.
func Docker() Table {
	var t Table
	t = append(t, dockerRequests()...)
	t = append(t, dockerUnseen()...)
	return append(t, dockerEnds()...)
}

// dockerRequests are the ends that somebody asked for, and starts that failed.
func dockerRequests() []Rule {
	return []Rule{
		{
			Name: "own-action", When: func(e *Evidence) bool { return e.OwnAction },
			Class: "handler.restart", Confidence: event.Fact, Initiator: byHandler, Expected: true,
			Say: "stopped by Bellbuoy's restart handler",
		},
		{
			Name: "start-failed-command", When: func(e *Evidence) bool { return e.StartFailed && e.code(126, 127) },
			Class: "start.error", Confidence: event.Fact, Initiator: byRuntime,
			Say: "could not start: the command is missing or can't be executed ({code}): {error}",
		},
		{
			Name: "start-failed", When: func(e *Evidence) bool { return e.StartFailed },
			Class: "start.error", Confidence: event.Fact, Initiator: byRuntime,
			Say: "could not start: {error}",
		},
		{
			Name: "daemon-shutdown", When: func(e *Evidence) bool { return e.Shutdown && e.requested() },
			Class: "host.shutdown", Confidence: event.Likely, Initiator: byHost, Expected: true,
			Say: "stopped because the Docker daemon or the host shut down",
		},
		{
			Name: "health-kill", When: func(e *Evidence) bool { return e.probed() && e.requested() },
			Class: "health.container", Confidence: event.Likely, Initiator: byUnknown,
			Say: "stopped by request right after its health probe failed",
		},
		{
			Name: "removed-by-force", When: func(e *Evidence) bool { return e.killed() && e.Removed && !e.StopEvent && !e.AutoRemove },
			Class: "user.remove", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "removed by force{after}",
		},
		{
			Name: "stop-forced", When: func(e *Evidence) bool { return e.requested() && e.killed() && (e.asked() || e.StopEvent) },
			Class: "user.stop", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "stopped by request; it did not obey in time and was killed ({sent})",
		},
		{
			Name: "killed-by-request", When: func(e *Evidence) bool { return e.requested() && e.killed() },
			Class: "user.kill", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "killed by request ({sent})",
		},
		{
			Name: "stop-obeyed", When: (*Evidence).requested,
			Class: "user.stop", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "stopped by request ({sent}), {code}",
		},
	}
}

// dockerUnseen are the ends of which only traces are left.
func dockerUnseen() []Rule {
	gone := func(e *Evidence) bool { return e.ExitCode == nil && e.Unseen }
	return []Rule{
		{
			Name: "removed-unseen", When: func(e *Evidence) bool { return gone(e) && e.Removed && !e.AutoRemove },
			Class: "user.remove", Confidence: event.Likely, Initiator: byUser, Expected: true,
			Say: "was removed while Bellbuoy could not see it; its exit code is not known",
		},
		{
			Name: "restarted-unseen", When: func(e *Evidence) bool { return gone(e) && e.Restarted && !e.PolicyRestarted },
			Class: "user.stop", Confidence: event.Guess, Initiator: byUser, Expected: true,
			Say: "was restarted by hand or with the daemon while Bellbuoy could not see it",
		},
		{
			Name: "lost", When: gone,
			Class: "unknown.lost", Confidence: event.Guess, Initiator: byUnknown,
			Say: "ended while Bellbuoy could not see it; its exit code is not known",
		},
	}
}

// dockerEnds are the ends that nobody asked for.
func dockerEnds() []Rule {
	return []Rule{
		{
			Name: "oom", When: func(e *Evidence) bool { return e.oom() && e.code(128+sigKill) },
			Class: "oom", Confidence: event.Fact, Initiator: byHost,
			Say: "out of memory: killed by the kernel{after}",
		},
		{
			Name: "killed-unseen", When: func(e *Evidence) bool { return e.code(128 + sigKill) },
			Class: "exit.sigkill", Confidence: event.Guess, Initiator: byUnknown,
			Say: "killed by SIGKILL{after}, from outside Docker or by an out-of-memory kill that nobody saw",
		},
		{
			Name: "crash-signal", When: func(e *Evidence) bool { return e.code(128+4, 128+5, 128+6, 128+7, 128+8, 128+11, 128+31) },
			Class: "exit.signal", Confidence: event.Likely, Initiator: byApp,
			Say: "crashed with {signal} ({code}){after}",
		},
		{
			Name: "signalled", When: func(e *Evidence) bool { return e.ExitCode != nil && SignalOf(*e.ExitCode) != "" },
			Class: "exit.signal", Confidence: event.Guess, Initiator: byUnknown,
			Say: "ended by {signal} ({code}){after}, which did not come through Docker",
		},
		{
			Name: "service-ended", When: func(e *Evidence) bool { return e.code(0) && (e.always() || e.Service) },
			Class: "exit.ok", Confidence: event.Likely, Initiator: byApp,
			Say: "ended by itself with {code}{after}, though it is meant to run for ever",
		},
		{
			Name: "completed", When: func(e *Evidence) bool { return e.code(0) },
			Class: "exit.ok", Confidence: event.Fact, Initiator: byApp, Expected: true,
			Say: "completed with {code}{after}",
		},
		{
			Name: "failed", When: func(e *Evidence) bool { return e.ExitCode != nil },
			Class: "exit.error", Confidence: event.Fact, Initiator: byApp,
			Say: "{code}{after}",
		},
	}
}
