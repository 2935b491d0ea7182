package notice

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// headline is the event in a few words. What happened comes first, because a phone cuts the end.
func headline(e *event.Event) string {
	switch e.Type.Kind() {
	case "task":
		return Cut(taskHeadline(e), 200)
	case "incident":
		if i := e.Data.Incident; i != nil && i.Title != "" {
			return Cut(clean(i.Title)+incidentState(e), 200)
		}
	case "action":
		if a := e.Data.Action; a != nil {
			return Cut(fmt.Sprintf("%s of %s %s: %s", clean(a.Kind), Workload(e), verb(e.Type), clean(a.Reason)), 200)
		}
	case "collector":
		if c := e.Data.Collector; c != nil {
			return Cut(collectorHeadline(e, c), 200)
		}
	case "native":
		if n := e.Data.Native; n != nil && n.Action != "" {
			return Cut(clean(string(e.Data.Runtime))+" says: "+clean(n.Action), 200)
		}
	}
	if say := cmp.Or(clean(e.Data.Message), platformHeadline(e)); say != "" {
		return Cut(say, 200)
	}
	return Cut(Workload(e)+" "+verb(e.Type), 200)
}

// verb is the past-tense word of the type in English.
func verb(t event.Type) string {
	switch t {
	case event.TaskUnhealthy:
		return "is unhealthy"
	case event.TaskHealthy:
		return "is healthy"
	case event.TaskOOM:
		return "ran out of memory"
	case event.TaskStopping:
		return "is stopping"
	case event.CollectorConflict:
		return "is in conflict"
	case event.CollectorHeartbeat:
		return "is alive"
	case event.ActionGaveUp:
		return "given up"
	}
	return cmp.Or(clean(t.Event()), clean(string(t)), "event")
}

func taskHeadline(e *event.Event) string {
	s := Workload(e) + " " + verb(e.Type)
	switch {
	case e.Type == event.TaskStopped && didNotStart(e):
		return Workload(e) + " did not start: " + strings.TrimPrefix(reason(e), "could not start: ")
	case e.Type == event.TaskStopped:
		if why := reason(e); why != "" {
			s += ": " + why
		}
		if d, ok := ran(e); ok {
			s += " (ran " + Duration(d) + ")"
		}
	case e.Type == event.TaskUnhealthy:
		if probe := probeOutput(e); probe != "" {
			s += ": " + probe
		}
	}
	return s
}

func didNotStart(e *event.Event) bool {
	c := e.Data.Cause
	return c != nil && (c.Class == "start" || strings.HasPrefix(c.Class, "start."))
}

// reason is the cause in a few words; a guess is marked as one.
func reason(e *event.Event) string {
	c := e.Data.Cause
	if c == nil {
		return exitOf(e)
	}
	family, _, _ := strings.Cut(c.Class, ".")
	why := strings.TrimRight(Cut(clean(c.Say), 120), " .")
	switch {
	case strings.HasPrefix(c.Rule, event.UserRule):
		// Whoever wrote the sentence wants to read it.
	case family == "oom":
		why = "out of memory"
	case family == "exit":
		why = cmp.Or(exitOf(e), why)
	}
	why = cmp.Or(why, clean(c.Class))
	if c.Expected {
		why += ", expected"
	}
	return why
}

// exitOf is the ending of the container that the stop came from, else the one that tells most: a signal, else
// an exit code other than 0, else any.
func exitOf(e *event.Event) string {
	if e.Data.Task == nil {
		return ""
	}
	best, rank := "", 0
	containers := e.Data.Task.Containers
	from := ""
	if e.Data.Cause != nil {
		from = e.Data.Cause.Container
	}
	for i := range containers {
		c := &containers[i]
		if from != "" && c.Name != from {
			continue // it ended because of the other
		}
		what, r := "", 0
		switch {
		case c.Signal != "":
			what, r = "killed by "+clean(c.Signal), 3
			if c.ExitCode != nil {
				what += fmt.Sprintf(", exit code %d", *c.ExitCode)
			}
		case c.ExitCode != nil && *c.ExitCode != 0:
			what, r = fmt.Sprintf("exit code %d", *c.ExitCode), 2
		case c.ExitCode != nil:
			what, r = "exit code 0", 1
		}
		if r > rank {
			best, rank = what, r
		}
	}
	return best
}

func probeOutput(e *event.Event) string {
	if e.Data.Task == nil {
		return ""
	}
	for i := range e.Data.Task.Containers {
		if out := clean(e.Data.Task.Containers[i].HealthOutput); out != "" {
			return Cut(out, 100)
		}
	}
	return ""
}

func collectorHeadline(e *event.Event, c *event.Collector) string {
	s := "collector " + clean(c.Name)
	if e.Data.Node != "" {
		s += " on " + clean(e.Data.Node)
	}
	switch {
	case e.Type != event.CollectorGap:
		s += " " + verb(e.Type)
	case c.From.IsZero() || c.To.Before(c.From):
		s += " was blind for an unknown time"
	default:
		s += " was blind for " + Duration(c.To.Sub(c.From))
	}
	if why := cmp.Or(clean(c.Reason), clean(e.Data.Message)); why != "" {
		s += ": " + why
	}
	return s
}

func incidentState(e *event.Event) string {
	i := e.Data.Incident
	switch {
	case e.Type == event.IncidentResolved && i.DowntimeMS > 0:
		return ", recovered after " + Duration(millis(i.DowntimeMS))
	case e.Type == event.IncidentResolved:
		return ", recovered"
	case i.Stops > 1:
		return fmt.Sprintf(" (x%d)", i.Stops)
	}
	return ""
}

// opening is the headline's fact again as a sentence that stands alone, with place, date and time.
func opening(e *event.Event) string {
	what := Workload(e) + " " + verb(e.Type)
	switch kind := e.Type.Kind(); {
	case kind == "task" && e.Type == event.TaskStopped && didNotStart(e):
		what = Workload(e) + " did not start"
	case kind != "task":
		what = headline(e)
	}
	if !e.Time.IsZero() {
		what += " at " + day(e.Time)
	}
	if place := where(e); place != "" {
		what += " " + place
	}
	what += howBad(e)
	if d, ok := ran(e); ok && e.Type == event.TaskStopped {
		what += " after it ran " + Duration(d)
	}
	if e.Data.Observed == event.ObservedReconcile {
		what += ", found when a gap was reconciled"
	}
	if mark(e) != "" {
		what = "This is a drill: " + what
	}
	return Cut(what, MaxLine-1) + "."
}
