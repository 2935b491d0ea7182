package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/recording"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/console"
)

// ExplainOptions says how to read and to answer.
type ExplainOptions struct {
	// Runtime is docker or containerd, or empty to tell it from the records.
	Runtime string
	// Output is text or ndjson.
	Output string
	// Name is the input's name for errors.
	Name string
}

// maxExplain bounds what is read into memory.
const maxExplain = 256 << 20

// explained is what became of one record.
type explained struct {
	line    int
	event   *event.Event
	near    []cause.Near
	ignored string
	err     error
}

// verdict is one route's answer to an event.
type verdict struct {
	Name  string `json:"name"`
	To    string `json:"-"`
	Match bool   `json:"match"`
	Why   string `json:"why"`
}

// errUnread makes explain end with 1 after it has shown all that it could read.
var errUnread = errors.New("some records could not be read")

// Explain reads native records or our own events and shows what each becomes, why, and which routes
// take it. It needs no server and no daemon.
func (p *Program) Explain(_ context.Context, in io.Reader, o ExplainOptions) error {
	rules, err := Rules(p.withDefaultSinks())
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxExplain+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", o.Name, err)
	}
	if len(text) > maxExplain {
		return fmt.Errorf("%s is larger than %d MiB; cut it into parts", o.Name, maxExplain>>20)
	}
	records, err := p.explainAll(text, o.Runtime)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	failed := false
	for _, r := range records {
		failed = failed || r.err != nil
		if err := p.showExplained(r, rules, o); err != nil {
			return err
		}
	}
	if failed {
		return fmt.Errorf("%s: %w", o.Name, errUnread)
	}
	return nil
}

func (p *Program) explainAll(text []byte, runtime string) ([]explained, error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("there is no record in it")
	case runtime == "" && bytes.Contains(firstRecord(text), []byte(`"specversion"`)):
		return explainEvents(text), nil
	case runtime == string(event.Containerd) || runtime == "" && ofContainerd(text):
		return p.explainContainerd(text)
	case runtime == "" || runtime == string(event.Docker):
		return p.explainDocker(text)
	}
	return nil, fmt.Errorf("there is no collector for the runtime %q; there are docker and containerd", runtime)
}

func firstRecord(text []byte) []byte {
	var first json.RawMessage
	text = bytes.TrimLeft(text, " \t\r\n[")
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&first); err != nil {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return line
	}
	return first
}

// ofContainerd looks at the first record that can be read.
func ofContainerd(text []byte) bool {
	for _, r := range recording.Split(text) {
		if r.Err == nil {
			return containerd.Recorded(r.Text)
		}
	}
	return false
}

func explainEvents(text []byte) []explained {
	var out []explained
	for _, r := range recording.Split(text) {
		x := explained{line: r.Line, err: r.Err}
		if r.Err == nil {
			if e, err := event.Decode(r.Text); err != nil {
				x.err = err
			} else {
				x.event = &e
			}
		}
		out = append(out, x)
	}
	return out
}

func (p *Program) explainDocker(text []byte) ([]explained, error) {
	rules, err := causes(&p.Config, event.Docker)
	if err != nil {
		return nil, err
	}
	results, err := docker.Replay(bytes.NewReader(text), docker.ReplayOptions{
		Site: p.Config.Site, Node: p.Config.Node, Observed: event.ObservedReplay, Rules: rules,
	})
	if err != nil {
		return nil, err
	}
	var out []explained
	for _, r := range results {
		out = append(out, explained{line: r.Line, event: r.Event, near: r.Near, ignored: r.Ignored, err: r.Err})
	}
	return out, nil
}

func (p *Program) explainContainerd(text []byte) ([]explained, error) {
	rules, err := causes(&p.Config, event.Containerd)
	if err != nil {
		return nil, err
	}
	results, err := containerd.Replay(bytes.NewReader(text), containerd.ReplayOptions{
		Site: p.Config.Site, Node: p.Config.Node, Observed: event.ObservedReplay, Rules: rules,
	})
	if err != nil {
		return nil, err
	}
	var out []explained
	for _, r := range results {
		out = append(out, explained{line: r.Line, event: r.Event, near: r.Near, ignored: r.Ignored, err: r.Err})
	}
	return out, nil
}

func (p *Program) showExplained(x explained, rules []Rule, o ExplainOptions) error {
	if o.Output == "ndjson" {
		return p.showExplainedJSON(x, rules)
	}
	var b strings.Builder
	switch {
	case x.err != nil:
		fmt.Fprintf(&b, "%s:%d: can't be read: %v\n", o.Name, x.line, x.err)
	case x.event == nil:
		fmt.Fprintf(&b, "%s:%d: no event: %s\n", o.Name, x.line, x.ignored)
	default:
		fmt.Fprintf(&b, "%s:%d: %s %s\n%s", o.Name, x.line, x.event.Type, x.event.ID, console.Text(x.event, false))
		b.WriteString(why(x))
		for _, v := range verdicts(x.event, rules) {
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
	c := x.event.Data.Cause
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
	for _, n := range x.near {
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

func (p *Program) showExplainedJSON(x explained, rules []Rule) error {
	line := map[string]any{}
	switch {
	case x.err != nil:
		line["error"] = x.err.Error()
	case x.event == nil:
		line["ignored"] = x.ignored
	default:
		encoded, err := event.Append(nil, x.event)
		if err != nil {
			return err
		}
		line["event"] = json.RawMessage(encoded)
		line["routes"] = verdicts(x.event, rules)
		if len(x.near) > 0 {
			line["near"] = x.near
		}
	}
	enc := json.NewEncoder(p.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

func verdicts(e *event.Event, rules []Rule) []verdict {
	out := make([]verdict, 0, len(rules))
	for _, r := range rules {
		match, err := r.When.Match(e)
		v := verdict{Name: r.Name, To: r.To, Match: match, Why: r.When.Explain(e)}
		if err != nil {
			v.Why = err.Error()
		}
		out = append(out, v)
	}
	return out
}
