package notice

import (
	"slices"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Notice is one event in words.
type Notice struct {
	// Mark is "drill" for an event that a drill or a recording made, else empty.
	Mark string
	// Headline says what happened in a few words: "pay stopped: exit code 3 (ran 4s)". It names neither
	// place nor mark.
	Headline string
	// Where is such as "on web-7 (docker, project shop)"; it may be empty.
	Where string
	// Opening is the first sentence of a message, with mark, date, time and place.
	Opening string
	// Parts follow in the order of their use to someone who was just woken.
	Parts []Part
}

// Part is a label, such as Why, and its lines; it has at least one.
type Part struct {
	Label string
	Lines []string
}

// Of says an event in words, with its identity, what to do and type next and how to mute it.
func Of(e *event.Event) Notice {
	n := what(e)
	n.identity(e)
	n.next(e)
	return n
}

// Short says what happened, why and what to do next, for a reader who sits at the machine.
func Short(e *event.Event) Notice {
	n := what(e)
	n.add("Next", advice(e))
	return n
}

func what(e *event.Event) Notice {
	n := Notice{Mark: mark(e), Headline: headline(e), Where: where(e), Opening: opening(e)}
	n.cause(e)
	n.task(e)
	n.platform(e)
	n.changed(e)
	n.incident(e)
	n.action(e)
	n.collector(e)
	return n
}

func mark(e *event.Event) string {
	if e.Data.Observed == event.ObservedDrill || e.Data.Observed == event.ObservedReplay {
		return "drill"
	}
	return ""
}

// add appends a part of the lines that say something.
func (n *Notice) add(label string, lines ...string) {
	var said []string
	for _, line := range lines {
		if line = Clean(line); line != "" {
			said = append(said, line)
		}
	}
	if len(said) > 0 {
		n.Parts = append(n.Parts, Part{label, said})
	}
}

const maxEvidence = 8

func (n *Notice) cause(e *event.Event) {
	c := e.Data.Cause
	if c == nil {
		return
	}
	why := sentence(c.Say)
	if why == "" {
		why = sentence(c.Class)
	}
	if grade := confidence(c.Confidence); grade != "" {
		why += " This is " + grade + "."
	}
	if c.Expected {
		why += " It was expected."
	}
	n.add("Why", why)
	if c.InitiatorName != "" {
		n.add("By", c.Initiator+" "+c.InitiatorName)
	}
	if c.Container != "" && !strings.Contains(why, "container "+c.Container) {
		n.add("From", "container "+c.Container)
	}
	n.add("Evidence", shown(c)...)
}

// shown is the evidence that an alert has room for. A long start error is said once: "the runtime said: X" adds
// nothing to a sentence with X in it.
func shown(c *event.Cause) []string {
	evidence := slices.DeleteFunc(slices.Clone(c.Evidence), func(line string) bool {
		who, said, quoted := strings.Cut(line, ": ")
		return quoted && strings.HasSuffix(who, " said") && strings.Contains(c.Say, said)
	})
	return evidence[:min(len(evidence), maxEvidence)]
}

// told reports that the evidence tells of the container already, with its exit code and reason.
func told(c *event.Cause, container string) bool {
	return c != nil && slices.ContainsFunc(shown(c), func(line string) bool {
		rest, found := strings.CutPrefix(line, "container "+container)
		return found && (strings.HasPrefix(rest, ": ") || strings.HasPrefix(rest, " ("))
	})
}

const (
	maxContainers = 10
	maxLogLines   = 20
)

func (n *Notice) task(e *event.Event) {
	t := e.Data.Task
	if t == nil {
		return
	}
	var exits, reasons, probes, restarts []string
	containers := t.Containers
	if len(containers) > maxContainers {
		containers = containers[:maxContainers]
	}
	for i := range containers {
		c := &containers[i]
		who := ""
		if len(t.Containers) > 1 {
			who = clean(c.Name) + ": "
		}
		known := told(e.Data.Cause, c.Name)
		if how := exit(c); !known && (e.Data.Cause == nil || !slices.Contains(e.Data.Cause.Evidence, how)) {
			collect(&exits, who, how)
		}
		if !known && (e.Data.Cause == nil || !strings.Contains(e.Data.Cause.Say, c.Reason)) {
			collect(&reasons, who, c.Reason)
		}
		if e.Type == event.TaskUnhealthy || c.Health == "unhealthy" {
			collect(&probes, who, c.HealthOutput)
		}
		collect(&restarts, who, restarted(e.Data.Runtime, c))
	}
	n.add("Exit", exits...)
	n.add("Reason", reasons...)
	n.add("Probe", probes...)
	n.add("Restarts", restarts...)
	n.log(t.Log)
}

func collect(to *[]string, who, what string) {
	if what != "" {
		*to = append(*to, who+what)
	}
}

func restarted(runtime event.Runtime, c *event.Container) string {
	policy := ""
	if c.RestartPolicy != "" && c.RestartPolicy != "no" {
		policy = " (policy " + c.RestartPolicy + ")"
	}
	if c.Restarts == 0 {
		return strings.TrimSuffix(strings.TrimPrefix(policy, " ("), ")")
	}
	return plural(c.Restarts, "restart") + " by " + string(runtime) + policy
}

func (n *Notice) log(log *event.Log) {
	if log == nil {
		return
	}
	lines, cut := log.Lines, log.Cut
	if len(lines) > maxLogLines {
		lines, cut = lines[len(lines)-maxLogLines:], true
	}
	if len(lines) == 0 {
		n.add("Log", log.None)
		return
	}
	if cut {
		lines = append([]string{"(older lines left out)"}, lines...)
	}
	n.add("Log", lines...)
}
