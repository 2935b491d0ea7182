package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// begun starts watching the new run, from the next look on.
func (h *Handler) begun(ctx context.Context, e *event.Event, r *record, a *Attempt, run string, next time.Duration) error {
	now := time.Now()
	told := a.told
	a.Phase, a.NewRun, a.Begun = started, run, now
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	if !told {
		if err := h.publish(ctx, e, a, event.ActionStarted); err != nil {
			return err
		}
	}
	return again(next, "the new run is being watched")
}

// verify ends the attempt when the new run has lived long enough, or has not.
func (h *Handler) verify(ctx context.Context, e *event.Event, r *record, a *Attempt) error {
	restarter, ok := h.restarters[e.Data.Runtime]
	if !ok {
		return h.end(ctx, e, r, a, event.ActionFailed, RuleOtherRuntimes, "tasks of this runtime can't be watched any more")
	}
	state, err := h.look(ctx, restarter, e)
	if err != nil {
		return err
	}
	age := time.Since(a.Begun)
	switch {
	case !state.Found:
		return h.end(ctx, e, r, a, event.ActionFailed, RuleGone, "the new run ended and the runtime does not know the task any more")
	case state.Run() != a.NewRun:
		return h.end(ctx, e, r, a, event.ActionFailed, "", "the new run ended and another one began")
	case !state.Running:
		return h.end(ctx, e, r, a, event.ActionFailed, "", fmt.Sprintf("the new run ended with code %d", state.ExitCode))
	case state.Health == "unhealthy":
		return h.end(ctx, e, r, a, event.ActionFailed, "", "the probe of the new run fails")
	case age < h.cfg.VerifyAfter:
		return again(h.cfg.VerifyAfter-age, "the new run is being watched")
	case state.Health == "starting" && age < verifyTimeout:
		return again(poll, "the new run is not healthy yet")
	case state.Health == "starting":
		return h.end(ctx, e, r, a, event.ActionFailed, "", fmt.Sprintf("the new run did not turn healthy within %s", verifyTimeout))
	}
	if err := h.end(ctx, e, r, a, event.ActionSucceeded, "", fmt.Sprintf("the new run lives since %s", age.Round(time.Second))); err != nil {
		return err
	}
	return h.succeed(ctx, e, r, r.of(e.ID))
}

// end records how an attempt ended and tells it.
func (h *Handler) end(ctx context.Context, e *event.Event, r *record, a *Attempt, outcome event.Type, rule, says string) error {
	now := time.Now()
	a.Phase, a.Ended, a.Outcome, a.Rule, a.Says, a.Lease = ended, now, outcome, rule, says, time.Time{}
	told := *a // save moves the attempts
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	return h.tellEnd(ctx, e, &told)
}

// tellEnd publishes the end of an attempt.
func (h *Handler) tellEnd(ctx context.Context, e *event.Event, a *Attempt) error {
	return h.publish(ctx, e, a, a.Outcome)
}
