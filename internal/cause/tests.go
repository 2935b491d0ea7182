package cause

import (
	"slices"
	"strconv"
	"strings"
)

// when lists the tests of a row.
func when(tests ...Test) []Test { return tests }

func exitCode(codes ...int64) Test {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strconv.FormatInt(c, 10)
	}
	return Test{"the exit code is " + oneOf(words), func(e *Evidence) bool {
		return e.ExitCode != nil && slices.Contains(codes, *e.ExitCode)
	}}
}

// oneOf joins words: 1, 2 or 3.
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func anyCode() Test {
	return Test{"the exit code is known", func(e *Evidence) bool { return e.ExitCode != nil }}
}

func noCode() Test {
	return Test{"the exit code is not known", func(e *Evidence) bool { return e.ExitCode == nil }}
}

func signalCode() Test {
	return Test{"the exit code stands for a signal", func(e *Evidence) bool {
		return e.ExitCode != nil && SignalOf(*e.ExitCode) != ""
	}}
}

func ownAction() Test {
	return Test{"a restart handler of Bellbuoy was acting on it", func(e *Evidence) bool { return e.OwnAction }}
}

func startFailed() Test {
	return Test{"no process was started", func(e *Evidence) bool { return e.StartFailed }}
}

func shutdown() Test {
	return Test{"the host or its runtime went down", func(e *Evidence) bool { return e.Shutdown }}
}

func requested() Test {
	return Test{"somebody asked it to stop", (*Evidence).requested}
}

func requestedOrUnclaimed() Test {
	return Test{"somebody asked it to stop or no record can tell", func(e *Evidence) bool { return e.requested() || e.unclaimed() }}
}

func gently() Test {
	return Test{"a gentler signal than SIGKILL was sent or a stop request was completed", func(e *Evidence) bool {
		return e.asked() || e.StopEvent
	}}
}

func killed() Test {
	return Test{"SIGKILL was sent through the API", (*Evidence).killed}
}

func noStopEvent() Test {
	return Test{"no stop request was completed", func(e *Evidence) bool { return !e.StopEvent }}
}

func removed() Test {
	return Test{"it was removed right after", func(e *Evidence) bool { return e.Removed }}
}

func notAutoRemoved() Test {
	return Test{"its removal was not asked for at creation", func(e *Evidence) bool { return !e.AutoRemove }}
}

func replaced() Test {
	return Test{"a deploy put another task in its place", func(e *Evidence) bool { return e.Replaced }}
}

func scaledIn() Test {
	return Test{"its service wants fewer tasks than before", func(e *Evidence) bool { return e.ScaledIn }}
}

func ofService() Test {
	return Test{"an orchestrator runs it as part of a service", func(e *Evidence) bool { return e.Service }}
}

func probed() Test {
	return Test{"its health probe had just failed", (*Evidence).probed}
}

func unseen() Test {
	return Test{"nobody saw it end", func(e *Evidence) bool { return e.Unseen }}
}

func restarted() Test {
	return Test{"another run had begun by then", func(e *Evidence) bool { return e.Restarted }}
}

func notByPolicy() Test {
	return Test{"its restart policy did not begin that run", func(e *Evidence) bool { return !e.PolicyRestarted }}
}

func outOfMemory() Test {
	return Test{"an out-of-memory kill was seen in this run", (*Evidence).oom}
}

func forEver() Test {
	return Test{"its restart policy or its service wants it to run for ever", func(e *Evidence) bool { return e.always() || e.Service }}
}
