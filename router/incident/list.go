package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// List returns the incidents that are open or were resolved lately, each as an event of how it stands now, the one
// that changed last in front. Its data has the whole section; its id and type are those of the last transition.
func List(ctx context.Context, b Bucket) ([]event.Event, error) {
	var all []event.Event
	var faults []error
	err := each(ctx, b, func(r *record) {
		if r.Incident != nil {
			all = append(all, r.stands())
		}
	}, func(key string, err error) { faults = append(faults, fmt.Errorf("record %s: %w", key, err)) })
	if err = errors.Join(append(faults, err)...); err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	slices.SortStableFunc(all, func(a, b event.Event) int { return b.Recorded.Compare(a.Recorded) })
	return all, nil
}

// Stands returns how the incident of an event stands now. found is false if its record tells of another, or of none.
func Stands(ctx context.Context, b Bucket, e *event.Event) (now event.Event, found bool, err error) {
	p := workloadOf(&e.Data)
	if p.Workload == "" {
		p.Node = e.Data.Node
	}
	value, revision, err := b.Get(ctx, p.key())
	if err != nil || revision == 0 {
		return event.Event{}, false, err
	}
	r, err := decode(p.key(), value, revision)
	if err != nil || r.Incident == nil || e.Data.Incident == nil || r.Incident.ID != e.Data.Incident.ID {
		return event.Event{}, false, err
	}
	return r.stands(), true, nil
}

// stands is the record's incident as an event, at the time of its last news.
func (r *record) stands() event.Event {
	i := r.Incident
	t := transition{Type: event.IncidentUpdated, At: i.Last, Severity: i.Severity, Changed: i.Changed, Base: i.Base, Section: i.section(r)}
	switch {
	case !i.Open:
		t.Type, t.At = event.IncidentResolved, i.Resolved
	case i.Transition <= 1:
		t.Type, t.At = event.IncidentOpened, i.Opened
	}
	return t.event(r.Place, later(i.News, t.At))
}
