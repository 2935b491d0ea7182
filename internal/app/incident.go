package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// ListIncidents writes one line per incident: the open ones, or with all those that were resolved lately, too.
func (p *Program) ListIncidents(ctx context.Context, all bool, output string) error {
	return p.withBus(ctx, func(b *bus.Bus) error {
		list, err := incidentsOf(ctx, b, all)
		if err != nil {
			return err
		}
		if output == "json" {
			return p.eventsJSON(list)
		}
		if len(list) == 0 {
			p.say("no open incidents\n")
			return nil
		}
		table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
		_, err = fmt.Fprintln(table, "INCIDENT\tSTATE\tSEVERITY\tSINCE\tSTOPS\tTASKS\tWHAT\tWHERE")
		for i := range list {
			e := &list[i]
			s := e.Data.Incident
			if err == nil {
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", s.ID, stateOf(s), e.Severity, sinceOf(s), s.Stops, s.TaskCount, oneLine(s.Title), notice.Short(e).Where)
			}
		}
		return cmp.Or(err, table.Flush())
	})
}

func stateOf(s *event.Incident) string {
	switch {
	case s.State == "open" && s.Silenced != "":
		return "silenced"
	case s.State == "open" && s.Flaps > 0:
		return "flapping"
	}
	return s.State
}

func sinceOf(s *event.Incident) string {
	return s.Opened.UTC().Format("2006-01-02 15:04:05") + " (" + notice.Duration(cmp.Or(s.Resolved, time.Now()).Sub(s.Opened)) + ")"
}

func incidentsOf(ctx context.Context, b *bus.Bus, all bool) ([]event.Event, error) {
	if !all {
		return openIncidents(ctx, b)
	}
	bucket, err := b.Bucket(ctx, bus.IncidentsBucket)
	if err != nil {
		return nil, err
	}
	return incident.List(ctx, bucket)
}

func (p *Program) eventsJSON(list []event.Event) error {
	raw := []json.RawMessage{}
	for i := range list {
		line, err := event.Append(nil, &list[i])
		if err != nil {
			return err
		}
		raw = append(raw, line)
	}
	return json.NewEncoder(p.Out).Encode(raw)
}

// story is an incident with all that belongs to it.
type story struct {
	now         event.Event
	transitions []event.Event
	events      []event.Event // of its workload or host, meanwhile and shortly before
	notes       []notify.Note
}

// before is how long before an incident its timeline begins.
const before = 10 * time.Minute

