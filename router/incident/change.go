package incident

import (
	"slices"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// opening is what is known of a problem when it becomes an incident.
type opening struct {
	reason, family string
	at             time.Time // when it began
	need           int64     // tasks that must run for it to be over; 0: as many as now, at least one
	stops          int64     // unexpected ones so far, with this one
	tasks          int64     // that it is about, if they can't be named
	loop           bool
}

// openAt opens an incident, or opens the last one again if that ended only lately. One that is open takes the
// news in.
func (m *Machine) openAt(r *record, e *event.Event, o opening) {
	if i := r.open(); i != nil {
		i.again(e, m.now)
		m.tell(r, o.reason, 0)
		return
	}
	if r.flapped(m.now, m.cfg.Flap) && r.Incident.Revision == r.revisionOf(e) {
		m.reopen(r, e, o)
		return
	}
	i := &state{
		ID: event.NewID("incident", r.key, e.ID, o.reason, strconv.FormatInt(o.at.UnixNano(), 10))[:16], Family: o.family, Title: titleOf(r, e, o.reason),
		Revision: r.revisionOf(e), Open: true, Severity: severityOf(o.reason), Opened: o.at, News: m.now, Since: m.now, Base: *trimmed(e),
	}
	for _, t := range r.Tasks {
		if !slices.Contains(i.Known, t.Revision) {
			i.Known = append(i.Known, t.Revision)
		}
	}
	i.compare(r.Good, e)
	for _, n := range r.Recent {
		if o.at.Sub(n.At) < recently {
			i.Recent = append(i.Recent, n.Text+" "+duration(o.at.Sub(n.At))+" before")
		}
	}
	r.Incident = i
	m.opened++
	m.begin(r, e, o)
	m.tell(r, o.reason, 0)
}

// begin sets what is the same of an incident that is new and of one that has come again.
func (m *Machine) begin(r *record, e *event.Event, o opening) {
	i := r.Incident
	i.again(e, m.now)
	i.Need, i.Loop, i.Down = max(o.need, r.running(), 1), o.loop, false
	i.Stops, i.TaskCount = max(i.Stops, o.stops), max(i.TaskCount, o.tasks)
	i.Since, i.Escalated = m.now, 0
	if m.cfg.Remind > 0 {
		i.Every, i.Remind = int64(m.cfg.Remind/time.Second), m.now.Add(m.cfg.Remind)
	}
}

// recently is how long before an incident a change is worth a line.
const recently = time.Hour

// reopen takes up an incident that has come again.
func (m *Machine) reopen(r *record, e *event.Event, o opening) {
	i := r.Incident
	m.opened++
	i.Open, i.Flaps, i.Resolved = true, i.Flaps+1, time.Time{}
	i.Well, i.WellAt, i.Gone = time.Time{}, time.Time{}, time.Time{}
	i.Base, i.Family, i.Title, i.Severity = *trimmed(e), o.family, titleOf(r, e, o.reason), severityOf(o.reason)
	m.begin(r, e, o)
	m.tell(r, "again", 0)
}

func (r *record) revisionOf(e *event.Event) string {
	if e.Data.Revision != "" {
		return e.Data.Revision
	}
	return r.Revision
}

// again takes in what has shown once more.
func (i *state) again(e *event.Event, now time.Time) {
	i.News, i.Last = now, later(i.Last, e.Time)
	i.Well, i.WellAt, i.Gone = time.Time{}, time.Time{}, time.Time{}
	if e.Type != event.TaskStopped && e.Type != event.TaskUnhealthy {
		return
	}
	if e.Type == event.TaskStopped {
		i.Stops++
		i.countCause(e.Data.Cause.Class)
	}
	i.affect(e)
}

// affect counts the event's task among those that the incident is about.
func (i *state) affect(e *event.Event) {
	if id := e.Data.Task.ID; !slices.Contains(i.Tasks, id) {
		i.TaskCount++
		if len(i.Tasks) < maxShown {
			i.Tasks = append(i.Tasks, id)
		}
	}
	if node := nodeOf(&e.Data); node != "" && len(i.Nodes) < maxShown && !slices.Contains(i.Nodes, node) {
		i.Nodes = append(i.Nodes, node)
	}
}

// done notes what the platform or Bellbuoy did.
func (i *state) done(at time.Time, text string) {
	line := at.UTC().Format("15:04:05") + " " + text
	if slices.Contains(i.Done, line) {
		return
	}
	i.Done = append(i.Done, line)
	if over := len(i.Done) - maxLines; over > 0 {
		i.Done = i.Done[over:]
	}
}

// compare notes what differs from the last run that was well. What the collector found itself comes first.
func (i *state) compare(g *good, e *event.Event) {
	i.Changed = slices.Clone(e.Data.Changed)
	if g == nil {
		return
	}
	i.Healthy = g.At
	differs := func(what, from, to string) {
		known := slices.ContainsFunc(i.Changed, func(c event.Change) bool { return c.What == what })
		if from != "" && to != "" && from != to && !known {
			i.Changed = append(i.Changed, event.Change{What: what, From: from, To: to})
		}
	}
	differs("revision", g.Revision, e.Data.Revision)
	if t := e.Data.Task; t != nil && len(t.Containers) > 0 {
		differs("image", g.Image, t.Containers[0].Image)
		differs("digest", g.Digest, t.Containers[0].ImageDigest)
	}
}

// resolve ends the open incident of a record. What was down was so until at.
func (m *Machine) resolve(r *record, reason string, at time.Time, by string) {
	i := r.open()
	if i == nil {
		return
	}
	m.opened--
	i.Open, i.Resolved, i.News = false, later(at, i.Opened), m.now
	if len(r.Tasks) > 0 && (reason == "stable" || reason == "healthy") {
		r.Good = goodOf(r.Tasks[len(r.Tasks)-1], m.now)
	}
	r.Stops, r.Waiting, i.Loop = nil, nil, false
	m.emit(r, event.IncidentResolved, reason, by, 0)
}

// tell adds a transition of the open incident.
func (m *Machine) tell(r *record, reason string, escalation time.Duration) {
	typ := event.IncidentUpdated
	if r.Incident.Transition == 0 {
		typ = event.IncidentOpened
	}
	m.emit(r, typ, reason, "", escalation)
}

// holding asks for the silence of a transition.
func (m *Machine) holding(r *record, t *transition) (id string, until time.Time) {
	if m.silenced == nil {
		return "", time.Time{}
	}
	e := t.event(r.Place, m.now)
	return m.silenced(&e, m.now)
}

// unsilenced tells an open incident whose silence has ended once more, so that who was told nothing knows of it.
func (m *Machine) unsilenced(r *record) {
	i := r.open()
	t := transition{Type: event.IncidentUpdated, At: m.now, Severity: i.Severity, Changed: i.Changed, Base: i.Base, Section: i.section(r)}
	if id, until := m.holding(r, &t); id != "" {
		i.Silenced, i.Look = id, until
		return
	}
	m.tell(r, "silence_ended", 0)
}

func (m *Machine) emit(r *record, typ event.Type, reason, recovery string, escalation time.Duration) {
	i := r.Incident
	i.Transition++
	t := transition{Type: typ, At: m.now, Severity: i.Severity, Changed: i.Changed, Base: i.Base, Section: i.section(r)}
	t.Section.Reason, t.Section.Recovery, t.Section.Escalation = reason, recovery, int64(escalation/time.Second)
	i.Silenced, i.Look = m.holding(r, &t)
	t.Section.Silenced = i.Silenced
	switch typ {
	case event.IncidentOpened:
		t.At = i.Opened
	case event.IncidentResolved:
		t.At = i.Resolved
	}
	if len(r.Outbox) >= maxOutbox && r.told > 0 {
		r.Outbox, r.told = r.Outbox[r.told:], 0
	}
	r.Outbox = append(r.Outbox, t)
	m.touch(r)
}
