package restart

import (
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// affordable asks the budget and grows the delay with every attempt that counts.
func affordable(e *event.Event, kind Kind, label string, h History, p Policy) Decision {
	budget := p.Budget
	if label != "" {
		parsed, err := ParseBudget(label)
		if err != nil {
			return Decision{Rule: RuleBadLabel, Reason: fmt.Sprintf("label %s %v", labelBudget, err)}
		}
		budget = parsed
	}
	if e.Type == followed { // as often as what it stands on
		return Decision{Kind: kind, Rule: RuleAllowed, Reason: reasonOf(e), Attempt: 1, Budget: budget}
	}
	n := spent(forgive(e, h.Attempts, p.StableAfter), h.Now, budget.Window)
	if n >= budget.Actions {
		return Decision{Rule: RuleBudget, Reason: fmt.Sprintf("the budget of %s is spent", budget), Attempt: n, Budget: budget}
	}
	return Decision{
		Kind: kind, Rule: RuleAllowed, Reason: reasonOf(e), Delay: p.Backoff.delay(n), Attempt: n + 1, Budget: budget,
	}
}

func reasonOf(e *event.Event) string {
	switch c := e.Data.Cause; {
	case e.Type == followed:
		return e.Data.Message
	case c != nil && e.Type == event.TaskStopped:
		return c.Say
	case e.Data.Service != nil:
		return troubleOf(e.Data.Service)
	}
	return "its health probe fails"
}

// delay is the back-off after n attempts: none, First, doubling up to Limit.
func (b Backoff) delay(n int64) time.Duration {
	if n == 0 {
		return 0
	}
	d := b.First
	for ; n > 1 && d < b.Limit; n-- {
		d *= 2
	}
	return min(d, b.Limit)
}

// spent counts the actions of the window, those that wait for their turn included.
func spent(attempts []Attempt, now time.Time, window time.Duration) int64 {
	var n int64
	for i := range attempts {
		a := &attempts[i]
		if a.Forgiven || a.Follows != "" {
			continue
		}
		if a.Phase == waiting {
			n++
		}
		if now.Sub(a.Tried) < window {
			n += a.Tries
		}
	}
	return n
}

// forgive marks the attempts before a run that lived long enough: the task was stable, so they do not
// count any more. It returns a new list.
func forgive(e *event.Event, attempts []Attempt, stableAfter time.Duration) []Attempt {
	out := append([]Attempt(nil), attempts...)
	started := e.Data.Task.Times.Started
	if started.IsZero() || e.Time.Sub(started) < stableAfter {
		return out
	}
	for i := range out {
		if out[i].Task == e.Data.Task.ID && out[i].Phase == ended && !out[i].Tried.After(e.Time) {
			out[i].Forgiven = true
		}
	}
	return out
}
