package restart

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// actOnECS makes the call, if all is still as the decision found it.
func (h *Handler) actOnECS(ctx context.Context, e *event.Event, r *record, a *Attempt, p platform) error {
	c, err := h.caseOf(ctx, e, r, p)
	if err != nil {
		return err
	}
	if a.Tries > 0 { // an earlier call of which the answer was lost, or that was refused
		if run, ok := began(a, &c.state); ok {
			return h.begun(ctx, e, r, a, run, pollECS)
		}
		if a.Kind == Redeploy {
			return h.end(ctx, e, r, a, event.ActionFailed, "", "what came of the call is not known, and ECS shows no new deployment; it is not repeated")
		}
	}
	c.maxAge = max(c.maxAge, c.now.Sub(e.Time)) // it was young enough when it was claimed
	if rule, reason := c.allowed(); rule != "" {
		return h.end(ctx, e, r, a, unlessTried(a), rule, reason)
	}
	a.Before = primary(c.state.service)
	if a, err = h.begin(ctx, e, r, a, c.now); err != nil {
		return err
	}
	run, failed := h.callECS(ctx, e, a, c, p)
	switch {
	case failed == nil:
		return h.begun(ctx, e, r, a, run, pollECS)
	case ctx.Err() != nil: // the lease keeps everybody else away
		return fmt.Errorf("%s on ECS: %w", a.Kind, failed)
	case errors.Is(failed, errRefused):
		a.Refused++
	case a.Kind == Redeploy:
		return h.unclear(ctx, e, r, a, p, failed)
	}
	return h.retryOnECS(ctx, e, r, a, fmt.Sprintf("%s failed: %s", a.Kind, brief(failed)))
}

func (h *Handler) callECS(ctx context.Context, e *event.Event, a *Attempt, c *caseOnECS, p platform) (string, error) {
	ctx, cancel, err := inTime(ctx, a)
	defer cancel()
	if err != nil {
		return "", err
	}
	call := callToECS{subject: subjectOnECS(e), kind: a.Kind, state: c.state, reason: stopReason(h.name, e), startedBy: startedBy(h.name)}
	if t := c.state.task; t != nil {
		call.token = event.NewID("run", aws.ToString(t.TaskArn), strconv.FormatInt(a.Number, 10), strconv.FormatInt(a.Refused, 10))
		call.network = h.cloud.cfg.Networks[familyOf(t)]
	}
	return p.call(ctx, &call)
}

// unclear looks for the deployment of a call without an answer. Nothing but a look follows such a call,
// now and when its lease has ended.
func (h *Handler) unclear(ctx context.Context, e *event.Event, r *record, a *Attempt, p platform, failed error) error {
	state, err := lookAt(ctx, p, subjectOnECS(e))
	if err != nil {
		return err
	}
	if run, ok := began(a, &state); ok {
		return h.begun(ctx, e, r, a, run, pollECS)
	}
	return again(time.Until(a.Lease), "what came of the call is not known: "+brief(failed))
}

// began tells by the state whether an earlier call has had its effect, and the deployment that it began. A
// run is told by its token only, which makes a second call safe.
func began(a *Attempt, s *onECS) (run string, ok bool) {
	switch a.Kind {
	case Stop:
		return "", s.task == nil || stopping(s.task)
	case Redeploy:
		run = primary(s.service)
		return run, run != "" && run != a.Before
	}
	return "", false
}

// stopReason is what ECS shows as the reason of the stop. Collectors know an own stop by its begin.
func stopReason(handler string, e *event.Event) string {
	return fmt.Sprintf("%s%s: unhealthy, event %s", event.OwnStop, handler, e.ID)
}

// startedBy marks a task that this handler runs. ECS takes letters, digits, -, / and _, and 36 of them anywhere.
func startedBy(handler string) string {
	const longest = 36
	by := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-/_", r) {
			return r
		}
		return '-'
	}, event.OwnStop+handler)
	return by[:min(len(by), longest)]
}
