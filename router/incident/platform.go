package incident

import (
	"fmt"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// platform takes what a platform tells of a service or a deployment.
func (m *Machine) platform(e *event.Event) {
	if e.Data.Workload == "" || e.Data.Service == nil && e.Data.Deployment == nil {
		return
	}
	r := m.record(workloadOf(&e.Data))
	if !r.take(m.seq, m.now) {
		return
	}
	if s := e.Data.Service; s != nil {
		m.service(r, e, s)
	}
	if d := e.Data.Deployment; d != nil {
		m.deployment(r, e, d)
	}
	m.judge(r)
	m.touch(r)
}

func (m *Machine) service(r *record, e *event.Event, s *event.Service) {
	if c := s.Counts; c != nil {
		if r.Desired != 0 && c.Desired != r.Desired {
			r.remember(e.Time, fmt.Sprintf("scaled from %d to %s", r.Desired, plural(c.Desired, "task")))
		}
		r.Desired = c.Desired
		if i := r.open(); i != nil && c.Desired > 0 {
			i.Need = min(i.Need, c.Desired)
		}
	}
	switch s.Event {
	case "below_desired":
		if r.Below.IsZero() && m.cfg.Missing > 0 {
			r.Below = m.now
		}
	case "at_desired", "SERVICE_STEADY_STATE":
		r.Below = time.Time{}
		if i := r.open(); i != nil && i.Family == "missing" { // the platform knows tasks that were never seen to start
			m.resolve(r, "at_desired", e.Time, "the platform runs as many tasks as it wants")
		}
	case "SERVICE_TASK_START_IMPAIRED":
		b := *e
		b.Data.Message = r.Place.Workload + " can't start its tasks"
		if s.Reason != "" {
			b.Data.Message += ": " + s.Reason
		}
		m.openOnce(r, &b, "impaired", "start")
	}
}

func (m *Machine) deployment(r *record, e *event.Event, d *event.Deployment) {
	r.remember(e.Time, "deployment "+d.ID+" "+strings.ReplaceAll(d.State, "_", " "))
	if i := r.open(); i != nil {
		i.done(e.Time, "deployment "+d.ID+" "+strings.ReplaceAll(d.State, "_", " "))
	}
	if d.State != "failed" {
		return
	}
	b := *e
	b.Data.Message = "deployment " + d.ID + " failed"
	if d.Reason != "" {
		b.Data.Message += ": " + d.Reason
	}
	m.openOnce(r, &b, "deployment", "deployment")
}

// openOnce opens an incident, or tells an open one that this is its reason, once.
func (m *Machine) openOnce(r *record, e *event.Event, reason, family string) {
	if i := r.open(); i != nil {
		if i.Family == family {
			i.News = m.now
			return
		}
		i.Family, i.Title = family, titleOf(r, e, reason)
	}
	m.openAt(r, e, opening{reason: reason, family: family, at: e.Time})
}

// action takes what a restart handler did or refused.
func (m *Machine) action(e *event.Event) {
	a := e.Data.Action
	if a == nil || e.Data.Workload == "" {
		return
	}
	r := m.record(workloadOf(&e.Data))
	if !r.take(m.seq, m.now) {
		return
	}
	if i := r.open(); i != nil && e.Type != event.ActionRequested {
		i.done(e.Time, a.Handler+": "+a.Kind+" "+e.Type.Event()+": "+cut(a.Reason, 120))
	}
	if e.Type == event.ActionGaveUp {
		i := r.open()
		if i != nil {
			i.Severity, i.Title = event.Fatal, titleOf(r, e, "gave_up")
		}
		m.openAt(r, e, opening{reason: "gave_up", family: "action", at: e.Time})
	}
	m.touch(r)
}
