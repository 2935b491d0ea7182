package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Signals by number, as the tables need them.
const (
	sigInt  = 2
	sigQuit = 3
	sigAbrt = 6
	sigKill = 9
	sigTerm = 15
)

// patience is how long after a signal an end still counts as its effect when nothing else says so:
// the default grace of a stop request.
const patience = 10 * time.Second

// Ends reports whether a signal sent through the API asks a task to end: its own stop signal, or one
// that operators use for it.
func Ends(signal, stopSignal int) bool {
	return signal != 0 && (signal == stopSignal || slices.Contains([]int{sigTerm, sigInt, sigQuit, sigAbrt, sigKill}, signal))
}

// requested reports whether somebody asked for the stop. A signal long before the end proves nothing,
// unless the runtime completed a stop request or SIGKILL left no choice.
func (e *Evidence) requested() bool {
	if e.StopEvent {
		return true
	}
	for _, k := range e.Kills {
		if !Ends(k.Signal, e.StopSignal) {
			continue
		}
		if k.Signal == sigKill || e.StoppedAt.IsZero() || e.StoppedAt.Sub(k.At) <= patience {
			return true
		}
	}
	return false
}

func (e *Evidence) killed() bool {
	return slices.ContainsFunc(e.Kills, func(k Kill) bool { return k.Signal == sigKill })
}

// asked reports whether a gentler signal than SIGKILL was sent first.
func (e *Evidence) asked() bool {
	return slices.ContainsFunc(e.Kills, func(k Kill) bool { return k.Signal != sigKill && Ends(k.Signal, e.StopSignal) })
}

func (e *Evidence) code(codes ...int64) bool {
	return e.ExitCode != nil && slices.Contains(codes, *e.ExitCode)
}

func (e *Evidence) oom() bool { return e.OOMFlag || e.OOMEvent }

// always reports a restart policy that wants the task to run for ever.
func (e *Evidence) always() bool {
	return e.RestartPolicy == "always" || e.RestartPolicy == "unless-stopped"
}

// probed reports a probe that failed shortly before the stop request, which then was made because of it.
func (e *Evidence) probed() bool {
	return e.Unhealthy && e.UnhealthyFor <= max(e.ProbeEvery, 30*time.Second)
}

func sent(kills []Kill) string {
	names := make([]string, len(kills))
	for i, k := range kills {
		names[i] = SignalName(k.Signal)
		if names[i] == "" {
			names[i] = "an unknown signal"
		}
	}
	if len(names) == 0 {
		return "no signal"
	}
	return strings.Join(names, ", then ")
}

// evidence lists what is known, most telling first, for people.
func evidence(e *Evidence) []string {
	var list []string
	add := func(when bool, format string, args ...any) {
		if when {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(e.OwnAction, "a restart handler of Bellbuoy was acting on the task")
	add(e.StartFailed, "no process was started")
	add(e.StateError != "", "the runtime said: %s", strings.TrimSpace(e.StateError))
	add(e.Shutdown, "the runtime's event stream ended right after")
	add(e.Together > 1, "%d tasks were asked to stop within a second", e.Together)
	add(len(e.Kills) > 0, "sent through the API: %s%s", sent(e.Kills), distance(e))
	add(e.StopEvent, "the runtime reported a completed stop request")
	add(e.Removed, "the task was removed right after")
	add(e.OOMEvent, "the kernel reported an out-of-memory kill in this task")
	add(e.OOMFlag, "the runtime recorded OOMKilled")
	add(e.oom() && !e.code(128+sigKill), "the main process was not killed by it: a child was out of memory")
	if e.ExitCode != nil {
		from := ""
		if e.CodeFrom != "" {
			from = ", as " + e.CodeFrom + " says"
		}
		add(true, "exit code %d%s%s", *e.ExitCode, inBrackets(SignalOf(*e.ExitCode)), from)
	} else {
		add(!e.StartFailed, "the exit code is not known")
	}
	add(e.code(128+sigKill) && !e.oom() && len(e.Kills) == 0, "no API signal and no out-of-memory event was seen; the kernel log decides")
	add(e.Unhealthy, "the health probe had failed for %s", Duration(e.UnhealthyFor))
	add(e.Unseen, "no event told of it: it happened while nobody could see")
	add(e.Restarted && e.PolicyRestarted, "the restart policy had started another run by then")
	add(e.Restarted && !e.PolicyRestarted, "another run had been started by then, not by the restart policy")
	add(e.Ran > 0, "ran for %s", Duration(e.Ran))
	add(e.RestartPolicy != "" && e.RestartPolicy != "no", "restart policy %s", e.RestartPolicy)
	return list
}

func distance(e *Evidence) string {
	if e.StoppedAt.IsZero() || len(e.Kills) == 0 {
		return ""
	}
	return ", the first " + Duration(max(e.StoppedAt.Sub(e.Kills[0].At), 0)) + " before the end"
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
