package incident

import (
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// task takes an event about a task.
func (m *Machine) task(e *event.Event) {
	r := m.record(workloadOf(&e.Data))
	if !r.take(m.seq, m.now) {
		return
	}
	switch e.Type {
	case event.TaskStarted:
		m.started(r, e)
	case event.TaskHealthy:
		m.healthy(r, e)
	case event.TaskUnhealthy:
		m.sick(r, e)
	case event.TaskStopped:
		m.stopped(r, e)
	case event.TaskRemoved:
		m.removed(r, e)
	case event.TaskOOM:
		if i := r.open(); i != nil {
			i.done(e.Time, "the kernel killed a process of "+cut(e.Data.Task.Name, 60)+" for memory")
		}
	}
	m.judge(r)
	m.touch(r)
}

func (m *Machine) started(r *record, e *event.Event) {
	t := e.Data.Task
	if known := r.find(t.ID); r.over(t) || known != nil && known.Since.After(e.Time) {
		return // it is told late
	}
	r.remove(t.ID)
	if len(r.Tasks) < maxTasks {
		r.Tasks = append(r.Tasks, newTask(e))
	}
	if rev := e.Data.Revision; rev != r.Revision {
		if r.Revision != "" && rev != "" {
			r.remember(e.Time, "revision "+short(r.Revision)+" → "+short(rev)+" began to run")
		}
		r.Revision = rev
	}
	m.replaced(r)
	i := r.open()
	if i == nil {
		return
	}
	i.News = m.now
	i.Restarts++
	i.Gone = time.Time{}
	if supersedes(i, e) {
		m.resolve(r, "superseded", e.Time, "revision "+short(e.Data.Revision)+" took the place of "+short(i.Revision))
	}
}

// supersedes says that the task is of a revision that did not run when the incident opened.
func supersedes(i *state, e *event.Event) bool {
	rev := e.Data.Revision
	if rev == "" || i.Revision == "" || rev == i.Revision || e.Time.Before(i.Opened) {
		return false
	}
	for _, known := range i.Known {
		if known == rev {
			return false
		}
	}
	return true
}

func newTask(e *event.Event) task {
	t := task{ID: e.Data.Task.ID, Run: e.Data.Task.Run, Node: nodeOf(&e.Data), Revision: e.Data.Revision, Since: e.Time}
	if c := e.Data.Task.Containers; len(c) > 0 {
		t.Image, t.Digest = c[0].Image, c[0].ImageDigest
	}
	return t
}

func (m *Machine) healthy(r *record, e *event.Event) {
	t := r.find(e.Data.Task.ID)
	if t == nil {
		return
	}
	t.Sick, t.Sign = time.Time{}, nil
	r.Good = goodOf(*t, e.Time)
	i := r.open()
	if i == nil || !r.well() || i.Flaps > 0 {
		return
	}
	if i.Well.IsZero() {
		i.Well = e.Time
	}
	m.resolve(r, "healthy", i.Well, backBy(r))
}

func (m *Machine) sick(r *record, e *event.Event) {
	t := r.find(e.Data.Task.ID)
	if t == nil { // its start was never seen
		r.Tasks = append(r.Tasks, newTask(e))
		t = &r.Tasks[len(r.Tasks)-1]
	}
	if t.Sick.IsZero() {
		t.Sick, t.Sign = m.now, trimmed(e)
	}
	if i := r.open(); i != nil {
		i.News, i.Last = m.now, later(i.Last, e.Time)
	}
}

// removed forgets a task. The removal of one that has just crashed is its runtime's (--rm), or a recreate's; a later
// one is somebody's who has cleaned up.
func (m *Machine) removed(r *record, e *event.Event) {
	r.remove(e.Data.Task.ID)
	i := r.open()
	switch {
	case i == nil || r.running() > 0:
	case e.Data.Observed == event.ObservedDrill:
		m.resolve(r, "removed", e.Time, "the drill is over")
	case m.now.Sub(i.News) > cleanup:
		i.Gone, i.GoneWhy = m.now, "it was removed"
	}
}

// cleanup is how soon after a crash a removal is a consequence of it.
const cleanup = 10 * time.Second

// stopped takes the end of a run.
func (m *Machine) stopped(r *record, e *event.Event) {
	c := e.Data.Cause
	if c == nil || m.amended(r, e) || r.knows(e.ID) {
		return
	}
	r.passed(e.Data.Task)
	if t := r.find(e.Data.Task.ID); t != nil && t.Run != e.Data.Task.Run && t.Since.After(e.Time) {
		m.history(r, e)
		return
	}
	before := r.running()
	if t, was := r.remove(e.Data.Task.ID); was { // or an earlier run of it, of which the end comes late
		if c.Expected && t.Sick.IsZero() {
			r.Good = goodOf(t, e.Time)
		}
	} else {
		before++ // its start was never seen
	}
	if c.Expected {
		m.wanted(r, e)
		return
	}
	m.unwanted(r, e, before)
}

// history takes the end of a run that was told after the next one began: it counts, but it is over.
func (m *Machine) history(r *record, e *event.Event) {
	if e.Data.Cause.Expected {
		return
	}
	r.count(e, m.cfg.Loop.Within)
	if i := r.open(); i != nil {
		i.Stops++
		i.countCause(e.Data.Cause.Class)
	}
}

// wanted takes a stop that somebody asked for, or of a job that is done.
func (m *Machine) wanted(r *record, e *event.Event) {
	c, i := e.Data.Cause, r.open()
	if strings.HasPrefix(c.Class, "exit.") {
		r.Ended = later(r.Ended, e.Time)
		if i != nil && r.running() == 0 {
			m.resolve(r, "completed", e.Time, "the job ended well")
		}
		return
	}
	if i == nil {
		return
	}
	i.Need = max(i.Need-1, 1)
	if r.running() == 0 && c.Initiator != "handler" {
		i.Gone, i.GoneWhy = m.now, strings.TrimSpace(c.Say+" ("+c.Initiator+" "+c.InitiatorName)+")"
	}
}

// unwanted takes a stop that nobody asked for.
func (m *Machine) unwanted(r *record, e *event.Event, before int64) {
	r.count(e, m.cfg.Loop.Within)
	if h := m.explains(r, e); h != nil {
		m.loses(h, r, e)
		return
	}
	loop := len(r.Stops) >= m.cfg.Loop.Stops
	if i := r.open(); i != nil {
		i.again(e, m.now)
		i.Base = *trimmed(e) // the newest evidence and log are what helps
		m.worse(r, e, loop)
		return
	}
	if before > 1 && !loop && m.cfg.Wait > 0 && !r.flapped(m.now, m.cfg.Flap) {
		r.Waiting = append(r.Waiting, waiting{Event: *trimmed(e), Before: before, Until: m.now.Add(m.cfg.Wait)})
		return
	}
	m.openStop(r, e, before)
}

// openStop opens an incident for a stop, as a loop if it is the latest of one.
func (m *Machine) openStop(r *record, e *event.Event, before int64) {
	reason := "stopped"
	loop := len(r.Stops) >= m.cfg.Loop.Stops
	if loop {
		reason = "crash_loop"
	}
	m.openAt(r, e, opening{reason: reason, family: family(e.Data.Cause.Class), at: e.Time, need: before, stops: int64(len(r.Stops)), loop: loop})
}

// worse tells, once each, that a workload keeps stopping, and that nothing is left of one that had several tasks.
func (m *Machine) worse(r *record, e *event.Event, loop bool) {
	i, reason := r.open(), ""
	if !i.Down && i.Need > 1 && r.running() == 0 {
		i.Down, i.Severity, reason = true, event.Fatal, "worse"
	}
	if loop && !i.Loop {
		i.Loop, i.Title, reason = true, title(e, "keeps stopping"), "crash_loop"
	}
	if reason != "" {
		m.tell(r, reason, 0)
	}
}

// count notes an unexpected stop, and forgets those that are too old for a loop.
func (r *record) count(e *event.Event, within time.Duration) {
	kept := r.Stops[:0]
	for _, s := range r.Stops {
		if e.Time.Sub(s.At) <= within {
			kept = append(kept, s)
		}
	}
	r.Stops = append(kept, stop{e.ID, e.Data.Cause.Class, e.Time})
	if over := len(r.Stops) - maxStops; over > 0 {
		r.Stops = r.Stops[over:]
	}
}

func (r *record) knows(id string) bool {
	for _, s := range r.Stops {
		if s.ID == id {
			return true
		}
	}
	return false
}

// flapped says that the workload was well again only lately.
func (r *record) flapped(now time.Time, flap time.Duration) bool {
	i := r.Incident
	return i != nil && !i.Open && !i.Resolved.IsZero() && now.Sub(i.News) < flap
}

// well says that as many tasks run as are needed, and all are healthy.
func (r *record) well() bool {
	if r.running() < max(r.Incident.Need, 1) || !r.Below.IsZero() {
		return false
	}
	for _, t := range r.Tasks {
		if !t.Sick.IsZero() {
			return false
		}
	}
	return true
}

// judge notes since when the workload of an open incident is well. The run that makes it so began then.
func (m *Machine) judge(r *record) {
	i := r.open()
	if i == nil {
		return
	}
	if i.Family == "late" || !r.well() {
		i.Well, i.WellAt = time.Time{}, time.Time{}
		return
	}
	if i.WellAt.IsZero() {
		i.WellAt = m.now
		for _, t := range r.Tasks {
			i.Well = later(i.Well, t.Since)
		}
		if i.Well.Before(i.Opened) {
			i.Well = m.now
		}
	}
}

func goodOf(t task, at time.Time) *good {
	return &good{Revision: t.Revision, Image: t.Image, Digest: t.Digest, At: at}
}
