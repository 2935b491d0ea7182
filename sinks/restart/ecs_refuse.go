package restart

import (
	"context"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// refuseOnECS tells a refusal, and notes that the last action on the service has not helped for long. An
// amended event that refuses what its predecessor has claimed takes the claim back, if nothing was done.
func (h *Handler) refuseOnECS(ctx context.Context, e *event.Event, r *record, c *caseOnECS, d Decision) error {
	taken := d.Rule == RuleOperator || d.Rule == RuleExpected || d.Rule == RuleOwnAction
	if a := r.of(e.Data.Supersedes); taken && a != nil && e.Data.Supersedes != "" && a.Phase == waiting && a.Tries == 0 {
		return h.end(ctx, e, r, a, event.ActionDenied, d.Rule, d.Reason)
	}
	if d.Silent {
		return nil
	}
	if d.Rule == RuleCooldown && c.sicken() {
		if err := h.save(ctx, r, c.now); err != nil {
			return err
		}
	} else if err := h.unchanged(ctx, e, r); err != nil {
		return err
	}
	b := breaker()
	return h.publish(ctx, e, &Attempt{
		Trigger: e.ID, Kind: c.kind, Claimed: e.Time, Rule: d.Rule, Says: d.Reason, Budget: b.String(),
	}, event.ActionDenied)
}

// breakOnECS tells once that the actions do not help. For a service that holds until it has had no trouble
// for the breaker's window.
func (h *Handler) breakOnECS(ctx context.Context, e *event.Event, r *record, c *caseOnECS, d Decision) error {
	if g := r.GaveUp; c.kind != Run && g != nil && c.now.Sub(later(g.At, g.Seen)) < d.Budget.Window {
		g.Seen = c.now
		return h.save(ctx, r, c.now)
	}
	c.sicken()
	r.GaveUp = &gaveUp{
		Trigger: e.ID, Kind: c.kind, At: c.now, Actions: d.Attempt, Budget: d.Budget.String(),
		Says: d.Reason + "; the last time: " + reasonOf(e),
	}
	if err := h.save(ctx, r, c.now); err != nil {
		return err
	}
	return h.tellBroken(ctx, e, r.GaveUp)
}

func (h *Handler) tellBroken(ctx context.Context, e *event.Event, g *gaveUp) error {
	return h.publish(ctx, e, &Attempt{
		Trigger: e.ID, Kind: g.Kind, Claimed: g.At, Rule: RuleBreaker, Budget: g.Budget, Number: g.Actions, Says: g.Says,
	}, event.ActionGaveUp)
}

// maxCalls is how many calls are made for one attempt that ECS refuses, or does not answer.
const maxCalls = 3

// retryOnECS waits for the next call, or ends the attempt.
func (h *Handler) retryOnECS(ctx context.Context, e *event.Event, r *record, a *Attempt, says string) error {
	if a.Kind == Redeploy || a.Tries >= maxCalls {
		return h.end(ctx, e, r, a, event.ActionFailed, "", says)
	}
	now := time.Now()
	a.Phase, a.NotBefore, a.Lease, a.Says = waiting, now.Add(h.cfg.Backoff.delay(a.Tries)), time.Time{}, says
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	return again(time.Until(a.NotBefore), says)
}
