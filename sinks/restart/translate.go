package restart

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// publish tells what the attempt on the task of the event has come to.
func (h *Handler) publish(ctx context.Context, e *event.Event, a *Attempt, t event.Type) error {
	out := actionEvent(h.name, h.cfg.Mode, e, a, t, time.Now())
	if err := h.publisher.Publish(ctx, out); err != nil {
		return fmt.Errorf("publish %s: %w", t, err)
	}
	h.metrics.actions.WithLabelValues(t.Event()).Inc()
	level := h.logger.Info
	if t == event.ActionDenied || t == event.ActionRequested {
		level = h.logger.Debug
	}
	level("restart "+t.Event(), "event_id", e.ID, "workload", e.Data.Workload, "rule", a.Rule, "reason", out.Data.Action.Reason)
	return nil
}

// actionEvent makes the event of type t about an attempt on the task of e. It is pure: the same attempt
// gives the same id and time, however often it is told.
func actionEvent(handler string, mode Mode, e *event.Event, a *Attempt, t event.Type, now time.Time) event.Event {
	id := event.NewID("action", handler, string(mode), a.Trigger)
	number := ""
	if t == event.ActionStarted {
		number = strconv.FormatInt(a.Tries, 10)
	}
	d := e.Data
	action := event.Action{
		ID: id, Handler: handler, Mode: string(mode), Kind: string(a.Kind), Reason: reasonFor(mode, a, t), Rule: a.Rule,
		Attempt: a.Number, Budget: a.Budget,
	}
	if t == event.ActionSucceeded || t == event.ActionFailed {
		action.Run = a.NewRun
	}
	out := event.Event{
		ID: event.NewID("action", id, t.Event(), number), Source: e.Source, Type: t, Subject: e.Subject, PartitionKey: e.PartitionKey,
		Time: timeFor(a, t).UTC(), Recorded: now.UTC(), CausationID: cmp.Or(a.Follows, a.Trigger), TraceParent: e.TraceParent,
		Data: event.Data{
			Site: d.Site, Runtime: d.Runtime, Scope: d.Scope, Node: d.Node, Account: d.Account, Region: d.Region,
			Workload: d.Workload, Revision: d.Revision,
			Observed: event.ObservedStream, Owner: d.Owner, Labels: d.Labels,
			Action: &action,
		},
	}
	if d.Task != nil {
		out.Data.Task = &event.Task{ID: d.Task.ID, Name: d.Task.Name, Run: d.Task.Run, State: d.Task.State}
	}
	if d.Observed == event.ObservedDrill || d.Observed == event.ObservedReplay {
		out.Data.Observed = d.Observed // what follows from no real event is none either
	}
	out.Data.Message = sentence(e, a, t, mode)
	out.Severity = event.SeverityOf(&out)
	return out
}

// timeFor is when it happened, from the record.
func timeFor(a *Attempt, t event.Type) time.Time {
	switch {
	case t == event.ActionStarted:
		return a.Tried
	case t == event.ActionRequested || a.Ended.IsZero():
		return a.Claimed
	}
	return a.Ended
}

func reasonFor(mode Mode, a *Attempt, t event.Type) string {
	switch t {
	case event.ActionRequested:
		if mode == DryRun {
			return "would have " + past(a.Kind) + ": " + a.Reason
		}
		return a.Reason
	case event.ActionStarted:
		return a.Reason
	}
	return a.Says
}

func past(k Kind) string {
	switch k {
	case Restart:
		return "restarted it"
	case Stop:
		return "stopped it, so that its service replaces it"
	case Run:
		return "run it once more"
	case Redeploy:
		return "deployed it anew"
	}
	return "started it"
}

// doing says what is done to name.
func doing(k Kind, name string) string {
	switch k {
	case Restart:
		return "restarting " + name
	case Stop:
		return "stopping the hung " + name
	case Run:
		return "running " + name + " once more"
	case Redeploy:
		return "deploying " + name + " anew"
	}
	return "starting " + name + " again"
}

// sentence says it for people.
func sentence(e *event.Event, a *Attempt, t event.Type, mode Mode) string {
	name := e.Data.Workload
	if e.Data.Task != nil && e.Data.Task.Name != "" {
		name = e.Data.Task.Name
	}
	again := doing(a.Kind, name)
	count := fmt.Sprintf("attempt %d of %s", a.Number, a.Budget)
	switch t {
	case event.ActionRequested:
		if mode == DryRun {
			return fmt.Sprintf("dry-run: would be %s (%s): %s", again, count, a.Reason)
		}
		return fmt.Sprintf("decided on %s (%s): %s", again, count, a.Reason)
	case event.ActionStarted:
		return fmt.Sprintf("%s (%s): %s", again, count, a.Reason)
	case event.ActionSucceeded:
		return fmt.Sprintf("%s worked (%s): %s", again, count, a.Says)
	case event.ActionFailed:
		return fmt.Sprintf("%s failed (%s): %s", again, count, a.Says)
	case event.ActionGaveUp:
		return fmt.Sprintf("gave up %s after %d actions: %s", again, a.Number, a.Says)
	}
	return fmt.Sprintf("not %s: %s", again, a.Says)
}
