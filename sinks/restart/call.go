package restart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func (h *Handler) budgetOf(a *Attempt) Budget {
	if b, err := ParseBudget(a.Budget); err == nil {
		return b
	}
	return h.cfg.Budget
}

// used counts what is spent when the attempt makes its next try.
func used(a *Attempt, attempts []Attempt, now time.Time, b Budget) int64 {
	if a.Follows != "" {
		return a.Tries
	}
	n := spent(attempts, now, b.Window)
	if a.Phase == waiting {
		n-- // its turn, which has come, was counted ahead
	}
	return n
}

// exhaust ends an attempt whose calls have spent the budget, and gives up in the same write.
func (h *Handler) exhaust(ctx context.Context, e *event.Event, r *record, a *Attempt, b Budget) error {
	says := a.Says
	if says == "" {
		says = "its outcome is not known"
	}
	if a.Follows != "" {
		return h.end(ctx, e, r, a, event.ActionFailed, "", says)
	}
	r.GaveUp = gaveUpBy(e, a.Tries, b, says, time.Now())
	if err := h.end(ctx, e, r, a, event.ActionFailed, "", says); err != nil {
		return err
	}
	return h.tellGaveUp(ctx, e, r.GaveUp)
}

// call makes the call.
func (h *Handler) call(ctx context.Context, r Restarter, kind Kind, t Target, a *Attempt) error {
	ctx, cancel, err := inTime(ctx, a)
	defer cancel()
	if err != nil {
		return err
	}
	if kind == Start {
		return r.Start(ctx, t)
	}
	h.mark(t, time.Now().Add(lease))
	defer func() { h.mark(t, time.Now().Add(afterStop)) }()
	return r.Restart(ctx, t)
}

// inTime bounds a call by the time since its phase was saved, not since now: a handler that was held up in
// between must not begin a call that its lease does not cover, which is the error. The wall clock is asked
// too, because the other stands still while a machine is suspended.
func inTime(ctx context.Context, a *Attempt) (context.Context, context.CancelFunc, error) {
	until := a.Tried.Add(callTimeout)
	ctx, cancel := context.WithDeadline(ctx, until)
	err := ctx.Err()
	switch {
	case err != nil:
		err = fmt.Errorf("call too late: %w", err)
	case time.Now().Round(0).After(until.Round(0)):
		err = errors.New("call too late: the machine stood still")
	}
	return ctx, cancel, err
}

// called records what came of a call. Only the state tells: a call may fail and have worked, or the
// reverse.
func (h *Handler) called(ctx context.Context, e *event.Event, r *record, a *Attempt, restarter Restarter, failed error) error {
	state, err := h.look(ctx, restarter, e)
	switch {
	case err != nil:
		return err // the lease keeps everybody else away until the state can be read
	case state.Found && !state.same(e):
		return h.begun(ctx, e, r, a, state.Run(), h.cfg.VerifyAfter)
	case !state.Found:
		return h.end(ctx, e, r, a, event.ActionFailed, RuleGone, "the runtime does not know it any more")
	case failed == nil:
		failed = fmt.Errorf("%s without a new run", a.Kind)
	case ctx.Err() != nil:
		return fmt.Errorf("%s task: %w", a.Kind, failed)
	}
	return h.retry(ctx, e, r, a, failed)
}

// retry waits for the next try of a call that failed, or gives up when the budget is spent.
func (h *Handler) retry(ctx context.Context, e *event.Event, r *record, a *Attempt, failed error) error {
	now := time.Now()
	budget := h.budgetOf(a)
	n := used(a, r.Attempts, now, budget)
	a.Says = fmt.Sprintf("%s failed: %s", a.Kind, brief(failed))
	if n >= budget.Actions {
		return h.exhaust(ctx, e, r, a, budget)
	}
	a.Phase, a.NotBefore, a.Lease = waiting, now.Add(backoff.Jitter(h.cfg.Backoff.delay(n))), time.Time{}
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	return again(time.Until(a.NotBefore), a.Says)
}

// brief is an error in at most 300 bytes, without what nobody may read.
func brief(err error) string {
	text := redact.Text(err.Error())
	if len(text) > 300 {
		text = text[:300]
	}
	return text
}
