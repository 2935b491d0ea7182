package restart

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What actions on ECS may cost.
const (
	// cooldown is the distance between two actions on a service, and doubles.
	cooldown = 10 * time.Minute
	// runBackoff is the distance of a run from the end of one that was a handler's own, and doubles.
	runBackoff = time.Minute
	// healthyAfter is how long a service has to do well after an action for that not to count any more.
	healthyAfter = 10 * time.Minute
	// An account has so many actions at once, and one more each time this has passed.
	accountBurst  = 5
	accountRefill = time.Minute
)

// breaker is after how many actions on a service in which time, or runs in a row, the handler gives up.
func breaker() Budget { return Budget{Actions: 3, Window: time.Hour} }

// spend asks what the actions before have spent: cooldown, budget of the account, breaker.
func (c *caseOnECS) spend() Decision {
	b := breaker()
	n, last := c.before(b.Window)
	broken := n >= b.Actions || c.kind != Run && c.gaveUp != nil && c.now.Sub(later(c.gaveUp.At, c.gaveUp.Seen)) < b.Window
	d := Decision{Kind: c.kind, Rule: RuleAllowed, Reason: reasonOf(c.e), Attempt: n + 1, Budget: b}
	switch wait := last.Add(cooldown << max(n-1, 0)).Sub(c.now); {
	case !broken && n > 0 && c.kind != Run && wait > 0:
		return c.refused(RuleCooldown, fmt.Sprintf("the last action on its service was %s ago; the next may be in %s", c.now.Sub(last).Round(time.Second), wait.Round(time.Second)))
	case !c.affordable:
		return c.refused(RuleAccountBudget, fmt.Sprintf("%d actions at once, and one a minute after that, are all that the account may have", accountBurst))
	case broken:
		return Decision{Rule: RuleBreaker, Reason: fmt.Sprintf("%d actions within %s did not help", n, shortDuration(b.Window)), Attempt: n, Budget: b}
	case n > 0 && c.kind == Run:
		d.Delay = runBackoff << (n - 1)
	}
	return d
}

// before counts the actions of the window that did not help, and tells when the last was: those on the
// service, or those whose task this one is, in a row.
func (c *caseOnECS) before(window time.Duration) (n int64, last time.Time) {
	for _, a := range c.line() {
		at := later(a.Claimed, a.Tried)
		if a.Outcome == event.ActionDenied || helped(a, c.e.Time) || c.kind != Run && c.now.Sub(at) >= window {
			continue
		}
		n++
		last = later(last, at)
	}
	return n, last
}

// line are the attempts before this one that are about the same trouble.
func (c *caseOnECS) line() []*Attempt {
	var line []*Attempt
	if c.kind != Run {
		for i := range c.attempts {
			if a := &c.attempts[i]; a.Kind == Stop || a.Kind == Redeploy {
				line = append(line, a)
			}
		}
		return line
	}
	of := map[string]*Attempt{}
	for i := range c.attempts {
		if run := c.attempts[i].NewRun; run != "" {
			of[run] = &c.attempts[i]
		}
	}
	for a := of[c.e.Data.Task.ID]; a != nil; a = of[a.Task] {
		line = append(line, a)
		delete(of, a.NewRun)
		if helped(a, c.e.Time) {
			break // what was before it is forgotten, too
		}
	}
	return line
}

// helped tells whether all was well for long enough after an action, up to now at most.
func helped(a *Attempt, now time.Time) bool {
	until := a.Sick
	if until.IsZero() {
		until = now
	}
	return a.Outcome == event.ActionSucceeded && until.Sub(a.Ended) >= healthyAfter
}

// sicken notes the first trouble after each action on the service or of the task, and tells whether there
// was any to note.
func (c *caseOnECS) sicken() bool {
	noted := false
	for _, a := range c.line() {
		if a.Phase == ended && a.Sick.IsZero() && c.e.Time.After(a.Ended) {
			a.Sick, noted = c.e.Time, true
		}
	}
	return noted
}

// purse is the budget of an account and region, in the ledger.
type purse struct {
	Left float64   `json:"left"`
	At   time.Time `json:"at"`
	// Paid are the last events that had their share, so that none pays twice.
	Paid []string `json:"paid"`

	key      string
	revision uint64
}

// purse reads the budget of the event's account.
func (h *Handler) purse(ctx context.Context, e *event.Event) (*purse, error) {
	p := &purse{Left: accountBurst, key: "restart." + string(h.cfg.Mode) + "." + event.Token(e.Data.Account) + "." + event.Token(e.Data.Region)}
	value, revision, err := h.ledger.Get(ctx, p.key)
	if err != nil {
		return nil, fmt.Errorf("read budget of account: %w", err)
	}
	p.revision = revision
	if len(value) > 0 {
		if err := json.Unmarshal(value, p); err != nil {
			return nil, fmt.Errorf("read budget of account %s: %w", p.key, err)
		}
	}
	return p, nil
}

// at is what is left at a time.
func (p *purse) at(now time.Time) float64 {
	if p.At.IsZero() {
		return p.Left
	}
	return min(accountBurst, p.Left+max(0, now.Sub(p.At).Seconds()/accountRefill.Seconds()))
}

// affords tells whether the event has its share or can have one.
func (p *purse) affords(trigger string, now time.Time) bool {
	return slices.Contains(p.Paid, trigger) || p.at(now) >= 1
}

// pay takes the share of an event, or returns errRaced.
func (h *Handler) pay(ctx context.Context, p *purse, trigger string, now time.Time) error {
	const remembered = 50
	if slices.Contains(p.Paid, trigger) {
		return nil
	}
	p.Left, p.At, p.Paid = p.at(now)-1, now, append(p.Paid, trigger)
	p.Paid = p.Paid[max(0, len(p.Paid)-remembered):]
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode budget of account: %w", err)
	}
	_, won, err := h.ledger.Put(ctx, p.key, value, p.revision)
	switch {
	case err != nil:
		return fmt.Errorf("write budget of account: %w", err)
	case !won:
		return errRaced
	}
	return nil
}
