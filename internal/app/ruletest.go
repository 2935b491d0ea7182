package app

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// RuleTestOptions says how to answer.
type RuleTestOptions struct {
	// Verbose shows what was told in each case, not only in those that fail.
	Verbose bool
	// JUnit is a file to write the results to, or empty.
	JUnit string
}

// errRules makes test end with 1 after it has shown all cases.
var errRules = errors.New("some cases failed")

// TestRules plays the cases of a file through the machine of incidents, the silences, the routes and the gates of this
// config, in virtual time, and compares what is told.
func (p *Program) TestRules(ctx context.Context, file string, o RuleTestOptions) error {
	test, err := config.LoadRules(file)
	if err != nil {
		return err
	}
	rules, err := Rules(p.withDefaultSinks())
	if err != nil {
		return err
	}
	report := junit{Name: file}
	for i := range test.Cases {
		c := &test.Cases[i]
		told, err := p.playCase(ctx, test.Start, c, rules)
		if err != nil {
			return fmt.Errorf("%s:%d: case %q: %w", file, c.Line, c.Name, err)
		}
		faults := compareCase(c, told)
		report.add(c.Name, faults)
		p.showCase(file, c, told, faults, o.Verbose)
	}
	p.say("%s, %d failed\n", count(report.Tests, "case"), report.Failures)
	if o.JUnit != "" {
		if err := report.write(o.JUnit); err != nil {
			return err
		}
	}
	if report.Failures > 0 {
		return errRules
	}
	return nil
}

// outcome is a transition and who told it.
type outcome struct {
	at      time.Duration
	event   event.Event
	notices []string
}

func (o *outcome) String() string {
	i := o.event.Data.Incident
	s := fmt.Sprintf("%8s  %-8s  %s  %s", o.at, o.event.Type.Event(), cmp.Or(o.event.Data.Workload, o.event.Data.Node), i.Reason)
	if i.Stops > 0 {
		s += fmt.Sprintf(" (%s)", count(int(i.Stops), "stop"))
	}
	if i.Silenced != "" {
		s += ", silenced by " + i.Silenced
	}
	return s + " → " + cmp.Or(strings.Join(o.notices, ", "), "nobody")
}

// ruleRun is one case under way.
type ruleRun struct {
	machine *incident.Machine
	start   time.Time
	routes  []playedRoute
	told    []outcome
}

type playedRoute struct {
	Rule
	gate *notify.Gate
	got  *caught
}

func (p *Program) playCase(ctx context.Context, start time.Time, c *config.RuleCase, rules []Rule) ([]outcome, error) {
	set, err := silence.NewSet(withIDs(append(slices.Clone(p.Config.Silences), c.Silences...)), compileMatcher)
	if err != nil {
		return nil, err
	}
	cfg := p.Config.Incidents
	cfg.Expect = spokenOf(cfg.Expect, c)
	run := &ruleRun{machine: incident.NewMachine(cfg, p.Config.Site, escalations(rules)), start: start}
	run.machine.Silence(set.Holding)
	for _, r := range rules {
		if wakes(r.Kind) {
			got := &caught{}
			run.routes = append(run.routes, playedRoute{r, notify.New(got, notify.Deps{Route: r.Name, After: r.After, Notes: noteMap{}}), got})
		}
	}
	events := p.eventsOf(start, c)
	end := start
	for n := range events {
		if err := run.until(ctx, end, events[n].Time); err != nil {
			return nil, err
		}
		end = events[n].Time
		run.machine.Apply(&events[n], uint64(n)+1, end)
		if err := run.take(ctx, end); err != nil {
			return nil, err
		}
	}
	last := end.Add(time.Hour)
	if c.Until > 0 {
		last = start.Add(c.Until)
	}
	return run.told, run.until(ctx, end, last)
}

// spokenOf leaves out what must run and the case does not speak of: that is as it should be.
func spokenOf(all []incident.Expect, c *config.RuleCase) []incident.Expect {
	return slices.DeleteFunc(slices.Clone(all), func(x incident.Expect) bool {
		return !slices.ContainsFunc(c.Events, func(e config.RuleEvent) bool { return e.Workload == x.Workload })
	})
}

func withIDs(list []silence.Silence) []silence.Silence {
	for i := range list {
		list[i] = list[i].WithID()
	}
	return list
}

