package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// snapshot compares what a container is with what was told about it, and tells the difference. It has
// an effect only if no younger event is known.
func (m *machine) snapshot(f *facts) []out {
	t := m.tasks[f.id]
	if m.gone[f.id] != 0 || t != nil && (t.Last > f.at || t.pending != nil) {
		return nil // the events are ahead of it
	}
	var outs []out
	found := func(e event.Event, message string) {
		finish(&e, message)
		outs = append(outs, out{event: e})
	}
	fresh := t == nil
	if fresh {
		t = &task{id: f.id}
		m.tasks[f.id] = t
	}
	t.adopt(f)
	if t.State == "" {
		t.State = event.StateCreated
		if f.created >= m.from {
			found(m.make(t, event.TaskCreated, "", f.created, event.ObservedReconcile), t.title()+" was created from "+t.Image)
		}
	}
	outs = append(outs, m.failedStart(t, f)...)
	if f.started == 0 {
		return outs
	}
	same := t.Run != "" && (t.Started == f.started || t.Started == 0 && f.started <= t.Start)
	if !same {
		if t.Run != "" && !t.Exited {
			outs = append(outs, m.lose(t, f.started, lost{restarted: true, policy: f.made() > t.Restarts})...)
		}
		unseen := m.unseen(t, f)
		t.begin(decimal(f.started), f.started, 0)
		t.waited(f.made())
		if f.stopped() && fresh && f.finished < m.from {
			t.Exited, t.State = true, event.StateStopped // ended before anybody watched
		} else {
			t.Restarts, t.Health = f.made(), ""
			outs = append(outs, m.begunUnseen(t, unseen))
		}
	}
	t.Restarts = f.made()
	if f.stopped() {
		if !t.Exited {
			outs = append(outs, m.foundEnded(t, f))
		}
		return outs
	}
	return append(outs, m.foundRunning(t, f)...)
}

// tryStep is less than two tries to start a container can be apart, ns.
const tryStep = int64(50 * time.Millisecond)

// failedStart tells a start that failed. It leaves no event, only State.Error, until a start works. That
// says the same after each try; the network that a try gives back tells them apart. The first has an
// identity that a snapshot finds, too.
func (m *machine) failedStart(t *task, f *facts) []out {
	if f.failure == "" || !f.stopped() {
		return nil
	}
	sum := sha256.Sum256([]byte(f.failure))
	key := decimal(f.started) + " " + hex.EncodeToString(sum[:8])
	if key == t.Failed && f.tried <= t.Tried {
		return nil
	}
	id, at, seen := "failed "+key, f.at, event.ObservedReconcile
	if f.tried > 0 {
		at, seen = f.tried, m.seen
	}
	if key == t.Failed {
		id += " " + decimal(f.tried)
	}
	t.Failed, t.Tried = key, max(f.at, f.tried)+tryStep
	if t.Run == "" && f.created < m.from {
		return nil // nobody knows when; it was not while anybody watched
	}
	code := f.code
	end := &stop{at: at, code: &code, failed: true, failure: f.failure, key: id, seen: seen}
	run, exited, told := t.Run, t.Exited, t.told
	t.Run = ""
	o := m.tell(t, end)
	t.Run, t.Exited, t.told = run, exited, told
	if run == "" {
		t.State = event.StateStopped
	}
	return []out{o}
}

// noStatus is the exit code that a daemon records if it finds, when it starts, that a container's process is
// gone and nobody kept its status: after the host went down, or its containerd with the process.
const noStatus = 255

// madeUp reports whether the exit code may be the daemon's own invention.
func (m *machine) madeUp(f *facts) bool {
	return f.code == noStatus && (f.finished < m.begun || m.peers != nil && m.peers.wasDown(f.finished))
}

func (m *machine) foundEnded(t *task, f *facts) out {
	end := &stop{at: max(f.finished, f.started), lost: lost{unseen: true}, seen: event.ObservedReconcile, key: t.Run, oomFlag: f.oom}
	if f.failure == "" && !m.madeUp(f) { // otherwise a start that failed since has overwritten the code
		end.code = &f.code
	}
	if end.again = t.again(end); !f.restarting {
		end.again = again{gaveUp: end.again.gaveUp} // what was foretold has not come, or is over
	}
	t.Exited, t.State, t.Ended = true, event.StateStopped, end.at
	return m.tell(t, end)
}

// foundRunning tells changes of a run that goes on.
func (m *machine) foundRunning(t *task, f *facts) []out {
	var outs []out
	add := func(e event.Event, message string) {
		finish(&e, message)
		outs = append(outs, out{event: e})
	}
	key := t.Run + " " + decimal(f.at)
	switch {
	case f.paused && t.State != event.StatePaused:
		t.State = event.StatePaused
		add(m.make(t, event.TaskPaused, key, f.at, event.ObservedReconcile), t.title()+" was paused")
	case !f.paused && t.State == event.StatePaused:
		t.State = event.StateRunning
		add(m.make(t, event.TaskResumed, key, f.at, event.ObservedReconcile), t.title()+" runs on")
	}
	verdict := f.health == "unhealthy" || f.health == "healthy" && t.Health == "unhealthy"
	if verdict && f.health != t.Health {
		t.probed = f.probes
		e := m.probe(t, f.health, t.Run+" "+decimal(f.healthAt), f.at, event.ObservedReconcile)
		add(e, e.Data.Message)
	} else if f.health != "" {
		t.Health = f.health
	}
	return outs
}

// vanished tells of a container that no list shows any more. listed is when the list was taken.
func (m *machine) vanished(present map[string]bool, listed int64) []out {
	var outs []out
	for id, t := range m.tasks {
		if present[id] || t.Last > listed || t.Created > listed {
			continue
		}
		outs = append(outs, m.settle(t)...)
		if t.Run != "" && !t.Exited {
			outs = append(outs, m.lose(t, listed, lost{removed: true})...)
		}
		t.State = event.StateRemoved
		e := m.make(t, event.TaskRemoved, "", listed, event.ObservedReconcile)
		finish(&e, t.title()+" was removed")
		outs = append(outs, out{event: e})
		m.forget(id, listed)
	}
	for id, at := range m.gone {
		if listed-at > 5*slack {
			delete(m.gone, id)
		}
	}
	return outs
}

// replaced tells that another container has taken the place of one that ended shortly before.
func (m *machine) replaced(id string) []out {
	t := m.tasks[id]
	switch {
	case t == nil:
		return nil
	case t.pending != nil:
		return m.settle(t)
	case t.told != nil && !t.told.failed:
		return m.amend(t, t.told, t.told.line)
	}
	return nil
}

// shutdown tells that the daemon went down after it had asked these tasks to stop.
func (m *machine) shutdown(ids map[string]bool) []out {
	var outs []out
	for id, t := range m.tasks {
		if !ids[id] {
			continue
		}
		t.shutdown, t.together = true, len(ids)
		if end := t.ended(); end != nil {
			end.again = again{}
		}
		switch {
		case t.pending != nil:
			outs = append(outs, m.settle(t)...)
		case t.told != nil:
			outs = append(outs, m.amend(t, t.told, t.told.line)...)
		}
	}
	return outs
}
