package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// RuleTest is a file of cases: events at times, and what must be told of them.
type RuleTest struct {
	// Start is the time of 0s; default 2026-01-05T00:00:00Z, a Monday.
	Start time.Time  `yaml:"start"`
	Cases []RuleCase `yaml:"cases"`
}

// RuleCase is one story. It begins with nothing known.
type RuleCase struct {
	Name string `yaml:"name"`
	// Silences hold beside those of the config.
	Silences []silence.Silence `yaml:"silences"`
	Events   []RuleEvent       `yaml:"events"`
	// Until is how long to wait for what comes without an event; default an hour after the last one.
	Until time.Duration `yaml:"until"`
	// Expect are the transitions of incidents, in order and without any other.
	Expect []RuleExpect `yaml:"expect"`

	// Line is where the case stands.
	Line int `yaml:"-"`
}

// RuleEvent is an event in few words. What is left out is not known.
type RuleEvent struct {
	At time.Duration `yaml:"at"`
	// Repeat is how often it happens, Every how far apart.
	Repeat int           `yaml:"repeat"`
	Every  time.Duration `yaml:"every"`
	// Event is such as task.stopped.
	Event    string `yaml:"event"`
	Runtime  string `yaml:"runtime"`
	Scope    string `yaml:"scope"`
	Workload string `yaml:"workload"`
	Task     string `yaml:"task"`
	Node     string `yaml:"node"`
	Revision string `yaml:"revision"`
	Owner    string `yaml:"owner"`
	// Class, Expected, Initiator and Say are those of a stop's cause.
	Class     string            `yaml:"class"`
	Expected  bool              `yaml:"expected"`
	Initiator string            `yaml:"initiator"`
	Say       string            `yaml:"say"`
	Labels    map[string]string `yaml:"labels"`
	// State is what a platform says of a service or deployment, Desired and Running are its tasks.
	State   string `yaml:"state"`
	Desired int64  `yaml:"desired"`
	Running int64  `yaml:"running"`
}

// RuleExpect is a transition. What is left out may be anything.
type RuleExpect struct {
	// At is when it is told, to the second.
	At       time.Duration `yaml:"at"`
	Incident string        `yaml:"incident"` // opened, updated or resolved
	Reason   string        `yaml:"reason"`
	Workload string        `yaml:"workload"`
	Node     string        `yaml:"node"`
	Severity string        `yaml:"severity"`
	Stops    int64         `yaml:"stops"`
	// Silenced is the silence that holds it back.
	Silenced string `yaml:"silenced"`
	// Notices are the routes that tell it. An empty list is nobody; left out is anybody.
	Notices []string `yaml:"notices"`
}

// LoadRules reads a file of rule tests. If anything is wrong the error is Faults.
func LoadRules(file string) (*RuleTest, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, Faults{{File: file, Problem: reason(err)}}
	}
	return parseRules(file, text)
}

func parseRules(file string, text []byte) (*RuleTest, error) {
	r := &RuleTest{Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Faults{syntaxFault(file, err)}
	}
	d := &decoder{
		file: file, places: map[string]place{}, misspelt: map[string]bool{}, refs: map[string]string{}, anchors: map[string]ast.Node{},
		defaults: componentDefault, expand: expand,
	}
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			d.decode(doc.Body, "", reflect.ValueOf(r).Elem())
		}
	}
	k := &checker{places: d.places, misspelt: d.misspelt, faults: d.faults}
	k.rules(r)
	if len(k.faults) > 0 {
		return nil, k.faults.sorted()
	}
	return r, nil
}

// maxRepeat bounds a case.
const maxRepeat = 100_000

func (k *checker) rules(r *RuleTest) {
	if len(r.Cases) == 0 {
		k.at("cases", "cases: there is none; write at least one")
	}
	names := map[string]bool{}
	for i := range r.Cases {
		c, path := &r.Cases[i], fmt.Sprintf("cases[%d]", i)
		c.Line = k.find(path).line
		if c.Name == "" || names[c.Name] {
			k.at(path+".name", "%s.name: %q must be there and be unique", path, c.Name)
		}
		names[c.Name] = true
		for n := range c.Silences {
			at := fmt.Sprintf("%s.silences[%d]", path, n)
			k.add(at, c.Silences[n].Validate())
			if _, err := router.Compile(c.Silences[n].Match); err != nil {
				k.at(at+".match", "%s.match: %v%s", at, err, conditionHint(err))
			}
		}
		for n := range c.Events {
			k.ruleEvent(fmt.Sprintf("%s.events[%d]", path, n), &c.Events[n])
		}
		for n := range c.Expect {
			at := fmt.Sprintf("%s.expect[%d].incident", path, n)
			k.oneOf(at, c.Expect[n].Incident, "opened", "updated", "resolved")
		}
	}
}

func (k *checker) ruleEvent(path string, e *RuleEvent) {
	var known []string
	for _, t := range event.Types() {
		known = append(known, t.Type.Kind()+"."+t.Type.Event())
	}
	slices.Sort(known)
	if !slices.Contains(known, e.Event) {
		k.at(path+".event", "%s.event: %q is no event%s; bellbuoy schema list shows them", path, e.Event, hint(e.Event, known))
	}
	if e.At < 0 || e.Every < 0 || e.Repeat < 0 || e.Repeat > maxRepeat {
		k.at(path, "%s: a time or a count is out of bounds; write at and every from 0s, and repeat up to %d", path, maxRepeat)
	}
	if strings.HasPrefix(e.Event, "task.") && e.Workload == "" {
		k.at(path, "%s: workload is missing", path)
	}
	if e.Event == "task.stopped" && e.Class == "" {
		k.at(path, "%s: class is missing; write one such as exit.error, user.stop or oom.limit", path)
	}
}
