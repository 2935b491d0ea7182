package cause

import (
	"strconv"
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// evidence lists what is known, most telling first, for people.
func evidence(e *Evidence) []string {
	n := make(notes, 0, usual+len(e.notes))
	n.requests(e)
	if e.told() {
		n.platform(e)
	} else {
		n.ending(e)
	}
	n.circumstances(e)
	return append(n, e.notes...)
}

type notes []string

// usual is how many notes an end has at most, as a rule.
const usual = 6

// add takes a text that costs nothing to make; others stand behind a condition of their own, because
// hardly any of them is ever true.
func (n *notes) add(when bool, text string) {
	if when {
		*n = append(*n, text)
	}
}

func (n *notes) requests(e *Evidence) {
	n.add(e.OwnAction, "a restart handler of Bellbuoy was acting on the task")
	n.add(e.StartFailed && !e.told(), "no process was started")
	if e.StateError != "" && !e.told() {
		n.add(true, "the runtime said: "+strings.TrimSpace(e.StateError))
	}
	n.add(e.Shutdown, "the host or the runtime went down at that time")
	if e.Together > 1 {
		n.add(true, strconv.Itoa(e.Together)+" tasks were asked to stop within a second")
	}
	again := e.ReplacedBy != "" && e.ReplacedBy == e.Task.Revision
	if e.Replaced && !again {
		n.add(true, "a task of the same workload with another revision took its place"+inBrackets(e.ReplacedBy))
	}
	n.add(e.Replaced && again, "a new task of the same workload and revision took its place")
	n.add(e.ScaledIn, "its service wants fewer tasks than before")
	if len(e.Kills) > 0 {
		n.add(true, "sent through the API: "+sent(e.Kills)+distance(e))
	}
	n.add(e.StopEvent, "the runtime reported a completed stop request")
	n.add(e.ExplicitlyStopped, "whoever stopped the task marked it as stopped on purpose")
	n.add(e.Removed, "the task was removed right after")
}

func (n *notes) ending(e *Evidence) {
	n.add(e.OOMEvent, "the kernel reported an out-of-memory kill in this task")
	n.add(e.OOMFlag, "the runtime recorded OOMKilled")
	n.add(e.OOMCounted, "the memory cgroup counted an out-of-memory kill")
	n.add(e.oom() && e.ExitCode != nil && !e.code(128+sigKill), "the main process was not killed by it: a child was out of memory")
	if e.ExitCode != nil {
		from := ""
		if e.CodeFrom != "" {
			from = ", as " + e.CodeFrom + " says"
		}
		n.add(true, "exit code "+strconv.FormatInt(*e.ExitCode, 10)+inBrackets(SignalOf(*e.ExitCode))+from)
	} else {
		n.add(!e.StartFailed, "the exit code is not known")
	}
	signalled := e.ExitCode != nil && SignalOf(*e.ExitCode) != "" && !e.StartFailed
	n.add(signalled && e.NoKillRecord, "the runtime keeps no record of who sends signals")
	n.add(e.code(128+sigKill) && !e.oom() && len(e.Kills) == 0 && !e.NoKillRecord && !e.RuntimeDown && !e.StartFailed,
		"no API signal and no out-of-memory event was seen; the kernel log decides")
	n.add(e.RuntimeDown, "the runtime was down, so no event told of it and an out-of-memory kill can't be known")
}

// platform is what the platform told, as it was, and every exit code.
func (n *notes) platform(e *Evidence) {
	const (
		parts  = 12
		length = 400
	)
	n.add(e.Draining, "its host was being drained or scaled in")
	if e.StopCode != "" {
		n.add(true, "stop code "+redact.Clean(e.StopCode))
	}
	if text := e.stopText().text; text != "" {
		n.add(true, "the platform said: "+start(text, length))
	}
	if e.StopTook >= stubborn {
		n.add(true, "its containers took "+Duration(e.StopTook)+" to stop")
	}
	if e.FailedAttachment != "" {
		n.add(true, "could not be attached: "+redact.Clean(e.FailedAttachment))
	}
	for i := range e.Parts[:min(len(e.Parts), parts)] {
		n.add(true, e.Parts[i].note(length))
	}
	if len(e.Parts) > parts {
		n.add(true, "and "+strconv.Itoa(len(e.Parts)-parts)+" more containers")
	}
	if len(e.Parts) == 0 && e.ExitCode != nil {
		n.add(true, Meaning(*e.ExitCode))
	}
	n.add(e.ofBatch(), "AWS Batch runs it, and judges and repeats it itself")
	n.add(e.Unseen && e.platform().end.code == nil, "no event told of it")
}

// note says how a container ended, such as "container app (essential): exit code 1; OutOfMemoryError: …".
func (p *Part) note(length int) string {
	text := "container " + redact.Clean(p.Name)
	switch {
	case p.Essential == nil:
	case *p.Essential:
		text += " (essential)"
	default:
		text += " (not essential)"
	}
	if text += ": no exit code"; p.ExitCode != nil {
		text = strings.TrimSuffix(text, "no exit code") + Meaning(*p.ExitCode)
	}
	if p.Reason != "" {
		text += "; " + start(strings.TrimSpace(redact.Clean(p.Reason[:min(len(p.Reason), maxText)])), length)
	}
	return text
}

func (n *notes) circumstances(e *Evidence) {
	if e.Unhealthy {
		n.add(true, "the health probe had failed for "+Duration(e.UnhealthyFor))
	}
	n.add(e.Unseen && !e.told(), "no event told of it: it happened while nobody could see")
	n.add(e.Restarted && e.PolicyRestarted, "the restart policy had started another run by then")
	n.add(e.Restarted && !e.PolicyRestarted, "another run had been started by then, not by the restart policy")
	if e.Ran > 0 {
		n.add(true, "ran for "+Duration(e.Ran))
	}
	if e.RestartPolicy != "" && e.RestartPolicy != "no" {
		next := ""
		switch {
		case e.NextRestart > 0:
			next = ", which starts it again in " + Duration(e.NextRestart)
		case e.PolicyGaveUp:
			next = ", which gives up"
		}
		n.add(true, "restart policy "+e.RestartPolicy+next)
		if e.Restarts > 0 {
			n.add(true, "the policy had restarted it "+times(e.Restarts))
		}
	}
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
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
