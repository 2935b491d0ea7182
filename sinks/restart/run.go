package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Each function here enters a phase by saving it and publishes afterwards; a redelivery finds the phase
// and publishes again what a crash may have swallowed. The ids of these events are fixed, so that nobody
// sees one twice.

// afterStop is how long the stop of a restart may still be on its way to a collector that is blind now.
const afterStop = 10 * time.Minute

// claim decides about an event that has no attempt yet and claims its run.
func (h *Handler) claim(ctx context.Context, e *event.Event, r *record) error {
	if g := r.GaveUp; g != nil && g.Trigger == e.ID {
		return h.tellGaveUp(ctx, e, g) // that is its end, even if the budget has room meanwhile
	}
	if a := r.open(e.Data.Task.ID); a != nil && a.Key != keyOf(e) {
		return h.outrun(ctx, e, r, a)
	}
	d, err := h.decide(ctx, e, r)
	if err != nil {
		return err
	}
	now := time.Now()
	switch {
	case d.Rule == RuleBudget:
		return h.giveUp(ctx, e, r, d)
	case d.Kind == "":
		return h.refuse(ctx, e, r, d)
	}
	a := Attempt{
		Key: keyOf(e), Trigger: e.ID, Task: e.Data.Task.ID, Kind: d.Kind, Phase: waiting, Number: d.Attempt, Budget: d.Budget.String(),
		Reason: d.Reason, Claimed: now, NotBefore: now,
	}
	if e.Type == followed {
		a.Follows = e.CausationID
	}
	if d.Delay > 0 {
		a.NotBefore = now.Add(backoff.Jitter(d.Delay))
	}
	if h.cfg.Mode == DryRun {
		a.Phase, a.Tries, a.Tried, a.Ended, a.Outcome = ended, 1, now, now, event.ActionRequested
	}
	r.Attempts = append(forgive(e, r.Attempts, h.cfg.StableAfter), a)
	if e.Type != followed {
		r.GaveUp = nil
	}
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	if err := h.publish(ctx, e, &a, event.ActionRequested); err != nil {
		return err
	}
	if a.Phase == ended {
		return h.succeed(ctx, e, r, r.of(e.ID))
	}
	if wait := time.Until(a.NotBefore); wait > 0 {
		return again(wait, "back-off before "+string(a.Kind))
	}
	return h.act(ctx, e, r, r.of(e.ID))
}

// decide reads the real state and asks Decide.
func (h *Handler) decide(ctx context.Context, e *event.Event, r *record) (Decision, error) {
	restarter, ok := h.restarters[e.Data.Runtime]
	if !ok {
		return Decision{Rule: RuleOtherRuntimes, Reason: fmt.Sprintf("tasks of %s can't be restarted", e.Data.Runtime)}, nil
	}
	state, err := h.look(ctx, restarter, e)
	if err != nil {
		return Decision{}, err
	}
	return Decide(e, History{Now: time.Now(), State: state, Attempts: r.Attempts}, Policy{
		Budget: h.cfg.Budget, StableAfter: h.cfg.StableAfter, Backoff: h.cfg.Backoff, MaxAge: h.cfg.MaxAge,
	}), nil
}

func (h *Handler) look(ctx context.Context, r Restarter, e *event.Event) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	state, err := r.State(ctx, targetOf(e))
	if err != nil {
		return State{}, fmt.Errorf("look at task: %w", err)
	}
	return state, nil
}

// outrun handles an event about a task on which an attempt for an earlier run is open. The end of the new
// run is the end of that attempt; otherwise the attempt has its turn first, unless nobody pursues it.
func (h *Handler) outrun(ctx context.Context, e *event.Event, r *record, a *Attempt) error {
	now := time.Now()
	free := a.NotBefore.Add(lease)
	if a.Phase == acting {
		free = a.Lease
	}
	switch {
	case a.Phase == started && kindOf(e) == Start && !e.Time.Before(a.Tried):
		return h.endThenRaced(ctx, e, r, a, event.ActionFailed, "the new run ended: "+reasonOf(e))
	case a.Phase == started && now.Before(a.Begun.Add(verifyTimeout+lease)):
		return again(poll, "the new run is being watched")
	case a.Phase != started && now.Before(free):
		return again(min(poll, free.Sub(now)), "another action on the task is under way")
	}
	return h.endThenRaced(ctx, e, r, a, event.ActionFailed, "nobody saw how it ended")
}

// endThenRaced ends another event's attempt and lets the caller start over.
func (h *Handler) endThenRaced(ctx context.Context, e *event.Event, r *record, a *Attempt, outcome event.Type, says string) error {
	if err := h.end(ctx, e, r, a, outcome, a.Rule, says); err != nil {
		return err
	}
	return errRaced
}

