package notice

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// incident tells how big the problem is, since when, and what came before it and after it.
func (n *Notice) incident(e *event.Event) {
	i := e.Data.Incident
	if i == nil {
		return
	}
	if i.Family == "digest" { // not an incident of its own: it tells of those that are open
		n.add("Open", i.Done...)
		n.add("Most in", strings.Join(i.Causes, ", "))
		n.add("After", i.Recovery)
		return
	}
	n.add("Told again", news(i))
	if !i.Opened.IsZero() {
		since := day(i.Opened)
		if end := later(i.Last, e.Time); i.State != "resolved" && end.Sub(i.Opened) >= time.Second {
			since += ", for " + Duration(end.Sub(i.Opened))
		}
		n.add("Since", since)
	}
	n.add("Stops", stops(i))
	n.add("Tasks", affected(i)...)
	if len(i.Causes) > 1 {
		n.add("Causes", strings.Join(i.Causes, ", "))
	}
	if !i.Healthy.IsZero() && i.State != "resolved" {
		n.add("Was well", day(i.Healthy)+", "+Duration(i.Opened.Sub(i.Healthy))+" before")
	}
	n.add("Before", i.Recent...)
	n.add("Done", i.Done...)
	if !i.Resolved.IsZero() {
		n.add("Recovered", strings.TrimSuffix(day(i.Resolved)+": "+i.Recovery, ": "))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// news says why an open incident is told again, or "".
func news(i *event.Incident) string {
	if i.State == "resolved" || i.Transition <= 1 {
		return ""
	}
	switch i.Reason {
	case "crash_loop":
		return "It stops again and again."
	case "worse":
		return "Nothing of it runs any more."
	case "again":
		return "It was over and is back, " + times(i.Flaps) + " so far."
	case "reminder":
		return "It is still not over."
	case "escalated":
		return "It is not over after " + Duration(time.Duration(i.Escalation)*time.Second) + "."
	case "silence_ended":
		return "A silence has ended, and it is not over."
	case "gave_up":
		return "Bellbuoy has given up to restart it."
	}
	return ""
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
}

func stops(i *event.Incident) string {
	if i.Stops == 0 {
		return ""
	}
	s := strconv.FormatInt(i.Stops, 10)
	if i.Restarts > 0 {
		s += ", started again " + times(i.Restarts)
	}
	if i.Flaps > 0 {
		s += ", came back " + times(i.Flaps)
	}
	return s
}

// affected is such as "12 of 20 affected, on 3 hosts: a, b, c", and their ids.
func affected(i *event.Incident) []string {
	var lines []string
	hosts := i.Nodes[:min(len(i.Nodes), maxTasks)]
	if i.TaskCount > 1 {
		line := strconv.FormatInt(i.TaskCount, 10)
		if i.Desired >= i.TaskCount {
			line += " of " + strconv.FormatInt(i.Desired, 10)
		}
		line += " affected"
		if len(i.Nodes) > 1 {
			line += fmt.Sprintf(", on %d hosts: %s", len(i.Nodes), strings.Join(hosts, ", "))
		}
		lines = append(lines, line)
	}
	shown := i.Tasks[:min(len(i.Tasks), maxTasks)]
	ids := make([]string, len(shown))
	for n, id := range shown {
		ids[n] = short(id)
	}
	line := strings.Join(ids, ", ")
	if more := max(i.TaskCount, int64(len(i.Tasks))) - int64(len(shown)); more > 0 && line != "" {
		line += fmt.Sprintf(" and %d more", more)
	}
	return append(lines, line)
}

// howBad is what is left of the workload of an open incident, as the end of a sentence, or "".
func howBad(e *event.Event) string {
	i := e.Data.Incident
	if i == nil || i.State == "resolved" || i.Desired <= 0 || e.Data.Workload == "" {
		return ""
	}
	switch {
	case i.Running == 0 && i.Desired > 1:
		return fmt.Sprintf(", none of %d runs", i.Desired)
	case i.Running == 0:
		return ", and it does not run now"
	case i.Running < i.Desired:
		return fmt.Sprintf(", %d of %d run", i.Running, i.Desired)
	}
	return ""
}

// nextOfIncident is what to type now about an incident as a whole.
func (n *Notice) nextOfIncident(e *event.Event) {
	i := e.Data.Incident
	switch {
	case i == nil || i.ID == "":
		return
	case i.Family == "digest":
		n.add("Show", "bellbuoy incident list")
		return
	}
	n.add("Show", "bellbuoy incident show "+quote(i.ID))
	if e.Data.Workload == "" || i.State == "resolved" {
		return
	}
	match := "workload == " + strconv.Quote(e.Data.Workload)
	if e.Data.Scope != "" {
		match += " && scope == " + strconv.Quote(e.Data.Scope)
	}
	n.add("Silence", "bellbuoy silence add --match "+quote(match)+" --until 2h --owner YOU --comment WHY")
}
