package cause

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func noMemoryWords() Test {
	return Test{"no reason says OutOfMemory", func(e *Evidence) bool { return !e.saidMemory() }}
}

func (e *Evidence) saidMemory() bool {
	_, ok := e.find([]phrase{memoryWords})
	return ok
}

func essentialExited() Test {
	return Test{"the stop code is EssentialContainerExited, or there is none and the reason is its sentence or empty", (*Evidence).essentialExited}
}

func (e *Evidence) essentialExited() bool {
	if e.StopCode != "" {
		return e.stopCodeIs(codeExited)
	}
	s := strings.TrimSpace(e.StopReason)
	return s == "" || strings.Contains(lower(s), "essential container in task exited")
}

func told() Test {
	return Test{"ECS tells a stop code or a reason", func(e *Evidence) bool { return e.StopCode != "" || strings.TrimSpace(e.StopReason) != "" }}
}

func notZero() Test {
	return Test{"the exit code is not 0", func(e *Evidence) bool { c := e.platform().end.code; return c != nil && *c != 0 }}
}

func standalone() Test {
	return Test{"no service runs it", func(e *Evidence) bool { return !e.Service }}
}

func nothingSaid() Test {
	return Test{"ECS tells nothing of it any more", func(e *Evidence) bool { return e.StopCode == "" && e.StopReason == "" }}
}

// ecsEnds are the ends that nobody asked for.
func ecsEnds() Table {
	const killers = "look at the memory of the task and its host, at child processes, and for somebody who sends signals"
	t := Table{
		{
			Name: "oom.other", When: append(says(memoryWords), endKnown(), notCode(137)), from: text(memoryWords),
			Class: "oom", Confidence: event.Likely, Initiator: byHost, Say: "out of memory{after}{in}; it ended with {meaning}",
			Next: "give it more memory, or find what grows; a child process may have been the one that was killed",
		},
		{
			Name: "oom", When: says(memoryWords), from: text(memoryWords),
			Class: "oom", Confidence: event.Fact, Initiator: byHost, Say: "out of memory: killed by the kernel{after}{in}",
			Next: "give it more memory, or find what grows",
		},
		{
			Name: "exit.zero.standalone", When: when(essentialExited(), endCode(0), standalone()), from: culprit,
			Class: "exit.zero.standalone", Confidence: event.Fact, Initiator: byApp, Expected: true, Say: "completed with {meaning}{after}",
			Next: "nothing",
		},
		{
			Name: "exit.zero.service", When: when(essentialExited(), endCode(0), ofService()), from: culprit,
			Class: "exit.zero.service", Confidence: event.Fact, Initiator: byApp, Say: "ended by itself with {meaning}{after}{in}, though a service is meant to run for ever",
			Next: "check its command: a service must not end; run a job as a standalone or scheduled task",
		},
		{
			Name: "exit.sigkill", When: when(essentialExited(), endCode(137)), from: culprit,
			Class: "exit.sigkill", Confidence: event.Guess, Initiator: byUnknown, Say: "killed by SIGKILL{after}{in}; no record says by whom, or whether its memory ran out",
			Next: killers,
		},
		{
			Name: "exit.crash", When: when(essentialExited(), endCode(132, 133, 134, 135, 136, 139, 159)), from: culprit,
			Class: "exit.crash", Confidence: event.Likely, Initiator: byApp, Say: "crashed with {signal} ({code}){after}{in}",
			Next: "read its log, look for a core dump, and for a change of the base image or the processor",
		},
		{
			Name: "exit.crash.windows", When: when(essentialExited(), crashed()), from: culprit,
			Class: "exit.crash", Confidence: event.Likely, Initiator: byApp, Say: "crashed with {meaning}{after}{in}",
			Next: "read its log and the event log of the host",
		},
		{
			Name: "exit.sigterm", When: when(essentialExited(), endCode(143, 130)), from: culprit,
			Class: "exit.sigterm", Confidence: event.Guess, Initiator: byUnknown, Say: "ended by {signal} ({code}){after}{in}; no record says who sent it",
			Next: "look for a sidecar, a supervisor or an agent in the task that ends it",
		},
	}
	return append(t, ecsErrors()...)
}

func ecsErrors() Table {
	return Table{
		{
			Name: "exit.error.command", When: when(essentialExited(), endCode(125, 126, 127)), from: culprit,
			Class: "exit.error", Confidence: event.Likely, Initiator: byApp, Say: "{meaning}{after}{in}",
			Next: "check the entrypoint, the command and what it calls",
		},
		{
			Name: "exit.error", When: when(essentialExited(), endKnown()), from: culprit,
			Class: "exit.error", Confidence: event.Fact, Initiator: byApp, Say: "{meaning}{after}{in}",
			Next: "read the log of the container that ended first",
		},
		{
			Name: "unknown.lost", When: when(unseen(), nothingSaid(), endUnknown()), from: anyText,
			Class: "unknown.lost", Confidence: event.Guess, Initiator: byUnknown, Say: "vanished: ECS knows the task no more, and no event told of its end",
			Next: "see that the events of this cluster reach the queue; ECS forgets stopped tasks after about an hour",
		},
		{
			Name: "exit.none", When: when(essentialExited(), told(), endUnknown()), from: culprit,
			Class: "exit.none", Confidence: event.Guess, Initiator: byUnknown, Say: "ended{after} without any exit code: the agent lost track of it",
			Next: "look at the logs of the agent and the runtime on its host",
		},
		{
			Name: "unknown", When: when(anyway()), from: anyText,
			Class: "unknown", Confidence: event.Guess, Initiator: byUnknown, Say: "stopped for a reason that no row knows: {reason}",
			Next: "read the reason, and tell the project its text so that the table grows",
		},
	}
}

// anyway always holds: the last row of a table may say so.
func anyway() Test {
	return Test{"no other row does", func(*Evidence) bool { return true }}
}

func notCode(code int64) Test {
	return Test{"it is not 137", func(e *Evidence) bool { c := e.platform().end.code; return c == nil || *c != code }}
}
