package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Deps is what the wiring sets.
type Deps struct {
	// Route names the route; the notes carry it. Sink is where it leads.
	Route, Sink string
	// After makes the route the next in line: it gets an incident that is open for so long, and what follows of it.
	// 0 is the first in line.
	After time.Duration
	Notes Notes
	// Stands returns how the incident of an event stands now, or false if nobody knows.
	Stands func(ctx context.Context, e *event.Event) (event.Event, bool, error)
	// Limit bounds how often the sink is told of problems, over all routes to it; nil does not. What exceeds it is told by
	// digests, which Open, the open incidents of the route, makes short.
	Limit *rate.Limiter
	Open  func(ctx context.Context) ([]event.Event, error)
	// Site is that of the digests.
	Site   string
	Logger *slog.Logger
}

// Gate hands a sink the transitions that are to be told. It is safe for concurrent use.
type Gate struct {
	deps Deps
	next sinks.Sink

	mu     sync.Mutex // guards what follows
	held   int64      // for the digest, and not counted in the bucket yet
	stormy bool       // the bucket knows of the storm
}

var _ sinks.Sink = (*Gate)(nil)

// New returns a gate in front of a sink.
func New(next sinks.Sink, deps Deps) *Gate {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gate{deps: deps, next: next}
}

// How old a transition is, in the stream, before it is looked at whether it still holds; and how long the end of a
// problem waits for its beginning, of which a delivery may still be on its way.
const (
	late    = time.Minute
	patient = 90 * time.Second
	again   = 10 * time.Second
)

// labelTo names the only sink that a drill is for.
const labelTo = "bellbuoy.drill.to"

// verdict is what is to become of a transition.
type verdict struct {
	outcome Outcome
	why     string
	noted   bool // its note is there already
}

// Send hands on what is to be told and notes what became of each transition. Transitions of one incident are handed on one
// after the other: what becomes of the end depends on what became of the beginning.
func (g *Gate) Send(ctx context.Context, batch []event.Event) error {
	errs := make([]error, len(batch))
	for from := 0; from < len(batch); {
		n := distinct(batch[from:])
		g.send(ctx, batch[from:from+n], errs[from:from+n])
		from += n
	}
	return sinks.Verdict(errs)
}

// distinct counts the first events of which no two are of one incident.
func distinct(batch []event.Event) int {
	seen := map[string]bool{}
	for n := range batch {
		if i := batch[n].Data.Incident; i != nil {
			if seen[i.ID] {
				return n
			}
			seen[i.ID] = true
		}
	}
	return len(batch)
}

func (g *Gate) send(ctx context.Context, batch []event.Event, errs []error) {
	verdicts := make([]verdict, len(batch))
	var out []event.Event
	var from []int
	for n := range batch {
		e := &batch[n]
		if e.Data.Incident == nil || e.Type.Kind() != "incident" {
			out, from = append(out, *e), append(from, n)
			continue
		}
		if verdicts[n], errs[n] = g.decide(ctx, e); errs[n] == nil && verdicts[n].outcome == Sent && g.exceeds(e) {
			verdicts[n], errs[n] = verdict{outcome: Digest, why: "more than the sink's notices a minute"}, g.overflow(ctx)
		}
		if errs[n] == nil && verdicts[n].outcome == Sent {
			out, from = append(out, g.honest(*e, verdicts[n])), append(from, n)
		}
	}
	if len(out) > 0 {
		spread(g.next.Send(ctx, out), from, errs)
	}
	for n := range batch {
		if v := verdicts[n]; errs[n] == nil && v.outcome != "" && !v.noted {
			g.note(ctx, &batch[n], v)
		}
	}
}

