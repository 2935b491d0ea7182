package docker

import (
	"sync/atomic"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// losses are counted until a gap tells them.
type losses struct {
	reconciled atomic.Int64 // transitions that no event told
	codes      atomic.Int64 // ends among them without an exit code
	runs       atomic.Int64 // runs that only the daemon's counter knows of
}

// note counts an event that was published.
func (l *losses) note(o *out) {
	e := &o.event
	l.runs.Add(o.unseen)
	if e.Data.Observed != event.ObservedReconcile || e.Data.Supersedes != "" {
		return
	}
	if c := e.Data.Cause; c != nil && c.Class == "start.error" {
		return // no event ever tells it
	}
	l.reconciled.Add(1)
	if e.Type == event.TaskStopped && e.Data.Task.Containers[0].ExitCode == nil {
		l.codes.Add(1)
	}
}

// move hands the counts to a gap.
func (l *losses) move(g *collectors.Gap) {
	g.Reconciled, g.UnknownCodes, g.UnseenRuns = int(l.reconciled.Swap(0)), int(l.codes.Swap(0)), int(l.runs.Swap(0))
}

// back takes back the counts of a gap that was not told.
func (l *losses) back(g *collectors.Gap) {
	l.reconciled.Add(int64(g.Reconciled))
	l.codes.Add(int64(g.UnknownCodes))
	l.runs.Add(int64(g.UnseenRuns))
}

// unseen counts the runs between the last one that is known and the one that an inspect shows.
func (m *machine) unseen(t *task, f *facts) int64 {
	known := t.Restarts + 1
	if t.Run == "" {
		if f.created < m.from {
			return 0 // nobody watched its first runs
		}
		known = 0
	}
	return max(f.made()-known, 0)
}

// bornUnseen tells that a container was created, of which another event is the first that came.
func (m *machine) bornUnseen(t *task, f *facts) []out {
	if f == nil || f.created == 0 || f.created < m.from {
		return nil
	}
	t.State = event.StateCreated
	e := m.make(t, event.TaskCreated, "", f.created, event.ObservedReconcile)
	finish(&e, t.title()+" was created from "+t.Image)
	return []out{{event: e}}
}

// begunUnseen tells that the run of an inspect started, of which the end is the first that came.
func (m *machine) begunUnseen(t *task, unseen int64) out {
	state := t.State
	t.State = event.StateRunning
	e := m.make(t, event.TaskStarted, t.Run, t.since(), event.ObservedReconcile)
	t.State = state
	finish(&e, t.title()+" started")
	return out{event: e, unseen: unseen}
}
