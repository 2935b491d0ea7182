// Package cause decides why a task stopped and whether that was expected.
//
// A collector gathers Evidence and asks a Table, one per runtime; the cause goes into the stop event
// and decides about alerts, incidents and restarts behind it. It is pure: the same evidence gives the
// same cause, so that live, reconciled and replayed stops agree. A table is data: rows are tried in
// order, the first whose tests all hold wins, and the cause names it. Rows that two runtimes share are
// written once, so that the same fact has the same class, confidence and sentence on both. Rows of a
// user go in front of the runtime's own. Stop requests beat exit codes. Evidence that no row knows gives
// unknown.lost with the confidence of a guess; a user's row that fails on some evidence does not match
// and says so in the cause. Nothing here fails.
package cause

//go:generate go run ./gen

import (
	"cmp"
	"slices"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Test is one condition of a row.
type Test struct {
	// Text says in words what holds, such as "the exit code is 137"; the reference and explain show it.
	Text string
	// Holds must not keep the evidence.
	Holds func(*Evidence) bool
}

// Rule is one row of a table. It matches if all its tests hold.
type Rule struct {
	Name       string
	When       []Test
	Class      string
	Confidence event.Confidence
	Initiator  string
	Expected   bool
	// Say is a sentence with Placeholders, Next what to do first.
	Say, Next string

	own  bool                   // a user's
	ecs  bool                   // of ECS's table: the first test is what the row is about, and AWS Batch judges for itself
	from func(*Evidence) source // where the stop came from; nil is the reason of the stop
}

// Table is a list of rows; the first that matches wins.
type Table []Rule

// Classify returns the cause that the first matching row gives.
func (t Table) Classify(e Evidence) event.Cause {
	for i := range t {
		if t[i].matches(&e) {
			return t[i].cause(&e)
		}
	}
	last := Otherwise()
	return last.cause(&e)
}

// Near is a row that would have won, had one more thing been true.
type Near struct {
	// Rule and Class are the row's.
	Rule  string `json:"rule"`
	Class string `json:"class"`
	// Missing is the text of the one test that does not hold.
	Missing string `json:"missing"`

	held     int
	expected bool
}

// maxNear is how many near misses help a reader.
const maxNear = 3

// Explain returns the cause that Classify returns, and the rows before the matching one of which all
// tests but one hold, the most that hold first, at most 3. Left out are rows that would change
// neither the class nor whether the stop is expected, built-in rows of a single test, for they are all near, and
// rows of ECS that are about something else.
func (t Table) Explain(e Evidence) (event.Cause, []Near) {
	var near []Near
	for i := range t {
		rule := &t[i]
		failed := 0
		missing := ""
		for i, test := range rule.When {
			if !test.Holds(&e) {
				if failed++; rule.ecs && i == 0 {
					failed++ // it is about something else
				}
				missing = test.Text
			}
		}
		if failed == 0 {
			break
		}
		if failed == 1 && (rule.own || len(rule.When) > 1) {
			near = append(near, Near{Rule: rule.Name, Class: rule.Class, Missing: missing, held: len(rule.When) - 1, expected: rule.Expected})
		}
	}
	e.notes = nil // Classify takes them again, from the same tests
	c := t.Classify(e)
	near = slices.DeleteFunc(near, func(n Near) bool { return n.Class == c.Class && n.expected == c.Expected })
	slices.SortStableFunc(near, func(a, b Near) int { return cmp.Compare(b.held, a.held) })
	return c, near[:min(len(near), maxNear)]
}

func (r *Rule) matches(e *Evidence) bool {
	for i := range r.When {
		if !r.When[i].Holds(e) {
			return false
		}
	}
	return true
}

func (r *Rule) cause(e *Evidence) event.Cause {
	if e.from = e.stopText(); r.from != nil {
		e.from = r.from(e)
	}
	c := event.Cause{
		Class: r.Class, Confidence: r.Confidence, Initiator: r.Initiator, InitiatorName: e.initiatorName(r), Expected: r.Expected,
		Say: fill(r.Say, e), Evidence: evidence(e), Rule: r.Name, Next: fill(r.Next, e), Container: e.container(), Token: e.token(),
	}
	if c.Confidence == event.Fact && (e.CodeFrom != "" || e.unsure(r)) {
		c.Confidence = event.Likely // read from a place that may be wrong
	}
	c.InitiatorName, c.Container = redact.Clean(c.InitiatorName), redact.Clean(c.Container)
	if e.told() { // in words that others wrote
		c.Say, c.Next = redact.Clean(c.Say), redact.Clean(c.Next)
	}
	c.Expected = c.Expected || r.ecs && e.ofBatch()
	return c
}

// Otherwise is the row behind every table, for evidence that no row knows.
func Otherwise() Rule {
	return Rule{
		Name: "nothing-known", Class: "unknown.lost", Confidence: event.Guess, Initiator: byUnknown,
		Say:  "ended{after}; why can't be known",
		Next: "look at the log of the runtime and of the host for that time",
	}
}
