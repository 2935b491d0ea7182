package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/console"
)

// shower writes what became of records.
type shower struct {
	show func(name string, x explained) error
	// end writes what has been held back.
	end func() error
}

func (p *Program) showOf(output string, rules []Rule) shower {
	nothing := func() error { return nil }
	switch output {
	case "ndjson":
		return shower{func(_ string, x explained) error { return p.showJSON(x, rules) }, nothing}
	case "table":
		table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
		_, err := fmt.Fprintln(table, "RECORD\tTYPE\tWORKLOAD\tCLASS\tEXPECTED\tINITIATOR\tSENTENCE")
		return shower{func(name string, x explained) error {
			if err != nil {
				return err
			}
			_, err := fmt.Fprintln(table, strings.Join(row(name, x), "\t"))
			return err
		}, table.Flush}
	}
	return shower{func(name string, x explained) error { return p.showText(name, x, rules) }, nothing}
}

// verdict is one route's answer to an event.
type verdict struct {
	Name  string `json:"name"`
	To    string `json:"-"`
	Match bool   `json:"match"`
	Why   string `json:"why"`
}

// row is a record's line of the table.
func row(name string, x explained) []string {
	name = fmt.Sprintf("%s:%d", name, x.Line)
	switch {
	case x.Err != nil:
		return []string{name, "can't be read", "", "", "", "", x.Err.Error()}
	case x.Event == nil:
		return []string{name, "no event", "", "", "", "", x.Ignored}
	}
	d := &x.Event.Data
	cells := []string{name, x.Event.Type.Kind() + "." + x.Event.Type.Event(), d.Workload, "", "", "", d.Message}
	if c := d.Cause; c != nil {
		cells[3], cells[4], cells[5] = c.Class, fmt.Sprint(c.Expected), c.Initiator
		if c.InitiatorName != "" {
			cells[5] += " " + c.InitiatorName
		}
		cells[6] = c.Say
	}
	return cells
}

func (p *Program) showText(name string, x explained, rules []Rule) error {
	var b strings.Builder
	switch {
	case x.Err != nil:
		fmt.Fprintf(&b, "%s:%d: can't be read: %v\n", name, x.Line, x.Err)
	case x.Event == nil:
		fmt.Fprintf(&b, "%s:%d: no event: %s\n", name, x.Line, x.Ignored)
	default:
		fmt.Fprintf(&b, "%s:%d: %s %s\n%s", name, x.Line, x.Event.Type, x.Event.ID, console.Text(x.Event, false))
		b.WriteString(why(x))
		for _, v := range p.verdicts(x.Event, rules) {
			mark := "not "
			if v.Match {
				mark = "to  "
			}
			fmt.Fprintf(&b, "  %s%s (route %s): %s\n", mark, v.To, v.Name, v.Why)
		}
	}
	_, err := io.WriteString(p.Out, b.String())
	return err
}

// why is the row that gave the cause and those that nearly gave another.
func why(x explained) string {
	c := x.Event.Data.Cause
	if c == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  cause %s, %s, by %s, %s; rule %s\n", c.Class, c.Confidence, c.Initiator, wanted(c.Expected), c.Rule)
	if c.Expected { // otherwise the event was shown with its evidence
		for _, fact := range c.Evidence {
			fmt.Fprintf(&b, "    %s\n", fact)
		}
	}
	for _, n := range x.Near {
		fmt.Fprintf(&b, "  nearly %s (rule %s); what does not hold: %s\n", n.Class, n.Rule, n.Missing)
	}
	return b.String()
}

func wanted(expected bool) string {
	if expected {
		return "expected"
	}
	return "not expected"
}

func (p *Program) showJSON(x explained, rules []Rule) error {
	line := map[string]any{}
	switch {
	case x.Err != nil:
		line["error"] = x.Err.Error()
	case x.Event == nil:
		line["ignored"] = x.Ignored
	default:
		encoded, err := event.Append(nil, x.Event)
		if err != nil {
			return err
		}
		line["event"] = json.RawMessage(encoded)
		line["routes"] = p.verdicts(x.Event, rules)
		if len(x.Near) > 0 {
			line["near"] = x.Near
		}
	}
	enc := json.NewEncoder(p.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

// verdicts are the routes' answers to the event and, where they take incidents, to the one that it opens.
func (p *Program) verdicts(e *event.Event, rules []Rule) []verdict {
	opened := incident.Opens(p.Config.Incidents, e)
	out := make([]verdict, 0, len(rules))
	for _, r := range rules {
		if opened != nil {
			if match, err := r.When.Match(opened); match && err == nil {
				out = append(out, verdict{Name: r.Name, To: r.To, Match: true, Why: "it opens an incident, and " + r.When.Explain(opened)})
				continue
			}
		}
		match, err := r.When.Match(e)
		v := verdict{Name: r.Name, To: r.To, Match: match, Why: r.When.Explain(e)}
		if err != nil {
			v.Why = err.Error()
		}
		out = append(out, v)
	}
	return out
}