// decide says what is to become of a transition.
func (g *Gate) decide(ctx context.Context, e *event.Event) (verdict, error) {
	i := e.Data.Incident
	had, err := g.noted(ctx, i.ID, i.Transition)
	switch {
	case err != nil:
		return verdict{}, err
	case had != nil:
		return verdict{outcome: Held, why: "it was decided before: " + string(had.Outcome), noted: true}, nil
	case i.Silenced != "" && e.Type != event.IncidentResolved: // whoever was told of the problem is told of its end
		return verdict{outcome: Held, why: "silence " + i.Silenced}, nil
	case e.Data.Observed == event.ObservedDrill && e.Data.Labels[labelTo] != "" && e.Data.Labels[labelTo] != g.deps.Sink:
		return verdict{outcome: Held, why: "the drill is for " + e.Data.Labels[labelTo]}, nil
	case i.Within != "":
		return verdict{outcome: Held, why: "incident " + i.Within + " explains it"}, nil
	}
	past, err := g.past(ctx, i)
	if err != nil {
		return verdict{}, err
	}
	if e.Type == event.IncidentResolved {
		return g.ending(e, past)
	}
	if why := g.turn(i, past); why != "" {
		return verdict{outcome: Held, why: why}, nil
	}
	return g.timely(ctx, e)
}

// exceeds says that the sink has been told of enough problems for now. The end of one is always told.
func (g *Gate) exceeds(e *event.Event) bool {
	return g.deps.Limit != nil && e.Type != event.IncidentResolved && !g.deps.Limit.Allow()
}

// turn says why it is not this route's turn, or "".
func (g *Gate) turn(i *event.Incident, past past) string {
	switch reached := time.Duration(i.Escalation) * time.Second; {
	case g.deps.After > 0 && reached < g.deps.After && !past.told:
		return "this route is next in line after " + g.deps.After.String()
	case g.deps.After == 0 && i.Reason == "escalated":
		return "it is for the next in line"
	case g.deps.After > 0 && i.Reason == "escalated" && reached != g.deps.After:
		return "it is for another in line"
	}
	return ""
}

// ending decides on the end of a problem.
func (g *Gate) ending(e *event.Event, past past) (verdict, error) {
	switch {
	case past.told:
		return verdict{outcome: Sent}, nil
	case past.open && time.Since(e.Recorded) < patient:
		return verdict{}, &sinks.Throttled{After: again, Err: errors.New("how the problem began is still on its way")}
	case past.digest:
		return verdict{outcome: Held, why: "the problem was told in a digest"}, nil
	case past.folded:
		return verdict{outcome: Sent, why: "with what could not be sent while it lasted"}, nil
	}
	return verdict{outcome: Held, why: "the problem was not told here"}, nil
}

// timely folds what is late into what came after it.
func (g *Gate) timely(ctx context.Context, e *event.Event) (verdict, error) {
	if time.Since(e.Recorded) < late || g.deps.Stands == nil {
		return verdict{outcome: Sent}, nil
	}
	now, found, err := g.deps.Stands(ctx, e)
	if err != nil {
		return verdict{}, fmt.Errorf("read how incident %s stands: %w", e.Data.Incident.ID, err)
	}
	if found && now.Data.Incident.Transition > e.Data.Incident.Transition {
		return verdict{outcome: Folded, why: fmt.Sprintf("it is late, and transition %d tells more", now.Data.Incident.Transition)}, nil
	}
	return verdict{outcome: Sent}, nil
}

// honest says in the event that its beginning could not be told.
func (g *Gate) honest(e event.Event, v verdict) event.Event {
	if v.why != "" {
		i := *e.Data.Incident
		if i.Recovery != "" {
			i.Recovery += "; "
		}
		i.Recovery += "no notice could be sent while it lasted"
		e.Data.Incident = &i
	}
	return e
}

// spread gives the verdicts of a sink on a part of a batch to their places in the whole.
func spread(err error, from []int, errs []error) {
	var partial *sinks.Partial
	if errors.As(err, &partial) && len(partial.Errs) == len(from) {
		for n, to := range from {
			errs[to] = partial.Errs[n]
		}
		return
	}
	for _, to := range from {
		errs[to] = err
	}
}
