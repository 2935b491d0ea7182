package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// section is the incident as an event tells it.
func (i *state) section(r *record) event.Incident {
	s := event.Incident{
		ID: i.ID, State: "open", Transition: i.Transition, Family: i.Family, Title: i.Title, Stops: i.Stops, Restarts: i.Restarts,
		Flaps: i.Flaps, Tasks: slices.Clone(i.Tasks), TaskCount: i.TaskCount, Nodes: slices.Clone(i.Nodes), Running: r.running(),
		Desired: cmp.Or(r.Desired, i.Need), Causes: causes(i.Causes), Done: slices.Clone(i.Done), Recent: slices.Clone(i.Recent),
		Healthy: i.Healthy, Opened: i.Opened, Last: i.Last, Silenced: i.Silenced,
	}
	if r.Place.Workload == "" {
		s.Running, s.Desired = 0, 0
	}
	if !i.Open {
		s.State, s.Resolved, s.DowntimeMS = "resolved", i.Resolved, i.Resolved.Sub(i.Opened).Milliseconds()
	}
	return s
}

// causes are the classes, the most frequent first, with their counts.
func causes(counts map[string]int64) []string {
	classes := make([]string, 0, len(counts))
	for class := range counts {
		classes = append(classes, class)
	}
	slices.SortFunc(classes, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	for n, class := range classes {
		if counts[class] > 1 {
			classes[n] = class + " (" + strconv.FormatInt(counts[class], 10) + ")"
		}
	}
	return classes
}

// EventID is the id of a transition's event; with it goes the identity of every notice of it.
func EventID(incident string, transition int64) string {
	return event.NewID("incident", incident, strconv.FormatInt(transition, 10))
}

// event makes the event of a transition: the occurrence that opened the incident, and how it stands.
func (t *transition) event(p place, recorded time.Time) event.Event {
	d := t.Base.Data
	node := d.Node
	if p.Workload == "" {
		node = p.Node
	}
	e := event.Event{
		ID: EventID(t.Section.ID, t.Section.Transition), Source: event.SourceOf(p.Site, cmp.Or(p.Runtime, d.Runtime), "incidents"), Type: t.Type,
		Subject:      event.SubjectOf(d.Scope, cmp.Or(p.Workload, node), t.Section.ID),
		PartitionKey: "incident/" + t.Section.ID, Time: t.At.UTC(), Recorded: recorded.UTC(), Severity: t.Severity, CausationID: t.Base.ID,
		Data: event.Data{
			Site: p.Site, Runtime: cmp.Or(p.Runtime, d.Runtime), Scope: d.Scope, Node: node, Account: d.Account, Region: d.Region,
			Workload: p.Workload, Revision: d.Revision, Observed: cmp.Or(d.Observed, event.ObservedStream), Owner: d.Owner, Labels: d.Labels,
			Changed: t.Changed, Task: d.Task, Cause: d.Cause, Service: d.Service, Deployment: d.Deployment, Host: d.Host,
			Collector: d.Collector, Action: d.Action, Incident: &t.Section, Message: t.Section.Title,
		},
	}
	return e
}

// about is an event that only says what it is about.
func about(p place) event.Event {
	return event.Event{Data: event.Data{
		Site: p.Site, Runtime: p.Runtime, Account: p.Account, Region: p.Region, Scope: p.Scope, Workload: p.Workload, Node: p.Node,
		Observed: event.ObservedStream,
	}}
}

// trimmed is the event without what an incident does not need and a record has no room for.
func trimmed(e *event.Event) *event.Event {
	c := *e
	c.Data.Native = nil
	if t := c.Data.Task; t != nil && t.Log != nil && len(t.Log.Lines) > maxLog {
		cut, log := *t, *t.Log
		log.Lines, log.Cut = log.Lines[len(log.Lines)-maxLog:], true
		cut.Log, c.Data.Task = &log, &cut
	}
	return &c
}

// maxLog is how many lines of a log an incident keeps.
const maxLog = 20

// family is the first part of a class.
func family(class string) string {
	head, _, _ := strings.Cut(class, ".")
	return cmp.Or(head, "unknown")
}

func severityOf(reason string) event.Severity {
	switch reason {
	case "unhealthy", "blind":
		return event.Warn
	case "gave_up", "lost", "silent":
		return event.Fatal
	}
	return event.Error
}

// titleOf is the problem in a few words.
func titleOf(r *record, e *event.Event, reason string) string {
	name := r.Place.Workload
	switch reason {
	case "stopped":
		if family(e.Data.Cause.Class) == "start" {
			return cut(name+" did not start: "+strings.TrimPrefix(e.Data.Cause.Say, "could not start: "), maxTitle)
		}
		return title(e, "stopped")
	case "crash_loop":
		return title(e, "keeps stopping")
	case "unhealthy":
		return name + " is unhealthy"
	case "below_desired":
		return fmt.Sprintf("%s runs %d of %s", name, r.running(), plural(r.Desired, "task"))
	case "gave_up":
		return cut(name+": Bellbuoy gave up: "+e.Data.Action.Reason, maxTitle)
	case "deployment":
		return cut(name+": "+e.Data.Message, maxTitle)
	}
	return cut(e.Data.Message, maxTitle)
}

const maxTitle = 200

func title(e *event.Event, how string) string {
	return cut(e.Data.Workload+" "+how+": "+e.Data.Cause.Say, maxTitle)
}

// cut keeps the first n bytes at most, whole characters of them.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}

// short keeps of a digest what people compare.
func short(revision string) string {
	revision = strings.TrimPrefix(revision, "sha256:")
	return revision[:min(len(revision), 12)]
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}

// duration is such as 12m, 1h5m or 40s.
func duration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}