// until lets time pass, second by second.
func (run *ruleRun) until(ctx context.Context, from, to time.Time) error {
	for at := from.Add(time.Second); !at.After(to); at = at.Add(time.Second) {
		run.machine.Tick(at)
		if err := run.take(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// take asks the routes about what the machine has told.
func (run *ruleRun) take(ctx context.Context, at time.Time) error {
	for _, e := range run.machine.Events() {
		o := outcome{at: at.Sub(run.start).Round(time.Second), event: e}
		for _, r := range run.routes {
			match, err := r.When.Match(&e)
			if err != nil || !match {
				continue // as the router does
			}
			before := r.got.n
			if err := r.gate.Send(ctx, []event.Event{e}); err != nil {
				return err
			}
			if r.got.n > before {
				o.notices = append(o.notices, r.Name)
			}
		}
		run.told = append(run.told, o)
	}
	return nil
}

// caught counts what a gate lets pass.
type caught struct{ n int }

func (c *caught) Send(_ context.Context, batch []event.Event) error {
	c.n += len(batch)
	return nil
}

// noteMap keeps notes for as long as a case takes.
type noteMap map[string][]byte

func (m noteMap) Get(_ context.Context, key string) ([]byte, uint64, error) {
	if v, ok := m[key]; ok {
		return v, 1, nil
	}
	return nil, 0, nil
}

func (m noteMap) Put(ctx context.Context, key string, value []byte, _ uint64) (uint64, bool, error) {
	return m.PutFor(ctx, key, value, 0)
}

func (m noteMap) Delete(_ context.Context, key string, _ uint64) (bool, error) {
	delete(m, key)
	return true, nil
}

func (m noteMap) PutFor(_ context.Context, key string, value []byte, _ time.Duration) (uint64, bool, error) {
	m[key] = value
	return 1, true, nil
}

// eventsOf makes the events of a case, in the order of their times.
func (p *Program) eventsOf(start time.Time, c *config.RuleCase) []event.Event {
	var all []event.Event
	for n := range c.Events {
		r := &c.Events[n]
		for i := range max(r.Repeat, 1) {
			e := p.ruleEvent(r, start.Add(r.At+time.Duration(i)*r.Every))
			e.ID = event.NewID("rule", c.Name, fmt.Sprint(n, i))
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	return all
}

func (p *Program) ruleEvent(r *config.RuleEvent, at time.Time) event.Event {
	e := event.Event{Time: at, Recorded: at, Data: event.Data{
		Site: p.Config.Site, Runtime: event.Runtime(cmp.Or(r.Runtime, string(event.Docker))), Scope: r.Scope, Node: cmp.Or(r.Node, p.Config.Node),
		Workload: r.Workload, Revision: r.Revision, Owner: r.Owner, Labels: r.Labels, Observed: event.ObservedStream, Message: r.Say,
	}}
	for _, t := range event.Types() {
		if t.Type.Kind()+"."+t.Type.Event() == r.Event {
			e.Type = t.Type
		}
	}
	switch e.Type.Kind() {
	case "task":
		name := cmp.Or(r.Task, r.Workload)
		e.Data.Task = &event.Task{ID: name, Name: name, Containers: []event.Container{{Name: name}}}
	case "service":
		e.Data.Service = &event.Service{Name: r.Workload, Event: r.State, Reason: r.Say}
		if r.Desired > 0 {
			e.Data.Service.Counts = &event.Counts{Desired: r.Desired, Running: r.Running}
		}
	case "deployment":
		e.Data.Deployment = &event.Deployment{ID: cmp.Or(r.Task, "1"), State: r.State, Reason: r.Say}
	case "collector":
		e.Data.Collector = &event.Collector{Name: string(e.Data.Runtime)}
	case "action":
		e.Data.Action = &event.Action{Handler: "healer", Kind: "restart", Reason: r.Say}
	}
	if r.Class != "" {
		say := cmp.Or(r.Say, r.Class)
		e.Data.Cause = &event.Cause{Class: r.Class, Confidence: event.Fact, Expected: r.Expected, Initiator: r.Initiator, Say: say}
	}
	e.Severity = event.SeverityOf(&e)
	return e
}

// compareCase returns what differs from what a case expects.
func compareCase(c *config.RuleCase, told []outcome) []string {
	var faults []string
	for n := range c.Expect {
		if n >= len(told) {
			faults = append(faults, fmt.Sprintf("expected as number %d, and nothing more was told: %s %s %s", n+1, c.Expect[n].Incident, c.Expect[n].Workload, c.Expect[n].Reason))
			continue
		}
		faults = append(faults, compareOne(n, &c.Expect[n], &told[n])...)
	}
	for n := len(c.Expect); n < len(told); n++ {
		faults = append(faults, "not expected: "+strings.TrimSpace(told[n].String()))
	}
	return faults
}

func compareOne(n int, want *config.RuleExpect, got *outcome) []string {
	var faults []string
	i := got.event.Data.Incident
	check := func(what, want, got string) {
		if want != "" && want != got {
			faults = append(faults, fmt.Sprintf("number %d: %s is %q, not %q", n+1, what, got, want))
		}
	}
	check("incident", want.Incident, got.event.Type.Event())
	check("reason", want.Reason, i.Reason)
	check("workload", want.Workload, got.event.Data.Workload)
	check("node", want.Node, got.event.Data.Node)
	check("severity", strings.ToUpper(want.Severity), got.event.Severity.String())
	check("silenced", want.Silenced, i.Silenced)
	if want.At > 0 {
		check("at", want.At.String(), got.at.String())
	}
	if want.Stops > 0 && want.Stops != i.Stops {
		check("stops", fmt.Sprint(want.Stops), fmt.Sprint(i.Stops))
	}
	if want.Notices != nil && !slices.Equal(slices.Sorted(slices.Values(want.Notices)), slices.Sorted(slices.Values(got.notices))) {
		faults = append(faults, fmt.Sprintf("number %d: notices are %v, not %v", n+1, got.notices, want.Notices))
	}
	return faults
}

func (p *Program) showCase(file string, c *config.RuleCase, told []outcome, faults []string, verbose bool) {
	word := "ok  "
	if len(faults) > 0 {
		word = "FAIL"
	}
	p.say("%s  %s\n", word, c.Name)
	for _, f := range faults {
		p.say("      %s:%d: %s\n", file, c.Line, f)
	}
	if verbose || len(faults) > 0 {
		for n := range told {
			p.say("      %s\n", told[n].String())
		}
	}
}

// junit is a report that CI systems read.
type junit struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (j *junit) add(name string, faults []string) {
	c := junitCase{Name: name, Class: "rules"}
	if j.Tests++; len(faults) > 0 {
		j.Failures++
		c.Failure = &junitFailure{Message: faults[0], Text: strings.Join(faults, "\n")}
	}
	j.Cases = append(j.Cases, c)
}

func (j *junit) write(file string) error {
	text, err := xml.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return os.WriteFile(file, append([]byte(xml.Header), append(text, '\n')...), 0o600)
}
