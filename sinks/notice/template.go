package notice

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Template is a user's own words for events: a text/template over View. It is safe for concurrent use.
type Template struct{ t *template.Template }

// MaxTemplate bounds what a template may write, in bytes.
const MaxTemplate = 64 << 10

// ParseTemplate compiles a text and tries it on an event that has everything, so that a name that does not exist is
// found at once.
func ParseTemplate(name, text string) (*Template, error) {
	t, err := template.New(name).Option("missingkey=zero").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	made := &Template{t}
	e := specimen()
	if _, err := made.Text(&e); err != nil {
		return nil, err
	}
	return made, nil
}

// Text returns what the template makes of an event.
func (t *Template) Text(e *event.Event) (string, error) {
	var b strings.Builder
	if err := t.t.Execute(&bounded{&b, MaxTemplate}, ViewOf(e)); err != nil {
		return "", err
	}
	return b.String(), nil
}

var errTooLong = errors.New("the text is longer than 64 KiB")

// bounded stops a template that writes without an end.
type bounded struct {
	to   io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errTooLong
	}
	return b.to.Write(p)
}

// functions are what a template may call, beside those of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"upper": strings.ToUpper, "lower": strings.ToLower, "trim": strings.TrimSpace,
		"join":  func(sep string, list []string) string { return strings.Join(list, sep) },
		"cut":   func(n int, s string) string { return Cut(s, max(n, 4)) },
		"query": url.QueryEscape, "path": url.PathEscape,
		"or_else":  func(other, s string) string { return map[bool]string{true: other, false: s}[s == ""] },
		"duration": Duration,
		"date":     func(layout, zone string, t time.Time) (string, error) { return date(layout, zone, t) },
	}
}

func date(layout, zone string, t time.Time) (string, error) {
	if t.IsZero() {
		return "", nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("zone %q: %w", zone, err)
	}
	return t.In(loc).Format(layout), nil
}

// View is what a template sees of an event. Texts are of one line each and safe to show; what an event does not have
// is empty.
type View struct {
	// ID, Kind and Event are such as k2…, incident and opened; Time is when it happened.
	ID, Kind, Event string
	Time            time.Time
	// Severity is INFO, WARN, ERROR or FATAL; State is open or resolved; Drill says that nothing is the matter.
	Severity, State string
	Drill           bool

	Site, Runtime, Scope, Workload, Node, Revision, Owner, Account, Region string
	Labels                                                                 map[string]string

	// Headline, Where and Opening are the built-in words, Parts and Text all of them.
	Headline, Where, Opening, Text string
	Parts                          []Part

	// Class, Say, Confidence, Initiator and Next are those of the cause; Evidence and Log are lines.
	Class, Say, Confidence, Initiator, Next string
	Evidence, Log                           []string
	Task, Image                             string

	// The rest is the incident's.
	Incident, Title, Reason, Recovery            string
	Transition, Stops, Restarts, Flaps           int64
	Tasks, Running, Desired                      int64
	Opened, Resolved                             time.Time
	Downtime                                     time.Duration
	Nodes, Causes, Changed, Done, RecentlyBefore []string
}

// ViewOf returns what a template sees of an event.
func ViewOf(e *event.Event) View {
	n, d := Of(e), &e.Data
	v := View{
		ID: Clean(e.ID), Kind: e.Type.Kind(), Event: e.Type.Event(), Time: e.Time, Severity: e.Severity.String(), Drill: n.Mark != "",
		Site: Clean(d.Site), Runtime: Clean(string(d.Runtime)), Scope: Clean(d.Scope), Workload: Clean(d.Workload), Node: Clean(d.Node),
		Revision: Clean(d.Revision), Owner: Clean(d.Owner), Account: Clean(d.Account), Region: Clean(d.Region), Labels: map[string]string{},
		Headline: n.Headline, Where: n.Where, Opening: n.Opening, Parts: n.Parts, Text: n.Plain(),
	}
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		v.Labels[name] = Clean(d.Labels[name])
	}
	for _, c := range d.Changed {
		v.Changed = append(v.Changed, Clean(c.What+": "+c.From+" → "+c.To))
	}
	if c := d.Cause; c != nil {
		v.Class, v.Say, v.Confidence, v.Initiator, v.Next = Clean(c.Class), Clean(c.Say), string(c.Confidence), Clean(c.Initiator), Clean(c.Next)
		v.Evidence = cleaned(c.Evidence)
	}
	if t := d.Task; t != nil {
		v.Task, v.State = Clean(t.Name), string(t.State)
		if len(t.Containers) > 0 {
			v.Image = Clean(t.Containers[0].Image)
		}
		if t.Log != nil {
			v.Log = cleaned(t.Log.Lines)
		}
	}
	v.incident(d.Incident)
	return v
}

func (v *View) incident(i *event.Incident) {
	if i == nil {
		return
	}
	v.Incident, v.State, v.Title, v.Reason, v.Recovery = Clean(i.ID), i.State, Clean(i.Title), Clean(i.Reason), Clean(i.Recovery)
	v.Transition, v.Stops, v.Restarts, v.Flaps = i.Transition, i.Stops, i.Restarts, i.Flaps
	v.Tasks, v.Running, v.Desired = i.TaskCount, i.Running, i.Desired
	v.Opened, v.Resolved, v.Downtime = i.Opened, i.Resolved, millis(i.DowntimeMS)
	v.Nodes, v.Causes, v.Done, v.RecentlyBefore = cleaned(i.Nodes), cleaned(i.Causes), cleaned(i.Done), cleaned(i.Recent)
}

func cleaned(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = Clean(line)
	}
	return out
}

// Plain lays a notice out for a phone: a part of one line stays on the label's line.
func (n Notice) Plain() string {
	var b strings.Builder
	b.WriteString(n.Opening + "\n")
	for _, part := range n.Parts {
		if len(part.Lines) == 1 && part.Label != "Log" {
			b.WriteString(part.Label + ": " + part.Lines[0] + "\n")
			continue
		}
		b.WriteString(part.Label + ":\n")
		for _, line := range part.Lines {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

// specimen is an event that has everything, to try a template on.
func specimen() event.Event {
	at := time.Date(2026, 1, 5, 2, 14, 7, 0, time.UTC)
	return event.Event{
		ID: "specimen", Type: event.IncidentResolved, Time: at, Severity: event.Error, Subject: "shop/pay",
		Data: event.Data{
			Site: "prod", Runtime: event.Docker, Scope: "shop", Workload: "pay", Node: "web-7", Revision: "r1", Owner: "payments",
			Labels: map[string]string{"team": "payments"}, Changed: []event.Change{{What: "image", From: "a", To: "b"}},
			Cause: &event.Cause{Class: "exit.error", Say: "exit code 3", Confidence: event.Fact, Initiator: "app", Next: "read its log", Evidence: []string{"exit code 3", "ran for 4s"}},
			Task:  &event.Task{ID: "t", Name: "pay-1", Containers: []event.Container{{Name: "pay", Image: "pay:1"}}, Log: &event.Log{Lines: []string{"boom"}}},
			Incident: &event.Incident{
				ID: "i1", State: "resolved", Title: "pay stopped: exit code 3", Reason: "stable", Recovery: "it runs again", Transition: 3, Stops: 3, Restarts: 3,
				TaskCount: 2, Running: 1, Desired: 2, Opened: at.Add(-time.Minute), Resolved: at, DowntimeMS: 60_000, Nodes: []string{"web-7", "web-8"}, Causes: []string{"exit.error (3)"},
				Done: []string{"02:13:00 restarted"}, Recent: []string{"revision r0 → r1"},
			},
		},
	}
}
