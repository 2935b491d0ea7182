package ecs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// step is what a record of a task leads to.
type step struct {
	next  saved
	body  []byte // what is saved beside next; nil keeps what is there
	outs  []out
	claim bool // outs is the first stop
}

func (s *step) add(ev event.Event, near []cause.Near) {
	s.outs = append(s.outs, out{event: ev, near: near})
}

// step decides what a fact leads to; nil is nothing. spoken says that the fact's own event was told before.
func (m *machine) step(ctx context.Context, e *entry, f *fact, spoken bool) (*step, error) {
	r, t := &e.saved, f.task
	repeated := r.sees(t.Version) || t.Version == 0 && r.Stop != nil && r.Stop.ID == f.event.ID
	s := &step{next: *r}
	ev := cloned(&f.event)
	s.next.meet(t)
	older := r.known() && (t.Version < r.Version || t.Version == 0 && rank(t.LastStatus) < rank(r.Status))
	switch {
	case repeated:
	case older:
		s.next.see(t.Version)
		if !spoken {
			s.history(&ev, t)
		}
	default:
		if err := m.advance(ctx, e, s, &ev, f, spoken); err != nil {
			return nil, err
		}
	}
	if !older {
		s.health(&f.event, t)
	}
	if len(s.outs) == 0 && (repeated || s.next == *r) {
		return nil, nil
	}
	return s, nil
}

// meet takes over what never changes of a task.
func (r *saved) meet(t *task) {
	r.ARN, r.Cluster = t.ARN, cmp.Or(t.Cluster, r.Cluster)
	r.Service, r.Family = cmp.Or(groupService(t.Group), r.Service), cmp.Or(familyOf(t.Definition), r.Family)
	r.StartedBy, r.Instance = cmp.Or(t.StartedBy, r.StartedBy), cmp.Or(t.Instance, r.Instance)
	r.EC2 = cmp.Or(namedHost(t.StoppedReason), r.EC2)
}

// advance takes over a newer state of a task.
func (m *machine) advance(ctx context.Context, e *entry, s *step, ev *event.Event, f *fact, spoken bool) error {
	r, t := &s.next, f.task
	r.see(t.Version)
	if len(ev.Data.Revision) >= len(r.Revision) {
		r.Revision = ev.Data.Revision
	}
	ev.Data.Revision = r.Revision
	alive := r.Stop == nil || r.Stop.Vanished && t.DesiredStatus != statusStopped
	if proves(t) {
		r.Status = t.LastStatus
		return m.stopped(ctx, e, s, ev, f, spoken)
	}
	if !alive { // nothing wakes the dead
		ev.Type, ev.Data.Message = event.TaskUpdated, title(&ev.Data)+" was told as "+strings.ToLower(t.LastStatus)+" after its end"
		if !spoken {
			s.add(*ev, nil)
		}
		return nil
	}
	ev.Data.Task.PreviousState = r.State
	s.phase(ev, t)
	if ev.Data.Task.PreviousState == ev.Data.Task.State {
		ev.Data.Task.PreviousState = ""
	}
	r.Status, r.State = t.LastStatus, ev.Data.Task.State
	if ev.Type == event.TaskStarted {
		if w, _, err := read[workload](ctx, m.shelf, workloadKey(r.Cluster, r.Service, r.Family), fresh); err == nil {
			ev.Data.Changed = w.changes(r.Revision)
		}
	}
	if !spoken {
		s.add(*ev, nil)
	}
	var err error
	s.body, err = bodyFor(ev)
	return err
}

