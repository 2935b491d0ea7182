package incident

import (
	"fmt"
	"time"
)

// next is when the record must be looked at, zero for never.
func (m *Machine) next(r *record) time.Time {
	var due time.Time
	if r.gone {
		return due
	}
	for i := range r.Waiting {
		due = earliest(due, r.Waiting[i].Until)
	}
	for _, w := range r.Watches {
		due = earliest(due, m.watchDue(w))
	}
	i := r.open()
	if i == nil {
		for _, t := range r.Tasks {
			if !t.Sick.IsZero() {
				due = earliest(due, t.Sick.Add(m.cfg.Unhealthy))
			}
		}
		if !r.Below.IsZero() {
			due = earliest(due, r.Below.Add(m.cfg.Missing))
		}
		if r.running() == 0 && len(r.Watches) == 0 { // nothing left to remember
			due = earliest(due, r.Seen.Add(m.cfg.Forget))
		}
		return due
	}
	due = earliest(due, i.Remind, i.Look, i.News.Add(m.cfg.Forget))
	if !i.WellAt.IsZero() {
		due = earliest(due, i.WellAt.Add(m.stable(i)))
	}
	if !i.Gone.IsZero() {
		due = earliest(due, i.Gone.Add(settle))
	}
	if i.Escalated < len(m.escalations) {
		due = earliest(due, i.Since.Add(m.escalations[i.Escalated]))
	}
	return due
}

// settle is how long nothing may be left of a workload before that counts as its end: a deploy or a restart by
// hand leaves nothing for a moment, too.
const settle = 20 * time.Second

// stable is how long the incident's workload must be well; what has come again must be so for longer.
func (m *Machine) stable(i *state) time.Duration {
	d := m.cfg.Stable
	for range min(i.Flaps, 6) {
		d *= 4
	}
	return min(d, max(time.Hour, m.cfg.Stable))
}

// overdue does what is due for a record at the machine's time.
func (m *Machine) overdue(r *record) {
	m.waited(r)
	m.watched(r)
	i := r.open()
	if i == nil {
		m.looming(r)
		return
	}
	past := func(t time.Time, d time.Duration) bool { return !t.IsZero() && !t.Add(d).After(m.now) }
	switch {
	case past(i.WellAt, m.stable(i)):
		m.resolve(r, stableReason(r), i.Well, backBy(r))
	case past(i.Gone, settle):
		m.resolve(r, "removed", i.Gone, i.GoneWhy)
	case past(i.News, m.cfg.Forget):
		m.resolve(r, "forgotten", m.now, "nothing was heard of it for "+duration(m.cfg.Forget))
	case past(i.Look, 0):
		m.unsilenced(r)
	case i.Escalated < len(m.escalations) && past(i.Since, m.escalations[i.Escalated]):
		i.Escalated++
		m.tell(r, "escalated", m.escalations[i.Escalated-1])
	case past(i.Remind, 0):
		i.Every = min(2*i.Every, int64(m.cfg.RemindLimit/time.Second))
		i.Remind = m.now.Add(time.Duration(i.Every) * time.Second)
		m.tell(r, "reminder", 0)
	}
}

// looming opens what has gone on for too long, and forgets what is no more.
func (m *Machine) looming(r *record) {
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if !t.Sick.IsZero() && t.Sign != nil && !t.Sick.Add(m.cfg.Unhealthy).After(m.now) {
			m.openAt(r, t.Sign, opening{reason: "unhealthy", family: "health", at: t.Sign.Time})
			return
		}
	}
	if !r.Below.IsZero() && !r.Below.Add(m.cfg.Missing).After(m.now) {
		e := about(r.Place)
		e.Time, e.Data.Revision = r.Below, r.Revision
		m.openAt(r, &e, opening{reason: "below_desired", family: "missing", at: r.Below, need: r.Desired})
		return
	}
	if r.running() == 0 && len(r.Watches) == 0 && !r.Seen.Add(m.cfg.Forget).After(m.now) {
		r.gone = true
	}
}

// waited opens what no replacement has healed in time.
func (m *Machine) waited(r *record) {
	for len(r.Waiting) > 0 && !r.Waiting[0].Until.After(m.now) {
		w := r.Waiting[0]
		r.Waiting = r.Waiting[1:]
		if r.open() != nil || r.running() >= w.Before {
			continue
		}
		m.openStop(r, &w.Event, w.Before)
	}
}

func stableReason(r *record) string {
	if r.Incident.Family == "missing" {
		return "at_desired"
	}
	return "stable"
}

// backBy says who or what brought the workload back.
func backBy(r *record) string {
	i := r.Incident
	what := "it runs again"
	if r.Place.Workload == "" {
		return "what ran there runs elsewhere"
	}
	if r.Revision != "" && r.Revision != i.Revision {
		what = "revision " + short(r.Revision) + " runs"
	}
	if n := len(i.Done); n > 0 {
		return what + " after: " + i.Done[n-1]
	}
	if i.Restarts > 0 {
		return fmt.Sprintf("%s after %s", what, plural(i.Restarts, "start"))
	}
	return what
}