// tell finds an incident by its id, or by the beginning of one that is open or was lately.
func tell(ctx context.Context, b *bus.Bus, id string) (*story, error) {
	list, err := incidentsOf(ctx, b, true)
	if err != nil {
		return nil, err
	}
	s := &story{}
	for i := range list {
		if strings.HasPrefix(list[i].Data.Incident.ID, id) && id != "" {
			if s.now.Data.Incident != nil {
				return nil, fmt.Errorf("more than one incident begins with %q; write more of its id", id)
			}
			s.now = list[i]
		}
	}
	if s.now.Data.Incident != nil {
		id = s.now.Data.Incident.ID
	}
	every := event.SubjectPrefix + "*.*.*.incident.>"
	err = b.Tail(ctx, bus.TailOptions{Filter: every}, func(d bus.Delivery) error {
		if i := d.Event.Data.Incident; i != nil && i.ID == id {
			s.transitions = append(s.transitions, d.Event)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n := len(s.transitions); s.now.Data.Incident == nil && n > 0 {
		s.now = s.transitions[n-1]
	}
	if s.now.Data.Incident == nil {
		return nil, fmt.Errorf("there is no incident %q on the stream; bellbuoy incident list --all shows those of lately", id)
	}
	return s, s.fill(ctx, b)
}

// fill reads what happened to the incident's workload or host, and what became of its notices.
func (s *story) fill(ctx context.Context, b *bus.Bus) error {
	i := s.now.Data.Incident
	err := b.Tail(ctx, bus.TailOptions{Since: i.Opened.Add(-before)}, func(d bus.Delivery) error {
		e := &d.Event
		if d.Err == nil && e.Type.Kind() != "incident" && about(e, &s.now) && (i.Resolved.IsZero() || !e.Time.After(i.Resolved.Add(before))) {
			s.events = append(s.events, *e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	bucket, err := b.Bucket(ctx, bus.IncidentsBucket)
	if err != nil {
		return err
	}
	s.notes, err = notify.Of(ctx, bucket.Each, i.ID)
	return err
}

// about says that an event is about the workload, or the host, of an incident.
func about(e, of *event.Event) bool {
	d, o := &e.Data, &of.Data
	if o.Workload == "" {
		return d.Node == o.Node && d.Site == o.Site && (e.Type.Kind() != "collector" || e.Type != event.CollectorHeartbeat)
	}
	return d.Workload == o.Workload && d.Scope == o.Scope && d.Runtime == o.Runtime && d.Site == o.Site
}

// ShowIncident writes one incident with its timeline: every event, transition and action, and what became of each
// notice and why.
func (p *Program) ShowIncident(ctx context.Context, id, output string) error {
	return p.withBus(ctx, func(b *bus.Bus) error {
		s, err := tell(ctx, b, id)
		if err != nil {
			return err
		}
		if output == "json" {
			return p.storyJSON(s)
		}
		n := notice.Of(&s.now)
		p.say("incident %s, %s, %s\n%s\n", s.now.Data.Incident.ID, stateOf(s.now.Data.Incident), s.now.Severity, n.Opening)
		for _, part := range n.Parts {
			p.say("  %-10s %s\n", part.Label, strings.Join(part.Lines, "\n             "))
		}
		p.say("\ntimeline (UTC)\n")
		for _, line := range s.timeline() {
			p.say("  %s\n", line)
		}
		return nil
	})
}

// longest is how many events a timeline shows from its beginning and from its end.
const longest = 40

func (s *story) timeline() []string {
	type entry struct {
		at    time.Time
		lines []string
	}
	var all []entry
	for i := range s.events {
		e := &s.events[i]
		all = append(all, entry{e.Time, []string{stamp(e) + notice.Short(e).Headline}})
	}
	for i := range s.transitions {
		e := &s.transitions[i]
		section := e.Data.Incident
		lines := []string{fmt.Sprintf("%s%d: %s%s", stamp(e), section.Transition, section.Reason, because(section))}
		for _, n := range s.notes {
			if n.Transition == section.Transition {
				lines = append(lines, "              notice by route "+n.Route+": "+string(n.Outcome)+colon(n.Why)+" at "+n.At.UTC().Format("15:04:05"))
			}
		}
		all = append(all, entry{e.Time, lines})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	var out []string
	for n, x := range all {
		if hidden := len(all) - 2*longest; hidden > 0 && n == longest {
			out = append(out, fmt.Sprintf("… %d more …", hidden))
		}
		if n < longest || n >= len(all)-longest {
			out = append(out, x.lines...)
		}
	}
	return out
}

func stamp(e *event.Event) string {
	return e.Time.UTC().Format("15:04:05.000") + "  " + fmt.Sprintf("%-20s", e.Type.Kind()+"."+e.Type.Event()) + "  "
}

func because(s *event.Incident) string {
	switch {
	case s.Silenced != "":
		return ", silenced by " + s.Silenced
	case s.Recovery != "":
		return ", " + s.Recovery
	}
	return ""
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

func (p *Program) storyJSON(s *story) error {
	encode := func(events []event.Event) ([]json.RawMessage, error) {
		list := []json.RawMessage{}
		for i := range events {
			line, err := event.Append(nil, &events[i])
			if err != nil {
				return nil, err
			}
			list = append(list, line)
		}
		return list, nil
	}
	now, err := encode([]event.Event{s.now})
	if err != nil {
		return err
	}
	transitions, err := encode(s.transitions)
	if err != nil {
		return err
	}
	events, err := encode(s.events)
	if err != nil {
		return err
	}
	return json.NewEncoder(p.Out).Encode(struct {
		Incident    json.RawMessage   `json:"incident"`
		Transitions []json.RawMessage `json:"transitions"`
		Events      []json.RawMessage `json:"events"`
		Notices     []notify.Note     `json:"notices"`
	}{now[0], transitions, events, s.notes})
}

// ExplainIncident says of every route why it takes or leaves each transition of an incident, and what became of it.
func (p *Program) ExplainIncident(ctx context.Context, id string) error {
	rules, err := Rules(&p.Config)
	if err != nil {
		return err
	}
	return p.withBus(ctx, func(b *bus.Bus) error {
		s, err := tell(ctx, b, id)
		if err != nil {
			return err
		}
		for i := range s.transitions {
			e := &s.transitions[i]
			p.say("%s%d: %s%s\n", stamp(e), e.Data.Incident.Transition, e.Data.Incident.Reason, because(e.Data.Incident))
			for _, r := range rules {
				p.say("  route %s → %s: %s%s\n", r.Name, r.To, r.When.Explain(e), s.became(r.Name, e.Data.Incident.Transition))
			}
		}
		return nil
	})
}

func (s *story) became(route string, transition int64) string {
	for _, n := range s.notes {
		if n.Route == route && n.Transition == transition {
			return "; " + string(n.Outcome) + colon(n.Why)
		}
	}
	return ""
}
