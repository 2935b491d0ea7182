// Package cause decides why a task stopped and whether that was expected.
//
// A collector gathers Evidence and asks a Table, one per runtime; the cause goes into the stop event
// and decides about alerts, incidents and restarts behind it. It is pure: the same evidence gives the
// same cause, so that live, reconciled and replayed stops agree. A table is data: rows are tried in
// order, the first whose condition holds wins, and the cause names it. Rows of a user go in front of
// the runtime's own. Stop requests beat exit codes. Evidence that no row knows gives unknown.lost with
// the confidence of a guess; nothing here fails.
package cause

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Evidence is what a collector knows about the end of one run.
type Evidence struct {
	// ExitCode is nil when it can't be known; CodeFrom says where it was read when that is not the
	// runtime's own record, such as "the event", which a label can forge.
	ExitCode *int64
	CodeFrom string
	// Ran is from start to stop, 0 if unknown.
	Ran time.Duration

	// OOMFlag is the runtime's record, OOMEvent an event within this run.
	OOMFlag, OOMEvent bool

	// Kills are the signals that somebody sent through the runtime's API during this run, in order.
	Kills []Kill
	// StopSignal is the signal that a stop request sends first; 0 means SIGTERM.
	StopSignal int
	// StopEvent says that the runtime reported a completed stop request.
	StopEvent bool
	// StoppedAt is when the run ended, for the distance to the signals.
	StoppedAt time.Time
	// Removed says that the task was removed right after; AutoRemove that this was asked for at creation.
	Removed, AutoRemove bool

	// StartFailed says that no process ever ran; StateError is the runtime's own word for it.
	StartFailed bool
	StateError  string

	// Unhealthy says that the probe failed when the run ended; UnhealthyFor is how long before the
	// first signal that began, ProbeEvery the probe's interval.
	Unhealthy                bool
	UnhealthyFor, ProbeEvery time.Duration

	// RestartPolicy is the runtime's own, such as on-failure:3; Service says that an orchestrator wants
	// the task to run for ever.
	RestartPolicy string
	Service       bool
	// OwnAction says that a restart handler of ours is acting on the task.
	OwnAction bool
	// Shutdown says that the whole runtime or host went down; Together counts the tasks that were asked
	// to stop within the same second.
	Shutdown bool
	Together int
	// Unseen says that the end was inferred from a snapshot; Restarted that another run had begun by
	// then, and PolicyRestarted that the runtime's policy began it.
	Unseen, Restarted, PolicyRestarted bool
}

// Kill is one signal sent through the API.
type Kill struct {
	Signal int
	At     time.Time
}

// Rule is one row of a table.
type Rule struct {
	Name       string
	When       func(*Evidence) bool
	Class      string
	Confidence event.Confidence
	Initiator  string
	Expected   bool
	// Say is a sentence with the placeholders {code}, {signal}, {after}, {error}, {sent} and {policy}.
	Say string
}

// Table is a list of rules; the first that matches wins.
type Table []Rule

// Classify returns the cause that the first matching rule gives.
func (t Table) Classify(e Evidence) event.Cause {
	for _, rule := range t {
		if rule.When(&e) {
			return rule.cause(&e)
		}
	}
	return lost().cause(&e)
}

func lost() Rule {
	return Rule{
		Name: "nothing-known", When: func(*Evidence) bool { return true },
		Class: "unknown.lost", Confidence: event.Guess, Initiator: "unknown",
		Say: "ended{after}; why can't be known",
	}
}

func (r Rule) cause(e *Evidence) event.Cause {
	c := event.Cause{
		Class: r.Class, Confidence: r.Confidence, Initiator: r.Initiator, Expected: r.Expected,
		Say: fill(r.Say, e), Evidence: evidence(e), Rule: r.Name,
	}
	if c.Confidence == event.Fact && e.CodeFrom != "" {
		c.Confidence = event.Likely // read from a place that may be wrong
	}
	return c
}

func fill(say string, e *Evidence) string {
	code, signal, after := "an unknown exit code", "a signal", ""
	if e.ExitCode != nil {
		code = "exit code " + strconv.FormatInt(*e.ExitCode, 10)
		signal = cmp.Or(SignalOf(*e.ExitCode), signal)
	}
	if e.Ran > 0 {
		after = " after " + Duration(e.Ran)
	}
	return strings.NewReplacer(
		"{code}", code, "{signal}", signal, "{after}", after, "{policy}", e.RestartPolicy, "{sent}", sent(e.Kills),
		"{error}", cmp.Or(strings.TrimSpace(e.StateError), "no reason given"),
	).Replace(say)
}

// Duration returns a duration as people read it: two units at most.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return short(d.Round(time.Second))
	case d < 48*time.Hour:
		return short(d.Round(time.Minute))
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// short drops the units that are zero from the end: 3h0m0s is 3h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
