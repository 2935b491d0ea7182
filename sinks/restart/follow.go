package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// followed is the type of the occurrences that the handler makes of an own success: a task stood on the one
// that was restarted. They are never on the stream.
const followed event.Type = "followed"

// maxFollowers bounds how many tasks one restart leads to.
const maxFollowers = 100

// follower is a task that is restarted because another one was, and how that ended.
type follower struct {
	Dependant
	// Outcome is empty until it is known.
	Outcome event.Type `json:"outcome,omitzero"`
}

// succeed plans what follows the success of an attempt, when that has been told, and goes on with it. That
// nothing follows is saved, too: another handler may be at it, and what has followed looks like nothing.
func (h *Handler) succeed(ctx context.Context, e *event.Event, r *record, a *Attempt) error {
	supporter, ok := h.restarters[e.Data.Runtime].(Supporter)
	if !ok || a.Followed || a.Follows != "" || a.Outcome != event.ActionSucceeded && h.cfg.Mode != DryRun {
		return nil
	}
	found, err := h.standOn(ctx, supporter, e, a)
	if err != nil {
		return err
	}
	for _, d := range found {
		a.After = append(a.After, follower{Dependant: d})
	}
	a.Followed = len(a.After) == 0
	if a, err = h.keep(ctx, e, r); err != nil {
		return err
	}
	return h.follow(ctx, e, r, a)
}

func (h *Handler) standOn(ctx context.Context, s Supporter, e *event.Event, a *Attempt) ([]Dependant, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	found, err := s.Dependants(ctx, Target{Scope: e.Data.Scope, ID: a.Task, Run: a.NewRun})
	if err != nil {
		return nil, fmt.Errorf("look for what stands on the task: %w", err)
	}
	if len(found) > maxFollowers {
		h.logger.Warn("too many tasks stand on one", "event_id", e.ID, "workload", e.Data.Workload, "tasks", len(found), "limit", maxFollowers)
		found = found[:maxFollowers]
	}
	return found, nil
}

// follow restarts what stands on the task, one after the other, as far as that goes now.
func (h *Handler) follow(ctx context.Context, e *event.Event, r *record, a *Attempt) error {
	for i := range a.After {
		if a.After[i].Outcome != "" {
			continue
		}
		outcome, err := h.followOne(ctx, e, a, &a.After[i])
		if err != nil {
			return err
		}
		a.After[i].Outcome = outcome
		if i == len(a.After)-1 {
			a.After, a.Followed = nil, true
		}
		if a, err = h.keep(ctx, e, r); err != nil || a.Followed {
			return err
		}
	}
	return nil
}

// keep saves the record and returns the event's attempt, which that moves.
func (h *Handler) keep(ctx context.Context, e *event.Event, r *record) (*Attempt, error) {
	if err := h.save(ctx, r, time.Now()); err != nil {
		return nil, err
	}
	return r.of(e.ID), nil
}

// followOne takes the restart of one task as far as it goes now, as if an event had asked for it, and
// returns how it ended.
func (h *Handler) followOne(ctx context.Context, e *event.Event, a *Attempt, f *follower) (event.Type, error) {
	cause := actionEvent(h.name, h.cfg.Mode, e, a, a.Outcome, a.Ended)
	occurrence := occurrenceOf(&cause, a, f)
	if lost := missing(a, f); lost != "" {
		denied := Attempt{
			Trigger: occurrence.ID, Kind: Restart, Claimed: a.Ended, Rule: RuleDependency, Follows: cause.ID, Budget: a.Budget,
			Says: lost + ", which it stands on, was not restarted",
		}
		return event.ActionDenied, h.publish(ctx, &occurrence, &denied, event.ActionDenied)
	}
	r, err := h.load(ctx, &occurrence)
	if err != nil {
		return "", err
	}
	if err := h.step(ctx, &occurrence, r); err != nil {
		return "", err
	}
	own := r.about(keyOf(&occurrence))
	switch {
	case own == nil:
		return event.ActionDenied, nil
	case own.Phase != ended && time.Since(later(own.NotBefore, own.Tried)) < verifyTimeout+lease:
		return "", again(poll, "another action on the task is under way")
	case own.Phase != ended: // nobody pursues it
		return event.ActionFailed, nil
	}
	return own.Outcome, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// missing names a task that f stands on and that is not back: one that failed, or all of them.
func missing(a *Attempt, f *follower) string {
	outcomes, names := map[string]event.Type{a.Task: event.ActionSucceeded}, map[string]string{}
	for i := range a.After {
		outcomes[a.After[i].ID], names[a.After[i].ID] = a.After[i].Outcome, a.After[i].Name
	}
	back, lost := false, ""
	for _, id := range f.On {
		switch outcomes[id] {
		case event.ActionFailed:
			return names[id]
		case event.ActionDenied:
			lost = names[id]
		default:
			back = true
		}
	}
	if back {
		return ""
	}
	return lost
}

// occurrenceOf makes the occurrence that a task stood on the one of cause, the event of its restart.
func occurrenceOf(cause *event.Event, a *Attempt, f *follower) event.Event {
	subject := event.SubjectOf(f.Scope, f.Workload, f.ID)
	d := cause.Data
	return event.Event{
		ID: event.NewID("follow", cause.ID, f.ID), Source: cause.Source, Type: followed, Subject: subject, PartitionKey: subject,
		Time: a.Ended, CausationID: cause.ID, TraceParent: cause.TraceParent,
		Data: event.Data{
			Site: d.Site, Runtime: d.Runtime, Scope: f.Scope, Node: d.Node, Workload: f.Workload, Observed: d.Observed,
			Owner: f.Labels["bellbuoy.owner"], Labels: f.Labels, Message: f.Why,
			Task: &event.Task{ID: f.ID, Name: f.Name, Run: f.Run, State: event.StateRunning},
		},
	}
}