// phase sets what a state of a task that has not ended is told as.
func (s *step) phase(ev *event.Event, t *task) {
	r, name := &s.next, title(&ev.Data)
	status := strings.ToLower(t.LastStatus)
	switch {
	case t.DesiredStatus == statusStopped:
		ev.Type, ev.Data.Task.State, ev.Data.Task.DesiredState = event.TaskUpdated, event.StateStopping, event.StateStopped
		if ev.Data.Message = name + " is " + status; r.once(toldStopping) {
			ev.Type, ev.Data.Message = event.TaskStopping, name+" is being stopped"+because(ev.Data.Task.StopReason)
		}
	case t.LastStatus == statusRunning:
		ev.Type, ev.Data.Task.State = event.TaskUpdated, event.StateRunning
		if ev.Data.Message = name + " was updated"; r.once(toldStarted) {
			ev.Type, ev.Data.Message = event.TaskStarted, name+" started"
		}
	default:
		ev.Type, ev.Data.Task.State = event.TaskUpdated, event.StateCreated
		if ev.Data.Message = name + " is " + status; r.Told == 0 && r.once(toldCreated) {
			ev.Type, ev.Data.Message = event.TaskCreated, name+" was created from "+cmp.Or(base(ev.Data.Revision), "its task definition")
		}
	}
	ev.Severity = event.SeverityOf(ev)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// history tells an older state. It changes nothing that is known.
func (s *step) history(ev *event.Event, t *task) {
	s.phase(ev, t)
	if gone(t.LastStatus) {
		ev.Type, ev.Data.Task.State = event.TaskUpdated, event.StateStopped
	}
	ev.Severity = event.SeverityOf(ev)
	s.add(*ev, nil)
}

// health tells what DescribeTasks says of a task's health, if that is news: it is bad, or good after it was bad.
func (s *step) health(ev *event.Event, t *task) {
	r := &s.next
	news := t.Health == "UNHEALTHY" && r.Health != t.Health || t.Health == "HEALTHY" && r.Health == "UNHEALTHY"
	if !news || r.State == event.StateStopped {
		return
	}
	r.Health, r.Flips = t.Health, r.Flips+1
	told := cloned(ev)
	told.ID = event.NewID(string(event.ECS), t.ARN, "health", strconv.FormatInt(r.Flips, 10))
	told.Data.Revision, told.Data.Native = cmp.Or(r.Revision, told.Data.Revision), nil
	told.Type, told.Data.Task.State, told.Data.Message = event.TaskHealthy, r.State, title(&told.Data)+" is healthy again"
	if t.Health == "UNHEALTHY" {
		told.Type, told.Data.Task.State, told.Data.Message = event.TaskUnhealthy, event.StateUnhealthy, title(&told.Data)+" is unhealthy"+probed(t)
	}
	told.Severity = event.SeverityOf(&told)
	if !told.Recorded.IsZero() {
		told.Time = told.Recorded
	}
	s.add(told, nil)
}

// probed names the containers that fail their health check.
func probed(t *task) string {
	var names []string
	for i := range t.Containers {
		if c := &t.Containers[i]; c.Health == "UNHEALTHY" {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": container " + strings.Join(names, ", ") + " fails its health check"
}

// vanish tells that ECS knows a task no more which was not known to have ended. at is when that was found.
func (m *machine) vanish(ctx context.Context, k known, at time.Time, tell func(context.Context, out) error) error {
	return m.change(ctx, taskKey(k.Cluster, k.ARN), tell, func(ctx context.Context, e *entry) (bool, error) {
		if e.saved.Stop != nil || e.saved.Version > k.Version || !e.saved.known() {
			return true, nil
		}
		body, ok, err := m.bodyOf(ctx, e)
		if err != nil || !ok {
			return false, err
		}
		ev, err := event.Decode(body)
		if err != nil {
			return false, err
		}
		s := &step{next: e.saved, claim: true}
		r := &s.next
		ev.ID, ev.Time, ev.Data.Observed = event.NewID(string(event.ECS), k.ARN, "vanished"), at.UTC(), event.ObservedReconcile
		ev.Data.Task.PreviousState, ev.Data.Task.State = r.State, event.StateStopped
		r.Stop = &stop{ID: ev.ID, Vanished: true, From: at.UnixMilli(), At: at.UnixMilli()}
		r.State = event.StateStopped
		j, err := m.join(ctx, r, r.Stop.From, fresh, nil)
		if err != nil {
			return false, err
		}
		near := m.judge(r, &ev, &j)
		r.Stop.Verdict, r.Stop.Deployment = verdictOf(&ev.Data), j.deployment
		s.add(ev, near)
		if s.body, err = bodyFor(&ev); err != nil {
			return false, err
		}
		return m.claim(ctx, e, s, tell)
	})
}

// cloned returns an event whose task may be changed.
func cloned(ev *event.Event) event.Event {
	c := *ev
	t := *ev.Data.Task
	t.Containers = slices.Clone(t.Containers)
	c.Data.Task, c.Data.Labels = &t, maps.Clone(ev.Data.Labels)
	return c
}