// refuse tells a refusal. An amended event that refuses what its predecessor has claimed takes the claim
// back, as long as nothing was done.
func (h *Handler) refuse(ctx context.Context, e *event.Event, r *record, d Decision) error {
	if a := r.of(e.Data.Supersedes); a != nil && e.Data.Supersedes != "" && a.Phase == waiting && a.Tries == 0 {
		if rule, reason := wanted(e, e.Data.Labels[labelRestart]); rule != "" {
			return h.end(ctx, e, r, a, event.ActionDenied, rule, reason)
		}
	}
	if duplicate, _ := repeated(e, r.Attempts); duplicate != "" || d.Silent {
		return nil
	}
	if err := h.unchanged(ctx, e, r); err != nil {
		return err
	}
	a := Attempt{Trigger: e.ID, Kind: kindOf(e), Claimed: e.Time, Rule: d.Rule, Says: d.Reason, Budget: h.cfg.Budget.String()}
	if e.Type == followed {
		a.Follows = e.CausationID
	}
	return h.publish(ctx, e, &a, event.ActionDenied)
}

// unchanged returns errRaced if the record is not what the decision was made with. A refusal is not saved,
// and its reason may be the very action that another handler has claimed and done meanwhile.
func (h *Handler) unchanged(ctx context.Context, e *event.Event, r *record) error {
	now, err := h.load(ctx, e)
	if err == nil && now.revision != r.revision {
		err = errRaced
	}
	return err
}

// giveUp tells once that the budget is spent. Until an action is possible again, further stops are silent.
func (h *Handler) giveUp(ctx context.Context, e *event.Event, r *record, d Decision) error {
	if g := r.GaveUp; g != nil && time.Since(g.At) < d.Budget.Window {
		return nil
	}
	now := time.Now()
	r.GaveUp = gaveUpBy(e, d.Attempt, d.Budget, reasonOf(e), now)
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	return h.tellGaveUp(ctx, e, r.GaveUp)
}

func gaveUpBy(e *event.Event, actions int64, b Budget, last string, now time.Time) *gaveUp {
	return &gaveUp{
		Trigger: e.ID, Kind: kindOf(e), At: now, Actions: actions, Budget: b.String(),
		Says: fmt.Sprintf("the budget of %s is spent; the last time: %s", b, last),
	}
}

func (h *Handler) tellGaveUp(ctx context.Context, e *event.Event, g *gaveUp) error {
	return h.publish(ctx, e, &Attempt{
		Trigger: e.ID, Kind: g.Kind, Claimed: g.At, Rule: RuleBudget, Budget: g.Budget, Number: g.Actions, Says: g.Says,
	}, event.ActionGaveUp)
}

// act makes the call, if the task is still as the event says.
func (h *Handler) act(ctx context.Context, e *event.Event, r *record, a *Attempt) error {
	restarter, ok := h.restarters[e.Data.Runtime]
	if !ok {
		return h.end(ctx, e, r, a, event.ActionDenied, RuleOtherRuntimes, "tasks of this runtime can't be restarted any more")
	}
	state, err := h.look(ctx, restarter, e)
	if err != nil {
		return err
	}
	if a.Tries > 0 && state.Found && !state.same(e) {
		return h.begun(ctx, e, r, a, state.Run(), h.cfg.VerifyAfter) // an earlier call whose answer was lost
	}
	kind := a.Kind
	if a.Tries > 0 && kind == Restart && state.Found && !state.Running {
		kind = Start // a restart that was cut off between its stop and its start
	}
	if rule, reason := movedOn(e, kind, &state); rule != "" {
		return h.end(ctx, e, r, a, unlessTried(a), rule, reason)
	}
	now := time.Now()
	if budget := h.budgetOf(a); a.Tries > 0 && used(a, r.Attempts, now, budget) >= budget.Actions {
		return h.exhaust(ctx, e, r, a, budget)
	}
	if a, err = h.begin(ctx, e, r, a, now); err != nil {
		return err
	}
	return h.called(ctx, e, r, a, restarter, h.call(ctx, restarter, kind, targetOf(e), a))
}

// begin enters the phase in which the call is made. It returns the attempt, which saving has moved; the call
// may be made if there is no error.
func (h *Handler) begin(ctx context.Context, e *event.Event, r *record, a *Attempt, now time.Time) (*Attempt, error) {
	a.Phase, a.Tries, a.Tried, a.Lease = acting, a.Tries+1, now, now.Add(lease)
	if err := h.save(ctx, r, now); err != nil {
		return nil, err
	}
	a = r.of(e.ID)
	err := h.publish(ctx, e, a, event.ActionStarted)
	if a.told = err == nil; err != nil {
		h.logger.Warn("action not told, acting all the same", "event_id", e.ID, "err", err)
	}
	fresh, err := h.load(ctx, e)
	if err == nil && !r.holds(e.ID, fresh) {
		err = errRaced // a handler that was held up has lost its claim meanwhile
	}
	return a, err
}

// unlessTried is how an attempt ends that is not needed any more: refused, or failed if a call was made.
func unlessTried(a *Attempt) event.Type {
	if a.Tries > 0 {
		return event.ActionFailed
	}
	return event.ActionDenied
}
