package containerd

import (
	"fmt"

	native "github.com/containerd/containerd/api/types/task"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// diff is what one look at containers led to.
type diff struct {
	outs []out
	// unsure counts what is missing for the first time. A list and the stream are not in step, so what
	// is missing is believed when a second look misses it, too.
	unsure int
}

func (d *diff) found(t *task, e event.Event, message string) {
	finish(&e, message)
	d.outs = append(d.outs, out{event: e, key: t.key()})
}

// snapshot compares what a container is with what was told about it, and tells the difference. It has
// an effect only if no younger event is known.
func (m *machine) snapshot(f *facts) diff {
	var d diff
	t := m.tasks[f.key()]
	if m.gone[f.key()] > f.at || t != nil && (t.Last > f.at || t.pending != nil) {
		return d // the events are ahead of it
	}
	if t != nil && t.Created != 0 && f.created != 0 && t.Created != f.created { // the id is used again
		d.outs = m.remove(t, f.at, event.ObservedReconcile)
		t = nil
	}
	fresh := t == nil
	if fresh {
		t = &task{namespace: f.namespace, id: f.id}
		m.tasks[f.key()] = t
	}
	t.adopt(f)
	if t.State == "" {
		t.State = event.StateCreated
		if f.created >= m.from {
			d.found(t, m.make(t, event.TaskCreated, t.birth(), f.created, event.ObservedReconcile), fmt.Sprintf("%s was created from %s", t.title(), orNone(t.Image)))
		}
	}
	if f.failure != "" && m.failsFirst(t) {
		if fresh && f.created < m.from {
			t.Failed = true // nobody knows when; it was not while anybody watched
		} else {
			d.outs = append(d.outs, m.failedStart(t, f.failure, f.at, event.ObservedReconcile, nil))
		}
	}
	m.compare(t, f, fresh, &d)
	return d
}

func orNone(image string) string {
	if image == "" {
		return "no image"
	}
	return image
}

func (m *machine) compare(t *task, f *facts, fresh bool, d *diff) {
	if f.pid == 0 || f.status == native.Status_CREATED {
		if !t.running() {
			t.missing = 0
			return
		}
		m.missed(t, f.at, d)
		return
	}
	if !f.running() && !f.stopped() {
		return // its shim does not answer; the next look may know
	}
	if run := m.run(f.pid); t.Run != run {
		if t.running() {
			d.outs = append(d.outs, m.lose(t, f.at, true)...)
		}
		t.begin(run, f.began)
		if f.stopped() && fresh && f.exited < m.from {
			t.Exited, t.State, t.Ended = true, event.StateStopped, f.exited // ended before anybody watched
		} else {
			d.found(t, m.make(t, event.TaskStarted, run, m.begun(f), event.ObservedReconcile), t.title()+" started")
		}
	}
	t.missing = 0
	switch {
	case !f.stopped():
		m.foundRunning(t, f, d)
	case !t.Exited:
		d.outs = append(d.outs, m.foundEnded(t, f))
	}
}

// begun is when a run that nobody saw start began: as the kernel says, or else at the latest.
func (m *machine) begun(f *facts) int64 {
	switch {
	case f.began != 0:
		return f.began
	case f.stopped() && f.exited != 0:
		return f.exited
	}
	return f.at
}

// missed notes that a run is gone, and tells its loss once that is sure.
func (m *machine) missed(t *task, at int64, d *diff) {
	if t.missing == 0 {
		t.missing = at
		d.unsure++
		return
	}
	d.outs = append(d.outs, m.lose(t, at, false)...)
}

func (m *machine) foundEnded(t *task, f *facts) out {
	end := &stop{at: f.exited, seen: event.ObservedReconcile, unseen: true, code: &f.code}
	end.key = decimal(f.exited)
	if f.exited == 0 { // the runtime lost the end, and with it the code
		end.at, end.code, end.key = f.at, nil, "lost "+t.Run
	}
	end.down = f.down != 0 && end.at >= f.down
	return m.loseAs(t, end)
}

// foundRunning tells changes of a run that goes on.
func (m *machine) foundRunning(t *task, f *facts, d *diff) {
	key := t.Run + " " + decimal(f.at)
	paused := f.status == native.Status_PAUSED
	switch {
	case paused && t.State != event.StatePaused:
		t.State = event.StatePaused
		d.found(t, m.make(t, event.TaskPaused, key, f.at, event.ObservedReconcile), t.title()+" was paused")
	case !paused && t.State == event.StatePaused:
		t.State = event.StateRunning
		d.found(t, m.make(t, event.TaskResumed, key, f.at, event.ObservedReconcile), t.title()+" runs on")
	}
}

// vanished tells of containers that no list shows any more, those of a namespace that is gone included.
// listed is when the lists were taken.
func (m *machine) vanished(present map[string]bool, listed int64) diff {
	var d diff
	for key, t := range m.tasks {
		if present[key] || t.Last > listed || t.Created > listed {
			continue
		}
		if t.missing == 0 {
			t.missing = listed
			d.unsure++
			continue
		}
		d.outs = append(d.outs, m.remove(t, listed, event.ObservedReconcile)...)
	}
	for key, at := range m.gone {
		if listed-at > keepGone {
			delete(m.gone, key)
		}
	}
	return d
}

// keepGone is how long a list that is on its way may be late, ns.
const keepGone = int64(60e9)
